//! Profiles for well-known senders, off until a configuration names one by `use`. Each is a file of
//! the configuration's own grammar under `schema/profiles/`, with its mails beside it.

macro_rules! starters {
    ($($name:literal,)*) => {
        /// Name and file of each.
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

/// Atlassian's own mail, whose settings are `alerts:`. It is read by code, since it is what the
/// bridge reads most of; this says the same, and a test holds both equal.
pub const ATLASSIAN_SLI: &str = include_str!("../../schema/profiles/atlassian-sli.yaml");

/// The file of a starter.
pub fn named(name: &str) -> Option<&'static str> {
    STARTERS
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, text)| *text)
}

/// What the comment at a starter's head says, in one line.
pub fn about(text: &str) -> String {
    let lines = text.lines().map_while(|line| line.strip_prefix("# "));
    lines.collect::<Vec<_>>().join(" ")
}
