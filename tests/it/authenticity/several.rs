//! Hosts that write several Authentication-Results: every order of them, above their Received and
//! below it, with what a sender wrote beneath.

use super::{
    recorded::{decoy, quote},
    *,
};

const RECEIVED: &str = "Received: from mta.example (mta.example. [192.0.2.16]) by mx.google.com \
                        with ESMTPS id x; Sat, 18 Mar 2023 03:21:57 -0700\n";

fn said(what: &str) -> String {
    format!("Authentication-Results: mx.google.com; {what}\n")
}

/// Every order of every selection of these.
fn orders(of: &[String]) -> Vec<Vec<String>> {
    let mut all = vec![Vec::new()];
    for (at, first) in of.iter().enumerate() {
        let others: Vec<String> = [&of[..at], &of[at + 1..]].concat();
        all.extend(
            orders(&others)
                .into_iter()
                .map(|rest| [std::slice::from_ref(first), &rest[..]].concat()),
        );
    }
    all
}

/// A judge that reads nothing but what the host wrote, and never asks DNS.
fn judge() -> Authenticator {
    judge_with(Settings {
        require: vec![Evidence::AuthenticationResults],
        dns: vec!["127.0.0.1:9".into()],
        ..Settings::default()
    })
}

/// A mail as the host delivers it: so many of its fields stand above its Received.
fn delivered(fields: &[String], above: usize, mail: &[u8]) -> Vec<u8> {
    let (above, beneath) = fields.split_at(above);
    below(
        &[&above.concat(), RECEIVED, &beneath.concat()].concat(),
        mail,
    )
}

#[tokio::test]
async fn one_of_several_counts_where_only_the_host_can_have_written_it() {
    let judge = judge();
    let mail = genuine();
    let pass = said(&format!(
        "dkim=pass header.d={DOMAIN} header.b={}",
        quote(&mail)
    ));
    let statements = [
        pass.clone(),
        said("dkim=pass header.d=sparkpost.example"),
        said("spf=pass smtp.mailfrom=am.atlassian.com; dmarc=pass header.from=atlassian.com"),
        said("arc=none"),
    ];

    let mut passed = 0;
    for fields in orders(&statements) {
        let place = fields.iter().position(|field| *field == pass);
        for above in 0..=fields.len() {
            let laid_out = delivered(&fields, above, &mail);
            let judged = judge.judge(&message("gmail", &laid_out)).await;
            let counts = place.is_some_and(|place| place == 0 || place < above);
            let text = String::from_utf8_lossy(&laid_out);
            assert_eq!(
                judged.verdict == Verdict::Pass,
                counts,
                "{judged:?}\n{text}"
            );
            passed += u32::from(counts);
        }
    }
    assert_eq!(passed, 122, "so many layouts are believed");
}

#[tokio::test]
async fn what_a_sender_wrote_beneath_the_hosts_own_never_counts() {
    let judge = judge();
    let signed = genuine();
    let changed = altered(&signed, "Subject: ", "Subject: Not ");
    let forged = [decoy(&signed).replace('\n', "\r\n").as_bytes(), &changed].concat();
    let claim = said(&format!(
        "dkim=pass header.d={DOMAIN} header.b={}",
        quote(&signed)
    ));
    // That is what it takes where the host writes no field at all, which the guide warns of.
    let only = delivered(std::slice::from_ref(&claim), 0, &forged);
    let only = judge.judge(&message("gmail", &only)).await;
    assert_eq!(only.verdict, Verdict::Pass);

    let own = [
        said("dkim=fail header.d=sparkpost.example"),
        said("spf=fail smtp.mailfrom=am.atlassian.com"),
        said(&format!("dkim=fail header.d={DOMAIN}")),
    ];
    let tricks = [
        claim.clone(),
        RECEIVED.to_owned(),
        "Received: by 2002:a05:6102:22c6:0:0:0:0 with SMTP id x; Sat, 18 Mar 2023\n".to_owned(),
    ];

    let mut tried = 0;
    for fields in orders(&own).into_iter().filter(|fields| !fields.is_empty()) {
        for trick in orders(&tricks) {
            for above in 0..=fields.len() {
                let mail = below(&[&trick.concat(), &claim[..]].concat(), &forged);
                let laid_out = delivered(&fields, above, &mail);
                let judged = judge.judge(&message("gmail", &laid_out)).await;
                let text = String::from_utf8_lossy(&laid_out);
                assert_ne!(judged.verdict, Verdict::Pass, "{judged:?}\n{text}");
                tried += 1;
            }
        }
    }
    assert!(tried > 500, "{tried}");
}

#[tokio::test]
async fn the_run_of_the_hosts_fields_ends_at_what_is_not_its_own() {
    let judge = judge();
    let mail = genuine();
    let pass = said(&format!("dkim=pass header.d={DOMAIN}"));
    let spf = said("spf=pass");
    for (what, fields, received) in [
        (
            "behind another host's",
            format!("{spf}Authentication-Results: mx.evil.example; spf=pass\n{pass}"),
            RECEIVED,
        ),
        (
            "spaced",
            format!("{spf}{}", pass.replace("Results:", "Results :")),
            RECEIVED,
        ),
        (
            "behind one that cannot be read",
            format!("{spf}{}{pass}", said("spf=pass (x")),
            RECEIVED,
        ),
        (
            "behind one that says that it failed",
            format!(
                "{spf}{}{pass}",
                said(&format!("dkim=fail header.d={DOMAIN}"))
            ),
            RECEIVED,
        ),
        (
            "above another host's Received",
            format!("{spf}{pass}"),
            "Received: from x by relay.evil.example with SMTP; Sat, 18 Mar 2023\n",
        ),
        (
            "above a Received that is oddly written",
            format!("{spf}{pass}"),
            "Received : from x by mx.google.com with SMTP; Sat, 18 Mar 2023\n",
        ),
        ("above none", format!("{spf}{pass}"), ""),
    ] {
        let laid_out = below(&[&fields, received].concat(), &mail);
        let judged = judge.judge(&message("gmail", &laid_out)).await;
        assert_eq!(judged.verdict, Verdict::Fail, "{what}: {judged:?}");
    }
    let whole = below(&[&spf, &pass, RECEIVED].concat(), &mail);
    let judged = judge.judge(&message("gmail", &whole)).await;
    assert_says(&judged, Verdict::Pass, "mx.google.com verified");
    let exchange = "Received: from a (192.0.2.16) by b.mail.protection.outlook.com; x\n";
    let nameless = [&spf, &pass, exchange]
        .concat()
        .replace(" mx.google.com;", "");
    let judged = judge
        .judge(&message("microsoft", &below(&nameless, &mail)))
        .await;
    assert_eq!(
        judged.verdict,
        Verdict::Fail,
        "Exchange writes one: {judged:?}"
    );
}
