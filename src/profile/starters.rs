//! Profiles for well-known senders, off until a configuration names one by `use`. Each is a file of
//! the configuration's own grammar under `schema/profiles/`, with its mails beside it.

/// Name and file of each.
pub const STARTERS: [(&str, &str); 14] = [
    (
        "forge-alert",
        include_str!("../../schema/profiles/forge-alert.yaml"),
    ),
    (
        "cloudwatch",
        include_str!("../../schema/profiles/cloudwatch.yaml"),
    ),
    (
        "alertmanager",
        include_str!("../../schema/profiles/alertmanager.yaml"),
    ),
    (
        "grafana",
        include_str!("../../schema/profiles/grafana.yaml"),
    ),
    ("nagios", include_str!("../../schema/profiles/nagios.yaml")),
    ("icinga", include_str!("../../schema/profiles/icinga.yaml")),
    ("zabbix", include_str!("../../schema/profiles/zabbix.yaml")),
    (
        "librenms",
        include_str!("../../schema/profiles/librenms.yaml"),
    ),
    (
        "healthchecks",
        include_str!("../../schema/profiles/healthchecks.yaml"),
    ),
    (
        "uptime-kuma",
        include_str!("../../schema/profiles/uptime-kuma.yaml"),
    ),
    (
        "jenkins",
        include_str!("../../schema/profiles/jenkins.yaml"),
    ),
    (
        "github-actions",
        include_str!("../../schema/profiles/github-actions.yaml"),
    ),
    (
        "azure-monitor",
        include_str!("../../schema/profiles/azure-monitor.yaml"),
    ),
    ("smartd", include_str!("../../schema/profiles/smartd.yaml")),
];

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
