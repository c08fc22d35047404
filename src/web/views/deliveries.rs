//! Deliveries: those that receivers are owed, have received, or that were given up.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    delivery::{DeliveryId, DeliveryState},
    store::{DeliveryFilter, DeliveryRow, Span},
    web::{
        Admin,
        list::{List, Walk, page},
        problem::Problem,
        who::Who,
    },
};

/// The filter of the list of deliveries.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct DeliveryQuery {
    pub state: Option<DeliveryState>,
    pub receiver: Option<String>,
}

/// A delivery that was acted on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Acted {
    pub id: DeliveryId,
    /// Its state after the action.
    pub state: DeliveryState,
}

/// Lists deliveries, the newest first.
pub async fn list(
    admin: &Admin,
    query: &DeliveryQuery,
    walk: &Walk,
) -> Result<List<DeliveryRow>, Problem> {
    let filter = DeliveryFilter {
        state: query.state,
        receiver: query.receiver.clone(),
    };
    page("deliveries", walk, |span| {
        admin.browse.browse_deliveries(filter.clone(), span)
    })
    .await
}

/// Returns one delivery.
pub async fn show(admin: &Admin, id: DeliveryId) -> Result<DeliveryRow, Problem> {
    let span = Span {
        before: id.saturating_add(1),
        limit: 1,
    };
    let all = DeliveryFilter::default();
    let found = admin.browse.browse_deliveries(all, span).await?;
    let found = found.items.into_iter().find(|row| row.id == id);
    found.ok_or_else(|| Problem::not_found(format!("there is no delivery {id}")))
}

/// Retries a dead delivery.
pub async fn retry(admin: &Admin, who: &Who, id: DeliveryId) -> Result<Acted, Problem> {
    revive(admin, who, id).await?;
    admin.owed.notify_one();
    let state = DeliveryState::Pending;
    Ok(Acted { id, state })
}

/// Retries dead deliveries. One that is refused keeps no other waiting; the first refusal is
/// returned after the last.
pub async fn retry_all(admin: &Admin, who: &Who, mut ids: Vec<DeliveryId>) -> Result<(), Problem> {
    sort_for_retry(&mut ids);
    let mut refusal = Ok(());
    for id in ids {
        refusal = refusal.and(revive(admin, who, id).await);
    }

    // Nobody is notified before: once a resolve is claimed, no trigger can go before it.
    admin.owed.notify_one();
    refusal
}

/// Sorts deliveries into the order in which they are retried one by one: a resolve before its
/// trigger. Otherwise the trigger is refused, because nothing would resolve it.
pub fn sort_for_retry(ids: &mut [DeliveryId]) {
    ids.sort_unstable_by(|one, other| other.cmp(one));
}

async fn revive(admin: &Admin, who: &Who, id: DeliveryId) -> Result<(), Problem> {
    super::recorded(admin, who, "deliveries.retry", id.to_string(), async {
        let retried = admin.desk.retry(Some(vec![id]), admin.clock.now()).await;
        Ok(retried.map(drop)?)
    })
    .await
}

/// Gives up a delivery for good.
pub async fn discard(admin: &Admin, who: &Who, id: DeliveryId) -> Result<Acted, Problem> {
    super::recorded(admin, who, "deliveries.discard", id.to_string(), async {
        Ok(admin.desk.discard(id, admin.clock.now()).await?)
    })
    .await?;
    let state = DeliveryState::Discarded;
    Ok(Acted { id, state })
}
