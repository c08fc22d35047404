//! `alertbridge replay`: many mails through every stage, in order of arrival over a state of their own.

use std::{
    collections::BTreeMap,
    io::{IsTerminal as _, Write},
    path::PathBuf,
    pin::pin,
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use futures_util::{
    Stream, StreamExt as _, TryStreamExt as _,
    stream::{self, BoxStream},
};
use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use crate::{
    authenticate::Authenticator,
    cli::{
        mailbox::{self, Found},
        plain::plain,
        table,
        trial::{Decided, Explained, Specimen, Trial},
    },
    clock::Clock,
    deliver::{Client, Deliverer, Terms},
    delivery::{self, DeliveryState},
    message::{Message, Outcome},
    pipeline::Rules,
    silence::Silence,
    store::{READ_BACK, Store, StoredMail},
};

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
    /// Shows progress where somebody looks, and where lines of JSON do not run through it.
    fn progress(&self, bar: ProgressBar) -> ProgressBar {
        if std::io::stderr().is_terminal() && !(self.json && std::io::stdout().is_terminal()) {
            bar
        } else {
            ProgressBar::hidden()
        }
    }
}

/// Mails that are taken through a stage together, which is one way to another thread for all of them; fewer where they have
/// [`READ_BACK`] bytes before.
const BATCH: u32 = 64;
/// Batches in a stage at a time, and finished ones before the next.
const AHEAD: usize = 2;

/// Replays on `out`: a line of JSON for each mail, or a summary. Returns the trial with its state, for `--send`, and how
/// many alerts could not be read.
pub async fn run(
    rules: Arc<Rules>,
    authenticator: Authenticator,
    external_url: Option<String>,
    request: Request,
    out: &mut impl Write,
) -> anyhow::Result<(Arc<Trial>, u64)> {
    let trial = Trial::new(rules, authenticator, external_url, request.trust)?;
    let trial = Arc::new(match &request.stored {
        Some(stored) => trial.with_silences(silences(&*stored.store, request.now).await?),
        None => trial,
    });
    let mut tally = Tally::default();
    let (batches, progress) = if let Some(stored) = &request.stored {
        (from_store(stored, &request), request.progress(spinner("mails replayed")))
    } else {
        let looking = request.progress(spinner("mails found"));
        let found = mailbox::find(&request.paths, || looking.inc(1))?;
        looking.finish_and_clear();
        if found.is_empty() {
            eprintln!("no mail lies there");
        }
        let progress = request.progress(bar(found.len()));
        (from_files(found, &request), progress)
    };
    let mut explained = explained(&trial, batches);
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
    let unreadable = tally.outcomes.get(&Outcome::Unparsed).map_or(0, |(count, _)| *count);
    Ok((trial, unreadable))
}

/// Mails are read and rendered side by side, and decided in order in between.
fn explained(
    trial: &Arc<Trial>,
    batches: BoxStream<'static, anyhow::Result<Vec<Specimen>>>,
) -> BoxStream<'static, anyhow::Result<Vec<Explained>>> {
    let read = with(trial, |trial, batch| {
        let read = tokio::spawn(async move { trial.read(batch).await });
        async { read.await.context("reading mail failed")? }
    });
    let decide = with(trial, |trial, batch| async move { trial.decide(batch).await });
    let explain = with(trial, |trial, batch: Vec<Decided>| {
        let explain = move || batch.into_iter().map(|decided| trial.explain(decided)).collect();
        let explained = tokio::task::spawn_blocking(explain);
        async { explained.await.context("rendering the pages failed") }
    });
    let read = ahead(batches.map_ok(read).try_buffered(AHEAD));
    let decided = ahead(read.and_then(decide));
    decided.map_ok(explain).try_buffered(AHEAD).boxed()
}

fn with<I, O, S: Fn(Arc<Trial>, I) -> O>(trial: &Arc<Trial>, step: S) -> impl Fn(I) -> O + use<I, O, S> {
    let trial = Arc::clone(trial);
    move |batch| step(Arc::clone(&trial), batch)
}

/// Has a stage go on while the next is at work.
fn ahead<T: Send + 'static>(
    stage: impl Stream<Item = anyhow::Result<T>> + Send + 'static,
) -> BoxStream<'static, anyhow::Result<T>> {
    let (done, taken) = mpsc::channel(AHEAD);
    let running = tokio::spawn(async move {
        let mut stage = pin!(stage);
        // Nobody takes it any more where the replay has failed.
        while let Some(item) = stage.next().await
            && done.send(item).await.is_ok()
        {}
    });
    let taken = stream::unfold(taken, async |mut taken| Some((taken.recv().await?, taken)));
    // One that panicked has not come to its end.
    let ended = stream::once(running).filter_map(async |ended| ended.context("a stage failed").err().map(Err));
    taken.chain(ended).boxed()
}

/// All of a store, those that are over too: its mails came while they were active.
async fn silences(store: &dyn Store, now: Timestamp) -> anyhow::Result<Vec<Silence>> {
    let mut silences = store.silences(true, now, u32::MAX).await?;
    silences.extend(store.silences(false, now, u32::MAX).await?);
    Ok(silences)
}

/// The mails of the store, by arrival.
fn from_store(stored: &Stored, request: &Request) -> BoxStream<'static, anyhow::Result<Vec<Specimen>>> {
    let Stored { store, since, until } = stored;
    let (store, since, until, at) = (Arc::clone(store), *since, *until, request.at);
    let specimen = move |mail: StoredMail| Specimen {
        name: mail.id.to_string(),
        now: at.unwrap_or(mail.message.arrived_at),
        message: mail.message,
        authenticity: Some(mail.authenticity),
        released: mail.released,
    };
    ahead(stream::try_unfold((Timestamp::MIN, 0), move |after| {
        let store = Arc::clone(&store);
        async move {
            let batch = store.stored(since, until, after, BATCH).await?;
            let last = batch.last().map(|last| (last.message.arrived_at, last.id));
            Ok(last.map(|last| (batch.into_iter().map(specimen).collect(), last)))
        }
    }))
}

/// The mails found, as if they had arrived when they say.
fn from_files(found: Vec<Found>, request: &Request) -> BoxStream<'static, anyhow::Result<Vec<Specimen>>> {
    let (at, now) = (request.at, request.now);
    let ingress = request.ingress.clone().unwrap_or_else(|| "replay".into());
    let specimen = move |mail: Found| -> anyhow::Result<Specimen> {
        let arrived_at = at.or(mail.date).unwrap_or(now);
        let message =
            Message { ingress: ingress.clone(), arrived_at, raw: mail.read()?, cut_from: None, envelope: None };
        Ok(Specimen { name: mail.name, message, authenticity: None, released: None, now: arrived_at })
    };
    let mut specimens = found.into_iter().map(specimen);
    let mut batch = move || -> anyhow::Result<Vec<Specimen>> {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while batch.len() < BATCH as usize
            && bytes < READ_BACK
            && let Some(specimen) = specimens.next().transpose()?
        {
            bytes += specimen.message.raw.len() as u64;
            batch.push(specimen);
        }
        Ok(batch)
    };
    let batches = std::iter::from_fn(move || batch().map(|batch| (!batch.is_empty()).then_some(batch)).transpose());
    ahead(stream::iter(batches))
}

/// What came of the mails, by outcome.
#[derive(Default)]
struct Tally {
    outcomes: BTreeMap<Outcome, (u64, BTreeMap<String, u64>)>,
    requests: u64,
}

impl Tally {
    fn add(&mut self, explained: Explained, json: bool, out: &mut impl Write) -> anyhow::Result<()> {
        if json {
            writeln!(out, "{}", serde_json::to_string(&explained)?).context("cannot write")?;
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
            let told = receivers.iter().map(|(receiver, count)| format!("{receiver} {count}")).collect::<Vec<_>>();
            vec![outcome.to_string(), count.to_string(), told.join(", ")]
        });
        let mails: u64 = self.outcomes.values().map(|(count, _)| count).sum();
        writeln!(out, "{}", table::of(&["OUTCOME", "MAILS", "TOLD"], rows))?;
        let (mails, requests) = (table::count(mails, "mail"), table::count(self.requests, "request"));
        writeln!(out, "{mails}, {requests}").context("cannot write")
    }
}

/// How many deliveries `--send` would make; those a time interval holds are told of on stderr.
pub async fn owed(trial: &Trial) -> anyhow::Result<u64> {
    let deliveries = trial.store.depth().await?.deliveries;
    let number = |state| deliveries.get(state).copied().unwrap_or_default();
    if number("held") > 0 {
        eprintln!("{} by time intervals: not sent", table::count(number("held"), "held request"));
    }
    Ok(number("pending"))
}

/// Asks a person before pages are sent for real.
pub fn agreed(owed: u64) -> anyhow::Result<bool> {
    eprint!("send {} to the receivers for real? [y/N] ", table::count(owed, "request"));
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).context("cannot read the answer")?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// `--send`: delivers what the replay owes, for real, and waits until all of it is settled, or for Ctrl-C. Says on stderr
/// what became of it; false where something was not delivered. With `json` standard output is left to the lines of JSON.
pub async fn send(
    trial: &Trial,
    settings: &delivery::Settings,
    external_url: Option<String>,
    json: bool,
) -> anyhow::Result<bool> {
    let stop = CancellationToken::new();
    let client = Client::new(settings.timeout.as_std())?.printing_aside(json);
    let terms = Terms::new(Arc::clone(&trial.rules.receivers), settings.clone(), external_url, client);
    let (store, bell) = (Arc::clone(&trial.store), Arc::new(Notify::new()));
    let deliverer = Arc::new(Deliverer::new(store, terms, Clock::system(), bell));
    let running = tokio::spawn(deliverer.run(stop.clone()));
    let progress = if std::io::stderr().is_terminal() { spinner("still to send") } else { ProgressBar::hidden() };
    loop {
        let owed = trial.store.depth().await?.deliveries.get("pending").copied().unwrap_or_default();
        progress.set_position(owed);
        if owed == 0 {
            break;
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(50)) => {}
            _ = tokio::signal::ctrl_c() => break,
        }
    }
    progress.finish_and_clear();
    stop.cancel();
    running.await?;
    let of = async |state| trial.store.deliveries(Some(state), u32::MAX).await;
    let (dead, pending) = (of(DeliveryState::Dead).await?, of(DeliveryState::Pending).await?);
    for delivery in dead.iter().chain(&pending) {
        let why = delivery.detail.as_deref().unwrap_or("interrupted");
        let (action, incident) = (delivery.action.as_str(), plain(&delivery.incident_id));
        eprintln!("not delivered: {action} of {incident} to {}: {}", delivery.receiver, plain(why));
    }
    let done = of(DeliveryState::Delivered).await?.len();
    let failed = dead.len() + pending.len();
    eprintln!("{} delivered, {failed} not", table::count(done as u64, "request"));
    Ok(failed == 0)
}

fn bar(length: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} mails, {eta} left");
    ProgressBar::new(length as u64).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn spinner(what: &str) -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {pos} {msg}");
    ProgressBar::new_spinner()
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()))
        .with_message(what.to_owned())
}
