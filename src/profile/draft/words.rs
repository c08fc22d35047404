//! The words that alert mails use for the same few things.

/// The words for an alert that is on.
pub const ON: [&str; 24] = [
    "alarm",
    "problem",
    "down",
    "open",
    "opened",
    "firing",
    "fired",
    "triggered",
    "activated",
    "failure",
    "failed",
    "critical",
    "alert",
    "alerting",
    "error",
    "unhealthy",
    "offline",
    "breached",
    "new",
    "active",
    "started",
    "degraded",
    "unreachable",
    "warning",
];

/// The words for an alert that is over.
pub const OVER: [&str; 25] = [
    "ok",
    "resolved",
    "recovery",
    "recovered",
    "up",
    "closed",
    "cleared",
    "normal",
    "success",
    "successful",
    "succeeded",
    "fixed",
    "deactivated",
    "healthy",
    "online",
    "restored",
    "ended",
    "inactive",
    "passed",
    "back",
    "clear",
    "done",
    "solved",
    "finished",
    "completed",
];

/// The labels that say whether an alert is on, the best first.
pub const STATUS: [&str; 12] = [
    "status",
    "alert status",
    "notification type",
    "state change",
    "monitor condition",
    "alert state",
    "state",
    "condition",
    "result",
    "new state",
    "event",
    "type",
];

/// The labels that identify an alert by themselves.
pub const IDENTITY: [&str; 16] = [
    "alert id",
    "alertid",
    "alarm arn",
    "incident id",
    "incidentid",
    "original problem id",
    "problem id",
    "event id",
    "unique-id",
    "unique id",
    "id",
    "fingerprint",
    "reference",
    "dedupekey",
    "dedup key",
    "dedup_key",
];

/// The labels that identify an alert by themselves if their value is its number.
pub const NUMBERED: [&str; 11] = [
    "incident",
    "incident number",
    "alert",
    "alert number",
    "alarm",
    "problem",
    "ticket",
    "ticket number",
    "case",
    "case number",
    "number",
];

/// The words in the name of a header field that make its id an alert's, and not an account's or a
/// mail's.
pub const ALERTS: [&str; 8] = [
    "alarm", "alert", "case", "dedup", "event", "incident", "problem", "ticket",
];

/// The labels that identify an alert together.
pub const PARTS: [&str; 20] = [
    "host",
    "hostname",
    "host name",
    "device",
    "instance",
    "resource",
    "affected resource",
    "server",
    "node",
    "service",
    "check",
    "monitor",
    "alertname",
    "alert name",
    "alarm name",
    "alert rule",
    "rule",
    "job",
    "problem name",
    "name",
];

/// The labels that do the same in a mail's text, but may mean anything in its header.
pub const PARTS_OF_TEXT: [&str; 13] = [
    "sensor",
    "sensor name",
    "target",
    "network",
    "interface",
    "component",
    "application",
    "app name",
    "database",
    "volume",
    "drive",
    "alarm",
    "message id",
];

/// The first words of a label that states the previous condition.
pub const BEFORE: [&str; 6] = ["previous", "prior", "old", "former", "last", "from"];

/// The first words of a label that states the present condition.
pub const NOW: [&str; 2] = ["new", "current"];

/// The labels that say what an alert is about, the best first.
pub const TITLE: [&str; 11] = [
    "title",
    "alert rule",
    "alert name",
    "alarm name",
    "problem name",
    "alertname",
    "rule",
    "service",
    "check",
    "name",
    "summary",
];

/// The labels that state the severity.
pub const SEVERITY: [&str; 4] = ["severity", "priority", "level", "urgency"];

/// The labels that state the time.
pub const TIME: [&str; 6] = ["timestamp", "when", "time", "date/time", "date", "started"];

/// Returns the words of a text that are in a list, as they are written.
pub fn among<'a>(text: &'a str, list: &[&str]) -> Vec<&'a str> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| list.contains(&word.to_lowercase().as_str()))
        .collect()
}
