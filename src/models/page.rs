//! The web page of a model, as its provider's `model-page` names it.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use vandamme_actors::settings::ProviderSettings;

/// Ids are paths: `vendor/model`.
const QUOTED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// The link to a model's page; `None` if the provider has no `model-page`. The link is `http` or `https`: the configuration
/// accepts nothing else.
pub(crate) fn model_page(
    provider: &ProviderSettings,
    id: &str,
    display_name: Option<&str>,
) -> Option<String> {
    let template = provider.model_page.as_deref()?;
    let quoted = |text: &str| utf8_percent_encode(text, QUOTED).to_string();
    let name = display_name.unwrap_or(id);
    // Poe writes the words of a model's name with hyphens.
    let name = match template.starts_with("https://poe.com/") {
        true => name.replace(' ', "-"),
        false => name.to_owned(),
    };
    // One pass, so that a name with braces is not filled in again.
    let mut link = String::new();
    let mut rest = template;
    while let Some((before, tail)) = rest.split_once('{') {
        link.push_str(before);
        let (placeholder, tail) = tail.split_once('}')?;
        link.push_str(&quoted(if placeholder == "id" { id } else { &name }));
        rest = tail;
    }
    link.push_str(rest);
    Some(link)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(template: &str, id: &str, name: Option<&str>) -> Option<String> {
        let provider =
            ProviderSettings { model_page: Some(template.to_owned()), ..crate::demo::provider("http://x") };
        model_page(&provider, id, name)
    }

    #[test]
    fn ids_and_names_are_quoted_and_slashes_stay() {
        let link = page("https://x/{id}?n={display_name}", "ven dor/m:free", Some("A&B {id}"));
        assert_eq!(link.as_deref(), Some("https://x/ven%20dor/m%3Afree?n=A%26B%20%7Bid%7D"));
        assert_eq!(page("https://x/{display_name}", "m", None).as_deref(), Some("https://x/m"));
        assert_eq!(
            page("https://poe.com/{display_name}/api", "m", Some("Grok 4")).as_deref(),
            Some("https://poe.com/Grok-4/api")
        );
        assert_eq!(model_page(&crate::demo::provider("http://x"), "m", None), None);
    }
}
