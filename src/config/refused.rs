//! Explains unknown keys: names the nearest known key, or says why a key that has a meaning
//! elsewhere is refused.

use crate::settings::{Problem, nearest};

/// The keys of Alertmanager whose meaning is not implemented. Ignoring them would page differently
/// from what the file says.
const ELSEWHERE: &[(&[&str], &str, &str)] = &[
    (
        &["group_by", "group_wait", "group_interval"],
        "there is nothing to group: each incident is one page, sent at once",
        "drop it",
    ),
    (
        &["repeat_interval"],
        "a page is not repeated: the receiver's own escalation repeats until somebody acknowledges",
        "drop it, and set the repetition at Opsgenie, JSM or PagerDuty",
    ),
    (
        &["inhibit_rules"],
        "incidents do not inhibit each other here",
        "drop it; a route with a narrower matcher, or `mute_time_intervals`, keeps pages away",
    ),
    (
        &["match", "match_re"],
        "Alertmanager itself has replaced these maps with `matchers`",
        "write `matchers: ['label=value', 'label=~\"expression\"']`",
    ),
    (
        &[
            "mute_times",
            "active_times",
            "mute_timings",
            "active_timings",
        ],
        "time intervals have another key here",
        "write `mute_time_intervals` or `active_time_intervals`, and define them under \
         `time_intervals`",
    ),
    (
        &["resolve_timeout"],
        "an incident ends with a mail that says so, never because mail stops",
        "drop it",
    ),
    (
        &["http_config", "tls_config", "proxy_url", "follow_redirects"],
        "all requests are made in the same way: by TLS with the system's certificates, without \
         redirects",
        "drop it",
    ),
    (
        &[
            "opsgenie_api_key",
            "opsgenie_api_url",
            "slack_api_url",
            "slack_api_url_file",
            "pagerduty_url",
        ],
        "receivers do not share settings",
        "write it with the receiver it belongs to",
    ),
    (
        &[
            "victorops_configs",
            "wechat_configs",
            "pushover_configs",
            "sns_configs",
            "telegram_configs",
            "webex_configs",
            "jira_configs",
        ],
        "this kind of receiver does not exist here",
        "use `webhook_configs`, which reaches anything that takes HTTP",
    ),
    (
        &["msteams_configs", "msteamsv2_configs"],
        "Teams has another key here",
        "write `teams_configs`, with the address of a Workflow in `webhook_url_file`",
    ),
];

/// Returns the problem of a key that its struct does not know.
pub fn unknown_key(path: String, key: &str, known: &[&str]) -> Problem {
    // The key may also be known to the struct itself (`mute_time_intervals` of the file was once a
    // list of definitions).
    if let Some((_, what, mend)) = ELSEWHERE.iter().find(|(keys, ..)| keys.contains(&key)) {
        return Problem::new(path, format!("`{key}` is refused: {what}"), *mend);
    }

    Problem::new(
        path,
        format!("there is no key `{key}` here"),
        did_you_mean(key, known).unwrap_or_else(|| format!("the keys are {}", listed(known))),
    )
}

/// Lists names as part of a sentence.
pub fn listed(names: &[&str]) -> String {
    names
        .iter()
        .map(|name| format!("`{name}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

/// Asks for the nearest of the words, if one is near.
pub fn did_you_mean(word: &str, known: &[&str]) -> Option<String> {
    let near = nearest(word, known.iter().copied())?;
    Some(format!("did you mean `{near}`?"))
}
