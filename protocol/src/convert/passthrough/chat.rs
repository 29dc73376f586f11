//! The tap of Chat Completions: it reads a forwarded reply, and removes the usage that only the gateway requested.

use bytes::{Buf as _, Bytes, BytesMut};
use memchr::memmem;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use crate::convert::{CodecForm, PassedBlock, Pushed, ReplyCodec, ReplySummary};
use crate::fault::Fault;
use crate::openai;
use crate::request::UsageAsked;
use crate::sse;
use crate::vocabulary::{StopReason, Usage};

/// Reads one streamed reply.
#[derive(Debug)]
pub struct ChatTap {
    usage_asked: UsageAsked,
    started: bool,
    choices: Choices,
    done: bool,
    /// The last block ended with the CR of an event that was withheld: an LF that follows is withheld, too.
    withholds_line_feed: bool,
    /// The choice whose calls are counted.
    calling: Option<u32>,
    /// Index and id of the call that was counted last.
    counted: Option<Box<str>>,
    summary: ReplySummary,
}

impl ChatTap {
    #[must_use]
    pub fn new(usage_asked: UsageAsked) -> Self {
        Self {
            usage_asked,
            started: false,
            choices: Choices::default(),
            done: false,
            withholds_line_feed: false,
            calling: None,
            counted: None,
            summary: ReplySummary::default(),
        }
    }

    /// Reads a block of complete events and returns the bytes for the client. These are the same bytes, unless the block contains
    /// usage that only the gateway requested, or data after the event that ends the reply.
    pub fn pass(&mut self, mut block: Bytes) -> PassedBlock {
        if std::mem::take(&mut self.withholds_line_feed) && block.starts_with(b"\n") {
            block.advance(1);
        }
        let mut kept: Option<BytesMut> = None;
        let (mut at, mut end) = (0, None);
        for event in sse::events(&block) {
            let raw = event.raw();
            let piece = match event.data() {
                Some(data) => self.read(&data, raw),
                None => ForwardedPart::AsItIs,
            };
            self.withholds_line_feed = matches!(piece, ForwardedPart::Nothing) && raw.ends_with(b"\r");
            let start = kept.as_ref().map_or(at, BytesMut::len);
            // At the first change, all bytes before it are copied.
            match (piece, &mut kept) {
                (ForwardedPart::AsItIs, None) => {}
                (ForwardedPart::AsItIs, Some(kept)) => kept.extend_from_slice(raw),
                (piece, kept) => {
                    let kept = kept.get_or_insert_with(|| BytesMut::from(&block[..at]));
                    let (before, behind) = match piece {
                        ForwardedPart::Without(span) => span,
                        // Line ends before this event belong to the previous event.
                        ForwardedPart::Nothing | ForwardedPart::AsItIs => {
                            (event.leading_line_ends(), raw.len())
                        }
                    };
                    kept.extend_from_slice(&raw[..before]);
                    kept.extend_from_slice(&raw[behind..]);
                }
            }
            at += raw.len();
            if self.ended() {
                end = Some(start);
                break;
            }
        }
        self.withholds_line_feed &= at == block.len();
        let is_cut = end.is_some() && at < block.len();
        if is_cut {
            block.truncate(at);
        } else if let Some(kept) = &mut kept {
            // Blank lines after the last event.
            kept.extend_from_slice(&block[at..]);
        }
        PassedBlock { block: kept.map_or(block, BytesMut::freeze), end, is_cut }
    }

    /// Whether an event with content, however empty, has been seen.
    #[must_use]
    pub fn started(&self) -> bool {
        self.started
    }

    /// Whether the reply has ended, with `[DONE]` or an error.
    #[must_use]
    pub fn ended(&self) -> bool {
        self.done || self.summary.fault.is_some()
    }

    /// Whether `[DONE]` has been seen.
    #[must_use]
    pub fn done(&self) -> bool {
        self.done
    }

    /// Whether every choice has its finish reason: only the usage and the terminator can follow.
    #[must_use]
    pub fn finished(&self) -> bool {
        self.choices.all_finished() || self.ended()
    }

    #[must_use]
    pub fn summary(&self) -> &ReplySummary {
        &self.summary
    }

    fn read(&mut self, data: &[u8], raw: &[u8]) -> ForwardedPart {
        if data.trim_ascii() == b"[DONE]" {
            self.started = true;
            self.done = true;
            return ForwardedPart::AsItIs;
        }
        self.started |= !data.trim_ascii().is_empty();
        if says_something(data) {
            let Ok(chunk) = serde_json::from_slice::<TappedChunk>(data) else { return ForwardedPart::AsItIs };
            self.note(&chunk, data);
            if self.summary.fault.is_some() {
                return ForwardedPart::AsItIs;
            }
            if chunk.usage.is_some() && chunk.choices.is_empty() && self.usage_asked == UsageAsked::ByGateway
            {
                return ForwardedPart::Nothing;
            }
        }
        match self.usage_asked {
            UsageAsked::ByClient => ForwardedPart::AsItIs,
            UsageAsked::ByGateway => null_usage(raw).map_or(ForwardedPart::AsItIs, ForwardedPart::Without),
        }
    }

    fn note(&mut self, chunk: &TappedChunk, data: &[u8]) {
        if let Ok(Some(said)) = openai::stream::Chunk::read(data.trim_ascii()) {
            self.summary.usage = said.usage().or(self.summary.usage);
            self.summary.reported.set_web_searches(said.searches());
            self.summary.reported.cost = said.reported_cost().or(self.summary.reported.cost);
            self.summary.fault = said.fault(data).or(self.summary.fault.take());
            if self.summary.fault.is_none() {
                self.summary.stop_reason = self.summary.stop_reason.or_else(|| stop_reason(&said));
            }
        }
        for (at, choice) in chunk.choices.iter().enumerate() {
            self.choices.note(choice);
            self.count_calls(choice.index.unwrap_or_else(|| u32::try_from(at).unwrap_or(u32::MAX)), choice);
        }
    }

    /// Of several choices, the first with a call counts.
    fn count_calls(&mut self, index: u32, choice: &TappedChoice) {
        let Some(said) = choice.delta.iter().chain(&choice.message).find(|said| said.calls_something())
        else {
            return;
        };
        if *self.calling.get_or_insert(index) != index {
            return;
        }
        said.tool_calls.iter().flatten().for_each(|call| self.count(call));
        let old = said.function_call.as_ref().and_then(|function| function.name.as_ref());
        self.summary.tool_calls += u32::from(old.is_some());
    }

    fn count(&mut self, call: &CallDelta) {
        let name = call.function.as_ref().and_then(|function| function.name.as_deref());
        let id = call.id.as_ref().and_then(Value::as_str).filter(|id| !matches!(*id, "" | "null"));
        let key = id.map(|id| format!("{:?} {id}", call.index).into_boxed_str());
        // Some vendors repeat name and id with every piece.
        let is_known = key.is_some() && key == self.counted;
        if name.is_some_and(|name| !name.is_empty()) && !is_known {
            self.summary.tool_calls += 1;
            self.counted = key;
        }
    }
}

/// The stop reason of the first choice that ends. An unknown one counts as the end of a turn.
fn stop_reason(said: &openai::stream::Chunk<'_>) -> Option<StopReason> {
    let word = said.choices().find_map(|choice| choice.finish_reason()?.decode())?;
    Some(StopReason::from_finish_reason(&word).unwrap_or(StopReason::EndTurn))
}

/// The choices that have begun, and those with a finish reason. The first choice always counts as begun.
#[derive(Debug, Default)]
struct Choices {
    begun: u64,
    finished: u64,
}

impl Choices {
    fn note(&mut self, choice: &TappedChoice) {
        // OpenAI allows 128 choices; those beyond 63 share one bit.
        let bit = 1 << choice.index.unwrap_or(0).min(63);
        self.begun |= bit;
        if choice.finish_reason.is_some() {
            self.finished |= bit;
        }
    }

    fn all_finished(&self) -> bool {
        self.finished != 0 && self.begun & !self.finished == 0
    }
}

impl ReplyCodec for ChatTap {
    fn push(&mut self, block: Bytes, _out: &mut BytesMut) -> Pushed {
        Pushed::Passed(self.pass(block))
    }

    fn finish(&mut self, out: &mut BytesMut) -> ReplySummary {
        if self.ended() {
            return self.summary.clone();
        }
        if self.finished() {
            out.extend_from_slice(openai::error::DONE);
            return self.summary.clone();
        }
        self.fail(Fault::cut(), out)
    }

    fn fail(&mut self, fault: Fault, out: &mut BytesMut) -> ReplySummary {
        openai::error::event(fault.kind, &fault.message, out);
        ReplySummary { fault: Some(fault), ..self.summary.clone() }
    }

    fn started(&self) -> bool {
        self.started
    }

    fn finishing(&self) -> bool {
        self.finished()
    }

    fn passed_error(&self) -> Option<Fault> {
        self.summary.fault.clone()
    }

    fn counted(&self) -> (Usage, u32) {
        (self.summary.usage.unwrap_or_default(), self.summary.tool_calls)
    }

    fn form(&self) -> CodecForm {
        CodecForm::Passthrough
    }
}

/// The summary of a whole completion, or of an error object. Nothing counts if the object cannot be parsed.
#[must_use]
pub fn summary_of_completion(body: &[u8]) -> ReplySummary {
    parsed_completion(body).unwrap_or_default()
}

/// The same summary; `None` if the object cannot be parsed. What can be parsed is complete JSON.
#[must_use]
pub fn parsed_completion(body: &[u8]) -> Option<ReplySummary> {
    let chunk: TappedChunk = serde_json::from_slice(body).ok()?;
    let mut tap = ChatTap::new(UsageAsked::ByClient);
    tap.note(&chunk, body);
    Some(tap.summary)
}

/// Whether a chunk may contain a member that the tap reads. Most chunks contain only `"finish_reason":null` and `"usage":null`.
fn says_something(data: &[u8]) -> bool {
    let has = |word: &[u8]| memmem::find(data, word).is_some();
    let told = |name: &[u8], null: &[u8]| has(name) && !has(null);
    told(b"\"usage\"", b"\"usage\":null")
        || told(b"\"finish_reason\"", b"\"finish_reason\":null")
        || has(b"\"error\"")
        || has(b"\"tool_calls\"")
        || has(b"\"function_call\"")
        || names_a_later_one(data)
}

/// Whether a chunk contains an index other than 0.
fn names_a_later_one(data: &[u8]) -> bool {
    const INDEX: &[u8] = b"\"index\":";
    memmem::find_iter(data, INDEX).any(|at| {
        let value = data[at + INDEX.len()..].trim_ascii_start();
        value.first().is_some_and(|&digit| digit != b'0')
    })
}

/// The part of an event that is forwarded.
enum ForwardedPart {
    AsItIs,
    Nothing,
    /// All bytes except this span.
    Without((usize, usize)),
}

/// The place of `"usage":null` in an event, with one adjacent comma. Inside a JSON string the quotes would be escaped, so
/// that the comma or brace before them means a member.
fn null_usage(raw: &[u8]) -> Option<(usize, usize)> {
    memmem::find_iter(raw, b"\"usage\"").find_map(|at| null_usage_at(raw, at))
}

/// The number of objects and arrays that are open at `at`.
fn depth(raw: &[u8], at: usize) -> usize {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for &byte in &raw[..at] {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_string,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => depth += 1,
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    depth
}

fn null_usage_at(raw: &[u8], at: usize) -> Option<(usize, usize)> {
    let mut end = at + b"\"usage\"".len();
    let spaces =
        |from: usize| from + raw[from..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    end = spaces(end);
    if raw.get(end) != Some(&b':') {
        return None;
    }
    end = spaces(end + 1);
    if !raw[end..].starts_with(b"null") || depth(raw, at) != 1 {
        return None;
    }
    end += b"null".len();
    let before = raw[..at].iter().rposition(|byte| !byte.is_ascii_whitespace())?;
    match raw[before] {
        b',' => Some((before, end)),
        b'{' => {
            let next = spaces(end);
            Some((at, if raw.get(next) == Some(&b',') { next + 1 } else { end }))
        }
        _ => None,
    }
}

#[derive(Deserialize)]
struct TappedChunk {
    #[serde(default, deserialize_with = "or_empty")]
    choices: Vec<TappedChoice>,
    usage: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct TappedChoice {
    index: Option<u32>,
    finish_reason: Option<IgnoredAny>,
    delta: Option<TappedDelta>,
    message: Option<TappedDelta>,
}

#[derive(Deserialize)]
struct TappedDelta {
    tool_calls: Option<Vec<CallDelta>>,
    /// From before parallel calls existed.
    function_call: Option<FunctionDelta>,
}

impl TappedDelta {
    fn calls_something(&self) -> bool {
        self.tool_calls.as_ref().is_some_and(|calls| !calls.is_empty()) || self.function_call.is_some()
    }
}

#[derive(Deserialize)]
struct CallDelta {
    index: Option<Value>,
    id: Option<Value>,
    function: Option<FunctionDelta>,
}

#[derive(Deserialize)]
struct FunctionDelta {
    name: Option<String>,
}

fn or_empty<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<TappedChoice>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocabulary::ErrorKind;

    const ROLE: &str = "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\"},\"finish_reason\":null}],\"usage\":null}\n\n";
    const TEXT: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\",\\\"usage\\\":null\"}}],\"usage\" : null,\"x\":1}\n\n";
    const FINISH: &str =
        "data: {\"usage\":null,\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
    const USAGE: &str = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":3,\"prompt_tokens_details\":{\"cached_tokens\":4}}}\n\n";
    const DONE: &str = "data: [DONE]\n\n";

    fn passed(usage_asked: UsageAsked, blocks: &[&str]) -> (String, ChatTap) {
        let mut tap = ChatTap::new(usage_asked);
        let passed = blocks.iter().map(|block| tap.pass(Bytes::copy_from_slice(block.as_bytes())).block);
        let text = passed.map(|block| String::from_utf8(block.to_vec()).unwrap()).collect();
        (text, tap)
    }

    #[test]
    fn a_client_that_asked_gets_every_byte() {
        let all = [ROLE, TEXT, FINISH, USAGE, DONE].concat();

        let (text, tap) = passed(UsageAsked::ByClient, &[&all]);

        assert_eq!(text, all);
        assert_eq!(
            tap.summary().usage.unwrap(),
            Usage { input: 6, output: 3, cache_read: 4, cache_creation: 0, ..Usage::default() }
        );
        assert!(tap.ended());
    }

    #[test]
    fn what_only_the_gateway_asked_for_is_invisible() {
        let expected = [
            ROLE.replace(",\"usage\":null", ""),
            TEXT.replace(",\"usage\" : null", ""),
            FINISH.replace("\"usage\":null,", ""),
            DONE.to_owned(),
        ]
        .concat();

        for blocks in [
            vec![[ROLE, TEXT, FINISH, USAGE, DONE].concat()],
            [ROLE, TEXT, FINISH, USAGE, DONE].map(str::to_owned).to_vec(),
        ] {
            let blocks: Vec<_> = blocks.iter().map(String::as_str).collect();
            let (text, tap) = passed(UsageAsked::ByGateway, &blocks);
            assert_eq!(text, expected);
            assert_eq!(tap.summary().usage.unwrap().output, 3);
        }
    }

    #[test]
    fn line_ends_around_what_is_withheld_stay() {
        let blocks = ["data: {\"a\":1}\r\n\r", &format!("\n{USAGE}"), "data: {\"usage\":null,\"b\":1}\n\n\n"];

        let (text, _) = passed(UsageAsked::ByGateway, &blocks);

        assert_eq!(text, "data: {\"a\":1}\r\n\r\ndata: {\"b\":1}\n\n\n");
        assert_eq!(passed(UsageAsked::ByGateway, &[&blocks.concat()]).0, text);
    }

    #[test]
    fn what_is_withheld_takes_its_last_line_feed_along() {
        let usage = USAGE.replace('\n', "\r\n");
        let (front, back) = usage.split_at(usage.len() - 1);

        assert_eq!(passed(UsageAsked::ByGateway, &[front, back, "\n", DONE]).0, format!("\n{DONE}"));
    }

    #[test]
    fn comments_and_events_of_other_kinds_pass() {
        let odd = ": OPENROUTER PROCESSING\n\nevent: x\ndata: {\"y\":1}\n\n";

        let (text, tap) = passed(UsageAsked::ByGateway, &[odd]);

        assert_eq!(text, odd);
        assert!(tap.started() && !tap.finished());
        assert!(!passed(UsageAsked::ByGateway, &[": hello\n\n"]).1.started());
    }

    #[test]
    fn an_error_ends_a_reply() {
        let error = "data: {\"error\":{\"message\":\"busy\",\"code\":429}}\n\n";

        let (text, tap) = passed(UsageAsked::ByGateway, &[error]);

        assert_eq!(text, error);
        assert_eq!(tap.summary().fault, Some(Fault::reported(ErrorKind::RateLimit, "busy".to_owned())));
        assert!(tap.ended());
    }

    #[test]
    fn an_error_that_comes_with_a_usage_is_not_withheld() {
        let error =
            "data: {\"error\":{\"message\":\"busy\"},\"choices\":[],\"usage\":{\"prompt_tokens\":1}}\n\n";

        assert_eq!(passed(UsageAsked::ByGateway, &[error]).0, error);
    }

    #[test]
    fn nothing_behind_the_end_is_part_of_a_reply() {
        let error = "data: {\"error\":{\"message\":\"busy\",\"code\":429}}\n\n";
        for last in [DONE, error] {
            for usage_asked in [UsageAsked::ByClient, UsageAsked::ByGateway] {
                let block = Bytes::from([ROLE, last, TEXT, DONE].concat());
                let passed = ChatTap::new(usage_asked).pass(block);
                let end = passed.end.unwrap();
                assert_eq!(passed.block[end..], *last.as_bytes());
            }
        }
    }

    #[test]
    fn calls_are_counted_once_each() {
        let calls = "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"function\":{\"name\":\"a\"}},{\"function\":{\"name\":\"b\",\"arguments\":\"\"}}]}}]}\n\ndata: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"function\":{\"arguments\":\"{}\"}}]}}]}\n\n";

        assert_eq!(passed(UsageAsked::ByGateway, &[calls]).1.summary().tool_calls, 2);
        let whole = br#"{"choices":[{"message":{"tool_calls":[{"function":{"name":"a"}}]},"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":2,"completion_tokens":1.0}}"#;
        let summary = summary_of_completion(whole);
        assert_eq!(
            (summary.tool_calls, summary.usage.unwrap().input, summary.usage.unwrap().output),
            (1, 2, 1)
        );
    }
}
