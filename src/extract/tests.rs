use std::collections::BTreeSet;

use base64::{Engine as _, prelude::BASE64_STANDARD};

use super::*;

fn extract(mail: &str) -> Extraction {
    Extractor::new(&["no-reply@am.atlassian.com".into()]).extract(mail.as_bytes())
}

#[test]
fn date_and_subject_are_read_whoever_sent_the_mail() {
    let read = extract(
        "From: x@example.com\r\nDate: Thu, 24 Mar 2022 16:40:00 +0100 (CET)\r\n\
         Subject: =?UTF-8?Q?Gr=C3=BC=C3=9Fe?=\r\n from the =?UTF-8?B?4piD?=\r\n\r\n",
    );
    assert_eq!(read.date, Some("2022-03-24T15:40:00Z".parse().unwrap()));
    assert_eq!(read.subject.as_deref(), Some("Grüße from the ☃"));
}

#[test]
fn a_date_given_twice_is_no_date() {
    let read =
        extract("Date: Thu, 24 Mar 2022 15:40:00 +0000\nDate: Thu, 24 Mar 2032 15:40:00 +0000\n\n");
    assert_eq!(read.date, None);
    assert_eq!(extract("Date: yesterday\n\n").date, None);
}

#[test]
fn a_subject_is_one_short_line() {
    let read = extract(&format!("Subject: a\u{7}b{}\n\n", "x".repeat(100_000)));
    assert_eq!(read.subject.unwrap().chars().count(), 250);
    assert_eq!(extract("Subject: \r\n\r\n").subject, None);
}

#[test]
fn copies_that_differ_in_white_space_share_a_key() {
    assert_eq!(key([&b"{ \"a\":\r\n1"[..]]), key([&b"{\"a\":1"[..]]));
    assert_ne!(key([&b"{\"a\":2"[..]]), key([&b"{\"a\":1"[..]]));
}
/// Returns the alert with this number, once for every way in which its payload is lost.
fn lost(number: u32) -> Vec<String> {
    let header = |from: &str, kind: &str| {
        format!(
            "Received: by mx.example\r\nFrom: {from}\r\nSubject: Alert {number}\r\n\
             Date: Mon, 02 Mar 2026 12:00:{number:02} +0000\r\nMessage-ID: \
             <{number}@x>\r\nContent-Type: {kind}\r\n"
        )
    };
    let sender = "Atlassian <no-reply@am.atlassian.com>";
    let element = |text: &str| {
        format!(
            "<html><script type=\"application/json\" id=\"incident-data\">{text}</script>\
             <p>Alert</p></html>"
        )
    };
    let html = header(sender, "text/html");
    let doubtful = header("x@y.example, no-reply@am.atlassian.com", "text/html");
    let parts = header(sender, "multipart/mixed; boundary=b");
    vec![
        format!("{html}\r\n{}", element("")),
        format!("{html}\r\n{}", element("/* blocked */")),
        format!(
            "{html}\r\n{}",
            element("{\"appKey\":\"a\",\"incidentId\":\"inc-").replace("</s", "")
        ),
        format!("{html}\r\n<html><head><scri"),
        format!("{html}\r\n<html><script type=\"application/json\" id=\"incident-data\""),
        format!("{html}\r\n"),
        format!("{html}Content-Transfer-Encoding: x-uuencode\r\n\r\nM\r\n"),
        format!("{doubtful}\r\n"),
        format!("{doubtful}\r\n<p>Removed by policy.</p>"),
        format!("{parts}\r\n--b\r\nContent-Type: text/html\r\n\r\n"),
        format!("{parts}\r\n--b\r\nContent-Type: x/\r\n\r\nincident-data\r\n--b--\r\n"),
        format!("{parts}\r\n--b\r\nContent-Type: application/pgp-encrypted\r\n\r\n\r\n--b--\r\n"),
    ]
}

fn key_in(mail: &str) -> String {
    match extract(mail).found {
        Extracted::Unreadable { key, .. } => key,
        other => panic!("{other:?}\n{mail}"),
    }
}

#[test]
fn each_alert_whose_payload_is_lost_has_a_key_of_its_own_and_its_copies_share_it() {
    let mut keys = vec![BTreeSet::new(); lost(0).len()];
    for number in 0..40 {
        for (keys, mail) in keys.iter_mut().zip(lost(number)) {
            let key = key_in(&mail);
            for copy in [
                format!("Received: by other.example\r\n{mail}"),
                mail.replace("mx.example", "mx2.example"),
                mail.replace("Subject: ", "Subject: [EXTERNAL] "),
            ] {
                assert_eq!(key, key_in(&copy), "{copy}");
            }
            keys.insert(key);
        }
    }
    assert!(keys.iter().all(|keys| keys.len() == 40), "{keys:?}");
}

#[test]
fn each_alert_whose_header_cannot_be_seen_has_a_key_of_its_own() {
    const ID: &str = "<script id=\"incident-data\">{\"incidentId\":\"a\"";
    let mail = |number: u32| lost(number).swap_remove(3).replace("<scri", ID);
    let each_line = |mail: &str, before: &str| {
        let lines = mail.lines().map(|line| format!("{before}{line}\r\n"));
        lines.collect::<String>()
    };
    let shapes: [&dyn Fn(&str) -> String; 6] = [
        &|mail| each_line(mail, "    "),
        &|mail| each_line(mail, "> "),
        &|mail| each_line(mail, "Mar  2 12:00:00 host mail[1]: "),
        &|mail| BASE64_STANDARD.encode(mail),
        &|mail| Value::from(mail).to_string(),
        &|mail| mail.chars().map(|c| format!("\0{c}")).collect(),
    ];
    for shape in shapes {
        let keys = (0..40).map(|number| key_in(&shape(&mail(number))));
        assert_eq!(
            keys.collect::<BTreeSet<_>>().len(),
            40,
            "{}",
            shape(&mail(1))
        );
    }
}

#[test]
fn what_a_filter_left_of_the_alert_is_told() {
    let payload = "{\"incidentId\":\"a\",\"incidentStatus\":\"OK\"}";
    let whole = |html: &str| {
        format!(
            "From: no-reply@am.atlassian.com\r\nContent-Type: text/html\r\n\r\n<html><body>\
             {html}</body></html>"
        )
    };
    let element =
        format!("<script type=\"application/json\" id=\"incident-data\">{payload}</script>");
    let escaped = element.replace('<', "&lt;").replace('"', "&quot;");
    for html in [
        element.replace("script", "MailScannerScript12"),
        element.replace("<script", "< script"),
        element.replace("script", "DEFANGED_script"),
        element.replace("<script", "\u{2039}script"),
        element.replace("id=\"inc", "id=\"x_inc"),
        element.replace(" id=", " data-id="),
        element.replace("id=\"incident-data\"", "id=\u{201c}incident-data\u{201d}"),
        element.replace("incident-", "incident\u{200b}-"),
        element.replace("incident-", "inci\u{ad}dent-"),
        format!("<p>{}</p>", payload.replace('"', "&quot;")),
        escaped,
        element.replace(" id=\"incident-data\"", ""),
        format!(
            "<!--defang_script type=\"application/json\" id=\"incident-data\"--><!-- {payload} -->\
             <!--/defang_script-->"
        ),
        format!("<p>{}</p>", payload.replace("incident", "inci<wbr>dent")),
        format!("<p>{}</p>", payload.replace("incident", "inci&shy;dent")),
        format!("<p>{}</p>", payload.replace("incident", "inci<b></b>dent")),
        format!(
            "<p>{}</p>",
            payload
                .bytes()
                .map(|byte| format!("&#{byte};"))
                .collect::<String>()
        ),
        format!("<!-- {element}"),
        format!("<title>{element}"),
    ] {
        let found = extract(&whole(&html)).found;
        assert!(
            matches!(found, Extracted::Unreadable { .. }),
            "{found:?}: {html}"
        );
    }
    for text in [
        payload.to_owned(),
        format!("Alert\r\n\r\n{payload}\r\n-- \r\n"),
    ] {
        for encoding in ["7bit", "base64"] {
            let body = match encoding {
                "base64" => BASE64_STANDARD.encode(&text),
                _ => text.clone(),
            };
            let found = extract(&format!(
                "From: no-reply@am.atlassian.com\r\nContent-Type: text/plain\r\n\
                 Content-Transfer-Encoding: {encoding}\r\n\r\n{body}"
            ));
            let found = found.found;
            assert!(
                matches!(found, Extracted::Unreadable { .. }),
                "{found:?}: {text}"
            );
        }
    }
    for html in [
        format!("<!-- {element} -->"),
        format!("<title>{element}</title>"),
        format!("<style>{element}</style >"),
        format!("<plaintext>{element}"),
        element.replace("incident-data", "other"),
        element.replace("incident-data", "Incident-Data"),
        "<p>Your incident is over.</p>".to_owned(),
        "<p>incidentId</p>".to_owned(),
    ] {
        let found = extract(&whole(&html)).found;
        assert!(matches!(found, Extracted::NoAlert(_)), "{found:?}: {html}");
    }
}

#[test]
fn base64_that_something_stands_before_is_read_or_told() {
    let html = "<html><script type=\"application/json\" id=\"incident-data\">{\"incidentId\":\"a\"}\
                </script><p>Größer als erwartet, and so on.</p></html>";
    let encoded = BASE64_STANDARD.encode(html);
    let lines: Vec<&str> = encoded
        .as_bytes()
        .chunks(76)
        .map(|line| std::str::from_utf8(line).unwrap())
        .collect();
    let encoded = lines.join("\r\n");
    let mail = |body: &str| {
        extract(&format!(
            "From: no-reply@am.atlassian.com\r\nContent-Type: text/html; charset=utf-8\r\n\
             Content-Transfer-Encoding: base64\r\n\r\n{body}\r\n"
        ))
        .found
    };
    assert!(matches!(mail(&encoded), Extracted::Json(_)));
    for word in [
        "EXTERNAL",
        "EXTERNAL EMAIL",
        "CAUTION",
        "A B",
        "Warning",
        "Extern",
    ] {
        let found = mail(&format!("{word}\r\n{encoded}"));
        assert!(!matches!(found, Extracted::NoAlert(_)), "{word}: {found:?}");
    }
    for lost in 1..=3 {
        let found = mail(&encoded[lost..]);
        assert!(!matches!(found, Extracted::NoAlert(_)), "{lost}: {found:?}");
    }
}

#[test]
fn an_alert_within_a_mail_that_is_encoded_itself_is_told() {
    let html = "<script type=\"application/json\" id=\"incident-data\">{}</script>";
    let inner = format!(
        "From: no-reply@am.atlassian.com\r\nContent-Type: text/html\r\n\
         Content-Transfer-Encoding: base64\r\n\r\n{}\r\n",
        BASE64_STANDARD.encode(html)
    );
    for kind in ["message/rfc822", "application/octet-stream; name=a.eml"] {
        let found = extract(&format!(
            "From: no-reply@am.atlassian.com\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n\
             --b\r\nContent-Type: {kind}\r\nContent-Transfer-Encoding: base64\r\n\r\n{}\r\n\
             --b--\r\n",
            BASE64_STANDARD.encode(&inner)
        ));
        assert!(
            matches!(found.found, Extracted::Unreadable { .. }),
            "{kind}: {found:?}"
        );
    }
    for kind in ["text/plain", "text/html"] {
        let empty = format!("From: no-reply@am.atlassian.com\r\nContent-Type: {kind}\r\n\r\n\r\n");
        assert!(
            matches!(extract(&empty).found, Extracted::Unreadable { .. }),
            "{kind}"
        );
    }
}

#[test]
fn a_payload_that_cannot_be_read_and_names_its_incident_is_the_key_alone() {
    for text in [
        "{\"incidentId\":\"a\",",
        "{\"incidentId\": \"a\", \"incidentId\": \"b\"}",
    ] {
        let mail = |date: &str| {
            format!(
                "From: no-reply@am.atlassian.com\r\nDate: {date}\r\nContent-Type: \
                 text/html\r\n\r\n<script type=\"application/json\" \
                 id=\"incident-data\">{text}</script>"
            )
        };
        assert_eq!(key_in(&mail("today")), key_in(&mail("tomorrow")), "{text}");
    }
}
