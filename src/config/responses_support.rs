//! Decides whether a provider of Chat Completions has the Responses API, too.

use vandamme_actors::settings::{Azure, ResponsesSupport};

use super::layer::Section;
use super::{azure, base_url};

/// The vendors' hosts that have both APIs.
const HOSTS: [&str; 2] = ["api.openai.com", "api.x.ai"];
/// The host of Amazon Bedrock's OpenAI-compatible API begins so, in every region.
const MANTLE: &str = "bedrock-mantle.";

/// `api-format` names the one API. Otherwise the host decides: others that copy Chat Completions rarely have Responses.
pub(super) fn read(section: Section<'_>, base: &str, azure: Option<&Azure>) -> ResponsesSupport {
    if section.text("api-format").is_some() {
        return ResponsesSupport::Excluded;
    }
    let has_them = match azure {
        Some(azure) => azure::has_responses(azure, base),
        None => base_url::parse(base).is_ok_and(|url| {
            url.host_str().is_some_and(|host| HOSTS.contains(&host) || host.starts_with(MANTLE))
        }),
    };
    if has_them { ResponsesSupport::Known } else { ResponsesSupport::Unknown }
}
