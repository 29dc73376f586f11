//! The script for an upstream that calls two tools in parallel and answers both results with a text, in each API, streamed
//! or whole as the request asks.

use serde_json::{Value, json};

use crate::script::{self, fragments, list, words};
use crate::steps::of_responses;
use crate::support::canned::{anthropic, openai, responses};
use crate::support::upstream::{Answer, Dialect, Seen, Upstream};

/// Ids and tools, in the order of the calls.
const CALLS: [(&str, &str); 2] = [("toolu_01Weather", "get_weather"), ("toolu_02Time", "get_time")];
const FIRST_WORDS: &str = "Let me look.";
const LAST_WORDS: &str = "Sunny, and noon.";

/// The arguments of the calls, with characters that encodings often break.
pub(crate) fn inputs() -> [Value; 2] {
    let zones = json!(["Europe/Zurich", {"offset": -2.5, "summer": null, "dry": true}, []]);
    [json!({"city": "Genève \"Cornavin\" \\ 🌹\n"}), json!({"zones": zones})]
}

pub(crate) fn played_by(upstream: Upstream) -> Upstream {
    let dialect = upstream.dialect();
    upstream.ruled_by(move |seen| {
        let request = script::body(seen);
        Some(if seen.is_of_responses() { responses_answer(&request) } else { answer(dialect, &request) })
    })
}

fn responses_answer(request: &Value) -> Answer {
    let items = if is_second_turn(request) {
        vec![responses::message(LAST_WORDS)]
    } else {
        let calls = CALLS.iter().zip(inputs());
        let calls = calls.map(|((id, name), input)| responses::function_call(id, name, &input));
        std::iter::once(responses::message(FIRST_WORDS)).chain(calls).collect()
    };
    of_responses(request, &items)
}

fn answer(dialect: Dialect, request: &Value) -> Answer {
    let streamed = request["stream"] == true;
    match (dialect, is_second_turn(request), streamed) {
        (Dialect::Anthropic, false, true) => Answer::events(messages_events()),
        (Dialect::Anthropic, false, false) => Answer::json(200, messages_whole()),
        (Dialect::Anthropic, true, true) => Answer::events(anthropic::text(&words(LAST_WORDS))),
        (Dialect::Anthropic, true, false) => Answer::json(200, anthropic::whole(LAST_WORDS)),
        (Dialect::OpenAi, false, true) => Answer::events(chat_chunks()),
        (Dialect::OpenAi, false, false) => Answer::json(200, chat_whole()),
        (Dialect::OpenAi, true, true) => Answer::events(openai::text(&words(LAST_WORDS))),
        (Dialect::OpenAi, true, false) => Answer::json(200, openai::whole(LAST_WORDS)),
    }
}

fn messages_events() -> Vec<Vec<u8>> {
    let text = json!({"type": "text", "text": ""});
    let mut events = vec![anthropic::start(), anthropic::block_start(0, &text)];
    events.extend(words(FIRST_WORDS).iter().map(|word| anthropic::text_delta(word)));
    events.push(anthropic::block_stop(0));
    for (index, ((id, name), input)) in (1..).zip(CALLS.iter().zip(inputs())) {
        let call = json!({"type": "tool_use", "id": id, "name": name, "input": {}});
        events.push(anthropic::block_start(index, &call));
        events.extend(fragments(&input).iter().map(|fragment| {
            anthropic::delta(index, &json!({"type": "input_json_delta", "partial_json": fragment}))
        }));
        events.push(anthropic::block_stop(index));
    }
    events.extend(anthropic::end("tool_use"));
    events
}

fn messages_whole() -> String {
    let mut content = vec![json!({"type": "text", "text": FIRST_WORDS})];
    content.extend(
        CALLS
            .iter()
            .zip(inputs())
            .map(|((id, name), input)| json!({"type": "tool_use", "id": id, "name": name, "input": input})),
    );
    json!({"id": "msg_01TwoCalls", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5-20250929",
           "content": content, "stop_reason": "tool_use", "stop_sequence": null,
           "usage": {"input_tokens": 11, "output_tokens": 9}})
    .to_string()
}

fn chat_chunks() -> Vec<Vec<u8>> {
    let mut chunks: Vec<_> = words(FIRST_WORDS).iter().map(|word| openai::content(word)).collect();
    for (index, ((id, name), input)) in CALLS.iter().zip(inputs()).enumerate() {
        let function = json!({"name": name, "arguments": ""});
        chunks
            .push(openai::tool(&json!({"index": index, "id": id, "type": "function", "function": function})));
        chunks.extend(
            fragments(&input)
                .iter()
                .map(|fragment| openai::tool(&json!({"index": index, "function": {"arguments": fragment}}))),
        );
    }
    openai::stream(chunks, "tool_calls")
}

fn chat_whole() -> String {
    let calls = CALLS.iter().zip(inputs()).map(|((id, name), input)| {
        json!({"id": id, "type": "function", "function": {"name": name, "arguments": input.to_string()}})
    });
    let calls: Vec<Value> = calls.collect();
    let message = json!({"role": "assistant", "content": FIRST_WORDS, "tool_calls": calls});
    openai::completion(&message, "tool_calls")
}

fn is_second_turn(request: &Value) -> bool {
    list(&request["messages"]).len() > 1 || list(&request["input"]).len() > 1
}

/// Checks the number of second turns, each with both calls and both results in the upstream's API.
pub(crate) fn expect_second_turns(upstream: &Upstream, turns: usize) {
    let requests = upstream.requests();
    let is_second = |seen: &&Seen| is_second_turn(&script::body(seen));
    let seconds: Vec<&Seen> = requests.iter().filter(is_second).collect();
    assert_eq!(seconds.len(), turns);
    for seen in seconds {
        let body = script::body(seen);
        match upstream.dialect() {
            Dialect::Anthropic => expect_messages(&body),
            Dialect::OpenAi if seen.is_of_responses() => expect_responses(&body),
            Dialect::OpenAi => expect_chat(&body),
        }
    }
}

fn expect_responses(body: &Value) {
    let items = list(&body["input"]);
    let of = |kind: &'static str| items.iter().filter(move |item| item["type"] == kind);
    let (calls, results): (Vec<_>, Vec<_>) =
        (of("function_call").collect(), of("function_call_output").collect());
    assert_eq!((calls.len(), results.len()), (2, 2), "{body}");
    assert!(
        items.iter().any(|item| item["role"] == "assistant" && item.to_string().contains(FIRST_WORDS)),
        "{body}"
    );
    for (at, ((id, name), input)) in CALLS.iter().zip(inputs()).enumerate() {
        let (call, result) = (calls[at], results[at]);
        assert_eq!((&call["call_id"], &call["name"]), (&json!(id), &json!(name)), "{body}");
        let arguments = call["arguments"].as_str().expect("a string of JSON");
        assert_eq!(serde_json::from_str::<Value>(arguments).expect("JSON"), input);
        assert_eq!(
            (&result["call_id"], &result["output"]),
            (&json!(id), &json!(format!("of {name}"))),
            "{body}"
        );
    }
}

fn expect_messages(body: &Value) {
    let messages = list(&body["messages"]);
    assert_eq!(messages.len(), 3, "{body}");
    let (calls, results) = (list(&messages[1]["content"]), list(&messages[2]["content"]));
    assert_eq!((calls.len(), results.len()), (3, 2), "{body}");
    assert_eq!(calls[0]["text"], FIRST_WORDS, "{body}");
    for (at, ((id, name), input)) in CALLS.iter().zip(inputs()).enumerate() {
        let (call, result) = (&calls[at + 1], &results[at]);
        assert_eq!((&call["id"], &call["name"], &call["input"]), (&json!(id), &json!(name), &input));
        assert_eq!(result["tool_use_id"], *id, "{body}");
        assert_eq!(result["content"], format!("of {name}"), "{body}");
    }
}

fn expect_chat(body: &Value) {
    let messages = list(&body["messages"]);
    assert_eq!(messages.len(), 4, "{body}");
    let (calls, results) = (list(&messages[1]["tool_calls"]), &messages[2..]);
    assert_eq!(calls.len(), 2, "{body}");
    assert_eq!(messages[1]["content"], FIRST_WORDS, "{body}");
    for (at, ((id, name), input)) in CALLS.iter().zip(inputs()).enumerate() {
        let (call, result) = (&calls[at], &results[at]);
        assert_eq!((&call["id"], &call["function"]["name"]), (&json!(id), &json!(name)), "{body}");
        let arguments = call["function"]["arguments"].as_str().expect("a string of JSON");
        assert_eq!(serde_json::from_str::<Value>(arguments).expect("JSON"), input);
        assert_eq!((&result["role"], &result["tool_call_id"]), (&json!("tool"), &json!(id)), "{body}");
        assert_eq!(result["content"], format!("of {name}"), "{body}");
    }
}
