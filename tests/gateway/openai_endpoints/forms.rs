//! Requests with forms (`multipart/form-data`): their model is replaced, and nothing else.

use serde_json::json;

use super::{FORMS, post, trace};
use crate::support::chat::Error;
use crate::support::client::Call;
use crate::support::gateway::Gateway;
use crate::support::upstream::{Answer, Upstream};

const TYPE: &str = "multipart/form-data; boundary=\"a b'c\"";
const TEXT: &str =
    r#"{"text":"hello","usage":{"type":"tokens","input_tokens":14,"output_tokens":45,"total_tokens":59}}"#;

/// A form with a file that looks like a form itself.
fn form(model: &str, file: &[u8]) -> Vec<u8> {
    let front = concat!(
        "preamble\r\n--a b'c \t\r\nContent-Disposition: form-data; name=\"file\"; filename=\"x\\\"model\\\".mp3\"\r\n",
        "Content-Type: audio/mpeg\r\n\r\nname=\"model\"\r\n\r\n--a b\r\n--\r\n"
    );
    let middle = "\r\n--a b'c\r\ncontent-disposition:form-data;name=model\r\nx-other: 1\r\n\r\n";
    let rest = "\r\n--a b'c\r\nContent-Disposition: form-data; name=\"model[]\"\r\n\r\nkeep\r\n--a b'c--\r\nepilogue";
    [front.as_bytes(), file, middle.as_bytes(), model.as_bytes(), rest.as_bytes()].concat()
}

fn send(gateway: &Gateway, path: &str, body: Vec<u8>) -> Call {
    post(gateway, path).header("content-type", TYPE).body(body)
}

/// Requirement: the part `model` is replaced inside the body, and every other byte passes.
#[test]
fn a_form_passes_with_its_model_replaced() {
    let upstream = Upstream::openai().always(Answer::json(200, TEXT));
    let gateway = Gateway::before(&upstream).start();
    let file: Vec<u8> = (0..=255).cycle().take(300_000).collect();
    for (at, path) in FORMS.iter().enumerate() {
        let reply = send(&gateway, path, form("openai:whisper-1", &file)).reply();
        assert_eq!((reply.status(), reply.raw().as_str()), (200, TEXT), "{reply}");
        let seen = upstream.request(at);
        assert_eq!((seen.target(), seen.head.header("content-type")), (&*format!("/v1/{path}"), Some(TYPE)));
        assert!(seen.body == form("whisper-1", &file), "{path}");
    }
    let trace = trace(&gateway, "translations");
    assert_eq!((&trace["input_tokens"], &trace["output_tokens"]), (&json!(14), &json!(45)));
}

/// Requirement: these endpoints take JSON, too, as some vendors do.
#[test]
fn json_passes_where_a_form_is_usual() {
    let upstream = Upstream::openai().always(Answer::json(200, TEXT));
    let gateway = Gateway::before(&upstream).start();
    let body = json!({"model": "m", "url": "https://example.com/a.mp3"});
    assert_eq!(post(&gateway, "audio/transcriptions").json(&body).reply().status(), 200);
    assert_eq!(upstream.only_request().json(), body);
}

#[test]
fn an_upload_of_20_mb_passes_and_a_larger_one_than_allowed_does_not() {
    let upstream = Upstream::openai().always(Answer::json(200, TEXT));
    let gateway = Gateway::before(&upstream).start();
    let file: Vec<u8> =
        (0..20_000_000_u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let reply = send(&gateway, "audio/transcriptions", form("openai:m", &file)).reply();
    assert_eq!(reply.status(), 200, "{reply}");
    assert!(upstream.only_request().body == form("m", &file));
    let small = Gateway::before(&upstream).limit("request-body", 100_000).start();
    let reply = send(&small, "audio/transcriptions", form("m", &file[..200_000])).reply();
    assert_eq!(reply.status(), 413, "{reply}");
    assert_eq!(Error::of(&reply).kind, "invalid_request_error");
}

/// Requirement: an error says what is wrong with the form; nothing is sent.
#[test]
fn a_form_that_is_none_is_refused() {
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).start();
    let whole = form("m", b"file");
    let cut = whole.len() - "--\r\nepilogue".len();
    let model = "Content-Disposition: form-data; name=\"model\"";
    for (content_type, body, words) in [
        ("multipart/form-data", whole.clone(), "content-type: multipart/form-data requires a boundary"),
        ("multipart/form-data; boundary=other", whole.clone(), "the form has no part"),
        (TYPE, whole[..cut].to_vec(), "the form ends without its closing boundary"),
        (TYPE, Vec::new(), "the form has no part"),
        (TYPE, b"--a b'c--".to_vec(), "model: field required"),
        (TYPE, form("", b"file"), "model: field required"),
        (
            "multipart/form-data; boundary=b",
            format!("--b\r\n{model}; filename=\"m\"\r\n\r\nm\r\n--b--").into(),
            "model: must be a text field",
        ),
        ("application/x-www-form-urlencoded", b"model=m".to_vec(), "the body is not valid JSON"),
    ] {
        let reply =
            post(&gateway, "audio/translations").header("content-type", content_type).body(body).reply();
        assert_eq!(reply.status(), 400, "{content_type}: {reply}");
        assert!(Error::of(&reply).message.starts_with(words), "{content_type}: {reply}");
    }
    // The endpoints for conversations take JSON only.
    let chat = send(&gateway, "chat/completions", whole).reply();
    assert!(Error::of(&chat).message.starts_with("the body is not valid JSON"), "{chat}");
    assert_eq!(upstream.count(), 0);
}

/// Requirement: a form is sent again as it is if a call fails.
#[test]
fn a_form_is_repeated_with_another_key() {
    let upstream = Upstream::openai().refusing("sk-bad").always(Answer::json(200, TEXT));
    let gateway = Gateway::before(&upstream).keys(["sk-bad", "sk-good"]).start();
    for _ in 0..2 {
        assert_eq!(send(&gateway, "images/edits", form("openai:m", b"image")).reply().status(), 200);
    }
    assert!(upstream.count() >= 3);
    assert!(upstream.requests().iter().all(|seen| seen.body == form("m", b"image")));
}
