//! What is kept of one call to an upstream.

use std::sync::Arc;
use std::time::Duration;

use crate::secret::KeyId;

/// One call to an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallRecord {
    pub provider: Arc<str>,
    /// The provider's name of the model.
    pub model: Arc<str>,
    pub key: Option<KeyId>,
    /// The upstream's status; `None` if no reply came.
    pub status: Option<u16>,
    /// [`Outcome::label`](crate::outcome::Outcome::label), `None` while the call runs.
    pub outcome: Option<&'static str>,
    /// The upstream's own id of the request, by which its support finds it.
    pub upstream_request_id: Option<Arc<str>>,
    /// From the request's start to the start of the call.
    pub started: Duration,
    /// From the start of the call to its reply's head or to its failure.
    pub elapsed: Duration,
}
