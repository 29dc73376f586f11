//! Sets variables in the text of a `.env` file and keeps every other line.

use std::ops::Range;

/// The text with this variable set: in its last line, or in a new line at the end.
pub(in crate::cli) fn with(text: &str, name: &str, value: &str) -> String {
    with_written(text, name, &quoted(value))
}

/// The same for a value in the form of the file.
pub(in crate::cli) fn with_written(text: &str, name: &str, written: &str) -> String {
    let line = format!("{name}={written}");
    match statements(text).into_iter().rev().find(|span| assigns(&text[span.clone()], name)) {
        Some(span) => {
            let ended = text[span.clone()].ends_with('\n');
            format!("{}{line}{}{}", &text[..span.start], if ended { "\n" } else { "" }, &text[span.end..])
        }
        None => {
            let gap = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
            format!("{text}{gap}{line}\n")
        }
    }
}

fn assigns(statement: &str, name: &str) -> bool {
    let statement = statement.trim_start_matches('\u{feff}').trim_start();
    let statement = statement.strip_prefix("export ").unwrap_or(statement).trim_start();
    statement.strip_prefix(name).is_some_and(|rest| rest.trim_start().starts_with('='))
}

/// The lines, where a quoted value may span several.
fn statements(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let (mut start, mut at, mut quotes) = (0, 0, Quotes::default());
    for line in text.split_inclusive('\n') {
        at += line.len();
        quotes.read(line, if start + line.len() == at { LinePosition::Start } else { LinePosition::Inside });
        if quotes.open.is_none() {
            found.push(start..at);
            start = at;
        }
    }
    if start < text.len() {
        // An unclosed quote does not affect other lines.
        let rest = text[start..].split_inclusive('\n');
        let mut from = start;
        found.extend(rest.map(|line| {
            let span = from..from + line.len();
            from = span.end;
            span
        }));
    }
    found
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum LinePosition {
    Start,
    Inside,
}

/// The open quotation mark, if any.
#[derive(Default)]
struct Quotes {
    open: Option<char>,
}

impl Quotes {
    fn read(&mut self, line: &str, position: LinePosition) {
        if position == LinePosition::Start && line.trim_start().starts_with('#') {
            return;
        }
        let mut letters = line.chars();
        let mut before = ' ';
        while let Some(letter) = letters.next() {
            match (self.open, letter) {
                (Some('"') | None, '\\') => drop(letters.next()),
                (Some(open), letter) if open == letter => self.open = None,
                (None, '"' | '\'') => self.open = Some(letter),
                // A comment behind a value.
                (None, '#') if before.is_whitespace() => return,
                _ => {}
            }
            before = letter;
        }
    }
}

/// The value in the form that is read back unchanged.
fn quoted(value: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./:@+=,%!".contains(letter);
    if !value.is_empty() && value.chars().all(plain) {
        return value.to_owned();
    }
    if !value.contains('\'') {
        return format!("'{value}'");
    }
    let escaped: String = value
        .chars()
        .flat_map(|letter| {
            let escape = matches!(letter, '"' | '\\' | '$').then_some('\\');
            escape.into_iter().chain([letter])
        })
        .collect();
    format!("\"{escaped}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<(String, String)> {
        dotenvy::from_read_iter(text.as_bytes()).map(|item| item.expect("it can be read")).collect()
    }

    #[test]
    fn a_written_value_is_read_back_unchanged() {
        for value in
            ["sk-plain_1.2/3", "two keys", "a'b", "a'b\"c\\d$e", "#no", "!PASSTHRU", "${HOME}", "a=b", "ä"]
        {
            let text = with("A=1\n", "B", value);
            assert_eq!(read(&text), [("A".into(), "1".into()), ("B".into(), value.to_owned())], "{text}");
        }
    }

    #[test]
    fn only_the_line_of_the_variable_changes() {
        let text =
            "# keys\nexport A = 'one\n B=not a variable\n'\n\nB=old # last\nB_C=x\n#B=off\nB=old2\nC=\"a b\"";
        let changed = with(text, "B", "new");
        assert_eq!(changed, text.replace("B=old2", "B=new"));
        assert_eq!(with(&changed, "A", "k"), changed.replace("export A = 'one\n B=not a variable\n'", "A=k"));
        assert_eq!(with(&changed, "D", "k"), changed + "\nD=k\n");
        assert_eq!(with("", "D", "k"), "D=k\n");
        assert_eq!(with("A=1", "A", "2"), "A=2");
    }

    #[test]
    fn an_unclosed_quote_does_not_affect_other_lines() {
        assert_eq!(with("A='x\nB=1\n", "B", "2"), "A='x\nB=2\n");
    }
}
