//! What a reply to a Responses client must know of its request.

/// The facts of a request that its reply needs.
#[derive(Clone, Debug)]
pub struct ResponsesClientContext {
    pub(super) requested_model: String,
    /// The upstream that the reply is from. Its reasoning can be sent back to it only.
    pub(super) provider: String,
    pub(super) model: String,
    /// The tools whose calls are not plain functions, by the name that the upstream knows.
    pub(super) tools: Vec<(String, ToolKind)>,
    /// Whether the client takes `encrypted_content` of reasoning items (`include`).
    pub(super) includes_reasoning: bool,
    /// Whether the client asked for summaries of the reasoning.
    pub(super) shows_summary: bool,
    /// What the client parses the answer as.
    pub(super) answer_form: AnswerForm,
    /// Members of the request that the response object repeats, as JSON: `"instructions":…,"tools":…`, without braces.
    pub(super) echo: String,
}

/// What a client parses an answer as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AnswerForm {
    Text,
    /// A JSON object (`text.format`).
    Object,
}

/// What the client calls a tool that is a function for the upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ToolKind {
    /// `custom`: its input is plain text, which the function has in one property.
    Custom,
    /// A function inside of a `namespace`.
    Namespaced { namespace: String, name: String },
    /// A `custom` tool inside of a `namespace`.
    NamespacedCustom { namespace: String, name: String },
    /// `tool_search` that the client runs.
    ToolSearch,
    /// `local_shell`.
    LocalShell,
    /// `shell`.
    Shell,
    /// `apply_patch`.
    ApplyPatch,
}

impl ResponsesClientContext {
    /// For a request without tools, whose client takes all of the reasoning.
    #[must_use]
    pub fn without_tools(requested_model: &str, provider: &str, model: &str) -> Self {
        Self {
            requested_model: requested_model.to_owned(),
            provider: provider.to_owned(),
            model: model.to_owned(),
            tools: Vec::new(),
            includes_reasoning: true,
            shows_summary: true,
            answer_form: AnswerForm::Text,
            echo: String::new(),
        }
    }

    /// With custom tools of these names.
    #[must_use]
    pub fn with_custom_tools(mut self, names: &[&str]) -> Self {
        self.tools.extend(names.iter().map(|name| ((*name).to_owned(), ToolKind::Custom)));
        self
    }
}
