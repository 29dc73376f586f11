//! Estimates how likely adjacent letters are to be in one token.
//!
//! Fitted once to program texts, manuals and translated messages in a dozen languages (least squares over each piece's
//! tokens as o200k_base cuts them). It is not a vocabulary, and too small to be one: 27 letters squared.

/// The cost of one level of [`BETWEEN`], in hundredths of a token.
const LEVEL: i32 = 9;

/// Row: the previous letter (`a` to `z`, any accented one, and last the start of a word). Column: the letter itself.
/// Values range from `0`, almost never split, to `9`.
#[rustfmt::skip]
static BETWEEN: [&[u8; 27]; 28] = [
    b"712075063550118251103351053", // a
    b"468729574070664991171876399",
    b"284607900711681671502988346",
    b"388318793755663895384977059",
    b"342153355682216421034530378", // e
    b"266511080962141781413767084",
    b"457618413984534892544779569",
    b"279618973883202583703687878",
    b"421122166340200223009285514", // i
    b"388619475709943799194539794",
    b"234415175956736799215969686",
    b"116413572973373298222448097",
    b"218609574985152189364979796",
    b"482122154643434496004329666",
    b"301250164141203280301203365", // o
    b"265308625980360400404469277",
    b"675889896990789865760899999",
    b"342103241754012523225406066",
    b"594415643968865486124529387",
    b"465516401956243091344717016",
    b"200304161670107090108182565", // u
    b"377909481999572996687869678",
    b"299429943976900992188830798",
    b"442648853699098299639692179",
    b"759969998985546593339828779",
    b"196619764898817598922856257",
    b"322311307741200412227240079", // accented
    b"222023312232224243023315157", // the start
];

/// The row of [`between`] for the first letter of a word.
pub(super) const START: u8 = 27;

/// Returns the cost of `letter` after `before`, in hundredths of a token.
#[inline]
pub(super) fn between(before: u8, letter: u8) -> i32 {
    let level = BETWEEN[usize::from(before)][usize::from(letter)] - b'0';
    i32::from(level) * LEVEL
}

/// What precedes a word, as far as it affects its cost.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Preceding {
    Nothing,
    Space,
    /// White space other than a space.
    Blank,
    /// One punctuation mark, which becomes part of the word.
    Mark(char),
    Digit,
    /// A letter; a capital starts a new piece after it.
    Letter,
}

/// Returns how much of its letters' cost a word absorbs without a second token, in hundredths (negative), or the cost
/// of its beginning (positive).
pub(super) fn start(before: Preceding) -> i32 {
    match before {
        Preceding::Nothing => -71,
        Preceding::Space => -105,
        Preceding::Blank => -26,
        Preceding::Digit => -59,
        Preceding::Letter => -86,
        Preceding::Mark('.') => -66,
        Preceding::Mark('_') => -70,
        Preceding::Mark('-') => -26,
        Preceding::Mark('"') => 27,
        Preceding::Mark('(') => -49,
        Preceding::Mark('/') => -17,
        Preceding::Mark(_) => 2,
    }
}
