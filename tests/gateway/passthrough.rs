//! Messages API on both sides: what is forwarded unchanged, and the few exceptions.

mod replies;
mod requests;

use crate::support::client::Call;
use crate::support::gateway::Gateway;
use crate::support::reply::Reply;
use crate::support::upstream::{Answer, Upstream};

/// An unusual request: spaces, escapes, duplicate and unknown keys, big and exact numbers, `model` in other places.
const ODD: &str = concat!(
    "{ \"stream\" :true,\n\t\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",",
    "\"text\":\"\\u0048i \\ud83d\\ude00 é \\/ \\\"model\\\": \\\"x\\\"\",\"cache_control\":{\"type\":\"ephemeral\",",
    "\"ttl\":\"1h\"}}]},{\"role\":\"system\",\"content\":\"mid\"}],  \"model\" : \"MODEL\" ,",
    "\"metadata\":{\"model\":\"inner\",\"n\":12345678901234567890123,\"f\":1.0,\"e\":1E+2},",
    "\"max_tokens\":1e3,\"unknown_field\":[{\"model\":\"in a list\"}],\"thinking\":{\"type\":\"adaptive\"},",
    "\"context_management\":{\"edits\":[]},\"service_tier\":\"auto\"}\n"
);

fn odd(model: &str) -> String {
    ODD.replace("MODEL", model)
}

fn post(gateway: &Gateway, body: impl Into<Vec<u8>>) -> Call {
    gateway.call("POST", "/v1/messages").header("content-type", "application/json").body(body)
}

fn ask_before(answer: Answer) -> (Upstream, Reply) {
    let upstream = Upstream::anthropic().always(answer);
    let gateway = Gateway::before(&upstream).env("MAX_RETRIES", "0").start();
    let reply = gateway.ask("hello");
    (upstream, reply)
}
