//! Why a request failed, without what surrounds the cause.

use std::error::Error;

/// The innermost cause of an error, if it has one: the text of the error itself may contain an
/// address, and so a secret.
pub fn innermost(error: &dyn Error) -> Option<String> {
    let mut cause = error.source()?;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    Some(cause.to_string())
}
