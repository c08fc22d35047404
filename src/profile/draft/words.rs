//! The words that alert mails use for the same few things.

/// It is on.
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

/// It is over.
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

/// Labels that say whether it is on, the best first.
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

/// Labels that identify an alert alone.
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

/// Labels that identify an alert alone, where they hold its number.
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

/// What a field of the header is about whose id is an alert's, and no account's or mail's.
pub const ALERTS: [&str; 8] = [
    "alarm", "alert", "case", "dedup", "event", "incident", "problem", "ticket",
];

/// Labels that identify an alert together.
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

/// Labels that do the same in a mail's text, and may mean anything in its header.
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

/// What a label begins with that says how it was before.
pub const BEFORE: [&str; 6] = ["previous", "prior", "old", "former", "last", "from"];

/// What a label begins with that says how it is now.
pub const NOW: [&str; 2] = ["new", "current"];

/// Labels that say what it is about, the best first.
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

/// Labels that say how bad it is.
pub const SEVERITY: [&str; 4] = ["severity", "priority", "level", "urgency"];

/// Labels of the time.
pub const TIME: [&str; 6] = ["timestamp", "when", "time", "date/time", "date", "started"];

/// Whether one of the words of a text is in a list; the words as they are written.
pub fn among<'a>(text: &'a str, list: &[&str]) -> Vec<&'a str> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| list.contains(&word.to_lowercase().as_str()))
        .collect()
}
