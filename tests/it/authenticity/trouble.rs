//! Trouble that the sender chooses: no mail is let off as not yet checked while the configured
//! domain resolves.

use aws_lc_rs::digest;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use futures_util::future::join_all;
use proptest::{
    prelude::*,
    sample::select,
    strategy::ValueTree as _,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};

use super::{signer::sealed, *};

/// Selectors and domains that nobody answers for, that cannot be asked for, or that are none.
const NAMES: [&str; 26] = [
    "s1",
    "nobody",
    "-x",
    "x-",
    "x.-y",
    "x..y",
    ".x",
    "x.",
    "_x",
    "xn--zzzzzz",
    "ab--cd",
    "x y",
    "x\u{e4}",
    "x/y",
    "x@y",
    "x\\.y",
    "*",
    "dead",
    "s1.dead",
    "servfail",
    "123",
    "X",
    "xn--",
    "\"x\"",
    "x\tz",
    "%s",
];

const DOMAINS: [&str; 20] = [
    "am.atlassian.com",
    "AM.Atlassian.COM",
    "atlassian.com",
    "mail.am.atlassian.com",
    "dead.am.atlassian.com",
    "x.dead.am.atlassian.com",
    "refused.am.atlassian.com",
    "-x.am.atlassian.com",
    "x-.am.atlassian.com",
    "a..am.atlassian.com",
    ".am.atlassian.com",
    "am.atlassian.com.",
    "am.atlassian.com..",
    "_.am.atlassian.com",
    "com",
    "google.com",
    "dead.google.com",
    "dead.test",
    "evil.example",
    "localhost",
];

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => select(&NAMES[..]).prop_map(str::to_owned),
        1 => (60..70_usize).prop_map(|length| "x".repeat(length)),
        1 => (100..130_usize).prop_map(|labels| "x.".repeat(labels) + "x"),
        2 => "[a-z0-9-]{1,20}(\\.[a-z0-9-]{0,10}){0,3}",
        1 => any::<u64>().prop_map(|number| format!("n{number}.dead")),
        1 => "\\PC{1,12}".prop_map(|odd| odd.replace([';', '='], "")),
    ]
}

fn domain() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => select(&DOMAINS[..]).prop_map(str::to_owned),
        2 => name().prop_map(|name| format!("{name}.am.atlassian.com")),
        1 => (60..70_usize).prop_map(|length| "x".repeat(length) + ".am.atlassian.com"),
    ]
}

/// `bh=` of a body, all of it and as it is.
fn hash_of(mail: &[u8]) -> String {
    let body = str::from_utf8(mail)
        .unwrap()
        .split_once("\r\n\r\n")
        .unwrap()
        .1
        .trim_end_matches("\r\n")
        .to_owned()
        + "\r\n";
    BASE64_STANDARD.encode(digest::digest(&digest::SHA256, body.as_bytes()))
}

/// The fields of a signature, or of a link of a chain, that is junk but for the hash of the body.
fn junk(body: String) -> impl Strategy<Value = String> {
    let junk = BASE64_STANDARD.encode([7; 256]);
    let algorithm = select(&["rsa-sha256", "rsa-sha256", "ed25519-sha256", "rsa-sha1", ""][..]);
    let more = select(
        &[
            "",
            "",
            "t=1; ",
            "x=1; ",
            "l=1; ",
            "q=http; ",
            "v=2; ",
            "i=@dead.test; ",
        ][..],
    );
    let seals = prop::collection::vec((domain(), name(), domain()), 0..4);
    let own = prop::collection::vec((domain(), name(), algorithm, more), 0..4);
    (
        own,
        seals,
        select(&["google.com", "groups.google.com", "dead.test"][..]),
        name(),
    )
        .prop_map(move |(own, seals, last, selector)| {
            let signed = format!("c=simple/simple; h=From:Date:Subject; bh={body}; b={junk}");
            let mut fields = String::new();
            let links = seals.len() + 1;
            for (place, (domain, key, signer)) in seals
                .into_iter()
                .chain([(last.into(), selector, last.into())])
                .enumerate()
            {
                let (i, cv) = (place + 1, if place == 0 { "none" } else { "pass" });
                fields += &format!(
                    "ARC-Authentication-Results: i={i}; {last}; dkim=pass \
                     header.d=am.atlassian.com\r\n\
                     ARC-Message-Signature: i={i}; a=rsa-sha256; d={signer}; s={key}; {signed}\r\n\
                     ARC-Seal: i={i}; a=rsa-sha256; cv={cv}; d={domain}; s={key}; b={junk}\r\n"
                );
            }
            let chained = links % 2 == 0 || own.is_empty();
            let own = own.into_iter().map(|(domain, key, algorithm, more)| {
                format!(
                    "DKIM-Signature: v=1; a={algorithm}; {more}d={domain}; s={key}; \
                         {signed}\r\n"
                )
            });
            own.collect::<String>() + if chained { &fields } else { "" }
        })
}

/// A name server that is silent about whatever is below `dead.…`, and refuses to answer for
/// others.
pub(super) fn zone_with_holes() -> (Dnsmasq, UdpSocket) {
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let dead = [
        "dead.am.atlassian.com",
        "dead._domainkey.am.atlassian.com",
        "dead.google.com",
        "dead.test",
    ];
    let holes: String = dead
        .iter()
        .map(|name| format!("server=/{name}/127.0.0.1#{port}\n"))
        .collect();
    (zone_with(&holes), silent)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_domain_resolves_no_mail_is_let_off_as_not_yet_checked() {
    let (zone, _silent) = zone_with_holes();
    let alert = alert();
    let seed = RngAlgorithm::default();
    let mut runner = TestRunner::new_with_rng(Config::default(), TestRng::deterministic_rng(seed));
    let strategy = junk(hash_of(&alert));
    let mails: Vec<Vec<u8>> = (0..300)
        .map(|_| {
            [
                strategy.new_tree(&mut runner).unwrap().current().as_bytes(),
                &alert,
            ]
            .concat()
        })
        .collect();
    // Both where it has never seen a key, and where it has.
    for has_seen in [false, true] {
        let judge = judge_by(&zone.address);
        if has_seen {
            assert_eq!(judged(&judge, &genuine()).await.verdict, Verdict::Pass);
        }
        let real = genuine();
        let all = join_all(mails.iter().map(|mail| judged(&judge, mail)));
        // In the midst of it genuine mail is proven.
        let (all, real) = tokio::join!(all, judged(&judge, &real));
        assert_eq!(real.verdict, Verdict::Pass, "{real:?}");
        for (mail, judged) in mails.iter().zip(&all) {
            let refuted = matches!(judged.verdict, Verdict::Fail | Verdict::None);
            assert!(refuted, "{judged:?}\n{}", String::from_utf8_lossy(mail));
        }
        let refuted = all
            .iter()
            .filter(|judged| judged.verdict == Verdict::Fail)
            .count();
        assert!(refuted > 200, "{refuted} are refuted");
    }
}

#[tokio::test]
async fn a_name_that_cannot_be_asked_for_is_refuted_and_nobody_is_asked() {
    let zone = zone();
    let judge = judge_by(&zone.address);
    let long = "x".repeat(64);
    let longer = "x.".repeat(120) + "x";
    for selector in ["-x", "x-", "x..y", ".x", "x.", "x/y", "*", &long, &longer] {
        let forged = altered(&genuine(), "s=s1", &format!("s={selector}"));
        assert_says(
            &judged(&judge, &forged).await,
            Verdict::Fail,
            "the name of its key is not a valid DNS name",
        );
    }
    for domain in [
        "-x.am.atlassian.com",
        "a..am.atlassian.com",
        ".am.atlassian.com",
        "am.atlassian.com.",
    ] {
        let forged = altered(&genuine(), "d=am.atlassian.com", &format!("d={domain}"));
        assert_says(
            &judged(&judge, &forged).await,
            Verdict::Fail,
            "the name of its key is not a valid DNS name",
        );
    }
    for unreadable in ["s=", "s= ", "s=;s=s1"] {
        let forged = altered(&genuine(), "s=s1", unreadable);
        assert_eq!(
            judged(&judge, &forged).await.verdict,
            Verdict::Fail,
            "{unreadable}"
        );
    }
    assert_eq!(zone.asked(""), 0);
}

#[tokio::test]
async fn trouble_at_a_key_that_was_found_before_is_trouble() {
    let port = free_port();
    let names = ["s1._domainkey.am.atlassian.com", "am.atlassian.com"]
        .map(|name| (name, KEY.record.as_str()));
    let zone = Dnsmasq::start_with(port, &names, "local-ttl=1");
    let judge = judge_by(&zone.address);
    assert_eq!(judged(&judge, &genuine()).await.verdict, Verdict::Pass);
    drop(zone);
    // The domain answers, and the servers of the key, which somebody else may run, do not.
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let away = format!(
        "server=/_domainkey.am.atlassian.com/127.0.0.1#{}",
        silent.local_addr().unwrap().port()
    );
    let _zone = Dnsmasq::start_with(port, &names[1..], &away);
    let deadline = Instant::now() + Duration::from_mins(1);
    let verdict = loop {
        match judged(&judge, &genuine()).await.verdict {
            Verdict::Pass if Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            other => break other,
        }
    };
    assert_eq!(verdict, Verdict::TempError);
    let strangers = signed(&alert(), DOMAIN, json!({ "selector": "another" }));
    assert_says(
        &judged(&judge, &strangers).await,
        Verdict::Fail,
        "though it does for am.atlassian.com",
    );
}

#[tokio::test]
async fn a_second_signature_proves_where_the_first_key_is_out_of_reach() {
    let port = free_port();
    let names = [
        "s1._domainkey.am.atlassian.com",
        "s2._domainkey.am.atlassian.com",
        "am.atlassian.com",
    ]
    .map(|name| (name, KEY.record.as_str()));
    let both = || {
        let second = signed(&alert(), DOMAIN, json!({ "selector": "s2" }));
        signed(&second, DOMAIN, json!({ "selector": "s1" }))
    };
    let zone = Dnsmasq::start_with(port, &names, "local-ttl=1");
    let judge = judge_by(&zone.address);
    assert_eq!(judged(&judge, &genuine()).await.verdict, Verdict::Pass);
    drop(zone);
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let away = format!(
        "server=/s1._domainkey.am.atlassian.com/127.0.0.1#{}",
        silent.local_addr().unwrap().port()
    );
    let _zone = Dnsmasq::start_with(port, &names[1..], &away);
    let deadline = Instant::now() + Duration::from_mins(1);
    while judged(&judge, &genuine()).await.verdict == Verdict::Pass {
        assert!(Instant::now() < deadline, "the key is still remembered");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    // Whether its key is known or not.
    for _ in 0..2 {
        let judged = judged(&judge, &both()).await;
        assert_eq!(judged.verdict, Verdict::Pass, "{judged:?}");
        assert_eq!(judged.selector.as_deref(), Some("s2"));
    }
}

#[tokio::test]
async fn a_domain_in_a_chain_that_nobody_answers_for_is_the_forgers() {
    let (zone, _silent) = zone_with_holes();
    let judge = judge_by(&zone.address);
    let said = |mail: &[u8], host: &str| {
        below(
            &format!(
                "Authentication-Results: {host}; dkim=pass header.i=@am.atlassian.com header.s=s1\n"
            ),
            mail,
        )
    };
    let by_dead = sealed(
        &said(&genuine(), "dead.test"),
        "dead.test",
        "dead.test",
        json!({}),
    );
    let then_google = sealed(
        &said(&by_dead, "mx.google.com"),
        "google.com",
        "mx.google.com",
        json!({}),
    );
    let broken = altered(&then_google, "Objective", "Subjective");
    assert_says(&judged(&judge, &broken).await, Verdict::Fail, "ARC: ");
    // Its own last signature by a domain that is not named.
    let google = sealed(
        &said(&genuine(), "mx.google.com"),
        "google.com",
        "mx.google.com",
        json!({}),
    );
    let google = String::from_utf8(google).unwrap();
    let (before, signature) = google.split_once("ARC-Message-Signature:").unwrap();
    let forged = format!(
        "{before}ARC-Message-Signature:{}",
        signature.replacen("d=google.com", "d=dead.test", 1)
    );
    let forged = altered(forged.as_bytes(), "Objective", "Subjective");
    assert_says(&judged(&judge, &forged).await, Verdict::Fail, "ARC: ");
}
