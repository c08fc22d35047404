//! The page about a canary that did not come through. Pure.

use jiff::Timestamp;
use serde_json::Value;

use crate::{
    canary::{Flight, INCIDENT, SendVia, Settings, Stage},
    clock::in_words,
    delivery::{Action, Notification},
    label::{self, Labels},
};

pub fn status(action: Action) -> &'static str {
    match action {
        Action::Resolve => "OVER",
        Action::Trigger | Action::Change => "FIRING",
    }
}

/// Creates the page that a canary is missing. A canary that came through late has stopped at no
/// stage.
pub fn missing(flight: &Flight, settings: &Settings, now: Timestamp) -> Notification {
    let stage = flight.stopped_at();
    let Settings {
        deadline, send_via, ..
    } = settings;
    let begun_at = in_words(flight.begun_at);
    let what = match stage {
        None => format!("took longer than {deadline}"),
        Some(Stage::Sent) => format!(
            "could not be sent: {}",
            flight.failure.as_deref().unwrap_or("it was cut short")
        ),
        Some(stage) => format!("was not {} within {deadline}", stage.as_str()),
    };
    let text = format!(
        "canary {} of {begun_at} {what}; {}",
        flight.number,
        mend(stage, send_via)
    );

    page(Action::Trigger, text, stage, now)
}

/// Creates the resolve of that page.
pub fn over(why: &str, now: Timestamp) -> Notification {
    page(Action::Resolve, why.to_owned(), None, now)
}

fn mend(stage: Option<Stage>, via: &SendVia) -> String {
    match stage {
        None => "the path of alert mail is slow: the times of the stages at `/-/ready` show \
             where"
            .into(),
        Some(Stage::Sent) => format!(
            "alert mail may still come in another way: check whether {} works, and whether \
             canary.send_via is right",
            via.smtp
        ),
        Some(Stage::Arrived) => format!(
            "alert mail may not come in either: check whether mail to {} still reaches the \
             mailbox, and whether the ingress reads it (`alertbridge doctor`)",
            via.to
        ),
        Some(_) => "mail comes in and is not processed: see the log, and run `alertbridge store \
             check`"
            .into(),
    }
}

fn page(action: Action, text: String, stopped_at: Option<Stage>, now: Timestamp) -> Notification {
    let state = match action {
        Action::Resolve => "resolved",
        Action::Trigger | Action::Change => "firing",
    };
    let labels: Labels = [
        ("kind", "canary"),
        ("incident_id", INCIDENT),
        ("severity", "critical"),
        ("status", status(action)),
        ("state", state),
        (label::STAGE, stopped_at.map_or("", Stage::as_str)),
    ]
    .into_iter()
    .map(|(name, value)| (name.into(), value.to_owned()))
    .collect();

    Notification {
        action,
        incident_id: INCIDENT.to_owned(),
        labels: label::complete(labels),
        incident: Value::Null,
        arrived_at: now,
        time: None,
        reason: Some(text),
        mail: None,
        doubt: None,
        was: None,
        stays: false,
    }
}
