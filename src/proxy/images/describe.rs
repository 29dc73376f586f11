//! The call that describes one image.

use std::sync::Arc;
use std::time::Duration;

use actix_web::rt::time::{Instant, sleep};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use vandamme_protocol::request::ImageSource;

use crate::gateway::Gateway;
use crate::image_descriptions::{ImageKey, NotDescribed};
use crate::proxy::origin::{Parent, Purpose};
use crate::proxy::subrequest::{Subrequest, SubrequestError};

/// What the describing model is asked.
const PROMPT: &str = include_str!("prompt.txt");
/// The most tokens of a description.
const MOST_TOKENS: u32 = 4096;
/// The most bytes of a description.
const LONGEST: usize = 16 << 10;
/// The longest wait for one description.
const PATIENCE: Duration = Duration::from_secs(60);
/// The pause before a busy provider is asked again.
const PAUSE: Duration = Duration::from_millis(300);

/// The description of an image, or why there is none.
pub(super) type Described = Result<Arc<str>, NotDescribed>;

/// A call that may be made: an image that has no description.
pub(super) struct DescribingCall {
    key: ImageKey,
    gateway: Arc<Gateway>,
    parent: Parent,
    describer: Arc<str>,
    /// The source of the image block.
    source: Arc<Value>,
}

impl DescribingCall {
    /// `None` if another model cannot read the image's source.
    pub(super) fn new(
        gateway: &Arc<Gateway>,
        parent: &Parent,
        key: ImageKey,
        describer: &Arc<str>,
        source: &ImageSource<'_>,
    ) -> Option<Self> {
        let source = match source {
            ImageSource::Base64 { media_type, data } => {
                json!({"type": "base64", "media_type": media_type, "data": data})
            }
            // The describing provider fetches it.
            ImageSource::Url(url) => json!({"type": "url", "url": url}),
            ImageSource::Elsewhere => return None,
        };
        let (gateway, parent) = (gateway.clone(), parent.clone());
        Some(Self { key, gateway, parent, describer: describer.clone(), source: Arc::new(source) })
    }

    /// Joins the running call for this image, or makes one. If all requests that wait for it are gone, it is
    /// closed.
    pub(super) async fn shared(self) -> Described {
        let this = Arc::new(self);
        let call = || {
            let this = this.clone();
            async move { this.describe().await }
        };
        let outcome = this.gateway.images.running.share(&this.key, call).await;
        outcome.unwrap_or_else(|_panicked| Err(NotDescribed("the gateway failed internally".into())))
    }

    async fn describe(&self) -> Described {
        // Another call may have ended since this request looked.
        if let Some(text) = self.gateway.images.find(&self.key) {
            return Ok(text);
        }
        let describer = &self.describer;
        let reason = |what: String| NotDescribed(format!("{describer} {what}").into());
        let reply = self.reply().await.map_err(|error| match error {
            SubrequestError::Failed { status, .. } => reason(format!("failed with status {status}")),
            SubrequestError::Busy => reason("has too many requests in flight".to_owned()),
            SubrequestError::Timeout(_) => reason(format!("did not answer within {} s", PATIENCE.as_secs())),
        })?;
        let text = text(&reply).ok_or_else(|| reason("replied without text".to_owned()))?;
        let text: Arc<str> = text.into();
        self.gateway.images.keep(self.key, text.clone());
        Ok(text)
    }

    /// A provider without a free permit is asked again: another image may hold the permit.
    async fn reply(&self) -> Result<Bytes, SubrequestError> {
        let until = Instant::now() + PATIENCE;
        loop {
            let subrequest = Subrequest {
                parent: self.parent.clone(),
                purpose: Purpose::ImageDescription,
                target: self.describer.to_string(),
                body: body(&self.source),
                deadline: until.saturating_duration_since(Instant::now()),
            };
            match subrequest.send(self.gateway.clone()).await {
                Err(SubrequestError::Busy) if Instant::now() + PAUSE < until => sleep(PAUSE).await,
                outcome => return outcome,
            }
        }
    }
}

/// A Messages request, without its model.
fn body(source: &Value) -> Map<String, Value> {
    let content =
        json!([{"type": "image", "source": source}, {"type": "text", "text": "Describe this image."}]);
    let members = [
        ("max_tokens", json!(MOST_TOKENS)),
        // No thoughts use up the description's tokens.
        ("thinking", json!({"type": "disabled"})),
        ("system", json!(PROMPT)),
        ("messages", json!([{"role": "user", "content": content}])),
    ];
    members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The texts of a whole reply, with a mark if it was cut.
fn text(message: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Message {
        content: Vec<Block>,
        stop_reason: Option<String>,
    }
    #[derive(Deserialize)]
    struct Block {
        text: Option<String>,
    }
    let message: Message = serde_json::from_slice(message).ok()?;
    let texts: Vec<String> = message.content.into_iter().filter_map(|block| block.text).collect();
    let mut text = texts.concat().trim().to_owned();
    if text.is_empty() {
        return None;
    }
    let is_cut = message.stop_reason.as_deref() == Some("max_tokens");
    if text.len() > LONGEST || is_cut {
        let end = (0..=text.len().min(LONGEST)).rfind(|&end| text.is_char_boundary(end));
        text.truncate(end.unwrap_or_default());
        text.push_str("\n[The description is longer and was cut here.]");
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(blocks: Value, stop_reason: &str) -> Option<String> {
        text(json!({"content": blocks, "stop_reason": stop_reason}).to_string().as_bytes())
    }

    /// Requirement: a description consists of the reply's texts, is bounded, and says where it was cut.
    #[test]
    fn a_description_is_the_text_of_the_reply_within_bounds() {
        let two = json!([{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": " A c"},
            {"type": "text", "text": "at.\n"}]);
        assert_eq!(message(two.clone(), "end_turn").as_deref(), Some("A cat."));
        assert!(message(two, "max_tokens").unwrap().starts_with("A cat.\n[The description is longer"));
        let long = message(json!([{"type": "text", "text": "é".repeat(LONGEST)}]), "end_turn").unwrap();
        assert!(long.len() < LONGEST + 100 && long.ends_with("cut here.]"), "{}", long.len());
        for nothing in [json!([]), json!([{"type": "text", "text": " \n"}]), json!("text")] {
            assert_eq!(message(nothing, "end_turn"), None);
        }
        assert_eq!(text(b"{"), None);
    }
}
