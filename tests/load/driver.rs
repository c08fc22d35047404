//! Sends mails (or alerts as JSON), takes the webhooks that follow, and says how long each took.
//!
//! `cargo run --profile dist --example driver -- --help`. Arrivals follow their schedule whatever
//! the bridge does: a mail that has to wait for a free connection is late from the moment it was
//! due, not from the moment it was sent (coordinated omission). Flat out there is no schedule, and
//! times count from the sending.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::cast_precision_loss,
    reason = "a measuring program"
)]

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use clap::Parser;
use hdrhistogram::Histogram;
use serde_json::{Value, json};

#[path = "driver/arrivals.rs"]
mod arrivals;
#[path = "driver/load.rs"]
mod load;
#[path = "driver/process.rs"]
mod process;
#[path = "driver/send.rs"]
mod send;

use arrivals::Arrivals;
use load::Load;
use process::Watch;
use send::Sender;

/// Drives a bridge and measures it: one JSON object on standard output.
#[derive(Debug, Parser)]
struct Arguments {
    /// The SMTP server that takes the mails; of several each takes its share of the connections.
    #[arg(long, value_name = "HOST:PORT", conflicts_with = "post")]
    smtp: Vec<String>,
    /// To the SMTP server each mail goes with its envelope in one write, as a chunk (RFC 3030),
    /// without waits in between.
    #[arg(long, requires = "smtp")]
    chunking: bool,
    /// The address that takes them over HTTP: mails as message/rfc822, a --template as JSON.
    #[arg(long, value_name = "URL")]
    post: Option<String>,
    /// Where the webhooks come to, on any path; without it only the acceptance is measured.
    #[arg(long, value_name = "HOST:PORT")]
    receive: Option<String>,
    /// Mails with their truth, as the example `corpus` writes them.
    #[arg(long, value_name = "FOLDER")]
    corpus: Option<PathBuf>,
    /// Instead: a text with @KEY@ where a fresh id belongs; several take turns. The default is an
    /// alert mail of 1 KB.
    #[arg(long, value_name = "FILE", conflicts_with = "corpus")]
    template: Vec<PathBuf>,
    /// What stands before the id in a webhook's body.
    #[arg(long, value_name = "TEXT", default_value = "\"incidentId\":\"")]
    find: String,
    /// How many are sent.
    #[arg(long, default_value_t = 5_000)]
    mails: usize,
    /// So many a second, on schedule; without it flat out.
    #[arg(long, conflicts_with = "spike")]
    rate: Option<f64>,
    /// All of them are due at once.
    #[arg(long)]
    spike: bool,
    /// Connections kept to the server.
    #[arg(long, default_value_t = 16)]
    connections: usize,
    /// Seconds without a webhook after which what is missing is missing.
    #[arg(long, default_value_t = 10)]
    patience: u64,
    /// The processes whose memory and CPU time are watched, and summed.
    #[arg(long)]
    pid: Vec<u32>,
}

/// When one mail was due, sent and acknowledged.
#[derive(Clone, Copy)]
struct Sent {
    due: Instant,
    begun: Instant,
    accepted: Instant,
}

#[tokio::main(worker_threads = 2)]
async fn main() {
    let arguments = Arguments::parse();
    let load = Arc::new(Load::new(&arguments));
    let arrivals = Arc::new(Arrivals::new(&arguments.find, load.known()));
    if let Some(address) = &arguments.receive {
        arrivals::listen(address, Arc::clone(&arrivals)).await;
    }
    let watch = (!arguments.pid.is_empty()).then(|| Watch::start(&arguments.pid));

    let begun = Instant::now();
    let (sent, refused) = send_all(&arguments, &load, begun).await;
    let accepted = begun.elapsed();
    let expected = load.expected();
    if arguments.receive.is_some() {
        arrivals
            .complete(expected, Duration::from_secs(arguments.patience))
            .await;
    }

    let mut report = report(&arguments, &load, &arrivals, &sent, begun);
    report["accepted_per_second"] = json!(round(sent.len() as f64 / accepted.as_secs_f64()));
    report["refused"] = json!(refused);
    if let Some(watch) = watch {
        report["process"] = watch.report();
    }
    println!("{report}");
}

/// Sends everything over so many connections; returns when each was due, sent and acknowledged, and
/// the refusals.
async fn send_all(
    arguments: &Arguments,
    load: &Arc<Load>,
    begun: Instant,
) -> (Vec<Option<Sent>>, BTreeMap<String, usize>) {
    let next = Arc::new(AtomicUsize::new(0));
    let refused = Arc::new(Mutex::new(BTreeMap::new()));
    let gap = arguments
        .rate
        .map(|rate| Duration::from_secs_f64(1.0 / rate));
    let mut senders = tokio::task::JoinSet::new();
    for number in 0..arguments.connections {
        let mut sender = Sender::open(arguments, number).await;
        let (load, next, refused) = (Arc::clone(load), Arc::clone(&next), Arc::clone(&refused));
        let scheduled = arguments.rate.is_some() || arguments.spike;
        senders.spawn(async move {
            let mut done = Vec::new();
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(mail) = load.get(index) else {
                    return done;
                };
                let due = begun + gap.map_or(Duration::ZERO, |gap| gap.mul_f64(index as f64));
                tokio::time::sleep_until(due.into()).await;
                let sent = Instant::now();
                match sender.send(&mail).await {
                    Ok(()) => {
                        let due = if scheduled { due } else { sent };
                        done.push((
                            index,
                            Sent {
                                due,
                                begun: sent,
                                accepted: Instant::now(),
                            },
                        ));
                    }
                    Err(answer) => *refused.lock().unwrap().entry(answer).or_default() += 1,
                }
            }
        });
    }
    let mut sent = vec![None; load.len()];
    while let Some(done) = senders.join_next().await {
        for (index, times) in done.expect("a sender panicked") {
            sent[index] = Some(times);
        }
    }
    let refused = refused.lock().unwrap().clone();
    (sent, refused)
}

fn report(
    arguments: &Arguments,
    load: &Load,
    arrivals: &Arrivals,
    sent: &[Option<Sent>],
    begun: Instant,
) -> Value {
    let (mut acknowledged, mut page, mut after) = (histogram(), histogram(), histogram());
    let (mut missing, mut paged, mut latest) = (0, 0, begun);
    let mut arrived = arrivals.taken();
    for (index, times) in sent.iter().enumerate() {
        let Some(times) = times else { continue };
        record(&mut acknowledged, times.accepted - times.due);
        if arguments.receive.is_none() || !load.pages(index) {
            continue;
        }
        let Some(at) = arrived.next_of(&load.key(index)) else {
            missing += 1;
            continue;
        };
        paged += 1;
        latest = latest.max(at);
        record(&mut page, at.saturating_duration_since(times.due));
        record(&mut after, at.saturating_duration_since(times.accepted));
    }
    let late = sent
        .iter()
        .flatten()
        .map(|times| times.begun - times.due)
        .max()
        .unwrap_or_default();
    json!({
        "mails": load.len(),
        "expected": load.expected(),
        "missing": missing,
        "unexpected": arrived.left(),
        "pages_per_second": round(f64::from(paged) / (latest - begun).as_secs_f64().max(1e-9)),
        "until_last_page_s": round((latest - begun).as_secs_f64()),
        "due_to_accepted_ms": percentiles(&acknowledged),
        "due_to_page_ms": percentiles(&page),
        "accepted_to_page_ms": percentiles(&after),
        "sent_late_ms": round(late.as_secs_f64() * 1e3),
    })
}

/// Microseconds, up to an hour, to three digits.
fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 3_600_000_000, 3).unwrap()
}

fn record(histogram: &mut Histogram<u64>, took: Duration) {
    histogram.saturating_record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
}

fn percentiles(histogram: &Histogram<u64>) -> Value {
    let at = |quantile| round(histogram.value_at_quantile(quantile) as f64 / 1e3);
    json!({ "p50": at(0.5), "p90": at(0.9), "p99": at(0.99), "p999": at(0.999),
            "max": round(histogram.max() as f64 / 1e3) })
}

fn round(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}
