//! What follows when no more mail comes: an incident that is no longer heard of ends, and expected
//! mail that does not come is an incident.
//!
//! The store keeps what was heard and when, so that a restart forgets nothing. Every replica looks,
//! and the first one to find something announces it: the store decides about one incident at a
//! time, and the next replica finds it told.

use std::{collections::BTreeSet, sync::Arc};

use jiff::Timestamp;

use super::{Vigil, Watch};
use crate::{
    ingress::OVERDUE,
    pipeline::{Rules, end_quiet},
    settings::Duration,
    store::{ExpectedMail, Item, Silencing, StoreError, Subject},
    telemetry,
};

/// The most incidents that are ended in one look.
const AT_ONCE: u32 = 100;

impl Watch {
    /// Looks for incidents that went quiet and for missing mail. Nothing counts as missing while it
    /// may be in a mailbox that was not read yet, or among the mails that are not decided yet.
    pub(super) async fn look_for_quiet(&self, vigil: &Vigil) -> Result<(), StoreError> {
        let now = self.clock.now();
        if self.may_be_behind(vigil, now).await? {
            return Ok(());
        }

        let rules = Arc::clone(&self.in_force.borrow().rules);
        self.end_quiet(&rules, now).await?;
        self.look_for_missing(&rules, now).await
    }

    /// Decides whether a mailbox has not been read since this watch began, so that mail from before
    /// may still be in it, or whether stored mail is undecided. A mailbox that cannot be read for
    /// long is reported separately, and does not count. One of which nothing is known was not read
    /// yet, or another replica reads it, which looks as well.
    async fn may_be_behind(&self, vigil: &Vigil, now: Timestamp) -> Result<bool, StoreError> {
        if now.duration_since(vigil.since) > OVERDUE {
            return Ok(false);
        }

        let conditions = self.health.conditions();
        let is_unread = |mailbox: &String| {
            let condition = conditions.get(mailbox);
            let last_success = condition.and_then(|condition| condition.last_success);
            last_success.is_none_or(|at| at < vigil.since)
        };
        if self.mailboxes.iter().any(is_unread) {
            return Ok(true);
        }

        self.upkeep.has_undecided().await
    }

    async fn end_quiet(&self, rules: &Arc<Rules>, now: Timestamp) -> Result<(), StoreError> {
        for treatment in rules.ending() {
            let Some(until) = treatment.quiet_since(now) else {
                continue;
            };

            let profile = &treatment.profile;
            for incident in self.upkeep.quiet(profile, until, AT_ONCE).await? {
                let incident_id = incident.incident_id.clone();
                let (rules, profile) = (Arc::clone(rules), Arc::clone(profile));
                let decision = end_quiet(&*self.intake, rules, profile, incident, now).await?;
                telemetry::ended_quiet(&incident_id, &decision);
                if !decision.deliveries.is_empty() {
                    self.owed.notify_one();
                }
            }
        }

        Ok(())
    }

    async fn look_for_missing(&self, rules: &Arc<Rules>, now: Timestamp) -> Result<(), StoreError> {
        let known = self.upkeep.expected_mail().await?;
        for step in steps(rules, &known, now) {
            match step {
                Step::Expect(mail) => self.upkeep.expect_mail(mail).await?,
                Step::Missing(mail, within) => {
                    let reason = format!(
                        "no authenticated mail of the profile {} has come for {within}; the last \
                         one came, the first was expected, or the incident was resolved by hand, \
                         at {:.0}",
                        mail.profile, mail.heard_at
                    );
                    if self.tell_of(rules, &mail, true, reason, now).await? {
                        let missing = true;
                        self.upkeep
                            .expect_mail(ExpectedMail { missing, ..mail })
                            .await?;
                    }
                }
                Step::Arrived(mail) => {
                    let reason = format!("mail of the profile {} has come again", mail.profile);
                    self.tell_of(rules, &mail, false, reason, now).await?;
                    let missing = false;
                    self.upkeep
                        .expect_mail(ExpectedMail { missing, ..mail })
                        .await?;
                }
                Step::Forget(mail) => {
                    if mail.missing {
                        let reason =
                            format!("mail of the profile {} is no longer expected", mail.profile);
                        self.tell_of(rules, &mail, false, reason, now).await?;
                    }
                    self.upkeep.unexpect_mail(&mail.profile, &mail.key).await?;
                }
            }
        }

        Ok(())
    }

    /// Reports that mail is missing, or has come again. Returns false if a mute keeps that from
    /// everybody, so that it is tried again.
    async fn tell_of(
        &self,
        rules: &Arc<Rules>,
        mail: &ExpectedMail,
        is_missing: bool,
        reason: String,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let (subject, page) = rules.missing(&mail.profile, &mail.key, is_missing, reason, now);
        let Subject {
            incident_id,
            status,
            ..
        } = subject.clone();

        let (mutes, rules, profile) = (rules.mutes(), Arc::clone(rules), Arc::clone(&mail.profile));
        let conclude = Box::new(move |memory: &_| {
            let mut decision = rules.announce(page, &status, memory, now);
            decision.profile = Some(profile);
            decision
        });
        let item = Item::about(subject, conclude, mutes);
        let decision = self.intake.announce(item, now).await?;

        if decision.state.is_some() {
            telemetry::expected_mail(&incident_id, is_missing, &decision);
        }
        if !decision.deliveries.is_empty() {
            self.owed.notify_one();
        }

        let is_held = matches!(decision.silencing, Silencing::Held(_));
        let was_told = decision.state.is_none();
        Ok(decision.tells() || is_held || was_told)
    }
}

/// A step for expected mail.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// The mail is expected from now on.
    Expect(ExpectedMail),
    /// The mail has not come for this long.
    Missing(ExpectedMail, Duration),
    Arrived(ExpectedMail),
    Forget(ExpectedMail),
}

/// Returns what to do, given the configuration and what is known.
fn steps(rules: &Rules, known: &[ExpectedMail], now: Timestamp) -> Vec<Step> {
    let mut found = Vec::new();
    let mut configured = BTreeSet::new();

    for (treatment, expect) in rules.expecting() {
        configured.insert((Arc::clone(&treatment.profile), expect.key.clone()));
        let mail = known
            .iter()
            .find(|mail| mail.profile == treatment.profile && mail.key == expect.key);

        let Some(mail) = mail else {
            found.push(Step::Expect(ExpectedMail {
                profile: Arc::clone(&treatment.profile),
                key: expect.key.clone(),
                heard_at: now,
                missing: false,
            }));
            continue;
        };

        let late = now.duration_since(mail.heard_at) >= expect.within.as_signed();
        if late && !mail.missing {
            found.push(Step::Missing(mail.clone(), expect.within));
        } else if mail.missing && !late {
            found.push(Step::Arrived(mail.clone()));
        }
    }

    let forgotten = known
        .iter()
        .filter(|mail| !configured.contains(&(Arc::clone(&mail.profile), mail.key.clone())));
    found.extend(forgotten.cloned().map(Step::Forget));

    found
}
