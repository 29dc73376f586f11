//! One reply in every slicing: the same bytes, the same end.

use proptest::collection::vec;
use proptest::prelude::*;
use vandamme_protocol::convert::client::responses::{ResponsesClientContext, ResponsesEncoder};
use vandamme_protocol::convert::client::{chat::ChatEncoder, messages::MessagesEncoder};
use vandamme_protocol::convert::passthrough::{ChatTap, MessagesTap, ResponsesTap};
use vandamme_protocol::convert::upstream::responses::{ResponsesDecoder, ResponsesReplyContext};
use vandamme_protocol::convert::upstream::{chat::ChatDecoder, messages::MessagesDecoder};
use vandamme_protocol::convert::{Transcoder, client, upstream};
use vandamme_protocol::request::UsageAsked;
use vandamme_protocol::vocabulary::ErrorKind;

use super::*;

/// From one client API to one upstream API.
type Way = (Api, Api);

const WAYS: [Way; 9] = [
    (Api::Messages, Api::Messages),
    (Api::Messages, Api::ChatCompletions),
    (Api::ChatCompletions, Api::ChatCompletions),
    (Api::ChatCompletions, Api::Messages),
    (Api::Responses, Api::Responses),
    (Api::Messages, Api::Responses),
    (Api::ChatCompletions, Api::Responses),
    (Api::Responses, Api::Messages),
    (Api::Responses, Api::ChatCompletions),
];

fn flow((client, upstream): Way, integrity: Integrity) -> Flow {
    let codec: Box<dyn ReplyCodec> = match (client, upstream) {
        (Api::Messages, Api::Messages) => Box::new(MessagesTap::new()),
        (Api::ChatCompletions, Api::ChatCompletions) => Box::new(ChatTap::new(UsageAsked::ByGateway)),
        (Api::Messages, Api::ChatCompletions) => {
            Box::new(Transcoder::new(chat_decoder(), MessagesEncoder::new()))
        }
        (Api::ChatCompletions, Api::Messages) => {
            let target = client::chat::MessagesUpstream { provider: "p", model: "m", requested_model: "m" };
            let body = br#"{"model":"m","stream":true,"messages":[{"role":"user","content":"x"}]}"#;
            let context = client::chat::request(body, &target).unwrap().reply;
            let identity = client::chat::ReplyIdentity { seed: 7, created: 1 };
            Box::new(Transcoder::new(MessagesDecoder::new(), ChatEncoder::new(context, identity)))
        }
        (Api::Responses, Api::Responses) => Box::new(ResponsesTap::new()),
        (Api::Messages, Api::Responses) => {
            Box::new(Transcoder::new(responses_decoder(), MessagesEncoder::new()))
        }
        (Api::ChatCompletions, Api::Responses) => {
            let target = client::chat::MessagesUpstream { provider: "p", model: "m", requested_model: "m" };
            let body = br#"{"model":"m","stream":true,"messages":[{"role":"user","content":"x"}]}"#;
            let context = client::chat::request(body, &target).unwrap().reply;
            let identity = client::chat::ReplyIdentity { seed: 7, created: 1 };
            Box::new(Transcoder::new(responses_decoder(), ChatEncoder::new(context, identity)))
        }
        (Api::Responses, Api::Messages) => {
            Box::new(Transcoder::new(MessagesDecoder::new(), responses_encoder()))
        }
        (Api::Responses, Api::ChatCompletions) => {
            Box::new(Transcoder::new(chat_decoder(), responses_encoder()))
        }
    };
    let secrets = Secrets::new(vec![]);
    Flow::new(codec, client, 1 << 20, secrets).with_integrity(integrity)
}

fn responses_decoder() -> ResponsesDecoder {
    ResponsesDecoder::new(ResponsesReplyContext::new("p", "m", "m"), 7)
}

fn chat_decoder() -> ChatDecoder {
    let target = upstream::chat::ChatUpstream {
        provider: "p",
        model: "m",
        requested_model: "m",
        dialect: &upstream::chat::PLAIN,
        session: None,
        members: None,
    };
    let body = br#"{"model":"m","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"x"}]}"#;
    ChatDecoder::new(upstream::chat::request(body, &target).unwrap().reply, 7)
}

fn responses_encoder() -> ResponsesEncoder {
    let context = ResponsesClientContext::without_tools("m", "p", "m");
    ResponsesEncoder::new(context, client::chat::ReplyIdentity { seed: 7, created: 1 })
}

/// How the upstream's body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Body {
    EndsWell,
    Breaks,
}

/// The bytes for the client when the body comes in these pieces, as a converter drives the flow, and the fault at the end.
fn run(mut flow: Flow, pieces: &[&[u8]], body: Body) -> (String, Option<(ErrorKind, String)>) {
    let mut batch = Batch::default();
    for piece in pieces {
        match flow.take(Bytes::copy_from_slice(piece), &mut batch) {
            FlowProgress::More => {}
            FlowProgress::Ended => {
                let summary = flow.end(&mut batch);
                return (
                    String::from_utf8_lossy(&batch.take()).into_owned(),
                    summary.fault.map(|fault| (fault.kind, fault.message)),
                );
            }
            FlowProgress::Faulted(fault) | FlowProgress::Oversized(fault) => {
                let summary = flow.fail(fault, &mut batch);
                return (
                    String::from_utf8_lossy(&batch.take()).into_owned(),
                    summary.fault.map(|fault| (fault.kind, fault.message)),
                );
            }
        }
    }
    let may_end = flow.finishing() && !flow.awaits_body();
    let summary = match body {
        Body::Breaks if !may_end => flow.fail(Fault::cut(), &mut batch),
        Body::Breaks | Body::EndsWell => flow.end(&mut batch),
    };
    (
        String::from_utf8_lossy(&batch.take()).into_owned(),
        summary.fault.map(|fault| (fault.kind, fault.message)),
    )
}

fn chunk(members: &str) -> String {
    format!("data: {{\"choices\":[{{\"index\":0,{members}}}],\"usage\":null}}\n\n")
}

fn event(kind: &str, members: &str) -> String {
    format!("event: {kind}\ndata: {{\"type\":\"{kind}\"{members}}}\n\n")
}

fn text(upstream: Api, text: &str) -> String {
    match upstream {
        Api::Messages => event(
            "content_block_delta",
            &format!(",\"index\":0,\"delta\":{{\"type\":\"text_delta\",\"text\":\"{text}\"}}"),
        ),
        Api::ChatCompletions => {
            chunk(&format!("\"delta\":{{\"content\":\"{text}\"}},\"finish_reason\":null"))
        }
        Api::Responses => event(
            "response.output_text.delta",
            &format!(",\"output_index\":0,\"content_index\":0,\"item_id\":\"msg_1\",\"delta\":\"{text}\""),
        ),
    }
}

fn begun(upstream: Api) -> String {
    let start = match upstream {
        Api::Messages => {
            event("message_start", ",\"message\":{\"content\":[],\"usage\":{\"input_tokens\":1}}")
                + &event(
                    "content_block_start",
                    ",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}",
                )
        }
        Api::ChatCompletions => String::new(),
        Api::Responses => {
            event("response.created", ",\"response\":{\"id\":\"resp_1\",\"output\":[]}")
                + &event(
                    "response.output_item.added",
                    ",\"output_index\":0,\"item\":{\"type\":\"message\",\"id\":\"msg_1\",\"role\":\"assistant\",\"content\":[]}",
                )
        }
    };
    format!(": hello\n\n{start}{}", text(upstream, "é"))
}

fn ended(upstream: Api) -> String {
    match upstream {
        Api::Messages => {
            event("content_block_stop", ",\"index\":0")
                + &event(
                    "message_delta",
                    ",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":2}",
                )
                + &event("message_stop", "")
        }
        Api::ChatCompletions => {
            let usage = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}\n\n";
            chunk("\"delta\":{},\"finish_reason\":\"stop\"") + usage + "data: [DONE]\n\n"
        }
        Api::Responses => event(
            "response.completed",
            ",\"response\":{\"id\":\"resp_1\",\"status\":\"completed\",\"output\":[],\"usage\":{\"input_tokens\":1,\"output_tokens\":2}}",
        ),
    }
}

fn failed(upstream: Api) -> String {
    match upstream {
        Api::Messages => event("error", ",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Busy\"}"),
        Api::ChatCompletions => {
            "data: {\"error\":{\"message\":\"Busy\",\"code\":529},\"choices\":[],\"usage\":null}\n\n"
                .to_owned()
        }
        Api::Responses => event(
            "response.failed",
            ",\"response\":{\"id\":\"resp_1\",\"status\":\"failed\",\"error\":{\"code\":\"server_is_overloaded\",\"message\":\"Busy\"}}",
        ),
    }
}

/// Replies with something behind their end, in all three spellings of a line's end.
fn replies(upstream: Api) -> Vec<Vec<u8>> {
    let whole = begun(upstream) + &ended(upstream);
    let broken = begun(upstream) + &failed(upstream);
    let mut replies = vec![];
    for reply in [whole, broken, failed(upstream), begun(upstream)] {
        for behind in
            ["", "\n", "\n\n: c\n\n", "data: {\"x\":1}\n", &text(upstream, "LATER"), &failed(upstream)]
        {
            for line_end in ["\n", "\r\n", "\r"] {
                replies.push(format!("{reply}{behind}").replace('\n', line_end).into_bytes());
            }
        }
    }
    replies
}

const BODIES: [(Integrity, Body); 4] = [
    (Integrity::Events, Body::EndsWell),
    (Integrity::Events, Body::Breaks),
    (Integrity::Body, Body::EndsWell),
    (Integrity::Body, Body::Breaks),
];

#[test]
fn every_slicing_of_a_reply_gives_the_same_bytes_and_the_same_end() {
    for way in WAYS {
        for reply in replies(way.1) {
            for (integrity, body) in BODIES {
                let whole = run(flow(way, integrity), &[&reply], body);
                // Every byte once, and near the end always.
                let step = if (integrity, body) == BODIES[0] { 1 } else { 13 };
                let cuts =
                    (1..reply.len()).step_by(step).chain(reply.len() - reply.len().min(40)..reply.len());
                for cut in cuts {
                    let (front, back) = reply.split_at(cut);
                    let sliced = run(flow(way, integrity), &[front, back], body);
                    assert_eq!(sliced, whole, "{way:?}, {integrity:?}, {body:?}: cut at {cut}");
                }
                let bytes: Vec<&[u8]> = reply.chunks(1).collect();
                assert_eq!(run(flow(way, integrity), &bytes, body), whole, "{way:?}, {integrity:?}");
            }
        }
    }
}

#[test]
fn a_passthrough_is_byte_identical_up_to_its_end_and_has_nothing_behind_it() {
    for way in [WAYS[0], WAYS[2], WAYS[4]] {
        for end in [ended(way.1), failed(way.1)] {
            for line_end in ["\n", "\r\n", "\r"] {
                let spelled = |text: &str| text.replace('\n', line_end).into_bytes();
                let reply = spelled(&(begun(way.1) + &end));
                let behind = spelled(&text(way.1, "LATER"));
                let all = [&reply[..], &behind].concat();
                let mut asked = flow(way, Integrity::Events);
                if way.1 == Api::ChatCompletions {
                    asked.codec = Box::new(ChatTap::new(UsageAsked::ByClient));
                }
                assert_eq!(run(asked, &[&all], Body::EndsWell).0.as_bytes(), reply, "{way:?}");
            }
        }
    }
}

#[test]
fn a_compressed_reply_is_complete_only_when_its_body_has_ended_well() {
    for way in WAYS {
        let reply = (begun(way.1) + &ended(way.1)).into_bytes();
        let (complete, fault) = run(flow(way, Integrity::Body), &[&reply], Body::EndsWell);
        assert_eq!(fault, None, "{way:?}");
        assert_eq!(run(flow(way, Integrity::Events), &[&reply], Body::EndsWell).0, complete);
        let (broken, fault) = run(flow(way, Integrity::Body), &[&reply], Body::Breaks);
        assert!(fault.is_some(), "{way:?}");
        let ends = ["message_stop", "[DONE]", "response.completed", "response.incomplete"];
        let is_complete = ends.iter().any(|end| broken.contains(end));
        assert!(!is_complete && broken.contains("\"error\""), "{way:?}: {broken}");
    }
}

#[test]
fn an_early_error_is_known_for_one_in_every_slicing() {
    for way in WAYS {
        for line_end in ["\n", "\r\n", "\r"] {
            let reply = (": hello\n\n".to_owned() + &failed(way.1)).replace('\n', line_end).into_bytes();
            for cut in 1..reply.len() {
                let fault = early_error(flow(way, Integrity::Body), [&reply[..cut], &reply[cut..]]);
                let fault = fault.expect("an error");
                assert_eq!((fault.status, fault.message.as_str()), (529, "Busy"), "{way:?}, cut at {cut}");
            }
        }
    }
}

/// The proxy run reads a stream up to its first event. The rest is for the converter.
fn early_error(mut flow: Flow, pieces: [&[u8]; 2]) -> Option<Fault> {
    let mut first = Batch::default();
    for piece in pieces {
        if flow.started() {
            break;
        }
        if let FlowProgress::Faulted(fault) = flow.take(Bytes::copy_from_slice(piece), &mut first) {
            return Some(fault);
        }
    }
    flow.failed_at_once(&first)
}

#[test]
fn a_key_in_an_event_without_its_blank_line_is_removed_too() {
    for way in WAYS {
        let secrets = Secrets::new(vec![crate::secret::ApiKey::new("sk-canary-0123456789")]);
        let mut flow = flow(way, Integrity::Events).with_redaction(Some(secrets));
        let mut batch = Batch::default();
        let reply = begun(way.1) + text(way.1, "the key is sk-canary-0123456789").trim_end();
        assert!(matches!(flow.take(reply.into(), &mut batch), FlowProgress::More));
        flow.end(&mut batch);
        let wire = String::from_utf8(batch.take().to_vec()).unwrap();
        assert!(wire.contains("the key is ") && !wire.contains("canary"), "{way:?}: {wire}");
    }
}

/// Requirement: an event counts without its blank line, in all APIs alike; one that was cut never does.
#[test]
fn the_last_event_may_lack_its_blank_line() {
    for way in WAYS {
        for integrity in [Integrity::Events, Integrity::Body] {
            for line_end in ["\n", "\r\n", "\r"] {
                let spelled = |text: &str| text.replace('\n', line_end);
                let whole = spelled(&(begun(way.1) + &ended(way.1)));
                let (expected, _) = run(flow(way, integrity), &[whole.as_bytes()], Body::EndsWell);
                for left_out in [spelled("\n"), spelled("\n\n")] {
                    let reply = whole.strip_suffix(&left_out).unwrap().as_bytes();
                    let (found, fault) = run(flow(way, integrity), &[reply], Body::EndsWell);
                    assert_eq!(fault, None, "{way:?}, {integrity:?}, {left_out:?}");
                    assert_eq!(found.trim_end(), expected.trim_end(), "{way:?}, {integrity:?}");
                    let end = &found[found.trim_end().len()..];
                    assert!(["\n\n", "\r\n\r\n", "\r\r", "\r\n\n"].contains(&end), "{way:?}: {end:?}");
                }
                // Chat Completions says in an earlier event that the reply is complete.
                if way.1 != Api::ChatCompletions {
                    let cut = whole.trim_end().strip_suffix('}').unwrap().as_bytes();
                    let (found, fault) = run(flow(way, integrity), &[cut], Body::EndsWell);
                    assert!(fault.is_some() && found.contains("\"error\""), "{way:?}: {found}");
                }
            }
        }
    }
}

/// Requirement: an error that quotes a key is replaced by one error, which belongs to the same reply.
#[test]
fn an_error_that_quotes_a_key_is_replaced_once() {
    for way in [WAYS[0], WAYS[2], WAYS[4]] {
        let last = failed(way.1).replace("Busy", "Busy: sk-canary-0123456789");
        let bare =
            "data: {\"type\":\"error\",\"sequence_number\":7,\"message\":\"Busy: sk-canary-0123456789\"}\n\n"
                .to_owned();
        let lasts = if way.1 == Api::Responses { vec![last, bare] } else { vec![last] };
        for last in lasts {
            for line_ends in ["", "\n\n"] {
                let secrets = Secrets::new(vec![crate::secret::ApiKey::new("sk-canary-0123456789")]);
                let mut flow = flow(way, Integrity::Events);
                flow.secrets = secrets;
                let reply = begun(way.1) + last.trim_end() + line_ends;
                let (wire, fault) = run(flow, &[reply.as_bytes()], Body::EndsWell);
                assert!(fault.is_some_and(|(_, message)| message.starts_with("Busy")), "{way:?}");
                assert!(wire.contains("Busy") && !wire.contains("canary"), "{way:?}: {wire}");
                let errors =
                    wire.matches("event: error").count() + wire.matches("event: response.failed").count();
                let written =
                    if way.1 == Api::ChatCompletions { wire.matches("{\"error\"").count() } else { errors };
                assert_eq!(written, 1, "{way:?}: {wire}");
                assert_eq!(wire.contains("\"id\":\"resp_1\",\"object\""), way.1 == Api::Responses, "{wire}");
            }
        }
    }
}

#[test]
fn blank_lines_and_parts_complete_no_event() {
    for way in WAYS {
        let mut flow = flow(way, Integrity::Events);
        let mut batch = Batch::default();
        for (piece, completes) in
            [("\n", false), ("\r\n", false), (": c", false), ("\n\n", true), ("data", false), (":\r\r", true)]
        {
            flow.take(Bytes::from_static(piece.as_bytes()), &mut batch);
            assert_eq!(flow.has_completed_an_event(), completes, "{piece:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_slicing_of_any_reply_gives_the_same(
        way in 0..WAYS.len(), which in any::<prop::sample::Index>(), body in 0..BODIES.len(),
        odd in any::<prop::sample::Index>(), byte in any::<u8>(), cuts in vec(any::<prop::sample::Index>(), 0..9),
    ) {
        let (way, (integrity, body)) = (WAYS[way], BODIES[body]);
        let mut reply = which.get(&replies(way.1)).clone();
        let at = odd.index(reply.len());
        reply[at] = byte;
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(reply.len() + 1)).collect();
        cuts.sort_unstable();
        let ends = cuts.iter().copied().chain([reply.len()]);
        let starts = [0].into_iter().chain(cuts.iter().copied());
        let pieces: Vec<&[u8]> = starts.zip(ends).map(|(start, end)| &reply[start..end]).collect();
        let whole = run(flow(way, integrity), &[&reply], body);
        prop_assert_eq!(run(flow(way, integrity), &pieces, body), whole);
    }
}
