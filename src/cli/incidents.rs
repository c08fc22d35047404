//! `alertbridge incidents`: what is open and what was, and the whole timeline of one.

use std::io::Write;

use anyhow::bail;
use serde_json::json;

use crate::{
    cli::table,
    store::{Event, IncidentRow, Store},
};

/// Lists incidents, those changed last first; `all` includes those that are over.
pub async fn list(store: &dyn Store, all: bool, limit: u32, json: bool, out: &mut impl Write) -> anyhow::Result<()> {
    let incidents = store.incidents(!all, limit).await?;
    if json {
        return Ok(writeln!(out, "{}", serde_json::to_string(&incidents)?)?);
    }
    let label = |incident: &IncidentRow, name: &str| incident.labels.get(name).cloned().unwrap_or_default();
    let rows = incidents.iter().map(|incident| {
        vec![
            incident.incident_id.clone(),
            incident.phase.as_str().to_owned(),
            label(incident, "severity"),
            label(incident, "app_key"),
            label(incident, "metric"),
            incident.opened_at.strftime("%F %T").to_string(),
            incident.changed_at.strftime("%F %T").to_string(),
        ]
    });
    let heading = ["INCIDENT", "STATE", "SEVERITY", "APP", "METRIC", "OPENED (UTC)", "CHANGED (UTC)"];
    Ok(writeln!(out, "{}", table::of(&heading, rows))?)
}

/// Everything known of one incident, in order.
pub async fn show(store: &dyn Store, incident_id: &str, json: bool, out: &mut impl Write) -> anyhow::Result<()> {
    let Some((incident, events)) = store.timeline(incident_id).await? else {
        bail!("there is no incident {incident_id} in the store: `alertbridge incidents list --all` names them");
    };
    if json {
        let mut whole = serde_json::to_value(&incident)?;
        whole["timeline"] = json!(events);
        return Ok(writeln!(out, "{whole}")?);
    }
    writeln!(out, "{} is {} ({})", incident.incident_id, incident.phase.as_str(), incident.status)?;
    for (name, value) in incident.labels.iter().filter(|(_, value)| !value.is_empty()) {
        writeln!(out, "  {name}=\"{value}\"")?;
    }
    for event in events {
        writeln!(out, "{}", told(&event))?;
    }
    Ok(())
}

fn told(event: &Event) -> String {
    match event {
        Event::Mail(mail) => {
            let reason = mail.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
            format!(
                "{}  mail {} through {}: {}{reason}",
                mail.arrived_at.strftime("%F %T"),
                mail.id,
                mail.ingress,
                mail.outcome
            )
        }
        Event::Delivery(delivery) => {
            let detail = delivery.detail.as_deref().map(|detail| format!(": {detail}")).unwrap_or_default();
            format!(
                "{}  delivery {}: {} to {} ({}) is {}{detail}",
                delivery.created_at.strftime("%F %T"),
                delivery.id,
                delivery.action.as_str(),
                delivery.receiver,
                delivery.integration,
                delivery.state.as_str(),
            )
        }
        Event::Attempt { delivery, receiver, attempt, .. } => format!(
            "{}    attempt of delivery {delivery} to {receiver}, {} ms: {}: {}",
            attempt.at.strftime("%F %T"),
            attempt.took_ms,
            attempt.result,
            attempt.detail,
        ),
    }
}
