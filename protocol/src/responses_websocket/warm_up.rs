//! The reply to a warm-up: a response without output, whose id the next request continues.

use super::CreateFrame;
use crate::json::Write as _;

/// The response of a warm-up.
#[derive(Debug)]
pub struct WarmUp {
    /// Its id.
    pub id: String,
    /// The frames, in order.
    pub frames: [Vec<u8>; 2],
}

impl WarmUp {
    /// `seed` is random, and `created` the time in seconds since the Unix epoch.
    #[must_use]
    pub fn new(frame: &CreateFrame<'_>, seed: u128, created: u64) -> Self {
        let id = format!("resp_{seed:032x}");
        let response = Response { id: &id, created, model: &frame.model().unwrap_or_default() };
        let frames = [
            response.event("response.created", "in_progress", 0),
            response.event("response.completed", "completed", 1),
        ];
        Self { id, frames }
    }
}

struct Response<'r> {
    id: &'r str,
    created: u64,
    model: &'r str,
}

impl Response<'_> {
    fn event(&self, kind: &str, status: &str, number: u64) -> Vec<u8> {
        let mut out = b"{\"type\":".to_vec();
        out.string(kind);
        out.put(b",\"sequence_number\":");
        out.number(number);
        out.put(b",\"response\":{\"id\":");
        out.string(self.id);
        out.put(b",\"object\":\"response\",\"created_at\":");
        out.number(self.created);
        out.put(b",\"status\":");
        out.string(status);
        out.put(b",\"model\":");
        out.string(self.model);
        out.put(b",\"error\":null,\"incomplete_details\":null,\"instructions\":null,\"metadata\":{},\"output\":[],");
        out.put(b"\"parallel_tool_calls\":true,\"tool_choice\":\"auto\",\"tools\":[],\"usage\":");
        out.put(match status {
            "completed" => USAGE,
            _ => b"null",
        });
        out.put(b"}}");
        out
    }
}

const USAGE: &[u8] =
    b"{\"input_tokens\":0,\"input_tokens_details\":{\"cached_tokens\":0},\"output_tokens\":0,\
\"output_tokens_details\":{\"reasoning_tokens\":0},\"total_tokens\":0}";

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::ClientEvent;
    use super::*;

    #[test]
    fn a_warm_up_is_a_response_without_output() {
        let frame = r#"{"type":"response.create","model":"m\"","generate":false}"#;
        let Ok(ClientEvent::Create(frame)) = ClientEvent::read(frame) else { panic!("a request") };
        let warm_up = WarmUp::new(&frame, 7, 1_700_000_000);
        let [created, completed] =
            warm_up.frames.map(|frame| serde_json::from_slice::<Value>(&frame).unwrap());
        assert_eq!(created["type"], "response.created");
        assert_eq!(created["response"]["usage"], Value::Null);
        assert_eq!(completed["type"], "response.completed");
        assert_eq!(completed["sequence_number"], 1);
        assert_eq!(completed["response"]["id"], json!(warm_up.id));
        assert_eq!(completed["response"]["model"], "m\"");
        assert_eq!(completed["response"]["output"], json!([]));
        assert_eq!(completed["response"]["usage"]["total_tokens"], 0);
        assert!(warm_up.id.ends_with("07") && warm_up.id.len() == 37);
    }
}
