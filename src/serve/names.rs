//! The names of the integrations. The store gives them before anything is delivered under them: see
//! [`naming`](crate::delivery::naming).

use std::sync::Arc;

use anyhow::Context as _;

use crate::{
    canary::SINK,
    config::Loaded,
    crash,
    incident::ATLASSIAN_SLI,
    pipeline::Rules,
    receiver::Receivers,
    store::{Outstanding, Store},
    telemetry,
};

/// Gives the integrations of a configuration their names.
pub(super) struct Names {
    pub(super) store: Arc<dyn Store>,
    /// The store's secret, by which destinations are recognised.
    pub(super) secret: Vec<u8>,
}

impl Names {
    /// Returns the same configuration with its integrations under their names. Its warnings include
    /// what the store owes to names that no integration has any more.
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
        match self.store.open_by_profile().await {
            Ok(open) => {
                let endless = endless(&loaded.rules, open);
                loaded.warnings.extend(endless);
            }
            Err(error) => {
                let what = "what is open of profiles that are gone is not known";
                telemetry::store_failed(what, &error);
            }
        }
        Ok(loaded)
    }
}

/// Returns the warnings about open incidents of profiles that the configuration does not have.
fn endless(rules: &Rules, open: Vec<(String, u64)>) -> Vec<String> {
    let is_read = |profile: &str| {
        profile == ATLASSIAN_SLI || rules.profiles.iter().any(|one| *one.name == *profile)
    };
    let gone = open.into_iter().filter(|(profile, _)| !is_read(profile));
    gone.map(|(profile, open)| {
        format!(
            "the configuration does not have the profile `{profile}` any more: no mail ends its \
             open incidents, of which there are {open}. Give the profile its name back and reload, \
             or end them by `alertbridge incidents resolve ID`"
        )
    })
    .collect()
}

/// Returns the warnings about integrations that the configuration does not have.
fn lost(receivers: &Receivers, outstanding: &[Outstanding]) -> Vec<String> {
    let lost = outstanding.iter().filter(|one| {
        let target = &one.target;
        !receivers.integrations.contains_key(target) && target.receiver != SINK
    });
    lost.map(|Outstanding { target, owed, told }| {
        format!(
            "the configuration does not have {} of the receiver `{}` any more: of the pages owed \
             to it, {owed} become dead letters, and of the open incidents that it was told of, it \
             will not hear the end of {told}. (Those that a mute holds go elsewhere where the \
             routes lead there.) Put its entry back and reload, or see to them there by hand",
            target.integration, target.receiver
        )
    })
    .collect()
}
