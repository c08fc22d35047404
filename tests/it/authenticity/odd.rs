//! Mail that transport left odd: what is judged is what is read.

use alertbridge::extract::{Extracted, Extractor};

use super::{altered, genuine, judge_by, judged, zone};
use alertbridge::message::Verdict;

fn read(mail: &[u8]) -> Extracted {
    Extractor::new(&["no-reply@am.atlassian.com".into()])
        .extract(mail)
        .found
}

fn incident(mail: &[u8]) -> Option<String> {
    match read(mail) {
        Extracted::Json(json) => Some(json["incidentId"].as_str()?.to_owned()),
        _ => None,
    }
}

#[tokio::test]
async fn a_signature_holds_over_what_transport_left_around_a_mail() {
    let dns = zone();
    let judge = judge_by(&dns.address);
    let mail = genuine();
    let text = String::from_utf8(mail.clone()).unwrap();
    let before = |more: &str| format!("{more}{text}");
    for (odd, mail) in [
        ("a byte order mark", before("\u{feff}")),
        ("empty lines", before("\r\n \r\n")),
        (
            "an mbox line",
            before("From x@y Mon Mar  2 12:00:00 2026\r\n"),
        ),
        ("a banner", before("This mail came from outside\r\n\r\n")),
        (
            "a line that is no field",
            before("Received: from a by b; x\r\nlinks or open attachments unless\r\n"),
        ),
        (
            "a mark below a server's line",
            before("Received: from a by b; x\r\n\u{feff}"),
        ),
        ("a NUL", before("X-Nul: a\0b\r\n")),
        ("a bare carriage return", before("X-Cr: a\rb\r\n")),
        ("CR CR LF", text.replace("\r\n", "\r\r\n")),
        ("LF", text.replace("\r\n", "\n")),
    ] {
        let mail = mail.into_bytes();
        let judged = judged(&judge, &mail).await;
        assert_eq!(judged.verdict, Verdict::Pass, "{odd}: {judged:?}");
        assert_eq!(
            incident(&mail).as_deref(),
            Some("inc-1"),
            "{odd}: {:?}",
            read(&mail)
        );
    }
}

#[tokio::test]
async fn what_is_put_into_the_header_of_a_signed_mail_is_never_read_as_proven() {
    let dns = zone();
    let judge = judge_by(&dns.address);
    let mail = genuine();
    let forged = String::from_utf8(mail.clone())
        .unwrap()
        .replace("inc-1", "forged");
    let element = forged
        .lines()
        .find(|line| line.contains("incident-data"))
        .unwrap()
        .to_owned();
    let own = "From: no-reply@am.atlassian.com\r\n";
    for put in [
        format!("<html>\r\n{element}\r\n"),
        format!("<!DOCTYPE html>{element}\r\n"),
        format!("\r\n{element}\r\n"),
        format!("\r\r\n{element}\r\n"),
        format!("{own}Content-Type: text/html\r\n\r\n{element}\r\n"),
        own.to_owned(),
        "From: x@evil.example\r\n".to_owned(),
        "X: y\rFrom: x@evil.example\r\n".to_owned(),
        "X: y\r\rFrom: x@evil.example\r\n".to_owned(),
    ] {
        let odd = altered(&mail, "\r\nTo:", &format!("\r\n{put}To:"));
        let judged = judged(&judge, &odd).await;
        let read = incident(&odd);
        assert!(
            judged.verdict != Verdict::Pass || read.as_deref() == Some("inc-1"),
            "{put:?}: {read:?} {judged:?}"
        );
        assert_ne!(
            (judged.verdict, read.as_deref()),
            (Verdict::Pass, Some("forged")),
            "{put:?}"
        );
        if put.contains("From:") {
            assert_ne!(judged.verdict, Verdict::Pass, "{put:?}");
        }
    }
}
