//! The mail's own signature.

use super::*;

#[tokio::test]
async fn a_genuine_mail_passes_by_its_own_signature() {
    let zone = zone();
    let judge = judge_by(&zone.address);
    let verdict = judged(&judge, &genuine()).await;
    assert_says(
        &verdict,
        Verdict::Pass,
        "the signature of am.atlassian.com (selector s1) verifies",
    );
    assert_eq!(
        (verdict.evidence, verdict.domain.as_deref()),
        (Some(Evidence::Dkim), Some(DOMAIN))
    );
    assert_eq!(
        (verdict.selector.as_deref(), verdict.spf),
        (Some("s1"), None)
    );
    for domain in ["atlassian.com", "mail.am.atlassian.com"] {
        let verdict = judged(&judge, &signed(&alert(), domain, json!({}))).await;
        assert_eq!(
            (verdict.verdict, verdict.domain.as_deref()),
            (Verdict::Pass, Some(domain))
        );
    }
    let simple = signed(&alert(), DOMAIN, json!({ "simple": true }));
    assert_eq!(judged(&judge, &simple).await.verdict, Verdict::Pass);
    let strangers_beside = signed(&genuine(), "evil.example", json!({}));
    assert_eq!(
        judged(&judge, &strangers_beside).await.verdict,
        Verdict::Pass
    );
}

#[tokio::test]
async fn a_file_with_the_line_ends_of_unix_verifies() {
    let zone = zone();
    for simple in [false, true] {
        let mail =
            String::from_utf8(signed(&alert(), DOMAIN, json!({ "simple": simple }))).unwrap();
        let verdict = judged(
            &judge_by(&zone.address),
            mail.replace("\r\n", "\n").as_bytes(),
        )
        .await;
        assert_eq!(verdict.verdict, Verdict::Pass, "{verdict:?}");
    }
}

#[tokio::test]
async fn what_was_altered_after_signing_is_refused_for_that_reason() {
    let zone = zone();
    let judge = judge_by(&zone.address);
    let mail = genuine();
    let cut = |mail: &[u8]| {
        String::from_utf8(mail.to_vec())
            .unwrap()
            .split_once("From: ")
            .unwrap()
            .1
            .to_owned()
    };
    for (what, mail, verdict, says) in [
        (
            "body",
            altered(&mail, "Objective", "Subjective"),
            Verdict::Fail,
            "the body was altered",
        ),
        (
            "appended",
            [&mail[..], b"more\r\n"].concat(),
            Verdict::Fail,
            "the body was altered",
        ),
        (
            "bare CR",
            altered(&mail, "Objective", "Objec\rtive"),
            Verdict::Fail,
            "carriage return",
        ),
        (
            "subject",
            altered(&mail, "Subject: ", "Subject: not "),
            Verdict::Fail,
            "a field that is signed was altered",
        ),
        (
            "name",
            altered(&mail, "From: Atlassian", "From: Atlassian!"),
            Verdict::Fail,
            "signed was altered",
        ),
        (
            "removed",
            format!("From: {}", cut(&mail)).into_bytes(),
            Verdict::None,
            "the mail is not signed",
        ),
        (
            "type",
            below("Content-Type: text/html\n", &mail),
            Verdict::Fail,
            "a Content-Type was added",
        ),
        (
            "date",
            below("Date: Thu, 24 Mar 2022 15:40:00 +0000\n", &mail),
            Verdict::Fail,
            "a Date was added",
        ),
        (
            "second From",
            below("From: x@evil.example\n", &mail),
            Verdict::None,
            "more than one From",
        ),
        (
            "From of another",
            altered(
                &mail,
                "no-reply@am.atlassian.com",
                "no-reply@am.evil.example",
            ),
            Verdict::None,
            "not from a sender of alerts.from",
        ),
    ] {
        let judged = judged(&judge, &mail).await;
        println!("{what}: {judged:?}");
        assert_says(&judged, verdict, says);
        assert_eq!(judged.evidence, None);
    }
}

#[tokio::test]
async fn a_signature_that_would_prove_nothing_is_refused_though_it_verifies() {
    let zone = zone();
    let judge = judge_by(&zone.address);
    let second = now().as_second();
    let part = signed(&alert(), DOMAIN, json!({ "l": true }));
    let undated = ["from", "to", "subject", "content-type"];
    for (what, mail, says) in [
        (
            "expired",
            signed(&alert(), DOMAIN, json!({ "tags": { "x": second - 10 } })),
            "it had expired",
        ),
        (
            "expires before it is made",
            signed(&alert(), DOMAIN, json!({ "tags": { "x": 1 } })),
            "it had expired",
        ),
        (
            "future",
            signed(&alert(), DOMAIN, json!({ "tags": { "t": second + 7_200 } })),
            "in the future",
        ),
        (
            "replayed",
            signed(
                &alert(),
                DOMAIN,
                json!({ "tags": { "t": second - 90_000 } }),
            ),
            "a replay",
        ),
        (
            "absurd time",
            signed(&alert(), DOMAIN, json!({ "tags": { "t": u64::MAX } })),
            "out of bounds",
        ),
        (
            "appended behind l=",
            [&part[..], b"<script>\r\n"].concat(),
            "only the beginning of the body (l=)",
        ),
        (
            "From uncovered",
            signed(&alert(), DOMAIN, json!({ "omit": "from" })),
            "it does not cover From",
        ),
        (
            "rsa-sha1",
            signed(&alert(), DOMAIN, json!({ "algorithm": "rsa-sha1" })),
            "rsa-sha1",
        ),
        (
            "timeless",
            signed(
                &alert(),
                DOMAIN,
                json!({ "headers": undated, "tags": { "t": null } }),
            ),
            "covers the Date",
        ),
        (
            "weak",
            signed(
                &alert(),
                DOMAIN,
                json!({ "selector": "weak", "key": WEAK.pem }),
            ),
            "a key of 768 bits",
        ),
        (
            "revoked",
            signed(&alert(), DOMAIN, json!({ "selector": "revoked" })),
            "revoked",
        ),
        (
            "unreadable",
            signed(&alert(), DOMAIN, json!({ "selector": "broken" })),
            "cannot be read",
        ),
        (
            "unknown",
            signed(&alert(), DOMAIN, json!({ "selector": "nobody" })),
            "a key that DNS does not have",
        ),
        (
            "of a label too long",
            signed(&alert(), DOMAIN, json!({ "selector": "x".repeat(64) })),
            "not a valid DNS name",
        ),
        (
            "testing",
            signed(&alert(), DOMAIN, json!({ "selector": "testing" })),
            "only testing (t=y)",
        ),
        (
            "not for mail",
            signed(&alert(), DOMAIN, json!({ "selector": "tlsrpt" })),
            "not for mail (s=)",
        ),
        (
            "of SHA-1 alone",
            signed(&alert(), DOMAIN, json!({ "selector": "sha1" })),
            "does not allow SHA-256 (h=)",
        ),
        (
            "a tag twice in the key",
            signed(&alert(), DOMAIN, json!({ "selector": "twice" })),
            "cannot be read",
        ),
        (
            "version not first",
            signed(&alert(), DOMAIN, json!({ "selector": "later" })),
            "version",
        ),
        (
            "strictly of its domain",
            signed(
                &alert(),
                DOMAIN,
                json!({ "selector": "strict", "tags": { "i": "@x.am.atlassian.com" } }),
            ),
            "(t=s)",
        ),
        (
            "for another domain",
            signed(
                &alert(),
                DOMAIN,
                json!({ "tags": { "i": "@evil.example" } }),
            ),
            "not in its domain",
        ),
        (
            "for a domain above",
            signed(
                &alert(),
                DOMAIN,
                json!({ "tags": { "i": "@atlassian.com" } }),
            ),
            "not in its domain",
        ),
        (
            "of no version",
            signed(&alert(), DOMAIN, json!({ "tags": { "v": null } })),
            "version is not 1",
        ),
        (
            "of another version",
            signed(&alert(), DOMAIN, json!({ "tags": { "v": "2" } })),
            "cannot be read",
        ),
        (
            "of no algorithm",
            signed(&alert(), DOMAIN, json!({ "tags": { "a": null } })),
            "no algorithm (a=)",
        ),
        (
            "of no key in DNS",
            signed(&alert(), DOMAIN, json!({ "tags": { "q": "http" } })),
            "not in DNS (q=)",
        ),
        (
            "of no number",
            signed(&alert(), DOMAIN, json!({ "tags": { "x": "never" } })),
            "a number in it is not valid (x=)",
        ),
        (
            "of a time that is none",
            signed(&alert(), DOMAIN, json!({ "tags": { "t": "-1" } })),
            "cannot be read",
        ),
        (
            "a tag twice",
            altered(&genuine(), "s=s1;", "s=s9; s=s1;"),
            "the tag s= is given twice",
        ),
        (
            "a tag twice in another case",
            altered(&genuine(), "s=s1;", "S=s9; s=s1;"),
            "the tag s= is given twice",
        ),
    ] {
        let judged = judged(&judge, &mail).await;
        println!("{what}: {judged:?}");
        assert_says(&judged, Verdict::Fail, says);
    }
    for selector in ["mail", "strict"] {
        let own = signed(&alert(), DOMAIN, json!({ "selector": selector }));
        assert_eq!(
            judged(&judge, &own).await.verdict,
            Verdict::Pass,
            "{selector}"
        );
    }
    assert_eq!(
        judged(&judge, &part).await.verdict,
        Verdict::Pass,
        "l= that covers the whole body"
    );
    let timed = signed(&alert(), DOMAIN, json!({ "headers": undated }));
    assert_eq!(
        judged(&judge, &timed).await.verdict,
        Verdict::Pass,
        "a Date that is not signed, and a t= that always is"
    );
}

#[tokio::test]
async fn another_domains_signature_proves_nothing() {
    let zone = zone();
    let judge = judge_by(&zone.address);
    for domain in [
        "evil.example",
        "other.atlassian.com",
        "am.atlassian.com.evil.example",
        "com",
    ] {
        let judged = judged(&judge, &signed(&alert(), domain, json!({}))).await;
        assert_says(
            &judged,
            Verdict::None,
            "the mail's one signature is not of am.atlassian.com",
        );
    }
    assert_eq!(zone.asked(""), 0, "nobody is asked for a stranger's key");
}

#[tokio::test]
async fn an_old_mail_proves_nothing_unless_freshness_says_so() {
    let zone = zone();
    let dated = |at: Timestamp| {
        let mail = sample::mail("ANOMALOUS", Some("inc-1"), at).into_bytes();
        signed(&mail, DOMAIN, json!({ "tags": { "t": at.as_second() } }))
    };
    let ago = |hours: i64| now() - SignedDuration::from_hours(hours);
    let judge = judge_by(&zone.address);
    assert_eq!(judged(&judge, &dated(ago(23))).await.verdict, Verdict::Pass);
    assert_says(
        &judged(&judge, &dated(ago(25))).await,
        Verdict::Fail,
        "a replay",
    );
    // What is kept of a genuine mail, with t= left as it was.
    let undated = signed(
        &sample::mail("OK", None, ago(25)).into_bytes(),
        DOMAIN,
        json!({}),
    );
    let judged_undated = judged(&judge, &undated).await;
    assert_says(&judged_undated, Verdict::Fail, "its Date");
    assert_eq!(
        judged_undated.evidence,
        Some(Evidence::Dkim),
        "what was refuted"
    );
    let future = signed(
        &sample::mail("OK", None, now() + SignedDuration::from_hours(2)).into_bytes(),
        DOMAIN,
        json!({}),
    );
    assert_says(
        &judged(&judge, &future).await,
        Verdict::Fail,
        "in the future",
    );
    // Of a Date that cannot be read the signature's own time takes the place, where it has one.
    let unreadable = altered(&alert(), "Date: ", "Date: x");
    let timed = signed(&unreadable, DOMAIN, json!({}));
    assert_eq!(judged(&judge, &timed).await.verdict, Verdict::Pass);
    let untimed = signed(&unreadable, DOMAIN, json!({ "tags": { "t": null } }));
    assert_says(
        &judged(&judge, &untimed).await,
        Verdict::Fail,
        "the Date that it covers cannot be read",
    );
    // A zone's name that is not known may be of any zone.
    for (zone, hours, verdict) in [
        ("CEST", 2, Verdict::Pass),
        ("NZDT", 13, Verdict::Pass),
        ("NZDT", 17, Verdict::Fail),
        ("CEST", -25, Verdict::Fail),
        ("GMT", 2, Verdict::Fail),
        ("EDT", 2, Verdict::Fail),
        ("+0000 (CEST)", 2, Verdict::Fail),
    ] {
        let local = now() + SignedDuration::from_hours(hours);
        let date = format!("Date: {} {zone}", local.strftime("%a, %d %b %Y %T"));
        let mail = String::from_utf8(alert()).unwrap();
        let written = mail
            .lines()
            .find(|line| line.starts_with("Date: "))
            .unwrap();
        let named = signed(&altered(&alert(), written, &date), DOMAIN, json!({}));
        let judged = judged(&judge, &named).await;
        assert_eq!(judged.verdict, verdict, "{date}: {judged:?}");
    }
    let limit = Some(alertbridge::settings::Duration::from_secs(0));
    let patient = judge_with(Settings {
        dns: vec![zone.address.clone()],
        freshness: limit,
        ..Settings::default()
    });
    assert_eq!(
        judged(&patient, &dated(ago(25))).await.verdict,
        Verdict::Pass
    );
}

#[tokio::test]
async fn of_two_hundred_signatures_a_few_are_looked_at() {
    let zone = zone();
    let alert = alert();
    let mail = signed(&alert, DOMAIN, json!({}));
    let one = str::from_utf8(&mail)
        .unwrap()
        .split_once("\r\nFrom: ")
        .unwrap()
        .0
        .to_owned();
    let many: String = (0..200)
        .map(|n| one.replace("s=s1", &format!("s=n{n}")) + "\r\n")
        .collect();
    let judged = judged(
        &judge_by(&zone.address),
        &[many.as_bytes(), &alert].concat(),
    )
    .await;
    assert_says(
        &judged,
        Verdict::Fail,
        "a key that DNS does not have (n0._domainkey.am.atlassian.com)",
    );
    assert_eq!(zone.asked("n"), 8);
}

#[tokio::test]
async fn a_key_is_asked_for_once_and_kept() {
    let zone = zone();
    let judge = judge_by(&zone.address);
    for _ in 0..3 {
        assert_eq!(judged(&judge, &genuine()).await.verdict, Verdict::Pass);
    }
    assert_eq!(zone.asked("s1._domainkey.am.atlassian.com"), 1);
}

#[tokio::test]
async fn trouble_with_dns_is_no_verdict_on_the_mail() {
    let mail = genuine();
    let nobody = judge_by(&format!("127.0.0.1:{}", free_port()));
    assert_says(
        &judged(&nobody, &mail).await,
        Verdict::TempError,
        "cannot be looked up",
    );
    let old = sample::mail("OK", None, now() - SignedDuration::from_hours(25)).into_bytes();
    assert_says(
        &judged(&nobody, &signed(&old, DOMAIN, json!({}))).await,
        Verdict::Fail,
        "a replay",
    );
    // It refuses to answer for domains that are not its own.
    let refusing = Dnsmasq::start(&[]);
    let settings = Settings {
        domain: "atlassian.test".into(),
        dns: vec![refusing.address.clone()],
        ..Settings::default()
    };
    let other = signed(&alert(), "atlassian.test", json!({}));
    assert_says(
        &judged(&judge_with(settings), &other).await,
        Verdict::TempError,
        "cannot be looked up",
    );
}

#[tokio::test]
async fn dead_dns_holds_a_mail_for_ten_seconds_at_most_and_the_next_not_at_all() {
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let judge = judge_by(&silent.local_addr().unwrap().to_string());
    let mails: Vec<Message> = (0..100).map(|_| message("smtp", &genuine())).collect();
    let start = Instant::now();
    let verdicts = futures_util::future::join_all(mails.iter().map(|mail| judge.judge(mail))).await;
    let took = start.elapsed();
    assert!(
        verdicts
            .iter()
            .all(|judged| judged.verdict == Verdict::TempError),
        "{:?}",
        verdicts[0]
    );
    assert!(took < Duration::from_secs(12), "{took:?}");
    let start = Instant::now();
    assert_says(
        &judged(&judge, &genuine()).await,
        Verdict::TempError,
        "cannot be looked up",
    );
    assert!(
        start.elapsed() < Duration::from_secs(1),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test]
async fn mail_that_is_no_alert_is_not_judged() {
    let zone = zone();
    let mail = signed(
        b"From: x@am.atlassian.com\r\nDate: x\r\n\r\nhello\r\n",
        DOMAIN,
        json!({}),
    );
    assert_says(
        &judged(&judge_by(&zone.address), &mail).await,
        Verdict::None,
        "not checked",
    );
    assert_eq!(zone.asked(""), 0);
    let off = judge_with(Settings {
        require: Vec::new(),
        ..Settings::default()
    });
    assert_eq!(judged(&off, &genuine()).await.verdict, Verdict::Off);
}

#[tokio::test]
async fn what_spf_asks_for_a_stranger_takes_no_keys_place() {
    let zone = zone();
    let judge = judge_by(&zone.address);
    let envelope = Envelope {
        peer: Some("203.0.113.7".parse().unwrap()),
        helo: "mta.example".into(),
        mail_from: "x@s1._domainkey.am.atlassian.com".into(),
        rcpt_to: Vec::new(),
    };
    let forged = judge
        .judge(&Message {
            envelope: Some(envelope),
            ..message("smtp", &alert())
        })
        .await;
    assert_eq!(forged.verdict, Verdict::None);
    assert_eq!(judged(&judge, &genuine()).await.verdict, Verdict::Pass);
}

#[tokio::test]
async fn spf_is_recorded_and_proves_nothing() {
    let zone = zone();
    let judge = judge_by(&zone.address);
    let from = |peer: &str, mail: Vec<u8>| {
        let envelope = Envelope {
            peer: Some(peer.parse().unwrap()),
            helo: "mta.example".into(),
            mail_from: "bounce@am.atlassian.com".into(),
            rcpt_to: Vec::new(),
        };
        Message {
            envelope: Some(envelope),
            ..message("smtp", &mail)
        }
    };
    let own = judge.judge(&from("192.0.2.7", alert())).await;
    assert_eq!(
        (own.verdict, own.spf.as_deref()),
        (Verdict::None, Some("pass"))
    );
    let strangers = judge.judge(&from("203.0.113.7", genuine())).await;
    assert_eq!(
        (strangers.verdict, strangers.spf.as_deref()),
        (Verdict::Pass, Some("fail"))
    );
}

/// What a body may end in, in every order, up to a number of pieces.
fn tails(pieces: usize) -> Vec<String> {
    let mut all = vec![String::new()];
    let mut last = all.clone();
    for _ in 0..pieces {
        last = last
            .iter()
            .flat_map(|tail| [" ", "\t", "\r\n", "x", "\u{b}"].map(|next| format!("{tail}{next}")))
            .collect();
        all.extend(last.iter().cloned());
    }
    all
}

#[tokio::test]
async fn a_body_may_end_in_white_space() {
    let zone = zone();
    let judge = judge_by(&zone.address);
    let alert = String::from_utf8(alert()).unwrap();
    for simple in [false, true] {
        for tail in tails(3) {
            // Mail ends with its line: what dkimpy makes of one that does not is not the RFC's.
            let mail = format!("{alert}{tail}\r\n");
            let more = json!({ "simple": simple });
            let judged = judged(&judge, &signed(mail.as_bytes(), DOMAIN, more)).await;
            assert_eq!(
                judged.verdict,
                Verdict::Pass,
                "{simple} {tail:?} {judged:?}"
            );
        }
    }
}

#[tokio::test]
async fn white_space_at_the_end_is_ignored_by_relaxed_signatures_alone() {
    let zone = zone();
    let judge = judge_by(&zone.address);
    for (simple, added, verdict) in [
        (false, "\r\n", Verdict::Pass),
        (false, " \t\r\n", Verdict::Pass),
        (false, " \r\n\r\n \r\n", Verdict::Pass),
        (false, "  ", Verdict::Pass),
        (false, " x\r\n", Verdict::Fail),
        (true, "\r\n", Verdict::Pass),
        (true, " \r\n", Verdict::Fail),
    ] {
        let mail = signed(&alert(), DOMAIN, json!({ "simple": simple }));
        let judged = judged(&judge, &[&mail[..], added.as_bytes()].concat()).await;
        assert_eq!(judged.verdict, verdict, "{simple} {added:?} {judged:?}");
    }
}
