//! What the mailbox's host recorded: mails laid out as the hosts lay them out.

use super::*;

/// A mail as it lies in Gmail.
pub fn gmail(said: &str, mail: &[u8]) -> Vec<u8> {
    below(
        &format!(
            "Delivered-To: alerts@example.com\n\
             Received: by 2002:a05:6102:22c6:0:0:0:0 with SMTP id a6csp126141vsh; Sat, 18 Mar 2023 \
             03:21:58 -0700 (PDT)\n\
             X-Received: by 2002:a92:ca4e:: with SMTP id q14mr3941013ilo.233.1632887852170; Sat, \
             18 Mar 2023\n\
             Return-Path: <bounce@am.atlassian.com>\n\
             Received: from mta-70-150-16.atlassian.com (mta.example. [192.0.2.16])\n        by \
             mx.google.com with ESMTPS id x\n for <alerts@example.com>; Sat, 18 Mar 2023 03:21:57 \
             -0700 (PDT)\n\
             Received-SPF: pass (google.com: domain of bounce@am.atlassian.com designates \
             192.0.2.16)\n\
             {said}"
        ),
        mail,
    )
}

/// Its Authentication-Results, with the beginning of the signature it speaks of.
fn by_google(mail: &[u8]) -> String {
    let quote = quote(mail);
    format!(
        "Authentication-Results: mx.google.com;\n       dkim=pass header.i=@am.atlassian.com \
         header.s=s1 header.b={quote};\n       spf=pass (google.com: domain of \
         bounce@am.atlassian.com designates 192.0.2.16 as permitted sender) \
         smtp.mailfrom=bounce@am.atlassian.com;\n       dmarc=pass (p=NONE sp=NONE dis=NONE) \
         header.from=atlassian.com\n"
    )
}

pub fn quote(mail: &[u8]) -> String {
    let solid: String = str::from_utf8(mail).unwrap().split_whitespace().collect();
    solid.split_once(";b=").unwrap().1.chars().take(8).collect()
}

/// A genuine mail whose Message-ID Gmail has rewritten, though that is signed: the signature itself
/// fails.
fn rewritten() -> Vec<u8> {
    altered(
        &genuine(),
        "Message-ID: <",
        "Message-ID: <SMTPIN_ADDED_BROKEN@mx.google.com-",
    )
}

async fn through(ingress: &str, mail: &[u8]) -> Authenticity {
    let zone = zone();
    judge_by(&zone.address).judge(&message(ingress, mail)).await
}

#[tokio::test]
async fn what_gmail_recorded_counts_where_it_broke_the_signature() {
    let mail = rewritten();
    let mail = gmail(&by_google(&mail), &mail);
    let verdict = through("gmail", &mail).await;
    assert_says(
        &verdict,
        Verdict::Pass,
        "mx.google.com verified the signature of am.atlassian.com (selector s1)",
    );
    assert_eq!(verdict.evidence, Some(Evidence::AuthenticationResults));
    assert_eq!(
        (verdict.domain.as_deref(), verdict.selector.as_deref()),
        (Some(DOMAIN), Some("s1"))
    );
    assert_says(
        &through("smtp", &mail).await,
        Verdict::Fail,
        "the ingress names no trusted_authserv_id",
    );
    assert_says(
        &through("microsoft", &mail).await,
        Verdict::Fail,
        "the first is by mx.google.com",
    );
    assert_eq!(
        through("a file", &mail).await.verdict,
        Verdict::Pass,
        "every ingress's host counts"
    );
}

#[tokio::test]
async fn what_microsoft_recorded_counts_though_it_signs_no_name() {
    // The MIME is made anew for IMAP.
    let remade = altered(&genuine(), "_Part_alertbridge_sample", "_Part_of_Exchange");
    let laid_out = |by: &str| {
        below(
            &format!(
                "Received: from AM0PR04MB1234.eurprd04.prod.outlook.com (2603:10a6:208::1) by\n \
                 VI1PR04MB5678.eurprd04.prod.outlook.com with HTTPS; Sat, 18 Mar 2023 10:21:59 \
                 +0000\n\
                 Received: from DB8EUR05FT001.eop-eur05.prod.protection.outlook.com\n \
                 (2603:10a6:10:100:cafe::1) by DB8PR06CA0001.outlook.office365.com\n \
                 (2603:10a6:10:100::14) with Microsoft SMTP Server; Sat, 18 Mar 2023\n\
                 Authentication-Results: spf=pass (sender IP is 192.0.2.16)\n \
                 smtp.mailfrom=am.atlassian.com; example.com; dkim=pass (signature was\n verified) \
                 header.d=am.atlassian.com;example.com; dmarc=pass action=none\n \
                 header.from=am.atlassian.com;compauth=pass reason=100\n\
                 Received: from mta-70-150-16.atlassian.com (192.0.2.16) by\n {by} (10.233.243.1) \
                 with Microsoft SMTP Server; Sat, 18 Mar 2023 10:21:58 +0000\n"
            ),
            &remade,
        )
    };
    let mail = laid_out("DB8EUR05FT001.mail.protection.outlook.com");
    let verdict = through("microsoft", &mail).await;
    assert_says(
        &verdict,
        Verdict::Pass,
        "exchange verified the signature of am.atlassian.com",
    );
    assert_says(
        &through("gmail", &mail).await,
        Verdict::Fail,
        "the first is by nobody it names",
    );
    let below_a_stranger = below(
        "Received: from x by relay.evil.example with SMTP; Sat, 18 Mar 2023\n",
        &mail,
    );
    assert_says(
        &through("microsoft", &below_a_stranger).await,
        Verdict::Fail,
        "below a Received by relay.evil.example",
    );
    let lookalike = below(
        "Received: from x by outlook.com.evil.example with SMTP; Sat, 18 Mar 2023\n",
        &mail,
    );
    assert_says(
        &through("microsoft", &lookalike).await,
        Verdict::Fail,
        "below a Received by outlook.com.evil.example",
    );
}

#[tokio::test]
async fn a_line_that_is_not_the_hosts_own_never_counts() {
    let mail = rewritten();
    let said = by_google(&mail);
    let foreign = "Authentication-Results: mx.evil.example; dkim=pass header.d=am.atlassian.com\n";
    let relay = "Received: from mx.google.com by relay.evil.example with SMTP; Sat, 18 Mar 2023\n";
    let hop = "Received: by relay.evil.example with SMTP; Sat, 18 Mar 2023\n";
    for (what, mail, says) in [
        (
            "a lower one",
            gmail(&format!("{foreign}{said}"), &mail),
            "the first is by mx.evil.example",
        ),
        (
            "below another host",
            gmail(&format!("{relay}{said}"), &mail),
            "below a Received by relay.evil.example",
        ),
        (
            "handed on by another host",
            gmail(&format!("{hop}{said}"), &mail),
            "below a Received by relay.evil.example",
        ),
        (
            "below nonsense",
            gmail(&format!("Received: x\n{said}"), &mail),
            "below a Received by nobody",
        ),
        (
            "torn",
            gmail(&said.replace("dkim=pass", "dkim=pass (x"), &mail),
            "the first cannot be read",
        ),
        (
            "of a lookalike",
            gmail(
                &said.replace("mx.google.com;", "mx.google.com.evil.example;"),
                &mail,
            ),
            "the first is by",
        ),
        (
            "of no host",
            gmail(&said.replace("mx.google.com;", ""), &mail),
            "the first is by nobody",
        ),
        (
            "spaced",
            gmail(&said.replace("Results:", "Results :"), &mail),
            "which no host writes",
        ),
        (
            "tabbed",
            gmail(&said.replace("Results:", "Results\t:"), &mail),
            "which no host writes",
        ),
        (
            "folded",
            gmail(&said.replace("Results:", "Results\n :"), &mail),
            "which no host writes",
        ),
        (
            "in two",
            gmail(&said.replace("Results:", "Results x:"), &mail),
            "the mail has none",
        ),
        (
            "marked",
            gmail(&said.replace("Auth", "\u{feff}Auth"), &mail),
            "which no host writes",
        ),
        (
            "marked at the top",
            below(&said.replace("Auth", "\u{feff}Auth"), &mail),
            "which no host writes",
        ),
        (
            "marked twice over",
            gmail(&said.replace("Auth", "\u{ef}\u{bb}\u{bf}Auth"), &mail),
            "which no host writes",
        ),
        (
            "marked, and as it should be in the body",
            [
                &gmail(&said.replace("Auth", "\u{feff}Auth"), &mail)[..],
                said.as_bytes(),
            ]
            .concat(),
            "which no host writes",
        ),
        (
            "spaced, above",
            gmail(
                &format!("{}{said}", said.replace("Results:", "Results :")),
                &mail,
            ),
            "which no host writes",
        ),
        (
            "below a spaced Received",
            gmail(
                &format!("Received : by mx.google.com with x\n{said}"),
                &mail,
            ),
            "by nobody",
        ),
        (
            "failed",
            gmail(&said.replace("dkim=pass", "dkim=fail"), &mail),
            "passed (dkim=fail)",
        ),
        (
            "unsigned",
            gmail(&said.replace("dkim=pass", "spf=pass"), &mail),
            "passed (dkim=nothing)",
        ),
        (
            "of another domain",
            gmail(&said.replace("=@am.atl", "=@evil.atl"), &mail),
            "passed (dkim=nothing)",
        ),
        (
            "in a comment",
            gmail(
                &said
                    .replace("dkim=pass", "x=y (dkim=pass")
                    .replace(";\n       spf", ");\n spf"),
                &mail,
            ),
            "passed",
        ),
        (
            "denied",
            gmail(
                &said.replace(
                    "spf=pass",
                    "dkim=neutral header.d=am.atlassian.com; spf=pass",
                ),
                &mail,
            ),
            "both pass and neutral",
        ),
    ] {
        let judged = through("gmail", &mail).await;
        println!("{what}: {judged:?}");
        assert_says(&judged, Verdict::Fail, says);
    }
}

#[tokio::test]
async fn a_senders_own_line_below_a_host_that_adds_none_needs_a_signature_of_the_domain() {
    let forged = alert();
    let said = |b: &str| {
        format!(
            "Authentication-Results: mx.google.com; dkim=pass header.i=@am.atlassian.com \
             header.s=s1 header.b={b}\n"
        )
    };
    let bare = through("gmail", &gmail(&said("D7LB4PXY"), &forged)).await;
    assert_says(
        &bare,
        Verdict::Fail,
        "that the mail does not carry: a forgery",
    );
    let strangers = signed(&forged, "evil.example", json!({}));
    assert_says(
        &through("gmail", &gmail(&said(&quote(&strangers)), &strangers)).await,
        Verdict::Fail,
        "a forgery",
    );
    let own = rewritten();
    for other in [
        said("D7LB4PXY"),
        said(&quote(&own)).replace("s=s1", "s=s2"),
        said("\"\""),
    ] {
        assert_says(
            &through("gmail", &gmail(&other, &own)).await,
            Verdict::Fail,
            "a forgery",
        );
    }
    for (faulty, says) in [
        (
            signed(&forged, DOMAIN, json!({ "l": true })),
            "only the beginning of the body (l=)",
        ),
        (signed(&forged, DOMAIN, json!({})), "does not fit the body"),
        (
            signed(&forged, DOMAIN, json!({ "algorithm": "rsa-sha1" })),
            "rsa-sha1",
        ),
        (
            signed(
                &forged,
                DOMAIN,
                json!({ "tags": { "t": now().as_second() - 90_000 } }),
            ),
            "a replay",
        ),
        (
            signed(
                &forged,
                DOMAIN,
                json!({ "tags": { "x": now().as_second() - 1 } }),
            ),
            "it had expired",
        ),
        (
            signed(&forged, DOMAIN, json!({ "omit": "from" })),
            "it does not cover From",
        ),
    ] {
        let mail = [&gmail(&said(&quote(&faulty)), &faulty)[..], b"appended\r\n"].concat();
        assert_says(&through("gmail", &mail).await, Verdict::Fail, says);
    }
}

/// A genuine mail of long ago whose Date is not signed, sent again with a Date of now.
fn replayed() -> Vec<u8> {
    let at = now() - SignedDuration::from_hours(20 * 24);
    let old = sample::mail("OK", Some("inc-1"), at).into_bytes();
    let more = json!({ "headers": ["From", "Subject"], "tags": { "t": at.as_second() } });
    let date = |at: Timestamp| at.strftime("%a, %d %b %Y").to_string();
    let old = signed(&old, DOMAIN, more);
    let old = String::from_utf8(old).unwrap();
    let (before, dated) = old.split_once("\r\nDate: ").unwrap();
    let (_, behind) = dated.split_once("\r\n").unwrap();
    let time = now().strftime("%T +0000");
    format!("{before}\r\nDate: {} {time}\r\n{behind}", date(now())).into_bytes()
}

/// A signature of the mail that would count, and was never verified: it is by another key. Its `b=`
/// begins as that of the mail's own.
pub fn decoy(mail: &[u8]) -> String {
    let signed = signed(mail, DOMAIN, json!({ "key": WEAK.pem }));
    let field = &signed[..signed.len() - mail.len()];
    let field = String::from_utf8(field.to_vec())
        .unwrap()
        .replace("\r\n", "\n");
    let (before, after) = field.rsplit_once("b=").unwrap();
    let copied = quote(mail);
    let kept: String = after.split_whitespace().collect();
    format!("{before}b={copied}{}\n", &kept[8..])
}

#[tokio::test]
async fn a_decoy_beside_the_signature_that_passed_does_not_count_in_its_place() {
    let mail = replayed();
    let decoy = decoy(&mail);
    let junk = "DKIM-Signature: v=1; a=rsa-sha256; d=evil.example; s=x; h=From; bh=AAAA; b=AAAA\n";
    let quoted = format!("header.d={DOMAIN} header.s=s1 header.b={}", quote(&mail));
    let exchange = |said: &str, mail: &[u8]| {
        let taken = "Received: from a (192.0.2.16) by b.mail.protection.outlook.com; x\n";
        below(
            &format!("Authentication-Results: spf=none; {said}\n{taken}"),
            mail,
        )
    };
    let google = |said: &str, mail: &[u8]| {
        gmail(
            &format!("Authentication-Results: mx.google.com; {said}\n"),
            mail,
        )
    };
    let sealed = |said: &str, mail: &[u8]| {
        let said = format!("Authentication-Results: mx.google.com; {said}\n");
        signer::sealed(
            &below(&said, mail),
            "google.com",
            "mx.google.com",
            json!({}),
        )
    };
    let bare = format!("dkim=pass header.d={DOMAIN}");
    for said in [bare.clone(), format!("dkim=pass {quoted}")] {
        for (what, decoys) in [
            ("none", String::new()),
            ("one", decoy.clone()),
            (
                "behind what a host looks at",
                format!("{junk}{junk}{decoy}"),
            ),
            ("more than are looked at here", decoy.repeat(8)),
        ] {
            for forged in [
                google(&said, &below(&decoys, &mail)),
                google(
                    &said,
                    &altered(
                        &mail,
                        "From: ",
                        &format!("{}From: ", decoys.replace('\n', "\r\n")),
                    ),
                ),
            ] {
                let verdict = through("gmail", &forged).await;
                assert_eq!(verdict.verdict, Verdict::Fail, "{said} {what} {verdict:?}");
            }
            let forged = below(&decoys, &mail);
            let by_exchange = through("microsoft", &exchange(&said, &forged)).await;
            assert_eq!(
                by_exchange.verdict,
                Verdict::Fail,
                "{said} {what} {by_exchange:?}"
            );
            let by_seal = through("smtp", &sealed(&said, &forged)).await;
            assert_eq!(by_seal.verdict, Verdict::Fail, "{said} {what} {by_seal:?}");
        }
    }

    // Hosts differ in what they make of a `b=` that is oddly written, which nothing covers.
    for odd in ["!", "=", ".", "\u{e4}", " \t", "\r\n\t"] {
        let odd = altered(&mail, " b=", &format!(" b={odd}"));
        let verdict = through("gmail", &google(&bare, &below(&decoy, &odd))).await;
        assert_eq!(verdict.verdict, Verdict::Fail, "{verdict:?}");
    }

    // Whoever signs twice, and both times so that it counts, is proven by either.
    let twice = signed(&rewritten(), DOMAIN, json!({}));
    for said in [bare.clone(), format!("{bare}; {bare}")] {
        let verdict = through("gmail", &google(&said, &twice)).await;
        assert_eq!(verdict.verdict, Verdict::Pass, "{verdict:?}");
    }
    // A stranger's signature beside it is nothing to it.
    let by_list = signed(&rewritten(), "list.example", json!({ "headers": ["From"] }));
    let verdict = through("gmail", &google(&bare, &by_list)).await;
    assert_eq!(verdict.verdict, Verdict::Pass, "{verdict:?}");
}
