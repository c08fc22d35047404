//! The replies of an incoming webhook: single words.
//! <https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks> Services that accept
//! Slack's messages (Mattermost, Rocket.Chat, Discord's `/slack`) have words of their own.

use crate::{
    delivery::{FailureReason, Verdict},
    receiver::{Reply, Request, denial, status},
};

/// Slack's words for errors that no retry fixes, whatever the status.
const REFUSED: [&str; 18] = [
    "invalid_payload",
    "invalid_blocks",
    "invalid_blocks_format",
    "no_text",
    "too_many_attachments",
    "invalid_attachments",
    "missing_text_or_fallback_or_attachments",
    "action_prohibited",
    "posting_to_general_channel_denied",
    "invalid_token",
    "no_service",
    "no_service_id",
    "no_active_hooks",
    "no_team",
    "team_disabled",
    "user_not_found",
    "channel_not_found",
    "channel_is_archived",
];
/// Those of `REFUSED` that concern the credential.
const UNAUTHORIZED: [&str; 6] = [
    "action_prohibited",
    "posting_to_general_channel_denied",
    "invalid_token",
    "no_service",
    "no_active_hooks",
    "no_team",
];

pub(super) fn judge(reply: &Reply, sent: impl FnOnce() -> Option<Request>) -> Verdict {
    let said = String::from_utf8_lossy(&reply.body);
    // Compatible services wrap Slack's words in the JSON of Slack's API.
    let json = reply.json();
    let said = if json["ok"] == true {
        "ok"
    } else {
        json["error"].as_str().unwrap_or(said.trim())
    };

    let detail = status::detail(reply);

    // The word in the body is more specific than the status.
    if REFUSED.contains(&said) {
        let unauthorized = UNAUTHORIZED.contains(&said);
        let reason = if unauthorized {
            FailureReason::Unauthorized
        } else {
            FailureReason::Rejected
        };
        return Verdict::Permanent { reason, detail };
    }

    match said {
        "rollup_error" => Verdict::Retry {
            reason: FailureReason::ServerError,
            detail,
            after: status::retry_after(reply),
        },
        "rate_limited" | "ratelimited" => Verdict::Retry {
            reason: FailureReason::RateLimited,
            detail,
            after: status::retry_after(reply),
        },
        _ => denial::judge_chat(reply, sent),
    }
}
