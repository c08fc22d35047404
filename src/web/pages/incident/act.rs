//! Actions on an incident: resolving it by hand, and resending pages that did not arrive.

use std::{collections::BTreeSet, sync::Arc};

use axum::{extract::State, response::Response};

use super::as_delivery;
use crate::{
    delivery::DeliveryState,
    incident::Phase,
    store::{DeliveryRow, IncidentRow, Kind},
    web::{
        Admin,
        ask::Path,
        form::Fields,
        pages::{Answer, confirm::Question, done, frame::View, incident_at, words},
        problem::Problem,
        views::{
            deliveries,
            incidents::{self, Story},
            named::title,
        },
        who::Who,
    },
};

pub async fn ask_resolve(
    State(admin): State<Arc<Admin>>,
    who: Who,
    Path(id): Path<String>,
) -> Answer {
    let story = incidents::show(&admin, &id).await?;
    let view = View::new(&admin, &who, "Incidents", &Fields::default());
    let title = title(&story.incident.row.labels, &id);
    let row = &story.incident.row;
    if !row.can_end {
        return moot(row, &title, incident_at(&id)).ask(&view).await;
    }

    let told: BTreeSet<_> = story
        .incident
        .told
        .iter()
        .map(|one| one.receiver.as_str())
        .collect();
    let follows = if told.is_empty() {
        "Nobody was told of it, so nobody is told that it is over.".to_owned()
    } else {
        format!(
            "{} will be told that {} resolved it.",
            Vec::from_iter(told).join(", "),
            who.name
        )
    };

    let (title, why) = match row.kind {
        Kind::Unparsed => (
            format!("Close the alerts of {title}?"),
            "No mail can resolve an alert that could not be read: it stays open at the receivers \
             until a person closes it.",
        ),
        Kind::Missing => (
            format!("Resolve {title} by hand?"),
            "It is resolved although its mail has not arrived. The mail is expected anew from now \
             on, and reported again if it has not arrived a full period later.",
        ),
        _ => (
            format!("Resolve {title} by hand?"),
            "It is resolved without a mail that says so. A later mail that reports it opens it \
             again.",
        ),
    };

    Question {
        title,
        lines: vec![why.to_owned(), follows],
        action: format!("{}/resolve", incident_at(&id)),
        button: "Resolve it",
        back: incident_at(&id),
        ..Question::default()
    }
    .ask(&view)
    .await
}

/// Creates the page that is shown in place of the question if there is nothing to resolve by hand.
fn moot(row: &IncidentRow, title: &str, back: String) -> Question {
    let (title, why) = if row.kind == Kind::Own && row.phase == Phase::Firing {
        (
            format!("{title} cannot be resolved by hand"),
            "The bridge reports this problem itself, and resolves it when it is over.",
        )
    } else {
        (
            format!("{title} is already resolved"),
            "There is nothing to resolve.",
        )
    };

    Question::moot(title, vec![why.to_owned()], back)
}

pub async fn resolve(State(admin): State<Arc<Admin>>, who: Who, Path(id): Path<String>) -> Answer {
    incidents::resolve(&admin, &who, &id).await?;
    Ok(done(&incident_at(&id), "resolved"))
}

pub async fn ask_again(
    State(admin): State<Arc<Admin>>,
    who: Who,
    Path(id): Path<String>,
) -> Answer {
    let story = incidents::show(&admin, &id).await?;
    let view = View::new(&admin, &who, "Incidents", &Fields::default());
    let title = title(&story.incident.row.labels, &id);
    let lines = dead(&story).map(|one| {
        let why = one.detail.as_deref().unwrap_or_default();
        format!(
            "{} to {} ({}): {why}",
            one.action.as_str(),
            one.receiver,
            words::integration(&one.integration)
        )
    });
    let lines: Vec<_> = lines.collect();
    if lines.is_empty() {
        let title = format!("{title} has no pages to send again");
        return Question::moot(title, lines, incident_at(&id))
            .ask(&view)
            .await;
    }

    Question {
        title: format!("Send the undelivered pages of {title} again?"),
        lines,
        action: format!("{}/again", incident_at(&id)),
        button: "Send again",
        back: incident_at(&id),
        ..Question::default()
    }
    .ask(&view)
    .await
}

pub async fn again(
    State(admin): State<Arc<Admin>>,
    who: Who,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let story = incidents::show(&admin, &id).await?;
    let dead: Vec<_> = dead(&story).map(|one| one.id).collect();
    let word = if dead.is_empty() { "nothing" } else { "again" };
    deliveries::retry_all(&admin, &who, dead).await?;
    Ok(done(&incident_at(&id), word))
}

fn dead(story: &Story) -> impl Iterator<Item = &DeliveryRow> {
    let deliveries = story.timeline.iter().filter_map(as_delivery);
    deliveries.filter(|delivery| delivery.state == DeliveryState::Dead)
}
