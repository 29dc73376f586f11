//! Searches text that is about to leave the process for secrets: for every key of this process's lifetime at once, in
//! the forms in which an upstream may echo it.

use std::cmp::Reverse;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use aho_corasick::{AhoCorasick, Input, MatchKind};
use memchr::memmem;

use super::{ApiKey, cut_off, encoded, shape};

/// Replaces a key in a text.
const REDACTED: &str = "[key]";
/// Replaces a text from which a key cannot be cut out.
const WITHHELD: &str = "[a text that contains a key was withheld]";
/// The most keys whose base64 forms are searched for; each key has six forms.
const MAX_ENCODED_KEYS: usize = 500;
/// The most layers of escapes that are undone: JSON inside JSON inside JSON.
const MAX_LAYERS: usize = 3;

/// All keys that must not leave the process in a text. The search is built once; cloning is cheap.
#[derive(Clone)]
pub struct Secrets {
    keys: Arc<[ApiKey]>,
    known: Option<Arc<AhoCorasick>>,
    /// The same keys in base64, unless there are too many; in that case texts are decoded instead.
    encoded: Option<Arc<AhoCorasick>>,
    /// The keys of one request, which need not be in the configuration. Credentials of AWS have two secrets.
    own: [Option<ApiKey>; 2],
    /// The length of the shortest key that is searched for.
    shortest: usize,
}

/// Which occurrences of a key count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MatchScope {
    /// Occurrences that are not part of a longer word: `token-1` does not match in `token-10`.
    WholeWord,
    Anywhere,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Printing the search itself would print the keys.
        let known = self.known.as_ref().map_or(0, |search| search.patterns_len());
        write!(f, "Secrets({known})")
    }
}

impl Secrets {
    /// Skips keys that are too short or too common to distinguish from ordinary text.
    pub fn new(keys: impl IntoIterator<Item = ApiKey>) -> Self {
        let keys: Vec<ApiKey> = keys.into_iter().filter(|key| shape::is_distinctive(key.expose())).collect();
        let shortest = keys.iter().map(|key| key.expose().len()).min().unwrap_or(usize::MAX);
        // Even a search for no patterns takes time to build.
        let search = (!keys.is_empty()).then(|| {
            AhoCorasick::builder()
                .match_kind(MatchKind::LeftmostLongest)
                .build(keys.iter().map(ApiKey::expose))
        });
        // Building fails only beyond 2^31 states, which the bound on keys does not allow.
        let known = search.and_then(Result::ok).map(Arc::new);
        let forms = keys.iter().flat_map(|key| encoded::base64_forms(key.expose().as_bytes()));
        let is_few = (1..=MAX_ENCODED_KEYS).contains(&keys.len());
        let encoded = is_few.then(|| AhoCorasick::new(forms).ok()).flatten().map(Arc::new);
        Self { keys: keys.into(), known, encoded, own: [None, None], shortest }
    }

    /// These secrets and a key of one request. Of more than two such keys, the last two count.
    #[must_use]
    pub fn with(&self, key: &ApiKey) -> Self {
        let text = key.expose();
        let known = self.known.as_ref().and_then(|search| search.find(text));
        if known.is_some_and(|found| found.range() == (0..text.len())) || !shape::is_distinctive(text) {
            return self.clone();
        }
        let own = [Some(key.clone()), self.own[0].clone()];
        Self { own, shortest: self.shortest.min(text.len()), ..self.clone() }
    }

    /// Whether the text contains a key as a whole word, plain or encoded.
    pub fn found_in(&self, text: &[u8]) -> bool {
        self.found(text, MatchScope::WholeWord)
    }

    /// Like [`Self::found_in`], for the value of a header: an occurrence inside a longer word counts as well.
    pub fn found_in_header(&self, value: &[u8]) -> bool {
        self.found(value, MatchScope::Anywhere)
    }

    /// Like [`Self::found_in`], without the encoded forms. It is fast enough for whole replies.
    pub fn found_plainly_in(&self, text: &[u8]) -> bool {
        text.len() >= self.shortest && self.next(text, 0, MatchScope::WholeWord).is_some()
    }

    /// The text without any of the keys.
    pub fn scrub(&self, text: String) -> String {
        let mut text = self.without_whole(text);
        let keys = self.keys.iter().chain(self.own.iter().flatten()).map(ApiKey::expose);
        if let Some(start) = cut_off::start(&text, keys) {
            text.replace_range(start.., &format!("{REDACTED}…"));
        }
        text
    }

    fn without_whole(&self, text: String) -> String {
        if !self.found_in(text.as_bytes()) {
            return text;
        }
        let mut bytes = self.cut(text.as_bytes());
        for _ in 0..MAX_LAYERS {
            if !self.found_in(&bytes) {
                break;
            }
            // A key remains in an encoded form: continue with the decoded text.
            let decoded = encoded::unescaped(&bytes).or_else(|| encoded::percent_decoded(&bytes));
            let Some(decoded) = decoded else { break };
            bytes = self.cut(&decoded);
        }
        if self.found_in(&bytes) {
            return WITHHELD.to_owned();
        }
        String::from_utf8(bytes)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
    }

    fn found(&self, text: &[u8], scope: MatchScope) -> bool {
        if text.len() < self.shortest {
            return false;
        }
        if self.next(text, 0, scope).is_some() || self.in_base64(text) {
            return true;
        }
        let in_decoded = |text: &[u8]| {
            encoded::percent_decoded(text)
                .is_some_and(|text| self.next(&text, 0, scope).is_some() || self.in_base64(&text))
        };
        if in_decoded(text) {
            return true;
        }
        let mut layer = encoded::unescaped(text);
        for _ in 0..MAX_LAYERS {
            let Some(plain) = layer else { return false };
            if self.next(&plain, 0, scope).is_some() || self.in_base64(&plain) || in_decoded(&plain) {
                return true;
            }
            layer = encoded::unescaped(&plain);
        }
        false
    }

    fn in_base64(&self, text: &[u8]) -> bool {
        match &self.encoded {
            Some(search) if search.is_match(text) => true,
            Some(_) if self.own[0].is_none() => false,
            Some(_) | None => {
                encoded::base64_runs(text, self.shortest).any(|run| self.is_base64_of_one(&text[run]))
            }
        }
    }

    fn is_base64_of_one(&self, run: &[u8]) -> bool {
        encoded::base64_decoded(run).any(|decoded| self.next(&decoded, 0, MatchScope::Anywhere).is_some())
    }

    /// The text without the keys that appear in plain form; every other byte is unchanged.
    pub fn without_plain(&self, text: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(text.len());
        let mut from = 0;
        while let Some(found) = self.next(text, from, MatchScope::WholeWord) {
            out.extend_from_slice(&text[from..found.start]);
            out.extend_from_slice(REDACTED.as_bytes());
            from = found.end;
        }
        out.extend_from_slice(&text[from..]);
        out
    }

    /// The text without the keys in plain form and in base64.
    fn cut(&self, text: &[u8]) -> Vec<u8> {
        let mut out = self.without_plain(text);
        let runs = encoded::base64_runs(&out, self.shortest);
        let runs: Vec<_> = runs.filter(|run| self.is_base64_of_one(&out[run.clone()])).collect();
        for run in runs.into_iter().rev() {
            out.splice(run, REDACTED.bytes());
        }
        out
    }

    /// The first occurrence at or after `from`.
    fn next(&self, text: &[u8], from: usize, scope: MatchScope) -> Option<Range<usize>> {
        let known = self.known.as_ref().and_then(|search| {
            first(text, from, scope, |at| {
                search.find(Input::new(text).span(at..text.len())).map(|found| found.range())
            })
        });
        let own = self.own.iter().flatten().filter_map(|key| {
            let key = key.expose().as_bytes();
            first(text, from, scope, |at| {
                memmem::find(&text[at..], key).map(|found| at + found..at + found + key.len())
            })
        });
        // Of two that start together, the longer one.
        known.into_iter().chain(own).min_by_key(|found| (found.start, Reverse(found.end)))
    }
}

fn first(
    text: &[u8],
    from: usize,
    scope: MatchScope,
    find: impl Fn(usize) -> Option<Range<usize>>,
) -> Option<Range<usize>> {
    let mut at = from;
    while at < text.len() {
        let found = find(at)?;
        if scope == MatchScope::Anywhere || is_whole_word(text, &found) {
            return Some(found);
        }
        at = found.start + 1;
    }
    None
}

/// Whether the match is not part of a longer word.
fn is_whole_word(text: &[u8], found: &Range<usize>) -> bool {
    let is_word = |at: usize| text.get(at).is_some_and(|&byte| is_word_byte(byte));
    let before = &text[..found.start];
    let continues_before = is_word(found.start)
        && before.last().is_some_and(|&byte| is_word_byte(byte))
        && !ends_in_escape(before);
    let continues_after = is_word(found.end - 1) && is_word(found.end);
    !continues_before && !continues_after
}

fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

/// Whether a text ends in an escape sequence for one character: `\n`, `\u0022`, `%20`.
fn ends_in_escape(text: &[u8]) -> bool {
    let hex = |digits: &[u8]| digits.iter().all(u8::is_ascii_hexdigit);
    match text {
        [.., b'\\', b'n' | b'r' | b't' | b'b' | b'f'] => true,
        [.., b'\\', b'u', one, two, three, four] => hex(&[*one, *two, *three, *four]),
        [.., b'%', one, two] => hex(&[*one, *two]),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    use proptest::prelude::*;

    use super::*;

    const ONE: &str = "sk-one-0123456789";
    const TWO: &str = "sk-two-0123456789";

    fn secrets() -> Secrets {
        Secrets::new([ApiKey::new(ONE), ApiKey::new(TWO)])
    }

    #[test]
    fn keys_are_taken_out_of_texts() {
        let secrets = secrets();
        assert!(secrets.found_in(format!("{{\"k\":\"{TWO}\"}}").as_bytes()));
        assert_eq!(secrets.scrub(format!("{ONE}, {TWO}.")), "[key], [key].");
        assert_eq!(secrets.scrub(format!("Bearer {ONE}")), "Bearer [key]");
        assert_eq!(secrets.scrub("none".into()), "none");
        assert_eq!(secrets.scrub("sk-one...789".into()), "sk-one...789");
    }

    #[test]
    fn dummy_keys_are_left_in_every_text() {
        let secrets = Secrets::new(["ollama", "none", "x", "key", "max", "lm-studio"].map(ApiKey::new));
        let secrets = secrets.with(&ApiKey::new("pull"));
        for text in ["try pulling with ollama pull llama3", "max_tokens: none", "lm-studio has no key x"] {
            assert!(!secrets.found_in(text.as_bytes()) && !secrets.found_in_header(text.as_bytes()));
            assert_eq!(secrets.scrub(text.into()), text);
        }
        assert!(!Secrets::new([]).found_in(b"anything"));
    }

    #[test]
    fn a_part_of_a_longer_word_counts_only_in_a_header() {
        let secrets = secrets();
        for text in [format!("{ONE}0"), format!("x{ONE}"), format!("_{ONE}_"), format!("{ONE}-{TWO}-")] {
            assert!(!secrets.found_in(text.as_bytes()), "{text}");
            assert!(secrets.found_in_header(text.as_bytes()), "{text}");
            assert_eq!(secrets.scrub(text.clone()), text);
        }
        let text = format!("x{ONE} {ONE}");
        assert_eq!(secrets.scrub(text), format!("x{ONE} [key]"));
    }

    #[test]
    fn the_longest_matching_key_is_removed() {
        let secrets = Secrets::new([ApiKey::new("token-0001"), ApiKey::new("token-0001.abcd")]);
        assert_eq!(secrets.scrub("token-0001.abcd token-0001".into()), "[key] [key]");
    }

    #[test]
    fn the_key_of_one_request_is_found_as_well() {
        let secrets = secrets().with(&ApiKey::new("client-key-77"));
        assert_eq!(secrets.scrub(format!("client-key-77 {ONE} client-key-77")), "[key] [key] [key]");
        assert!(secrets.found_in(b"client-key-77") && secrets.found_plainly_in(b"client-key-77"));
    }

    /// Requirement: credentials of AWS have two secrets, and neither leaves in a text.
    #[test]
    fn two_keys_of_one_request_are_found() {
        let (secret, token) = ("wJalrXUtnFEMI/K7MDENG", "FwoGZXIvYXdzEsession+/=9");
        let both = secrets().with(&ApiKey::new(secret)).with(&ApiKey::new(token));
        assert_eq!(both.scrub(format!("{token} {secret} {ONE} {token}")), "[key] [key] [key] [key]");
        let encoded = [secret, token].map(|key| STANDARD.encode(key)).join(" ");
        assert_eq!(both.scrub(encoded), "[key] [key]");
    }

    #[test]
    fn encoded_keys_are_removed_and_the_rest_stays_readable() {
        let key = "p@ss/w\"rd-0123456789";
        let secrets = Secrets::new([ApiKey::new(key)]);
        let json = |text: &str| format!("{text:?}");
        let percent = utf8_percent_encode(key, NON_ALPHANUMERIC).to_string();
        for text in [
            json(key),
            json(&json(key)),
            key.replace('/', "\\/").replace('-', "\\u002d"),
            format!("see /login?key={percent}&x=1"),
            format!("Basic {}", STANDARD.encode(format!("user:{key}"))),
            format!("authorization: {}", URL_SAFE_NO_PAD.encode(format!(":{key}:"))),
            format!("{{\"a\":\"line\\n{}\"}}", percent),
        ] {
            assert!(secrets.found_in(text.as_bytes()), "{text}");
            let scrubbed = secrets.scrub(text.clone());
            assert!(scrubbed.contains(REDACTED), "{text}: {scrubbed}");
            assert!(!secrets.found_in(scrubbed.as_bytes()), "{scrubbed}");
        }
    }

    #[test]
    fn an_escape_before_a_key_does_not_hide_it() {
        for before in ["\\n", "\\t", "\\u0022", "%20", "key%3D", "\\\"", "é"] {
            assert!(secrets().found_in(format!("a{before}{ONE}").as_bytes()), "{before}");
        }
    }

    #[test]
    fn ten_thousand_keys_are_one_search() {
        let key = |number: u32| format!("sk-{number:08x}-{:032x}", u128::from(number) << 64);
        let secrets = Secrets::new((0..10_000).map(|number| ApiKey::new(key(number))));
        let text = format!("{} {} {}", "lorem sk- ipsum ".repeat(10_000), key(9_999), key(10_000));
        assert!(secrets.found_in(text.as_bytes()));
        let scrubbed = secrets.scrub(text);
        assert!(scrubbed.ends_with(&format!("[key] {}", key(10_000))));
    }

    #[test]
    fn debug_output_contains_no_key() {
        assert_eq!(format!("{:?}", secrets()), "Secrets(2)");
    }

    proptest! {
        #[test]
        fn no_text_keeps_a_key_in_any_form(
            before in "[ -~\\\\%]{0,40}",
            behind in "[ -~\\\\%]{0,40}",
            key in "sk-[a-z]{4}[!-~]{0,12}[0-9]{6}",
            form in 0..5_u8,
        ) {
            let secrets = Secrets::new([ApiKey::new(key.as_str())]);
            let carried = match form {
                0 => key.clone(),
                1 => format!("{key:?}"),
                2 => utf8_percent_encode(&key, NON_ALPHANUMERIC).to_string(),
                3 => STANDARD.encode(format!("{before}{key}")),
                _ => key.replace('-', "\\u002d"),
            };
            let text = format!("{before} {carried} {behind}");
            let scrubbed = secrets.scrub(text);
            prop_assert!(!scrubbed.contains(&key), "{}", scrubbed);
            prop_assert!(!secrets.found_in(scrubbed.as_bytes()), "{}", scrubbed);
        }

        #[test]
        fn no_bytes_break_the_search(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let secrets = secrets();
            let found = secrets.found_in(&bytes) || secrets.found_in_header(&bytes);
            prop_assert!(found || secrets.scrub(text.clone()) == text);
        }
    }
}
