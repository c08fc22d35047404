//! What judging a mail costs beside the verification of its signature, the key cached:
//! `Authenticator::judge` against mail-auth alone, over the same mails in turns. Needs dnsmasq and
//! python3-dkim, as the tests do.
//!
//! `taskset -c 0 cargo bench --bench authenticate [-- MAILS ROUNDS]`. Medians are printed. Not a
//! test: figures on a shared machine prove nothing but their difference in one run.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::cast_precision_loss,
    reason = "a measuring program"
)]

use std::{
    borrow::Borrow,
    collections::HashMap,
    hash::Hash,
    hint::black_box,
    sync::RwLock,
    time::{Duration, Instant},
};

use alertbridge::{
    authenticate::{Authenticator, Settings},
    cli::sample,
    clock::Clock,
    message::{Message, Verdict},
};
use mail_auth::{
    AuthenticatedMessage, DkimResult, MessageAuthenticator, Parameters, ResolverCache, Txt,
    hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig, ResolverOpts},
};
use serde_json::json;

#[path = "../tests/it/authenticity/dnsmasq.rs"]
#[expect(dead_code, reason = "what it was asked is the tests' matter")]
mod dnsmasq;
#[path = "../tests/it/port.rs"]
mod port;
#[path = "../tests/it/authenticity/signer.rs"]
#[expect(dead_code, reason = "seals and weak keys are the tests' matter")]
mod signer;

/// mail-auth's answers from DNS, kept for ever.
#[derive(Default)]
struct Kept(RwLock<HashMap<Box<str>, Txt>>);

impl ResolverCache<Box<str>, Txt> for Kept {
    fn get<Q: Hash + Eq + ?Sized>(&self, name: &Q) -> Option<Txt>
    where
        Box<str>: Borrow<Q>,
    {
        self.0.read().unwrap().get(name).cloned()
    }

    fn remove<Q: Hash + Eq + ?Sized>(&self, name: &Q) -> Option<Txt>
    where
        Box<str>: Borrow<Q>,
    {
        self.0.write().unwrap().remove(name)
    }

    fn insert(&self, name: Box<str>, record: Txt, _: Instant) {
        self.0.write().unwrap().insert(name, record);
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut numbers = std::env::args()
        .skip(1)
        .filter_map(|argument| argument.parse::<usize>().ok());
    let count = numbers.next().unwrap_or(2_000).max(1);
    let rounds = numbers.next().unwrap_or(9).max(1);
    let zone = dnsmasq::Dnsmasq::start(&[("s1._domainkey.am.atlassian.com", &signer::KEY.record)]);
    let now = Clock::system().now();
    let mails: Vec<Message> = (0..count)
        .map(|_| {
            let mail = signer::signed(
                sample::mail("ANOMALOUS", None, now).as_bytes(),
                "am.atlassian.com",
                json!({}),
            );
            Message {
                ingress: "smtp".into(),
                arrived_at: now,
                raw: mail.into(),
                cut_from: None,
                withheld: None,
                envelope: None,
            }
        })
        .collect();

    let settings = Settings {
        dns: vec![zone.address.clone()],
        ..Settings::default()
    };
    let max_age = alertbridge::settings::Duration::from_secs(86_400);
    let judge = Authenticator::new(
        &settings,
        &["no-reply@am.atlassian.com".into()],
        [("smtp", None)],
        max_age,
    )
    .unwrap();
    let (bare, kept) = (mail_auth_alone(&zone.address), Kept::default());

    let (mut judged, mut verified) = (Vec::new(), Vec::new());
    for _ in 0..=rounds {
        let start = Instant::now();
        for mail in &mails {
            let parsed = AuthenticatedMessage::parse(&mail.raw).unwrap();
            let results = bare
                .verify_dkim(Parameters::new(&parsed).with_txt_cache(&kept))
                .await;
            assert_eq!(black_box(results)[0].result(), &DkimResult::Pass);
        }
        verified.push(start.elapsed());
        let start = Instant::now();
        for mail in &mails {
            assert_eq!(black_box(judge.judge(mail).await).verdict, Verdict::Pass);
        }
        judged.push(start.elapsed());
    }
    // The first round asks DNS.
    let each = |rounds: &mut Vec<Duration>| {
        rounds.remove(0);
        rounds.sort();
        rounds[rounds.len() / 2].as_secs_f64() * 1e6 / count as f64
    };
    let (verified, judged) = (each(&mut verified), each(&mut judged));
    println!(
        "{count} mails of {} bytes, {rounds} rounds, medians, µs a mail",
        mails[0].raw.len()
    );
    println!("  mail-auth alone, parse and verify  {verified:8.1}");
    println!(
        "  alertbridge, judged                {judged:8.1}   {:+.1} beside it (bound: +100)",
        judged - verified
    );
}

fn mail_auth_alone(server: &str) -> MessageAuthenticator {
    let server: std::net::SocketAddr = server.parse().unwrap();
    let mut udp = ConnectionConfig::udp();
    udp.port = server.port();
    let servers = vec![NameServerConfig::new(server.ip(), true, vec![udp])];
    MessageAuthenticator::new(
        ResolverConfig::from_parts(None, Vec::new(), servers),
        ResolverOpts::default(),
    )
    .unwrap()
}
