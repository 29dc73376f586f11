//! Why a model name or a fallback leads nowhere.

/// Why a model name leads nowhere. Every text is for the client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unroutable {
    #[error(
        "no provider is configured: set OPENAI_API_KEY, ANTHROPIC_API_KEY or another {{PROVIDER}}_API_KEY and restart"
    )]
    NoProvider,
    #[error("unknown provider '{prefix}' in model '{model}': the providers are {known}")]
    UnknownProvider { prefix: String, model: String, known: String },
    #[error("unknown provider '{name}': the providers are {known}")]
    NoSuchProvider { name: String, known: String },
    #[error("provider '{name}' {}: set {missing} and restart", incomplete(.missing))]
    Incomplete { name: String, missing: String },
    #[error("provider '{name}' has no key: set {variable} and restart")]
    Keyless { name: String, variable: String },
    #[error("profile '{name}' is inactive: {why}")]
    InactiveProfile { name: String, why: String },
    #[error("model: the name is empty")]
    EmptyModel,
    #[error("model '{model}' leads through aliases in a circle: {chain}; change one of them")]
    AliasCycle { model: String, chain: String },
    #[error("model '{model}' leads through more than {limit} aliases: {chain}")]
    LongChain { model: String, chain: String, limit: usize },
}

fn incomplete(missing: &str) -> &'static str {
    if missing.ends_with("_BASE_URL") { "has a key but no base URL" } else { "is not complete" }
}

/// Why a fallback is not used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SkippedFallback {
    #[error(transparent)]
    Unroutable(#[from] Unroutable),
    #[error("it has been tried by then")]
    Tried,
    /// A key that a client shows is for the provider that it asks for.
    #[error("it takes the client's own key, which is for provider '{0}'")]
    OthersKey(String),
}
