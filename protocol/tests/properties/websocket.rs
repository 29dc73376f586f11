//! Properties of conversations over a WebSocket, compared with a parser: a request has the items of the conversation that it
//! continues, then its own; a reply passes unchanged.

use std::collections::HashMap;

use serde_json::{Map, Value};
use vandamme_protocol::responses_websocket::{
    ClientEvent, Conversation, CreateFrame, EventFrame, Generation, ReplyFrames, Turn, WarmUp,
};

/// The most bytes that the conversation keeps.
const LIMIT: usize = 4096;

type Object = Map<String, Value>;

/// Checks a conversation of one line each: frames of the client after `>`, and the data of the reply's events otherwise.
pub(crate) fn check(bytes: &[u8]) {
    let mut checked = Checked {
        conversation: Conversation::new(LIMIT),
        items: HashMap::new(),
        reply: None,
        last: None,
        turns: 0,
    };
    for line in bytes.split(|byte| *byte == b'\n') {
        match line.strip_prefix(b">") {
            Some(frame) => checked.client(frame),
            None => checked.event(line),
        }
    }
    checked.end_reply();
}

/// A conversation, and what it must be.
struct Checked {
    conversation: Conversation,
    /// The items up to each response, where a parser can read them.
    items: HashMap<String, Option<Vec<Value>>>,
    reply: Option<Reply>,
    /// The response that was kept last.
    last: Option<String>,
    turns: u128,
}

struct Reply {
    turn: Turn,
    input: Option<Vec<Value>>,
    frames: ReplyFrames,
}

impl Checked {
    fn client(&mut self, frame: &[u8]) {
        self.end_reply();
        let Ok(text) = std::str::from_utf8(frame) else { return };
        let parsed: Option<Object> = serde_json::from_str(text).ok();
        match ClientEvent::read(text) {
            Ok(ClientEvent::Create(create)) => self.create(&create, parsed),
            Ok(ClientEvent::Steer(steer)) => {
                if parsed.is_some() {
                    let failed: Value = serde_json::from_slice(&steer.failed()).expect("JSON");
                    assert_eq!(failed["type"], "response.steer.failed");
                }
            }
            Ok(ClientEvent::Processed) => {}
            Err(error) => {
                let frame: Value = serde_json::from_slice(&error.frame()).expect("JSON");
                assert_eq!((&frame["type"], &frame["status"]), (&"error".into(), &400.into()));
            }
        }
    }

    fn create(&mut self, create: &CreateFrame<'_>, frame: Option<Object>) {
        let previous = frame.as_ref().and_then(|frame| frame.get("previous_response_id")?.as_str());
        let turn = match self.conversation.turn(create) {
            Ok(turn) => turn,
            Err(error) => {
                assert_eq!(error.code, Some("previous_response_not_found"));
                let is_kept =
                    self.conversation.size() > 0 && previous.is_some() && previous == self.last.as_deref();
                assert!(!is_kept, "the last response can be continued");
                return;
            }
        };
        let input = frame.as_ref().and_then(|frame| self.input(frame, previous, &turn));
        if create.generation == Generation::WarmUp {
            let warm_up = WarmUp::new(create, self.turns, 0);
            self.turns += 1;
            for frame in &warm_up.frames {
                serde_json::from_slice::<Value>(frame).expect("JSON");
            }
            self.keep(turn, input, (warm_up.id, String::new()));
            return;
        }
        self.reply = Some(Reply { turn, input, frames: ReplyFrames::new(LIMIT) });
    }

    /// The items of a request, if a parser can read all of them.
    fn input(&self, frame: &Object, previous: Option<&str>, turn: &Turn) -> Option<Vec<Value>> {
        let earlier = match previous {
            None => vec![],
            Some(id) => self.items.get(id)?.clone()?,
        };
        let new = match frame.get("input") {
            None | Some(Value::Null) => vec![],
            Some(Value::String(text)) => vec![serde_json::json!({"role": "user", "content": text})],
            Some(Value::Array(items)) => items.clone(),
            Some(other) => panic!("refused: {other}"),
        };
        let expected = [earlier, new].concat();
        let body: Object =
            serde_json::from_slice(&turn.body).expect("what was parsed is valid in another place");
        if !body.contains_key("previous_response_id") {
            assert_eq!(body["input"], Value::Array(expected.clone()));
        }
        assert_eq!(body["stream"], true);
        let own = ["type", "generate", "input", "previous_response_id", "stream"];
        let others = |object: &Object| {
            let mut others = object.clone();
            others.retain(|name, _| !own.contains(&name.as_str()));
            others
        };
        assert_eq!(others(&body), others(frame), "the other members are the client's");
        Some(expected)
    }

    fn event(&mut self, data: &[u8]) {
        let Some(reply) = &mut self.reply else { return };
        let parsed: Option<Value> = serde_json::from_slice(data).ok();
        let ended = reply.frames.has_ended();
        match reply.frames.frame(data) {
            EventFrame::Nothing => assert!(ended || data.trim_ascii() == b"[DONE]"),
            EventFrame::Text(_) if ended => panic!("a frame behind the last one"),
            EventFrame::Text(text) if &*text == data => {}
            EventFrame::Text(text) => {
                assert!(reply.frames.has_ended());
                if parsed.is_some() {
                    let frame: Value = serde_json::from_slice(&text).expect("JSON");
                    assert!(frame["type"] == "error" && frame["error"].is_object(), "{frame}");
                    assert!(frame["status"].as_u64().is_some_and(|status| (400..600).contains(&status)));
                }
            }
        }
        assert!(!ended || reply.frames.has_ended(), "an end is final");
    }

    fn end_reply(&mut self) {
        let Some(Reply { turn, input, frames }) = self.reply.take() else { return };
        if let Some(response) = frames.finish() {
            self.keep(turn, input, response);
        }
    }

    fn keep(&mut self, turn: Turn, input: Option<Vec<Value>>, (id, output): (String, String)) {
        let output: Option<Vec<Value>> = serde_json::from_str(&format!("[{output}]")).ok();
        self.conversation.keep(turn, &id, output_text(&output));
        assert!(self.conversation.size() <= LIMIT);
        let items = input.zip(output).map(|(input, output)| [input, output].concat());
        self.items.insert(id.clone(), items);
        self.last = Some(id);
    }
}

fn output_text(items: &Option<Vec<Value>>) -> String {
    let texts = items.iter().flatten().map(Value::to_string);
    texts.collect::<Vec<_>>().join(",")
}
