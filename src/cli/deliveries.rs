//! `alertbridge deliveries`: what is owed, done and given up.

use std::io::Write;

use crate::{
    cli::{plain, table},
    delivery::{DeliveryId, DeliveryState},
    store::Store,
};
use jiff::Timestamp;

/// Lists deliveries, the newest first.
pub async fn list(
    store: &dyn Store,
    state: Option<DeliveryState>,
    limit: u32,
    json: bool,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let deliveries = store.deliveries(state, limit).await?;
    if json {
        return Ok(writeln!(out, "{}", plain::json(&deliveries)?)?);
    }
    let rows = deliveries.into_iter().map(|delivery| {
        vec![
            delivery.id.to_string(),
            delivery.state.as_str().to_owned(),
            delivery.action.as_str().to_owned(),
            delivery.incident_id,
            delivery.receiver,
            delivery.integration,
            delivery.created_at.strftime("%F %T").to_string(),
            delivery.failures.to_string(),
            delivery
                .next_at
                .map(|at| at.strftime("%F %T").to_string())
                .unwrap_or_default(),
            delivery.detail.unwrap_or_default(),
        ]
    });
    let heading = [
        "ID",
        "STATE",
        "ACTION",
        "INCIDENT",
        "RECEIVER",
        "INTEGRATION",
        "OWED (UTC)",
        "FAILURES",
        "NEXT (UTC)",
        "DETAIL",
    ];
    Ok(writeln!(out, "{}", table::of(&heading, rows))?)
}

/// Makes dead deliveries pending again; none named: all of them.
pub async fn retry(
    store: &dyn Store,
    ids: Option<Vec<DeliveryId>>,
    now: Timestamp,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let retried = store.retry(ids, now).await?;
    for id in &retried {
        writeln!(out, "delivery {id} is pending again")?;
    }
    if retried.is_empty() {
        writeln!(out, "nothing is dead that could be sent again")?;
    }
    Ok(())
}

/// Gives a delivery up for good.
pub async fn discard(
    store: &dyn Store,
    id: DeliveryId,
    now: Timestamp,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    store.discard(id, now).await?;
    Ok(writeln!(out, "delivery {id} is discarded")?)
}
