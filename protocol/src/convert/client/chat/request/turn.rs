//! The entries of `messages`, each with its role.

use crate::{
    fault::RequestError,
    json::Word,
    openai::request::{Content, Message},
};

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    System,
    User,
    Assistant,
    Tool,
    /// What tools were called once.
    Function,
}

/// One entry of `messages`.
pub(super) struct Turn<'a> {
    pub(super) at: usize,
    pub(super) role: Role,
    pub(super) content: Content<'a>,
    pub(super) message: &'a Message<'a>,
}

impl<'a> Turn<'a> {
    /// Takes all messages apart.
    pub(super) fn read_all(messages: &'a [Message<'a>]) -> Result<Vec<Self>, RequestError> {
        if messages.is_empty() {
            return Err(RequestError::new("messages: at least one message is required"));
        }
        messages.iter().enumerate().map(|(at, message)| Self::read(at, message)).collect()
    }

    fn read(at: usize, message: &'a Message<'a>) -> Result<Self, RequestError> {
        let role = match message.role.as_ref().map(Word::as_str) {
            Some("system" | "developer") => Role::System,
            Some("user") => Role::User,
            Some("assistant") => Role::Assistant,
            Some("tool") => Role::Tool,
            Some("function") => Role::Function,
            Some(_) => {
                return Err(RequestError::new(format!(
                    "messages.{at}.role: must be system, developer, user, assistant or tool"
                )));
            }
            None => return Err(RequestError::new(format!("messages.{at}.role: field required"))),
        };
        let content = Content::read(message.content)
            .map_err(|problem| RequestError::new(format!("messages.{at}.content: {problem}")))?;
        Ok(Self { at, role, content, message })
    }
}
