//! The timeline of an incident, in words.

use std::iter;

use jiff::Timestamp;

use crate::{
    delivery::{Action, DeliveryId, DeliveryState},
    message::Outcome,
    store::{Attempt, DeliveryRow, Event, MailRow},
    web::views::incidents::Turn,
};

/// A line of the timeline.
pub struct Moment {
    pub at: Timestamp,
    /// The order of moments at the same time: causes before effects.
    pub rank: u8,
    pub word: &'static str,
    pub text: String,
}

/// Returns the moment at which the bridge itself, without a mail, found that something began or
/// ended.
pub fn turned(turn: Turn<'_>) -> Moment {
    Moment {
        at: turn.at,
        rank: 0,
        word: match turn.action {
            Action::Trigger => "opened",
            Action::Change => "changed",
            Action::Resolve => "over",
        },
        text: turn.reason.to_owned(),
    }
}

/// Returns the moment at which an event began, and the one at which it ended, if the end is not an
/// event of its own.
pub fn moments(event: &Event) -> Vec<Moment> {
    match event {
        Event::Mail(mail) => vec![arrived(mail)],
        Event::Delivery(delivery) => iter::once(owed(delivery)).chain(ended(delivery)).collect(),
        Event::Attempt {
            delivery,
            receiver,
            integration,
            action,
            attempt,
        } => {
            let what = page(*action, receiver, integration, *delivery);
            vec![attempted(&what, attempt)]
        }
        Event::Deed(deed) => vec![Moment {
            at: deed.at,
            rank: 0,
            word: "closed",
            text: format!("by hand, by {}", deed.by),
        }],
    }
}

fn arrived(mail: &MailRow) -> Moment {
    let decided = format!(
        "{} by mail {} through {}{}",
        mail.outcome,
        mail.id,
        mail.ingress,
        with(mail.reason.as_deref())
    );
    // If the release decided the outcome, the reason says so. For a mail that waits for its new
    // decision, it is said here.
    let text = match &mail.released {
        Some(release) if mail.outcome == Outcome::Pending => {
            format!("{decided}; released by {}", release.by)
        }
        _ => decided,
    };

    Moment {
        at: mail.arrived_at,
        rank: 0,
        word: "mail",
        text,
    }
}

fn owed(delivery: &DeliveryRow) -> Moment {
    let (word, until) = match (delivery.state, delivery.next_at) {
        (DeliveryState::Held, Some(until)) => {
            ("held", format!(", until {}", until.strftime("%F %T")))
        }
        (DeliveryState::Pending, Some(next)) => {
            ("owed", format!(", next try at {}", next.strftime("%F %T")))
        }
        _ => ("owed", String::new()),
    };

    Moment {
        at: delivery.created_at,
        rank: 1,
        word,
        text: format!("{}{until}", page_of(delivery)),
    }
}

fn ended(delivery: &DeliveryRow) -> Option<Moment> {
    let word = match delivery.state {
        DeliveryState::Dead => "given up",
        DeliveryState::Discarded => "discarded",
        DeliveryState::Pending | DeliveryState::Held | DeliveryState::Delivered => return None,
    };

    Some(Moment {
        at: delivery.settled_at?,
        rank: 3,
        word,
        text: format!("{}{}", page_of(delivery), with(delivery.detail.as_deref())),
    })
}

fn attempted(what: &str, attempt: &Attempt) -> Moment {
    let (word, detail) = match attempt.result.as_str() {
        // The receiver's name for the page is worth telling if it says more than the plain word.
        "delivered" if attempt.detail == "delivered" => ("told", String::new()),
        "delivered" => ("told", with(Some(&attempt.detail))),
        "accepted" => ("accepted", with(Some(&attempt.detail))),
        "waiting" => ("waiting", with(Some(&attempt.detail))),
        "partly" => ("partly", with(Some(&attempt.detail))),
        _ => ("failed", with(Some(&attempt.detail))),
    };

    Moment {
        at: attempt.at,
        rank: 2,
        word,
        text: format!("{what}, {} ms{detail}", attempt.took_ms),
    }
}

/// Formats a reason to follow what it explains.
fn with(detail: Option<&str>) -> String {
    detail
        .map(|detail| format!(": {detail}"))
        .unwrap_or_default()
}

fn page_of(delivery: &DeliveryRow) -> String {
    page(
        delivery.action,
        &delivery.receiver,
        &delivery.integration,
        delivery.id,
    )
}

fn page(action: Action, receiver: &str, integration: &str, delivery: DeliveryId) -> String {
    format!(
        "{} to {receiver} ({integration}, delivery {delivery})",
        action.as_str()
    )
}
