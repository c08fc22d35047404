//! The cause of a failed request, without what surrounds it.

use std::error::Error;

/// Returns the innermost cause of an error, if it has one. The text of the error itself may contain
/// an address, and so a secret.
pub fn innermost(error: &dyn Error) -> Option<String> {
    let mut cause = error.source()?;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    Some(cause.to_string())
}
