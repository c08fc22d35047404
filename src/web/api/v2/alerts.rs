//! `alerts` and `alerts/groups`: what is open.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use axum::extract::State;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::{Answer, Failure, filter::Filter, status::Receiver};
use crate::{
    delivery::sha256_hex,
    label::{Labels, alert_name},
    silence::{Silence, State as SilenceState},
    web::{
        Admin,
        json::Json,
        list::Walk,
        problem::Problem,
        views::{
            incidents::{self, Incident, IncidentQuery, IncidentState},
            named::title,
        },
    },
};

/// As many alerts are shown.
const MOST: usize = 10_000;
/// What is open now is taken to be for so long.
const OPEN_FOR: SignedDuration = SignedDuration::from_mins(5);

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Alert {
    annotations: BTreeMap<&'static str, String>,
    ends_at: Timestamp,
    fingerprint: String,
    receivers: Vec<Receiver>,
    starts_at: Timestamp,
    status: Status,
    updated_at: Timestamp,
    #[serde(rename = "generatorURL", skip_serializing_if = "String::is_empty")]
    generator_url: String,
    labels: Labels,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    inhibited_by: [String; 0],
    muted_by: [String; 0],
    silenced_by: Vec<String>,
    state: &'static str,
}

#[derive(Serialize)]
pub struct Group {
    alerts: Vec<Alert>,
    labels: Labels,
    receiver: Receiver,
}

pub async fn list(State(admin): State<Arc<Admin>>, filter: Filter) -> Answer<Vec<Alert>> {
    let alerts = open(&admin, &filter).await?;
    Ok(Json(alerts))
}

/// By receiver and name of the alert.
pub async fn groups(State(admin): State<Arc<Admin>>, filter: Filter) -> Answer<Vec<Group>> {
    let mut groups: BTreeMap<(Receiver, String), Vec<Alert>> = BTreeMap::new();
    for alert in open(&admin, &filter).await? {
        let name = alert.labels.get("alertname").cloned().unwrap_or_default();
        let wanted = alert.receivers.iter().filter(|one| filter.wants(&one.name));
        for receiver in wanted {
            let group = groups.entry((receiver.clone(), name.clone())).or_default();
            group.push(alert.clone());
        }
    }

    let group = |((receiver, name), alerts)| Group {
        alerts,
        labels: Labels::from([("alertname".into(), name)]),
        receiver,
    };

    Ok(Json(groups.into_iter().map(group).collect()))
}

async fn open(admin: &Admin, filter: &Filter) -> Result<Vec<Alert>, Failure> {
    let now = admin.clock.now();
    let silences = admin.desk.silences(false, now, u32::MAX).await;
    let mut silences = silences.map_err(|error| Failure::from(Problem::from(error)))?;
    silences.retain(|silence| silence.state(now) == SilenceState::Active);

    let query = IncidentQuery {
        state: Some(IncidentState::Open),
        ..IncidentQuery::default()
    };
    let mut walk = Walk {
        limit: Some(1000),
        cursor: None,
    };
    let mut alerts = Vec::new();
    loop {
        let page = incidents::list(admin, &query, &walk).await?;
        let found = page.items.into_iter();
        let found = found.map(|incident| alert(admin, incident, &silences, now));
        alerts.extend(found.filter(|alert| fits(alert, filter)));

        walk.cursor = page.next;
        if walk.cursor.is_none() || alerts.len() >= MOST {
            alerts.truncate(MOST);
            return Ok(alerts);
        }
    }
}

fn fits(alert: &Alert, filter: &Filter) -> bool {
    let state = match alert.status.state {
        "suppressed" => filter.silenced,
        _ => filter.active,
    };
    state
        && filter.fits(&alert.labels)
        && (alert.receivers.is_empty() && filter.wants("")
            || alert.receivers.iter().any(|one| filter.wants(&one.name)))
}

fn alert(admin: &Admin, incident: Incident, silences: &[Silence], now: Timestamp) -> Alert {
    let covering = silences
        .iter()
        .filter(|one| one.covers(&incident.row.labels));
    let silenced_by: Vec<_> = covering
        .map(|one| super::silences::public_id(one.id))
        .collect();

    let told = incident.told.iter().map(|one| one.receiver.clone());
    let mut receivers: BTreeSet<String> = told.collect();
    if receivers.is_empty() {
        let reached = admin.workbench.reach(&incident.row.labels, None);
        receivers.extend(reached.receivers);
    }

    let mut labels = incident.row.labels;
    labels.retain(|_, value| !value.is_empty());
    labels.insert("alertname".into(), alert_name(&labels).to_owned());

    let summary = labels.get("summary").cloned();
    let summary = summary.unwrap_or_else(|| title(&labels, &incident.row.incident_id));
    let id = format!(
        "{}\n{}",
        incident.row.kind.as_str(),
        incident.row.incident_id
    );

    Alert {
        annotations: [("summary", summary)].into(),
        ends_at: now.saturating_add(OPEN_FOR).unwrap_or(now),
        fingerprint: sha256_hex(id.as_bytes())[..16].to_owned(),
        receivers: receivers
            .into_iter()
            .map(|name| Receiver { name })
            .collect(),
        starts_at: incident.row.opened_at,
        status: Status {
            inhibited_by: [],
            muted_by: [],
            state: if silenced_by.is_empty() {
                "active"
            } else {
                "suppressed"
            },
            silenced_by,
        },
        updated_at: incident.row.changed_at,
        generator_url: labels.get("url").cloned().unwrap_or_default(),
        labels,
    }
}
