//! Decides which of the four SLIs a metric is about.

/// Parts of the normalized metric name, each with its SLI; the first match wins.
///
/// The subject of the measurement comes before its method: a "webhook availability" is about
/// webhooks.
const SIGNS: [(&str, &str); 8] = [
    ("webhook", "webhook_delivery"),
    ("install", "installation_callback"),
    ("iframe", "iframe_load"),
    ("lifecycle", "installation_callback"),
    ("callback", "installation_callback"),
    ("availab", "app_availability"),
    ("uptime", "app_availability"),
    ("healthcheck", "app_availability"),
];

/// Returns the label `sli` for a metric's name; `unknown` if no part matches.
///
/// Atlassian has renamed metrics before, and only one name is published ("Jira Installation
/// Callback Success Rate"), so case, spaces and punctuation are ignored: `webhookDeliveryRate`,
/// `I-Frame load` and `WEB_HOOK` are understood.
pub fn sli(metric: &str) -> &'static str {
    let squeezed: String = metric
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .collect();

    SIGNS
        .iter()
        .find(|(sign, _)| squeezed.contains(sign))
        .map_or("unknown", |(_, sli)| sli)
}
