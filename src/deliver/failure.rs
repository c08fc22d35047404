//! Why a request got no reply, in words for the operator.

use crate::delivery::FailureReason;

/// A request that got no reply.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) reason: FailureReason,
    /// Whether the request may have gone out whole, so that it may have been taken.
    pub(crate) may_be_taken: bool,
    pub(crate) detail: String,
}

impl Failure {
    /// A request that nobody can have taken.
    pub(crate) fn unsent(reason: FailureReason, detail: impl Into<String>) -> Self {
        Self {
            reason,
            may_be_taken: false,
            detail: detail.into(),
        }
    }
}
