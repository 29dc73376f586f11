//! Known wordings of refusals, by vendor.

/// What the name in a refusal refers to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum NameKind {
    Member,
    /// A member of which only the value is refused.
    Value,
    /// A member in xAI's notation: `reasoningEffort`.
    CamelCase,
    /// Several members, separated by commas.
    Members,
    Keyword,
    Betas,
}

/// Where a refusal states the path of the named member.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum PathPosition {
    InName,
    /// Directly before the wording, separated by this text.
    Before(&'static str),
    /// Directly after the wording, introduced by this text.
    After(&'static str),
}

/// The text around a name, in lower case. The name may have quotes of any kind.
pub(super) struct FixupWording {
    pub(super) before: &'static str,
    pub(super) after: &'static str,
    pub(super) names: NameKind,
    pub(super) path: PathPosition,
}

pub(super) const WORDINGS: [FixupWording; 23] = [
    // OpenAI, Azure, and APIs that copy their wording.
    wording("unsupported parameter: ", "", NameKind::Member, PathPosition::InName),
    wording("unsupported value: ", " does not support", NameKind::Value, PathPosition::InName),
    wording("unknown parameter: ", "", NameKind::Member, PathPosition::InName),
    wording("unrecognized request argument supplied: ", "", NameKind::Member, PathPosition::InName),
    wording("unrecognized request arguments supplied: ", "", NameKind::Members, PathPosition::InName),
    wording(
        "additional properties are not allowed (",
        " was unexpected)",
        NameKind::Member,
        PathPosition::After(" - '"),
    ),
    wording("function tools with ", " are not supported", NameKind::Member, PathPosition::InName),
    // Groq, Cerebras.
    wording("property ", " is unsupported", NameKind::Member, PathPosition::Before("' : ")),
    wording("", " is not supported with this model", NameKind::Member, PathPosition::InName),
    // Anthropic; Vertex and Bedrock, which pass its wording on; pydantic's human-readable form.
    wording("", ": extra inputs are not permitted", NameKind::Member, PathPosition::InName),
    wording("", "\n extra inputs are not permitted", NameKind::Member, PathPosition::InName),
    wording("", " is deprecated for this model", NameKind::Member, PathPosition::InName),
    wording(
        "unexpected value(s) ",
        " for the 'anthropic-beta' header",
        NameKind::Betas,
        PathPosition::InName,
    ),
    // Bedrock itself.
    wording("extraneous key [", "] is not permitted", NameKind::Member, PathPosition::Before(": ")),
    // Fireworks.
    wording("extra inputs are not permitted, field: ", "", NameKind::Member, PathPosition::InName),
    // Gemini.
    wording("unknown name ", "", NameKind::Member, PathPosition::After(" at '")),
    wording(
        "",
        ": only 'enum' and 'date-time' are supported for string type",
        NameKind::Member,
        PathPosition::InName,
    ),
    // xAI.
    wording("does not support parameter ", "", NameKind::CamelCase, PathPosition::InName),
    wording("argument not supported on this model: ", "", NameKind::CamelCase, PathPosition::InName),
    // Poe.
    wording("do not support extra_body fields: ", "", NameKind::Members, PathPosition::InName),
    // DeepSeek and other servers written in Rust; llama.cpp.
    wording("unknown field ", ", expected", NameKind::Member, PathPosition::InName),
    wording("unsupported param: ", "", NameKind::Member, PathPosition::InName),
    // OpenAI's strict schemas.
    wording("), ", " is not permitted", NameKind::Keyword, PathPosition::InName),
];

const fn wording(
    before: &'static str,
    after: &'static str,
    names: NameKind,
    path: PathPosition,
) -> FixupWording {
    FixupWording { before, after, names, path }
}

/// Refusals that describe a member without its name.
pub(super) const PHRASES: [(&str, NameKind, &[&str]); 6] = [
    ("does not support the effort parameter", NameKind::Member, &["output_config.effort"]),
    ("adaptive thinking is not supported", NameKind::Value, &["thinking"]),
    ("input tag 'adaptive' found using 'type' does not match", NameKind::Value, &["thinking"]),
    // The rest of a request whose thinking has just been removed.
    ("strategy requires 'thinking'", NameKind::Member, &["context_management"]),
    // OpenRouter, for models that always reason.
    ("reasoning is mandatory for this endpoint", NameKind::Value, &["reasoning"]),
    // Ollama.
    ("does not support thinking", NameKind::Member, &["reasoning_effort", "thinking", "reasoning"]),
];

/// Refusals of a combination of members, and the rule for it.
pub(super) const TOGETHER: [(&str, &str); 1] =
    [("'temperature' and 'top_p' cannot both be specified", "top_p&temperature")];

/// Members that can contain the effort level.
pub(super) const EFFORTS: [&str; 3] = ["output_config.effort", "reasoning_effort", "reasoning.effort"];

/// OpenAI's error codes for which `param` is the name.
pub(super) const CODES: [(&str, NameKind); 3] = [
    ("unsupported_parameter", NameKind::Member),
    ("unsupported_value", NameKind::Value),
    ("unknown_parameter", NameKind::Member),
];
