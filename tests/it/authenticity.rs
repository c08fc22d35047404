//! Is it really Atlassian? Mails signed and sealed by dkimpy, judged with the keys in a real name
//! server.

use std::{
    net::UdpSocket,
    time::{Duration, Instant},
};

use alertbridge::{
    authenticate::{Authenticator, Settings},
    cli::sample,
    clock::Clock,
    message::{Authenticity, Envelope, Evidence, Message, Verdict},
};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

mod chain;
pub mod dnsmasq;
mod elsewhere;
mod odd;
mod profiles;
mod read;
mod reading;
mod recorded;
mod serving;
mod several;
mod signature;
pub mod signer;
mod silent;
mod trouble;

use crate::port::free_port;
use dnsmasq::Dnsmasq;
use signer::{KEY, WEAK, signed};

const DOMAIN: &str = "am.atlassian.com";
const DAY: alertbridge::settings::Duration = alertbridge::settings::Duration::from_secs(86_400);

/// A name server that knows the keys of Atlassian, of others who sign, and of forwarders who seal.
fn zone() -> Dnsmasq {
    zone_with("")
}

/// The same, with more lines of configuration.
fn zone_with(more: &str) -> Dnsmasq {
    let of_use = |tags: &str| KEY.record.replace("k=rsa;", &format!("k=rsa; {tags};"));
    let records = [
        ("testing._domainkey.am.atlassian.com", &of_use("t=y")),
        ("strict._domainkey.am.atlassian.com", &of_use("t=s")),
        ("tlsrpt._domainkey.am.atlassian.com", &of_use("s=tlsrpt")),
        (
            "mail._domainkey.am.atlassian.com",
            &of_use("s=email; h=sha1:sha256; t=s"),
        ),
        ("sha1._domainkey.am.atlassian.com", &of_use("h=sha1")),
        ("twice._domainkey.am.atlassian.com", &of_use("t=s; t=s")),
        (
            "later._domainkey.am.atlassian.com",
            &KEY.record.replace("v=DKIM1; k=rsa;", "k=rsa; v=DKIM1;"),
        ),
        ("testing._domainkey.google.com", &of_use("t=y")),
        ("s1._domainkey.am.atlassian.com", &KEY.record),
        ("weak._domainkey.am.atlassian.com", &WEAK.record),
        (
            "revoked._domainkey.am.atlassian.com",
            &"v=DKIM1; p=".to_owned(),
        ),
        (
            "broken._domainkey.am.atlassian.com",
            &"v=DKIM1; p=!".to_owned(),
        ),
        ("s1._domainkey.atlassian.com", &KEY.record),
        ("s1._domainkey.mail.am.atlassian.com", &KEY.record),
        ("s1._domainkey.other.atlassian.com", &KEY.record),
        ("s1._domainkey.google.com", &KEY.record),
        ("s1._domainkey.list.example", &KEY.record),
        ("s1._domainkey.evil.example", &KEY.record),
        (
            "am.atlassian.com",
            &"v=spf1 ip4:192.0.2.0/24 -all".to_owned(),
        ),
    ];
    Dnsmasq::start_with(
        free_port(),
        &records.map(|(name, record)| (name, record.as_str())),
        more,
    )
}

/// A judge that asks this name server, and believes Google's seals and what mx.google.com wrote.
fn judge_by(dns: &str) -> Authenticator {
    judge_with(Settings {
        dns: vec![dns.to_owned()],
        ..Settings::default()
    })
}

fn judge_with(settings: Settings) -> Authenticator {
    let settings = Settings {
        trusted_arc_sealers: vec!["google.com".into(), "groups.google.com".into()],
        ..settings
    };
    let hosts = [
        ("gmail", Some("mx.google.com")),
        ("microsoft", Some("exchange")),
        ("smtp", None),
    ];
    Authenticator::new(&settings, &["no-reply@am.atlassian.com".into()], hosts, DAY).unwrap()
}

fn now() -> Timestamp {
    Clock::system().now()
}

/// An alert as Atlassian sends it, of now.
fn alert() -> Vec<u8> {
    sample::mail("ANOMALOUS", Some("inc-1"), now()).into_bytes()
}

fn genuine() -> Vec<u8> {
    signed(&alert(), DOMAIN, json!({}))
}

/// The mail with one thing in it replaced.
fn altered(mail: &[u8], what: &str, by: &str) -> Vec<u8> {
    let mail = str::from_utf8(mail).unwrap();
    assert!(
        mail.contains(what),
        "there is no {what:?} in the mail:\n{mail}"
    );
    mail.replacen(what, by, 1).into_bytes()
}

/// The mail with fields above its header.
fn below(fields: &str, mail: &[u8]) -> Vec<u8> {
    [fields.replace('\n', "\r\n").as_bytes(), mail].concat()
}

fn message(ingress: &str, mail: &[u8]) -> Message {
    Message {
        ingress: ingress.into(),
        arrived_at: now(),
        raw: mail.to_vec().into(),
        cut_from: None,
        withheld: None,
        envelope: None,
    }
}

async fn judged(authenticator: &Authenticator, mail: &[u8]) -> Authenticity {
    authenticator.judge(&message("smtp", mail)).await
}

/// Asserts the verdict, and that its sentence says so.
#[track_caller]
fn assert_says(judged: &Authenticity, verdict: Verdict, says: &str) {
    let detail = judged.detail.as_deref().unwrap_or_default();
    assert_eq!(judged.verdict, verdict, "{judged:?}");
    assert!(detail.contains(says), "it should say {says:?}: {detail}");
}
