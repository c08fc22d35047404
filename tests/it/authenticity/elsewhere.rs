//! What other verifiers were found to let pass, or to refuse that is right.

use super::{
    recorded::{gmail, quote},
    signer::sealed,
    *,
};

#[tokio::test]
async fn what_fooled_other_verifiers_proves_nothing() {
    let zone = zone();
    let judge = judge_by(&zone.address);
    let mail = genuine();
    let evil = signed(&alert(), "evil.example", json!({}));
    let host = |said: &str, mail: &[u8]| gmail(&format!("Authentication-Results: {said}\n"), mail);
    let by_google = format!(
        "mx.google.com; dkim=pass header.d=am.atlassian.com header.b={}",
        quote(&evil)
    );
    let failed = "Authentication-Results: mx.google.com; dkim=fail header.d=am.atlassian.com\n";
    let said = "Authentication-Results: mx.google.com; dkim=pass header.d=am.atlassian.com\n";
    let altered_body = altered(&mail, "Objective", "Subjective");
    let tampered = |from: &str, to: &str| altered(&mail, from, to);
    for (what, mail) in [
        // The name of the domain goes on in a comment (CVE-2020-12272).
        (
            "a comment in a result",
            host(
                &by_google.replace("atlassian.com", "atlassian.com(.evil.example"),
                &evil,
            ),
        ),
        (
            "a closed comment in a result",
            host(
                &by_google.replace("atlassian.com", "atlassian.com(.evil.example)"),
                &evil,
            ),
        ),
        (
            "a comment in d=",
            tampered("d=am.atlassian.com", "d=am.atlassian.com(.evil.example"),
        ),
        // DNS is asked for a name that ends early ("Composition Kills", A2).
        (
            "a selector that ends the name",
            tampered("s=s1", "s=s1._domainkey.evil.example.\u{1}"),
        ),
        (
            "a selector that holds the name",
            tampered("s=s1", "s=s1._domainkey.evil.example."),
        ),
        ("a selector with an escape", tampered("s=s1", "s=s1\\.x")),
        // A host that removes one line of two (CVE-2022-48521).
        (
            "two lines, the first failed",
            gmail(&format!("{failed}{said}"), &altered_body),
        ),
        (
            "two lines, both of a sender",
            gmail(&format!("{said}{said}"), &altered_body),
        ),
        (
            "the line of a job",
            host(
                "\"mx.google.com/4711\"; dkim=pass header.d=am.atlassian.com",
                &altered_body,
            ),
        ),
        (
            "a pass in another's reason",
            host(
                "mx.google.com; spf=none reason=\"dkim=pass header.d=am.atlassian.com\"",
                &evil,
            ),
        ),
        (
            "an empty quote",
            host(
                "mx.google.com; dkim=pass header.d=am.atlassian.com header.b=",
                &altered_body,
            ),
        ),
        ("a pass of another signature", host(&by_google, &evil)),
        // The signature says that nothing of the body counts.
        (
            "l=0 and more",
            [
                &signed(&alert(), DOMAIN, json!({ "tags": { "l": 0 } }))[..],
                b"more\r\n",
            ]
            .concat(),
        ),
        ("b= given twice", tampered("b=", "b=; bh=")),
        ("an h= that is empty", tampered("h=", "h=; x-h=")),
    ] {
        let judged = judge.judge(&message("gmail", &mail)).await;
        println!("{what}: {judged:?}");
        assert!(
            matches!(judged.verdict, Verdict::Fail | Verdict::None),
            "{what}: {judged:?}"
        );
    }
}

#[tokio::test]
async fn a_chain_that_others_went_on_with_proves_nothing() {
    let zone = zone();
    let judge = judge_by(&zone.address);
    let broken = altered(&genuine(), "</html>", "</html>=0AA footer of the list");
    let said =
        "Authentication-Results: mx.google.com; dkim=pass header.i=@am.atlassian.com header.s=s1\n";
    let sealed_with = |more| sealed(&below(said, &broken), "google.com", "mx.google.com", more);
    let chain = sealed_with(json!({}));
    assert_eq!(judged(&judge, &chain).await.verdict, Verdict::Pass);
    for (what, mail) in [
        (
            "said to have failed before",
            altered(&chain, "cv=none", "cv=fail"),
        ),
        (
            "said to have passed before",
            altered(&chain, "cv=none", "cv=pass"),
        ),
        ("says nothing of before", altered(&chain, "cv=none; ", "")),
        (
            "begins with the second",
            String::from_utf8(chain.clone())
                .unwrap()
                .replace("i=1;", "i=2;")
                .into_bytes(),
        ),
        (
            "of no instance",
            String::from_utf8(chain.clone())
                .unwrap()
                .replace("i=1;", "i=0;")
                .into_bytes(),
        ),
        (
            "a tag twice",
            altered(&chain, "cv=none", "cv=fail; cv=none"),
        ),
        ("a spaced field", altered(&chain, "ARC-Seal:", "ARC-Seal :")),
        (
            "the seal twice",
            below(
                "ARC-Seal: i=1; a=rsa-sha256; cv=none; d=google.com; s=s1; b=eA==\n",
                &chain,
            ),
        ),
        (
            "the results twice",
            below(
                "ARC-Authentication-Results: i=1; mx.google.com; dkim=pass\n",
                &chain,
            ),
        ),
        (
            "by a key for tests",
            sealed_with(json!({ "selector": "testing" })),
        ),
        ("of no algorithm", altered(&chain, "a=rsa-sha256; ", "")),
        (
            "covers the beginning",
            altered(
                &chain,
                "ARC-Message-Signature: ",
                "ARC-Message-Signature: l=1; ",
            ),
        ),
    ] {
        let judged = judged(&judge, &mail).await;
        println!("{what}: {judged:?}");
        assert_eq!(judged.verdict, Verdict::Fail, "{what}: {judged:?}");
    }
}

#[tokio::test]
async fn what_others_wrongly_refused_is_proven() {
    let bare = KEY.record.replace("v=DKIM1; k=rsa; ", "");
    let spaced = KEY.record.replace(
        "v=DKIM1; k=rsa; p=",
        "v = DKIM1 ;k= rsa ; s = * : email; n=a note; g=x;  p = ",
    ) + " ; ";
    let ended = format!("{};; ", KEY.record);
    let records = [
        ("bare._domainkey.am.atlassian.com", bare.as_str()),
        ("spaced._domainkey.am.atlassian.com", spaced.as_str()),
        ("ended._domainkey.am.atlassian.com", ended.as_str()),
        // A record that is no key beside one that is.
        ("two._domainkey.am.atlassian.com", "v=spf1 -all"),
        ("two._domainkey.am.atlassian.com", KEY.record.as_str()),
        ("s1._domainkey.am.atlassian.com", KEY.record.as_str()),
        ("_x.a--b._domainkey.am.atlassian.com", KEY.record.as_str()),
    ];
    let zone = Dnsmasq::start(&records);
    let judge = judge_by(&zone.address);
    for selector in ["bare", "spaced", "ended", "two", "_x.a--b"] {
        let verdict = judged(
            &judge,
            &signed(&alert(), DOMAIN, json!({ "selector": selector })),
        )
        .await;
        assert_eq!(verdict.verdict, Verdict::Pass, "{selector}: {verdict:?}");
    }
    for more in [
        json!({ "tags": { "q": "dns/txt" } }),
        json!({ "tags": { "i": "bounce@x.am.atlassian.com" } }),
    ] {
        assert_eq!(
            judged(&judge, &signed(&alert(), DOMAIN, more))
                .await
                .verdict,
            Verdict::Pass
        );
    }
    // Comments around the name of the host (RFC 8601, 2.2).
    let rewritten = altered(&genuine(), "Message-ID: <", "Message-ID: <x");
    for said in [
        "(a) mx.google.com (b) ; dkim=pass",
        "\"mx.google.com\" 1 ;dkim=pass (c)",
        "MX.google.com;\n\tdkim=pass",
    ] {
        let said = format!("Authentication-Results: {said} header.d=am.atlassian.com\n");
        let judged = judge
            .judge(&message("gmail", &gmail(&said, &rewritten)))
            .await;
        assert_eq!(
            judged.evidence,
            Some(Evidence::AuthenticationResults),
            "{said}{judged:?}"
        );
    }
}
