//! `alertbridge replay`: many mails through every stage, in order of arrival over a state of their
//! own.

use std::{collections::BTreeMap, io::IsTerminal as _, io::Write, path::PathBuf, sync::Arc};

use anyhow::Context as _;
use futures_util::TryStreamExt as _;
use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;

use crate::{
    cli::{
        mailbox, plain, table,
        trial::{Explained, Specimen, Trial},
    },
    config::Loaded,
    message::Outcome,
    silence::Silence,
    store::Store,
};

mod compare;
mod diff;
mod send;
mod source;
mod walk;
mod words;

pub use compare::Sides;
pub use diff::run as diff;
pub use send::{agreed, owed, send};
use walk::{Batches, walk};

/// What is asked of it.
pub struct Request {
    pub paths: Vec<PathBuf>,
    /// Mails of the store instead of files.
    pub stored: Option<Stored>,
    pub at: Option<Timestamp>,
    pub trust: bool,
    /// As if the files had come through this one.
    pub ingress: Option<String>,
    pub json: bool,
    pub now: Timestamp,
}

/// `--stored`.
pub struct Stored {
    pub store: Arc<dyn Store>,
    pub since: Option<Timestamp>,
    pub until: Option<Timestamp>,
}

impl Request {
    /// What they are tried on, by a configuration; with the silences of the store they come from.
    async fn trial(&self, loaded: &Loaded) -> anyhow::Result<Arc<Trial>> {
        let trial = Trial::new(loaded, self.trust)?;
        Ok(Arc::new(match &self.stored {
            Some(stored) => trial.with_silences(silences(&*stored.store, self.now).await?),
            None => trial,
        }))
    }

    /// The mails asked for, in order of arrival, and a bar for their progress.
    fn mails(&self) -> anyhow::Result<(Batches<Specimen>, ProgressBar)> {
        if let Some(stored) = &self.stored {
            return Ok((
                source::from_store(stored, self),
                self.progress(spinner("mails replayed")),
            ));
        }
        let looking = self.progress(spinner("mails found"));
        let found = mailbox::find(&self.paths, || looking.inc(1))?;
        looking.finish_and_clear();
        if found.is_empty() {
            eprintln!("no mail lies there");
        }
        let progress = self.progress(bar(found.len()));
        Ok((source::from_files(found, self), progress))
    }

    /// Shows progress where somebody looks, and where lines of JSON do not run through it.
    fn progress(&self, bar: ProgressBar) -> ProgressBar {
        if std::io::stderr().is_terminal() && !(self.json && std::io::stdout().is_terminal()) {
            bar
        } else {
            ProgressBar::hidden()
        }
    }
}

/// Replays on `out`: a line of JSON for each mail, or a summary. Returns the trial with its state,
/// for `--send`, and how many alerts could not be read.
pub async fn run(
    loaded: &Loaded,
    request: &Request,
    out: &mut impl Write,
) -> anyhow::Result<(Arc<Trial>, u64)> {
    let trial = request.trial(loaded).await?;
    let mut tally = Tally::default();
    let (mails, progress) = request.mails()?;
    let mut explained = walk(&trial, mails, Trial::explain);
    while let Some(batch) = explained.try_next().await? {
        for mail in batch {
            tally.add(mail, request.json, out)?;
            progress.inc(1);
        }
    }
    progress.finish_and_clear();
    if !request.json {
        tally.print(out)?;
    }
    let unreadable = tally
        .outcomes
        .get(&Outcome::Unparsed)
        .map_or(0, |(count, _)| *count);
    Ok((trial, unreadable))
}

/// All of a store, those that are over too: its mails came while they were active.
async fn silences(store: &dyn Store, now: Timestamp) -> anyhow::Result<Vec<Silence>> {
    let mut silences = store.silences(true, now, u32::MAX).await?;
    silences.extend(store.silences(false, now, u32::MAX).await?);
    Ok(silences)
}

/// What came of the mails, by outcome.
#[derive(Default)]
struct Tally {
    outcomes: BTreeMap<Outcome, (u64, BTreeMap<String, u64>)>,
    requests: u64,
}

impl Tally {
    fn add(
        &mut self,
        explained: Explained,
        json: bool,
        out: &mut impl Write,
    ) -> anyhow::Result<()> {
        if json {
            writeln!(out, "{}", plain::json(&explained)?).context("cannot write")?;
        }
        let (count, receivers) = self.outcomes.entry(explained.outcome).or_default();
        *count += 1;
        for receiver in explained.receivers {
            *receivers.entry(receiver).or_default() += 1;
        }
        self.requests += u64::try_from(explained.requests.len()).unwrap_or_default();
        Ok(())
    }

    fn print(&self, out: &mut impl Write) -> anyhow::Result<()> {
        let rows = self.outcomes.iter().map(|(outcome, (count, receivers))| {
            let told = receivers
                .iter()
                .map(|(receiver, count)| format!("{receiver} {count}"))
                .collect::<Vec<_>>();
            vec![outcome.to_string(), count.to_string(), told.join(", ")]
        });
        let mails: u64 = self.outcomes.values().map(|(count, _)| count).sum();
        writeln!(out, "{}", table::of(&["OUTCOME", "MAILS", "TOLD"], rows))?;
        let (mails, requests) = (
            table::count(mails, "mail"),
            table::count(self.requests, "request"),
        );
        writeln!(out, "{mails}, {requests}").context("cannot write")
    }
}

fn bar(length: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} mails, {eta} left");
    ProgressBar::new(length as u64)
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn spinner(what: &str) -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {pos} {msg}");
    ProgressBar::new_spinner()
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()))
        .with_message(what.to_owned())
}
