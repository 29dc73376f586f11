//! What holds of every Chat Completions client in front of the Messages API: of its request, and of the reply in
//! whatever form it comes. The same bytes are taken for each of them.

use bytes::{Bytes, BytesMut};
use serde_json::{Value, json};
use vandamme_protocol::convert::client::chat::{
    ChatEncoder, MessagesReplyContext, MessagesUpstream, ReplyIdentity, request,
};
use vandamme_protocol::convert::passthrough::{
    chunks_as_completion, completion_as_chunks, events_as_message, message_as_events,
};
use vandamme_protocol::convert::upstream::messages::MessagesDecoder;
use vandamme_protocol::convert::{CodecStep, ReplyCodec as _, ReplySummary, Transcoder};
use vandamme_protocol::request::UsageAsked;
use vandamme_protocol::sse::{self, Splitter};

use crate::reply::readable;
use crate::turns::check_turns;

pub(crate) const IDENTITY: ReplyIdentity =
    ReplyIdentity { seed: 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef, created: 1_760_000_000 };
const TARGET: MessagesUpstream<'_> =
    MessagesUpstream { provider: "p", model: "claude-sonnet-4-5", requested_model: "p:m" };

pub(crate) type ToChat = Transcoder<MessagesDecoder, ChatEncoder>;

pub(crate) fn transcoder(context: MessagesReplyContext) -> ToChat {
    Transcoder::new(MessagesDecoder::new(), ChatEncoder::new(context, IDENTITY))
}

/// Checks these bytes in every role, a stream cut at this place.
pub(crate) fn check(bytes: &[u8], cut: usize) {
    for model in [TARGET.model, "claude-3-opus-20240229"] {
        match request(bytes, &MessagesUpstream { model, ..TARGET }) {
            Ok(translated) => check_sent(bytes, &translated.body, model),
            Err(error) => assert!(!error.message.is_empty() && !error.message.contains('\n')),
        }
    }
    let custom =
        ["f", "get_weather", "Write"].map(|name| json!({"type": "custom", "custom": {"name": name}}));
    for fields in [
        json!({"reasoning_effort": "low", "stream_options": {"include_usage": true}}),
        json!({"functions": [{"name": "f"}]}),
        json!({ "tools": custom }),
    ] {
        check_reply(bytes, cut, &context(fields));
    }
    check_forms(bytes);
}

fn check_sent(asked: &[u8], sent: &[u8], model: &str) {
    // What this parser cannot read (numbers beyond a double, a hundred levels) came so from the client.
    let Ok(sent) = serde_json::from_slice::<Value>(&readable(sent)) else {
        assert!(serde_json::from_slice::<Value>(&readable(asked)).is_err(), "an unreadable body is sent");
        return;
    };
    assert_eq!(sent["model"], model);
    assert!(sent["max_tokens"].as_u64().is_some_and(|tokens| tokens > 0), "a limit is always there");
    check_turns(&sent["messages"]);
    let Ok(asked) = serde_json::from_slice::<Value>(&readable(asked)) else { return };
    let told = sent["messages"].to_string();
    let turns = asked["messages"].as_array().into_iter().flatten();
    for message in turns.filter(|message| message["role"] == "user") {
        let parts = message["content"].as_array().into_iter().flatten();
        let parts = parts.filter(|part| part["type"] == "text").map(|part| &part["text"]);
        for text in parts.chain([&message["content"]]).filter_map(Value::as_str) {
            let literal = Value::from(text).to_string();
            let inner = &literal[1..literal.len() - 1];
            assert!(text.trim().is_empty() || told.contains(inner), "a text of the user is lost: {text}");
        }
    }
}

pub(crate) fn context(fields: Value) -> MessagesReplyContext {
    let mut body = json!({"messages": [{"role": "user", "content": "hi"}]});
    let all = body.as_object_mut().expect("an object");
    all.extend(fields.as_object().expect("members").clone());
    request(body.to_string().as_bytes(), &TARGET).expect("a request").reply
}

fn check_reply(stream: &[u8], cut: usize, context: &MessagesReplyContext) {
    let (wire, outcome) = streamed(&[stream], context);
    let told = Told::by(&wire);
    assert_eq!(told.has_failed, outcome.fault.is_some(), "the ledger knows what the client sees");
    let (front, back) = stream.split_at(cut.min(stream.len()));
    assert_eq!(streamed(&[front, back], context), (wire, outcome.clone()), "cut at {cut}");

    match (collected(stream, context), &outcome.fault) {
        (Ok(body), None) => assert_eq!(Told::in_whole(&body), told, "whole is the collected stream"),
        (Err(()), Some(_)) => {}
        (whole, fault) => panic!("whole {whole:?}, streamed {fault:?}"),
    }
    let mut events = BytesMut::new();
    match (
        transcoder(context.clone()).whole(stream),
        transcoder(context.clone()).whole_as_stream(stream, &mut events),
    ) {
        (Ok(whole), Ok(outcome)) => {
            assert_eq!(whole.summary, outcome);
            assert_eq!(Told::in_whole(&whole.body), Told::by(&events), "a whole reply is its events");
        }
        (Err(whole), Err(streamed)) => assert_eq!((whole, events.len()), (streamed, 0)),
        (whole, streamed) => panic!("whole {whole:?}, streamed {streamed:?}"),
    }
}

pub(crate) fn streamed(pieces: &[&[u8]], context: &MessagesReplyContext) -> (Vec<u8>, ReplySummary) {
    let mut splitter = Splitter::new(1 << 20);
    let mut machine = transcoder(context.clone());
    let mut out = BytesMut::new();
    let mut step = CodecStep::More;
    for piece in pieces {
        let block = splitter.pass(Bytes::copy_from_slice(piece)).unwrap_or_default();
        step = pushed(&block, step, |data| machine.push_data(data, &mut out));
    }
    let outcome = match step {
        CodecStep::More | CodecStep::End => machine.finish(&mut out),
        CodecStep::Fault(fault) => machine.fail(fault, &mut out),
    };
    (out.to_vec(), outcome)
}

fn collected(stream: &[u8], context: &MessagesReplyContext) -> Result<Vec<u8>, ()> {
    let mut splitter = Splitter::new(1 << 20);
    let mut collector = transcoder(context.clone()).collector();
    let block = splitter.pass(Bytes::copy_from_slice(stream)).unwrap_or_default();
    match pushed(&block, CodecStep::More, |data| collector.push(data)) {
        CodecStep::More | CodecStep::End => collector.finish().map(|whole| whole.body).map_err(|_| ()),
        CodecStep::Fault(_) => Err(()),
    }
}

fn pushed(block: &[u8], before: CodecStep, mut push: impl FnMut(&[u8]) -> CodecStep) -> CodecStep {
    let mut step = before;
    for data in sse::events(block).filter_map(|event| event.data()) {
        match step {
            CodecStep::More => step = push(&data),
            CodecStep::End | CodecStep::Fault(_) => break,
        }
    }
    step
}

/// What a reply says, in either form.
#[derive(Debug, Default, PartialEq)]
struct Told {
    text: String,
    reasoning: String,
    /// Ids, types, names, and arguments or inputs.
    calls: Vec<[String; 4]>,
    function: [String; 2],
    annotations: Vec<Value>,
    finish_reason: Option<String>,
    has_failed: bool,
}

impl Told {
    /// Also fails unless every event is one line of JSON, and the end the last of them.
    fn by(wire: &[u8]) -> Self {
        let wire = readable(wire);
        let text = std::str::from_utf8(&wire).expect("UTF-8");
        let mut told = Self::default();
        let mut is_over = false;
        for event in text.split_inclusive("\n\n") {
            let data = event.strip_prefix("data: ").and_then(|event| event.strip_suffix("\n\n"));
            let data = data.expect("an event is one line of data and a blank one");
            assert!(!is_over && !data.contains(['\n', '\r']));
            is_over = data == "[DONE]";
            if !is_over {
                let chunk: Value = serde_json::from_str(data).expect("data is JSON");
                told.has_failed |= chunk.get("error").is_some();
                told.take(&chunk["choices"][0], "delta");
            }
        }
        assert!(is_over != told.has_failed, "what is complete is done, and what has failed is not");
        assert!(!(told.has_failed && told.finish_reason.is_some()), "what has failed was never finished");
        told
    }

    fn in_whole(body: &[u8]) -> Self {
        let completion: Value = serde_json::from_slice(&readable(body)).expect("JSON");
        let mut told = Self::default();
        told.take(&completion["choices"][0], "message");
        told
    }

    fn take(&mut self, choice: &Value, member: &str) {
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let delta = &choice[member];
        self.text += &word(&delta["content"]);
        self.reasoning += &word(&delta["reasoning_content"]);
        self.function[0] += &word(&delta["function_call"]["name"]);
        self.function[1] += &word(&delta["function_call"]["arguments"]);
        for mut annotation in delta["annotations"].as_array().into_iter().flatten().cloned() {
            let index = annotation.as_object_mut().expect("an object").remove("index");
            let expected = (member == "delta").then(|| json!(self.annotations.len()));
            assert_eq!(index, expected, "a chunk numbers what it lists");
            self.annotations.push(annotation);
        }
        for (at, call) in delta["tool_calls"].as_array().into_iter().flatten().enumerate() {
            let at = call["index"].as_u64().and_then(|index| usize::try_from(index).ok()).unwrap_or(at);
            assert!(at <= self.calls.len(), "indexes grow by one");
            let (name, text) = match call.get("custom") {
                Some(custom) => (&custom["name"], &custom["input"]),
                None => (&call["function"]["name"], &call["function"]["arguments"]),
            };
            if at == self.calls.len() {
                self.calls.push([word(&call["id"]), word(&call["type"]), word(name), String::new()]);
            }
            self.calls[at][3] += &word(text);
        }
        if let Some(reason) = choice["finish_reason"].as_str() {
            assert_eq!(self.finish_reason, None, "it ends once");
            self.finish_reason = Some(reason.to_owned());
        }
    }
}

/// A reply that is put into the other form and back says the same from then on.
fn check_forms(bytes: &[u8]) {
    let _ = events_as_message(bytes);
    let _ = chunks_as_completion(bytes);
    let parsed = |body: &[u8]| serde_json::from_slice::<Value>(&readable(body)).ok();
    if let Ok(events) = message_as_events(bytes) {
        let once = events_as_message(&events).expect("what we tell as events is a message");
        let again = message_as_events(&once).expect("a message").to_vec();
        assert_eq!(events_as_message(&again).map(|body| parsed(&body)), Ok(parsed(&once)));
    }
    for asked in [UsageAsked::ByClient, UsageAsked::ByGateway] {
        let Ok(chunks) = completion_as_chunks(bytes, asked) else { continue };
        // A vendor's error, or a number that is none, is one in this form too.
        let Ok(once) = chunks_as_completion(&chunks) else { continue };
        let again = completion_as_chunks(&once, asked).expect("a completion");
        assert_eq!(chunks_as_completion(&again).map(|body| parsed(&body)), Ok(parsed(&once)));
    }
}
