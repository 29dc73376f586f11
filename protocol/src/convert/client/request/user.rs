//! Who the user is: Anthropic takes an opaque id of at most 256 characters, and refuses e-mail addresses and telephone
//! numbers.

use std::borrow::Cow;

use sha2::{Digest as _, Sha256};

use crate::json::{Literal, Write, trim};

/// The longest user id that Anthropic takes, in characters.
const LONGEST: usize = 256;
/// How many digits a telephone number has, with its country code (ITU-T E.164) and without its area code.
const TELEPHONE_DIGITS: std::ops::RangeInclusive<usize> = 7..=15;

/// Appends `metadata` with the first of these that says something. An id that Anthropic refuses becomes its hash: still the
/// same for every request of one user.
pub(crate) fn write<'a>(named: [Option<Literal<'a>>; 2], out: &mut Vec<u8>) {
    let named = named.into_iter().flatten();
    let Some(user) = named.map(Literal::inner).find(|inner| !trim(inner).is_empty()) else { return };
    out.put(b",\"metadata\":{\"user_id\":");
    match crate::json::decode_text(user) {
        Some(plain) if !is_refused(&plain) => out.quoted(user),
        plain => {
            let plain = plain.unwrap_or(Cow::Borrowed(user));
            let digest = Sha256::digest(plain.as_bytes());
            out.string(&digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
        }
    }
    out.put(b"}");
}

fn is_refused(user: &str) -> bool {
    user.chars().count() > LONGEST || has_address(user) || has_telephone_number(user)
}

/// Whether an `@` is between two words.
fn has_address(user: &str) -> bool {
    user.match_indices('@').any(|(at, _)| {
        let before = user[..at].chars().next_back();
        let behind = user[at + 1..].chars().next();
        before.is_some_and(|last| !last.is_whitespace()) && behind.is_some_and(char::is_alphanumeric)
    })
}

/// Whether digits stand together that are as many as a telephone number has, with what separates its groups. Digits that
/// belong to a word, as in a UUID, do not count.
fn has_telephone_number(user: &str) -> bool {
    let is_digit = |character: char| character.is_ascii_digit();
    let belongs = |character: char| is_digit(character) || " .-/()+\u{a0}".contains(character);
    let is_word = |character: char| character.is_alphanumeric() || character == '_';
    let mut from = 0;
    while let Some(start) = user[from..].find(belongs).map(|start| from + start) {
        let length = user[start..].find(|character| !belongs(character));
        let end = length.map_or(user.len(), |length| start + length);
        let run = &user[start..end];
        let in_word = (run.starts_with(is_digit) && user[..start].ends_with(is_word))
            || (run.ends_with(is_digit) && user[end..].starts_with(is_word));
        if !in_word && TELEPHONE_DIGITS.contains(&run.bytes().filter(u8::is_ascii_digit).count()) {
            return true;
        }
        from = end;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_tells_who_somebody_is_is_refused() {
        for user in [
            "me@example.com",
            "Me <me.too+tag@mail.example.co.uk>",
            "mailto:ä@bücher.example",
            "id-7/me@localhost",
            "+41 79 123 45 67",
            "(555) 123-4567",
            "555.123.4567",
            "tel:+15551234567",
            "user 0041/79/1234567",
            "5551234",
        ] {
            assert!(is_refused(user), "{user}");
        }
        assert!(is_refused(&"u".repeat(257)));
    }

    #[test]
    fn an_opaque_id_is_not() {
        for user in [
            "u1",
            "user-123456",
            "550e8400-e29b-41d4-a716-446655440000",
            "user_01HXYZ0123456789",
            "auth0|507f1f77bcf86cd799439011",
            "a 1234 @ b",
            "@handle",
            "1234567890123456",
            "2026-11",
            "{\"device_id\":\"266abc14e718f29051264a08f9d7e973\"}",
        ] {
            assert!(!is_refused(user), "{user}");
        }
        assert!(!is_refused(&"é".repeat(256)));
    }
}
