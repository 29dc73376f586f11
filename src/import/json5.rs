//! Reads JSON5 and keeps the line of each value: comments, trailing commas, single quotes and names without quotes.

use std::iter::Peekable;
use std::str::Chars;

/// How deep lists and tables may be nested.
const DEEPEST: usize = 64;

/// A value with its line, counted from one.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    pub(super) line: usize,
    pub(super) value: Value,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Null,
    Flag(bool),
    Number(f64),
    Text(String),
    List(Vec<Node>),
    /// In the order of the file. Of equal names the last one counts.
    Table(Vec<(String, Node)>),
}

/// Why a text is not JSON5. It repeats nothing of the text, which may contain keys.
#[derive(Debug, PartialEq)]
pub(super) struct SyntaxError {
    pub(super) line: usize,
    pub(super) column: usize,
    pub(super) expected: &'static str,
}

impl Node {
    pub(super) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            Value::Null | Value::Flag(_) | Value::Number(_) | Value::List(_) | Value::Table(_) => None,
        }
    }

    pub(super) fn list(&self) -> Option<&[Self]> {
        match &self.value {
            Value::List(items) => Some(items),
            Value::Null | Value::Flag(_) | Value::Number(_) | Value::Text(_) | Value::Table(_) => None,
        }
    }

    pub(super) fn table(&self) -> Option<&[(String, Self)]> {
        match &self.value {
            Value::Table(entries) => Some(entries),
            Value::Null | Value::Flag(_) | Value::Number(_) | Value::Text(_) | Value::List(_) => None,
        }
    }

    /// A number, also one written as text.
    pub(super) fn number(&self) -> Option<f64> {
        match &self.value {
            Value::Number(number) => Some(*number),
            Value::Text(text) => text.trim().parse().ok(),
            Value::Null | Value::Flag(_) | Value::List(_) | Value::Table(_) => None,
        }
    }

    /// Absent, `null` and an empty text mean the same.
    pub(super) fn is_empty(&self) -> bool {
        match &self.value {
            Value::Null => true,
            Value::Text(text) => text.trim().is_empty(),
            Value::List(items) => items.is_empty(),
            Value::Table(entries) => entries.is_empty(),
            Value::Flag(_) | Value::Number(_) => false,
        }
    }

    /// What the value is, for messages.
    pub(super) fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "null",
            Value::Flag(_) => "true or false",
            Value::Number(_) => "a number",
            Value::Text(_) => "text",
            Value::List(_) => "a list",
            Value::Table(_) => "an object",
        }
    }
}

/// Parses a text.
///
/// # Errors
/// With the place of the first mistake.
pub(super) fn parse(text: &str) -> Result<Node, SyntaxError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = Reader { rest: text.chars().peekable(), line: 1, column: 1, depth: 0 };
    reader.skip()?;
    let node = reader.node()?;
    reader.skip()?;
    match reader.rest.peek() {
        None => Ok(node),
        Some(_) => Err(reader.expected("the end of the file")),
    }
}

struct Reader<'a> {
    rest: Peekable<Chars<'a>>,
    line: usize,
    column: usize,
    depth: usize,
}

impl Reader<'_> {
    fn expected(&self, expected: &'static str) -> SyntaxError {
        SyntaxError { line: self.line, column: self.column, expected }
    }

    fn next(&mut self) -> Option<char> {
        let letter = self.rest.next()?;
        if letter == '\n' {
            (self.line, self.column) = (self.line + 1, 1);
        } else {
            self.column += 1;
        }
        Some(letter)
    }

    fn next_if(&mut self, wanted: char) -> bool {
        let is_next = self.rest.peek() == Some(&wanted);
        if is_next {
            self.next();
        }
        is_next
    }

    fn skip(&mut self) -> Result<(), SyntaxError> {
        while let Some(letter) = self.rest.peek().copied() {
            if letter == '/' {
                self.comment()?;
            } else if letter.is_whitespace() || letter == '\u{feff}' {
                self.next();
            } else {
                break;
            }
        }
        Ok(())
    }

    fn comment(&mut self) -> Result<(), SyntaxError> {
        self.next();
        match self.next() {
            Some('/') => {
                while self.rest.peek().is_some_and(|letter| *letter != '\n') {
                    self.next();
                }
                Ok(())
            }
            Some('*') => self.block_comment(),
            Some(_) | None => Err(self.expected("a comment after /")),
        }
    }

    fn block_comment(&mut self) -> Result<(), SyntaxError> {
        let mut before = ' ';
        while let Some(letter) = self.next() {
            if before == '*' && letter == '/' {
                return Ok(());
            }
            before = letter;
        }
        Err(self.expected("the end of a comment, */"))
    }

    fn node(&mut self) -> Result<Node, SyntaxError> {
        let line = self.line;
        let value = match self.rest.peek() {
            Some('{') => self.nested(Self::table)?,
            Some('[') => self.nested(Self::list)?,
            Some('"' | '\'') => Value::Text(self.quoted()?),
            Some(_) => self.word()?,
            None => return Err(self.expected("a value")),
        };
        Ok(Node { line, value })
    }

    fn nested(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<Value, SyntaxError>,
    ) -> Result<Value, SyntaxError> {
        if self.depth == DEEPEST {
            return Err(self.expected("less than 64 nested lists and objects"));
        }
        self.depth += 1;
        self.next();
        self.skip()?;
        let value = read(self)?;
        self.depth -= 1;
        Ok(value)
    }

    fn list(&mut self) -> Result<Value, SyntaxError> {
        let mut items = Vec::new();
        while !self.next_if(']') {
            items.push(self.node()?);
            self.comma(']')?;
        }
        Ok(Value::List(items))
    }

    fn table(&mut self) -> Result<Value, SyntaxError> {
        let mut entries: Vec<(String, Node)> = Vec::new();
        while !self.next_if('}') {
            let name = self.name()?;
            self.skip()?;
            if !self.next_if(':') {
                return Err(self.expected("a colon after the name"));
            }
            self.skip()?;
            let node = self.node()?;
            entries.retain(|(known, _)| *known != name);
            entries.push((name, node));
            self.comma('}')?;
        }
        Ok(Value::Table(entries))
    }

    /// A comma, or the end of the list or object.
    fn comma(&mut self, end: char) -> Result<(), SyntaxError> {
        self.skip()?;
        if self.next_if(',') {
            return self.skip();
        }
        match self.rest.peek() {
            Some(letter) if *letter == end => Ok(()),
            Some(_) | None if end == ']' => Err(self.expected("a comma or ]")),
            Some(_) | None => Err(self.expected("a comma or }")),
        }
    }

    fn name(&mut self) -> Result<String, SyntaxError> {
        match self.rest.peek() {
            Some('"' | '\'') => self.quoted(),
            Some(letter) if is_of_name(*letter) => Ok(self.bare()),
            Some(_) | None => Err(self.expected("the name of a setting")),
        }
    }

    fn bare(&mut self) -> String {
        let mut text = String::new();
        while let Some(letter) = self.rest.peek().copied().filter(|letter| is_of_name(*letter)) {
            text.push(letter);
            self.next();
        }
        text
    }

    fn word(&mut self) -> Result<Value, SyntaxError> {
        let (line, column) = (self.line, self.column);
        let mut text = String::new();
        while let Some(letter) = self.rest.peek().copied() {
            if !(is_of_name(letter) || "+-.".contains(letter)) {
                break;
            }
            text.push(letter);
            self.next();
        }
        let known = match text.as_str() {
            "null" => Some(Value::Null),
            "true" => Some(Value::Flag(true)),
            "false" => Some(Value::Flag(false)),
            number => number_of(number).map(Value::Number),
        };
        known.ok_or(SyntaxError { line, column, expected: "a value; text needs quotes" })
    }

    fn quoted(&mut self) -> Result<String, SyntaxError> {
        let start = self.expected("the quote that ends this text");
        let quote = self.next();
        let mut text = String::new();
        loop {
            match self.next() {
                None | Some('\n') => return Err(start),
                letter if letter == quote => return Ok(text),
                Some('\\') => text.extend(self.escape()?),
                Some(letter) => text.push(letter),
            }
        }
    }

    /// What a backslash and the letters behind it mean; nothing for a line that continues.
    fn escape(&mut self) -> Result<Option<char>, SyntaxError> {
        let letter = self.next().ok_or_else(|| self.expected("a letter after \\"))?;
        Ok(match letter {
            'n' => Some('\n'),
            't' => Some('\t'),
            'r' => Some('\r'),
            'b' => Some('\u{8}'),
            'f' => Some('\u{c}'),
            'v' => Some('\u{b}'),
            '0' => Some('\0'),
            'x' => char::from_u32(self.digits(2)?),
            'u' => Some(self.unicode()?),
            '\n' => None,
            '\r' => {
                self.next_if('\n');
                None
            }
            other => Some(other),
        })
    }

    /// Characters outside the first plane are written as two escapes.
    fn unicode(&mut self) -> Result<char, SyntaxError> {
        let first = self.digits(4)?;
        if !(0xD800..0xDC00).contains(&first) {
            return Ok(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        if !(self.next_if('\\') && self.next_if('u')) {
            return Err(self.expected("the second half of a \\u escape"));
        }
        let second = self.digits(4)?.wrapping_sub(0xDC00) & 0x3FF;
        Ok(char::from_u32(0x10000 + ((first - 0xD800) << 10) + second).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn digits(&mut self, count: usize) -> Result<u32, SyntaxError> {
        let mut number = 0;
        for _ in 0..count {
            let digit = self.next().and_then(|letter| letter.to_digit(16));
            number = number * 16 + digit.ok_or_else(|| self.expected("hexadecimal digits"))?;
        }
        Ok(number)
    }
}

fn is_of_name(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_' || letter == '$'
}

fn number_of(text: &str) -> Option<f64> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1.0, digits),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    if let Some(hex) = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        return u32::from_str_radix(hex, 16).ok().map(|number| sign * f64::from(number));
    }
    // Rust reads words such as `inf`, too.
    let is_number = digits.starts_with(|first: char| first.is_ascii_digit() || first == '.');
    digits.parse::<f64>().ok().filter(|_| is_number).map(|number| sign * number)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As JSON, without the lines.
    fn json(node: &Node) -> serde_json::Value {
        match &node.value {
            Value::Null => serde_json::Value::Null,
            Value::Flag(flag) => (*flag).into(),
            Value::Number(number) => (*number).into(),
            Value::Text(text) => text.clone().into(),
            Value::List(items) => items.iter().map(json).collect(),
            Value::Table(entries) => entries.iter().map(|(name, node)| (name.clone(), json(node))).collect(),
        }
    }

    fn any_json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i32>().prop_map(|number| f64::from(number).into()),
            any::<String>().prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
                prop::collection::btree_map(any::<String>(), inner, 0..4)
                    .prop_map(|entries| entries.into_iter().collect()),
            ]
        })
    }

    proptest! {
        /// Requirement: what JSON says is read as JSON readers read it.
        #[test]
        fn json_is_read_as_others_read_it(value in any_json(), pretty: bool) {
            let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) };
            prop_assert_eq!(json(&parse(&text.unwrap()).unwrap()), value);
        }

        /// Requirement: no text makes the reader panic.
        #[test]
        fn any_text_is_read_or_refused(text: String) {
            let _ = parse(&text);
        }
    }

    /// Requirement: comments, trailing commas, single quotes and bare names are accepted, and lines are counted.
    #[test]
    fn what_the_file_may_contain_beyond_json_is_read() {
        let text = "\u{feff}// one\n{ /* two\n */ a: 'it\\'s', // three\n  $b_1: [1, -2.5, 0x10, .5,],\n  \"c\": {x: null,},\n  'a': 'last',\n}\n";
        let node = parse(text).unwrap();
        let expected = serde_json::json!({"$b_1": [1.0, -2.5, 16.0, 0.5], "c": {"x": null}, "a": "last"});
        assert_eq!(json(&node), expected);
        let lines: Vec<_> = node.table().unwrap().iter().map(|(name, node)| (&**name, node.line)).collect();
        assert_eq!((node.line, lines), (2, vec![("$b_1", 4), ("c", 5), ("a", 6)]));
        assert_eq!(
            parse(
                r#""\ud83d\ude00\x41\
B""#
            )
            .unwrap()
            .text(),
            Some("\u{1f600}AB")
        );
    }

    /// Requirement: a mistake is reported with its line and column, and nothing of the text is repeated.
    #[test]
    fn a_mistake_has_its_place() {
        for (text, place) in [
            ("", (1, 1)),
            ("{\n  a 1}", (2, 5)),
            ("{a: 1 b: 2}", (1, 7)),
            ("{a: \"x\n\"}", (1, 5)),
            ("[1, sk-secret]", (1, 5)),
            ("{} x", (1, 4)),
            ("/* x", (1, 5)),
            ("{a: /x}", (1, 7)),
            ("[1", (1, 3)),
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!((error.line, error.column), place, "{text}");
        }
        assert!(parse(&"[".repeat(100_000)).unwrap_err().expected.contains("nested"));
    }
}
