//! What the end of a reply shows of its upstream.

use vandamme_protocol::convert::ReplySummary;
use vandamme_protocol::vocabulary::ErrorKind;

use crate::outcome::{LimitScope, Outcome};

/// The outcome of a call whose reply ended so.
pub(super) fn of_reply(summary: &ReplySummary) -> Outcome {
    summary.fault.as_ref().map_or(Outcome::Answered, |fault| of_error(fault.kind))
}

/// The outcome of a call whose reply was ended by this error: a broken reply, unless it is a limit or the request's own
/// fault.
pub(super) fn of_error(kind: ErrorKind) -> Outcome {
    match kind {
        ErrorKind::Overloaded => Outcome::Overloaded,
        ErrorKind::RateLimit => Outcome::RateLimited { wait: None, scope: LimitScope::Model },
        ErrorKind::Billing => Outcome::OutOfCredit,
        ErrorKind::InvalidRequest | ErrorKind::NotFound | ErrorKind::TooLarge => Outcome::RequestRefused,
        ErrorKind::Authentication | ErrorKind::Permission | ErrorKind::Api | ErrorKind::Timeout => {
            Outcome::BrokenReply
        }
    }
}
