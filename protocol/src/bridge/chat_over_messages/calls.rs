//! The tool calls of one reply: which content block is which call, and what of it has gone out.

use std::collections::HashSet;

/// A content block that is a tool call.
struct OpenCall {
    /// The upstream's index of its block.
    block: Option<i64>,
    number: u32,
    has_arguments: bool,
    /// The input that its beginning carried; inner text.
    input: Option<String>,
}

/// All calls: those that are open, and how many there have been.
#[derive(Default)]
pub(super) struct Calls {
    open: Vec<OpenCall>,
    count: u32,
    ids: HashSet<String>,
}

/// What is still missing of a call that is over.
pub(super) struct Closed {
    pub(super) number: u32,
    /// All of its arguments, if none went out; inner text.
    pub(super) arguments: Option<String>,
}

impl Calls {
    /// Books a call that begins; returns its number, counted from 0.
    pub(super) fn begin(&mut self, block: Option<i64>, id: &str, input: Option<String>) -> u32 {
        let number = self.count;
        self.count = number.saturating_add(1);
        self.ids.insert(id.to_owned());
        self.open.push(OpenCall { block, number, has_arguments: false, input });
        number
    }

    /// The call that arguments of this block belong to, if it is one.
    pub(super) fn continued(&mut self, block: Option<i64>) -> Option<u32> {
        let call = self.open.iter_mut().rfind(|call| block.is_none() || call.block == block)?;
        call.has_arguments = true;
        Some(call.number)
    }

    /// This block is over.
    pub(super) fn close(&mut self, block: Option<i64>) -> Option<Closed> {
        let at = self.open.iter().rposition(|call| block.is_none() || call.block == block)?;
        Some(Closed::of(self.open.remove(at)))
    }

    /// The reply is over.
    pub(super) fn close_all(&mut self) -> Vec<Closed> {
        self.open.drain(..).map(Closed::of).collect()
    }

    /// Whether an earlier call has this id.
    pub(super) fn has(&self, id: &str) -> bool {
        self.ids.contains(id)
    }

    /// How many have begun.
    pub(super) fn count(&self) -> u32 {
        self.count
    }
}

impl Closed {
    fn of(call: OpenCall) -> Self {
        // Clients parse the arguments when the call is over.
        let missing = (!call.has_arguments).then(|| call.input.unwrap_or_else(|| "{}".to_owned()));
        Self { number: call.number, arguments: missing }
    }
}
