//! Why a request got no reply, in words for the operator.

use crate::delivery::FailureReason;

/// A request that got no reply.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) reason: FailureReason,
    pub(crate) detail: String,
}
