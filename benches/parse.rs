//! How fast a mail becomes a decision, as a ratio against the plain composition of the same crates
//! in one run: mail-parser, scraper over the whole document, jsonschema, one `SQLite` commit a mail
//! (WAL, FULL).
//!
//! `taskset -c 0 cargo bench --bench parse [-- MAILS ROUNDS]`: half a minute once it is built. All
//! take turns over the same generated mails; medians are printed. Not a test: figures on a shared
//! machine prove nothing but their ratio.
#![expect(
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    reason = "a measuring program"
)]

use std::{
    hint::black_box,
    path::Path,
    time::{Duration, Instant},
};

#[path = "parse/hostile.rs"]
mod hostile;
#[path = "parse/ours.rs"]
mod ours;
#[path = "parse/plain.rs"]
mod plain;

#[path = "../tests/it/generator.rs"]
#[expect(dead_code, reason = "the truth of the mails is the tests' matter")]
mod generator;

const SENDER: &str = "no-reply@am.atlassian.com";

/// One way to do the work: what it is called, and one round of it over all mails, with a store to
/// itself.
type Way<'a> = (&'static str, Box<dyn Fn(&Path) -> usize + 'a>);

fn main() {
    let mut numbers = std::env::args()
        .skip(1)
        .filter_map(|argument| argument.parse::<usize>().ok());
    let count = numbers.next().unwrap_or(2_000).max(1);
    let rounds = numbers.next().unwrap_or(7).max(1);
    let mails: Vec<Vec<u8>> = generator::generate(1, count)
        .into_iter()
        .map(|mail| mail.eml)
        .collect();
    let bytes: usize = mails.iter().map(Vec::len).sum();
    println!(
        "{count} mails of {} KB on average, {rounds} rounds, medians, µs a mail",
        bytes / count / 1_000
    );

    let (bridge, plain) = (ours::Bridge::new(), plain::Plain::new());
    against(
        "read: JSON found and checked",
        rounds,
        count,
        &[
            (
                "plain: parsed, scraped, checked",
                Box::new(|_| plain.read_all(&mails)),
            ),
            (
                "alertbridge: extracted, validated",
                Box::new(|_| bridge.read_all(&mails)),
            ),
        ],
    );
    against(
        "decided, in memory",
        rounds,
        count,
        &[
            (
                "plain: and looked up in a map",
                Box::new(|_| plain.decide_in_memory(&mails)),
            ),
            (
                "alertbridge: and labelled, routed, through the state machine",
                Box::new(|_| bridge.decide_in_memory(&mails)),
            ),
        ],
    );
    against(
        "decided, and in the store",
        rounds,
        count,
        &[
            (
                "plain: a commit each (WAL, FULL), decisions alone",
                Box::new(|path| plain.decide(path, &mails)),
            ),
            (
                "alertbridge: mail and decision, from 16 senders at once",
                Box::new(|path| bridge.decide(path, &mails, 16)),
            ),
            (
                "alertbridge: from 64 senders at once",
                Box::new(|path| bridge.decide(path, &mails, 64)),
            ),
            (
                "alertbridge: from one sender",
                Box::new(|path| bridge.decide(path, &mails, 1)),
            ),
        ],
    );

    println!("\n512 KiB of hostile HTML, read and decided{:>37}", "ms");
    for (name, mail) in hostile::mails() {
        let took = (0..rounds)
            .map(|_| time(|| bridge.decide_in_memory(std::slice::from_ref(&mail))))
            .collect();
        println!("  {name:<68} {:8.2}", median(took) / 1_000.0);
    }
}

/// Times all ways in turn, and prints them with their ratio to the first.
fn against<const N: usize>(title: &str, rounds: usize, count: usize, ways: &[Way<'_>; N]) {
    let mut took: [Vec<Duration>; N] = std::array::from_fn(|_| Vec::new());
    for _ in 0..rounds {
        for ((_, work), took) in ways.iter().zip(&mut took) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("store.db");
            took.push(time(|| work(&path)));
        }
    }
    println!("\n{title}");
    let medians = took.map(|took| median(took) / count as f64);
    for ((name, _), median) in ways.iter().zip(medians) {
        println!(
            "  {name:<68} {median:8.1}   {:5.2} times as fast",
            medians[0] / median
        );
    }
}

fn time<T>(work: impl FnOnce() -> T) -> Duration {
    let start = Instant::now();
    black_box(work());
    start.elapsed()
}

/// In microseconds.
fn median(mut rounds: Vec<Duration>) -> f64 {
    rounds.sort();
    rounds[rounds.len() / 2].as_secs_f64() * 1e6
}
