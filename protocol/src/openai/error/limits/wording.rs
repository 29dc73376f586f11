//! Removes from a message everything that a client can influence, and matches its beginning against known shapes.

use super::vocabulary::{BAD_KEY, JOINING, LACK, LIMITING, MONEY, NEUTRAL, OWNERS, RATES, REQUESTING};
use super::wait;

/// The longest message that is read, in bytes; no vendor's message is longer.
const LONGEST: usize = 4 << 10;
/// The shortest name that is removed; a shorter one cannot contain a wording.
const SHORTEST_NAME: usize = 3;
/// Replaces removed text. It is not a letter, so no shape matches across it.
const GAP: char = '\u{fffc}';
const QUOTES: [(char, char); 8] =
    [('"', '"'), ('\'', '\''), ('`', '`'), ('“', '”'), ('‘', '’'), ('«', '»'), ('「', '」'), ('<', '>')];

/// One message in lower case, on one line, without quotations and the model's name.
#[derive(Debug, Default)]
pub(super) struct LimitWording {
    text: String,
    tokens: Vec<Token>,
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    Number(u64),
    /// The end of a sentence.
    Stop,
    Greater,
    /// Removed text, or anything that is not a word.
    Other,
}

impl Token {
    fn word(&self) -> Option<&str> {
        match self {
            Self::Word(word) => Some(word),
            Self::Number(_) | Self::Stop | Self::Greater | Self::Other => None,
        }
    }

    fn is_any(&self, words: &[&str]) -> bool {
        self.word().is_some_and(|word| words.contains(&word))
    }
}

impl LimitWording {
    pub(super) fn new(message: &str, model: &str) -> Self {
        let text = scrubbed(message, model);
        let tokens = tokens(&text);
        Self { text, tokens }
    }

    /// Returns the wait in seconds.
    pub(super) fn wait(&self) -> Option<f64> {
        wait::in_text(&self.text)
    }

    /// Matches "Your credit balance is too low": words for money and for a lack, with neutral words between them.
    pub(super) fn begins_out_of_credit(&self) -> bool {
        const CHINESE: [&str; 5] = ["余额不足", "账户余额不足", "账号余额不足", "账户已欠费", "用户额度不足"];
        let money = |tokens: &[Token]| tokens.first().is_some_and(|first| first.is_any(&MONEY));
        self.begins_with(money) || CHINESE.iter().any(|words| self.text.starts_with(words))
    }

    /// Matches "You exceeded your current quota", "You've hit your usage limit". Some limits per minute begin the same
    /// way.
    pub(super) fn begins_out_of_quota(&self) -> bool {
        self.begins_with(|tokens| {
            tokens.first().is_some_and(|first| first.is_any(&["quota"]))
                || is_pair(tokens, "usage", &["limit", "limits"])
                || is_pair(tokens, "key", &["limit"])
        })
    }

    fn begins_with(&self, noun: impl Fn(&[Token]) -> bool) -> bool {
        let (mut named, mut lacking) = (false, false);
        for (at, token) in self.beginning(&["usage", "quota"], &[&MONEY, &LACK]) {
            named |= noun(&self.tokens[at..]);
            lacking |= token.is_any(&LACK);
        }
        named && lacking
    }

    /// Matches "Incorrect API key provided", "The API key is not valid", "Access denied due to invalid subscription
    /// key".
    pub(super) fn begins_with_key(&self) -> bool {
        let (mut named, mut bad) = (false, false);
        let more = ["apikey", "api-key", "x-api-key", "subscription", "authentication", "fails"];
        for (at, token) in self.beginning(&more, &[&BAD_KEY]) {
            let rest = &self.tokens[at..];
            named |= token.is_any(&more[..3])
                || is_pair(rest, "api", &["key"])
                || is_pair(rest, "subscription", &["key"]);
            let negated = at > 0 && self.tokens[at - 1].is_any(&["not"]);
            bad |= token.is_any(&BAD_KEY) && (negated || !token.is_any(&["valid"]));
        }
        // AWS has the type in a header only.
        (named && bad) || self.text.starts_with("the security token included in the request is")
    }

    pub(super) fn begins_too_large(&self) -> bool {
        let mut words = self.tokens.iter().skip_while(|token| token.is_any(&["the", "this", "your"]));
        words.next().is_some_and(|token| token.is_any(&["payload", "request"]))
            && words
                .find(|token| !token.is_any(&["body", "is", "was"]))
                .is_some_and(|token| token.is_any(&["too"]))
            && words.next().is_some_and(|token| token.is_any(&["big", "large", "long"]))
    }

    /// Whether the message names a limit per minute or per second.
    pub(super) fn names_a_rate(&self) -> bool {
        self.tokens.iter().any(|token| token.is_any(&RATES))
    }

    /// Whether the request has more tokens than each limit that the message names: "Limit 30000, Requested 30601",
    /// "requested up to 65536 tokens, but can only afford 3919", "12000 > 3919".
    pub(super) fn requests_too_much(&self) -> bool {
        let (mut requested, mut limit) = (None, None);
        for (at, token) in self.tokens.iter().enumerate() {
            let &Token::Number(number) = token else { continue };
            match self.counts(at) {
                Some(Quantity::Requested) => requested = requested.max(Some(number)),
                Some(Quantity::Limit) => limit = limit.max(Some(number)),
                None => {}
            }
        }
        // With a limit of 0, no request is small enough.
        requested.zip(limit).is_some_and(|(requested, limit)| limit > 0 && requested > limit)
    }

    fn counts(&self, at: usize) -> Option<Quantity> {
        let (before, after) = (&self.tokens[..at], &self.tokens[at + 1..]);
        // A number of requests is not the size of this request.
        if after.iter().take(2).any(|token| token.is_any(&["request", "requests"])) {
            return None;
        }
        if matches!(after, [Token::Greater, Token::Number(_), ..]) {
            return Some(Quantity::Requested);
        }
        if matches!(before, [.., Token::Number(_), Token::Greater]) {
            return Some(Quantity::Limit);
        }
        match before.iter().rev().take(5).find(|token| !token.is_any(&JOINING)) {
            Some(token) if token.is_any(&LIMITING) => return Some(Quantity::Limit),
            Some(token) if token.is_any(&REQUESTING) => return Some(Quantity::Requested),
            Some(_) | None => {}
        }
        let per = after.iter().take(4).position(|token| token.is_any(&["per"]))?;
        let period = after.get(per + 1)?;
        (period.is_any(&RATES) || period.is_any(&["day", "hour"])).then_some(Quantity::Limit)
    }

    /// Returns the words of the first sentence, up to the first word that occurs in no shape.
    fn beginning<'w>(
        &'w self,
        more: &'w [&'w str],
        shape: &'w [&'w [&'w str]],
    ) -> impl Iterator<Item = (usize, &'w Token)> {
        let fits = move |&(at, token): &(usize, &Token)| match token {
            Token::Number(_) => true,
            Token::Word(_) => {
                let owned = at > 0 && self.tokens[at - 1].is_any(&OWNERS);
                // "5-hour".
                let counted =
                    token.word().is_some_and(|word| word.starts_with(|first: char| first.is_ascii_digit()));
                owned
                    || counted
                    || token.is_any(&NEUTRAL)
                    || token.is_any(more)
                    || shape.iter().any(|words| token.is_any(words))
            }
            Token::Stop | Token::Greater | Token::Other => false,
        };
        self.tokens.iter().enumerate().take_while(fits)
    }
}

#[derive(Clone, Copy)]
enum Quantity {
    Requested,
    Limit,
}

fn is_pair(tokens: &[Token], first: &str, second: &[&str]) -> bool {
    matches!(tokens, [one, two, ..] if one.is_any(&[first]) && two.is_any(second))
}

/// Returns the message in lower case, with a [`GAP`] for each occurrence of the model's name and each quotation.
fn scrubbed(message: &str, model: &str) -> String {
    // Lower-casing ASCII preserves byte offsets.
    let mut text = message.to_ascii_lowercase();
    let model = model.trim().to_ascii_lowercase();
    // Upstreams repeat the name without the provider's name, and without the vendor's.
    let without_provider = model.split_once(':').map(|(_, rest)| rest);
    let without_vendor = model.rsplit_once('/').map(|(_, rest)| rest);
    let plain = without_provider.and_then(|rest| rest.rsplit_once('/')).map(|(_, rest)| rest);
    for name in [Some(&*model), without_provider, without_vendor, plain].into_iter().flatten() {
        if name.len() >= SHORTEST_NAME {
            text = text.replace(name, "\u{fffc}");
        }
    }
    unquoted(&text)
}

/// Returns one line without quotations. Text after an unclosed quotation mark is ignored.
fn unquoted(text: &str) -> String {
    let mut out = String::new();
    let mut closing = None;
    let mut letters = text.chars().peekable();
    let mut before = ' ';
    while let Some(letter) = letters.next() {
        let after = letters.peek().copied().unwrap_or(' ');
        match closing {
            // An apostrophe inside a word is not a quotation mark.
            Some(end) if letter == end && !(end == '\'' && after.is_alphanumeric()) => closing = None,
            Some(_) => {}
            None => match opened(letter, before, after) {
                Some(end) => {
                    closing = Some(end);
                    out.push(GAP);
                }
                None if letter.is_whitespace() && out.ends_with(' ') => {}
                None if letter.is_whitespace() => out.push(' '),
                None => out.push(letter),
            },
        }
        before = letter;
        if out.len() >= LONGEST {
            break;
        }
    }
    out.trim().to_owned()
}

fn opened(letter: char, before: char, after: char) -> Option<char> {
    let (_, end) = QUOTES.iter().find(|(start, _)| *start == letter)?;
    let opens = match letter {
        '\'' | '‘' => !before.is_alphanumeric(),
        // "12000 > 3919" and "a < b" are comparisons.
        '<' => !after.is_whitespace() && after != '=',
        _ => true,
    };
    opens.then_some(*end)
}

fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = vec![];
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        let length = if letter.is_alphanumeric() { word_length(rest) } else { letter.len_utf8() };
        let (word, behind) = rest.split_at(length);
        rest = behind;
        match letter {
            _ if letter.is_alphanumeric() => tokens.push(word_token(word)),
            '>' => tokens.push(Token::Greater),
            '.' | '!' | '?' | ';' if behind.is_empty() || behind.starts_with(' ') => tokens.push(Token::Stop),
            GAP => tokens.push(Token::Other),
            _ => {}
        }
    }
    tokens
}

/// Returns the length of a word: letters and digits, with the characters that can occur between two of them.
fn word_length(text: &str) -> usize {
    let mut length = 0;
    let mut letters = text.char_indices().peekable();
    while let Some((at, letter)) = letters.next() {
        let inside = matches!(letter, '\'' | '’' | '_' | '-' | ',' | '.')
            && letters.peek().is_some_and(|(_, next)| next.is_alphanumeric());
        if !letter.is_alphanumeric() && !inside {
            break;
        }
        length = at + letter.len_utf8();
    }
    length
}

fn word_token(word: &str) -> Token {
    let is_number = word.bytes().all(|byte| byte.is_ascii_digit() || byte == b',');
    if let Some(number) = is_number.then(|| word.replace(',', "").parse().ok()).flatten() {
        return Token::Number(number);
    }
    let contracted = ["'s", "’s", "'ve", "’ve", "'re", "’re"].iter().find_map(|end| word.strip_suffix(end));
    Token::Word(contracted.unwrap_or(word).to_owned())
}
