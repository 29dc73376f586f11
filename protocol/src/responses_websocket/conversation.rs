//! The conversation that a connection keeps: the items of requests and replies, as a client that sends only new ones expects.

use std::collections::VecDeque;

use super::{CreateFrame, FrameError};
use crate::json::Write as _;

/// The most responses that a client can continue. Clients continue the last one, or one shortly before.
const MOST_RESPONSES: usize = 256;

/// The items of a connection's responses, in the order of the conversation.
#[derive(Debug)]
pub struct Conversation {
    /// The most bytes to keep.
    limit: usize,
    /// Items of one input or one output each, with commas between them; never empty.
    parts: Vec<Box<str>>,
    /// The length of all parts.
    size: usize,
    /// The responses that can be continued, the oldest first.
    responses: VecDeque<KeptResponse>,
}

#[derive(Debug)]
struct KeptResponse {
    id: String,
    /// How many parts belong to the conversation up to this response.
    parts: usize,
}

/// A request of the conversation.
#[derive(Debug)]
pub struct Turn {
    /// The whole request body.
    pub body: Vec<u8>,
    /// How many parts of the conversation it continues; `None` if it continues a response that only the provider has.
    continues: Option<usize>,
    input: Box<str>,
}

impl Conversation {
    /// An empty one, which keeps items of `limit` bytes in all.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { limit, parts: vec![], size: 0, responses: VecDeque::new() }
    }

    /// The number of bytes that are kept.
    #[must_use]
    pub fn size(&self) -> usize {
        self.size
    }

    /// Makes the request that a frame asks for.
    ///
    /// # Errors
    /// The frame continues a response that is not kept, here or by the provider.
    pub fn turn(&self, frame: &CreateFrame<'_>) -> Result<Turn, FrameError> {
        let kept = match frame.previous.as_deref() {
            None => Some(0),
            Some(id) => self.responses.iter().find(|kept| kept.id == id).map(|kept| kept.parts),
        };
        if kept.is_none() && !frame.is_stored() {
            return Err(FrameError {
                code: Some("previous_response_not_found"),
                ..FrameError::new(
                    Some("previous_response_id"),
                    "previous_response_id: this connection does not have this response; send all items without previous_response_id",
                )
            });
        }
        let input = frame.input.items();
        let earlier = self.parts.get(..kept.unwrap_or_default()).unwrap_or_default();
        let length = earlier.iter().map(|part| part.len() + 1).sum::<usize>();
        let mut body = Vec::with_capacity(frame.size() + length + input.len() + 64);
        body.put(b"{");
        frame.write_members(&mut body);
        if let (None, Some(id)) = (kept, &frame.previous) {
            body.put(b"\"previous_response_id\":");
            body.string(id);
            body.put(b",");
        }
        body.put(b"\"stream\":true,\"input\":[");
        let parts = earlier.iter().map(|part| &**part).chain([&*input]).filter(|part| !part.is_empty());
        for (index, part) in parts.enumerate() {
            body.put(if index == 0 { b"" } else { b"," });
            body.raw(part);
        }
        body.put(b"]}");
        Ok(Turn { body, continues: kept, input: input.into() })
    }

    /// Keeps the items of a request and of its reply, which can be continued as the response `id`. What followed in another
    /// continuation of the same response is dropped.
    pub fn keep(&mut self, turn: Turn, id: &str, output: String) {
        let Some(continues) = turn.continues else { return };
        self.parts.truncate(continues);
        self.responses.retain(|kept| kept.parts <= continues && kept.id != id);
        self.parts.extend([turn.input, output.into()].into_iter().filter(|part| !part.is_empty()));
        self.size = self.parts.iter().map(|part| part.len()).sum();
        if self.size > self.limit {
            self.clear();
            return;
        }
        if self.responses.len() == MOST_RESPONSES {
            self.responses.pop_front();
        }
        self.responses.push_back(KeptResponse { id: id.to_owned(), parts: self.parts.len() });
    }

    /// Forgets everything: the client must send all items again.
    pub fn clear(&mut self) {
        self.parts = vec![];
        self.responses = VecDeque::new();
        self.size = 0;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::ClientEvent;
    use super::*;

    fn turn(conversation: &Conversation, frame: &Value) -> Result<Turn, FrameError> {
        match ClientEvent::read(&frame.to_string()).unwrap() {
            ClientEvent::Create(create) => conversation.turn(&create),
            other @ (ClientEvent::Steer(_) | ClientEvent::Processed) => panic!("not a request: {other:?}"),
        }
    }

    fn frame(previous: Option<&str>, input: &Value) -> Value {
        json!({"type": "response.create", "model": "m", "store": false, "previous_response_id": previous, "input": input})
    }

    fn body(turn: &Turn) -> Value {
        serde_json::from_slice(&turn.body).unwrap()
    }

    /// Sends `input` after `previous`, and keeps `output` as the response `id`. Returns the input of the request.
    fn exchange(
        conversation: &mut Conversation,
        previous: Option<&str>,
        input: &Value,
        (id, output): (&str, &str),
    ) -> Value {
        let turn = turn(conversation, &frame(previous, input)).unwrap();
        let sent = body(&turn)["input"].clone();
        conversation.keep(turn, id, output.to_owned());
        sent
    }

    #[test]
    fn a_request_has_all_items_of_the_conversation() {
        let mut kept = Conversation::new(1000);
        assert_eq!(
            exchange(&mut kept, None, &json!("hi"), ("w", "")),
            json!([{"role": "user", "content": "hi"}])
        );
        assert_eq!(exchange(&mut kept, Some("w"), &json!([]), ("a", "2,3")).as_array().unwrap().len(), 1);
        let expected = json!([{"role": "user", "content": "hi"}, 2, 3, 4]);
        assert_eq!(exchange(&mut kept, Some("a"), &json!([4]), ("b", "5")), expected);
        let turn = turn(&kept, &frame(Some("b"), &json!([6, 7]))).unwrap();
        let expected = json!([{"role": "user", "content": "hi"}, 2, 3, 4, 5, 6, 7]);
        assert_eq!(body(&turn), json!({"model": "m", "store": false, "stream": true, "input": expected}));
    }

    #[test]
    fn an_earlier_response_can_be_continued_and_a_new_conversation_replaces_the_old_one() {
        let mut kept = Conversation::new(1000);
        exchange(&mut kept, None, &json!([1]), ("a", "2"));
        exchange(&mut kept, Some("a"), &json!([3]), ("b", "4"));
        assert_eq!(exchange(&mut kept, Some("a"), &json!([5]), ("c", "6")), json!([1, 2, 5]));
        assert!(turn(&kept, &frame(Some("b"), &json!([]))).is_err(), "its items are dropped");
        assert_eq!(exchange(&mut kept, Some("c"), &json!([7]), ("d", "")), json!([1, 2, 5, 6, 7]));
        assert_eq!(exchange(&mut kept, None, &json!([8]), ("e", "9")), json!([8]));
        assert!(turn(&kept, &frame(Some("d"), &json!([]))).is_err());
        assert_eq!(kept.size(), 2);
    }

    #[test]
    fn an_unknown_response_is_refused_with_the_code_that_clients_recognise_unless_the_provider_may_have_it() {
        let kept = Conversation::new(1000);
        let error = turn(&kept, &frame(Some("x"), &json!([1]))).unwrap_err();
        assert_eq!(error.code, Some("previous_response_not_found"));
        let mut stored = frame(Some("x"), &json!([1]));
        stored["store"] = Value::Null;
        let turn = turn(&kept, &stored).unwrap();
        assert_eq!(body(&turn)["previous_response_id"], "x");
        let mut kept = kept;
        kept.keep(turn, "y", "2".to_owned());
        assert_eq!(kept.size(), 0, "the items before it are unknown");
    }

    #[test]
    fn what_exceeds_the_bounds_is_forgotten() {
        let mut kept = Conversation::new(8);
        exchange(&mut kept, None, &json!([1]), ("a", "2"));
        exchange(&mut kept, Some("a"), &json!([1234567]), ("b", "3"));
        assert_eq!(kept.size(), 0);
        assert!(turn(&kept, &frame(Some("a"), &json!([]))).is_err());
        let mut kept = Conversation::new(1 << 20);
        exchange(&mut kept, None, &json!([0]), ("0", ""));
        for number in 1..=MOST_RESPONSES {
            let previous = (number - 1).to_string();
            exchange(&mut kept, Some(&previous), &json!([number]), (&number.to_string(), ""));
        }
        assert!(turn(&kept, &frame(Some("0"), &json!([]))).is_err());
        let last = turn(&kept, &frame(Some("256"), &json!([]))).unwrap();
        assert_eq!(body(&last)["input"].as_array().unwrap().len(), MOST_RESPONSES + 1);
    }
}
