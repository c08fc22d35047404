//! Tests mail from senders whose clock is wrong. If it is ahead, mail counts as of its arrival, so
//! that mail sent once the clock is right again is news. If it is behind, a person's word counts by
//! that clock.

use super::*;
use crate::{
    incident::{Known, Phase, State, Values},
    message::Outcome,
    store::Memory,
};

const DAYS: i64 = 2 * 24 * 60;

/// A configuration with a profile whose times are the mails' Dates, and with Atlassian's mail,
/// which states its own times.
const CONFIGURATION: &str = "
global: { max_age: 0s }
alerts: { app_keys: [com.example.known], authenticity: { require: [] } }
ingress: { webhook: [{ name: hook }] }
profiles:
  - name: t
    match: { from: [t@example.com] }
    authenticity: { require: [] }
    regex: { subject: '^(?<status>ANOMALOUS|OK) (?<key>.*)$' }
    fields: { key: '{{ re.key }}', status: '{{ re.status }}', severity: warning }
    status: { trigger: [ANOMALOUS], resolve: [OK] }
route: { receiver: chat }
receivers: [{ name: chat, webhook_configs: [{ url: 'http://127.0.0.1:9/chat' }] }]
";

/// Returns a mail of a sender whose clock is `ahead` minutes ahead.
fn mail(night: &Night, by_date: bool, status: &str, ahead: i64) -> Vec<u8> {
    let said = night.now() + SignedDuration::from_mins(ahead);
    let date = said.strftime("%a, %d %b %Y %H:%M:%S +0000");
    if by_date {
        return format!("From: t@example.com\r\nSubject: {status} a\r\nDate: {date}\r\n\r\nx\r\n")
            .into_bytes();
    }
    let json = serde_json::json!({
        "appKey": "com.example.known", "incidentId": "a", "incidentStatus": status, "time": said,
        "metricName": "m",
    });
    format!(
        "From: no-reply@am.atlassian.com\r\nSubject: x\r\nDate: {date}\r\nMIME-Version: 1.0\r\n\
         Content-Type: text/html; charset=utf-8\r\n\r\n\
         <script type=\"application/json\" id=\"incident-data\">{json}</script>\r\n"
    )
    .into_bytes()
}

/// Delivers a mail a minute after the previous one and returns its outcome.
async fn taken(night: &Night, raw: Vec<u8>) -> Outcome {
    night.pass(1);
    let id = night.take(raw).await;
    let (row, _) = night.store.mail(id).await.unwrap().unwrap();
    row.outcome
}

#[tokio::test]
async fn what_comes_when_the_clock_is_right_again_is_news() {
    use Outcome::{Duplicate, Opened, Reopened, Resolved};
    for by_date in [true, false] {
        let night = Night::under(CONFIGURATION);
        for (status, ahead, outcome) in [
            ("ANOMALOUS", DAYS, Opened),
            ("OK", DAYS, Resolved),
            ("ANOMALOUS", DAYS, Reopened),
            ("OK", DAYS * 2_000, Resolved),
            ("ANOMALOUS", 0, Reopened),
            ("ANOMALOUS", DAYS, Duplicate),
            ("OK", 0, Resolved),
        ] {
            night.pass(10);
            let raw = mail(&night, by_date, status, ahead);
            let became = taken(&night, raw).await;
            assert_eq!(became, outcome, "{status} {ahead} {by_date}");
        }
    }
}

#[tokio::test]
async fn a_copy_of_a_mail_of_the_future_opens_nothing() {
    for by_date in [true, false] {
        let night = Night::under(CONFIGURATION);
        let (trigger, end) = (
            mail(&night, by_date, "ANOMALOUS", DAYS),
            mail(&night, by_date, "OK", DAYS + 5),
        );
        for (raw, outcome) in [
            (&trigger, Outcome::Opened),
            (&end, Outcome::Resolved),
            (&trigger, Outcome::Duplicate),
            (&end, Outcome::Duplicate),
        ] {
            assert_eq!(taken(&night, raw.clone()).await, outcome, "{by_date}");
        }
    }
}

#[tokio::test]
async fn what_comes_a_moment_before_the_time_that_was_said_is_news_too() {
    for by_date in [true, false] {
        let night = Night::under(CONFIGURATION);
        for (status, ahead, outcome) in [
            ("ANOMALOUS", 20, Outcome::Opened),
            ("OK", 20, Outcome::Resolved),
        ] {
            let raw = mail(&night, by_date, status, ahead);
            assert_eq!(taken(&night, raw).await, outcome, "{by_date}");
        }
        night.pass(17);
        let raw = mail(&night, by_date, "ANOMALOUS", 0);
        assert_eq!(taken(&night, raw).await, Outcome::Reopened, "{by_date}");
    }
}

/// If the clock of this machine is behind instead, every mail is from the future.
#[tokio::test]
async fn a_clock_that_was_set_back_here_keeps_no_mail_from_being_news() {
    for by_date in [true, false] {
        let night = Night::under(CONFIGURATION);
        let opens = mail(&night, by_date, "ANOMALOUS", 0);
        assert_eq!(taken(&night, opens).await, Outcome::Opened);
        night.pass(-60);
        for (status, ahead, outcome) in [
            ("OK", 65, Outcome::Resolved),
            ("ANOMALOUS", 70, Outcome::Reopened),
        ] {
            let raw = mail(&night, by_date, status, ahead);
            assert_eq!(taken(&night, raw).await, outcome, "{status} {by_date}");
        }
    }
}

/// An earlier version recorded the time of a mail from the future as it was stated.
#[tokio::test]
async fn an_incident_that_a_mail_of_the_future_has_left_is_heard_again() {
    let now = midnight();
    let state = |newest: i64| Known {
        state: Some(State {
            phase: Phase::Resolved,
            status: "OK".into(),
            newest: Some(now + SignedDuration::from_mins(newest)),
            verified: true,
            untold: false,
            episode: 1,
            told: Values::new(),
        }),
        applied_before: false,
    };
    for (newest, counts_as) in [(DAYS, -30), (0, -30), (-29, -29), (-90, -90)] {
        let memory = Memory {
            known: state(newest),
            heard_at: Some(now - SignedDuration::from_mins(30)),
            ..Memory::default()
        };
        assert_eq!(memory.as_it_arrived().known, state(counts_as), "{newest}");
    }
}

#[tokio::test]
async fn a_sender_that_is_behind_is_heard_again_after_a_person_ended_the_incident() {
    for by_date in [true, false] {
        for behind in [0, 1, 5, 300, DAYS] {
            let night = Night::under(CONFIGURATION);
            let opens = mail(&night, by_date, "ANOMALOUS", -behind);
            assert_eq!(taken(&night, opens).await, Outcome::Opened);

            night.pass(30);
            let late = mail(&night, by_date, "ANOMALOUS", -behind);
            night.pass(30);
            let id = if by_date { "t:a" } else { "a" };
            let (incident, _) = night.store.timeline(id).await.unwrap().unwrap();
            let rules = Arc::clone(&night.pipeline.in_force().rules);
            resolve_by_hand(&*night.store, rules, &incident, "ann", night.now())
                .await
                .unwrap();

            let became = taken(&night, late).await;
            assert_eq!(became, Outcome::Stale, "{behind} {by_date}");
            night.pass(5);
            let raw = mail(&night, by_date, "ANOMALOUS", -behind);
            let became = taken(&night, raw).await;
            assert_eq!(became, Outcome::Reopened, "{behind} {by_date}");
        }
    }
}
