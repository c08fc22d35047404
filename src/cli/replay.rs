//! `alertbridge replay`: many mails through every stage, in order of arrival, over a separate
//! state.

use std::{
    collections::BTreeMap,
    io::{self, IsTerminal as _, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use anyhow::Context as _;
use clap::Args;
use futures_util::TryStreamExt as _;
use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;

use super::{
    WRONG_USAGE,
    desk::Server,
    exit,
    options::{Json, time},
};
use crate::{
    cli::{mailbox, plain, table, trial_of},
    clock::Clock,
    config::{Config, Files, Loaded},
    message::Outcome,
    trial::{
        Explained, Specimen, Trial,
        compare::Sides,
        source::{Stored, from_store, silences},
        walk::{Batches, walk},
    },
};

mod diff;
mod send;
mod source;
mod words;

use send::{agreed, owed, send};

/// Explain many mails in order of arrival, so duplicates and resolves show; pages nobody
#[derive(Debug, Args)]
#[command(after_help = "\
No mail came before the first, and the resulting state is discarded at the end.
A mail counts as arrived at its stored time, or at its own Date, unless --at is
given. With --stored, the store's silences apply, each to the mails of its
time; for files there are none. --json prints a line for each mail, as `explain`
does.

Nothing is sent without --send. The store does not know of pages that --send
delivers, so the bridge resolves none of them: to have lost mail paged and
resolved, send it to a running bridge as its senders would.

--diff compares: each mail passes through the present configuration (--config)
and through OTHER.yaml. Only mails that differ are shown: by their outcome, or
by pages that are added, dropped, moved to another receiver, or changed (what
is sent, with which key, and until when it is held). Settings that only matter
when a receiver fails, such as `fallback`, are not compared. With --json each
such mail is a line:
  {\"mail\", \"incident_id\", \"outcome\": {\"before\", \"after\"},
   \"reason\": {\"before\", \"after\"}, \"changes\": [
     {\"change\": \"added|dropped|moved|changed\",
      \"action\": \"trigger|resolve\",
      \"differs\": if changed, which of \"integration\", \"method\",
                 \"url\", \"headers\", \"body\", \"secrets\", \"held_until\",
      \"before\": PAGE or null, \"after\": PAGE or null}]}
where PAGE is a request as `explain` shows it, and \"held_until\".

Exit status: 0 done, even if something differs; 1 an alert cannot be read, the
configuration is wrong, or --send could not deliver; 2 wrong usage.

Examples:
  alertbridge replay ~/Maildir/.alerts
  alertbridge replay archive.mbox --json | jq -r .outcome | sort | uniq -c
  alertbridge replay --stored --since 2026-03-01
  alertbridge replay --stored --diff new.yaml
  alertbridge replay mails/ --diff new.yaml --json | jq -r '.changes[].change'
  alertbridge replay --send missed.eml")]
pub struct Replay {
    /// Mails, folders of them (Maildir too), or mbox files
    #[arg(
        required_unless_present = "stored",
        conflicts_with = "stored",
        value_name = "PATH"
    )]
    pub paths: Vec<PathBuf>,
    /// Use the mails in the store
    #[arg(long)]
    pub stored: bool,
    /// Stored mails that arrived at this time or later: RFC 3339, a UTC day, or now
    #[arg(
        long,
        value_name = "TIME",
        requires = "stored",
        conflicts_with = "paths",
        value_parser = time
    )]
    pub since: Option<Timestamp>,
    /// Stored mails that arrived before this time
    #[arg(
        long,
        value_name = "TIME",
        requires = "stored",
        conflicts_with = "paths",
        value_parser = time
    )]
    pub until: Option<Timestamp>,
    /// When all of them arrived, instead of each at its own time
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub at: Option<Timestamp>,
    /// Treat the mails as genuine, without proof
    #[arg(long)]
    pub trust: bool,
    /// The ingress through which they came: the trusted host of that ingress may vouch for them
    /// [default: the hosts of all]
    #[arg(long, value_name = "NAME", conflicts_with = "stored")]
    pub ingress: Option<String>,
    /// Show which pages this configuration would add, drop, move or change
    #[arg(long, value_name = "OTHER.yaml", conflicts_with = "send")]
    pub diff: Option<PathBuf>,
    /// Really deliver the pages, after a confirmation
    #[arg(long)]
    pub send: bool,
    /// Do not ask for confirmation
    #[arg(long, requires = "send")]
    pub yes: bool,
    #[command(flatten)]
    pub server: Server,
    #[command(flatten)]
    pub print: Json,
}

impl Replay {
    pub async fn run(self, config: Option<&Path>) -> anyhow::Result<ExitCode> {
        let (to_send, yes) = (self.send, self.yes);
        if to_send && !yes && !io::stdin().is_terminal() {
            tell!(
                "error: `--send` needs a confirmation before it pages people, and there is no \
                 terminal to ask on: add --yes"
            );
            return Ok(ExitCode::from(WRONG_USAGE));
        }

        let files = if to_send {
            Files::Needed
        } else {
            Files::Unneeded
        };
        let loaded = Config::load(config, files)?;
        if let Some(problem) = loaded.misnamed_ingress(self.ingress.as_deref()) {
            tell!("error: {problem}");
            return Ok(ExitCode::from(WRONG_USAGE));
        }
        if self.server.server.is_some() {
            tell!(
                "--server: the configuration is that of this machine ({}), not the bridge's",
                loaded.source
            );
        }
        let other = self
            .diff
            .as_deref()
            .map(|other| Config::load(Some(other), Files::Unneeded))
            .transpose()?;

        let request = Request::new(self, config).await?;
        if let Some(other) = other {
            return compare(&loaded, &other.named_like(&loaded)?, &request).await;
        }

        let (trial, unreadable) = replay(&loaded, &request, &mut io::stdout()).await?;
        if unreadable > 0 {
            tell!("{} could not be read", table::count(unreadable, "alert"));
        }

        let all_read = unreadable == 0;
        if !to_send {
            return Ok(exit(all_read));
        }

        if !agreed(owed(&trial).await?, yes)? {
            tell!("nothing was sent");
            return Ok(ExitCode::FAILURE);
        }

        let Config {
            delivery, global, ..
        } = loaded.config;
        let all_sent = send(&trial, &delivery, global.external_url, request.json).await?;

        Ok(exit(all_sent && all_read))
    }
}

async fn compare(in_force: &Loaded, other: &Loaded, request: &Request) -> anyhow::Result<ExitCode> {
    // The text is coloured. This writer removes the colours if the output is not a terminal.
    let unreadable = diff::run(in_force, other, request, &mut anstream::stdout()).await?;
    for (number, source) in [
        (unreadable.before, &in_force.source),
        (unreadable.after, &other.source),
    ] {
        if number > 0 {
            tell!(
                "{} could not be read with {source}",
                table::count(number, "alert")
            );
        }
    }

    Ok(exit(unreadable == Sides::default()))
}

/// The options of a replay.
struct Request {
    pub paths: Vec<PathBuf>,
    /// The mails of the store, to use instead of files.
    pub stored: Option<Stored>,
    pub at: Option<Timestamp>,
    pub trust: bool,
    /// The ingress through which the files are taken to have come.
    pub ingress: Option<String>,
    pub json: bool,
    pub now: Timestamp,
}

impl Request {
    /// Creates the request. `config` says where the store is.
    async fn new(options: Replay, config: Option<&Path>) -> anyhow::Result<Self> {
        let Replay {
            paths,
            stored,
            since,
            until,
            at,
            trust,
            ingress,
            server,
            print: Json { json },
            ..
        } = options;

        let stored = if stored {
            Some(Stored {
                store: server.desk(config).await?,
                since,
                until,
                at,
            })
        } else {
            None
        };

        Ok(Self {
            paths,
            stored,
            at,
            trust,
            ingress,
            json,
            now: Clock::system().now(),
        })
    }

    /// Builds the trial of a configuration, with the silences of the store that holds the mails.
    async fn trial(&self, loaded: &Loaded) -> anyhow::Result<Arc<Trial>> {
        let trial = trial_of(loaded, self.trust)?;
        Ok(Arc::new(match &self.stored {
            Some(stored) => trial.with_silences(silences(&*stored.store, self.now).await?),
            None => trial,
        }))
    }

    /// Returns the requested mails in order of arrival, and a progress bar for them.
    fn mails(&self) -> anyhow::Result<(Batches<Specimen>, ProgressBar)> {
        if let Some(stored) = &self.stored {
            return Ok((from_store(stored), self.progress(spinner("mails replayed"))));
        }

        let looking = self.progress(spinner("mails found"));
        let found = mailbox::find(&self.paths, || looking.inc(1))?;
        looking.finish_and_clear();
        if found.is_empty() {
            tell!("no mail was found");
        }

        let progress = self.progress(bar(found.len()));

        Ok((source::from_files(found, self), progress))
    }

    /// Shows progress only if somebody watches and no lines of JSON share the terminal.
    fn progress(&self, bar: ProgressBar) -> ProgressBar {
        if io::stderr().is_terminal() && !(self.json && io::stdout().is_terminal()) {
            bar
        } else {
            ProgressBar::hidden()
        }
    }
}

/// Replays on `out`, with a line of JSON for each mail or a summary. Returns the trial with its
/// state, for `--send`, and the number of alerts that could not be read.
async fn replay(
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
            progress.inc(u64::from(mail.item == 1));
            tally.add(mail, request.json, out)?;
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

/// The results of the mails, by outcome.
#[derive(Default)]
struct Tally {
    mails: u64,
    /// The outcomes of the alerts in the mails.
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

        self.mails += u64::from(explained.item == 1);
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

        writeln!(out, "{}", table::of(&["OUTCOME", "MAILS", "TOLD"], rows))?;

        let (mails, requests) = (
            table::count(self.mails, "mail"),
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
