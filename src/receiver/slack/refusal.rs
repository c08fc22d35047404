//! The meaning of the error words of Slack's Web API, and what is tried next.

use serde_json::Value;

use super::message::Part;
use crate::{
    delivery::{FailureReason, Step, Verdict},
    receiver::{Reply, status},
};

/// Words for a message to edit that no longer exists, or whose channel does not.
const GONE: [&str; 4] = [
    "message_not_found",
    "channel_not_found",
    "is_inactive",
    "team_not_found",
];
/// Words for a message that exists but cannot be edited.
const FINAL: [&str; 3] = [
    "cant_update_message",
    "edit_window_closed",
    "block_mismatch",
];
/// Words for a message that accepts no reply.
const UNANSWERABLE: [&str; 4] = [
    "cannot_reply_to_message",
    "restricted_action_non_threadable_channel",
    "restricted_action_thread_locked",
    "thread_not_found",
];
/// Words for errors that Slack says are temporary.
const PASSING: [&str; 9] = [
    "internal_error",
    "fatal_error",
    "service_unavailable",
    "request_timeout",
    "update_failed",
    "streaming_state_conflict",
    "external_channel_migrating",
    "team_added_to_org",
    "org_login_required",
];
/// Words for errors about the token or its permissions.
const UNAUTHORIZED: [&str; 21] = [
    "access_denied",
    "accesslimited",
    "account_inactive",
    "ekm_access_denied",
    "enterprise_is_restricted",
    "invalid_auth",
    "missing_scope",
    "no_permission",
    "not_allowed_token_type",
    "not_authed",
    "not_in_channel",
    "restricted_action",
    "restricted_action_non_threadable_channel",
    "restricted_action_read_only_channel",
    "restricted_action_thread_locked",
    "restricted_action_thread_only_channel",
    "team_access_not_granted",
    "token_expired",
    "token_revoked",
    "two_factor_setup_required",
    "cant_update_message",
];
/// Words for errors about the request or its channel.
const REJECTED: [&str; 30] = [
    "as_user_not_supported",
    "block_mismatch",
    "cannot_reply_to_message",
    "channel_not_found",
    "deprecated_endpoint",
    "edit_window_closed",
    "invalid_arg_name",
    "invalid_arguments",
    "invalid_array_arg",
    "invalid_attachments",
    "invalid_blocks",
    "invalid_blocks_format",
    "invalid_charset",
    "invalid_form_data",
    "invalid_json",
    "invalid_post_type",
    "is_archived",
    "is_inactive",
    "json_not_object",
    "message_not_found",
    "messages_tab_disabled",
    "method_deprecated",
    "missing_post_type",
    "msg_blocks_too_long",
    "msg_too_long",
    "no_text",
    "team_not_found",
    "thread_not_found",
    "too_many_attachments",
    "unknown_method",
];

/// Returns the verdict on an error word. Slack's documentation lists the expected errors; any other
/// word comes "where the service is down or other unexpected factors affect processing", and is
/// tried again.
pub(super) fn refused(word: &str, part: Part<'_>, json: &Value, reply: &Reply) -> Verdict {
    let detail = explained(word, json, reply.status);
    let next = match part {
        Part::Edit(_) if FINAL.contains(&word) => Some(Step::Reply),
        Part::Edit(_) if GONE.contains(&word) => Some(Step::Apart),
        Part::Reply(_) if GONE.contains(&word) || UNANSWERABLE.contains(&word) => Some(Step::Apart),
        _ => None,
    };

    if let Some(next) = next {
        return Verdict::Partly { next, detail };
    }

    let after = status::retry_after(reply);

    match word {
        "ratelimited" | "rate_limited" | "message_limit_exceeded" => Verdict::Retry {
            reason: FailureReason::RateLimited,
            detail,
            after,
        },
        _ if PASSING.contains(&word) => Verdict::Retry {
            reason: FailureReason::ServerError,
            detail,
            after,
        },
        _ if UNAUTHORIZED.contains(&word) => Verdict::Permanent {
            reason: FailureReason::Unauthorized,
            detail,
        },
        _ if REJECTED.contains(&word) => Verdict::Permanent {
            reason: FailureReason::Rejected,
            detail,
        },
        _ => Verdict::Retry {
            reason: FailureReason::UnexpectedReply,
            detail,
            after,
        },
    }
}

/// Describes the error by its word, with the remedy if that is known.
fn explained(word: &str, json: &Value, status: u16) -> String {
    let messages = json["response_metadata"]["messages"].as_array();
    let messages: Vec<_> = messages
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();

    let more = match word {
        "not_in_channel" => "invite the bot to the channel".to_owned(),
        "channel_not_found" => "the bot sees no channel of that name: invite it there".to_owned(),
        "missing_scope" => format!(
            "the token lacks {}",
            json["needed"].as_str().unwrap_or("a scope")
        ),
        _ => messages.join("; "),
    };

    status::quoted(
        status,
        &if more.is_empty() {
            word.to_owned()
        } else {
            format!("{word}: {more}")
        },
    )
}
