//! Chains of seals, made by dkimpy.

use super::{signer::sealed, *};

const PASSED: &str = "dkim=pass header.i=@am.atlassian.com header.s=s1";

/// A mail that a host took, and sealed by what it found: `said` is its Authentication-Results.
fn taken_and_sealed(
    mail: &[u8],
    domain: &str,
    host: &str,
    said: &str,
    more: serde_json::Value,
) -> Vec<u8> {
    sealed(
        &below(&format!("Authentication-Results: {host}; {said}\n"), mail),
        domain,
        host,
        more,
    )
}

/// A genuine mail that Google took, sealed, and sent on with a footer of its own: the signature is
/// broken by then.
fn forwarded() -> Vec<u8> {
    taken_and_sealed(&footed(), "google.com", "mx.google.com", PASSED, json!({}))
}

fn footed() -> Vec<u8> {
    altered(&genuine(), "</html>", "</html>=0AA footer of the list")
}

#[tokio::test]
async fn a_named_forwarders_seal_proves_what_it_changed() {
    let zone = zone();
    let verdict = judged(&judge_by(&zone.address), &forwarded()).await;
    assert_says(
        &verdict,
        Verdict::Pass,
        "google.com verified the signature of am.atlassian.com and sealed that",
    );
    assert_eq!(
        (verdict.evidence, verdict.domain.as_deref()),
        (Some(Evidence::Arc), Some(DOMAIN))
    );
    assert_eq!(verdict.selector.as_deref(), Some("s1"));
    let dkim_alone = Settings {
        require: vec![Evidence::Dkim],
        dns: vec![zone.address.clone()],
        ..Settings::default()
    };
    assert_says(
        &judged(&judge_with(dkim_alone), &forwarded()).await,
        Verdict::Fail,
        "the body was altered",
    );
}

#[tokio::test]
async fn a_chain_that_does_not_validate_or_says_nothing_of_the_domain_is_refused() {
    let zone = zone();
    let judge = judge_by(&zone.address);
    let seal =
        |said: &str, more| taken_and_sealed(&footed(), "google.com", "mx.google.com", said, more);
    let second = now().as_second();
    for (what, mail, says) in [
        (
            "body",
            altered(&forwarded(), "Objective", "Subjective"),
            "hash does not match",
        ),
        (
            "subject",
            altered(&forwarded(), "Subject: ", "Subject: not "),
            "does not validate",
        ),
        (
            "results",
            altered(&forwarded(), "header.s=s1", "header.s=s2"),
            "does not validate",
        ),
        (
            "no seal",
            altered(&forwarded(), "ARC-Seal", "X-Seal"),
            "the chain is incomplete",
        ),
        (
            "junk",
            altered(&forwarded(), "cv=none", "cv=maybe"),
            "the chain cannot be read",
        ),
        (
            "type",
            below("Content-Type: text/html\n", &forwarded()),
            "a Content-Type was added",
        ),
        (
            "failed",
            seal("dkim=fail header.i=@am.atlassian.com", json!({})),
            "no signature of am.atlassian.com passed",
        ),
        (
            "other",
            seal("dkim=pass header.i=@evil.example", json!({})),
            "no signature of am.atlassian.com passed",
        ),
        (
            "spf",
            seal("spf=pass smtp.mailfrom=am.atlassian.com", json!({})),
            "passed (dkim=nothing)",
        ),
        (
            "both",
            seal(
                "dkim=pass header.d=am.atlassian.com; dkim=fail header.d=am.atlassian.com",
                json!({}),
            ),
            "both pass and fail",
        ),
        (
            "old",
            seal(PASSED, json!({ "tags": { "t": second - 90_000 } })),
            "the time it was sealed",
        ),
        (
            "future",
            seal(PASSED, json!({ "tags": { "t": second + 7_200 } })),
            "the time it was sealed",
        ),
        (
            "rsa-sha1",
            seal(PASSED, json!({ "algorithm": "rsa-sha1" })),
            "rsa-sha1",
        ),
        (
            "unknown key",
            seal(PASSED, json!({ "selector": "nobody" })),
            "does not validate",
        ),
    ] {
        let judged = judged(&judge, &mail).await;
        println!("{what}: {judged:?}");
        assert_says(&judged, Verdict::Fail, says);
        assert!(judged.detail.unwrap().contains("ARC: "));
    }
}

#[tokio::test]
async fn a_strangers_seal_does_not_count_and_his_name_servers_are_not_asked() {
    let zone = zone();
    let judge = judge_by(&zone.address);
    let strangers = taken_and_sealed(&alert(), "evil.example", "mx.google.com", PASSED, json!({}));
    assert_says(
        &judged(&judge, &strangers).await,
        Verdict::None,
        "which trusted_arc_sealers does not name",
    );
    let below_google =
        taken_and_sealed(&alert(), "x.google.com", "mx.google.com", PASSED, json!({}));
    assert_says(
        &judged(&judge, &below_google).await,
        Verdict::None,
        "which trusted_arc_sealers does not name",
    );
    assert_eq!(zone.asked(""), 0);
}

#[tokio::test]
async fn every_instance_from_the_witness_on_must_be_a_named_ones() {
    let zone = zone();
    let judge = judge_by(&zone.address);
    let again = |mail: &[u8], domain: &str, host: &str, said: &str| {
        let mail = altered(mail, "A footer", "Another line, A footer");
        taken_and_sealed(&mail, domain, host, &format!("arc=pass; {said}"), json!({}))
    };
    let broken = "dkim=fail header.d=am.atlassian.com";
    let by_both = again(&forwarded(), "google.com", "mx.google.com", broken);
    assert_says(
        &judged(&judge, &by_both).await,
        Verdict::Pass,
        "instance 1 of 2",
    );
    let by_stranger_last = again(&forwarded(), "list.example", "list.example", broken);
    assert_says(
        &judged(&judge, &by_stranger_last).await,
        Verdict::Fail,
        "the last seal is by list.example",
    );
    let by_stranger_between = again(&by_stranger_last, "google.com", "mx2.google.com", broken);
    assert_says(
        &judged(&judge, &by_stranger_between).await,
        Verdict::Fail,
        "no signature of am.atlassian.com passed",
    );
    let stranger_first =
        taken_and_sealed(&footed(), "list.example", "list.example", broken, json!({}));
    let seen_by_google = again(&stranger_first, "google.com", "mx.google.com", PASSED);
    assert_says(
        &judged(&judge, &seen_by_google).await,
        Verdict::Pass,
        "instance 2 of 2",
    );
}

#[tokio::test]
async fn trouble_that_a_strangers_seal_makes_is_not_taken_for_trouble_with_dns() {
    let zone = zone();
    let broken = "dkim=fail header.d=am.atlassian.com";
    // A domain that the name server refuses to answer for.
    let stranger = taken_and_sealed(
        &footed(),
        "out-of-reach.test",
        "list.example",
        broken,
        json!({}),
    );
    let said = format!("arc=pass; {PASSED}");
    let mail = taken_and_sealed(&stranger, "google.com", "mx.google.com", &said, json!({}));
    assert_says(
        &judged(&judge_by(&zone.address), &mail).await,
        Verdict::Fail,
        "a seal that is not named",
    );
    let nobody = judge_by(&format!("127.0.0.1:{}", free_port()));
    let dkim_less = Settings {
        require: vec![Evidence::Arc],
        dns: vec![format!("127.0.0.1:{}", free_port())],
        ..Settings::default()
    };
    assert_says(
        &judged(&judge_with(dkim_less), &mail).await,
        Verdict::TempError,
        "a key cannot be looked up",
    );
    assert_eq!(
        judged(&nobody, &forwarded()).await.verdict,
        Verdict::TempError
    );
}

#[tokio::test]
async fn what_was_altered_between_two_forwarders_is_not_proven() {
    let zone = zone();
    let judge = judge_by(&zone.address);
    // Of its two parts the second is an alert that the first only quotes.
    let parts = "--b1\r\nContent-Type: text/plain\r\n\r\nno alert\r\n--b1\r\nContent-Type: \
                 text/html\r\n\r\n<p>an alert</p>\r\n--b1--\r\n";
    let date = now().strftime("%a, %d %b %Y %T +0000");
    let mail = format!(
        "From: no-reply@am.atlassian.com\r\nTo: a@example.com\r\nSubject: x\r\nDate: \
         {date}\r\nMIME-Version: 1.0\r\nContent-Type: multipart/alternative; \
         boundary=b1\r\n\r\n{parts}"
    );
    let all = [
        "From",
        "To",
        "Subject",
        "Date",
        "MIME-Version",
        "Content-Type",
    ];
    let genuine = signed(mail.as_bytes(), DOMAIN, json!({ "headers": all }));
    let flip = |mail: &[u8]| altered(mail, "multipart/alternative; boundary=b1", "text/html");
    let broken = "arc=pass; dkim=fail header.d=am.atlassian.com";

    for first in 1..=all.len() {
        for second in 1..=all.len() {
            let headers = |number: usize| json!({ "headers": &all[..number] });
            let host = "mx.google.com";
            let sealed = taken_and_sealed(&genuine, "google.com", host, PASSED, headers(first));
            let again = |mail: &[u8]| {
                taken_and_sealed(
                    mail,
                    "google.com",
                    "mx2.google.com",
                    broken,
                    headers(second),
                )
            };
            // Where the first covers the type, the second sees that its chain is broken.
            if first < all.len() {
                let flipped = judged(&judge, &again(&flip(&sealed))).await;
                assert_eq!(
                    flipped.verdict,
                    Verdict::Fail,
                    "{first} {second} {flipped:?}"
                );
            }
            let kept = judged(&judge, &again(&sealed)).await;
            assert_eq!(kept.verdict, Verdict::Pass, "{first} {second} {kept:?}");
        }
    }
}
