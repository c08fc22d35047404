//! Everything that is known of one incident, in order.

use std::io::Write;

use anyhow::bail;
use jiff::Timestamp;
use serde_json::json;

use super::moment::{moments, turned};
use crate::{
    cli::{plain, table},
    incident::Phase,
    store::{Desk, IncidentRow, Kind},
    web::views::incidents::turns,
};

pub async fn show(
    store: &dyn Desk,
    incident_id: &str,
    json: bool,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let Some((incident, events)) = store.timeline(incident_id).await? else {
        bail!(
            "there is no incident {incident_id} in the store: `alertbridge incidents list` names \
             them"
        );
    };

    if json {
        let mut whole = serde_json::to_value(&incident)?;
        whole["timeline"] = json!(events);
        return Ok(writeln!(out, "{}", plain::json(&whole)?)?);
    }

    let width = table::width();
    writeln!(out, "{}\n", table::facts(width, facts(&incident)))?;

    let turns = turns(&events).into_iter().map(turned);
    let mut moments: Vec<_> = events.iter().flat_map(moments).chain(turns).collect();
    moments.sort_by_key(|moment| (moment.at, moment.rank));

    let rows = moments.into_iter().map(|moment| {
        vec![
            moment.at.strftime("%F %T").to_string(),
            moment.word.to_owned(),
            moment.text,
        ]
    });
    let heading = ["AT (UTC)", "WHAT", "DETAILS"];

    Ok(writeln!(out, "{}", table::within(width, &heading, rows))?)
}

/// Returns the incident's subject and state, one fact per line. Unknown facts are left out.
fn facts(incident: &IncidentRow) -> Vec<(&'static str, String)> {
    let label = |name: &str| {
        let value = incident.labels.get(name).map(String::as_str);
        value.filter(|value| !value.is_empty())
    };
    let is_unread = incident.kind == Kind::Unparsed;
    let state = if is_unread {
        "paged, because it could not be read"
    } else {
        incident.phase.in_words()
    };
    let state = match label("severity") {
        Some(severity) => format!("{state} ({}), {severity}", incident.status),
        None => format!("{state} ({})", incident.status),
    };
    let app = match (label("app_name"), label("app_key")) {
        (Some(name), Some(key)) => Some(format!("{name} ({key})")),
        (name, key) => name.or(key).map(ToOwned::to_owned),
    };
    let unit = |number: &str| match label("unit") {
        Some(unit) if unit.eq_ignore_ascii_case("percent") => format!("{number} %"),
        Some(unit) => format!("{number} {}", unit.to_lowercase()),
        None => number.to_owned(),
    };
    let measured = label("sli_value").map(|value| match label("slo_value") {
        Some(objective) => format!("{}, objective {}", unit(value), unit(objective)),
        None => unit(value),
    });
    let owned = |name| label(name).map(ToOwned::to_owned);
    let metric = label("metric").filter(|metric| label("title") != Some(metric));
    let time = |at: Timestamp| format!("{} UTC", at.strftime("%F %T"));
    let is_over = incident.phase == Phase::Resolved && !is_unread;
    let resolved = is_over.then(|| time(incident.changed_at));
    let known = [
        ("incident", Some(incident.incident_id.clone())),
        ("state", Some(state)),
        ("opened", Some(time(incident.opened_at))),
        ("resolved", resolved),
        ("title", owned("title")),
        ("app", app),
        ("metric", metric.map(ToOwned::to_owned)),
        ("measured", measured),
        ("summary", owned("summary")),
        ("page", owned("url")),
        ("profile", owned("profile")),
    ];

    let known = known.into_iter();
    known
        .filter_map(|(name, text)| Some((name, text?)))
        .collect()
}
