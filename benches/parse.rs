//! How fast a mail becomes an incident, as a ratio against the plain composition of the same crates in one run:
//! mail-parser, scraper over the whole document, jsonschema, one `SQLite` commit a mail (WAL, FULL).
//!
//! `cargo bench --bench parse [-- MAILS ROUNDS]`. Both sides take turns over the same generated mails; medians are
//! printed. Not a test: figures on a shared machine prove nothing but their ratio.
#![expect(clippy::unwrap_used, clippy::cast_precision_loss, reason = "a measuring program")]

use std::{
    hint::black_box,
    path::Path,
    time::{Duration, Instant},
};

use alertbridge::{
    extract::{Extracted, Extractor},
    validate::{BUILT_IN, Validator},
};
use mail_parser::MessageParser;
use rusqlite::Connection;
use scraper::{Html, Selector};
use serde_json::Value;

#[path = "../tests/it/generator.rs"]
#[expect(dead_code, reason = "the truth of the mails is the tests' matter")]
mod generator;

const SENDER: &str = "no-reply@am.atlassian.com";

fn main() {
    let mut numbers = std::env::args().skip(1).filter_map(|argument| argument.parse::<usize>().ok());
    let count = numbers.next().unwrap_or(2_000);
    let rounds = numbers.next().unwrap_or(7);
    let mails: Vec<Vec<u8>> = generator::generate(1, count).into_iter().map(|mail| mail.eml).collect();
    let bytes: usize = mails.iter().map(Vec::len).sum();
    println!("{count} mails of {} KB on average, {rounds} rounds", bytes / count / 1_000);

    let folder = tempfile::tempdir().unwrap();
    let ours = Ours::new();
    let plain = Plain::new();
    let mut took: [Vec<Duration>; 3] = Default::default();
    for round in 0..rounds {
        took[0].push(time(|| mails.iter().filter(|mail| ours.read(mail)).count()));
        took[1].push(time(|| mails.iter().filter(|mail| plain.read(mail).is_some()).count()));
        let store = open(&folder.path().join(format!("{round}.db")));
        took[2].push(time(|| mails.iter().filter(|mail| plain.decide(&store, mail)).count()));
    }
    let [ours_read, plain_read, plain_decide] = took.map(|rounds| median(rounds) / count as f64);
    println!("extract + validate                        {ours_read:8.1} µs a mail");
    println!(
        "plain: parse, scrape, schema              {plain_read:8.1} µs a mail, {:.2} times",
        plain_read / ours_read
    );
    println!(
        "plain, with a commit each (WAL, FULL)     {plain_decide:8.1} µs a mail, {:.2} times",
        plain_decide / ours_read
    );
    // The decision and the store's group commit are added to our side where the pipeline is measured as a whole.

    for (name, unit) in [("<div>", "<div>"), ("<b><i>", "<b><i>"), ("unclosed comments", "<!--"), ("</p>", "</p>")] {
        let hostile = format!(
            "From: {SENDER}\r\nContent-Type: text/html\r\n\r\n{}<script type=application/json id=incident-data>{{}}</script>",
            unit.repeat((512 << 10) / unit.len())
        );
        let rounds = (0..rounds).map(|_| time(|| ours.read(hostile.as_bytes()))).collect();
        println!("512 KiB of {name:<30} {:8.1} ms", median(rounds) / 1_000.0);
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

struct Ours {
    extractor: Extractor,
    validator: Validator,
}

impl Ours {
    fn new() -> Self {
        Self { extractor: Extractor::new(&[SENDER.to_owned()]), validator: Validator::built_in().unwrap() }
    }

    fn read(&self, mail: &[u8]) -> bool {
        match self.extractor.extract(mail).found {
            Extracted::Json(json) => black_box(self.validator.check(json)).is_ok(),
            _ => false,
        }
    }
}

/// What a team would write.
struct Plain {
    selector: Selector,
    schema: jsonschema::Validator,
}

impl Plain {
    fn new() -> Self {
        let schema: Value = serde_json::from_str(BUILT_IN).unwrap();
        Self {
            selector: Selector::parse("script#incident-data[type='application/json']").unwrap(),
            schema: jsonschema::validator_for(&schema).unwrap(),
        }
    }

    fn read(&self, mail: &[u8]) -> Option<Value> {
        let message = MessageParser::default().parse(mail)?;
        if message.from()?.first()?.address()? != SENDER {
            return None;
        }
        let document = Html::parse_document(&message.body_html(0)?);
        let text: String = document.select(&self.selector).next()?.text().collect();
        let json: Value = serde_json::from_str(&text).ok()?;
        self.schema.is_valid(&json).then_some(json)
    }

    fn decide(&self, store: &Connection, mail: &[u8]) -> bool {
        let Some(json) = self.read(mail) else { return false };
        store
            .prepare_cached("INSERT INTO incident (id, status, json) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING")
            .unwrap()
            .execute((json["incidentId"].as_str(), json["incidentStatus"].as_str(), json.to_string()))
            .unwrap()
            > 0
    }
}

fn open(path: &Path) -> Connection {
    let store = Connection::open(path).unwrap();
    store
        .execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
             CREATE TABLE incident (id TEXT, status TEXT, json TEXT NOT NULL, PRIMARY KEY (id, status)) WITHOUT ROWID",
        )
        .unwrap();
    store
}
