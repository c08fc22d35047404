//! The store as one process sees it: one SQLite file that answers as a database with several
//! replicas does, late, or not at all.
//!
//! What PostgreSQL has and SQLite does not need is added: undecided mail is held for a while by the
//! replica that took it, and a mailbox is one replica's at a time. A process that died never gets
//! an answer. It may die just before or just after the change that it requested is made.

use std::{sync::Arc, time::Duration};

use jiff::SignedDuration;
use tokio::time::Instant;

use super::{
    blocking::block_on,
    life::Life,
    shared::Shared,
    weather::Trouble,
    world::{World, lock},
};
use crate::{
    message::MailId,
    store::{Decision, StoreError},
};

mod intake;
mod lanes;
mod upkeep;

/// The time of the hold in [`crate::store::postgres`].
const HOLD: Duration = Duration::from_secs(4);
/// A duration after which every due time has passed.
const EVER: SignedDuration = SignedDuration::from_hours(24 * 366);
/// The store as one process sees it.
pub(super) struct View {
    pub(super) shared: Arc<Shared>,
    pub(super) world: Arc<World>,
    pub(super) life: Arc<Life>,
}

impl View {
    /// Runs a query.
    async fn asks<T>(
        &self,
        question: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        self.life.goes_on(&self.world).await;
        if self.world.is(Trouble::Slow) {
            self.world.pause(0..4_000).await;
            self.life.goes_on(&self.world).await;
        }
        if self.world.is(Trouble::Flickers) && self.world.seldom(100) {
            return Err(StoreError::Failed("it flickers".into()));
        }
        block_on(question)
    }

    /// Runs a query that mostly finds nothing. If `ever`, which asks for what there may be at any
    /// time, finds nothing either, that is remembered until something changes.
    async fn seeks<T, A>(
        &self,
        name: &'static str,
        question: impl Future<Output = Result<Vec<T>, StoreError>>,
        ever: impl Future<Output = Result<Vec<A>, StoreError>>,
    ) -> Result<Vec<T>, StoreError> {
        self.asks(async {
            if self.shared.is_nothing(name) {
                return Ok(Vec::new());
            }
            let found = question.await?;
            let nothing = found.is_empty() && ever.await?.is_empty();
            self.shared.found(name, nothing);
            Ok(found)
        })
        .await
    }

    /// Runs a change. It may take a while, be refused, or be made without its caller being told of
    /// it, and the process may die before or after it.
    async fn changes<T>(
        &self,
        name: &str,
        change: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        self.life.goes_on(&self.world).await;
        let slow = self.world.is(Trouble::Slow);
        self.world.pause(if slow { 100..6_000 } else { 0..4 }).await;
        self.life.goes_on(&self.world).await;

        if self.world.is(Trouble::Full) {
            return Err(StoreError::Full);
        }
        let flickers = self.world.is(Trouble::Flickers);
        if flickers && self.world.seldom(150) {
            return Err(StoreError::Failed("it flickered before".into()));
        }

        let dies_after = self.world.chance(fastrand::Rng::bool);
        if !dies_after {
            self.life.step();
            self.life.goes_on(&self.world).await;
        }
        let done = block_on(change);
        self.shared.changed();
        let outcome = if done.is_ok() { "" } else { ", refused" };
        self.world
            .note(&format!("{}: {name}{outcome}", self.life.number));
        if dies_after {
            self.life.step();
            self.life.goes_on(&self.world).await;
        }
        if done.is_ok() && flickers && self.world.seldom(100) {
            return Err(StoreError::Failed("it flickered afterwards".into()));
        }
        done
    }

    fn is_free_or_own(&self, mail: MailId) -> bool {
        lock(&self.shared.holds)
            .get(&mail)
            .is_none_or(|(holder, until)| *holder == self.life.number || *until < Instant::now())
    }

    fn hold(&self, mails: impl Iterator<Item = MailId>) {
        let until = Instant::now() + HOLD;
        let held = mails.map(|mail| (mail, (self.life.number, until)));
        lock(&self.shared.holds).extend(held);
    }

    /// Notifies the other replicas of what is owed now.
    fn ring(&self) {
        for (replica, bell) in self.shared.bells.iter().enumerate() {
            if replica != self.life.replica {
                bell.notify_one();
            }
        }
    }

    fn decided(&self, decisions: &[Decision]) {
        for decision in decisions {
            self.shared.claimed(&decision.claims);
            if decision.deliveries.len() > decision.claims.len() {
                self.ring();
            }
        }
    }
}
