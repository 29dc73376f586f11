//! What the upstream sends: text that consists of the request's id and a running number, as `(id:number)`.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Api {
    Messages,
    Chat,
}

/// The reply to one request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Words {
    pub(crate) api: Api,
    pub(crate) id: u64,
}

impl Words {
    fn text(self, number: usize) -> String {
        format!("({}:{number})", self.id)
    }

    pub(crate) fn whole(self, events: usize) -> String {
        let text: String = (0..events).map(|number| self.text(number)).collect();
        match self.api {
            Api::Messages => format!(
                r#"{{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[{{"type":"text","text":"{text}"}}],"stop_reason":"end_turn","stop_sequence":null,"usage":{{"input_tokens":1,"output_tokens":1}}}}"#
            ),
            Api::Chat => format!(
                r#"{{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"m","choices":[{{"index":0,"message":{{"role":"assistant","content":"{text}"}},"finish_reason":"stop"}}],"usage":{{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}}}"#
            ),
        }
    }

    /// Everything before the first text.
    pub(crate) fn opening(self) -> String {
        match self.api {
            Api::Messages => {
                event(
                    "message_start",
                    r#","message":{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":1,"output_tokens":1}}"#,
                ) + &event("content_block_start", r#","index":0,"content_block":{"type":"text","text":""}"#)
            }
            Api::Chat => delta(r#"{"role":"assistant","content":""}"#, "null"),
        }
    }

    pub(crate) fn event(self, number: usize) -> String {
        let text = self.text(number);
        match self.api {
            Api::Messages => event(
                "content_block_delta",
                &format!(r#","index":0,"delta":{{"type":"text_delta","text":"{text}"}}"#),
            ),
            Api::Chat => delta(&format!(r#"{{"content":"{text}"}}"#), "null"),
        }
    }

    pub(crate) fn ending(self) -> String {
        match self.api {
            Api::Messages => {
                event("content_block_stop", r#","index":0"#)
                    + &event(
                        "message_delta",
                        r#","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":5}"#,
                    )
                    + &event("message_stop", "")
            }
            Api::Chat => delta("{}", "\"stop\"") + "data: [DONE]\n\n",
        }
    }
}

fn event(name: &str, rest: &str) -> String {
    format!("event: {name}\ndata: {{\"type\":\"{name}\"{rest}}}\n\n")
}

fn delta(delta: &str, finish: &str) -> String {
    format!(
        "data: {{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{{\"index\":0,\"delta\":{delta},\"finish_reason\":{finish}}}]}}\n\n"
    )
}
