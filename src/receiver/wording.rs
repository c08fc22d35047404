//! The built-in wording of a page. It never fails, so no page is lost for lack of a text.
//!
//! However little space there is, the title keeps what matters: the sender's own title, or the app,
//! the metric, and the measurement against the objective.

use std::fmt::Write as _;

use super::text;
use crate::delivery::{Action, Notification};

/// The words of the link to an incident's page.
pub const OPEN: &str = "Open in alertbridge";

/// The severity, in the terms that the pagers share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    Critical,
    Error,
    Warning,
    Info,
}

impl Severity {
    /// Returns the severity that a word stands for.
    pub fn parse(word: &str) -> Option<Self> {
        match word.trim().to_ascii_lowercase().as_str() {
            "critical" => Some(Self::Critical),
            "error" => Some(Self::Error),
            "warning" => Some(Self::Warning),
            "info" => Some(Self::Info),
            _ => None,
        }
    }

    /// Returns the severity of the label `severity`. A team's own word counts as an error: an alert
    /// that is too loud is better than one that nobody notices.
    pub fn of(notification: &Notification) -> Self {
        Self::parse(label(notification, "severity")).unwrap_or(Self::Error)
    }

    /// Returns PagerDuty's word for the severity.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Info => "info",
        }
    }
}

/// Returns the value of a label; empty if it is not set.
pub fn label<'a>(notification: &'a Notification, name: &str) -> &'a str {
    notification.labels.get(name).map_or("", String::as_str)
}

/// Returns the headline, one line of at most `max` units: the mail's own title, or
/// `App: Metric 60% (objective 99%)`.
pub fn title(notification: &Notification, max: usize) -> String {
    let mut title = String::new();
    if label(notification, "kind") == "test" {
        title.push_str("[TEST] ");
    }

    title.push_str(&mark(notification));
    if notification.action == Action::Resolve {
        title.push_str("[RESOLVED] ");
    }

    let room = max.saturating_sub(text::units(&title));
    match label(notification, "kind") {
        "unparsed" => {
            let reason = reason(notification, "no reason is known");
            let _ = write!(title, "An alert mail could not be read: {reason}");
        }
        "self" | "canary" => {
            let _ = write!(
                title,
                "alertbridge: {}",
                reason(notification, "it reports a problem of its own")
            );
        }
        _ => {
            let own = declared(notification);
            title.push_str(&own.unwrap_or_else(|| headline(notification, room)));
        }
    }

    text::cut(&title, max)
}

/// Returns `[UNVERIFIED] ` or a similar mark if the page may not be genuine, otherwise an empty
/// text.
pub fn mark(notification: &Notification) -> String {
    notification
        .doubt
        .map_or_else(String::new, |doubt| format!("[{}] ", doubt.mark()))
}

/// Returns the name that a profile gives its alert: the title, else the summary, else
/// `PROFILE: KEY (STATUS)`. Returns `None` if the mail names an app or a metric instead, or if no
/// profile took it.
pub fn declared(notification: &Notification) -> Option<String> {
    if first_of(notification, &["app_name", "app_key", "metric", "sli"]).is_some() {
        return None;
    }

    if let Some(own) = first_of(notification, &["title", "summary"]) {
        return Some(own);
    }

    let profile = first_of(notification, &["profile"])?;
    let id = line(&notification.incident_id);
    let key = id
        .strip_prefix(&profile)
        .and_then(|key| key.strip_prefix(':'))
        .unwrap_or(&id);
    let status = first_of(notification, &["status"]).map(|status| format!(" ({status})"));
    Some(format!("{profile}: {key}{}", status.unwrap_or_default()))
}

/// Returns `App: Metric 60% (objective 99%)`. If that is too long, the names of the app and the
/// metric are shortened, not the figures.
fn headline(notification: &Notification, room: usize) -> String {
    let app =
        first_of(notification, &["app_name", "app_key"]).unwrap_or_else(|| "unknown app".into());
    let metric = first_of(notification, &["metric", "sli"])
        .or_else(|| {
            notification
                .reason
                .as_deref()
                .map(line)
                .filter(|reason| !reason.is_empty())
        })
        .unwrap_or_else(|| "alert".into());

    let figures = figures(notification);
    let room = room.saturating_sub(text::units(&figures) + 2);
    let for_app = text::units(&app).min((room / 2).max(room.saturating_sub(text::units(&metric))));
    let app = text::cut(&app, for_app);
    let metric = text::cut(&metric, room.saturating_sub(text::units(&app)));

    format!("{app}: {metric}{figures}")
}

/// Returns ` 60% (objective 99%)`, as far as the figures are known, in at most 80 units.
fn figures(notification: &Notification) -> String {
    let unit = label(notification, "unit");
    let number = |name| {
        let number = line(label(notification, name));
        if number.is_empty() {
            None
        } else {
            Some(text::cut(&quantity(&number, unit), 32))
        }
    };

    match (number("sli_value"), number("slo_value")) {
        (Some(measured), Some(objective)) => format!(" {measured} (objective {objective})"),
        (Some(measured), None) => format!(" {measured}"),
        (None, Some(objective)) => format!(" (objective {objective})"),
        (None, None) => String::new(),
    }
}

/// Formats a quantity: `60%`, `12 MILLISECONDS`.
fn quantity(number: &str, unit: &str) -> String {
    let number = number.strip_suffix(".0").unwrap_or(number);
    match line(unit) {
        unit if unit.is_empty() => number.to_owned(),
        unit if unit.eq_ignore_ascii_case("percent") => format!("{number}%"),
        unit => format!("{number} {unit}"),
    }
}

/// Returns several lines: the whole headline, and the text below it.
pub fn body(notification: &Notification) -> String {
    format!("{}\n{}", title(notification, 4096), below(notification))
}

/// Returns several lines: the summary and the reason if there are any, then everything else that is
/// known, one line each.
pub fn below(notification: &Notification) -> String {
    let summary = text::clean(label(notification, "summary"));
    let is_headline = declared(notification).is_some_and(|headline| headline == summary);
    let reason = notification.reason.as_deref().map(text::clean);
    let paragraphs = [(!is_headline).then_some(summary), reason]
        .into_iter()
        .flatten()
        .filter(|paragraph| !paragraph.is_empty());

    // The headline of an alert that could not be read does not contain its subject.
    let is_unread = label(notification, "kind") == "unparsed";
    let details = details(notification)
        .into_iter()
        .filter(|(name, _)| name != "summary" && (name != "title" || is_unread))
        .map(|(name, value)| format!("{name}: {value}"));
    paragraphs.chain(details).collect::<Vec<_>>().join("\n")
}

/// The order of details by importance; every other label follows by name.
const ORDER: [&str; 19] = [
    "title",
    "summary",
    "url",
    "incident_id",
    "app_name",
    "app_key",
    "metric",
    "sli_value",
    "slo_value",
    "sli_gap",
    "unit",
    "status",
    "state",
    "severity",
    "sli",
    "window_seconds",
    "recurrence_28d",
    "partner",
    "authenticity",
];

/// Returns everything known, by name: the labels that are set, the times, and the mail. Each is one
/// line.
pub fn details(notification: &Notification) -> Vec<(String, String)> {
    let mut details: Vec<(String, String)> = Vec::new();
    let mut add = |name: &str, value: &str| {
        let value = line(value);
        if !value.is_empty() && !details.iter().any(|(known, _)| known == name) {
            details.push((name.to_owned(), value));
        }
    };

    if let Some(doubt) = notification.doubt {
        add(
            "severity",
            &format!("{} ({})", label(notification, "severity"), doubt.mark()),
        );
    }

    for name in ORDER {
        add(name, label(notification, name));
    }

    add("incident_id", &notification.incident_id);
    if let Some(time) = notification.time {
        add("time", &time.to_string());
    }

    add("arrived_at", &format!("{:.0}", notification.arrived_at));
    if let Some(mail) = notification.mail {
        add("mail", &mail.to_string());
    }

    for (name, value) in &notification.labels {
        add(name, value);
    }

    details
}

/// Returns a label as one clean line.
pub fn one(notification: &Notification, name: &str) -> String {
    line(label(notification, name))
}

fn reason(notification: &Notification, otherwise: &str) -> String {
    notification
        .reason
        .as_deref()
        .map(line)
        .filter(|reason| !reason.is_empty())
        .unwrap_or_else(|| otherwise.into())
}

fn first_of(notification: &Notification, names: &[&str]) -> Option<String> {
    names
        .iter()
        .map(|name| line(label(notification, name)))
        .find(|text| !text.is_empty())
}

/// Returns a value as one clean line. 64 KiB exceed every vendor's limit.
fn line(value: &str) -> String {
    text::one_line(text::head(value, 64 << 10))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::receiver::sample;

    /// Returns a trigger of the profile `ups` with these labels of its own.
    fn of_profile(own: &[(&'static str, &str)]) -> Notification {
        let (_, mut trigger) = sample::notifications().into_iter().next().unwrap();
        let labels = [
            ("kind", "incident"),
            ("profile", "ups"),
            ("incident_id", "ups:ups-3"),
            ("severity", "error"),
        ];
        trigger.incident_id = "ups:ups-3".to_owned();
        trigger.labels = labels
            .iter()
            .chain(own)
            .map(|(name, value)| ((*name).into(), (*value).to_owned()))
            .collect();
        trigger
    }

    #[test]
    fn an_alert_of_a_profile_goes_by_its_title_its_summary_or_its_key() {
        for (own, said) in [
            (
                &[("title", "Disk full"), ("summary", "On db1")][..],
                "Disk full",
            ),
            (&[("summary", "On\ndb1"), ("status", "DOWN")], "On db1"),
            (&[("status", "On Battery")], "ups: ups-3 (On Battery)"),
            (&[], "ups: ups-3"),
        ] {
            let mut notification = of_profile(own);
            assert_eq!(title(&notification, 100), said);
            notification.action = Action::Resolve;
            assert_eq!(title(&notification, 100), format!("[RESOLVED] {said}"));
        }
    }

    #[test]
    fn a_summary_stands_once_below_the_headline_and_before_the_details() {
        let url = ("url", "https://ups.example.com/3");
        let mut notification = of_profile(&[
            ("title", "Disk full"),
            ("summary", "On db1,\nsince noon"),
            url,
        ]);
        notification.reason = Some("the load was 87 and is 91".to_owned());
        let said = body(&notification);
        assert!(
            said.starts_with(
                "Disk full\nOn db1,\nsince noon\nthe load was 87 and is 91\n\
                 url: https://ups.example.com/3\nincident_id: ups:ups-3\n"
            ),
            "{said}"
        );
        assert_eq!(
            (said.matches("Disk").count(), said.matches("db1").count()),
            (1, 1)
        );

        let said = body(&of_profile(&[("summary", "On db1")]));
        assert!(said.starts_with("On db1\nincident_id: "), "{said}");
    }
}
