//! Mail that is checked again: its authenticity could not be checked, or a person released it from
//! the quarantine.
//!
//! This runs beside the main path of new mail, so that an unreachable name server delays nobody
//! else's mail. Due mail is in the store, so a check that a crash interrupts is repeated at the
//! next start.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use tokio_util::sync::CancellationToken;

use super::{Pipeline, case::decide_catching_panics, order::by_incident};
use crate::{
    store::{StoreError, StoredMail},
    telemetry,
};

/// The number of mails that are checked together. It can be large because a check waits for a name
/// server, not for this machine.
const AT_ONCE: u32 = 32;
/// How often the store is queried: `alertbridge mails release` runs in another process.
const PAUSE: Duration = Duration::from_secs(1);

impl Pipeline {
    /// Checks due mail again, until `stop`.
    pub async fn look_again(self: Arc<Self>, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let looked = match self.look_at_due().await {
                Ok(looked) => looked,
                Err(error) => {
                    telemetry::store_failed(
                        "mail could not be reconsidered: it will be tried again",
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

    pub(super) async fn look_at_due(&self) -> Result<usize, StoreError> {
        let due = self.store.due(self.clock.now(), AT_ONCE).await?;
        let looked = due.len();
        let (released, unchecked): (Vec<_>, Vec<_>) =
            due.into_iter().partition(|mail| mail.released.is_some());
        let checked = async {
            let authenticator = &self.in_force().authenticator;
            let judged = unchecked.into_iter().map(async |mail| StoredMail {
                authenticity: authenticator.judge(&mail.message).await,
                ..mail
            });
            self.look_at_all(join_all(judged).await).await
        };

        // A mail that a person released keeps its verdict: it records what was known then.
        let (released, checked) = tokio::join!(self.look_at_all(released), checked);
        released.and(checked)?;

        Ok(looked)
    }

    /// Decides the mails that a person released from the quarantine, before later mail is decided.
    ///
    /// A mail that cannot be decided now blocks nothing: it stays due.
    pub(super) async fn look_at_let_out(&self, mails: Vec<StoredMail>) {
        if let Err(error) = self.look_at_all(mails).await {
            telemetry::store_failed(
                "mail could not be reconsidered: it will be tried again",
                &error,
            );
        }
    }

    /// Reads the mails and decides them in the order in which they were recorded.
    ///
    /// A resolve must not overtake the trigger of its incident here either.
    async fn look_at_all(&self, mut mails: Vec<StoredMail>) -> Result<(), StoreError> {
        mails.sort_by_key(|mail| mail.id);
        for mail in &mut mails {
            mail.checks = mail.checks.saturating_add(1);
        }

        let read = self.read_apart(mails).await?;
        by_incident(read, |(reading, mail)| {
            decide_catching_panics(reading, mail, |reading, mail| {
                self.reconsider(reading, mail)
            })
        })
        .await
    }
}
