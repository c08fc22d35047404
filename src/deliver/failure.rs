//! The reason why a request got no reply, in words for the operator.

use crate::delivery::FailureReason;

/// A request that got no reply.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) reason: FailureReason,
    /// Whether the request may have been sent whole, so that the receiver may have taken it.
    pub(crate) may_be_taken: bool,
    pub(crate) detail: String,
}

impl Failure {
    /// Returns the failure of a request that no receiver can have taken.
    pub(crate) fn unsent(reason: FailureReason, detail: impl Into<String>) -> Self {
        Self {
            reason,
            may_be_taken: false,
            detail: detail.into(),
        }
    }
}
