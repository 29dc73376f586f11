//! What requests cost, in millionths of a US dollar.

use serde::{Deserialize, Serialize};

/// The cost of one request, or a sum of costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// In millionths of a US dollar.
    pub micro_dollars: u64,
    /// What the same tokens would have cost more without a prompt cache; negative if writing to the cache cost more than reading
    /// from it saved.
    pub saved_micro_dollars: i64,
}
