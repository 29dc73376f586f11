//! Checks the text of a key for what people paste by mistake: quotes, commas, a scheme, a reference, a placeholder. The
//! same rules hold for every source: variables, `.env`, files, key files and the gateway's own key. No message repeats any
//! part of the text.

/// What is wrong with a key, and what to write instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyFinding {
    /// No server accepts such a key.
    Invalid(&'static str),
    /// The key is probably not the one that was meant.
    Suspicious(&'static str),
}

/// Takes the place of a key: the client's own key is used.
pub(super) const PASSTHROUGH: &str = "!PASSTHRU";

/// Whether a provider's key is the word for the client's own.
pub(super) fn is_passthrough(keys: &str) -> bool {
    keys.trim().eq_ignore_ascii_case(PASSTHROUGH)
}

const UNREADABLE: KeyFinding =
    KeyFinding::Invalid("the key contains characters that no HTTP header can carry; copy the key again");
const LIST: KeyFinding = KeyFinding::Invalid(
    "the keys are written as a list in brackets; write them without brackets, with a blank between two keys",
);
const OBJECT: KeyFinding =
    KeyFinding::Invalid("the value is JSON in braces; write the key alone, without braces, names and quotes");
const QUOTES: KeyFinding = KeyFinding::Invalid(
    "the quotes are part of the key here (docker --env-file keeps them, for one); write the key without quotes",
);
const SEPARATOR: KeyFinding = KeyFinding::Invalid(
    "the key contains a comma or semicolon; write one key alone, or several keys with a blank between two",
);
const SCHEME: KeyFinding = KeyFinding::Invalid(
    "the value starts with the name of a header or scheme, such as Bearer; write the key alone",
);
const ASSIGNMENT: KeyFinding = KeyFinding::Invalid(
    "the value contains a name in front of the key, such as OPENAI_API_KEY=; write the key alone",
);
const REFERENCE: KeyFinding = KeyFinding::Invalid(
    "the value is a reference to another variable, which nothing replaces here; write the key itself",
);
/// In capitals it is a reference for sure; a password may begin like this.
const LOWER_REFERENCE: KeyFinding = KeyFinding::Suspicious(
    "the value looks like a reference to another variable ($name), which nothing replaces here; write the key itself",
);
const NO_SUCH_WORD: KeyFinding = KeyFinding::Invalid(
    "the value is a word that vdm does not know; write !PASSTHRU to use the client's own key, or write a key",
);
const GATEWAY_PASSTHROUGH: KeyFinding = KeyFinding::Invalid(
    "!PASSTHRU is for the keys of providers; the gateway needs a key of its own, or none",
);
const ANGLES: KeyFinding = KeyFinding::Invalid(
    "the value is a placeholder in angle brackets; replace it, brackets included, by the key",
);
const PLACEHOLDER: KeyFinding =
    KeyFinding::Suspicious("the value looks like the placeholder of an example; replace it by your key");

/// Whether a word is wrong in one way, and the finding for it.
type Check = (fn(&str) -> bool, KeyFinding);

/// The first thing that is wrong with one or several keys.
pub(super) fn inspect(text: &str) -> Option<KeyFinding> {
    let text = text.trim();
    if text.starts_with('[') {
        return Some(LIST);
    }
    if text.starts_with('{') && !text.starts_with("{{") && (text.ends_with('}') || text.contains(['"', ':']))
    {
        return Some(OBJECT);
    }
    if is_scheme_before_key(text) {
        return Some(SCHEME);
    }
    text.split_whitespace().find_map(inspect_word)
}

/// The same for the key that clients of the gateway must show, which is one word.
pub(super) fn inspect_gateway_key(text: &str) -> Option<KeyFinding> {
    if is_passthrough(text) {
        return Some(GATEWAY_PASSTHROUGH);
    }
    inspect(text)
}

fn inspect_word(word: &str) -> Option<KeyFinding> {
    if word.chars().any(|letter| matches!(letter, '“' | '”' | '„' | '‘' | '’' | '«' | '»')) {
        return Some(QUOTES);
    }
    if !word.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Some(UNREADABLE);
    }
    let checks: [Check; 9] = [
        (is_quoted, QUOTES),
        (|word| word.contains([',', ';']), SEPARATOR),
        (is_scheme, SCHEME),
        (is_assignment, ASSIGNMENT),
        (is_reference, REFERENCE),
        (is_lower_reference, LOWER_REFERENCE),
        (is_unknown_word, NO_SUCH_WORD),
        (|word| word.starts_with('<') && word.ends_with('>'), ANGLES),
        (is_placeholder, PLACEHOLDER),
    ];
    checks.into_iter().find(|(is_wrong, _)| is_wrong(word)).map(|(_, finding)| finding)
}

fn is_quoted(word: &str) -> bool {
    word.starts_with(['"', '\'', '`']) || word.ends_with(['"', '\'', '`'])
}

/// `Bearer`, `Authorization:`, `x-api-key:`, alone or joined to the key.
fn is_scheme(word: &str) -> bool {
    let lower = word.to_ascii_lowercase();
    let joined = ["bearer:", "authorization:", "x-api-key:", "api-key:", "bearer=", "bearer%20"];
    ["bearer", "basic"].contains(&lower.as_str()) || joined.iter().any(|prefix| lower.starts_with(prefix))
}

/// `Token k`: alone these words may be the dummy key of a local server.
fn is_scheme_before_key(text: &str) -> bool {
    let (first, rest) = text.split_once(char::is_whitespace).unwrap_or_default();
    let names = ["token", "apikey", "api-key", "api_key", "key"];
    !rest.is_empty() && names.iter().any(|name| first.eq_ignore_ascii_case(name))
}

/// `OPENAI_API_KEY=…`, `api_key:…`, `key=…`, also behind `export`, and with blanks around the sign.
fn is_assignment(word: &str) -> bool {
    let Some((name, key)) = word.split_once(['=', ':']) else { return false };
    // Keys in base64 end in one or two signs.
    if word.contains('=')
        && key.bytes().all(|byte| byte == b'=')
        && name.bytes().any(|b| b.is_ascii_lowercase())
    {
        return false;
    }
    let name = name.to_ascii_lowercase().replace('-', "_");
    let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let ends = ["_key", "_keys", "_token", "_secret", "_apikey"];
    let alone = ["", "key", "apikey", "token", "secret", "authorization"];
    is_name && (ends.iter().any(|end| name.ends_with(end)) || alone.contains(&name.as_str()))
}

/// `$NAME`, `${NAME}`, `%NAME%`, `{{ name }}`, `$(command)`.
fn is_reference(word: &str) -> bool {
    let named = |rest: &str| {
        !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
    };
    let windows = || word.strip_prefix('%').and_then(|rest| rest.strip_suffix('%'));
    word.starts_with("${")
        || word.starts_with("$(")
        || word.starts_with("{{")
        || word.strip_prefix('$').is_some_and(named)
        || windows().is_some_and(named)
}

/// `$key`
fn is_lower_reference(word: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    word.strip_prefix('$').is_some_and(|rest| !rest.is_empty() && rest.bytes().all(is_letter))
}

/// `!PASSTHROUGH`, `passthru`: near `!PASSTHRU`, or another word with `!`. `!PASSTHRU` and `!OAUTH` are handled before.
fn is_unknown_word(word: &str) -> bool {
    let bare = word.to_ascii_lowercase().replace(['-', '_'], "");
    let near = ["passthru", "passthrough", "passthough", "passtru", "passthroughs"];
    let known = word.eq_ignore_ascii_case(PASSTHROUGH) || word.eq_ignore_ascii_case("!OAUTH");
    (word.starts_with('!') && !known) || near.contains(&bare.as_str())
}

fn is_placeholder(word: &str) -> bool {
    let lower = word.to_ascii_lowercase();
    let yours = lower.contains("your") && (lower.contains("key") || lower.contains("token"));
    let elided = word.ends_with("...") || lower.ends_with("-xxx") || lower.ends_with("xxxx");
    yours || elided || ["changeme", "change-me", "replace-me", "todo"].contains(&lower.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn real_keys_and_dummy_words_are_accepted() {
        for key in [
            "k",
            "any",
            "ollama",
            "sk-proj-Ab_9",
            "sk-ant-api03-x_y-z==",
            "AIzaSyB-x",
            "gsk_x",
            "id.secret+/=",
            "user:pass",
            "a b\tc",
            "!PASSTHRU",
            "!passthru",
            "x=y",
            "pa$word",
            "bearerless",
            "token",
            "key",
            "token-abc123",
            "key_live_x",
            "sk-key==",
            "a{b}",
            "$2b$10$x",
            "$$",
            "",
        ] {
            assert_eq!(inspect(key), None, "{key}");
        }
    }

    #[test]
    fn what_is_pasted_by_mistake_is_found_in_every_form() {
        for (texts, finding) in [
            (&["\"k\"", "'k'", "`k`", "\"k", "k'", "“k”", "a \"b\"", "\"a b\"", "\"Bearer k\""][..], QUOTES),
            (&["k1,k2", "k1, k2", "k1;k2", "k,", "a b,c"], SEPARATOR),
            (
                &["Bearer k1", "bearer k", "Basic k", "Authorization: Bearer k", "x-api-key: k", "Bearer:k"],
                SCHEME,
            ),
            (
                &[
                    "OPENAI_API_KEY=k",
                    "export OPENAI_API_KEY=k",
                    "HF_TOKEN=k",
                    "openai_api_key=k",
                    "OPENAI_API_KEY = k",
                    "api_key:k",
                    "api_key: k",
                    "x-api-key=k",
                    "key=sk-abc",
                    "token:k",
                ],
                ASSIGNMENT,
            ),
            (&["Token k1", "token k", "ApiKey k", "Api-Key k"], SCHEME),
            (&["{\"key\":\"x\"}", "{key: x}", "{ \"key\": \"x\" }"], OBJECT),
            (&["$key", "$myKey", "a $my_key"], LOWER_REFERENCE),
            (&["$OPENAI_API_KEY", "${KEY}", "${KEY:-x}", "%KEY%", "{{ key }}", "$(cat"], REFERENCE),
            (
                &["!PASSTHROUGH", "!passthrough", "passthrough", "PASSTHRU", "pass-through", "!PASS", "!"],
                NO_SUCH_WORD,
            ),
            (&["<your-key>", "<key>"], ANGLES),
            (
                &["your-api-key-here", "sk-your-openai-key", "YOUR_TOKEN", "sk-...", "changeme", "sk-xxxx"],
                PLACEHOLDER,
            ),
            (&["[\"a\", \"b\"]", "[a b]", "[k]", "[k"], LIST),
            (&["schlüssel", "k\u{7}"], UNREADABLE),
        ] {
            for text in texts {
                assert_eq!(inspect(text), Some(finding), "{text}");
            }
        }
    }
}
