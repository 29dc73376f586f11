//! The entries of `messages`, each with its role.

use crate::{
    fault::RequestError,
    json::JsonWord,
    openai::request::{ChatContent, ChatMessage},
};

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MessageRole {
    System,
    User,
    Assistant,
    Tool,
    /// What tools were called once.
    Function,
}

/// One entry of `messages`.
pub(super) struct MessagesTurn<'a> {
    pub(super) at: usize,
    pub(super) role: MessageRole,
    pub(super) content: ChatContent<'a>,
    pub(super) message: &'a ChatMessage<'a>,
}

impl<'a> MessagesTurn<'a> {
    /// Takes all messages apart.
    pub(super) fn read_all(messages: &'a [ChatMessage<'a>]) -> Result<Vec<Self>, RequestError> {
        if messages.is_empty() {
            return Err(RequestError::new("messages: at least one message is required"));
        }
        messages.iter().enumerate().map(|(at, message)| Self::read(at, message)).collect()
    }

    fn read(at: usize, message: &'a ChatMessage<'a>) -> Result<Self, RequestError> {
        let role = match message.role.as_ref().map(JsonWord::as_str) {
            Some("system" | "developer") => MessageRole::System,
            Some("user") => MessageRole::User,
            Some("assistant") => MessageRole::Assistant,
            Some("tool") => MessageRole::Tool,
            Some("function") => MessageRole::Function,
            Some(_) => {
                return Err(RequestError::new(format!(
                    "messages.{at}.role: must be system, developer, user, assistant or tool"
                )));
            }
            None => return Err(RequestError::new(format!("messages.{at}.role: field required"))),
        };
        let content = ChatContent::read(message.content)
            .map_err(|problem| RequestError::new(format!("messages.{at}.content: {problem}")))?;
        Ok(Self { at, role, content, message })
    }
}
