//! Keys that an operator has disabled. They are never lent, until an operator enables them or the gateway starts anew.

use serde::{Deserialize, Serialize};

use super::Health;
use crate::secret::KeyId;

/// Whether an operator lets a key be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeySwitch {
    Enabled,
    Disabled,
}

impl Health {
    /// Enables or disables a key; `false` if there is no such key.
    pub(in crate::provider) fn switch_key(&mut self, id: KeyId, to: KeySwitch) -> bool {
        let Some(key) = self.keys.iter_mut().find(|key| key.key.id() == id) else { return false };
        key.is_disabled = to == KeySwitch::Disabled;
        true
    }

    /// Whether there are keys, and an operator has disabled all of them.
    pub(super) fn are_all_disabled(&self) -> bool {
        !self.keys.is_empty() && self.keys.iter().all(|key| key.is_disabled)
    }

    /// Disables the keys that are disabled in `earlier`.
    pub(in crate::provider) fn with_disabled_keys_of(mut self, earlier: &Self) -> Self {
        for key in earlier.keys.iter().filter(|key| key.is_disabled) {
            self.switch_key(key.key.id(), KeySwitch::Disabled);
        }
        self
    }
}
