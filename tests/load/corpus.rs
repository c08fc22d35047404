//! Writes generated mails as files, for load generators: `cargo run --example corpus -- FOLDER
//! [MAILS] [SEED]`.
//!
//! Beside `000001.eml` and so on, `truth.jsonl` says of each mail, in order, what is to become of
//! it: `deliver`, `duplicate` or `reject`. Left out are mails on which a bridge without a state
//! machine would decide otherwise: those that come late, and those of an incident that opens again.
#![expect(clippy::unwrap_used, reason = "a tool of the tests")]

use std::{collections::HashSet, fs, path::PathBuf};

use serde_json::json;

#[path = "../it/generator.rs"]
#[expect(dead_code, reason = "the tests need more of the truth")]
mod generator;

use generator::Outcome;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let Some(folder) = arguments.next().map(PathBuf::from) else {
        eprintln!("usage: corpus FOLDER [MAILS] [SEED]");
        std::process::exit(2);
    };
    let mut number = |default| {
        arguments
            .next()
            .map_or(default, |text| text.parse().unwrap())
    };
    let (count, seed) = (number(5_000), number(1));
    fs::create_dir_all(&folder).unwrap();
    let mut reopened = HashSet::new();
    let mut truth = String::new();
    let mut written = 0;
    for mail in generator::generate(seed, usize::try_from(count).unwrap() * 11 / 10) {
        let id = mail.truth.incident_id.unwrap_or_default();
        let outcome = match mail.truth.outcome {
            Outcome::Stale => continue,
            Outcome::Reopened => {
                reopened.insert(id);
                continue;
            }
            _ if reopened.contains(&id) => continue,
            Outcome::Opened | Outcome::Resolved => "deliver",
            Outcome::Duplicate => "duplicate",
            Outcome::Unparsed | Outcome::Ignored => "reject",
        };
        if written == count {
            break;
        }
        written += 1;
        let file = format!("{written:06}.eml");
        fs::write(folder.join(&file), &mail.eml).unwrap();
        let line = json!({ "file": file, "outcome": outcome, "incidentId": id,
                           "incidentStatus": mail.truth.status });
        truth.push_str(&format!("{line}\n"));
    }
    fs::write(folder.join("truth.jsonl"), truth).unwrap();
    println!("{written} mails in {}", folder.display());
}
