//! What an incoming webhook answers: a word. <https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks>

use crate::{
    delivery::{FailureReason, Verdict},
    receiver::{Reply, status},
};

/// Slack's words for what no repetition mends, whatever the status beside them.
const REFUSED: [&str; 16] = [
    "invalid_payload",
    "invalid_blocks",
    "invalid_blocks_format",
    "no_text",
    "too_many_attachments",
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
/// Those that speak of the credential.
const UNAUTHORIZED: [&str; 6] = [
    "action_prohibited",
    "posting_to_general_channel_denied",
    "invalid_token",
    "no_service",
    "no_active_hooks",
    "no_team",
];

pub(super) fn judge(reply: &Reply) -> Verdict {
    let said = String::from_utf8_lossy(&reply.body);
    let said = said.trim();
    let detail = status::detail(reply);
    // The word in the body knows more than the status.
    if REFUSED.contains(&said) {
        let unauthorized = UNAUTHORIZED.contains(&said);
        let reason = if unauthorized { FailureReason::Unauthorized } else { FailureReason::Rejected };
        return Verdict::Permanent { reason, detail };
    }
    match said {
        "rollup_error" => {
            Verdict::Retry { reason: FailureReason::ServerError, detail, after: status::retry_after(reply) }
        }
        "rate_limited" | "ratelimited" => {
            Verdict::Retry { reason: FailureReason::RateLimited, detail, after: status::retry_after(reply) }
        }
        "ok" if reply.status == 200 => Verdict::Delivered { receipt: None },
        _ if (200..300).contains(&reply.status) => status::unexpected(reply),
        _ => status::verdict(reply),
    }
}
