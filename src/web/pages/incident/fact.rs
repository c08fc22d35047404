//! The main facts about an incident, one per line.

use jiff::Timestamp;

use crate::{
    store::Kind,
    web::{
        pages::{
            incidents::whose,
            when::{When, span},
            words::{self, Fact, label, measured},
        },
        views::incidents::{Incident, IncidentState},
    },
};

pub fn facts(incident: &Incident, now: Timestamp) -> Vec<Fact> {
    let (row, its) = (&incident.row, &incident.row.labels);
    let open = incident.state == IncidentState::Open;
    let window = label(its, "window_seconds").and_then(|seconds| seconds.parse::<i64>().ok());
    let window =
        window.map(|seconds| format!(", over {}", span(jiff::SignedDuration::from_secs(seconds))));
    let when = |at| When::new(at, now);

    let mut facts = Vec::new();
    facts.extend(whose(its).map(|whose| Fact::new("Whose", whose)));
    facts.extend(
        measured(its).map(|said| Fact::new("Measured", said + &window.unwrap_or_default())),
    );
    facts.extend(label(its, "summary").map(|said| Fact::new("Summary", said)));
    let is_unread = row.kind == Kind::Unparsed;
    let began = if is_unread { "Arrived" } else { "Opened" };
    facts.push(Fact::time(began, when(row.opened_at)));
    if !open && !is_unread {
        facts.push(Fact::time("Resolved", when(row.changed_at)));
        let length = row.changed_at.duration_since(row.opened_at);
        facts.push(Fact::new("Lasted", span(length)));
    }
    facts.push(Fact::new("Status", &row.status));
    facts.extend(words::recurrence(its).map(|said| Fact::new("Recurrence", said)));
    if let Some(url) = label(its, "url").filter(|url| is_web(url)) {
        facts.push(Fact::link("Its page", url, url));
    }
    if !incident.profile.is_empty() {
        facts.push(Fact::new("Profile", &incident.profile));
    }
    facts.push(Fact::new("Id", &row.incident_id));

    facts
}

/// Decides whether an address from a mail is a web address, rather than code such as `javascript:`.
fn is_web(url: &str) -> bool {
    url::Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_no_address() {
        assert!(is_web("https://example.com/x"));
        assert!(!is_web("javascript:alert(1)") && !is_web("data:text/html,x") && !is_web("x"));
    }
}
