//! Reads a frame of the client.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::FrameError;
use crate::json::{Literal, RawMembers, Write as _};

/// The members of a frame that its request body does not have: `input` is completed, and the others belong to the connection.
const OWN_MEMBERS: [&str; 5] = ["type", "generate", "input", "previous_response_id", "stream"];

/// What a client's frame asks for.
#[derive(Debug)]
pub enum ClientEvent<'f> {
    /// A response.
    Create(CreateFrame<'f>),
    /// More input for a response that is in progress, which no upstream of the gateway takes.
    Steer(SteerFrame<'f>),
    /// Nothing: `response.processed` reports that the client has handled a response.
    Processed,
}

/// A `response.steer` frame.
#[derive(Debug)]
pub struct SteerFrame<'f> {
    members: RawMembers<'f>,
}

/// A `response.create` frame.
#[derive(Debug)]
pub struct CreateFrame<'f> {
    members: RawMembers<'f>,
    /// The decoded `previous_response_id`.
    pub(super) previous: Option<Cow<'f, str>>,
    pub(super) input: FrameInput<'f>,
    /// Whether a model generates a reply.
    pub generation: Generation,
}

/// Whether a model generates a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Generation {
    /// It does.
    Reply,
    /// `"generate": false`: the items are kept for the next request.
    WarmUp,
}

/// The `input` of a frame.
#[derive(Debug)]
pub(super) enum FrameInput<'f> {
    Absent,
    /// The text of a user's message, as inner text.
    Text(&'f str),
    /// The text between the brackets of a list, without white space around it.
    Items(&'f str),
}

impl<'f> ClientEvent<'f> {
    /// Reads the text of a frame.
    ///
    /// # Errors
    /// The frame is not an event that the gateway serves.
    pub fn read(text: &'f str) -> Result<Self, FrameError> {
        let members: RawMembers<'f> = serde_json::from_str(text).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            FrameError::new(None, format!("the frame is not a JSON object (line {line} column {column})"))
        })?;
        let kind: Cow<'f, str> = word(&members, "type")?
            .ok_or_else(|| FrameError::new(Some("type"), "type: field required; send response.create"))?;
        match &*kind {
            "response.create" => CreateFrame::read(members).map(Self::Create),
            "response.steer" => Ok(Self::Steer(SteerFrame { members })),
            "response.processed" => Ok(Self::Processed),
            _ => Err(FrameError::new(
                Some("type"),
                "type: this gateway serves response.create only; close the connection to cancel a response",
            )),
        }
    }
}

impl SteerFrame<'_> {
    /// The text of the answer, which returns the input to the client.
    #[must_use]
    pub fn failed(&self) -> Vec<u8> {
        let mut out = b"{\"type\":\"response.steer.failed\",\"sequence_number\":0,\"error\":{".to_vec();
        out.put(b"\"type\":\"invalid_request_error\",\"code\":\"steering_not_supported\",\"message\":");
        out.string("this gateway does not steer responses: send the input with the next response.create");
        out.put(b"},\"steer\":{\"previous_response_id\":");
        out.raw(self.members.value("previous_response_id").map_or("null", RawValue::get));
        out.put(b",\"input\":");
        out.raw(self.members.value("input").map_or("[]", RawValue::get));
        out.put(b"}}");
        out
    }
}

impl<'f> CreateFrame<'f> {
    fn read(members: RawMembers<'f>) -> Result<Self, FrameError> {
        if present(&members, "stream_id").is_some() {
            return Err(FrameError::new(
                Some("stream_id"),
                "stream_id: one response at a time is served on a connection; leave it out, and open a connection for each conversation",
            ));
        }
        let generation = match present(&members, "generate").map(RawValue::get) {
            None | Some("true") => Generation::Reply,
            Some("false") => Generation::WarmUp,
            Some(_) => return Err(FrameError::new(Some("generate"), "generate: must be a boolean")),
        };
        let previous = word(&members, "previous_response_id")?;
        let input = FrameInput::read(present(&members, "input"))?;
        Ok(Self { members, previous, input, generation })
    }

    /// The decoded `model`; `None` if it is missing or not a string.
    #[must_use]
    pub fn model(&self) -> Option<Cow<'f, str>> {
        Literal::of(self.members.value("model")?)?.decode()
    }

    /// Whether the provider shall keep the response, as it does unless `store` is false.
    pub(super) fn is_stored(&self) -> bool {
        present(&self.members, "store").is_none_or(|store| store.get() != "false")
    }

    /// Appends the members of the request body that do not depend on the connection, each with a comma.
    pub(super) fn write_members(&self, out: &mut Vec<u8>) {
        for (name, value) in self.members.unique().filter(|(name, _)| !OWN_MEMBERS.contains(name)) {
            out.string(name);
            out.put(b":");
            out.raw(value.get());
            out.put(b",");
        }
    }

    /// The length of the members, about.
    pub(super) fn size(&self) -> usize {
        let members = self.members.unique().filter(|(name, _)| !OWN_MEMBERS.contains(name));
        members.map(|(name, value)| name.len() + value.get().len() + 4).sum()
    }
}

impl<'f> FrameInput<'f> {
    fn read(input: Option<&'f RawValue>) -> Result<Self, FrameError> {
        let Some(input) = input else { return Ok(Self::Absent) };
        if let Some(text) = Literal::of(input) {
            return Ok(Self::Text(text.inner()));
        }
        let items = input.get().strip_prefix('[').and_then(|items| items.strip_suffix(']'));
        let items =
            items.ok_or_else(|| FrameError::new(Some("input"), "input: must be a string or a list"))?;
        Ok(Self::Items(items.trim_matches(|c| matches!(c, ' ' | '\t' | '\n' | '\r'))))
    }

    /// The items of a request's `input`, with commas between them.
    pub(super) fn items(&self) -> Cow<'f, str> {
        match self {
            Self::Absent => Cow::Borrowed(""),
            Self::Text(text) => Cow::Owned(format!("{{\"role\":\"user\",\"content\":\"{text}\"}}")),
            Self::Items(items) => Cow::Borrowed(items),
        }
    }
}

/// The value of this name, unless it is null.
fn present<'f>(members: &RawMembers<'f>, name: &str) -> Option<&'f RawValue> {
    members.value(name).filter(|value| value.get() != "null")
}

/// The decoded text of this name, unless it is null.
fn word<'f>(members: &RawMembers<'f>, name: &'static str) -> Result<Option<Cow<'f, str>>, FrameError> {
    let Some(value) = present(members, name) else { return Ok(None) };
    let text = Literal::of(value).and_then(Literal::decode);
    let text = text.ok_or_else(|| FrameError::new(Some(name), format!("{name}: must be a string")))?;
    Ok(Some(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn create(text: &str) -> CreateFrame<'_> {
        match ClientEvent::read(text) {
            Ok(ClientEvent::Create(create)) => create,
            other @ (Ok(ClientEvent::Steer(_) | ClientEvent::Processed) | Err(_)) => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_frame_has_the_members_of_a_request() {
        let frame = create(
            r#"{"type":"response.create","model":"g\u0061","generate":false,"input":[ {"a":1} , 2 ],"stream":false,"x":{"y":[1e2]},"previous_response_id":"r\u0031"}"#,
        );
        assert_eq!(frame.model().as_deref(), Some("ga"));
        assert_eq!((frame.generation, frame.previous.as_deref()), (Generation::WarmUp, Some("r1")));
        assert_eq!(frame.input.items(), r#"{"a":1} , 2"#);
        let mut members = vec![];
        frame.write_members(&mut members);
        assert_eq!(String::from_utf8(members).unwrap(), r#""model":"g\u0061","x":{"y":[1e2]},"#);
    }

    #[test]
    fn a_text_becomes_a_message_and_null_counts_as_absent() {
        let frame = create(
            r#"{"type":"response.create","input":"say \"hi\"","previous_response_id":null,"generate":null,"stream_id":null}"#,
        );
        assert_eq!(frame.input.items(), r#"{"role":"user","content":"say \"hi\""}"#);
        assert!(frame.previous.is_none() && frame.is_stored());
        assert_eq!(frame.generation, Generation::Reply);
        assert!(!create(r#"{"type":"response.create","store":false}"#).is_stored());
    }

    #[test]
    fn input_for_a_running_response_is_returned() {
        for (frame, steer) in [
            (
                r#"{"type":"response.steer","previous_response_id":"r","input":"x\u0041"}"#,
                r#"{"previous_response_id":"r","input":"x\u0041"}"#,
            ),
            (r#"{"type":"response.steer"}"#, r#"{"previous_response_id":null,"input":[]}"#),
        ] {
            let Ok(ClientEvent::Steer(frame)) = ClientEvent::read(frame) else { panic!("{frame}") };
            let answer = String::from_utf8(frame.failed()).unwrap();
            assert!(answer.ends_with(&format!(r#","steer":{steer}}}"#)), "{answer}");
            let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
            assert_eq!(answer["error"]["code"], "steering_not_supported");
        }
    }

    #[test]
    fn what_is_no_event_is_refused_with_its_place() {
        for (frame, param, words) in [
            ("", None, "not a JSON object"),
            ("[]", None, "not a JSON object"),
            ("{} {}", None, "not a JSON object"),
            ("{}", Some("type"), "field required"),
            (r#"{"type":7}"#, Some("type"), "must be a string"),
            (r#"{"type":"response.cancel"}"#, Some("type"), "close the connection"),
            (r#"{"type":"response.create","generate":"no"}"#, Some("generate"), "boolean"),
            (r#"{"type":"response.create","input":{}}"#, Some("input"), "a string or a list"),
            (
                r#"{"type":"response.create","previous_response_id":7}"#,
                Some("previous_response_id"),
                "a string",
            ),
            (r#"{"type":"response.create","stream_id":"a"}"#, Some("stream_id"), "one response at a time"),
        ] {
            let error = ClientEvent::read(frame).err().unwrap();
            assert_eq!((error.status, error.param), (400, param), "{frame}");
            assert!(error.message.contains(words), "{frame}: {}", error.message);
        }
        assert!(matches!(ClientEvent::read(r#"{"type":"response.processed"}"#), Ok(ClientEvent::Processed)));
    }
}
