//! The tap of the Responses API: it reads a forwarded reply.

use bytes::{Bytes, BytesMut};
use memchr::{memchr2, memmem};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::convert::{CodecForm, PassedBlock, Pushed, ReplyCodec, ReplySummary};
use crate::fault::Fault;
use crate::json::{self, Literal};
use crate::openai;
use crate::openai::error::FailedResponse;
use crate::openai::responses_item::{ResponseItem, ResponseItemKind};
use crate::openai::responses_stream::{EventKind, ReplyManner, ResponseObject, ResponsesEvent};
use crate::sse;
use crate::vocabulary::{StopReason, Usage};

/// Reads one streamed reply.
#[derive(Debug, Default)]
pub struct ResponsesTap {
    started: bool,
    /// Whether an event other than an announcement or an error has come.
    has_output: bool,
    stage: TapStage,
    items: ItemCounts,
    summary: ReplySummary,
    /// The last block with numbered events. An event of the gateway's own continues its numbers.
    numbered: Bytes,
    begun: Begun,
}

/// What the first events say about the response. An event of the gateway's own repeats it.
#[derive(Debug)]
enum Begun {
    /// Not read yet: so many events can still have it.
    Awaited(u8),
    Known(Box<BegunResponse>),
    Unknown,
}

impl Default for Begun {
    fn default() -> Self {
        Self::Awaited(4)
    }
}

/// The members of a response that a failure repeats.
#[derive(Debug)]
struct BegunResponse {
    /// Inner text.
    id: String,
    /// Inner text.
    model: String,
    created_at: u64,
}

impl BegunResponse {
    /// The longest id and model to keep, in bytes.
    const LONGEST: usize = 256;

    fn read(data: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Event<'a> {
            #[serde(borrow)]
            response: Response<'a>,
        }
        #[derive(Deserialize)]
        struct Response<'a> {
            #[serde(borrow)]
            id: Literal<'a>,
            #[serde(borrow)]
            model: Option<&'a RawValue>,
            #[serde(borrow)]
            created_at: Option<&'a RawValue>,
        }
        let Event { response: Response { id, model, created_at } } = serde_json::from_slice(data).ok()?;
        let is_short = |text: &&str| text.len() <= Self::LONGEST;
        let model = model.and_then(Literal::of).map(Literal::inner).filter(is_short);
        Some(Self {
            id: Some(id.inner()).filter(is_short).filter(|id| !id.is_empty())?.to_owned(),
            model: model.unwrap_or_default().to_owned(),
            created_at: json::read_count(created_at).unwrap_or_default(),
        })
    }
}

/// The state of a reply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum TapStage {
    #[default]
    Running,
    /// The last event of a reply has come, complete or not.
    Over,
    /// An error outside of a response object has come.
    BareError,
}

/// What the items of a reply contain.
#[derive(Clone, Copy, Debug, Default)]
struct ItemCounts {
    calls: u32,
    searches: u64,
    manner: ReplyManner,
}

impl ItemCounts {
    fn take(&mut self, item: &ResponseItem<'_>) {
        self.calls += u32::from(is_run_by_client(item.kind()));
        self.searches += u64::from(item.searches());
        if item.refuses() {
            self.manner = ReplyManner::Refuses;
        }
    }

    /// The counts of the events and those of the final list, of which either can be empty.
    fn merge(&mut self, listed: Self) {
        self.calls = self.calls.max(listed.calls);
        self.searches = self.searches.max(listed.searches);
        if listed.manner == ReplyManner::Refuses {
            self.manner = ReplyManner::Refuses;
        }
    }
}

fn is_run_by_client(kind: ResponseItemKind) -> bool {
    match kind {
        ResponseItemKind::FunctionCall | ResponseItemKind::CustomCall | ResponseItemKind::ClientCall => true,
        ResponseItemKind::Message
        | ResponseItemKind::Reasoning
        | ResponseItemKind::WebSearch
        | ResponseItemKind::FoundPages
        | ResponseItemKind::Other => false,
    }
}

impl ResponsesTap {
    /// For one reply.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads a block of complete events and returns the bytes for the client: the same bytes, up to the event that ends the reply.
    pub fn pass(&mut self, mut block: Bytes) -> PassedBlock {
        let (mut at, mut end) = (0, None);
        for event in sse::events(&block) {
            if let Some(data) = event.data() {
                self.read(&data);
            }
            let start = at;
            at += event.raw().len();
            if self.ended() {
                end = Some(start);
                break;
            }
        }
        let is_cut = end.is_some() && at < block.len();
        if is_cut {
            block.truncate(at);
        }
        if memmem::find(&block, NUMBER).is_some() {
            self.numbered = block.clone();
        }
        PassedBlock { block, end, is_cut }
    }

    /// The number of the next event.
    fn next_number(&self) -> u64 {
        #[derive(Deserialize)]
        struct Numbered {
            sequence_number: u64,
        }
        let data = sse::events(&self.numbered).filter_map(|event| event.data());
        let numbered = data.filter_map(|data| serde_json::from_slice::<Numbered>(&data).ok());
        numbered.last().map_or(0, |event| event.sequence_number.saturating_add(1))
    }

    /// Appends the event that ends a failed reply.
    fn write_failure(&self, fault: &Fault, out: &mut BytesMut) {
        let mut response = FailedResponse { number: self.next_number(), ..FailedResponse::UNKNOWN };
        if let Begun::Known(begun) = &self.begun {
            let BegunResponse { id, model, created_at } = &**begun;
            response = FailedResponse { id, model, created_at: *created_at, ..response };
        }
        openai::error::response_failed_at(&response, fault.kind, &fault.message, out);
    }

    /// Whether the event that ends the reply has been seen.
    #[must_use]
    pub fn ended(&self) -> bool {
        self.stage != TapStage::Running
    }

    #[must_use]
    pub fn summary(&self) -> &ReplySummary {
        &self.summary
    }

    fn read(&mut self, data: &[u8]) {
        let data = data.trim_ascii();
        self.started |= !data.is_empty();
        self.begin(data);
        self.has_output = self.has_output || !(data.is_empty() || is_preliminary(data));
        if !is_telling(data) {
            return;
        }
        let Ok(Some(event)) = ResponsesEvent::read(data) else { return };
        match event.kind() {
            EventKind::ItemDone => {
                if let Some(item) = &event.item.0 {
                    self.items.take(item);
                    self.summary.tool_calls = self.items.calls;
                }
            }
            EventKind::Over | EventKind::Failed => {
                self.stage = TapStage::Over;
                self.end(event.response.0.as_ref(), event.incomplete(), event.fault(data));
            }
            EventKind::Error => {
                self.stage = TapStage::BareError;
                self.end(None, None, event.fault(data));
            }
            EventKind::Alive
            | EventKind::ItemAdded
            | EventKind::Delta(_)
            | EventKind::Done(_)
            | EventKind::Annotation
            | EventKind::Other => {}
        }
    }

    /// Reads who answers from one of the first events.
    fn begin(&mut self, data: &[u8]) {
        let Begun::Awaited(left) = self.begun else { return };
        self.begun = match (BegunResponse::read(data), left.checked_sub(1)) {
            (Some(begun), _) => Begun::Known(Box::new(begun)),
            (None, Some(left)) => Begun::Awaited(left),
            (None, None) => Begun::Unknown,
        };
    }

    /// The reply is over.
    fn end(
        &mut self,
        response: Option<&ResponseObject<'_>>,
        incomplete: Option<StopReason>,
        fault: Option<Fault>,
    ) {
        let Self { items, summary, .. } = self;
        let mut searches = None;
        if let Some(response) = response {
            let mut listed = ItemCounts::default();
            response.items().iter().for_each(|item| listed.take(item));
            items.merge(listed);
            if let Some(usage) = &response.usage.0 {
                summary.usage = Some(usage.usage());
                summary.reported.cost = usage.reported_cost();
                searches = usage.web_searches();
            }
        }
        summary.tool_calls = items.calls;
        summary.reported.set_web_searches(searches.or(Some(items.searches)));
        summary.stop_reason = match &fault {
            Some(_) => None,
            None => Some(items.manner.stop_reason(incomplete, items.calls)),
        };
        summary.fault = fault;
    }
}

impl ReplyCodec for ResponsesTap {
    fn push(&mut self, block: Bytes, _out: &mut BytesMut) -> Pushed {
        Pushed::Passed(self.pass(block))
    }

    fn finish(&mut self, out: &mut BytesMut) -> ReplySummary {
        match (self.stage, &self.summary.fault) {
            (TapStage::Running, _) => self.fail(Fault::cut(), out),
            // Codex ignores such an error, and takes a stream without this event for cut.
            (TapStage::BareError, Some(fault)) => {
                self.write_failure(fault, out);
                self.stage = TapStage::Over;
                self.summary.clone()
            }
            (TapStage::BareError, None) | (TapStage::Over, _) => self.summary.clone(),
        }
    }

    fn fail(&mut self, fault: Fault, out: &mut BytesMut) -> ReplySummary {
        self.write_failure(&fault, out);
        self.stage = TapStage::Over;
        ReplySummary { fault: Some(fault), ..self.summary.clone() }
    }

    fn started(&self) -> bool {
        self.started
    }

    fn is_announced_only(&self) -> bool {
        self.started && !self.has_output
    }

    fn finishing(&self) -> bool {
        self.ended()
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

/// The summary of a whole response object, or of an error; `None` if it cannot be parsed. What can be parsed is complete JSON.
#[must_use]
pub fn parsed_response(body: &[u8]) -> Option<ReplySummary> {
    let body = body.trim_ascii();
    let response = ResponseObject::read(body).ok()??;
    let beside =
        || (!response.has_output() && response.has_error()).then(|| openai::error::read_inside(body));
    let fault = response.fault().or_else(beside);
    let mut tap = ResponsesTap::new();
    tap.end(Some(&response), response.incomplete(), fault);
    if response.is_unfinished() {
        tap.summary.stop_reason = None;
    }
    Some(tap.summary)
}

/// Whether an event says that a response has begun, or why it has failed.
fn is_preliminary(data: &[u8]) -> bool {
    let kind = match first_word(data).and_then(|word| std::str::from_utf8(word).ok()) {
        Some(word) => EventKind::parse(word),
        None => ResponsesEvent::read(data).ok().flatten().map_or(EventKind::Other, |event| event.kind()),
    };
    match kind {
        EventKind::Alive | EventKind::Failed | EventKind::Error => true,
        EventKind::ItemAdded
        | EventKind::ItemDone
        | EventKind::Delta(_)
        | EventKind::Done(_)
        | EventKind::Annotation
        | EventKind::Over
        | EventKind::Other => false,
    }
}

/// The type of an event that begins with it. Nearly all vendors write it first.
fn first_word(data: &[u8]) -> Option<&[u8]> {
    let rest = data.strip_prefix(b"{\"type\":\"")?;
    let end = memchr2(b'"', b'\\', rest)?;
    (rest[end] == b'"').then(|| &rest[..end])
}

/// Whether an event may have a meaning for the tap.
fn is_telling(data: &[u8]) -> bool {
    match first_word(data) {
        Some(word) => TELLING.contains(&word),
        None => TELLING.iter().any(|word| memmem::find(data, word).is_some()),
    }
}

/// The key of an event's number.
const NUMBER: &[u8] = b"\"sequence_number\"";

/// The types of events that the tap reads.
const TELLING: [&[u8]; 7] = [
    b"response.output_item.done",
    b"response.completed",
    b"response.incomplete",
    b"response.failed",
    b"response.cancelled",
    b"response.error",
    b"error",
];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::vocabulary::ErrorKind;

    const CREATED: &str = "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"status\":\"in_progress\",\"error\":null,\"output\":[],\"usage\":null}}\n\n";
    const TEXT: &str = "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"\\\"response.completed\\\"\"}\n\n";
    const CALL: &str = "data: {\"type\":\"response.output_item.done\",\"item\":{\"type\":\"local_shell_call\",\"call_id\":\"c\"}}\n\n";
    const END: &str = "data: {\"sequence_number\":9,\"type\":\"response.completed\",\"response\":{\"status\":\"completed\",\"output\":[],\"usage\":{\"input_tokens\":10,\"output_tokens\":3,\"input_tokens_details\":{\"cached_tokens\":4}}}}\n\n";
    const FAILED: &str = "data: {\"type\":\"response.failed\",\"response\":{\"error\":{\"code\":\"rate_limit_exceeded\",\"message\":\"busy\"}}}\n\n";
    const ERROR: &str =
        "event: error\ndata: {\"type\":\"error\",\"code\":\"rate_limit_exceeded\",\"message\":\"busy\"}\n\n";

    fn passed(blocks: &[&str]) -> (String, ResponsesTap) {
        let mut tap = ResponsesTap::new();
        let passed = blocks.iter().map(|block| tap.pass(Bytes::copy_from_slice(block.as_bytes())).block);
        let text = passed.map(|block| String::from_utf8(block.to_vec()).unwrap()).collect();
        (text, tap)
    }

    #[test]
    fn every_byte_passes_and_the_end_is_read() {
        let all = [": hello\n\n", CREATED, TEXT, CALL, END].concat();
        let (text, tap) = passed(&[&all]);
        assert_eq!(text, all);
        let usage = Usage { input: 6, output: 3, cache_read: 4, ..Usage::default() };
        let ReplySummary { stop_reason, usage: counted, tool_calls, fault, .. } = tap.summary();
        assert_eq!(
            (*stop_reason, *counted, *tool_calls, fault),
            (Some(StopReason::ToolUse), Some(usage), 1, &None)
        );
        assert!(tap.ended());
        let mut out = BytesMut::new();
        passed(&[&all]).1.finish(&mut out);
        assert!(out.is_empty());
    }

    /// Requirement: the numbers of events rise to the end, also where the gateway ends a stream that was cut.
    #[test]
    fn the_error_at_the_end_continues_the_numbers() {
        let numbered = TEXT.replace("{\"type\"", "{\"sequence_number\":41,\"type\"");
        for (blocks, number) in [(&[CREATED][..], 0), (&[CREATED, &numbered, ": comment\n\n"], 42)] {
            let mut out = BytesMut::new();
            passed(blocks).1.finish(&mut out);
            let text = String::from_utf8(out.to_vec()).unwrap();
            assert!(text.contains(&format!("\"sequence_number\":{number},\"response\"")), "{text}");
        }
    }

    #[test]
    fn events_without_a_number_do_not_reset_the_numbers() {
        let numbered = TEXT.replace("{\"type\"", "{\"sequence_number\":41,\"type\"");
        for blocks in [&[CREATED, &numbered, TEXT, ERROR][..], &[CREATED, &[&numbered, TEXT].concat(), ERROR]]
        {
            let mut out = BytesMut::new();
            passed(blocks).1.finish(&mut out);
            let text = String::from_utf8(out.to_vec()).unwrap();
            assert!(text.contains("\"sequence_number\":42,\"response\""), "{text}");
        }
    }

    /// Requirement: a client knows by its id which response has failed.
    #[test]
    fn the_error_at_the_end_repeats_id_and_model() {
        let long = "x".repeat(257);
        let event = |id: &str, model: &str| {
            format!(
                "data: {{\"type\":\"response.in_progress\",\"response\":{{\"tools\":[{{\"id\":1}}],\"model\":{model},\"created_at\":1.7e9,\"id\":{id}}}}}\n\n"
            )
        };
        let ping = "event: ping\ndata: {\"type\":\"ping\"}\n\n";
        let known = json!(["resp_\"1", "m/ü", 1_700_000_000]);
        let unknown = json!(["resp_failed", "", 0]);
        for (blocks, expected) in [
            (vec![event("\"resp_\\\"1\"", "\"m/\\u00fc\""), TEXT.to_owned()], known.clone()),
            (vec![ping.to_owned(), CREATED.to_owned(), event("\"resp_\\\"1\"", "\"m/ü\"") + TEXT], known),
            (vec![event("\"r\"", "null"), event("\"other\"", "\"m\"")], json!(["r", "", 1_700_000_000])),
            (vec![event("\"r\"", &format!("\"{long}\""))], json!(["r", "", 1_700_000_000])),
            (vec![event(&format!("\"{long}\""), "\"m\"")], unknown.clone()),
            (vec![event("7", "\"m\""), TEXT.repeat(20), event("\"r\"", "\"m\"")], unknown),
        ] {
            let blocks: Vec<&str> = blocks.iter().map(String::as_str).collect();
            for fails in [true, false] {
                let (mut out, mut tap) = (BytesMut::new(), passed(&blocks).1);
                if fails {
                    tap.fail(Fault::cut(), &mut out)
                } else {
                    tap.finish(&mut out)
                };
                let data = sse::events(&out).find_map(|event| event.data()).unwrap();
                let failed: serde_json::Value = serde_json::from_slice(&data).unwrap();
                let found = &failed["response"];
                assert_eq!(json!([found["id"], found["model"], found["created_at"]]), expected, "{blocks:?}");
            }
        }
    }

    #[test]
    fn a_reply_is_announced_until_its_first_output() {
        let announced = |blocks: &[&str]| passed(blocks).1.is_announced_only();
        let queued = "data: { \"response\":{}, \"type\":\"response.queued\"}\n\n";
        for blocks in
            [&[CREATED][..], &[CREATED, queued, ": c\n\n"], &[CREATED, FAILED], &[queued, ERROR], &[FAILED]]
        {
            assert!(announced(blocks), "{blocks:?}");
        }
        for blocks in [
            &[][..],
            &[": c\n\n"],
            &[CREATED, TEXT],
            &[CREATED, TEXT, FAILED],
            &[CREATED, CALL],
            &[CREATED, END],
        ] {
            assert!(!announced(blocks), "{blocks:?}");
        }
    }

    #[test]
    fn an_error_is_written_once() {
        for last in ["", ERROR, FAILED] {
            let (_, mut tap) = passed(&[CREATED, last]);
            let mut out = BytesMut::new();
            tap.fail(Fault::cut(), &mut out);
            let length = out.len();
            tap.finish(&mut out);
            assert_eq!(out.len(), length, "{last}");
        }
    }

    #[test]
    fn nothing_passes_behind_the_end() {
        for last in [END, FAILED, ERROR] {
            let passed =
                ResponsesTap::new().pass(Bytes::from([CREATED, last, TEXT, "data: [DONE]\n\n"].concat()));
            assert!(passed.is_cut);
            assert_eq!(passed.block[passed.end.unwrap()..], *last.as_bytes());
        }
    }

    #[test]
    fn an_error_ends_a_reply_and_is_told_in_the_form_that_codex_reads() {
        let fault = Some(Fault::reported(ErrorKind::RateLimit, "busy".to_owned()));
        for (last, is_written) in [
            (FAILED, false),
            (ERROR, true),
            ("data: {\"error\":{\"code\":429,\"message\":\"busy\"}}\n\n", true),
        ] {
            let (text, mut tap) = passed(&[CREATED, last]);
            assert_eq!(text, [CREATED, last].concat());
            assert_eq!((&tap.summary().fault, &tap.passed_error(), tap.finishing()), (&fault, &fault, true));
            let mut out = BytesMut::new();
            assert_eq!(tap.finish(&mut out).fault, fault);
            assert_eq!(!out.is_empty(), is_written, "{last}");
        }
    }

    #[test]
    fn a_stream_without_its_end_is_cut() {
        let (_, mut tap) = passed(&[CREATED, TEXT]);
        let mut out = BytesMut::new();
        assert!(tap.started() && !tap.finishing());
        assert_eq!(tap.finish(&mut out).fault, Some(Fault::cut()));
        assert!(!out.is_empty());
        assert!(!passed(&[": hello\n\n", "data: \n\n"]).1.started());
    }

    #[test]
    fn items_of_the_final_list_count_once() {
        let call = r#"{"type":"function_call","name":"f"}"#;
        let done = format!("data: {{\"type\":\"response.output_item.done\",\"item\":{call}}}\n\n");
        let end =
            format!("data: {{\"type\":\"response.completed\",\"response\":{{\"output\":[{call}]}}}}\n\n");
        for blocks in [vec![&*done, &*end], vec![&*end]] {
            assert_eq!(passed(&blocks).1.summary().tool_calls, 1);
        }
    }

    #[test]
    fn a_whole_reply_is_read() {
        let summary = parsed_response(
            br#"{"object":"response","status":"incomplete","incomplete_details":{"reason":"max_output_tokens"},"output":[
                {"type":"custom_tool_call"},{"type":"web_search_call","action":{"type":"search"}},
                {"type":"web_search_call","action":{"type":"open_page"}}],"usage":{"input_tokens":1,"output_tokens":2,"cost":0.1}}"#,
        )
        .unwrap();
        assert_eq!((summary.stop_reason, summary.tool_calls), (Some(StopReason::MaxTokens), 1));
        assert_eq!((summary.reported.cost, summary.reported.web_searches), (Some(100_000), 1));
        assert_eq!(summary.usage.unwrap().output, 2);

        let fault = |body: &[u8]| parsed_response(body).unwrap().fault;
        let busy = Some(Fault::reported(ErrorKind::RateLimit, "busy".to_owned()));
        let error = r#"{"code":"rate_limit_exceeded","message":"busy"}"#;
        assert_eq!(fault(format!(r#"{{"error":{error}}}"#).as_bytes()), busy);
        assert_eq!(fault(format!(r#"{{"status":"failed","output":[],"error":{error}}}"#).as_bytes()), busy);
        let queued = parsed_response(br#"{"status":"queued","output":[],"error":null}"#).unwrap();
        assert_eq!((queued.stop_reason, queued.fault), (None, None));
        for body in ["", "[]", "{", "7"] {
            assert_eq!(parsed_response(body.as_bytes()), None, "{body}");
        }
    }
}
