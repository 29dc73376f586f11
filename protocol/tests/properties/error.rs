//! Properties of every upstream error as a client receives it.

use serde_json::Value;
use vandamme_protocol::openai::error::{facts, read};
use vandamme_protocol::vocabulary::ErrorKind;
use vandamme_protocol::{anthropic, openai};

/// Checks the translation of an answer with this status and this body.
pub(crate) fn check(status: u16, body: &[u8]) {
    let fault = read(status, body);
    assert!((400..600).contains(&fault.status), "{fault:?} is an error");
    assert_eq!(fault.kind, ErrorKind::from_status(fault.status), "type and status agree");
    assert!(!fault.message.is_empty() && fault.message.chars().count() <= 500);
    assert!(!fault.message.contains(['\n', '\r']), "one line");
    if fault.message.starts_with("prompt is too long: ") && status == 500 {
        assert_eq!(fault.status, 400, "no client repeats what can never fit");
    }
    let facts = facts(status, body, "model");
    assert!(!(facts.out_of_credit && facts.too_large));

    let written = anthropic::error::body(fault.kind, &fault.message, "req_1");
    assert_eq!(anthropic::error::read(&written), Some((fault.kind, fault.message.clone())));
    let written: Value =
        serde_json::from_slice(&openai::error::body(fault.kind, &fault.message, &Default::default()))
            .expect("JSON");
    assert_eq!(written["error"]["message"], fault.message);
}
