//! Incidents: the list of them, the whole story of one, and closing one by hand.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    delivery::{Action, DeliveryId, DeliveryState},
    incident::Phase,
    label::alert_name,
    message::Outcome,
    store::{Event, IncidentFilter, IncidentRow, ToldRow},
    web::{
        Admin,
        list::{List, Walk, page},
        problem::Problem,
        who::Who,
    },
};

/// The filter of the list of incidents.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct IncidentQuery {
    /// Only incidents that are open, or only those that are over.
    pub state: Option<IncidentState>,
    pub severity: Option<String>,
    pub profile: Option<String>,
    /// Only incidents of which this receiver was told.
    pub receiver: Option<String>,
    /// Only incidents that contain this text in their labels, status or id.
    pub q: Option<String>,
}

/// The beginning of the reason that is stored when a person closes an incident.
const BY_HAND: &str = "resolved by hand by ";

/// Whether an incident is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum IncidentState {
    Open,
    Resolved,
}

impl From<Phase> for IncidentState {
    fn from(phase: Phase) -> Self {
        match phase {
            Phase::Firing => Self::Open,
            Phase::Resolved => Self::Resolved,
        }
    }
}

impl From<IncidentState> for Phase {
    fn from(state: IncidentState) -> Self {
        match state {
            IncidentState::Open => Self::Firing,
            IncidentState::Resolved => Self::Resolved,
        }
    }
}

/// An incident, and the integrations that were told of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Incident {
    #[serde(flatten)]
    pub row: IncidentRow,
    pub state: IncidentState,
    pub severity: String,
    pub profile: String,
    /// The name of the incident: its title, otherwise its metric, otherwise its id.
    pub title: String,
    /// The integrations that were told of its current episode, or are owed a page about it: for
    /// each, the latest delivery.
    pub told: Vec<Told>,
}

/// The page that one integration was told last, or is to be told next.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Told {
    pub receiver: String,
    pub integration: String,
    pub delivery: DeliveryId,
    pub action: Action,
    /// The state of the delivery; `delivered` means that the receiver has confirmed it.
    pub state: DeliveryState,
    pub failures: u32,
    /// The latest failure, or the receiver's own name for the page.
    pub detail: Option<String>,
}

/// An incident with its whole timeline, in order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Story {
    #[serde(flatten)]
    pub incident: Incident,
    pub timeline: Vec<Event>,
}

impl Incident {
    fn new(row: IncidentRow, told: Vec<Told>) -> Self {
        let label = |name: &str| row.labels.get(name).filter(|value| !value.is_empty());
        Self {
            state: row.phase.into(),
            severity: label("severity").cloned().unwrap_or_default(),
            profile: label("profile").cloned().unwrap_or_default(),
            title: alert_name(&row.labels).to_owned(),
            told,
            row,
        }
    }
}

/// Lists incidents, the newest first.
pub async fn list(
    admin: &Admin,
    query: &IncidentQuery,
    walk: &Walk,
) -> Result<List<Incident>, Problem> {
    let filter = IncidentFilter {
        phase: query.state.map(Phase::from),
        severity: query.severity.clone(),
        profile: query.profile.clone(),
        receiver: query.receiver.clone(),
        text: query.q.clone().filter(|text| !text.is_empty()),
    };
    let found = page("incidents", walk, |span| {
        admin.browse.browse_incidents(filter.clone(), span)
    })
    .await?;

    let numbers = found.items.iter().map(|(number, _)| *number).collect();
    let mut told = by_incident(admin.browse.told(numbers).await?);

    Ok(found.map(|(number, row)| Incident::new(row, told.remove(&number).unwrap_or_default())))
}

/// Groups the latest delivery of each integration by the number of the incident.
fn by_incident(rows: Vec<ToldRow>) -> BTreeMap<i64, Vec<Told>> {
    let mut told: BTreeMap<i64, Vec<Told>> = BTreeMap::new();
    for row in rows {
        let its = told.entry(row.incident).or_default();
        let one = Told {
            receiver: row.receiver,
            integration: row.integration,
            delivery: row.delivery,
            action: row.action,
            state: row.state,
            failures: row.failures,
            detail: row.detail,
        };
        match its.iter_mut().find(|other| {
            (&other.receiver, &other.integration) == (&one.receiver, &one.integration)
        }) {
            Some(before) => *before = one,
            None => its.push(one),
        }
    }

    told
}

/// Returns everything that is known of one incident.
pub async fn show(admin: &Admin, id: &str) -> Result<Story, Problem> {
    let found = admin.desk.timeline(id).await?;
    let (row, timeline) =
        found.ok_or_else(|| Problem::not_found(format!("there is no incident {id}")))?;

    let told = timeline.iter().filter_map(|event| match event {
        Event::Delivery(delivery) => Some(ToldRow {
            incident: 0,
            delivery: delivery.id,
            receiver: delivery.receiver.clone(),
            integration: delivery.integration.clone(),
            action: delivery.action,
            state: delivery.state,
            failures: delivery.failures,
            detail: delivery.detail.clone(),
        }),
        Event::Mail(_) | Event::Attempt { .. } | Event::Deed(_) => None,
    });
    let told = by_incident(told.collect()).remove(&0).unwrap_or_default();

    Ok(Story {
        incident: Incident::new(row, told),
        timeline,
    })
}

/// A change in an incident's state that the bridge itself made, without a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn<'a> {
    pub at: Timestamp,
    pub action: Action,
    pub reason: &'a str,
}

/// Returns the changes that the bridge itself made, taken from the pages that it owed for them. Of
/// several that say the same, the first counts. What a person did is left out, since it is recorded
/// as a deed.
pub fn turns(timeline: &[Event]) -> Vec<Turn<'_>> {
    let (mut turns, mut last) = (Vec::new(), None);
    for event in timeline {
        match event {
            Event::Mail(mail) if matches!(mail.outcome, Outcome::Opened | Outcome::Reopened) => {
                last = Some(Action::Trigger);
            }
            Event::Delivery(row) if last != Some(row.action) => {
                last = Some(row.action);
                let reason = row.reason.as_deref().filter(|_| row.mail.is_none());
                let reason = reason.filter(|why| !why.starts_with(BY_HAND));
                turns.extend(reason.map(|reason| Turn {
                    at: row.created_at,
                    action: row.action,
                    reason,
                }));
            }
            _ => {}
        }
    }
    turns
}

/// Closes an incident by hand. The receivers that were told of its trigger are told that it is
/// over, and who said so.
pub async fn resolve(admin: &Admin, who: &Who, id: &str) -> Result<Story, Problem> {
    super::recorded(admin, who, "incidents.resolve", id, async {
        admin.workbench.resolve(id, &who.name).await?;
        Ok(())
    })
    .await?;
    show(admin, id).await
}
