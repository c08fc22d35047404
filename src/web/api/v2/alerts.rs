//! `alerts` and `alerts/groups`: the open incidents.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use axum::extract::State;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::{Answer, filter::Filter, status::Receiver};
use crate::{
    delivery::sha256_hex,
    label::{self, Labels, alert_name},
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

/// The largest number of alerts that are shown.
const MOST: usize = 10_000;
/// How long an open alert is assumed to stay open, which sets its `endsAt`.
const OPEN_FOR: SignedDuration = SignedDuration::from_mins(5);

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Alert {
    annotations: Labels,
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
    muted_by: Vec<String>,
    silenced_by: Vec<String>,
    state: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Group {
    alerts: Vec<Alert>,
    labels: Labels,
    receiver: Receiver,
    route_labels: Labels,
}

/// An alert, and all labels that a filter is matched against.
///
/// What changes from mail to mail is not a label of the alert itself, because people silence an
/// alert by its labels.
struct Open {
    alert: Alert,
    labels: Labels,
}

pub async fn list(State(admin): State<Arc<Admin>>, filter: Filter) -> Answer<Vec<Alert>> {
    let alerts = open(&admin, &filter).await?.into_iter();
    Ok(Json(alerts.map(|open| open.alert).collect()))
}

/// Lists open alerts, grouped by receiver and alert name.
pub async fn groups(State(admin): State<Arc<Admin>>, filter: Filter) -> Answer<Vec<Group>> {
    let mut groups: BTreeMap<(Receiver, String), Vec<Alert>> = BTreeMap::new();
    let now = admin.clock.now();
    for Open { alert, labels } in open(&admin, &filter).await? {
        let name = alert.labels.get("alertname").cloned().unwrap_or_default();
        let muted = admin.workbench.reach(&labels, Some(now)).muted;
        let wanted = alert.receivers.iter().filter(|one| filter.wants(&one.name));
        for receiver in wanted {
            let muting = muted.iter().filter(|one| one.receiver == receiver.name);
            let intervals = muting.flat_map(|one| one.intervals.iter().cloned());
            let alert = alert.clone().muted_by(intervals.collect());
            if filter.muted || alert.status.muted_by.is_empty() {
                let group = groups.entry((receiver.clone(), name.clone())).or_default();
                group.push(alert);
            }
        }
    }

    let group = |((receiver, name), alerts)| Group {
        alerts,
        labels: Labels::from([("alertname".into(), name)]),
        receiver,
        route_labels: Labels::new(),
    };

    Ok(Json(groups.into_iter().map(group).collect()))
}

async fn open(admin: &Admin, filter: &Filter) -> Result<Vec<Open>, Problem> {
    let now = admin.clock.now();
    let mut silences = admin.desk.silences(false, now, u32::MAX).await?;
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
        let found = found.map(|incident| opened(admin, incident, &silences, now));
        alerts.extend(found.filter(|open| open.fits(filter)));

        walk.cursor = page.next;
        if walk.cursor.is_none() || alerts.len() >= MOST {
            alerts.truncate(MOST);
            return Ok(alerts);
        }
    }
}

impl Open {
    fn fits(&self, filter: &Filter) -> bool {
        let alert = &self.alert;
        let state = match alert.status.state {
            "suppressed" => filter.silenced,
            _ => filter.active,
        };
        state
            && filter.fits(&self.labels)
            && (alert.receivers.is_empty() && filter.wants("")
                || alert.receivers.iter().any(|one| filter.wants(&one.name)))
    }
}

impl Alert {
    /// Marks the alert as muted if mute intervals keep it from a receiver now.
    fn muted_by(mut self, intervals: Vec<String>) -> Self {
        if !intervals.is_empty() {
            self.status.state = "suppressed";
        }
        self.status.muted_by = intervals;
        self
    }
}

fn opened(admin: &Admin, incident: Incident, silences: &[Silence], now: Timestamp) -> Open {
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

    let is_changing =
        |name: &str| label::CHANGING.contains(&name) || matches!(name, "summary" | label::STAGE);
    let (mut annotations, own): (Labels, Labels) = labels
        .clone()
        .into_iter()
        .partition(|(name, _)| is_changing(name));
    annotations
        .entry("summary".into())
        .or_insert_with(|| title(&labels, &incident.row.incident_id));
    let id = format!(
        "{}\n{}",
        incident.row.kind.as_str(),
        incident.row.incident_id
    );

    let alert = Alert {
        annotations,
        ends_at: now.saturating_add(OPEN_FOR).unwrap_or(now),
        fingerprint: sha256_hex(id.as_bytes())[..16].to_owned(),
        receivers: receivers
            .into_iter()
            .map(|name| Receiver { name })
            .collect(),
        starts_at: incident.row.opened_at,
        status: Status {
            inhibited_by: [],
            muted_by: Vec::new(),
            state: if silenced_by.is_empty() {
                "active"
            } else {
                "suppressed"
            },
            silenced_by,
        },
        updated_at: incident.row.changed_at,
        generator_url: labels.get("url").cloned().unwrap_or_default(),
        labels: own,
    };
    Open { alert, labels }
}
