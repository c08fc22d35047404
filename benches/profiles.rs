//! What profiles cost: Atlassian's own mails with none and with fifty of them configured, and half a
//! megabyte of text and HTML that is made to be slow to find pairs in.
//!
//! `taskset -c 0 cargo bench --bench profiles [-- MAILS ROUNDS]`. Instructions do not move from run
//! to run: `valgrind --tool=callgrind … target/…/profiles-… count PROFILES MAILS` reads and decides
//! the mails once, and nothing else.
#![expect(
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    reason = "a measuring program"
)]

use std::{
    fmt::Write as _,
    hint::black_box,
    time::{Duration, Instant},
};

#[path = "profiles/hostile.rs"]
mod hostile;
#[path = "parse/ours.rs"]
#[expect(dead_code, reason = "the store is the other bench's matter")]
mod ours;

#[path = "../tests/it/generator.rs"]
#[expect(dead_code, reason = "the truth of the mails is the tests' matter")]
mod generator;

/// How many profiles are configured beside Atlassian's own.
const MANY: usize = 50;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let numbers = arguments.iter().filter_map(|text| text.parse().ok());
    let numbers: Vec<usize> = numbers.collect();
    if arguments.iter().any(|argument| argument == "count") {
        let bridge = ours::Bridge::with(&profiles(numbers[0]));
        black_box(bridge.decide_in_memory(&mails(numbers[1])));
        return;
    }

    let count = numbers.first().copied().unwrap_or(1_000).max(1);
    let rounds = numbers.get(1).copied().unwrap_or(7).max(1);
    let mails = mails(count);
    let bridges = [0, MANY].map(|many| (many, ours::Bridge::with(&profiles(many))));
    let mut took = [const { Vec::new() }; 2];
    for _ in 0..rounds {
        for ((_, bridge), took) in bridges.iter().zip(&mut took) {
            took.push(time(|| bridge.decide_in_memory(&mails)));
        }
    }
    println!("{count} mails of Atlassian's, {rounds} rounds in turn, medians, µs a mail");
    let medians = took.map(|took| median(took) / count as f64);
    for ((many, _), median) in bridges.iter().zip(medians) {
        println!(
            "  {many:>3} profiles {median:8.1}   {:5.3} times",
            median / medians[0]
        );
    }

    println!("\n512 KiB that is slow to read{:>41}", "ms");
    let bridge = &bridges[1].1;
    for (name, mail) in hostile::mails() {
        let took = (0..rounds)
            .map(|_| time(|| bridge.read_all(std::slice::from_ref(&mail))))
            .collect();
        println!("  {name:<58} {:8.2}", median(took) / 1_000.0);
    }
}

fn mails(count: usize) -> Vec<Vec<u8>> {
    let mails = generator::generate(1, count).into_iter();
    mails.map(|mail| mail.eml).collect()
}

/// So many profiles, the last for what is hostile; each matches, finds and renders.
fn profiles(many: usize) -> String {
    let mut text = String::from("profiles:");
    for number in (0..many).rev() {
        let from = match number {
            0 => hostile::SENDER.to_owned(),
            number => format!("ops{number}@example.com"),
        };
        let each = if number == 0 {
            hostile::EACH
        } else {
            "(?m)^- (?<id>\\S+) (?<state>\\S+)$"
        };
        write!(
            text,
            "
- name: p{number}
  match: {{ from: ['{from}'], matchers: ['subject=~\".*(alert|alarm|problem).*\"'] }}
  regex: {{ subject: '(?<word>\\w+)$', text: '(?s)State:.*(?<rest>x.*y.*z)' }}
  each: {{ text: '{each}', section: '(?m)^(?<part>\\w+):$' }}
  fields:
    key: \"{{{{ item.id }}}}/{{{{ pairs['Host'] | default('') }}}}\"
    status: \"{{{{ item.state }}}}\"
    title: \"{{{{ pairs['Title'] | default(re.word | default(subject)) }}}}\"
    summary: \"{{{{ text | regex_replace('(a|b)*c', '$1') | truncate(100) }}}}\"
    detail: \"{{{{ text | regex_replace('(a|b)*d', item.id) | truncate(100) }}}}\"
  status: {{ trigger: [on, firing], resolve: [off, resolved] }}
  severity: [{{ matchers: ['title=~\".*critical.*\"'], severity: critical }}]"
        )
        .unwrap();
    }
    if many == 0 {
        String::new()
    } else {
        text + "\n"
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
