//! Sends the pages that silences held, when the silences end.
//!
//! This runs beside the main path of new mail. Held pages are in the store, so that a crash loses
//! none, and of several replicas only one sends each page.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use super::{Pipeline, case, slots::Slots};
use crate::{
    crash,
    store::{StoreError, Unsilenced},
    telemetry,
};

/// The number of incidents handled before the store is queried again.
const AT_ONCE: u32 = 64;
/// How often the store is queried: `alertbridge silences expire` runs in another process.
const PAUSE: Duration = Duration::from_secs(1);

impl Pipeline {
    /// Sends the pages of incidents that are still open when the last covering silence ends, until
    /// `stop`.
    pub async fn look_at_silenced(self: Arc<Self>, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let looked = match self.tell_unsilenced().await {
                Ok(looked) => looked,
                Err(error) => {
                    telemetry::store_failed(
                        "a page held by a silence could not be sent: it will be tried again",
                        &error,
                    );
                    0
                }
            };
            if looked < AT_ONCE as usize {
                stop.run_until_cancelled(tokio::time::sleep(PAUSE)).await;
            }
        }
    }

    pub(super) async fn tell_unsilenced(&self) -> Result<usize, StoreError> {
        let ended = self.store.unsilenced(self.clock.now(), AT_ONCE).await?;
        for incident in &ended {
            self.unsilence(incident).await?;
        }
        Ok(ended.len())
    }

    pub(super) async fn unsilence(&self, incident: &Unsilenced) -> Result<(), StoreError> {
        let now = self.clock.now();
        let rules = Arc::clone(&self.in_force().rules);
        let (slots, reserve) = Slots::reserved(&self.deliverer);
        let decision = case::unsilence(&*self.store, rules, incident, now, reserve).await?;
        crash::point("unsilenced");
        telemetry::unsilenced(&incident.incident_id, &decision);
        self.deliverer.begin(decision, slots.next());
        Ok(())
    }
}
