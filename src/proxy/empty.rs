//! Replies without content. Some upstreams report an error when a model uses up its limit of tokens before its first word.
//! Clients that request one token to test a model receive a reply that stopped at the limit instead.

use actix_web::http::header::HeaderMap;
use bytes::Bytes;
use serde_json::json;
use vandamme_actors::settings::Api;

use super::attempt::{Answered, Attempt};
use super::buffered::BufferedReply;
use super::classify::CallFailure;
use super::content_type::ContentKind;
use super::translation::{Translation, now};
use super::upstream_request::{ReplyPath, UpstreamRequest};

impl Attempt<'_> {
    /// The reply that the upstream would have sent in its own API, treated like any whole reply.
    #[expect(clippy::result_large_err, reason = "the async functions around it return the same")]
    pub(super) fn without_content(
        &self,
        sent: &UpstreamRequest,
        headers: HeaderMap,
    ) -> Result<Answered, CallFailure> {
        let model = &self.lease.model;
        let body = Bytes::from(match sent.api {
            Api::Messages => message(model),
            Api::ChatCompletions => completion(model),
            Api::Responses => response(model),
        });
        let received = BufferedReply { status: 200, headers, body };
        let reply_hooks = sent.reply_hooks();
        match &sent.reply_path {
            ReplyPath::Translated(back) => {
                self.translate_body(received, ContentKind::Json, reply_hooks, Translation::clone(back))
            }
            ReplyPath::Messages | ReplyPath::Responses | ReplyPath::Endpoint(_) => {
                self.pass_body(received, reply_hooks, None)
            }
            ReplyPath::Chat(asked) => self.pass_body(received, reply_hooks, Some(*asked)),
        }
    }
}

/// Clients expect one block at least.
fn message(model: &str) -> String {
    json!({
        "id": format!("msg_{:032x}", fastrand::u128(..)), "type": "message", "role": "assistant", "model": model,
        "content": [{"type": "text", "text": ""}], "stop_reason": "max_tokens", "stop_sequence": null,
        "usage": {"input_tokens": 0, "output_tokens": 0},
    })
    .to_string()
}

fn response(model: &str) -> String {
    json!({
        "id": format!("resp_{:032x}", fastrand::u128(..)), "object": "response", "created_at": now(), "model": model,
        "status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}, "error": null, "output": [],
        "usage": {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0},
    })
    .to_string()
}

fn completion(model: &str) -> String {
    let choice =
        json!({"index": 0, "message": {"role": "assistant", "content": ""}, "finish_reason": "length"});
    json!({
        "id": format!("chatcmpl-{:032x}", fastrand::u128(..)), "object": "chat.completion", "created": now(),
        "model": model, "choices": [choice],
        "usage": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
    })
    .to_string()
}
