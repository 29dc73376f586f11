//! Classifies characters for the first cut of a tokenizer.

/// The effect of a character on the piece before it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Glyph {
    /// A lower-case Latin letter: 0–25, or [`Glyph::ACCENTED`].
    Lower(u8),
    /// An upper-case Latin letter, with the same index.
    Upper(u8),
    Digit,
    /// White space within a line.
    Blank,
    LineEnd,
    /// ASCII punctuation.
    Mark,
    /// A letter of another alphabet or of a syllabary.
    Letter(Script),
    /// Punctuation and symbols beyond ASCII.
    Sign(Sign),
}

/// Writing systems, grouped by the number of tokens per word.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Script {
    /// Well covered by vocabularies: Cyrillic, Arabic, Devanagari.
    Frequent,
    /// Greek, Hebrew, Thai and all other alphabets.
    Rare,
    Han,
    Kana,
    Hangul,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Sign {
    /// Dashes, quotes, CJK full stops.
    Punctuation,
    /// Box drawing; its runs are as cheap as those of `-`.
    Rule,
    /// Arrows, mathematics, emoji.
    Symbol,
    /// Characters that join or modify the sign before them.
    Joiner,
    /// Private use and all others, encoded byte by byte.
    Unknown,
}

impl Glyph {
    /// The index of every Latin letter beyond ASCII.
    pub(super) const ACCENTED: u8 = 26;

    #[inline]
    pub(super) fn from_char(character: char) -> Self {
        match ASCII.get(character as usize) {
            Some(&glyph) => glyph,
            None => beyond_ascii(character),
        }
    }
}

static ASCII: [Glyph; 128] = {
    let mut table = [Glyph::Mark; 128];
    let mut at = 0;
    while at < 128 {
        let byte = at as u8;
        table[at] = match byte {
            b'a'..=b'z' => Glyph::Lower(byte - b'a'),
            b'A'..=b'Z' => Glyph::Upper(byte - b'A'),
            b'0'..=b'9' => Glyph::Digit,
            b' ' | b'\t' | 0x0B | 0x0C => Glyph::Blank,
            b'\n' | b'\r' => Glyph::LineEnd,
            _ => Glyph::Mark,
        };
        at += 1;
    }
    table
};

fn beyond_ascii(character: char) -> Glyph {
    match character {
        '\u{85}' | '\u{A0}' | '\u{2000}'..='\u{200A}' | '\u{2028}' | '\u{2029}' | '\u{202F}' | '\u{3000}' => {
            Glyph::Blank
        }
        '×' | '÷' => Glyph::Sign(Sign::Punctuation),
        '\u{C0}'..='\u{24F}' | '\u{300}'..='\u{36F}' | '\u{1E00}'..='\u{1EFF}' => latin(character),
        '\u{80}'..='\u{BF}' | '\u{2010}'..='\u{203F}' | '\u{3001}'..='\u{303F}' => {
            Glyph::Sign(Sign::Punctuation)
        }
        '\u{FF01}'..='\u{FF0F}' | '\u{FF1A}'..='\u{FF20}' => Glyph::Sign(Sign::Punctuation),
        '\u{30FB}' => Glyph::Sign(Sign::Punctuation),
        '\u{200B}'..='\u{200F}' | '\u{20D0}'..='\u{20FF}' | '\u{FE00}'..='\u{FE0F}' => {
            Glyph::Sign(Sign::Joiner)
        }
        '\u{2500}'..='\u{259F}' => Glyph::Sign(Sign::Rule),
        '\u{2040}'..='\u{2BFF}' | '\u{1F000}'..='\u{1FAFF}' => Glyph::Sign(Sign::Symbol),
        '\u{E000}'..='\u{F8FF}' | '\u{FFF0}'..='\u{FFFF}' | '\u{E0000}'.. => Glyph::Sign(Sign::Unknown),
        letter => Glyph::Letter(script(letter)),
    }
}

fn latin(character: char) -> Glyph {
    if character.is_uppercase() { Glyph::Upper(Glyph::ACCENTED) } else { Glyph::Lower(Glyph::ACCENTED) }
}

fn script(letter: char) -> Script {
    match letter {
        '\u{400}'..='\u{52F}' | '\u{600}'..='\u{77F}' | '\u{900}'..='\u{97F}' => Script::Frequent,
        '\u{3040}'..='\u{30FF}' | '\u{31F0}'..='\u{31FF}' => Script::Kana,
        '\u{2E80}'..='\u{9FFF}' | '\u{F900}'..='\u{FAFF}' | '\u{20000}'..='\u{3FFFF}' => Script::Han,
        '\u{1100}'..='\u{11FF}' | '\u{AC00}'..='\u{D7AF}' => Script::Hangul,
        _ => Script::Rare,
    }
}
