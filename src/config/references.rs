//! References in a `.env` file (`$NAME`, `${NAME}`) to variables that are not set. The parser replaces them by nothing, so
//! a key that contains a dollar sign loses part of its text.

/// The advice for such a value. It repeats nothing of the value, which may be a key.
pub(super) const ADVICE: &str = "the value refers to a variable that is not set ($NAME), so an empty text takes its place; \
                                 set that variable, or put a value with a dollar sign in single quotes";

/// Whether one statement (`NAME=value`, over one or several lines) refers to a variable for which `is_set` is false.
pub(super) fn has_unset(statement: &str, is_set: impl Fn(&str) -> bool) -> bool {
    references(value_of(statement)).iter().any(|name| !is_set(name))
}

/// Without comment lines and the name.
fn value_of(statement: &str) -> &str {
    let mut rest = statement;
    while let Some((line, after)) = rest.split_once('\n') {
        let line = line.trim();
        if !line.is_empty() && !line.starts_with('#') {
            break;
        }
        rest = after;
    }
    rest.split_once('=').map_or("", |(_, value)| value.trim())
}

/// The names behind each `$`, as the parser reads them: letters and digits, or anything in braces.
fn references(value: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut letters = value.chars().peekable();
    let mut quote = None;
    let mut before = ' ';
    while let Some(letter) = letters.next() {
        match (quote, letter) {
            (Some('\''), '\'') | (Some('"'), '"') => quote = None,
            (Some('\''), _) => {}
            (_, '\\') => drop(letters.next()),
            (None, '\'' | '"') => quote = Some(letter),
            (None, '#') if before.is_whitespace() => return found,
            (_, '$') if letters.next_if_eq(&'{').is_some() => {
                found.push(letters.by_ref().take_while(|letter| *letter != '}').collect());
            }
            (_, '$') => {
                let mut name = String::new();
                while let Some(letter) = letters.next_if(|letter| letter.is_alphanumeric()) {
                    name.push(letter);
                }
                found.push(name);
            }
            _ => {}
        }
        before = letter;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_to_unset_variables_are_found_if_the_parser_replaces_them() {
        for (statement, expected) in [
            ("K=$XYZ", true),
            ("K=${MY_KEY}\n", true),
            ("# $NO\n\nexport K = \"a$XYZ$A\" # $NO", true),
            ("K=pa$$word", true),
            ("K=a$xyz", true),
            ("K=\"two\nlines $XY\"", true),
            ("K=x#$XY", true),
            ("K='a$xyz'", false),
            ("K=a\\$xyz", false),
            ("K=\"a\\$xyz\"", false),
            ("K=$A${A}", false),
            ("K='two\nlines $X'", false),
            ("K=x #$XY", false),
            ("# K=$XY\nK=x", false),
        ] {
            assert_eq!(has_unset(statement, |name| name == "A"), expected, "{statement}");
        }
    }
}
