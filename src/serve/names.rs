//! The names of the integrations, which the store gives before anything is delivered under them:
//! see [`naming`](crate::delivery::naming).

use std::sync::Arc;

use anyhow::Context as _;

use crate::{
    canary::SINK,
    config::Loaded,
    crash,
    receiver::Receivers,
    store::{Outstanding, Store},
    telemetry,
};

/// Gives them.
pub(super) struct Names {
    pub(super) store: Arc<dyn Store>,
    /// The store's, under which destinations are known again.
    pub(super) secret: Vec<u8>,
}

impl Names {
    /// The same configuration with its integrations under their names. What the store owes to names
    /// that are nobody's any more is among its warnings.
    pub(super) async fn give(&self, loaded: Loaded) -> anyhow::Result<Loaded> {
        let entries = loaded.rules.receivers.entries(&self.secret);
        let names = self.store.name(entries).await;
        let names = names.context("the integrations could not be named in the store")?;
        crash::point("named");

        let mut loaded = loaded.under(&names)?;
        match self.store.outstanding().await {
            Ok(outstanding) => {
                let lost = lost(&loaded.rules.receivers, &outstanding);
                loaded.warnings.extend(lost);
            }
            Err(error) => {
                let what = "what is owed to integrations that are gone is not known";
                telemetry::store_failed(what, &error);
            }
        }
        Ok(loaded)
    }
}

/// What hangs on integrations that the configuration does not have.
fn lost(receivers: &Receivers, outstanding: &[Outstanding]) -> Vec<String> {
    let lost = outstanding.iter().filter(|one| {
        let target = &one.target;
        !receivers.integrations.contains_key(target) && target.receiver != SINK
    });
    lost.map(|Outstanding { target, owed, told }| {
        format!(
            "the configuration does not have {} of the receiver `{}` any more: of the pages owed \
             to it, {owed} become dead letters, and of the open incidents that it was told of, it \
             will not hear the end of {told}. Put its entry back and reload, or see to them there \
             by hand",
            target.integration, target.receiver
        )
    })
    .collect()
}
