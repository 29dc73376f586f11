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

/// The built-in provider. Its base URL is that of the user's resource.
pub(super) const NAME: &str = "azure";

/// An example of the base URL, for messages.
pub(super) fn example(name: &str) -> &'static str {
    if name == NAME { " to https://RESOURCE.openai.azure.com/openai/v1" } else { "" }
}

/// `None` for a provider that is not Azure. `stated` is its `api-version`.
pub(super) fn read(
    api: Api,
    (name, base_url): (&str, &str),
    stated: Option<LocatedText<'_>>,
    warnings: &mut Vec<String>,
) -> Result<Option<Azure>, ConfigError> {
    let version = stated.filter(|stated| !stated.text.trim().is_empty()).map(version).transpose()?;
    match (api, version, base_url.ends_with("/openai/v1")) {
        (Api::Messages, Some((_, place)), _) => {
            let text =
                "an api-version means nothing to a provider that speaks Anthropic's API; it has no effect";
            warnings.push(format!("{place}: {text}"));
            Ok(None)
        }
        (Api::Messages, None, _) => Ok(None),
        (Api::ChatCompletions, Some((api_version, _)), true) => {
            Ok(Some(Azure::V1 { api_version: Some(api_version) }))
        }
        (Api::ChatCompletions, Some((api_version, _)), false) => Ok(Some(Azure::Deployments { api_version })),
        // Base URLs of other vendors end in the same path, for example Groq's.
        (Api::ChatCompletions, None, true) => {
            let azures = DOMAINS.iter().any(|domain| host(base_url).ends_with(domain));
            Ok(azures.then_some(Azure::V1 { api_version: None }))
        }
        (Api::ChatCompletions, None, false) => {
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

/// The version, if a query can contain it, with its place.
fn version(LocatedText { text, place }: LocatedText<'_>) -> Result<(String, &str), ConfigError> {
    let text = text.trim();
    if text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte)) {
        return Ok((text.to_owned(), place));
    }
    Err(ConfigError::new(place, "expected an API version such as \"2024-10-21\" or \"preview\""))
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
        let stated = stated.map(|text| LocatedText { text, place: "here" });
        let azure = read(api, ("az", base_url), stated, &mut warnings);
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

    #[test]
    fn a_version_that_is_invalid_in_a_query_is_an_error() {
        let stated = Some(LocatedText { text: "2024&x=1", place: "here" });

        let error = read(Api::ChatCompletions, ("az", CLASSIC), stated, &mut vec![]).unwrap_err();

        assert_eq!(error.to_string(), "here: expected an API version such as \"2024-10-21\" or \"preview\"");
    }
}
