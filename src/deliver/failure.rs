//! What a request that got no reply failed by, in words for the operator.

use crate::delivery::FailureReason;

/// A request that got no reply.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) reason: FailureReason,
    pub(crate) detail: String,
}
