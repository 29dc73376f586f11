//! Requests in a cloud's form: what their paths mean, and the Messages requests that their bodies make.

use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use bytes::Bytes;
use percent_encoding::percent_decode_str;
use vandamme_protocol::cloud::request::CloudBodyUse;
use vandamme_protocol::cloud::{CloudForm, request};
use vandamme_protocol::request::Streaming;

use super::client_api::is_signature;
use crate::proxy::ClientHeaders;

const BETAS: HeaderName = HeaderName::from_static("anthropic-beta");
const VERSION: HeaderName = HeaderName::from_static("anthropic-version");
/// Of the Messages API, if the body states the cloud's own version.
const MESSAGES_VERSION: HeaderValue = HeaderValue::from_static("2023-06-01");

/// What a path of a cloud asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum CloudPath {
    Call(CloudCall),
    /// Bedrock's list of inference profiles.
    Profiles,
    Profile(String),
    /// A call of Bedrock's models that has another form than Anthropic's.
    Unserved(String),
}

/// A call of a model, or of its count of tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CloudCall {
    pub(super) form: CloudForm,
    pub(super) action: CloudAction,
    /// The model in the path; empty where the body names it.
    model: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CloudAction {
    Reply(Streaming),
    Count,
}

/// A Messages request, made of one of a cloud's.
pub(super) struct OfCloud {
    pub(super) body: Bytes,
    pub(super) headers: ClientHeaders,
}

impl CloudPath {
    /// `path` is percent-encoded. Base URLs may have the cloud's name in front, and Vertex's version.
    pub(super) fn parse(path: &str) -> Option<Self> {
        let is_front = |segment: &&str| matches!(*segment, "" | "bedrock" | "vertex" | "vertex_ai" | "v1");
        let segments: Vec<&str> = path.trim_end_matches('/').split('/').skip_while(is_front).collect();
        let decoded = |text: &str| Some(percent_decode_str(text).decode_utf8().ok()?.into_owned());
        let call = |form, action, model| Some(Self::Call(CloudCall { form, action, model }));
        match segments[..] {
            // Some clients leave the slash of an ARN as it is.
            ["model", ref model @ .., last] if !model.is_empty() => {
                let action = match last {
                    "invoke" => CloudAction::Reply(Streaming::No),
                    "invoke-with-response-stream" => CloudAction::Reply(Streaming::Yes),
                    "count-tokens" => CloudAction::Count,
                    other => return decoded(other).map(Self::Unserved),
                };
                call(CloudForm::Bedrock, action, decoded(&model.join("/"))?)
            }
            ["inference-profiles"] => Some(Self::Profiles),
            ["inference-profiles", id] => decoded(id).map(Self::Profile),
            ["projects", _, "locations", _, "publishers", "anthropic", "models", last] => {
                let last = decoded(last)?;
                let (model, verb) = last.rsplit_once(':')?;
                let action = match (model, verb) {
                    ("count-tokens", "rawPredict") => CloudAction::Count,
                    (_, "rawPredict") => CloudAction::Reply(Streaming::No),
                    (_, "streamRawPredict") => CloudAction::Reply(Streaming::Yes),
                    _ => return None,
                };
                let model = if action == CloudAction::Count { "" } else { model };
                call(CloudForm::Vertex, action, model.to_owned())
            }
            _ => None,
        }
    }
}

impl CloudCall {
    /// The Messages request of this body.
    ///
    /// # Errors
    /// For the client: the body cannot be read.
    pub(super) fn messages_request(&self, body: &Bytes, headers: &HeaderMap) -> Result<OfCloud, String> {
        let counted;
        let (body, purpose) = match (self.form, self.action) {
            (CloudForm::Bedrock, CloudAction::Count) => {
                counted = request::invoke_body_of_count(body)?;
                (&counted, CloudBodyUse::Count)
            }
            (CloudForm::Vertex, CloudAction::Count) => (body, CloudBodyUse::Count),
            (_, CloudAction::Reply(stream)) => (body, CloudBodyUse::Reply(stream)),
        };
        let model = (!self.model.is_empty()).then_some(self.model.as_str());
        let made = request::from_cloud(body, model, purpose)?;
        let mut own = for_any_upstream(headers);
        let stated = headers.get_all(&BETAS).filter_map(|value| value.to_str().ok());
        let betas: Vec<&str> =
            stated.chain([made.betas.as_str()]).filter(|betas| !betas.is_empty()).collect();
        if let (Ok(value), false) = (HeaderValue::from_str(&betas.join(",")), betas.is_empty()) {
            own.insert(BETAS, value);
        }
        if !own.contains_key(&VERSION) {
            let stated = made.version.and_then(|version| HeaderValue::from_str(&version).ok());
            own.insert(VERSION, stated.unwrap_or(MESSAGES_VERSION));
        }
        Ok(OfCloud { body: made.body, headers: ClientHeaders::OfCloud(own) })
    }
}

/// The client's headers without those that concern its call of the cloud alone: a signature, the hash of the signed body, the
/// attempts of AWS's SDKs, and what the client accepts.
fn for_any_upstream(headers: &HeaderMap) -> HeaderMap {
    let is_of_call = |name: &str| {
        name.starts_with("x-amz-")
            || name.starts_with("amz-sdk-")
            || name.starts_with("x-goog-")
            || name == "x-amzn-bedrock-accept"
    };
    let mut own = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers {
        let is_signed = *name == header::AUTHORIZATION && is_signature(value);
        if !is_signed && !is_of_call(name.as_str()) {
            own.append(name.clone(), value.clone());
        }
    }
    const JSON: HeaderValue = HeaderValue::from_static("application/json");
    own.insert(header::ACCEPT, JSON);
    own.insert(header::CONTENT_TYPE, JSON);
    own
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(form: CloudForm, action: CloudAction, model: &str) -> Option<CloudPath> {
        Some(CloudPath::Call(CloudCall { form, action, model: model.to_owned() }))
    }

    #[test]
    fn each_path_has_its_meaning_with_and_without_the_clouds_name() {
        let (whole, stream) = (CloudAction::Reply(Streaming::No), CloudAction::Reply(Streaming::Yes));
        let parsed = CloudPath::parse;
        for front in ["", "/bedrock", "/v1"] {
            assert_eq!(
                parsed(&format!("{front}/model/us.anthropic.claude-x-v1%3A0/invoke")),
                call(CloudForm::Bedrock, whole, "us.anthropic.claude-x-v1:0")
            );
        }
        assert_eq!(
            parsed("/model/arn%3Aaws%3Abedrock%3Ax%3A1%3Aa%2Fb/invoke-with-response-stream"),
            call(CloudForm::Bedrock, stream, "arn:aws:bedrock:x:1:a/b")
        );
        assert_eq!(
            parsed("/model/arn:aws:bedrock:x:1:inference-profile/us.anthropic.claude-x/invoke"),
            call(CloudForm::Bedrock, whole, "arn:aws:bedrock:x:1:inference-profile/us.anthropic.claude-x")
        );
        assert_eq!(
            parsed("/bedrock/model/m/count-tokens"),
            call(CloudForm::Bedrock, CloudAction::Count, "m")
        );
        let vertex = "/projects/p/locations/global/publishers/anthropic/models";
        for front in ["", "/v1", "/vertex/v1", "/vertex_ai/v1"] {
            let of = |last: &str| parsed(&format!("{front}{vertex}/{last}"));
            assert_eq!(of("claude-x@1:rawPredict"), call(CloudForm::Vertex, whole, "claude-x@1"));
            assert_eq!(of("claude-x%401:streamRawPredict"), call(CloudForm::Vertex, stream, "claude-x@1"));
            assert_eq!(of("count-tokens:rawPredict"), call(CloudForm::Vertex, CloudAction::Count, ""));
            assert_eq!(of("claude-x:predict"), None);
        }
        assert_eq!(parsed("/bedrock/model/x/converse"), Some(CloudPath::Unserved("converse".into())));
        assert_eq!(parsed("/inference-profiles/"), Some(CloudPath::Profiles));
        assert_eq!(parsed("/inference-profiles/us.x%3A0"), Some(CloudPath::Profile("us.x:0".into())));
        for other in ["/model", "/model/x", "/model/%ff/invoke", "/v1/messages", "/models/x/invoke", "/"] {
            assert_eq!(parsed(other), None, "{other}");
        }
    }
}
