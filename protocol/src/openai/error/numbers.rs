//! Finds the numbers in a message.

/// The most digits of a token count.
const MOST_DIGITS: usize = 10;

/// A number and its position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Number {
    pub(crate) value: u64,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// Returns the separate whole numbers: no versions, parts of names or fractions.
pub(crate) fn numbers(text: &str) -> Vec<Number> {
    let bytes = text.as_bytes();
    let mut numbers = vec![];
    let mut at = 0;
    while let Some(start) = bytes[at..].iter().position(u8::is_ascii_digit).map(|found| at + found) {
        let is_of_number = |byte: &u8| byte.is_ascii_digit() || *byte == b',';
        let mut end =
            start + bytes[start..].iter().position(|byte| !is_of_number(byte)).unwrap_or(bytes.len() - start);
        // A trailing comma belongs to the sentence; a comma without three digits after it belongs to a list.
        if let Some(comma) = bytes[start..end].iter().position(|&byte| byte == b',')
            && !are_thousands(&bytes[start..end])
        {
            end = start + comma;
        }
        let before = start.checked_sub(1).map(|before| bytes[before]);
        let after = |offset: usize| bytes.get(end + offset).copied();
        let is_fraction = after(0) == Some(b'.') && after(1).is_some_and(|byte| byte.is_ascii_digit());
        let is_of_word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        let stands_alone = !before.is_some_and(is_of_word)
            && !is_fraction
            && !after(0).is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
        let digits: String = text[start..end].chars().filter(char::is_ascii_digit).collect();
        if let Ok(value) = digits.parse()
            && stands_alone
            && digits.len() <= MOST_DIGITS
        {
            numbers.push(Number { value, start, end });
        }
        at = end.max(start + 1);
    }
    numbers
}

fn are_thousands(number: &[u8]) -> bool {
    let mut groups = number.split(|&byte| byte == b',');
    groups.next().is_some_and(|first| (1..=3).contains(&first.len())) && groups.all(|group| group.len() == 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_alone() {
        for (text, expected) in [
            ("gpt-4.1 takes 1,047,576 tokens, not 1.5 (20000>= n_ctx: 4096).", vec![1_047_576, 20_000, 4096]),
            ("[1, 8192] [1,8192] 32k v2 a_3 -5 99999999999", vec![1, 8192, 1, 8192]),
            ("(32000 > 40960 - 15000)", vec![32_000, 40_960, 15_000]),
            ("\u{e9}7\u{e9}", vec![7]),
            ("", vec![]),
        ] {
            let found: Vec<_> = numbers(text).into_iter().map(|number| number.value).collect();
            assert_eq!(found, expected, "{text}");
        }
    }
}
