//! A provider's middleware, by name.

use std::sync::Arc;

use vandamme_protocol::gemini::{Gemini, Signatures};
use vandamme_protocol::middleware::{Chain, Middleware, MiddlewareScope};

use super::error::ConfigError;
use super::layer::Section;

/// The middleware that a provider's section names; without a list all middleware, each for the models that need it. `defaults`
/// has the values for all providers.
pub(super) fn chain(section: Section<'_>, defaults: Section<'_>) -> Result<Chain, ConfigError> {
    let known = all(defaults);
    let Some(named) = section.text("middleware") else {
        return Ok(Chain::new(known, MiddlewareScope::ByModel));
    };
    let mut members: Vec<Arc<dyn Middleware>> = Vec::new();
    for name in named.text.lines().filter(|name| !name.is_empty()) {
        let Some(member) = known.iter().find(|member| member.name() == name) else {
            let names: Vec<String> = known.iter().map(|member| format!("\"{}\"", member.name())).collect();
            let text = format!("expected {}, found {name:?}", names.join(" or "));
            return Err(ConfigError::new(named.place, text));
        };
        members.push(Arc::clone(member));
    }
    Ok(Chain::new(members, MiddlewareScope::Always))
}

fn all(defaults: Section<'_>) -> Vec<Arc<dyn Middleware>> {
    let signatures = if remembers_signatures(defaults) { Signatures::Remembered } else { Signatures::Left };
    vec![Arc::new(Gemini { signatures })]
}

/// Whether thought signatures are sent back to the models that produced them.
pub(super) fn remembers_signatures(defaults: Section<'_>) -> bool {
    defaults.flag("gemini-thought-signatures").unwrap_or(true)
}
