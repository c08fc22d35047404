//! Trials: mails go through every stage over a state that is thrown away. `explain` and `replay`
//! share this code, as commands and on the admin listener.
//!
//! A trial has the same rules, store and receivers as `serve`, but nothing is sent and nothing
//! outlives the command.

use std::sync::Arc;

use anyhow::{Context as _, ensure};
use futures_util::future::join_all;
use jiff::Timestamp;

use crate::{
    authenticate::Authenticator,
    message::{Authenticity, MailId, Message, Release, Verdict},
    pipeline::{Case, Reading, Rules, Sight, Treatment, end_quiet, in_order, unsilence},
    silence::{self, Silence},
    store::{Decide, Decision, Memory, Store, StoredMail, sqlite::Sqlite},
};

pub mod compare;
pub mod page;
pub mod pair;
pub mod source;
pub mod told;
pub mod walk;

pub use told::{Explained, Page, Told};

/// A bridge that is thrown away.
pub struct Trial {
    pub rules: Arc<Rules>,
    pub store: Arc<dyn Store>,
    authenticator: Authenticator,
    external_url: Option<String>,
    /// Whether mails count as genuine (`--trust`).
    trust: bool,
    /// The silences. Each applies to the mails that are tried at its time. The store of the trial
    /// has none of its own.
    silences: Vec<Silence>,
}

/// A mail to try.
#[derive(Clone)]
pub struct Specimen {
    /// The path of its file, or its number in the store.
    pub name: String,
    /// The number by which pages refer to it: its number in the store, or its place among the
    /// files.
    pub number: MailId,
    pub message: Message,
    /// The verdict of a stored mail's arrival, which it keeps; other mails are judged now.
    pub authenticity: Option<Authenticity>,
    /// The release of a stored mail from the quarantine.
    pub released: Option<Release>,
    /// The time at which a stored mail's body was dropped to free space.
    pub cut_at: Option<Timestamp>,
    /// The time at which the mail is tried.
    pub now: Timestamp,
}

/// What a mail says, whatever came before it.
pub struct Read {
    name: String,
    number: MailId,
    mail: StoredMail,
    reading: Reading,
    now: Timestamp,
}

/// The decision about one thing that was found in a mail, given the mails before it.
pub struct Decided {
    name: String,
    authenticity: Authenticity,
    reading: Arc<Reading>,
    /// The index of this thing among the findings.
    place: usize,
    decision: Decision,
    now: Timestamp,
}

impl Trial {
    pub fn new(
        rules: Arc<Rules>,
        authenticator: Authenticator,
        external_url: Option<String>,
        trust: bool,
    ) -> anyhow::Result<Self> {
        let store = Sqlite::throw_away().context("a throw-away state could not be made")?;
        Ok(Self {
            rules,
            store: Arc::new(store),
            authenticator,
            external_url,
            trust,
            silences: Vec::new(),
        })
    }

    /// Adds past, present and future silences.
    #[must_use]
    pub fn with_silences(self, silences: Vec<Silence>) -> Self {
        Self { silences, ..self }
    }

    /// Takes one mail through all stages and returns what becomes of each alert in it.
    pub async fn run(&self, specimen: Specimen) -> anyhow::Result<Vec<Explained>> {
        let raw = specimen.message.raw.clone();
        let decided = self.decide(self.read(vec![specimen]).await?).await?;
        let mut explained: Vec<_> = decided
            .into_iter()
            .map(|decided| self.explain(decided))
            .collect();

        if let Some(first) = explained.first_mut() {
            let (rules, taker) = (Arc::clone(&self.rules), first.profile.clone());
            let look = move || Sight::of(&rules.profiles, taker.as_deref(), &raw);
            let sight = tokio::task::spawn_blocking(look).await;
            first.sight = Some(sight.context("reading mail failed")?);
        }

        Ok(explained)
    }

    /// Judges the mails' authenticity. [`Trial::read`] does so as well for mails that have no
    /// verdict yet.
    pub async fn judge(&self, specimens: Vec<Specimen>) -> Vec<Specimen> {
        let judged = specimens.into_iter().map(async |specimen| {
            let authenticity = Some(self.authenticity(&specimen).await);
            Specimen {
                authenticity,
                ..specimen
            }
        });
        join_all(judged).await
    }

    async fn authenticity(&self, specimen: &Specimen) -> Authenticity {
        match &specimen.authenticity {
            _ if self.trust => trusted(),
            Some(judged) => judged.clone(),
            // This future is boxed because its state is large and most mails never need it.
            None => Box::pin(self.authenticator.judge(&specimen.message)).await,
        }
    }

    /// Runs the stages that need no other mail. Several batches may be read at once.
    pub async fn read(&self, specimens: Vec<Specimen>) -> anyhow::Result<Vec<Read>> {
        let judged = specimens.into_iter().map(async |specimen| {
            let authenticity = self.authenticity(&specimen).await;
            (specimen, authenticity)
        });

        let judged = join_all(judged).await;

        // The state needs a row for the mail, but not its bytes.
        let stub = |(Specimen { message, .. }, authenticity): &(Specimen, Authenticity)| {
            (
                Message {
                    raw: bytes::Bytes::new(),
                    ..message.clone()
                },
                authenticity.clone(),
            )
        };

        let ids = self
            .store
            .record(judged.iter().map(stub).collect(), None)
            .await?;

        ensure!(
            ids.len() == judged.len(),
            "the throw-away state lost a mail"
        );

        let rules = Arc::clone(&self.rules);
        let read = move |((specimen, authenticity), id)| {
            let Specimen {
                name,
                number,
                message,
                released,
                cut_at,
                now,
                ..
            } = specimen;
            let mail = StoredMail {
                id,
                message,
                authenticity,
                checks: 0,
                released,
                decided_at: None,
                cut_at,
            };
            Read {
                name,
                number,
                reading: rules.read_catching_panics(&mail),
                mail,
                now,
            }
        };

        let read = move || judged.into_iter().zip(ids).map(read).collect();

        tokio::task::spawn_blocking(read)
            .await
            .context("reading mail failed")
    }

    /// Runs the stages that depend on the mails before, so batches must follow each other. The
    /// mails of a batch share a commit.
    pub async fn decide(&self, read: Vec<Read>) -> anyhow::Result<Vec<Decided>> {
        let may_have_ended = read.iter().any(|one| self.ending(one).is_some());
        if self.silences.is_empty() && !may_have_ended {
            return self.decide_batch(read).await;
        }

        let mut decided = Vec::with_capacity(read.len());
        for one in read {
            // Between two mails, a silence or an incident that received no more mail may have
            // ended.
            self.unsilence(one.now).await?;
            self.end_quiet(&one).await?;
            decided.extend(self.decide_batch(vec![one]).await?);
        }

        Ok(decided)
    }

    /// Returns the treatment of the alerts of a mail's profile, if its incidents end by themselves.
    fn ending(&self, read: &Read) -> Option<&Treatment> {
        let profile = read.reading.profile.as_deref()?;
        self.rules.ending().find(|one| *one.profile == *profile)
    }

    /// Ends the incidents that a mail's profile takes to be over by the time of the mail
    /// (`resolve_after`).
    async fn end_quiet(&self, read: &Read) -> anyhow::Result<()> {
        let Some(treatment) = self.ending(read) else {
            return Ok(());
        };
        let Some(since) = treatment.quiet_since(read.now) else {
            return Ok(());
        };

        let profile = &treatment.profile;
        for incident in self.store.quiet(profile, since, u32::MAX).await? {
            let (rules, profile) = (Arc::clone(&self.rules), Arc::clone(profile));
            end_quiet(&*self.store, rules, profile, incident, read.now).await?;
        }
        Ok(())
    }

    /// Tells what silences held until now.
    async fn unsilence(&self, now: Timestamp) -> anyhow::Result<()> {
        for incident in self.store.unsilenced(now, u32::MAX).await? {
            let rules = Arc::clone(&self.rules);
            unsilence(&*self.store, rules, &incident, now, self.silenced(now)).await?;
        }
        Ok(())
    }

    /// Returns a wrapper that tells a conclusion which silences are active at a time.
    fn silenced(&self, now: Timestamp) -> impl Fn(Decide) -> Decide + use<> {
        let silences = self.active(now);
        move |conclude| {
            let silences = silences.clone();
            Box::new(move |memory: &Memory| {
                conclude(&Memory {
                    silences,
                    ..memory.clone()
                })
            })
        }
    }

    fn active(&self, now: Timestamp) -> Vec<Silence> {
        let active = self
            .silences
            .iter()
            .filter(|silence| silence.state(now) == silence::State::Active);
        active.cloned().collect()
    }

    async fn decide_batch(&self, read: Vec<Read>) -> anyhow::Result<Vec<Decided>> {
        let decisions = read.into_iter().map(
            async |Read {
                       name,
                       number,
                       mail,
                       reading,
                       now,
                   }| {
                let authenticity = mail.authenticity.clone();
                let case = Case {
                    rules: Arc::clone(&self.rules),
                    reading: Arc::new(reading),
                    mail: Arc::new(mail),
                    now,
                };
                let decisions = case.decide(&*self.store, self.silenced(now)).await?;
                let decisions = decisions.context("the throw-away state lost a mail")?;

                let decided = |(place, mut decision): (usize, Decision)| {
                    // The state numbers mails in the order in which batches arrive, which varies
                    // from run to run.
                    decision
                        .deliveries
                        .iter_mut()
                        .for_each(|delivery| delivery.notification.mail = Some(number));
                    Decided {
                        name: name.clone(),
                        authenticity: authenticity.clone(),
                        reading: Arc::clone(&case.reading),
                        place,
                        decision,
                        now,
                    }
                };
                let decided: Vec<_> = decisions.into_iter().enumerate().map(decided).collect();
                Ok(decided)
            },
        );

        let decided: anyhow::Result<Vec<_>> = in_order(decisions).await.into_iter().collect();
        Ok(decided?.into_iter().flatten().collect())
    }
}

fn trusted() -> Authenticity {
    Authenticity::unproven(Verdict::Pass, "trusted by --trust")
}
