//! The replies that clients receive: the upstream's bytes.

use serde_json::json;

use super::{ask, ask_whole, call, impatient, streamed_before, whole_before};
use crate::support::canned::openai;
use crate::support::chat::{self, Chat, Error};
use crate::support::gateway::{Gateway, MODEL};
use crate::support::upstream::{Answer, Ending, Piece, Upstream};

/// Requirement: SSE bytes to the client equal the upstream's; official SDK yields all events.
/// Requirement: Stream frames end with a blank line; official OpenAI SDK reads all chunks; `[DONE]` last.
#[test]
fn a_streamed_reply_is_byte_identical() {
    for events in
        [openai::text(&["Hé", "llo\u{1F600}"]), openai::tool_call(), openai::reasoning(), odd_stream()]
    {
        let reply = streamed_before(Answer::events(events.clone()));
        assert_eq!(reply.raw(), String::from_utf8(events.concat()).expect("text"));
        assert!(reply.complete && reply.is_stream());
    }
}

/// Rare but valid framing, which must be preserved: comments, CRLF, spaces, unknown fields and events, chunks
/// without choices, unknown members.
fn odd_stream() -> Vec<Vec<u8>> {
    let said = [
        ": OPENROUTER PROCESSING\n\n",
        "data:{\"choices\":[],\"prompt_filter_results\":[{\"prompt_index\":0}],\"obfuscation\":\"aVc\"}\n\n",
        "id: 7\nretry: 10\nevent: from_the_future\ndata: {\ndata: }\n\n",
        "data: { \"choices\" : [ {\"delta\":{\"content\":\"a\",\"reasoning_content\":\"\"}, \"index\":0} ] }\r\n\r\n",
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\"},\"finish_reason\":\"stop\"}],\"usage\":null}\n\n",
        "data: {\"x_groq\":{\"usage\":{\"total_time\":0.1}},\"choices\":[],\"usage\":{\"prompt_tokens\":1.0}}\n\n",
        "data: [DONE]\n\n",
    ];
    said.map(|event| event.as_bytes().to_vec()).to_vec()
}

#[test]
fn a_streamed_reply_is_byte_identical_wherever_its_bytes_are_split() {
    let answer = Answer::events(openai::text(&["Hé\u{1F600}"]));
    assert_eq!(streamed_before(answer.clone().byte_by_byte()).body, answer.body());
}

#[test]
fn a_chunk_is_delivered_as_soon_as_it_is_complete() {
    let events = openai::text(&["a", "b"]);
    let pieces = events.iter().flat_map(|event| [Piece::Bytes(event.clone()), Piece::Permit]).collect();
    let upstream = Upstream::openai().always(Answer::pieces(pieces));
    let gateway = impatient(&upstream).start();
    let mut exchange = call(&gateway, &chat::prompt_with_usage(MODEL, "hi")).open();
    for event in &events {
        assert_eq!(exchange.event().expect("an event").raw.as_bytes(), event.as_slice());
        upstream.permit();
    }
    assert!(exchange.finish().complete);
}

#[test]
fn a_whole_reply_is_byte_identical() {
    let odd = "{ \"id\":\"x\", \"choices\":[{\"index\":0,\"finish_reason\":\"stop\",\"message\":{\"role\":\"assistant\",\
               \"content\":\"\\u0048\\/\",\"reasoning_content\":\"r\",\"annotations\":[],\"extra_content\":{}}}],\n\
               \"usage\":{\"prompt_tokens\":1.0,\"total_tokens\":1E2}, \"model\":\"gpt-4o-2024-11-20\",\"x\":null }\n";
    for body in [odd.to_owned(), openai::whole("Hé \"quoted\"")] {
        let reply = whole_before(Answer::json(200, body.clone()));
        assert_eq!((reply.status(), reply.raw()), (200, body.clone()));
        assert_eq!(reply.header("content-length"), Some(body.len().to_string().as_str()));
        assert_eq!(reply.header("content-type"), Some("application/json"));
    }
}

#[test]
fn json_instead_of_a_stream_becomes_a_stream_here_too() {
    let upstream = Upstream::openai().always(Answer::json(200, openai::whole("whole")));
    let gateway = impatient(&upstream).start();
    for (body, tells_usage) in
        [(chat::prompt_with_usage(MODEL, "hi"), true), (chat::prompt(MODEL, "hi"), false)]
    {
        let reply = call(&gateway, &body).reply();
        assert_eq!(chat::text(&reply), "whole");
        assert_eq!(
            Chat::of(&reply).chunks.iter().any(|chunk| chunk["usage"].is_object()),
            tells_usage,
            "{reply}"
        );
    }
    let totals = gateway.get("/metrics/running-totals").raw();
    assert!(totals.contains("total_output_tokens: 40"), "{totals}");
    assert_eq!(Error::of(&streamed_before(Answer::json(200, "{}"))).kind, "server_error");
}

#[test]
fn a_stream_instead_of_json_is_collected_here_too() {
    for answer in [Answer::events(openai::tool_call()), Answer::events(openai::tool_call()).byte_by_byte()] {
        let reply = whole_before(answer);
        assert_eq!(
            (reply.status(), reply.header("content-type")),
            (200, Some("application/json")),
            "{reply}"
        );
        let completion = reply.json();
        let choice = &completion["choices"][0];
        assert_eq!(choice["message"]["tool_calls"][0]["function"]["arguments"], "{\"city\": \"Genève\"}");
        assert_eq!(
            (&choice["finish_reason"], &completion["usage"]["total_tokens"]),
            (&json!("tool_calls"), &json!(120))
        );
    }
    let cut = openai::text(&["Hel", "lo"])[..3].to_vec();
    assert_eq!(whole_before(Answer::events(cut)).status(), 502);
}

/// Requirement: Upstream error status, body and `retry-after`, `request-id` reach the client unchanged.
#[test]
fn headers_about_the_upstream_reach_the_client() {
    let passed = [
        ("x-request-id", "req_upstream"),
        ("openai-processing-ms", "12"),
        ("openai-organization", "org-1"),
        ("x-ratelimit-remaining-tokens", "149984"),
        ("x-should-retry", "false"),
    ];
    let with =
        |answer: Answer| passed.iter().fold(answer, |answer, (name, value)| answer.header(name, value));
    let replies = [
        streamed_before(with(Answer::events(openai::text(&["a"])))),
        whole_before(with(Answer::json(200, openai::whole("a")))),
        whole_before(with(Answer::json(400, openai::error("no", "x", "y")))),
    ];
    for reply in replies {
        for (name, value) in passed {
            assert_eq!((reply.header(name), reply.head.count(name)), (Some(value), 1), "{name}: {reply}");
        }
    }
}

#[test]
fn the_request_id_is_added_if_the_upstream_sent_none() {
    let replies = [
        streamed_before(Answer::events(openai::text(&["a"]))),
        whole_before(Answer::json(200, openai::whole("a"))),
        whole_before(Answer::json(400, openai::error("no", "x", "y"))),
    ];
    for reply in replies {
        let name = reply.header("request-id").expect("a name");
        assert_eq!(
            (reply.header("x-request-id"), reply.head.count("x-request-id")),
            (Some(name), 1),
            "{reply}"
        );
    }
}

#[test]
fn hop_by_hop_headers_and_cookies_of_the_upstream_are_not_forwarded() {
    let answer = Answer::events(openai::text(&["a"]))
        .header("set-cookie", "__cf_bm=1")
        .header("keep-alive", "timeout=1")
        .header("strict-transport-security", "max-age=1")
        .header("server", "cloudflare");
    let reply = streamed_before(answer);
    for name in ["set-cookie", "keep-alive", "strict-transport-security", "server"] {
        assert_eq!(reply.header(name), None, "{reply}");
    }
    assert_eq!(chat::text(&reply), "a");
}

/// Deviates from the original ("SSE answers carry the five headers"): no CORS headers; the others are there.
#[test]
fn a_stream_has_headers_against_caching_and_buffering() {
    let reply = streamed_before(Answer::events(openai::text(&["a"])));
    assert_eq!(reply.header("cache-control"), Some("no-cache"));
    assert_eq!(reply.header("x-accel-buffering"), Some("no"));
    assert!(reply.header("request-id").is_some(), "{reply}");
}

#[test]
fn a_200_that_is_neither_events_nor_json_is_a_502() {
    let pages = [
        Answer::whole(200, "text/html", "<html><title>Please log in</title>internals</html>"),
        Answer::whole(200, "application/json", "{\"id\": \"chatcmpl-1\", internals"),
        Answer::json(200, ""),
    ];
    for page in pages {
        for reply in [streamed_before(page.clone()), whole_before(page)] {
            assert_eq!(reply.status(), 502, "{reply}");
            assert_eq!(Error::of(&reply).words(), ("server_error", None));
            assert!(!reply.raw().contains("internals"), "{reply}");
        }
    }
}

#[test]
fn a_truncated_whole_reply_is_a_502_and_not_half_a_completion() {
    let body = openai::whole("Hello");
    let broken = [
        Answer::json(200, body.clone()).broken_after(40, Ending::Cut),
        Answer::json(200, body.clone()).broken_after(40, Ending::Reset),
        Answer::json(200, body[..40].to_owned()).until_close(),
    ];
    for answer in broken {
        let reply = whole_before(answer);
        assert_eq!(reply.status(), 502, "{reply}");
        assert_eq!(Error::of(&reply).words(), ("server_error", None));
    }
}

#[test]
fn an_error_body_with_status_200_is_an_error() {
    let said = json!({"error": {"message": "Rate limited, slow down", "code": 429}}).to_string();
    let reply = whole_before(Answer::json(200, said));
    assert_eq!(reply.status(), 429, "{reply}");
    let error = Error::of(&reply);
    assert_eq!(error.words(), ("rate_limit_error", Some("rate_limit_exceeded")));
    assert_eq!(error.message, "Rate limited, slow down");
}

#[test]
fn a_refusal_and_an_empty_answer_are_valid_answers() {
    let message = json!({"role": "assistant", "content": null, "refusal": "No."});
    let body = openai::completion(&message, "content_filter");
    let reply = whole_before(Answer::json(200, body.clone()));
    assert_eq!((reply.status(), reply.raw()), (200, body));
    let events = openai::stream(vec![], "content_filter");
    assert_eq!(streamed_before(Answer::events(events.clone())).body, events.concat());
}

#[test]
fn the_demo_answers_at_this_endpoint_too() {
    let gateway = Gateway::bare().start();
    for reply in [ask(&gateway), ask_whole(&gateway)] {
        assert!(chat::text(&reply).to_lowercase().contains("demo"), "{reply}");
        assert!(reply.header("x-vdm-demo").is_some(), "{reply}");
    }
}
