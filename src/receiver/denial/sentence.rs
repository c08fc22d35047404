//! A body of text that says that nothing was posted: by its first words, by one of Slack's, or by
//! an element.

use super::{Denial, page::is_element, words::begins_badly};

/// The families of Slack's one-word errors, which compatible services share.
const BEGINNINGS: [&str; 5] = ["invalid_", "missing_", "no_", "not_", "too_many_"];
/// What begins like one of them, and reports nothing wrong.
const FINE: [&str; 15] = [
    "no_action",
    "no_alert",
    "no_change",
    "no_content",
    "no_error",
    "no_exception",
    "no_failure",
    "no_fault",
    "no_issue",
    "no_op",
    "no_problem",
    "no_reply",
    "no_response",
    "no_warning",
    "not_modified",
];
const ENDINGS: [&str; 10] = [
    "_archived",
    "_denied",
    "_disabled",
    "_error",
    "_expired",
    "_failed",
    "_limited",
    "_not_found",
    "_prohibited",
    "_revoked",
];

pub(super) fn of_text(said: &str) -> Option<Denial> {
    let lower = said.trim().to_ascii_lowercase();
    // Microsoft's connectors: "Webhook message delivery failed with error: … returned HTTP error
    // 429". They reply 200 where another attempt may help, also with 401 and 412; a message that is
    // too large stays so.
    if lower.contains("delivery failed") {
        let code = lower
            .split("http error ")
            .nth(1)
            .and_then(|rest| rest.get(..3)?.parse().ok());
        return Some(
            code.filter(|code| matches!(code, 413 | 429 | 500..600))
                .map_or(Denial::Words, Denial::Status),
        );
    }

    let is_word = !lower.is_empty()
        && lower
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');

    let is_slacks = is_word
        && !FINE.iter().any(|fine| lower.starts_with(fine))
        && (BEGINNINGS
            .iter()
            .any(|beginning| lower.starts_with(beginning))
            || ENDINGS.iter().any(|ending| lower.ends_with(ending)));

    (is_slacks || begins_badly(&lower) || is_element(&lower, &["error", "fault"]))
        .then_some(Denial::Words)
}
