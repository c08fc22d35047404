//! A mailbox that one replica reads, and another as soon as that one is gone.
//!
//! The ingress knows nothing of this: it is started when this replica gets the right to read, and
//! stopped when the replica loses it. For a moment two replicas may read at once, if one of them is
//! slow to notice. Because they share a bookmark, a mail that both have read is a duplicate, and no
//! mail is skipped.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{Notify, watch::Receiver},
    time::{Instant, sleep, timeout_at},
};
use tokio_util::sync::CancellationToken;

use crate::{
    clock::Clock,
    ingress::{
        Health, Inbox, Ingress as _,
        imap::{self, Imap},
    },
    pipeline::InForce,
    settings::{self, Problem},
    store::Upkeep,
    telemetry,
};

/// How long the right lasts without renewal. A dead replica's mailbox is read again within this
/// time and `EVERY`.
const LEASE: Duration = Duration::from_secs(6);
/// How often the right is requested or renewed.
const EVERY: Duration = Duration::from_secs(2);

/// A mailbox, and how it is read.
pub(super) struct Mailbox {
    settings: imap::Settings,
    clock: Clock,
    in_force: Receiver<Arc<InForce>>,
}

impl Mailbox {
    /// Prepares a mailbox, and reports what is wrong with its settings.
    pub(super) fn new(
        settings: &imap::Settings,
        clock: Clock,
        in_force: Receiver<Arc<InForce>>,
    ) -> Result<Self, Problem> {
        let mailbox = Self {
            settings: settings.clone(),
            clock,
            in_force,
        };
        Imap::new(settings, mailbox.clock.clone(), mailbox.max_age())?;
        Ok(mailbox)
    }

    fn max_age(&self) -> settings::Duration {
        self.in_force.borrow().rules.max_age
    }

    /// Reads whenever it is this replica's turn, until `stop`.
    pub(super) async fn run(
        self,
        store: Arc<dyn Upkeep>,
        inbox: Arc<dyn Inbox>,
        health: Health,
        stop: CancellationToken,
    ) {
        let (name, mailbox) = (&self.settings.name, self.settings.mailbox());
        while !stop.is_cancelled() {
            let asked = Instant::now();
            match store.consume(&mailbox, LEASE).await {
                Ok(true) => {
                    telemetry::mailbox_taken(name);
                    let until = asked + LEASE;
                    match self.read(until, &*store, &inbox, &health, &stop).await {
                        Ok(()) => health.elsewhere(name),
                        // While no replica reads, its failure must stay visible.
                        Err(problem) => health.failed(name, &problem.what, false),
                    }
                    // The mailbox is given up so that the next holder need not wait for the end of
                    // the lease.
                    if let Err(error) = store.relinquish(&mailbox).await {
                        tracing::debug!(%error, mailbox = %name, "another replica can take the \
                            mailbox when its lease ends");
                    }
                }
                Ok(false) => health.elsewhere(name),
                Err(error) => telemetry::store_failed(
                    "the lease of a mailbox could not be \
                    requested",
                    &error,
                ),
            }
            stop.run_until_cancelled(sleep(EVERY)).await;
        }
    }

    /// Reads for as long as the right to read is renewed in time. Returns what is wrong if the
    /// mailbox cannot be set up, because a file that it needs is gone.
    async fn read(
        &self,
        mut until: Instant,
        store: &dyn Upkeep,
        inbox: &Arc<dyn Inbox>,
        health: &Health,
        stop: &CancellationToken,
    ) -> Result<(), Problem> {
        let (name, mailbox) = (&self.settings.name, self.settings.mailbox());
        let max_age = self.max_age();
        let mut in_force = self.in_force.clone();
        in_force.mark_unchanged();
        let reloaded = Arc::new(Notify::new());
        let imap = Imap::new(&self.settings, self.clock.clone(), max_age)?;
        let imap = imap.with_reloads(Arc::clone(&reloaded));

        let turn = stop.child_token();
        let ended = turn.clone().drop_guard();
        let mut reading = tokio::spawn(Box::new(imap).run(Arc::clone(inbox), health.clone(), turn));

        loop {
            tokio::select! {
                _ = &mut reading => return Ok(()),
                () = sleep(EVERY) => {}
            }
            let asked = Instant::now();
            // By this process's clock, reading must stop before the lease ends, whatever the store
            // answers and even if it does not answer.
            match timeout_at(until, store.consume(&mailbox, LEASE)).await {
                Ok(Ok(true)) => until = asked + LEASE,
                Ok(Ok(false)) | Err(_) => break,
                Ok(Err(error)) if Instant::now() + EVERY >= until => {
                    telemetry::store_failed("a mailbox is left to another replica", &error);
                    break;
                }
                Ok(Err(_)) => {}
            }
            if in_force.has_changed().unwrap_or_default() {
                in_force.mark_unchanged();
                reloaded.notify_waiters();
            }
            if self.max_age() != max_age {
                // The new configuration applies from this replica's next turn on.
                drop(ended);
                let _ = reading.await;
                return Ok(());
            }
        }

        telemetry::mailbox_lost(name);
        drop(ended);

        let _ = reading.await;
        Ok(())
    }
}
