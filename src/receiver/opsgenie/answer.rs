//! The meaning of Opsgenie's replies. A 202 is not a delivery: it only promises that the request
//! will be processed.

use serde_json::Value;

use crate::{
    delivery::{Action, FailureReason, Step, Verdict},
    receiver::{Reply, denial, status, text},
};

/// Returns what a reply to a create or a close means.
pub(super) fn to_request(action: Action, reply: &Reply) -> Verdict {
    if (200..300).contains(&reply.status) {
        let json = reply.json();
        let id = field(&json, "requestId")
            .and_then(Value::as_str)
            .filter(|id| !id.is_empty());
        let id = id.or_else(|| reply.headers.get("x-request-id").map(String::as_str));
        // Without an id, the result cannot be queried. Sending the request again does no harm,
        // because the alias is the same.
        return match id {
            Some(id) if id.len() <= 512 => Verdict::Accepted {
                request_id: id.to_owned(),
            },
            _ => status::unexpected(reply),
        };
    }

    failed(action, reply)
}

/// Returns what a reply to the query for a request's result means.
pub(super) fn to_question(action: Action, reply: &Reply) -> Verdict {
    if reply.status == 404 && unprocessed(reply) {
        return Verdict::NotYet;
    }

    if !(200..300).contains(&reply.status) {
        return failed(action, reply);
    }

    let json = reply.json();
    let word = |name| {
        field(&json, name)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };

    match field(&json, "isSuccess")
        .or_else(|| field(&json, "success"))
        .and_then(Value::as_bool)
    {
        Some(true) => {
            let alert = Some(text::cut(word("alertId"), 100)).filter(|id| !id.is_empty());
            Verdict::Delivered { receipt: alert }
        }
        Some(false) if is_not_there(word("status")) && action != Action::Trigger => gone(action),
        Some(false) => Verdict::Permanent {
            reason: FailureReason::Rejected,
            detail: status::quoted(
                reply.status,
                &format!("accepted, then refused: {}", word("status")),
            ),
        },
        None => status::unexpected(reply),
    }
}

fn failed(action: Action, reply: &Reply) -> Verdict {
    let said = status::detail(reply);
    if reply.status == 404 && is_not_there(&said) && action != Action::Trigger {
        return gone(action);
    }

    match denial::in_between(reply).unwrap_or_else(|| status::verdict(reply)) {
        Verdict::Retry {
            reason: FailureReason::RateLimited,
            detail,
            after,
        } => {
            let period = reply
                .headers
                .get("x-ratelimit-period-in-sec")
                .and_then(|period| status::seconds(period));
            Verdict::Retry {
                reason: FailureReason::RateLimited,
                detail,
                after: period.or(after),
            }
        }
        Verdict::Permanent { reason, detail } if reply.status == 401 => Verdict::Permanent {
            reason,
            detail: format!("{detail} (is `api_url` of the account's region?)"),
        },
        verdict => verdict,
    }
}

/// Returns the verdict where there is no open alert. A close has nothing left to do; a change has
/// to become an alert of its own.
fn gone(action: Action) -> Verdict {
    match action {
        Action::Trigger | Action::Resolve => Verdict::Delivered { receipt: None },
        Action::Change => Verdict::Partly {
            next: Step::Apart,
            detail: "there is no open alert to change".into(),
        },
    }
}

fn is_not_there(said: &str) -> bool {
    said.to_ascii_lowercase().contains("alert does not exist")
}

fn unprocessed(reply: &Reply) -> bool {
    let by_header = reply
        .headers
        .get("x-opsgenie-errortype")
        .is_some_and(|kind| kind.trim() == "RequestNotProcessed");

    // The header is not documented, and proxies drop it, so the text counts as well: "Request not
    // found. It might not be processed, yet."
    by_header
        || status::detail(reply)
            .to_ascii_lowercase()
            .contains("might not be processed")
}

/// Returns a field of `{"data": {…}}` or of the flat form.
fn field<'a>(json: &'a Value, name: &str) -> Option<&'a Value> {
    json.get("data")
        .and_then(|data| data.get(name))
        .or_else(|| json.get(name))
        .filter(|value| !value.is_null())
}
