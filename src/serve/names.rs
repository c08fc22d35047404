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
                let what = "the deliveries owed to removed integrations could not be counted";
                telemetry::store_failed(what, &error);
            }
        }
        match self.store.open_by_profile().await {
            Ok(open) => {
                let endless = endless(&loaded.rules, open);
                loaded.warnings.extend(endless);
            }
            Err(error) => {
                let what = "the open incidents of removed profiles could not be counted";
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
            "the configuration no longer has the profile `{profile}`: no mail will resolve its \
             open incidents ({open}). Give the profile its name back and reload, or resolve them \
             with `alertbridge incidents resolve ID`"
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
            "the configuration no longer has {} of the receiver `{}`: the pages owed to it become \
             dead letters ({owed}), and it will not be told of the resolve of the open incidents \
             that it was told of ({told}). (Pages that a mute holds go to other receivers if the \
             routes lead there.) Restore its entry and reload, or close the alerts there by hand",
            target.integration, target.receiver
        )
    })
    .collect()
}
