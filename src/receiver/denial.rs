//! Successes that their body contradicts: the meaning of a 2xx from a receiver without dedup keys.
//!
//! If such a receiver has accepted a message, sending it again posts a second one. A 2xx is
//! therefore a delivery whatever the body says, unless the body says that nothing was posted: by
//! `"ok": false`, by the status or the words of an error, or by one of Slack's error words.
//!
//! A part of the body that repeats the request proves nothing: an alert may mention an error in any
//! field, or be a refusal to the letter (`success=false`). If everything that reports a failure may
//! come from the request, and nothing shows whether the reply repeats it or means it, the outcome
//! of the page is unknown. Then it is not sent again, and the fallback is notified: nobody is paged
//! twice, and no page is lost unnoticed.

use serde_json::Value;

use self::{
    echo::Sent,
    json::{of_json, of_lines},
    page::{heading, is_sign_in, is_web_page},
    sentence::{evidence, pairs},
    words::is_of_two_minds,
};
use super::{Reply, Request, partial, status, text};
use crate::delivery::{FailureReason, Verdict};

mod echo;
mod failure;
mod json;
mod markup;
mod page;
mod sentence;
mod words;

pub use failure::reads;

/// Returns the verdict on an endpoint whose reply may be anything but a sign-in page. The reply may
/// repeat the request; `sent` makes that request, and is only called for a reply that could.
pub fn judge(reply: &Reply, sent: impl FnOnce() -> Option<Request>) -> Verdict {
    match status::verdict(reply) {
        Verdict::Delivered { .. } if is_sign_in(reply) => in_place_of("a sign-in", reply),
        Verdict::Delivered { .. } => {
            denied(reply, sent).unwrap_or(Verdict::Delivered { receipt: None })
        }
        verdict => verdict,
    }
}

/// Returns the verdict on a vendor whose API documents its replies, none of which is a web page. A
/// web page comes from a sign-in or a proxy in between: nobody was paged, and the page may be sent
/// again.
pub fn judge_api(reply: &Reply, sent: impl FnOnce() -> Option<Request>) -> Verdict {
    in_between(reply).unwrap_or_else(|| judge(reply, sent))
}

/// Returns the verdict on a vendor that recognises a repeat by its key: a page with an uncertain
/// outcome is sent again.
pub fn judge_keyed(reply: &Reply) -> Verdict {
    match judge_api(reply, || None) {
        Verdict::Permanent {
            reason: reason @ FailureReason::UnexpectedReply,
            detail,
        } if (200..300).contains(&reply.status) => Verdict::Retry {
            reason,
            detail,
            after: None,
        },
        verdict => verdict,
    }
}

/// Returns the verdict on a web page that something in between sent in place of a vendor's API. A
/// status with a verdict of its own, such as 429, keeps that verdict.
pub fn in_between(reply: &Reply) -> Option<Verdict> {
    let is_pages = matches!(
        status::verdict(reply),
        Verdict::Delivered { .. } | Verdict::Permanent { .. }
    );
    let is_known = matches!(reply.status, 200..=299 | 400..=499);
    (is_pages && is_known && is_web_page(reply)).then(|| status::unexpected(reply))
}

/// Returns the verdict on a chat.
///
/// A chat does not reply with a web page: one comes from a proxy or a sign-in in between. Then it
/// is unknown whether something was posted, so the request is not repeated; the dead letter says
/// so, and the fallback is notified.
pub fn judge_chat(reply: &Reply, sent: impl FnOnce() -> Option<Request>) -> Verdict {
    if (200..300).contains(&reply.status) && is_web_page(reply) {
        return in_place_of("a web page", reply);
    }

    judge(reply, sent)
}

/// Returns the verdict on a page that something else answered: nobody knows whether the page was
/// told.
fn in_place_of(answered: &str, reply: &Reply) -> Verdict {
    Verdict::Permanent {
        reason: FailureReason::UnexpectedReply,
        detail: format!(
            "{answered} answered in place of the receiver: {}",
            status::detail(reply)
        ),
    }
}

fn denied(reply: &Reply, sent: impl FnOnce() -> Option<Request>) -> Option<Verdict> {
    let said = String::from_utf8_lossy(&reply.body);
    let said = said.trim_start_matches('\u{FEFF}').trim();
    let sent = || {
        sent()
            .map(|request| Sent::new(&request))
            .unwrap_or_default()
    };
    let json = partial::read(said).map(|json| match json {
        // The body may be a JSON string that itself contains JSON.
        Value::String(said) => partial::read(&said)
            .filter(|json| json.is_object() || json.is_array())
            .unwrap_or(Value::String(said)),
        json => json,
    });
    let markup = || markup::read(said).filter(|json| of_json(json).is_some());
    let head = text::head(said, LONGEST);
    let denial = match (json.or_else(markup), pairs(head)) {
        (Some(Value::String(said)), _) => told_in_text(text::head(&said, LONGEST), sent),
        // The body consists of several objects, one after the other.
        (Some(Value::Array(lines)), _) if said.find(['{', '[']) == said.find('{') => {
            told_in_lines(&lines, sent)
        }
        (Some(json), _) => told_in_json(&json, sent),
        (None, Some(pairs)) => told_in_pairs(&pairs, sent),
        (None, None) => told_in_text(head, sent),
    }?;

    Some(match denial {
        Denial::Status(code) => status::as_if(code, reply),
        Denial::Words | Denial::Word => Verdict::Retry {
            reason: FailureReason::UnexpectedReply,
            detail: format!("the reply says that it failed: {}", status::detail(reply)),
            after: status::retry_after(reply),
        },
        Denial::Doubtful => Verdict::Permanent {
            reason: FailureReason::UnexpectedReply,
            detail: format!(
                "the reply says that it failed, or repeats what the alert says, so it is not known \
                 whether the page was accepted: {}",
                status::detail(reply)
            ),
        },
    })
}

fn told_in_json(json: &Value, sent: impl FnOnce() -> Sent) -> Option<Denial> {
    let denial = of_json(json)?;
    beside(denial, json, &sent())
}

/// Judges the lines of NDJSON.
fn told_in_lines(lines: &[Value], sent: impl FnOnce() -> Sent) -> Option<Denial> {
    let denial = of_lines(lines)?;
    match (denial, lines.last()) {
        (Denial::Doubtful, Some(last)) => told_in_json(last, sent).map(|_| Denial::Doubtful),
        _ => beside(denial, &Value::Array(lines.to_vec()), &sent()),
    }
}

/// Judges the fields of a text. Their names may be the alert's own words too.
fn told_in_pairs(pairs: &Value, sent: impl FnOnce() -> Sent) -> Option<Denial> {
    let denial = of_json(pairs)?;
    let sent = sent();
    let is_named = pairs
        .as_object()
        .is_some_and(|fields| fields.keys().any(|name| sent.has(name)));
    let denial = beside(denial, pairs, &sent)?;
    Some(if is_named { Denial::Doubtful } else { denial })
}

/// Returns how a reply denies the page, apart from what it may repeat of the request.
fn beside(denial: Denial, json: &Value, sent: &Sent) -> Option<Denial> {
    let is_repeated = sent.is_repeated_in(json);
    match (denial, of_json(&sent.taken_from(json))) {
        // The state of what was made may be the alert's own.
        (Denial::Doubtful, None) => None,
        // A sentence beside what the reply repeats may be about the alert too.
        (Denial::Doubtful, Some(_)) => Some(Denial::Doubtful),
        (_, Some(Denial::Word)) if is_repeated => Some(Denial::Doubtful),
        (_, Some(own)) => Some(own),
        (_, None) if is_repeated && !sent.is_added_to_by(json) => None,
        (_, None) => Some(Denial::Doubtful),
    }
}

fn told_in_text(said: &str, sent: impl FnOnce() -> Sent) -> Option<Denial> {
    let (denial, evidence) = evidence(said)?;
    let sent = sent();
    let lower = said.to_lowercase();
    let said = heading(&lower).unwrap_or(said);
    // An error of Slack is a single word, such as `no_service`, which no alert contains by chance.
    let is_slacks = denial == Denial::Words && !said.contains(char::is_whitespace);
    if !is_slacks && (sent.repeats(said) || sent.is_wrapped_in(said)) {
        return None;
    }
    let is_mixed = denial == Denial::Word && is_of_two_minds(said);
    let is_doubtful = is_mixed || sent.may_be_in(said, Some(&evidence));
    Some(if is_doubtful {
        Denial::Doubtful
    } else {
        denial
    })
}

/// The largest part of a text that is read, in bytes.
const LONGEST: usize = 8192;

/// The way in which a body contradicts the status of its reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Denial {
    /// The body names the status that the reply should have had.
    Status(u16),
    /// The body contains words that only a refusal contains.
    Words,
    /// The body contains a sentence that reports a failure, as an alert's own sentence may.
    Word,
    /// The body reports a failure, but also mentions something that was made or sent, or may only
    /// repeat the alert.
    Doubtful,
}

#[cfg(test)]
mod tests;
