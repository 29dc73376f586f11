//! Replies without content: some upstreams report it as an error when a model has used up its limit of tokens before its
//! first word. Clients that ask for one token, to see whether a model is there, are answered by a reply that stopped at the
//! limit.

use actix_web::http::header::HeaderMap;
use bytes::Bytes;
use serde_json::json;
use vandamme_actors::converter::ReplyHooks;
use vandamme_actors::provider::Lease;
use vandamme_actors::settings::Api;

use super::Exchange;
use super::attempt::Answered;
use super::classify::CallFailure;
use super::translation::now;
use super::upstream_body::Content;
use super::upstream_request::Way;

impl Exchange<'_> {
    /// The reply that the upstream would have sent in its own API, on the way of every whole reply.
    #[expect(clippy::result_large_err, reason = "the async functions around it return the same")]
    pub(super) fn without_content(
        &self,
        lease: &Lease,
        headers: HeaderMap,
        (way, audience): (Way, Option<ReplyHooks>),
    ) -> Result<Answered, CallFailure> {
        let body = Bytes::from(match lease.provider.api {
            Api::Messages => message(&lease.model),
            Api::ChatCompletions => completion(&lease.model),
        });
        match way {
            Way::Bridge(back) => self.translate_body(lease, (body, audience), headers, (Content::Json, back)),
            Way::Messages => self.pass_body(lease, (body, audience), (200, headers, None)),
            Way::Chat(asked) => self.pass_body(lease, (body, audience), (200, headers, Some(asked))),
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
