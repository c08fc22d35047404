//! The timeline of an incident, the newest moment first.

use jiff::Timestamp;
use serde::Serialize;

use crate::{
    delivery::{Action, DeliveryId, DeliveryState},
    message::Outcome,
    store::{Attempt, DeliveryRow, Event, MailRow},
    web::{
        Admin,
        pages::{
            hops::Hops,
            plain::sentence,
            vendor,
            when::{When, clock, held_until, with_clocks},
            words,
        },
        problem::Problem,
        views::incidents::{Turn, turns},
    },
};

/// How many mails are shown with their path, the newest ones. Each has to be read for that.
const READ: usize = 20;

/// An event in the timeline.
#[derive(Debug, Serialize)]
pub struct Moment {
    #[serde(skip)]
    order: (Timestamp, u8),
    /// The delivery and the result, if the event is an attempt.
    #[serde(skip)]
    same: Option<(DeliveryId, String)>,
    #[serde(skip)]
    times: u64,
    anchor: String,
    kind: &'static str,
    icon: &'static str,
    what: String,
    at: When,
    took: Option<String>,
    lines: Vec<String>,
    links: Vec<Link>,
    hops: Option<Hops>,
}

#[derive(Debug, Serialize)]
struct Link {
    href: String,
    text: String,
    away: bool,
}

impl Link {
    fn new(href: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            href: href.into(),
            text: text.into(),
            away: false,
        }
    }
}

/// Returns all moments of the timeline.
pub async fn all(admin: &Admin, events: &[Event], now: Timestamp) -> Result<Vec<Moment>, Problem> {
    let mut moments = Vec::new();
    let mut read = 0;

    for event in events.iter().rev() {
        match event {
            Event::Mail(mail) => {
                let mut arrived = arrived(mail, now);
                if read < READ {
                    read += 1;
                    let stored = admin.desk.mail(mail.id).await?;
                    let by = (mail.ingress.as_str(), mail.arrived_at);
                    arrived.hops =
                        stored.and_then(|(_, stored)| Hops::new(&stored.message.raw, by, now));
                }
                moments.push(arrived);
                moments.extend(followed(mail, now));
            }
            Event::Delivery(delivery) => moments.extend(owed(delivery, now)),
            Event::Attempt {
                delivery,
                receiver,
                integration,
                action,
                attempt,
            } => moments.push(tried(
                *delivery,
                (receiver, integration, *action),
                attempt,
                now,
            )),
            Event::Deed(deed) => {
                let what = format!("Closed by hand by {}", deed.by);
                moments.push(moment(deed.at, 1, now, "good", "turn", what));
            }
        }
    }

    moments.extend(turns(events).into_iter().map(|turn| turned(turn, now)));
    moments.sort_by_key(|moment| std::cmp::Reverse(moment.order));
    Ok(together(moments))
}

/// Merges repeated attempts that failed in the same way into the latest one, which says how often
/// that happened.
fn together(moments: Vec<Moment>) -> Vec<Moment> {
    let mut shown: Vec<Moment> = Vec::new();
    for moment in moments {
        match shown.last_mut() {
            Some(latest)
                if latest.kind == "bad" && latest.same.is_some() && latest.same == moment.same =>
            {
                latest.times += 1;
                latest.took = Some(format!("for the {} time", words::ordinal(latest.times)));
            }
            _ => shown.push(moment),
        }
    }
    shown
}

fn moment(
    at: Timestamp,
    rank: u8,
    now: Timestamp,
    kind: &'static str,
    icon: &'static str,
    what: String,
) -> Moment {
    Moment {
        order: (at, rank),
        same: None,
        times: 1,
        anchor: String::new(),
        kind,
        icon,
        what,
        at: When::new(at, now),
        took: None,
        lines: Vec::new(),
        links: Vec::new(),
        hops: None,
    }
}

fn arrived(mail: &MailRow, now: Timestamp) -> Moment {
    let what = format!("A mail arrived through {}", mail.ingress);
    let proof = words::proof(&mail.authenticity);
    let mut lines = vec![format!("Sender: {proof}")];
    lines.extend(mail.authenticity.detail.clone());
    if let Some(release) = &mail.released {
        lines.push(format!(
            "Released by {} at {}",
            release.by,
            clock(release.at, now)
        ));
    }

    Moment {
        anchor: format!("mail-{}", mail.id),
        lines,
        links: vec![Link::new(
            format!("/mails/{}", mail.id),
            format!("Mail {}", mail.id),
        )],
        ..moment(mail.arrived_at, 0, now, "off", "mail", what)
    }
}

/// Describes what the mail changed.
fn followed(mail: &MailRow, now: Timestamp) -> Option<Moment> {
    let severity = words::label(&mail.labels, "severity").unwrap_or_default();
    let status = words::label(&mail.labels, "status").unwrap_or_default();
    let what = match mail.outcome {
        Outcome::Opened => format!("Opened as {severity}"),
        Outcome::Reopened => format!("Opened again as {severity}"),
        Outcome::Resolved => "Resolved".to_owned(),
        Outcome::Updated => format!("Updated: {status}"),
        Outcome::Changed => format!("Changed: now {severity}"),
        Outcome::Unparsed => "Could not be read".to_owned(),
        Outcome::Duplicate => "Nothing new".to_owned(),
        Outcome::Stale => "Older than the newest known".to_owned(),
        Outcome::Expired => "Too old to page anybody".to_owned(),
        Outcome::Silenced => "Silenced".to_owned(),
        Outcome::Quarantined => "Held in the quarantine".to_owned(),
        Outcome::Ignored => "Not an alert".to_owned(),
        Outcome::Pending => return None,
    };

    let mut lines: Vec<_> = words::measured(&mail.labels).into_iter().collect();
    let reason = mail.reason.as_deref();
    lines.extend(reason.map(|why| with_clocks(why, mail.arrived_at, now)));
    let kind = words::outcome(mail.outcome);
    let kind = if kind == "on" { "bad" } else { kind };

    Some(Moment {
        lines,
        ..moment(mail.arrived_at, 1, now, kind, "turn", what)
    })
}

/// Describes the moment at which the bridge itself, without a mail, found that something began or
/// ended.
fn turned(turn: Turn<'_>, now: Timestamp) -> Moment {
    let (kind, what) = match turn.action {
        Action::Trigger => ("bad", "Opened"),
        Action::Change => ("bad", "Changed"),
        Action::Resolve => ("good", "Resolved"),
    };
    Moment {
        lines: vec![with_clocks(turn.reason, turn.at, now)],
        ..moment(turn.at, 1, now, kind, "turn", what.to_owned())
    }
}

fn owed(delivery: &DeliveryRow, now: Timestamp) -> Vec<Moment> {
    let to = whom(&delivery.receiver, &delivery.integration);
    let page = page(delivery.action);
    let (word, until) = match (delivery.state, delivery.next_at) {
        (DeliveryState::Held, Some(until)) => {
            let until = held_until(until, delivery.created_at, now);
            ("held back", Some(sentence(&until)))
        }
        (DeliveryState::Pending, Some(next)) => {
            ("owed", Some(format!("Next try at {}", clock(next, now))))
        }
        (DeliveryState::Pending, None) => (
            "owed",
            Some("Waits behind an earlier page of this incident".to_owned()),
        ),
        _ => ("owed", None),
    };
    let begun = Moment {
        anchor: format!("delivery-{}", delivery.id),
        lines: until.into_iter().collect(),
        ..moment(
            delivery.created_at,
            2,
            now,
            "wait",
            "wait",
            format!("{page} is {word} to {to}"),
        )
    };

    let ended = match delivery.state {
        DeliveryState::Dead => Some(("bad", "bad", format!("{page} to {to} is given up"))),
        DeliveryState::Discarded => Some(("off", "off", format!("{page} to {to} is discarded"))),
        DeliveryState::Pending | DeliveryState::Held | DeliveryState::Delivered => None,
    };
    let ended = ended
        .zip(delivery.settled_at)
        .map(|((kind, icon, what), at)| Moment {
            lines: delivery.detail.clone().into_iter().collect(),
            ..moment(at, 4, now, kind, icon, what)
        });

    std::iter::once(begun).chain(ended).collect()
}

fn tried(
    delivery: DeliveryId,
    (receiver, integration, action): (&str, &str, Action),
    attempt: &Attempt,
    now: Timestamp,
) -> Moment {
    let (page, to) = (page(action), whom(receiver, integration));
    let (kind, icon, what) = match attempt.result.as_str() {
        "delivered" => (
            "good",
            "good",
            format!("{page} arrived: {to} has confirmed it"),
        ),
        "accepted" => (
            "wait",
            "wait",
            format!("{page} is accepted by {to} but not yet confirmed"),
        ),
        "waiting" => ("wait", "wait", format!("{to} has not yet confirmed it")),
        "partly" => (
            "wait",
            "wait",
            format!("{page} has partly arrived at {to}; the rest follows"),
        ),
        _ => ("bad", "bad", format!("{page} did not arrive at {to}")),
    };
    let vendor = vendor::link(integration, &attempt.detail);
    let link = vendor.map(|(name, href)| Link {
        away: true,
        ..Link::new(href, format!("Open at {name}"))
    });

    Moment {
        same: Some((delivery, attempt.detail.clone())),
        took: Some(format!("took {} ms", attempt.took_ms)),
        lines: Some(attempt.detail.clone())
            .filter(|detail| !detail.is_empty() && detail != "delivered")
            .into_iter()
            .collect(),
        links: link.into_iter().collect(),
        anchor: format!("attempt-{delivery}-{}", attempt.at.as_microsecond()),
        ..moment(attempt.at, 3, now, kind, icon, what)
    }
}

fn page(action: Action) -> &'static str {
    match action {
        Action::Trigger => "The page",
        Action::Change => "The change",
        Action::Resolve => "The resolve",
    }
}

fn whom(receiver: &str, integration: &str) -> String {
    format!("{receiver} ({})", words::integration(integration))
}
