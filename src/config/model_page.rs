//! The template of a model's web page: `model-page`.

use url::Url;

/// The words that the template may contain in braces.
pub(crate) const PLACEHOLDERS: [&str; 2] = ["id", "display_name"];

/// The template, trimmed.
///
/// # Errors
/// It is no link that a web page may show, or it contains an unknown placeholder.
pub(super) fn check(text: &str) -> Result<String, String> {
    let text = text.trim();
    let filled =
        PLACEHOLDERS.iter().fold(text.to_owned(), |text, name| text.replace(&format!("{{{name}}}"), "x"));
    if let Some(at) = filled.find(['{', '}']) {
        let rest: String = filled[at..].chars().take(40).collect();
        return Err(format!("expected only the placeholders {{id}} and {{display_name}}, found {rest:?}"));
    }
    let is_link = |url: &Url| matches!(url.scheme(), "http" | "https") && url.username().is_empty();
    match Url::parse(&filled) {
        Ok(url) if is_link(&url) => Ok(text.to_owned()),
        Ok(_) | Err(_) => {
            Err("expected an http or https link, such as \"https://llm.example/models/{id}\"".to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Requirement: the link of a model's page is `http` or `https`, so that no configuration makes a page run a script.
    #[test]
    fn only_web_links_with_known_placeholders_are_accepted() {
        for good in
            ["https://x/{id}", " http://x/{display_name}/api ", "https://x/models", "https://{id}.example/"]
        {
            assert_eq!(check(good), Ok(good.trim().to_owned()));
        }
        for bad in [
            "javascript:alert({id})",
            "x/{id}",
            "https://x/{name}",
            "https://x/{id",
            "data:text/html,{id}",
            "https://",
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
