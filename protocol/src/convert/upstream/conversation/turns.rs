//! The turns of a conversation.

use crate::{
    anthropic::request::{ContentBlock, MessageParam, MessagesContent, MessagesRequestBody},
    fault::RequestError,
    json::JsonWord,
};

/// The role of a turn.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum TurnRole {
    User,
    Assistant,
    System,
}

/// One entry of `messages`.
pub(crate) struct RequestTurn<'a> {
    pub(crate) role: TurnRole,
    pub(crate) content: MessagesContent<'a>,
    /// The effort that a system message sets for the following turns.
    pub(crate) effort: Option<&'static str>,
    /// `false` for a system message that applied to an earlier turn.
    pub(crate) is_shown: bool,
}

/// All turns of a request, at least one.
pub(crate) fn read_turns<'a>(
    request: &MessagesRequestBody<'a>,
) -> Result<Vec<RequestTurn<'a>>, RequestError> {
    let messages = request.messages.as_deref().unwrap_or_default();
    if messages.is_empty() {
        return Err(RequestError::new("messages: at least one message is required"));
    }
    let turns = messages.iter().enumerate().map(|(at, message)| RequestTurn::read(at, message));
    let mut turns: Vec<RequestTurn<'a>> = turns.collect::<Result<_, _>>()?;
    hide_cleared(messages, &mut turns);
    Ok(turns)
}

/// Hides system messages that apply to one turn of the user, if a later turn follows.
fn hide_cleared(messages: &[MessageParam<'_>], turns: &mut [RequestTurn<'_>]) {
    let last = turns.iter().rposition(|turn| turn.role == TurnRole::User).unwrap_or(0);
    for (message, turn) in messages.iter().zip(turns).take(last) {
        let clears = message.clear_at.as_ref().is_some_and(|at| at.as_str() == "next_user_message");
        turn.is_shown = !(clears && turn.role == TurnRole::System);
    }
}

impl<'a> RequestTurn<'a> {
    fn read(at: usize, message: &MessageParam<'a>) -> Result<Self, RequestError> {
        let role = match message.role.as_ref().map(JsonWord::as_str) {
            Some("user") => TurnRole::User,
            Some("assistant") => TurnRole::Assistant,
            Some("system") => TurnRole::System,
            Some(_) => {
                return Err(RequestError::new(format!(
                    "messages.{at}.role: must be user, assistant or system"
                )));
            }
            None => return Err(RequestError::new(format!("messages.{at}.role: field required"))),
        };
        let of_turn = message.output_config.as_ref().filter(|_| role == TurnRole::System);
        let effort =
            of_turn.and_then(|config| config.effort.as_ref()).map(|word| effort_level(word.as_str()));
        let content = match message.content {
            Some(content) => MessagesContent::read(content)
                .map_err(|problem| RequestError::new(format!("messages.{at}.content: {problem}")))?,
            // The message only sets the effort.
            None if of_turn.is_some() => MessagesContent::Blocks(vec![]),
            None => return Err(RequestError::new(format!("messages.{at}.content: field required"))),
        };
        Ok(Self { role, content, effort, is_shown: true })
    }

    /// Its blocks; none if its content is a string.
    pub(crate) fn blocks(&self) -> &[ContentBlock<'a>] {
        match &self.content {
            MessagesContent::Text(_) => &[],
            MessagesContent::Blocks(blocks) => blocks,
        }
    }
}

/// The effort of this name; an unknown name is `medium`.
pub(crate) fn effort_level(effort: &str) -> &'static str {
    match effort {
        "low" | "minimal" => "low",
        "high" => "high",
        "xhigh" => "xhigh",
        "max" => "max",
        _ => "medium",
    }
}
