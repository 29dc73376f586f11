//! Properties of every stream with text, thinking and tool calls in pieces: everything arrives, and nothing else.

use std::collections::VecDeque;

use serde_json::{Value, json};
use vandamme_protocol::convert::upstream::chat::PLAIN;

use crate::reply::{Asked, context, message, streamed};

/// How an upstream marks the call that a piece belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Addressing {
    /// Like OpenAI: index always, id and name once.
    Index,
    /// Index, id and name in every piece.
    Everything,
    /// A new id in every piece, as some vendors generate it.
    PassingIds,
    /// Like OpenAI, but the arguments begin with a placeholder and are repeated at the end.
    Placeholder,
    /// Like OpenAI, but every piece of the arguments repeats all earlier ones.
    Growing,
}

/// The content of an upstream's reply, and its pieces.
#[derive(Debug, Default)]
struct Play {
    data: Vec<Value>,
    text: String,
    thoughts: String,
    /// Names and arguments, in order of appearance.
    calls: Vec<(String, Value)>,
}

/// Runs the stream that these bytes describe, and checks the result.
pub(crate) fn check(bytes: &[u8]) {
    let mut script = Script(bytes);
    let addressing = match script.byte() % 5 {
        0 => Addressing::Index,
        1 => Addressing::Everything,
        2 => Addressing::PassingIds,
        3 => Addressing::Placeholder,
        _ => Addressing::Growing,
    };
    let play = play(&mut script, addressing);
    let mut wire: String = play.data.iter().map(|data| format!("data: {data}\n\n")).collect();
    wire.push_str(
        "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n",
    );
    let (events, outcome) = streamed(&[wire.as_bytes()], &context(Asked::ForThinking, &PLAIN));
    assert_eq!(outcome.fault, None);
    let message = message(&events).expect("no fault, no error");
    // Only white space inside of blocks arrives.
    let words = |text: &str| -> String { text.split_whitespace().collect() };
    assert_eq!(words(&joined(&message, "text")), words(&play.text));
    assert_eq!(joined(&message, "thinking"), play.thoughts);
    let blocks = message["content"].as_array().expect("checked").iter();
    let calls: Vec<_> = blocks
        .filter(|block| block["type"] == "tool_use")
        .map(|block| (block["name"].as_str().expect("checked").to_owned(), block["input"].clone()))
        .collect();
    assert_eq!(calls, play.calls);
    assert_eq!(outcome.tool_calls as usize, play.calls.len());
}

fn joined(message: &Value, kind: &str) -> String {
    let blocks = message["content"].as_array().expect("checked").iter().filter(|block| block["type"] == kind);
    blocks.map(|block| block[kind].as_str().expect("checked")).collect()
}

/// The fuzzer's bytes, read as decisions. After their end all are 0.
struct Script<'a>(&'a [u8]);

impl Script<'_> {
    fn byte(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        first
    }

    fn text(&mut self) -> String {
        let length = usize::from(self.byte() % 32).min(self.0.len());
        let (text, rest) = self.0.split_at(length);
        self.0 = rest;
        String::from_utf8_lossy(text).into_owned()
    }
}

const MOST_CALLS: u8 = 4;

fn play(script: &mut Script<'_>, addressing: Addressing) -> Play {
    let mut play = Play::default();
    let mut waiting: Vec<VecDeque<Value>> = Vec::new();
    let mut numbers: Vec<u8> = Vec::new();
    while !script.0.is_empty() {
        match script.byte() % 8 {
            0 => {
                let text = script.text();
                play.text.push_str(&text);
                play.data.push(delta(json!({"content": text})));
            }
            1 => {
                let text = script.text();
                play.thoughts.push_str(&text);
                play.data.push(delta(json!({"reasoning_content": text})));
            }
            2 if numbers.len() < usize::from(MOST_CALLS) => {
                let number = u8::try_from(numbers.len()).expect("a few");
                let (call, pieces) = call(script, (number, addressing));
                play.calls.push(call);
                numbers.push(number);
                waiting.push(pieces);
                say(&mut play, &mut waiting, usize::from(number));
            }
            _ if !waiting.is_empty() => {
                let at = usize::from(script.byte()) % waiting.len();
                say(&mut play, &mut waiting, at);
            }
            _ => {}
        }
    }
    for at in 0..waiting.len() {
        while !waiting[at].is_empty() {
            say(&mut play, &mut waiting, at);
        }
    }
    play
}

fn say(play: &mut Play, waiting: &mut [VecDeque<Value>], at: usize) {
    let piece = waiting[at].pop_front();
    play.data.extend(piece.map(|piece| delta(json!({"tool_calls": [piece]}))));
}

/// A call, and its pieces.
fn call(
    script: &mut Script<'_>,
    (number, addressing): (u8, Addressing),
) -> ((String, Value), VecDeque<Value>) {
    let name = format!("tool_{number}");
    let input = json!({script.text(): [script.text(), number]});
    let arguments = input.to_string();
    let placeholder = if let Addressing::Placeholder = addressing { "{}" } else { "" };
    let mut pieces = VecDeque::from([piece((number, 0, addressing), placeholder)]);
    let mut rest = arguments.as_str();
    while !rest.is_empty() {
        let length = usize::from(script.byte() % 16 + 1).min(rest.len());
        // If an object can begin, one that begins like the whole is indistinguishable from the whole.
        let is_clear = |at: &usize| {
            rest.is_char_boundary(*at)
                && (addressing != Addressing::Growing || !rest[..*at].ends_with([':', '[']))
        };
        let length = (length..=rest.len()).find(is_clear).unwrap_or(rest.len());
        let (front, back) = rest.split_at(length);
        let said = match addressing {
            Addressing::Growing => &arguments[..arguments.len() - back.len()],
            Addressing::Index | Addressing::Everything | Addressing::PassingIds | Addressing::Placeholder => {
                front
            }
        };
        pieces.push_back(piece((number, pieces.len(), addressing), said));
        rest = back;
    }
    if addressing == Addressing::Placeholder {
        pieces.push_back(piece((number, pieces.len(), addressing), &arguments));
    }
    ((name, input), pieces)
}

fn piece((call, number, addressing): (u8, usize, Addressing), arguments: &str) -> Value {
    let name = format!("tool_{call}");
    match (addressing, number) {
        (Addressing::Index | Addressing::Placeholder | Addressing::Growing, 0)
        | (Addressing::Everything, _) => {
            json!({"index": call, "id": format!("call_{call}"), "function": {"name": name, "arguments": arguments}})
        }
        (Addressing::Index | Addressing::Placeholder | Addressing::Growing, _) => {
            json!({"index": call, "function": {"arguments": arguments}})
        }
        (Addressing::PassingIds, 0) => {
            json!({"index": call, "id": "x0", "function": {"name": name, "arguments": arguments}})
        }
        (Addressing::PassingIds, _) => {
            json!({"index": call, "id": format!("x{number}"), "function": {"arguments": arguments}})
        }
    }
}

fn delta(delta: Value) -> Value {
    json!({"choices": [{"index": 0, "delta": delta}]})
}
