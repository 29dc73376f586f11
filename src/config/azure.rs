//! Decides whether a provider is a resource of Azure OpenAI, and which of the two forms its URLs have.

use url::Url;
use vandamme_actors::settings::{Api, Azure};

use super::environment::prefix;
use super::error::ConfigError;
use super::layer::LocatedText;

/// The domains of Azure's resources, including those of its sovereign clouds.
const DOMAINS: [&str; 3] = [".azure.com", ".azure.us", ".azure.cn"];

/// The types of resources that need an API version in their path. Azure's other models are addressed like OpenAI's.
const RESOURCES: [&str; 2] = [".openai.azure.", ".cognitiveservices.azure."];

/// OpenAI's own API.
const OPENAI: &str = "api.openai.com";

/// The first version of a resource's API that has Responses (learn.microsoft.com/azure/foundry/openai/how-to/responses).
const FIRST_WITH_RESPONSES: &str = "2025-03-01-preview";

/// The built-in provider. Its base URL is that of the user's resource.
pub(super) const NAME: &str = "azure";

/// An example of the base URL, for messages.
pub(super) fn example(name: &str) -> &'static str {
    if name == NAME { " to https://RESOURCE.openai.azure.com/openai/v1" } else { "" }
}

/// What the layers say about a provider.
#[derive(Clone, Copy)]
pub(super) struct Stated<'a> {
    pub(super) name: &'a str,
    pub(super) base_url: &'a str,
    /// `api-version`
    pub(super) version: Option<LocatedText<'a>>,
}

/// A version that a query can contain.
struct ApiVersion<'a> {
    text: String,
    place: &'a str,
}

/// `None` for a provider that is not Azure.
pub(super) fn read(
    api: Api,
    Stated { name, base_url, version }: Stated<'_>,
    warnings: &mut Vec<String>,
) -> Result<Option<Azure>, ConfigError> {
    let version = version.filter(|stated| !stated.text.trim().is_empty());
    let version = version.map(ApiVersion::parse).transpose()?;
    match (api, version, base_url.ends_with("/openai/v1")) {
        (Api::Messages, Some(ApiVersion { place, .. }), _) => {
            let text =
                "an api-version means nothing to a provider that speaks Anthropic's API; it has no effect";
            warnings.push(format!("{place}: {text}"));
            Ok(None)
        }
        (Api::Messages, None, _) => Ok(None),
        // OPENAI_API_VERSION is Azure's in OpenAI's SDKs.
        (Api::ChatCompletions | Api::Responses, Some(ApiVersion { place, .. }), _)
            if host(base_url) == OPENAI =>
        {
            let text = "OpenAI's own API has no versions, so it has no effect; for Azure OpenAI, set AZURE_API_VERSION";
            warnings.push(format!("{place}: {text}"));
            Ok(None)
        }
        (Api::ChatCompletions | Api::Responses, Some(version), true) => {
            Ok(Some(Azure::V1 { api_version: Some(version.text) }))
        }
        (Api::ChatCompletions | Api::Responses, Some(version), false) => {
            Ok(Some(Azure::Deployments { api_version: version.text }))
        }
        // Base URLs of other vendors end in the same path, for example Groq's.
        (Api::ChatCompletions | Api::Responses, None, true) => {
            let azures = DOMAINS.iter().any(|domain| host(base_url).ends_with(domain));
            Ok(azures.then_some(Azure::V1 { api_version: None }))
        }
        (Api::ChatCompletions | Api::Responses, None, false) => {
            if RESOURCES.iter().any(|kind| host(base_url).contains(kind)) {
                let version = format!("{}_API_VERSION", prefix(name));
                warnings.push(format!(
                    "{name} is a resource of Azure, which needs an api-version ({version}), or a base URL that ends in /openai/v1"
                ));
            }
            Ok(None)
        }
    }
}

/// Whether this resource has the Responses API. A server that only has the URLs of a resource may not.
pub(super) fn has_responses(azure: &Azure, base_url: &str) -> bool {
    let is_old = match azure {
        Azure::V1 { .. } => false,
        Azure::Deployments { api_version } => api_version.as_str() < FIRST_WITH_RESPONSES,
    };
    !is_old && DOMAINS.iter().any(|domain| host(base_url).ends_with(domain))
}

impl<'a> ApiVersion<'a> {
    fn parse(LocatedText { text, place }: LocatedText<'a>) -> Result<Self, ConfigError> {
        let text = text.trim();
        if text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte)) {
            return Ok(Self { text: text.to_owned(), place });
        }
        Err(ConfigError::new(place, "expected an API version such as \"2024-10-21\" or \"preview\""))
    }
}

fn host(base_url: &str) -> String {
    let url = Url::parse(base_url);
    url.ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLASSIC: &str = "https://r.openai.azure.com";
    const V1: &str = "https://r.openai.azure.com/openai/v1";

    fn read_as(api: Api, base_url: &str, stated: Option<&str>) -> (Option<Azure>, Vec<String>) {
        let mut warnings = vec![];
        let version = stated.map(|text| LocatedText { text, place: "here" });
        let azure = read(api, Stated { name: "az", base_url, version }, &mut warnings);
        (azure.unwrap_or_else(|error| panic!("{error}")), warnings)
    }

    #[test]
    fn the_base_url_decides_which_of_the_two_forms_is_used() {
        let chat = |base_url, stated| read_as(Api::ChatCompletions, base_url, stated).0;
        let deployments = Some(Azure::Deployments { api_version: "2024-10-21".into() });

        assert_eq!(chat(CLASSIC, Some(" 2024-10-21 ")), deployments);
        assert_eq!(chat("http://gateway.lan/azure", Some("2024-10-21")), deployments);
        assert_eq!(chat(V1, None), Some(Azure::V1 { api_version: None }));
        assert_eq!(chat(V1, Some("preview")), Some(Azure::V1 { api_version: Some("preview".into()) }));
        for version in [None, Some(""), Some("  ")] {
            assert_eq!(chat("https://api.groq.com/openai/v1", version), None);
        }
    }

    #[test]
    fn a_useless_version_and_a_missing_one_are_reported() {
        let (azure, warnings) = read_as(Api::Messages, CLASSIC, Some("2024-10-21"));
        assert!(azure.is_none() && warnings[0].starts_with("here: an api-version means nothing"));

        let (azure, warnings) = read_as(Api::ChatCompletions, CLASSIC, None);
        assert!(azure.is_none() && warnings[0].contains("needs an api-version"), "{warnings:?}");

        let (azure, warnings) =
            read_as(Api::ChatCompletions, "https://m.eastus.models.ai.azure.com/v1", None);
        assert!(azure.is_none() && warnings.is_empty(), "{warnings:?}");
    }

    /// Requirement: `OPENAI_API_VERSION`, which OpenAI's SDKs read for Azure, does not break the provider openai.
    #[test]
    fn openais_own_api_has_no_versions() {
        let (azure, warnings) =
            read_as(Api::ChatCompletions, "https://api.openai.com/v1", Some("2024-10-21"));

        assert_eq!(azure, None);
        assert_eq!(
            warnings,
            [
                "here: OpenAI's own API has no versions, so it has no effect; for Azure OpenAI, set AZURE_API_VERSION"
            ]
        );
    }

    #[test]
    fn a_version_that_is_invalid_in_a_query_is_an_error() {
        let version = Some(LocatedText { text: "2024&x=1", place: "here" });
        let stated = Stated { name: "az", base_url: CLASSIC, version };

        let error = read(Api::ChatCompletions, stated, &mut vec![]).unwrap_err();

        assert_eq!(error.to_string(), "here: expected an API version such as \"2024-10-21\" or \"preview\"");
    }
}
