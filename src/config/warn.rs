//! What works, and is better otherwise: told at start and by `check`, and no reason to refuse.

use super::Config;

/// A sentence for each.
pub fn warnings(config: &Config) -> Vec<String> {
    let mut found = Vec::new();
    if config.alerts.authenticity.require.is_empty() {
        found.push(
            "alerts.authenticity.require is empty: mail is not checked to be Atlassian's own, so whoever can write to \
             an ingress can page and resolve"
                .to_owned(),
        );
    }
    let mut plain = |key: String, url: Option<&str>| {
        let Some(rest) = url.and_then(|url| url.strip_prefix("http://")) else { return };
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let name = host.rsplit_once(':').map_or(host, |(name, _)| name).trim_matches(['[', ']']);
        let loopback = name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
        if !loopback {
            found.push(format!("{key} is plain http: credentials and pages can be read on the way"));
        }
    };
    for (index, receiver) in config.receivers.iter().enumerate() {
        let key = |list: &str, place: usize, name: &str| format!("receivers[{index}].{list}[{place}].{name}");
        for (list, configs) in
            [("opsgenie_configs", &receiver.opsgenie_configs), ("jsm_configs", &receiver.jsm_configs)]
        {
            for (place, opsgenie) in configs.iter().enumerate() {
                plain(key(list, place, "api_url"), opsgenie.api_url.as_deref());
            }
        }
        for (place, pagerduty) in receiver.pagerduty_configs.iter().enumerate() {
            plain(key("pagerduty_configs", place, "url"), Some(&pagerduty.url));
        }
        for (place, slack) in receiver.slack_configs.iter().enumerate() {
            plain(key("slack_configs", place, "api_url"), slack.api_url.as_deref());
        }
        for (place, webhook) in receiver.webhook_configs.iter().enumerate() {
            plain(key("webhook_configs", place, "url"), webhook.url.as_deref());
        }
    }
    found
}
