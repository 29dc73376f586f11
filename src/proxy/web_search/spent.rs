//! The tokens of complete rounds, which count even if the reply breaks off in a later round.

use std::cell::Cell;
use std::rc::Rc;

use bytes::{Bytes, BytesMut};
use vandamme_protocol::convert::{CodecForm, Pushed, ReplyCodec, ReplySummary};
use vandamme_protocol::fault::Fault;
use vandamme_protocol::vocabulary::Usage;

/// The sum of all rounds so far, which the rounds write and the reply's codec reads.
pub(super) type Spent = Rc<Cell<Usage>>;

/// The codec of the whole reply. The client learns the sum at the end only, the ledger in any case.
pub(super) struct CountingRounds {
    pub(super) codec: Box<dyn ReplyCodec>,
    pub(super) spent: Spent,
}

impl CountingRounds {
    /// At the end of a complete reply, the events have the sum too.
    fn at_least_spent(&self, usage: Usage) -> Usage {
        let spent = self.spent.get();
        let total = |usage: Usage| usage.input + usage.cache_read + usage.cache_creation + usage.output;
        if total(spent) > total(usage) { spent } else { usage }
    }

    fn with_spent(&self, summary: ReplySummary) -> ReplySummary {
        let usage = self.at_least_spent(summary.usage.unwrap_or_default());
        ReplySummary { usage: (usage != Usage::default()).then_some(usage), ..summary }
    }
}

impl ReplyCodec for CountingRounds {
    fn push(&mut self, block: Bytes, out: &mut BytesMut) -> Pushed {
        self.codec.push(block, out)
    }

    fn finish(&mut self, out: &mut BytesMut) -> ReplySummary {
        let summary = self.codec.finish(out);
        self.with_spent(summary)
    }

    fn fail(&mut self, fault: Fault, out: &mut BytesMut) -> ReplySummary {
        let summary = self.codec.fail(fault, out);
        self.with_spent(summary)
    }

    fn started(&self) -> bool {
        self.codec.started()
    }

    fn finishing(&self) -> bool {
        self.codec.finishing()
    }

    fn passed_error(&self) -> Option<Fault> {
        self.codec.passed_error()
    }

    fn counted(&self) -> (Usage, u32) {
        let (usage, calls) = self.codec.counted();
        (self.at_least_spent(usage), calls)
    }

    fn form(&self) -> CodecForm {
        self.codec.form()
    }
}
