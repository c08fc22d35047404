//! Hundreds of forged mails through every door.

use super::{
    doors::{DOORS, send, webhooks},
    *,
};
use crate::{dovecot::Dovecot, sns::Sns};
use alertbridge::ingress::imap::Tls;

/// One way to forge a mail that says this; `stolen` is a genuine one.
type Forger = fn(&[u8], stolen: &str) -> Vec<u8>;

fn text(mail: &[u8]) -> String {
    String::from_utf8(mail.to_vec()).unwrap()
}

/// The header fields that sign a mail.
fn signature(mail: &str) -> &str {
    &mail[..mail.find("From: ").unwrap()]
}

/// A genuine mail about an incident of the forger's own, the text of which holds the element of
/// another: its signature does not cover how it is read, and the fields that say so are replaced.
fn reread(mail: &[u8], fields: &str) -> Vec<u8> {
    let mail = text(mail);
    let (header, body) = mail.split_once("\r\n\r\n").unwrap();
    let element = body
        .split_once("<script")
        .unwrap()
        .1
        .split_once("</script>")
        .unwrap()
        .0;
    let own = format!(
        "--b\r\nContent-Type: text/plain\r\n\r\n<html>\r\n--c\r\nContent-Type: text/html\r\n\
         Content-Transfer-Encoding: \
         quoted-printable\r\n\r\n<script{element}</script>\r\n--c--\r\n</html>\r\n--b\r\n\
         Content-Type: text/html\r\n\r\n<p>Hello</p>\r\n--b--\r\n"
    );
    let (kept, _) = header.split_once("Content-Type:").unwrap();
    let genuine = format!("{kept}Content-Type: multipart/alternative; boundary=b\r\n\r\n{own}");
    let covered = json!({ "headers": ["from", "to", "subject", "date"] });
    let genuine = text(&signed(genuine.as_bytes(), DOMAIN, covered));
    genuine
        .replacen(
            "Content-Type: multipart/alternative; boundary=b\r\n",
            fields,
            1,
        )
        .into_bytes()
}

const FORGERS: [(&str, Forger); 30] = [
    ("a selector that cannot be asked for", |mail, _| {
        signed(mail, DOMAIN, json!({ "selector": "-x" }))
    }),
    ("a selector with an empty label", |mail, _| {
        signed(mail, DOMAIN, json!({ "tags": { "s": "x..y" } }))
    }),
    ("a selector too long", |mail, _| {
        signed(mail, DOMAIN, json!({ "tags": { "s": "x".repeat(64) } }))
    }),
    ("a domain that cannot be asked for", |mail, _| {
        signed(
            mail,
            DOMAIN,
            json!({ "tags": { "d": "-x.am.atlassian.com" } }),
        )
    }),
    ("by a key for tests", |mail, _| {
        signed(mail, DOMAIN, json!({ "selector": "testing" }))
    }),
    ("by a key for something else", |mail, _| {
        signed(mail, DOMAIN, json!({ "selector": "tlsrpt" }))
    }),
    ("read as HTML", |mail, _| {
        reread(
            mail,
            "Content-Type: text/html\r\nContent-Transfer-Encoding: quoted-printable\r\n",
        )
    }),
    ("read by another boundary", |mail, _| {
        reread(mail, "Content-Type: multipart/mixed; boundary=c\r\n")
    }),
    ("read as HTML, oddly written", |mail, _| {
        reread(
            mail,
            "Content-Type : text/html\r\nContent-Transfer-Encoding : quoted-printable\r\n",
        )
    }),
    ("says it passed, oddly written", |mail, _| {
        [
            &b"Authentication-Results : mx.google.com; dkim=pass header.d=am.atlassian.com\r\n"[..],
            mail,
        ]
        .concat()
    }),
    ("says that its own signature passed", |mail, _| {
        let mail = signed(mail, DOMAIN, json!({ "selector": "s9" }));
        [
            &b"Authentication-Results: mx.google.com; dkim=pass header.d=am.atlassian.com\r\n"[..],
            &mail,
        ]
        .concat()
    }),
    ("sealed by who does not answer", |mail, _| {
        let said = "ARC-Authentication-Results: i=1; x.test; dkim=pass \
                    header.d=am.atlassian.com\r\n\
                    ARC-Message-Signature: i=1; a=rsa-sha256; c=relaxed/relaxed; \
                    d=out-of-reach.test; s=s1; h=from; bh=eA==; b=eA==\r\n\
                    ARC-Seal: i=1; a=rsa-sha256; t=1; cv=none; d=google.com; s=-x; b=eA==\r\n";
        [said.as_bytes(), mail].concat()
    }),
    ("a tag twice", |mail, _| {
        text(&signed(mail, DOMAIN, json!({})))
            .replacen("s=s1;", "s=s9; s=s1;", 1)
            .into_bytes()
    }),
    ("for another domain", |mail, _| {
        signed(mail, DOMAIN, json!({ "tags": { "i": "@evil.example" } }))
    }),
    ("not signed", |mail, _| mail.to_vec()),
    ("by a key of his own", |mail, _| {
        signed(mail, DOMAIN, json!({ "key": WEAK.pem }))
    }),
    ("by his own domain", |mail, _| {
        signed(mail, "evil.example", json!({}))
    }),
    ("by a domain that looks like it", |mail, _| {
        signed(mail, "am.atlassian.com.evil.example", json!({}))
    }),
    ("by a selector nobody knows", |mail, _| {
        signed(mail, DOMAIN, json!({ "selector": "s9" }))
    }),
    ("body altered", |mail, _| {
        text(&signed(mail, DOMAIN, json!({})))
            .replace("Objective", "Subjective")
            .into_bytes()
    }),
    ("subject altered", |mail, _| {
        text(&signed(mail, DOMAIN, json!({})))
            .replace("Subject: ", "Subject: x")
            .into_bytes()
    }),
    ("a stolen signature", |mail, stolen| {
        [signature(stolen).as_bytes(), mail].concat()
    }),
    ("expired", |mail, _| {
        signed(
            mail,
            DOMAIN,
            json!({ "tags": { "x": now().as_second() - 10 } }),
        )
    }),
    ("sent again", |mail, _| {
        signed(
            mail,
            DOMAIN,
            json!({ "tags": { "t": now().as_second() - 90_000 } }),
        )
    }),
    ("appended to", |mail, _| {
        [&signed(mail, DOMAIN, json!({ "l": true }))[..], b"more\r\n"].concat()
    }),
    ("says it passed", |mail, _| {
        let said = b"Authentication-Results: mx.google.com; dkim=pass header.d=am.atlassian.com; \
                     dmarc=pass\r\n";
        [&said[..], mail].concat()
    }),
    ("says it was sealed", |mail, _| {
        let said = "ARC-Authentication-Results: i=1; mx.google.com; dkim=pass \
                    header.d=am.atlassian.com\r\n\
                    ARC-Message-Signature: i=1; a=rsa-sha256; c=relaxed/relaxed; d=google.com; \
                    s=s1; h=from; bh=x; b=x\r\n\
                    ARC-Seal: i=1; a=rsa-sha256; t=1; cv=none; d=google.com; s=s1; b=x\r\n";
        [said.as_bytes(), mail].concat()
    }),
    ("a sender that looks like it", |mail, _| {
        text(mail)
            .replace(
                "no-reply@am.atlassian.com",
                "no-reply@am.atlassian.com.evil.example",
            )
            .into_bytes()
    }),
    ("a name that looks like it", |mail, _| {
        text(mail)
            .replace(
                "From: Atlassian <no-reply@am.atlassian.com>",
                "From: \"no-reply@am.atlassian.com\" <x@evil.example>",
            )
            .into_bytes()
    }),
    ("two senders", |mail, _| {
        [&b"From: no-reply@am.atlassian.com\r\n"[..], mail].concat()
    }),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hundreds_of_forged_mails_through_every_door_page_nobody_as_if_genuine_and_close_nothing() {
    let (zone, folder, pager) = (
        zone(),
        tempfile::tempdir().unwrap(),
        PagerDuty::start().await,
    );
    let dovecot = Dovecot::start();
    let mailbox = dovecot.settings(Tls::Implicit);
    let imap = format!(
        "{}  imap: [{{ name: imap, host: localhost, port: {}, ca_file: '{}', username: {}, \
         password_file: '{}' }}]",
        webhooks(),
        mailbox.port.unwrap(),
        mailbox.ca_file.unwrap().display(),
        mailbox.username,
        mailbox.password_file.unwrap().display()
    );
    let alerts = ", trusted_arc_sealers: [google.com], unverified: { max_per_hour: 2 } }";
    let config = config(&zone.address, folder.path(), &pager, alerts, &imap)
        .replace("  webhook: [{ name: http }]\n", "");
    let sns = Sns::start().await;
    let environment = sns.environment(&folder.path().join("sns-ca.pem"));
    let environment = environment
        .each_ref()
        .map(|(name, value)| (*name, value.as_str()));
    let bridge = Bridge::start_with(folder.path(), &config, &environment);
    let started = Instant::now();
    while bridge
        .metric(
            "alertbridge_ingress_last_success_timestamp_seconds",
            "\"imap\"",
        )
        .await
        == 0.0
    {
        assert!(
            started.elapsed() < PATIENCE,
            "no mailbox:\n{}",
            tail(&bridge.log())
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // One genuine incident comes in at each door.
    let mut sent = 0;
    for door in DOORS {
        send(
            &bridge,
            &dovecot,
            door,
            &genuine("ANOMALOUS", &format!("real-{door}"), in_minutes(0)),
        )
        .await;
        sent += 1;
    }
    bridge.settled(sent).await;
    let real: Vec<_> = pager.open_alerts();
    assert_eq!(real.len(), DOORS.len(), "{real:?}");
    let genuine_pages = pager.pages();
    let stolen = text(&genuine("ANOMALOUS", "stolen", in_minutes(0)));
    for door in DOORS {
        for (n, (_, forge)) in FORGERS.iter().enumerate() {
            for (status, incident) in [
                ("ANOMALOUS", format!("forged-{door}-{n}")),
                ("OK", format!("real-{door}")),
                ("NEWS", format!("real-{door}")),
            ] {
                let mail = forge(&mail(status, &incident, in_minutes(1)), &stolen);
                send(&bridge, &dovecot, door, &mail).await;
                sent += 1;
            }
        }
    }
    bridge.settled(sent).await;
    assert!(sent > 700, "{sent}");
    let still_open = pager.open_alerts();
    assert!(
        real.iter().all(|key| still_open.contains(key)),
        "an alert was closed: {still_open:?}"
    );
    let forged: Vec<_> = pages(&pager).split_off(genuine_pages.len());
    assert!(
        forged
            .iter()
            .all(|page| page.title.starts_with("[UNVERIFIED] ")),
        "{forged:?}"
    );
    assert_eq!(
        pager
            .pages()
            .iter()
            .filter(|page| page.action == "resolve" && !page.key.starts_with("self:"))
            .count(),
        0
    );
    // Each door has an account of its own, and none uses up another's. What is told of an open
    // alert is no page.
    for door in DOORS {
        let told = forged
            .iter()
            .filter(|page| page.key.starts_with(&format!("forged-{door}-")))
            .count();
        assert!((1..=2).contains(&told), "{told} of {door}: {forged:?}");
    }
    let all = bridge.command(&["mails", "list", "--limit", "100000", "--json"]);
    let all: Vec<Value> = serde_json::from_slice(&all.stdout).unwrap();
    assert_eq!(all.len(), usize::try_from(sent).unwrap());
    for mail in &all {
        let (outcome, verdict) = (
            mail["outcome"].as_str().unwrap(),
            mail["authenticity"]["verdict"].as_str().unwrap(),
        );
        if verdict == "pass" {
            assert_eq!(outcome, "opened", "{mail}");
            assert!(
                mail["incident_id"].as_str().unwrap().starts_with("real-"),
                "{mail}"
            );
            continue;
        }
        assert!(
            ["opened", "updated", "quarantined", "ignored", "duplicate"].contains(&outcome),
            "{mail}"
        );
        let told = mail["reason"]
            .as_str()
            .or(mail["authenticity"]["detail"].as_str());
        assert!(told.is_some_and(|reason| !reason.is_empty()), "{mail}");
        if mail["labels"]["state"] == "resolved" {
            assert_eq!(outcome, "quarantined", "{mail}");
        }
    }
    let passed = all
        .iter()
        .filter(|mail| mail["authenticity"]["verdict"] == "pass")
        .count();
    assert_eq!(passed, DOORS.len(), "the genuine ones alone pass");
    until(&bridge, "what is held is told of", || {
        let told = told(&pager);
        ["self:held-resolves", "self:held-triggers"]
            .iter()
            .all(|own| told.contains(&format!("trigger {own}")))
    })
    .await;
    for door in DOORS {
        send(
            &bridge,
            &dovecot,
            door,
            &genuine("OK", &format!("real-{door}"), in_minutes(2)),
        )
        .await;
    }
    until(&bridge, "the genuine resolves close", || {
        !pager.open_alerts().iter().any(|key| real.contains(key))
    })
    .await;
    assert_eq!(pager.violations(), Vec::<String>::new());
}
