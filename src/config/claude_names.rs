//! Warns if the default provider has no alias for the names with which Claude Code requests Claude's models.

use vandamme_actors::routing::Routes;
use vandamme_actors::settings::Api;

use super::variable_prefix;

/// What Claude Code asks for: `haiku` in the background, the others by the user's choice.
const NAMES: [&str; 3] = ["haiku", "sonnet", "opus"];

/// A warning when the default provider gets such a name unchanged, and therefore most likely answers 404. A provider of
/// Anthropic's format may well serve Claude.
pub(super) fn warning(routes: &Routes) -> Option<String> {
    let mut missing = Vec::new();
    let mut named = None;
    for name in NAMES {
        let Ok(route) = routes.resolve(name) else { continue };
        let provider = route.provider;
        if *route.model == *name && provider.api != Api::Messages && provider.missing_alias(name).is_some() {
            missing.push(name);
            named = Some(provider);
        }
    }
    let provider = named?;
    let variables: Vec<_> = missing
        .iter()
        .map(|name| format!("{}_ALIAS_{}=MODEL", variable_prefix(&provider.name), name.to_ascii_uppercase()))
        .collect();
    Some(format!(
        "provider '{}' has no alias for {}, which Claude Code requests; set {}, or serves-claude = true if it serves Claude's models",
        provider.name,
        listed(&missing),
        listed(&variables)
    ))
}

fn listed(words: &[impl AsRef<str>]) -> String {
    match words {
        [] => String::new(),
        [one] => one.as_ref().to_owned(),
        [rest @ .., last] => {
            let rest: Vec<_> = rest.iter().map(AsRef::as_ref).collect();
            format!("{} and {}", rest.join(", "), last.as_ref())
        }
    }
}
