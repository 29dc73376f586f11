//! Text as people and models write it: words, code, punctuation, escapes and other scripts than Latin.

use fastrand::Rng;

const WORDS: [&str; 24] = [
    "the", "parser", "returns", "an", "error", "when", "this", "field", "is", "empty,", "so", "we", "should",
    "check", "it", "first.", "Then", "run", "all", "tests", "again", "and", "look", "closely",
];
const CODE: [&str; 8] = [
    "fn read(&mut self) -> Result<Token, Error> {\n",
    "    let next = self.bytes.get(self.at)?;\n",
    "    if next == b'\"' { return self.string(); }\n",
    "\tself.depth += 1; // nested\n",
    "for key, value in items.items():\n",
    "    print(f\"{key}: {value!r}\")\n",
    "<div class=\"row\">\\n</div>\n",
    "}\n\n",
];
const OTHERS: [&str; 6] = ["größer", "naïve", "返回错误", "проверка", "→", "🙂"];

/// About as many bytes of text as `length`.
pub(crate) fn text(rng: &mut Rng, length: usize) -> String {
    let mut text = String::with_capacity(length + 64);
    while text.len() < length {
        text.push_str(piece(rng));
        text.push(' ');
    }
    text
}

/// A few characters, as a model streams them.
pub(crate) fn token(rng: &mut Rng) -> String {
    match rng.u8(..20) {
        0 => "\n\n".to_owned(),
        1 => ".".to_owned(),
        _ => format!(" {}", piece(rng)),
    }
}

fn piece(rng: &mut Rng) -> &'static str {
    match rng.u8(..40) {
        0..4 => CODE[rng.usize(..CODE.len())],
        4 => OTHERS[rng.usize(..OTHERS.len())],
        _ => WORDS[rng.usize(..WORDS.len())],
    }
}
