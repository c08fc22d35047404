//! Why a request got no reply, in words for the operator.

use crate::delivery::FailureReason;

/// A request that got no reply.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) reason: FailureReason,
    pub(super) detail: String,
}
