//! The record of a reply that the upstream has ended and whose end the gateway still completes, such as with verdicts.

use std::cell::RefCell;
use std::rc::Rc;

use crate::recorder::RequestRecorder;

/// Shared by the converter and the holder. Empty until the converter has ended. The record is written when both are dropped.
#[derive(Clone, Default)]
pub struct HeldRecord(Rc<RefCell<Option<RequestRecorder>>>);

impl HeldRecord {
    pub(super) fn put(&self, record: RequestRecorder) {
        *self.0.borrow_mut() = Some(record);
    }

    /// The record of a reply that has ended.
    pub fn take(&self) -> Option<RequestRecorder> {
        self.0.borrow_mut().take()
    }
}
