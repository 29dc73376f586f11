//! Estimates the number of tokens of a text, character by character.
//!
//! The cuts are those of o200k_base: a word includes one character before it, and a capital after a lower-case letter
//! starts a new word; digits form groups of three; punctuation includes the space before it and the line ends after it;
//! of several blanks, the last belongs to what follows. Costs are in hundredths of a token and never decrease, so more
//! text never counts less.

use super::glyph::{Glyph, Script, Sign};
use super::pairs::{self, Preceding, between};

const TOKEN: u64 = 100;
/// The upward correction of the result in percent: the fit is unbiased, and a low estimate is worse than a high one.
const LEAN: u64 = 3;

/// The number of words after an accented letter that count as a language which English vocabularies split.
const FOREIGN_WORDS: u8 = 24;
/// The cost of such a word, and of each of its letters after the fifth.
const FOREIGN_WORD: i32 = 25;
const FOREIGN_LETTER: i32 = 6;
/// The cost of each letter after the ninth, in any word.
const LATE_LETTER: i32 = 2;
/// The cost of a capital first letter, of each further capital, and of lower-case letters after several capitals.
const CAPITAL: i32 = 17;
const FURTHER_CAPITAL: i32 = 8;
const AFTER_CAPITALS: i32 = 47;

/// The cost of the n-th group of equal marks in a run of punctuation; further groups cost as much as the last.
const MARK_GROUPS: [u64; 8] = [100, 3, 16, 52, 30, 75, 70, 85];
/// Marks whose repetitions form lines and are in every vocabulary as such.
const RULERS: &str = "-=*#._~/+!";
/// The most blanks that form one token.
const BLANKS: u32 = 64;

/// The state of counting one text.
#[derive(Default)]
pub(super) struct Shape {
    /// The total in hundredths of a token.
    total: u64,
    piece: TextPiece,
    /// The pending blanks before the next character, and the last one.
    blanks: u32,
    last_blank: char,
    /// The number of further words that count as foreign.
    foreign: u8,
}

/// The piece that the next character may belong to.
#[derive(Clone, Copy, Default)]
enum TextPiece {
    #[default]
    None,
    Word(WordRun),
    /// The number of digits, modulo three.
    Digits(u8),
    Marks(MarkRun),
    /// Line ends after punctuation, which belong to it.
    MarkLines,
    /// Line ends; blanks between them have no further cost.
    Lines,
    /// Letters of one script, and their number.
    Letters(Script, u8),
}

#[derive(Clone, Copy)]
struct WordRun {
    last: u8,
    letters: u8,
    capitals: u8,
    ends_small: bool,
    /// The cost of its letters less what the word absorbs; below zero it is one token.
    excess: i32,
}

impl Default for WordRun {
    fn default() -> Self {
        Self { last: pairs::START, letters: 0, capitals: 0, ends_small: false, excess: 0 }
    }
}

#[derive(Clone, Copy)]
struct MarkRun {
    last: char,
    groups: u8,
    repeated: u32,
    /// Whether this is a single mark without a space before it, which belongs to the next word.
    alone: bool,
}

impl Shape {
    /// Adds the next character.
    #[inline]
    pub(super) fn push(&mut self, character: char) {
        match Glyph::from_char(character) {
            Glyph::Lower(letter) => self.small(letter),
            Glyph::Upper(letter) => self.capital(letter),
            Glyph::Digit => self.digit(),
            Glyph::Blank => self.blank(character),
            Glyph::LineEnd => self.line_end(),
            Glyph::Mark => self.mark(character),
            Glyph::Letter(script) => self.letter(script),
            Glyph::Sign(sign) => self.sign(sign, character),
        }
    }

    /// Ends the text; the next character belongs to another text.
    pub(super) fn end_text(&mut self) {
        if self.blanks > 0 {
            self.total += TOKEN;
        }
        self.blanks = 0;
        self.piece = TextPiece::None;
    }

    /// Returns the total in whole tokens.
    pub(super) fn tokens(mut self) -> u64 {
        self.end_text();
        (self.total * (100 + LEAN) + 50 * TOKEN) / (100 * TOKEN)
    }

    #[inline]
    fn small(&mut self, letter: u8) {
        let after_capitals = match self.open_word() {
            Some(word) => {
                let several = !word.ends_small && word.capitals > 1;
                word.ends_small = true;
                several
            }
            None => {
                self.start_word(WordRun { ends_small: true, ..WordRun::default() });
                false
            }
        };
        self.extend(letter, if after_capitals { AFTER_CAPITALS } else { 0 });
    }

    fn capital(&mut self, letter: u8) {
        let further = match self.open_word().filter(|word| !word.ends_small) {
            Some(word) => {
                word.capitals = word.capitals.saturating_add(1);
                true
            }
            None => {
                self.start_word(WordRun { capitals: 1, ..WordRun::default() });
                false
            }
        };
        self.extend(letter, if further { FURTHER_CAPITAL } else { CAPITAL });
    }

    /// Returns the word that the next letter can belong to.
    fn open_word(&mut self) -> Option<&mut WordRun> {
        if self.blanks > 0 {
            return None;
        }
        if let TextPiece::Word(word) = &mut self.piece { Some(word) } else { None }
    }

    /// Starts a word. If it includes a mark, the mark has already paid for its token.
    fn start_word(&mut self, word: WordRun) {
        let before = self.before_word();
        if !matches!(before, Preceding::Mark(_)) {
            self.total += TOKEN;
        }
        let foreign = if self.foreign > 0 { FOREIGN_WORD } else { 0 };
        self.foreign = self.foreign.saturating_sub(1);
        let excess = pairs::start(before) + foreign;
        self.total += non_negative(excess);
        self.piece = TextPiece::Word(WordRun { excess, ..word });
    }

    fn before_word(&mut self) -> Preceding {
        if self.blanks > 0 {
            self.pay_blanks_but_one();
            return if self.last_blank == ' ' { Preceding::Space } else { Preceding::Blank };
        }
        match self.piece {
            TextPiece::Marks(marks) if marks.alone => Preceding::Mark(marks.last),
            TextPiece::Digits(_) => Preceding::Digit,
            TextPiece::Word(_) => Preceding::Letter,
            TextPiece::None
            | TextPiece::Marks(_)
            | TextPiece::MarkLines
            | TextPiece::Lines
            | TextPiece::Letters(..) => Preceding::Nothing,
        }
    }

    /// Extends the open word by a letter; `case` is the cost of its case.
    #[inline]
    fn extend(&mut self, letter: u8, case: i32) {
        let TextPiece::Word(word) = &mut self.piece else { return };
        let mut cost = case + between(word.last, letter);
        word.last = letter;
        word.letters = word.letters.saturating_add(1);
        if letter == Glyph::ACCENTED {
            self.foreign = FOREIGN_WORDS;
        }
        if word.letters > 5 && self.foreign > 0 {
            cost += FOREIGN_LETTER;
        }
        if word.letters > 9 {
            cost += LATE_LETTER;
        }
        let before = non_negative(word.excess);
        word.excess += cost;
        self.total += non_negative(word.excess) - before;
    }

    /// Adds a digit. A number does not include a blank before it.
    fn digit(&mut self) {
        if self.blanks > 0 {
            self.total += TOKEN;
            self.pay_blanks_but_one();
            self.piece = TextPiece::None;
        }
        let digits = if let TextPiece::Digits(digits) = self.piece { digits } else { 0 };
        if digits == 0 {
            self.total += TOKEN;
        }
        self.piece = TextPiece::Digits((digits + 1) % 3);
    }

    fn blank(&mut self, character: char) {
        self.blanks = self.blanks.saturating_add(1);
        self.last_blank = character;
        if self.blanks.is_multiple_of(BLANKS) {
            self.total += TOKEN;
        }
    }

    fn pay_blanks_but_one(&mut self) {
        if self.blanks > 1 {
            self.total += TOKEN;
        }
        self.blanks = 0;
    }

    /// Adds a line end, which includes the blanks before it.
    fn line_end(&mut self) {
        let touching = self.blanks == 0;
        self.blanks = 0;
        self.piece = match self.piece {
            TextPiece::Marks(_) | TextPiece::MarkLines if touching => TextPiece::MarkLines,
            TextPiece::Lines => TextPiece::Lines,
            TextPiece::None
            | TextPiece::Word(_)
            | TextPiece::Digits(_)
            | TextPiece::Marks(_)
            | TextPiece::MarkLines
            | TextPiece::Letters(..) => {
                self.total += TOKEN;
                TextPiece::Lines
            }
        };
    }

    fn mark(&mut self, character: char) {
        let TextPiece::Marks(mut marks) = self.piece else { return self.start_marks(character) };
        if self.blanks > 0 {
            return self.start_marks(character);
        }
        marks.alone = false;
        if marks.last == character {
            marks.repeated = marks.repeated.saturating_add(1);
            self.total += repetition(character, marks.repeated);
        } else {
            marks.last = character;
            marks.repeated = 0;
            self.total += MARK_GROUPS[usize::from(marks.groups).min(MARK_GROUPS.len() - 1)];
            marks.groups = marks.groups.saturating_add(1);
        }
        self.piece = TextPiece::Marks(marks);
    }

    fn start_marks(&mut self, character: char) {
        let after_space = self.blanks > 0 && self.last_blank == ' ';
        if self.blanks > 0 && !after_space {
            self.total += TOKEN;
        }
        self.pay_blanks_but_one();
        self.total += MARK_GROUPS[0];
        self.piece =
            TextPiece::Marks(MarkRun { last: character, groups: 1, repeated: 0, alone: !after_space });
    }

    /// Adds a letter. In these scripts a word rarely includes the mark before it.
    fn letter(&mut self, script: Script) {
        let letters = self.open_letters(script);
        self.pay_blanks_but_one();
        self.total += match (script, letters) {
            (Script::Hangul, 0) => 125,
            (_, 0) => TOKEN,
            (Script::Frequent | Script::Rare, 1 | 2) => 5,
            (Script::Frequent, _) => 27,
            (Script::Rare, _) => 42,
            (Script::Han, _) => 79,
            (Script::Kana, _) => 54,
            (Script::Hangul, _) => 46,
        };
        self.piece = TextPiece::Letters(script, letters.saturating_add(1));
    }

    /// Returns how many letters precede this one in its piece. Japanese mixes two scripts.
    fn open_letters(&self, script: Script) -> u8 {
        let TextPiece::Letters(open, letters) = self.piece else { return 0 };
        let is_japanese = |script| matches!(script, Script::Han | Script::Kana);
        let same = open == script || is_japanese(open) && is_japanese(script);
        if same && self.blanks == 0 { letters } else { 0 }
    }

    fn sign(&mut self, sign: Sign, character: char) {
        let before = self.total;
        let repeats = self.blanks == 0
            && matches!(self.piece, TextPiece::Marks(MarkRun { last, .. }) if last == character);
        let follows = self.blanks == 0 && matches!(self.piece, TextPiece::Marks(_));
        self.mark(character);
        // The cost that `mark` charged is for ASCII; a sign that does not start a run has its own cost.
        let own = match sign {
            Sign::Punctuation if follows => 60,
            Sign::Rule if repeats => 12,
            Sign::Punctuation | Sign::Rule => TOKEN,
            Sign::Symbol => 150,
            Sign::Joiner => 70,
            Sign::Unknown => 300,
        };
        self.total = self.total.max(before + own);
    }
}

/// Returns the cost of the n-th repetition of a mark.
fn repetition(mark: char, repeated: u32) -> u64 {
    match repeated {
        _ if RULERS.contains(mark) => 2,
        0..=3 => 8,
        _ => 25,
    }
}

fn non_negative(cost: i32) -> u64 {
    u64::from(cost.max(0).unsigned_abs())
}
