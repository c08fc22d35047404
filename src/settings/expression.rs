//! The reason why a regular expression is refused.

use regex::Error;

/// Returns the last line of the parser's message. The lines above it draw the pattern, which may be
/// one that nobody wrote.
pub fn reason(error: &Error) -> String {
    match error {
        Error::CompiledTooBig(_) => "it is too large".to_owned(),
        other => {
            let text = other.to_string();
            let last = text.lines().last().unwrap_or_default();
            last.trim().trim_start_matches("error: ").to_owned()
        }
    }
}
