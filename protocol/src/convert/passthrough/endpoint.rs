//! The tap of OpenAI's endpoints beside those for conversations, such as embeddings, images and audio: it reads the usage and the
//! errors of a forwarded reply.

use bytes::{Bytes, BytesMut};
use memchr::memmem;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::convert::{CodecForm, PassedBlock, Pushed, ReplyCodec, ReplySummary};
use crate::fault::Fault;
use crate::openai;
use crate::sse;
use crate::vocabulary::Usage;

/// Reads one streamed reply. These streams have no common last event, so the end of the body is the end of the reply, unless
/// `[DONE]` or an error comes before.
#[derive(Debug, Default)]
pub struct EndpointTap {
    started: bool,
    done: bool,
    summary: ReplySummary,
}

impl EndpointTap {
    /// For one reply.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn pass(&mut self, mut block: Bytes) -> PassedBlock {
        let (mut at, mut end) = (0, None);
        for event in sse::events(&block) {
            if let Some(data) = event.data() {
                self.read(&data);
            }
            let start = at;
            at += event.raw().len();
            if self.done || self.summary.fault.is_some() {
                end = Some(start);
                break;
            }
        }
        let is_cut = end.is_some() && at < block.len();
        if is_cut {
            block.truncate(at);
        }
        PassedBlock { block, end, is_cut }
    }

    fn read(&mut self, data: &[u8]) {
        let data = data.trim_ascii();
        self.started |= !data.is_empty();
        if data == b"[DONE]" {
            self.done = true;
            return;
        }
        // A piece of audio or of an image has neither.
        let has = |word: &[u8]| memmem::find(data, word).is_some();
        if !has(b"\"usage\"") && !has(b"\"error\"") {
            return;
        }
        if let Some(read) = parsed_endpoint_reply(data) {
            self.summary.usage = read.usage.or(self.summary.usage);
            self.summary.fault = read.fault;
        }
    }
}

impl ReplyCodec for EndpointTap {
    fn push(&mut self, block: Bytes, _out: &mut BytesMut) -> Pushed {
        Pushed::Passed(self.pass(block))
    }

    fn finish(&mut self, out: &mut BytesMut) -> ReplySummary {
        if self.started {
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
        self.done
    }

    fn passed_error(&self) -> Option<Fault> {
        self.summary.fault.clone()
    }

    fn counted(&self) -> (Usage, u32) {
        (self.summary.usage.unwrap_or_default(), 0)
    }

    fn form(&self) -> CodecForm {
        CodecForm::Passthrough
    }
}

/// The members of a reply, or of an event, that count.
#[derive(Deserialize)]
struct EndpointReply<'a> {
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
}

/// Usage under the names of all these endpoints. A transcription may report seconds, which are no tokens.
#[derive(Default, Deserialize)]
#[serde(default)]
struct EndpointUsage<'a> {
    #[serde(borrow)]
    prompt_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    input_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    total_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    completion_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    output_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    prompt_tokens_details: Option<&'a RawValue>,
    #[serde(borrow)]
    input_tokens_details: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct TokenDetails<'a> {
    #[serde(borrow)]
    cached_tokens: Option<&'a RawValue>,
}

/// The summary of a whole reply, or of an error object; `None` if it is not a JSON object. What can be parsed is complete JSON.
#[must_use]
pub fn parsed_endpoint_reply(body: &[u8]) -> Option<ReplySummary> {
    let reply: EndpointReply<'_> = serde_json::from_slice(body).ok()?;
    let says_error = reply.kind.is_some_and(|kind| kind.get() == "\"error\"");
    let has_error = reply.error.is_some_and(|error| error.get().starts_with(['{', '"']));
    let fault = (has_error || says_error).then(|| openai::error::read_inside(body));
    Some(ReplySummary { usage: reply.usage.and_then(usage), fault, ..ReplySummary::default() })
}

fn usage(raw: &RawValue) -> Option<Usage> {
    let usage: EndpointUsage<'_> = serde_json::from_str(raw.get()).ok()?;
    let input = count(usage.prompt_tokens).or_else(|| count(usage.input_tokens));
    let output = count(usage.completion_tokens).or_else(|| count(usage.output_tokens));
    let total = count(usage.total_tokens);
    input.or(output).or(total)?;
    let details = usage.prompt_tokens_details.or(usage.input_tokens_details);
    let details = details.and_then(|raw| serde_json::from_str::<TokenDetails<'_>>(raw.get()).ok());
    let cached = details.and_then(|details| count(details.cached_tokens)).unwrap_or_default();
    let output_or_none = output.unwrap_or_default();
    // Rerankers report a total only.
    let input = input.unwrap_or_else(|| total.unwrap_or_default().saturating_sub(output_or_none));
    Some(Usage::from_prompt_total(input, output_or_none, cached, 0).plausible())
}

fn count(raw: Option<&RawValue>) -> Option<u64> {
    let number: f64 = serde_json::from_str(raw?.get()).ok()?;
    (number >= 0.0).then_some(number as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocabulary::ErrorKind;

    fn tokens(body: &str) -> Option<(u64, u64, u64)> {
        let usage = parsed_endpoint_reply(body.as_bytes())?.usage?;
        Some((usage.input, usage.output, usage.cache_read))
    }

    #[test]
    fn the_usage_of_every_endpoint_counts() {
        for (body, expected) in [
            (r#"{"data":[],"usage":{"prompt_tokens":8,"total_tokens":8}}"#, Some((8, 0, 0))),
            (
                r#"{"usage":{"input_tokens":50,"output_tokens":1000,"total_tokens":1050,"input_tokens_details":{"text_tokens":10,"image_tokens":40,"cached_tokens":20}}}"#,
                Some((30, 1000, 20)),
            ),
            (
                r#"{"text":"hi","usage":{"type":"tokens","input_tokens":14,"output_tokens":45}}"#,
                Some((14, 45, 0)),
            ),
            (r#"{"text":"hi","usage":{"type":"duration","seconds":3}}"#, None),
            (r#"{"results":[],"usage":{"total_tokens":7}}"#, Some((7, 0, 0))),
            (r#"{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4.0}}"#, Some((3, 4, 0))),
            (r#"{"usage":{"prompt_tokens":"many","total_tokens":-1}}"#, None),
            (r#"{"usage":null}"#, None),
            (r#"{"usage":7}"#, None),
            ("[1]", None),
        ] {
            assert_eq!(tokens(body), expected, "{body}");
        }
    }

    #[test]
    fn an_error_inside_a_reply_is_a_fault() {
        let fault = |body: &str| parsed_endpoint_reply(body.as_bytes()).and_then(|read| read.fault);
        let busy = fault(r#"{"error":{"message":"busy","code":429}}"#).unwrap();
        assert_eq!((busy.kind, busy.message.as_str()), (ErrorKind::RateLimit, "busy"));
        assert_eq!(fault(r#"{"type":"error","message":"no"}"#).unwrap().message, "no");
        for fine in [r#"{"error":null}"#, r#"{"error":false}"#, r#"{"data":[{"error":{}}]}"#] {
            assert_eq!(fault(fine), None, "{fine}");
        }
    }

    fn passed(pieces: &[&'static str]) -> (Vec<u8>, ReplySummary) {
        let mut tap = EndpointTap::new();
        let mut out = BytesMut::new();
        for piece in pieces {
            if let Pushed::Passed(passed) =
                tap.push(Bytes::from_static(piece.as_bytes()), &mut BytesMut::new())
            {
                out.extend_from_slice(&passed.block);
            }
        }
        let summary = tap.finish(&mut out);
        (out.to_vec(), summary)
    }

    #[test]
    fn a_stream_passes_and_its_usage_counts() {
        const AUDIO: &str = "data: {\"type\":\"speech.audio.delta\",\"audio\":\"AA==\"}\n\n";
        const DONE: &str =
            "data: {\"type\":\"speech.audio.done\",\"usage\":{\"input_tokens\":3,\"output_tokens\":9}}\n\n";
        let (out, summary) = passed(&[AUDIO, AUDIO, DONE]);
        assert_eq!(out, [AUDIO, AUDIO, DONE].concat().as_bytes());
        let usage = summary.usage.unwrap();
        assert_eq!((usage.input, usage.output, summary.fault), (3, 9, None));
        let (out, _) = passed(&["data: [DONE]\n\ndata: {}\n\n"]);
        assert_eq!(out, b"data: [DONE]\n\n");
    }

    #[test]
    fn an_error_ends_a_stream_and_nothing_is_no_stream() {
        const ERROR: &str =
            "event: error\ndata: {\"type\":\"error\",\"error\":{\"message\":\"no room\"}}\n\n";
        let (out, summary) = passed(&[ERROR]);
        assert_eq!(out, ERROR.as_bytes());
        assert_eq!(summary.fault.unwrap().message, "no room");
        let (out, summary) = passed(&[": nothing\n\n"]);
        assert!(out.ends_with(b"}}\n\n") && summary.fault.is_some());
    }
}
