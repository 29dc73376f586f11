//! The URLs of upstream requests, and the header that carries the key.

use actix_web::http::header::{self, HeaderName, HeaderValue, InvalidHeaderValue};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use vandamme_actors::openai_endpoint::OpenAiEndpoint;
use vandamme_actors::settings::{Api, Azure, MessagesForm, ProviderSettings};
use vandamme_protocol::cloud::model_ids;
use vandamme_protocol::request::Streaming;

use super::UpstreamCall;
use crate::caller::KeyForm;

/// All but RFC 3986's unreserved characters.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What a segment of a cloud's path keeps besides: `:` of versions and ARNs, `@` of Vertex's versions.
const CLOUD_RESERVED: &AsciiSet = &RESERVED.remove(b':').remove(b'@');

/// The URL of a Messages request in a cloud's form. The model is a part of the path; `None` for Anthropic's own form.
pub(super) fn in_form(
    provider: &ProviderSettings,
    upstream_call: UpstreamCall,
    model: &str,
    delivery: Streaming,
) -> Option<String> {
    let (base, model) = (anthropic_base(provider), &*provider.id_of(model));
    match &provider.messages_form {
        MessagesForm::Native => None,
        MessagesForm::InvokeModel { .. } => {
            let (model, action) = match (upstream_call, delivery) {
                (UpstreamCall::Count, _) => (model_ids::without_profile(model), "count-tokens"),
                (_, Streaming::Yes) => (model, "invoke-with-response-stream"),
                (_, Streaming::No) => (model, "invoke"),
            };
            Some(format!("{base}/model/{}/{action}", utf8_percent_encode(model, CLOUD_RESERVED)))
        }
        MessagesForm::RawPredict { project, location } => {
            let (model, action) = match (upstream_call, delivery) {
                (UpstreamCall::Count, _) => ("count-tokens", "rawPredict"),
                (_, Streaming::Yes) => (model, "streamRawPredict"),
                (_, Streaming::No) => (model, "rawPredict"),
            };
            let (project, location) = (segment(project), segment(location));
            let model = utf8_percent_encode(model, CLOUD_RESERVED);
            Some(format!(
                "{base}/v1/projects/{project}/locations/{location}/publishers/anthropic/models/{model}:{action}"
            ))
        }
    }
}

/// The URL of a Messages request, with the client's query.
pub(super) fn messages(provider: &ProviderSettings, upstream_call: UpstreamCall, query: &str) -> String {
    let base = anthropic_base(provider);
    let path = match upstream_call {
        UpstreamCall::Reply | UpstreamCall::Models | UpstreamCall::Endpoint(_) => "/v1/messages",
        UpstreamCall::Count => "/v1/messages/count_tokens",
    };
    let mark = if query.is_empty() { "" } else { "?" };
    format!("{base}{path}{mark}{query}")
}

/// The URL of a Chat Completions request for `model`.
pub(super) fn chat_completions(provider: &ProviderSettings, model: &str) -> String {
    let base = &provider.base_url;
    match &provider.azure {
        None | Some(Azure::V1 { api_version: None }) => format!("{base}/chat/completions"),
        Some(Azure::V1 { api_version: Some(version) }) => {
            format!("{base}/chat/completions?api-version={version}")
        }
        Some(Azure::Deployments { api_version }) => {
            let base = azure_base(base);
            let model = segment(model);
            format!("{base}/openai/deployments/{model}/chat/completions?api-version={api_version}")
        }
    }
}

/// The URL of a Responses request.
pub(super) fn responses(provider: &ProviderSettings) -> String {
    let base = &provider.base_url;
    match &provider.azure {
        None | Some(Azure::V1 { api_version: None }) => format!("{base}/responses"),
        Some(Azure::V1 { api_version: Some(version) }) => format!("{base}/responses?api-version={version}"),
        Some(Azure::Deployments { api_version }) => {
            format!("{}/openai/responses?api-version={api_version}", azure_base(base))
        }
    }
}

/// The URL of another endpoint of OpenAI's for `model`.
pub(super) fn endpoint(provider: &ProviderSettings, endpoint: OpenAiEndpoint, model: &str) -> String {
    let (base, path) = (&provider.base_url, endpoint.path());
    match (&provider.azure, endpoint) {
        (None | Some(Azure::V1 { api_version: None }), _) => format!("{base}/{path}"),
        (Some(Azure::V1 { api_version: Some(version) }), _) => format!("{base}/{path}?api-version={version}"),
        // The Responses API reads the deployment in the body.
        (
            Some(Azure::Deployments { api_version }),
            OpenAiEndpoint::ResponsesCompact | OpenAiEndpoint::ResponsesInputTokens,
        ) => format!("{}/openai/{path}?api-version={api_version}", azure_base(base)),
        (Some(Azure::Deployments { api_version }), _) => {
            let (base, model) = (azure_base(base), segment(model));
            format!("{base}/openai/deployments/{model}/{path}?api-version={api_version}")
        }
    }
}

/// The URL of the list of models: 1000 is the most that Anthropic's API lists, whose default is 20.
pub(super) fn models(provider: &ProviderSettings) -> String {
    let base = &provider.base_url;
    match &provider.messages_form {
        MessagesForm::Native => {}
        // The control plane has a host of its own; a proxy or a VPC endpoint has one for both.
        MessagesForm::InvokeModel { .. } => {
            let base = anthropic_base(provider).replacen("://bedrock-runtime", "://bedrock", 1);
            return format!("{base}/inference-profiles?maxResults=1000&type=SYSTEM_DEFINED");
        }
        MessagesForm::RawPredict { .. } => {
            return format!("{}/v1beta1/publishers/anthropic/models", anthropic_base(provider));
        }
    }
    match (provider.api, &provider.azure) {
        (Api::Messages, _) => format!("{}/v1/models?limit=1000", anthropic_base(provider)),
        (Api::ChatCompletions | Api::Responses, None | Some(Azure::V1 { api_version: None })) => {
            format!("{base}/models")
        }
        (Api::ChatCompletions | Api::Responses, Some(Azure::V1 { api_version: Some(version) })) => {
            format!("{base}/models?api-version={version}")
        }
        (Api::ChatCompletions | Api::Responses, Some(Azure::Deployments { api_version })) => {
            format!("{}/openai/models?api-version={api_version}", azure_base(base))
        }
    }
}

/// The header for a key, and its value; `form` is that of a Messages client's own key. Azure takes a key in `api-key`;
/// `authorization` is there for tokens of Entra ID.
pub(super) fn credential(
    provider: &ProviderSettings,
    key: &str,
    form: Option<KeyForm>,
) -> (HeaderName, Result<HeaderValue, InvalidHeaderValue>) {
    // A subscription's token is a bearer (platform.claude.com/docs/en/api/oauth).
    // Bedrock takes its keys as a bearer, too (docs.aws.amazon.com/bedrock, API keys).
    let is_bedrock = provider.base_url.contains("://bedrock-");
    let is_token =
        key.starts_with("sk-ant-oat") || is_bedrock || provider.messages_form != MessagesForm::Native;
    match (provider.api, &provider.azure, form) {
        (Api::Messages, _, None | Some(KeyForm::Plain)) if !is_token => {
            (const { HeaderName::from_static("x-api-key") }, HeaderValue::from_str(key))
        }
        (Api::ChatCompletions | Api::Responses, Some(_), _) => {
            (const { HeaderName::from_static("api-key") }, HeaderValue::from_str(key))
        }
        (Api::Messages, _, _) | (Api::ChatCompletions | Api::Responses, None, _) => {
            (header::AUTHORIZATION, HeaderValue::from_str(&["Bearer ", key].concat()))
        }
    }
}

/// A base URL is written without `/v1`; one that has it means the same.
fn anthropic_base(provider: &ProviderSettings) -> &str {
    provider.base_url.strip_suffix("/v1").unwrap_or(&provider.base_url)
}

/// A resource's URL is written without `/openai`; one that has it means the same.
fn azure_base(base: &str) -> &str {
    base.strip_suffix("/openai").unwrap_or(base)
}

/// The text as one segment of a path.
fn segment(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn provider(base_url: &str, azure: Option<Azure>) -> ProviderSettings {
        ProviderSettings { azure, ..crate::demo::provider(base_url) }
    }

    #[test]
    fn a_deployment_is_one_segment_of_the_path_whatever_its_name() {
        let azure = Some(Azure::Deployments { api_version: "2024-10-21".into() });
        for base in ["https://r.openai.azure.com", "https://r.openai.azure.com/openai"] {
            assert_eq!(
                chat_completions(&provider(base, azure.clone()), "my gpt/4?é"),
                "https://r.openai.azure.com/openai/deployments/my%20gpt%2F4%3F%C3%A9/chat/completions?api-version=2024-10-21"
            );
            assert_eq!(
                models(&provider(base, azure.clone())),
                "https://r.openai.azure.com/openai/models?api-version=2024-10-21"
            );
        }
        assert_eq!(segment("gpt-4.1_mini~2"), "gpt-4.1_mini~2");
    }

    #[test]
    fn the_v1_path_needs_no_version() {
        let base = "https://r.openai.azure.com/openai/v1";
        for (api_version, query) in [(None, ""), (Some("preview"), "?api-version=preview")] {
            let provider = provider(base, Some(Azure::V1 { api_version: api_version.map(str::to_owned) }));
            assert_eq!(chat_completions(&provider, "m"), format!("{base}/chat/completions{query}"));
            assert_eq!(models(&provider), format!("{base}/models{query}"));
        }
    }

    #[test]
    fn azure_receives_its_key_once_and_in_its_own_header() {
        let shown = |(name, value): (HeaderName, Result<HeaderValue, _>)| {
            (name.as_str().to_owned(), value.unwrap().to_str().unwrap().to_owned())
        };
        let azure = provider("https://x/openai/v1", Some(Azure::V1 { api_version: None }));
        assert_eq!(shown(credential(&azure, "k", Some(KeyForm::Plain))), ("api-key".into(), "k".into()));
        assert_eq!(
            shown(credential(&provider("https://x/v1", None), "k", None)),
            ("authorization".into(), "Bearer k".into())
        );
    }
}
