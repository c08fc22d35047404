//! The reload of a running bridge's configuration, on SIGHUP and when the admin listener is asked
//! for it.
//!
//! The file is read and checked as at a start. If anything is wrong, the old configuration stays in
//! force as a whole. Otherwise the rules take effect, for the next mail and the next attempt. The
//! store, the admin listener with its external address, and the ingresses belong to the process:
//! their changes are named and wait for a restart. The rest does not wait for it, because somebody
//! who corrects a route at night means that route.

use std::{env, sync::Arc};

use tokio::{
    signal::unix::Signal,
    sync::{mpsc, watch::Sender},
};
use tokio_util::sync::CancellationToken;

use super::{names::Names, ways_in::NO_WAY_IN};
use crate::{
    clock::Clock,
    config::{Config, ConfigErrors, Files, Loaded, Source},
    deliver::{Client, Deliverer, Terms},
    pipeline::{InForce, Rules},
    telemetry,
    web::{Asked, Faults, Remarks},
};

/// Handles requests for a reload, one after the other.
pub(super) struct Reload {
    pub(super) started: Arc<Loaded>,
    /// The present configuration, as a whole.
    pub(super) loaded: Sender<Arc<Loaded>>,
    pub(super) deliverer: Arc<Deliverer>,
    pub(super) in_force: Sender<Arc<InForce>>,
    pub(super) names: Names,
    pub(super) clock: Clock,
}

impl Reload {
    /// Reloads on every request, until `stop`.
    pub(super) async fn run(
        self,
        mut hangup: Signal,
        mut asked: mpsc::Receiver<Asked>,
        stop: CancellationToken,
    ) {
        loop {
            let answer = tokio::select! {
                () = stop.cancelled() => return,
                Some(answer) = asked.recv() => Some(answer),
                _ = hangup.recv() => None,
            };
            let reloaded = self.reload().await;
            match &reloaded {
                Ok(remarks) => telemetry::config_reloaded(self.clock.now(), remarks),
                Err(faults) => telemetry::config_refused(faults),
            }
            // The caller may have gone away.
            let _ = answer.map(|answer| answer.send(reloaded));
        }
    }

    async fn reload(&self) -> Result<Remarks, Faults> {
        let fault = |error: anyhow::Error| vec![format!("{error:#}")];
        let source = self.started.source.clone();
        let loaded = apart(move || prepare(&source)).await?;
        let mut loaded = self.names.give(loaded).await.map_err(fault)?;
        let waiting = loaded.needs_restart(&self.started);

        // Pages link to the address at which the admin listener lets people in, which stays.
        let started = &self.started.config.global.external_url;
        loaded.config.global.external_url.clone_from(started);

        // The ingresses stay as they are.
        let config = Config {
            ingress: self.started.config.ingress.clone(),
            ..loaded.config.clone()
        };
        let rules = Arc::clone(&loaded.rules);
        let (terms, in_force) = apart(move || stages(&config, &rules).map_err(fault)).await?;
        telemetry::configured(in_force.rules.receivers.integrations.keys());

        let before = self.deliverer.change(terms);
        self.in_force.send_replace(Arc::new(in_force));
        self.deliverer.hurry(&before).await;

        let waiting = waiting
            .into_iter()
            .map(|key| format!("{key} needs a restart"));
        let warnings = loaded.warnings.iter();
        let remarks = waiting
            .chain(warnings.map(|warning| format!("warning: {warning}")))
            .collect();
        self.loaded.send_replace(Arc::new(loaded));

        Ok(remarks)
    }
}

/// Runs work that reads files on a thread of its own.
async fn apart<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Faults> + Send + 'static,
) -> Result<T, Faults> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_| {
        Err(vec![
            "this program has a fault: reading it panicked".to_owned(),
        ])
    })
}

/// Reads the configuration again.
fn prepare(source: &Source) -> Result<Loaded, Faults> {
    let path = match source {
        Source::File(path) => Some(path.as_path()),
        Source::Embedded => None,
    };

    let loaded =
        Config::load(path, Files::Needed).map_err(|ConfigErrors { problems, .. }| {
            problems.iter().map(ToString::to_string).collect::<Faults>()
        })?;

    if loaded.config.ingress.names().next().is_none() {
        return Err(vec![format!("{}: {}", loaded.source, NO_WAY_IN)]);
    }

    Ok(loaded)
}

/// Builds the parts of the configuration that deliver and decide.
pub(super) fn stages(config: &Config, rules: &Arc<Rules>) -> anyhow::Result<(Terms, InForce)> {
    let receivers = Arc::clone(&rules.receivers);
    let timeout = config.delivery.timeout.as_std();
    let client = Client::new(&receivers, timeout, &|name| env::var(name).ok())?;
    let terms = Terms::new(
        receivers,
        config.delivery.clone(),
        config.global.external_url.clone(),
        client,
    )
    .under(rules.mutes());

    Ok((
        terms,
        InForce {
            authenticator: config.authenticator(&rules.profiles)?,
            rules: Arc::clone(rules),
            canary: config.canary.clone(),
        },
    ))
}
