//! Requests and replies between every client and every upstream of another API.

#![expect(clippy::unwrap_used, reason = "a helper that panics fails its test, which is what it is for")]

mod endings;
mod refusals;
mod requests;

use bytes::BytesMut;
use serde_json::{Value, json};
use vandamme_protocol::{
    convert::{
        CodecStep, ReplyCodec as _, ReplyDecoder, ReplyEncoder, ReplySummary, Transcoder,
        client::{
            chat::{self, ChatEncoder, ReplyIdentity},
            messages::MessagesEncoder,
            responses::{self, ResponsesEncoder, UpstreamKind},
        },
        upstream::{
            chat::{ChatDecoder, ChatUpstream, PLAIN},
            messages::MessagesDecoder,
            responses::{ResponsesDecoder, ResponsesUpstream},
        },
    },
    fault::Fault,
};

const IDENTITY: ReplyIdentity = ReplyIdentity { seed: 7, created: 1 };
/// What a Messages client asks.
const QUESTION: &str = r#"{"max_tokens":9,"messages":[{"role":"user","content":"hi"}]}"#;

/// An API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Api {
    Messages,
    Chat,
    Responses,
}

const APIS: [Api; 3] = [Api::Messages, Api::Chat, Api::Responses];

/// A client, and the members of its request beside the question.
#[derive(Clone, Copy, Debug)]
struct Client<'a> {
    api: Api,
    members: &'a str,
}

/// A reply as a client receives it.
struct Received {
    /// The data of its events, or its body.
    data: Vec<Value>,
    summary: ReplySummary,
}

impl Client<'_> {
    fn plain(api: Api) -> Self {
        Self { api, members: "" }
    }

    /// The reply to events of this upstream.
    fn streamed(self, upstream: Api, events: &[Value]) -> Received {
        match upstream {
            Api::Messages => self.events_of(MessagesDecoder::new(), events),
            Api::Chat => self.events_of(chat_decoder(), events),
            Api::Responses => self.events_of(responses_decoder(), events),
        }
    }

    fn events_of(self, decoder: impl ReplyDecoder, events: &[Value]) -> Received {
        match self.api {
            Api::Messages => stream(Transcoder::new(decoder, MessagesEncoder::new()), events),
            Api::Chat => stream(Transcoder::new(decoder, self.chat()), events),
            Api::Responses => stream(Transcoder::new(decoder, self.responses()), events),
        }
    }

    /// The reply to this whole reply of this upstream.
    fn whole(self, upstream: Api, reply: &Value) -> Result<Received, Fault> {
        match upstream {
            Api::Messages => self.body_of(MessagesDecoder::new(), reply),
            Api::Chat => self.body_of(chat_decoder(), reply),
            Api::Responses => self.body_of(responses_decoder(), reply),
        }
    }

    fn body_of(self, decoder: impl ReplyDecoder, reply: &Value) -> Result<Received, Fault> {
        let body = reply.to_string();
        let whole = match self.api {
            Api::Messages => Transcoder::new(decoder, MessagesEncoder::new()).whole(body.as_bytes()),
            Api::Chat => Transcoder::new(decoder, self.chat()).whole(body.as_bytes()),
            Api::Responses => Transcoder::new(decoder, self.responses()).whole(body.as_bytes()),
        }?;
        Ok(Received { data: vec![serde_json::from_slice(&whole.body).unwrap()], summary: whole.summary })
    }

    fn chat(self) -> ChatEncoder {
        let body = format!(r#"{{"messages":[{{"role":"user","content":"hi"}}]{}}}"#, self.members);
        let target = chat::MessagesUpstream { provider: "p", model: "m", requested_model: "p:m" };
        ChatEncoder::new(chat::request(body.as_bytes(), &target).unwrap().reply, IDENTITY)
    }

    fn responses(self) -> ResponsesEncoder {
        let body = format!(r#"{{"input":"hi"{}}}"#, self.members);
        let target = responses::MessagesTarget {
            provider: "p",
            model: "m",
            requested_model: "p:m",
            upstream: UpstreamKind::ChatCompletions,
        };
        ResponsesEncoder::new(responses::request(body.as_bytes(), &target).unwrap().reply, IDENTITY)
    }
}

fn chat_decoder() -> ChatDecoder {
    let (provider, model) = ("p", "m");
    let target = ChatUpstream {
        provider,
        model,
        requested_model: "p:m",
        dialect: &PLAIN,
        session: None,
        members: None,
    };
    let request = vandamme_protocol::convert::upstream::chat::request(QUESTION.as_bytes(), &target).unwrap();
    ChatDecoder::new(request.reply, 1)
}

fn responses_decoder() -> ResponsesDecoder {
    let target = ResponsesUpstream {
        provider: "p",
        model: "m",
        requested_model: "p:m",
        dialect: &PLAIN,
        session: None,
        members: None,
    };
    let request =
        vandamme_protocol::convert::upstream::responses::request(QUESTION.as_bytes(), &target).unwrap();
    ResponsesDecoder::new(request.reply, 1)
}

fn stream<D: ReplyDecoder, E: ReplyEncoder>(mut codec: Transcoder<D, E>, events: &[Value]) -> Received {
    let mut out = BytesMut::new();
    let mut summary = None;
    for event in events {
        // A string is data that is no JSON, such as `[DONE]`.
        let data = event.as_str().map_or_else(|| event.to_string(), ToOwned::to_owned);
        match codec.push_data(data.as_bytes(), &mut out) {
            CodecStep::More => {}
            CodecStep::End => break,
            CodecStep::Fault(fault) => {
                summary = Some(codec.fail(fault, &mut out));
                break;
            }
        }
    }
    let summary = summary.unwrap_or_else(|| codec.finish(&mut out));
    let wire = String::from_utf8(out.to_vec()).unwrap();
    let data = wire.lines().filter_map(|line| line.strip_prefix("data: "));
    let data =
        data.filter(|data| *data != "[DONE]").map(|data| serde_json::from_str(data).unwrap()).collect();
    Received { data, summary }
}

impl Received {
    /// What the client has in the end, in one form for all clients: text, refusal, and the words for the end.
    fn told(&self, api: Api) -> Told {
        match api {
            Api::Messages => self.message(),
            Api::Chat => self.completion(),
            Api::Responses => self.response(),
        }
    }

    fn message(&self) -> Told {
        let mut told = Told::default();
        for data in &self.data {
            let blocks = data["content"].as_array().into_iter().flatten().map(|block| &block["text"]);
            let texts = blocks.chain([&data["delta"]["text"]]).filter_map(Value::as_str);
            texts.for_each(|text| told.text.push_str(text));
            for part in [data, &data["delta"]] {
                told.end_with(&part["stop_reason"]);
                if let Some(explanation) = part["stop_details"]["explanation"].as_str() {
                    told.refusal = explanation.to_owned();
                }
            }
            told.fail_with(&data["error"]);
        }
        told
    }

    fn completion(&self) -> Told {
        let mut told = Told::default();
        for data in &self.data {
            let choice = &data["choices"][0];
            for part in [&choice["message"], &choice["delta"]] {
                told.text.push_str(part["content"].as_str().unwrap_or_default());
                told.refusal.push_str(part["refusal"].as_str().unwrap_or_default());
            }
            told.end_with(&choice["finish_reason"]);
            told.fail_with(&data["error"]);
        }
        told
    }

    fn response(&self) -> Told {
        let mut told = Told::default();
        let last = self.data.last().unwrap();
        let response = last.get("response").unwrap_or(last);
        for item in response["output"].as_array().into_iter().flatten() {
            for part in item["content"].as_array().into_iter().flatten() {
                told.text.push_str(part["text"].as_str().unwrap_or_default());
                told.refusal.push_str(part["refusal"].as_str().unwrap_or_default());
            }
        }
        let reason = &response["incomplete_details"]["reason"];
        told.end_with(if reason.is_null() { &response["status"] } else { reason });
        told.fail_with(&response["error"]);
        told
    }
}

/// What a client has of a reply.
#[derive(Debug, Default, PartialEq, Eq)]
struct Told {
    text: String,
    refusal: String,
    end: String,
    is_failed: bool,
}

impl Told {
    fn end_with(&mut self, word: &Value) {
        if let Some(word) = word.as_str() {
            self.end = word.to_owned();
        }
    }

    fn fail_with(&mut self, error: &Value) {
        self.is_failed |= error.is_object();
    }

    fn of(text: &str, refusal: &str, end: &str) -> Self {
        Self { text: text.into(), refusal: refusal.into(), end: end.into(), is_failed: false }
    }
}

/// A Messages stream with one text, if it is not empty, and this end.
fn messages_stream(text: &str, end: Value) -> Vec<Value> {
    let mut events =
        vec![json!({"type": "message_start", "message": {"id": "msg_1", "model": "m", "content": []}})];
    if !text.is_empty() {
        events.extend([
            json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
            json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}),
            json!({"type": "content_block_stop", "index": 0}),
        ]);
    }
    events.extend([json!({"type": "message_delta", "delta": end}), json!({"type": "message_stop"})]);
    events
}

/// A chunk of Chat Completions.
fn chunk(delta: Value, finish_reason: Option<&str>) -> Value {
    json!({"id": "c", "object": "chat.completion.chunk", "model": "m", "created": 1,
           "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]})
}
