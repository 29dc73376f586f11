//! Invalid replies of upstreams: floods, slow bytes, unrequested compression, bytes after the end,
//! wrong content types. For every combination of client API and upstream API.

mod bodies;
mod compressed;
mod ends;
mod floods;
mod mislabelled;
mod slow_replies;

use crate::support::canned::{anthropic, openai};
use crate::support::chat::{self, Chat, Error};
use crate::support::client::{Call, prompt};
use crate::support::gateway::{Gateway, MODEL, Setup, whole_prompt};
use crate::support::grammar::Ended;
use crate::support::reply::Reply;
use crate::support::upstream::{Answer, Dialect, Upstream};

/// One client API and one upstream API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Way {
    client: Dialect,
    upstream: Dialect,
}

const WAYS: [Way; 4] = [
    Way { client: Dialect::Anthropic, upstream: Dialect::Anthropic },
    Way { client: Dialect::Anthropic, upstream: Dialect::OpenAi },
    Way { client: Dialect::OpenAi, upstream: Dialect::OpenAi },
    Way { client: Dialect::OpenAi, upstream: Dialect::Anthropic },
];

impl Way {
    fn upstream(self) -> Upstream {
        match self.upstream {
            Dialect::Anthropic => Upstream::anthropic(),
            Dialect::OpenAi => Upstream::openai(),
        }
    }

    fn is_passthrough(self) -> bool {
        self.client == self.upstream
    }

    /// An answer of the upstream, event by event.
    fn events(self, parts: &[&str]) -> Vec<Vec<u8>> {
        match self.upstream {
            Dialect::Anthropic => anthropic::text(parts),
            Dialect::OpenAi => openai::text(parts),
        }
    }

    /// The first events, up to the first part of the answer.
    fn begun(self, part: &str) -> Vec<Vec<u8>> {
        let length = if self.upstream == Dialect::Anthropic { 4 } else { 2 };
        self.events(&[part])[..length].to_vec()
    }

    fn whole(self, text: &str) -> String {
        match self.upstream {
            Dialect::Anthropic => anthropic::whole(text),
            Dialect::OpenAi => openai::whole(text),
        }
    }

    fn delta(self, text: &str) -> Vec<u8> {
        match self.upstream {
            Dialect::Anthropic => anthropic::text_delta(text),
            Dialect::OpenAi => openai::content(text),
        }
    }

    fn error(self, message: &str) -> String {
        match self.upstream {
            Dialect::Anthropic => anthropic::error("invalid_request_error", message),
            Dialect::OpenAi => openai::error(message, "invalid_request_error", "x"),
        }
    }

    fn call(self, gateway: &Gateway) -> Call {
        match self.client {
            Dialect::Anthropic => gateway.messages(&prompt(MODEL, "hi")),
            Dialect::OpenAi => {
                gateway.call("POST", "/v1/chat/completions").json(&chat::prompt_with_usage(MODEL, "hi"))
            }
        }
    }

    fn streamed(self, gateway: &Gateway) -> Reply {
        self.call(gateway).reply()
    }

    fn asked_whole(self, gateway: &Gateway) -> Reply {
        match self.client {
            Dialect::Anthropic => gateway.messages(&whole_prompt(MODEL, "hi")).reply(),
            Dialect::OpenAi => {
                gateway.call("POST", "/v1/chat/completions").json(&chat::whole_prompt(MODEL, "hi")).reply()
            }
        }
    }

    /// The text of a complete reply.
    fn text(self, reply: &Reply) -> String {
        match self.client {
            Dialect::Anthropic => reply.text(),
            Dialect::OpenAi => chat::text(reply),
        }
    }

    /// Panics unless this is a complete stream with the text `text`, with or without comments.
    fn assert_streamed(self, reply: &Reply, text: &str) {
        let end = match self.client {
            Dialect::Anthropic => "{\"type\":\"message_stop\"}\n\n",
            Dialect::OpenAi => "data: [DONE]\n\n",
        };
        let raw = reply.raw();
        assert!(reply.status() == 200 && reply.complete, "{self:?}: {reply}");
        assert!(raw.contains(text) && raw.ends_with(end) && !raw.contains("\"error\""), "{self:?}: {reply}");
    }

    /// The error message of a failed reply, as a status or in its stream. Panics if the reply looks complete.
    fn failure(self, reply: &Reply) -> String {
        match self.client {
            Dialect::Anthropic => {
                if reply.is_stream() {
                    assert_eq!(reply.ended(), Ended::WithError, "{reply}");
                }
                reply.error_message()
            }
            Dialect::OpenAi => {
                assert!(!reply.raw().contains("[DONE]"), "{reply}");
                if reply.is_stream() {
                    Chat::of(reply);
                }
                Error::of(reply).message
            }
        }
    }

    /// The reply to a streamed request if the upstream always gives this answer.
    fn before(self, answer: Answer) -> Reply {
        let upstream = self.upstream().always(answer);
        self.streamed(&impatient(&upstream).start())
    }

    fn whole_before(self, answer: Answer) -> Reply {
        let upstream = self.upstream().always(answer);
        self.asked_whole(&impatient(&upstream).start())
    }
}

fn impatient(upstream: &Upstream) -> Setup {
    Gateway::before(upstream).env("MAX_RETRIES", "0")
}
