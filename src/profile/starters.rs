//! Profiles for well-known senders. Each is off until a configuration names it by `use`.
//!
//! A starter is a file of the configuration's own grammar under `schema/profiles/`, with its mails
//! beside it.

macro_rules! starters {
    ($($name:literal,)*) => {
        /// The name and the text of each starter.
        pub const STARTERS: [(&str, &str); [$($name),*].len()] = [
            $(($name, include_str!(concat!("../../schema/profiles/", $name, ".yaml"))),)*
        ];
    };
}

starters! {
    "forge-alert",
    "cloudwatch",
    "alertmanager",
    "grafana",
    "nagios",
    "icinga",
    "zabbix",
    "librenms",
    "healthchecks",
    "uptime-kuma",
    "jenkins",
    "github-actions",
    "azure-monitor",
    "smartd",
}

/// The profile of Atlassian's own mail, whose settings are `alerts:`.
///
/// That mail is read by code, since it is most of what the bridge reads. This file describes the
/// same reading, and a test ensures that both agree.
pub const ATLASSIAN_SLI: &str = include_str!("../../schema/profiles/atlassian-sli.yaml");

/// Returns the text of a starter.
pub fn named(name: &str) -> Option<&'static str> {
    STARTERS
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, text)| *text)
}

/// Returns the comment at a starter's head, in one line.
pub fn about(text: &str) -> String {
    let lines = text.lines().map_while(|line| line.strip_prefix("# "));
    lines.collect::<Vec<_>>().join(" ")
}
