//! A success that its body contradicts: the meaning of a 2xx from a receiver without dedup keys.
//!
//! If such a receiver has accepted a message, sending it again posts a second one. A 2xx is
//! therefore a delivery whatever the body says, unless the body says that nothing was posted:
//! `"ok": false`, an error's status or words, or one of Slack's. What repeats the request says
//! nothing: an alert may speak of an error in any field.

use serde_json::Value;

use self::{json::of_json, page::is_web_page, sentence::of_text};
use super::{Body, Reply, status, text};
use crate::delivery::{FailureReason, Verdict};

mod echo;
mod json;
mod page;
mod sentence;
mod words;

pub use words::reads;

/// The verdict on an endpoint whose reply may be anything.
pub fn judge(reply: &Reply) -> Verdict {
    judge_echo(reply, || Body::Empty)
}

/// The same, where the endpoint may repeat what was `sent`, which is made only if the reply could.
pub fn judge_echo(reply: &Reply, sent: impl FnOnce() -> Body) -> Verdict {
    match status::verdict(reply) {
        Verdict::Delivered { .. } => {
            denied(reply, sent).unwrap_or(Verdict::Delivered { receipt: None })
        }
        verdict => verdict,
    }
}

/// The verdict on a vendor whose API documents its replies, none of which is a web page: that comes
/// from a sign-in or a proxy in between, and nobody was paged. A page by a key may be sent again.
pub fn judge_api(reply: &Reply, sent: impl FnOnce() -> Body) -> Verdict {
    if (200..300).contains(&reply.status) && is_web_page(reply) {
        return status::unexpected(reply);
    }

    judge_echo(reply, sent)
}

/// The verdict on a chat. A chat does not reply with a web page: one comes from a proxy or a
/// sign-in in between. Then it is unknown whether something was posted, so it is not repeated; the
/// dead letter says so, and the fallback is notified.
pub fn judge_chat(reply: &Reply) -> Verdict {
    if (200..300).contains(&reply.status) && is_web_page(reply) {
        let detail = format!(
            "a web page answered in place of the chat: {}",
            status::detail(reply)
        );
        return Verdict::Permanent {
            reason: FailureReason::UnexpectedReply,
            detail,
        };
    }

    judge(reply)
}

fn denied(reply: &Reply, sent: impl FnOnce() -> Body) -> Option<Verdict> {
    let said = String::from_utf8_lossy(&reply.body);
    let said = said.trim_start_matches('\u{FEFF}').trim();
    let denial = match serde_json::from_str::<Value>(said) {
        Ok(mut json) => {
            if json.is_object() || json.is_array() {
                echo::forget_in(&mut json, &sent());
            }
            of_json(&json)
        }
        Err(_) => of_text(text::head(said, 8192)).filter(|_| !echo::begins(said, &sent())),
    }?;

    Some(match denial {
        Denial::Status(code) => status::as_if(code, reply),
        Denial::Words => Verdict::Retry {
            reason: FailureReason::UnexpectedReply,
            detail: format!("the reply says that it failed: {}", status::detail(reply)),
            after: status::retry_after(reply),
        },
    })
}

/// How a body contradicts its own status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Denial {
    /// The status that it should have had.
    Status(u16),
    Words,
}

#[cfg(test)]
mod tests;
