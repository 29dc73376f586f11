//! The tool calls of one reply: which content block is which call, and how much of it the client has.

use std::borrow::Cow;

use crate::{convert::client::custom::CustomInput, openai::chunk::Callee};

/// A content block that is a tool call.
struct OpenCall {
    /// The upstream's index of its block.
    block: Option<u64>,
    number: u32,
    has_arguments: bool,
    /// The input that its beginning carried; inner text.
    input: Option<String>,
    /// For a custom tool.
    custom: Option<CustomInput>,
}

/// All calls: those that are open, and how many there have been.
#[derive(Default)]
pub(super) struct OpenCalls {
    open: Vec<OpenCall>,
    count: u32,
}

/// A piece of a call's arguments; inner text.
pub(super) struct ArgumentsFragment<'a> {
    pub(super) number: u32,
    pub(super) callee: Callee,
    pub(super) text: Cow<'a, str>,
}

impl OpenCalls {
    /// Adds a call that begins. Returns its number, counted from 0.
    pub(super) fn begin(&mut self, block: Option<u64>, callee: Callee, input: Option<String>) -> u32 {
        let number = self.count;
        self.count = number.saturating_add(1);
        let custom = match callee {
            Callee::Function => None,
            Callee::Custom => Some(CustomInput::default()),
        };
        self.open.push(OpenCall { block, number, has_arguments: false, input, custom });
        number
    }

    /// Takes arguments of this block. Returns the piece for the client, if the block is a call.
    pub(super) fn continued<'a>(
        &mut self,
        block: Option<u64>,
        fragment: &'a str,
    ) -> Option<ArgumentsFragment<'a>> {
        let call = self.open.iter_mut().rfind(|call| block.is_none() || call.block == block)?;
        call.has_arguments = true;
        match &mut call.custom {
            None => Some(ArgumentsFragment {
                number: call.number,
                callee: Callee::Function,
                text: fragment.into(),
            }),
            Some(custom) => ArgumentsFragment::from_custom(call.number, custom.push(fragment)),
        }
    }

    /// Ends this block. Returns the missing rest of its call, if it is one.
    pub(super) fn close(&mut self, block: Option<u64>) -> Option<ArgumentsFragment<'static>> {
        let at = self.open.iter().rposition(|call| block.is_none() || call.block == block)?;
        self.open.remove(at).rest()
    }

    /// Ends the reply. Returns the missing rests of its calls.
    pub(super) fn close_all(&mut self) -> Vec<ArgumentsFragment<'static>> {
        self.open.drain(..).filter_map(OpenCall::rest).collect()
    }

    /// How many have begun.
    pub(super) fn count(&self) -> u32 {
        self.count
    }
}

impl OpenCall {
    fn rest(self) -> Option<ArgumentsFragment<'static>> {
        let missing = if self.has_arguments { None } else { self.input };
        match self.custom {
            Some(mut custom) => {
                let mut text = missing.map(|input| custom.push(&input)).unwrap_or_default();
                text.push_str(&custom.finish());
                ArgumentsFragment::from_custom(self.number, text)
            }
            None if self.has_arguments => None,
            // Clients parse the arguments when the call is over.
            None => {
                let text = missing.map_or(Cow::Borrowed("{}"), Cow::Owned);
                Some(ArgumentsFragment { number: self.number, callee: Callee::Function, text })
            }
        }
    }
}

impl ArgumentsFragment<'_> {
    fn from_custom(number: u32, text: String) -> Option<Self> {
        (!text.is_empty()).then_some(Self { number, callee: Callee::Custom, text: text.into() })
    }
}
