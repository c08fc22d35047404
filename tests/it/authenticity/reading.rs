//! One signed body, other fields above it that are not signed: what reads it otherwise proves
//! nothing.

use base64::{Engine as _, prelude::BASE64_STANDARD as BASE64};

use super::{recorded::gmail, *};

/// What most signers cover, without what says how the body is read.
const COVERED: [&str; 4] = ["from", "to", "subject", "date"];

const ELEMENT: &str = "<script type=\"application/json\" id=\"incident-data\">{}</script>";

fn mail_of(fields: &str, body: &str) -> Vec<u8> {
    let date = jiff::fmt::rfc2822::to_string(&now().to_zoned(jiff::tz::TimeZone::UTC)).unwrap();
    let header = format!(
        "From: no-reply@am.atlassian.com\r\nTo: a@b.example\r\nSubject: x\r\nDate: \
         {date}\r\n{fields}\r\n"
    );
    format!("{header}\r\n{body}").into_bytes()
}

fn loosely(mail: &[u8]) -> Vec<u8> {
    signed(mail, DOMAIN, json!({ "headers": COVERED }))
}

/// The mail with other fields in the place of those that say how it is read.
fn retold(mail: &[u8], fields: &str) -> Vec<u8> {
    let mail = str::from_utf8(mail).unwrap();
    let (header, body) = mail.split_once("\r\n\r\n").unwrap();
    let mut kept = String::new();
    let mut keeps = true;
    for line in header.lines() {
        if !line.starts_with([' ', '\t']) {
            keeps = !line.to_ascii_lowercase().starts_with("content-");
        }
        if keeps {
            kept += &format!("{line}\r\n");
        }
    }
    format!("{kept}{fields}\r\n{body}").into_bytes()
}

#[tokio::test]
async fn genuine_mail_is_proven_whatever_its_signature_covers() {
    let zone = zone();
    let judge = judge_by(&zone.address);
    let html = "<!DOCTYPE html>\r\n<html>\r\n<p class=\"x\">Hello</p>\r\n</html>\r\n";
    let quoted = "<html><p class=3D\"x\">Gr=C3=BC=C3=9Fe</p>=\r\n</html>\r\n";
    let packed = BASE64.encode(html);
    for mail in [
        alert(),
        mail_of("Content-Type: text/html; charset=utf-8", html),
        mail_of(
            "Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable",
            quoted,
        ),
        mail_of(
            "Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: base64",
            &packed,
        ),
        mail_of("Content-Type: text/plain; charset=utf-8", "Hello\r\n"),
        mail_of("X-Nothing: x", "Hello\r\n"),
    ] {
        let verdict = judged(&judge, &loosely(&mail)).await;
        assert_eq!(
            verdict.verdict,
            Verdict::Pass,
            "{verdict:?}\n{}",
            String::from_utf8_lossy(&mail)
        );
    }
}

#[tokio::test]
async fn a_signed_body_that_is_given_another_reading_proves_nothing() {
    let zone = zone();
    let judge = judge_by(&zone.address);
    let multipart = loosely(&alert());
    let html = "Content-Type: text/html\r\n";
    let in_text = format!("An app called {ELEMENT}\r\nfell over.\r\n");
    let plain = loosely(&mail_of("Content-Type: text/plain", &in_text));
    let in_part = format!(
        "--b\r\nContent-Type: text/plain\r\n\r\nAn app called\r\n--c\r\nContent-Type: \
         text/html\r\n\r\n{ELEMENT}\r\n--c--\r\n\r\n\
         --b\r\nContent-Type: text/html\r\n\r\n<p>It fell over</p>\r\n--b--\r\n"
    );
    let nested = loosely(&mail_of(
        "Content-Type: multipart/alternative; boundary=b",
        &in_part,
    ));
    let escaped =
        "<html><p class=\"x\">=3Cscript id=3Dincident-data=3E{}=3C/script=3E</p></html>\r\n";
    let escaped = loosely(&mail_of("Content-Type: text/html", escaped));
    let quoted = loosely(&mail_of(
        "Content-Type: text/html\r\nContent-Transfer-Encoding: quoted-printable",
        "<html><p class=3D\"x\">a</p></html>\r\n",
    ));
    let of_another_charset = loosely(&mail_of(
        "Content-Type: text/html; charset=utf-8",
        "<p>Bücher \\\" für</p>\r\n",
    ));
    let mut tried = 0;
    for (mail, fields) in [
        (&multipart, html.to_owned()),
        (
            &multipart,
            format!("{html}Content-Transfer-Encoding: quoted-printable\r\n"),
        ),
        (&multipart, "Content-Type: text/plain\r\n".into()),
        (&multipart, String::new()),
        (&multipart, "Content-Type: multipart/mixed\r\n".into()),
        (
            &multipart,
            "Content-Type: multipart/mixed; boundary=x\r\n".into(),
        ),
        (&multipart, "Content-Type: message/rfc822\r\n".into()),
        (&plain, html.into()),
        (&plain, "Content-Type : text/html\r\n".into()),
        (&plain, "Content-Type\t: text/html\r\n".into()),
        (&plain, format!("Content-Type: text/plain\r\n{html}")),
        (&plain, format!("{html}Content-Type: text/plain\r\n")),
        (&plain, "CONTENT-TYPE:\r\n text/html\r\n".into()),
        (
            &plain,
            "Content-Type: multipart/mixed; boundary=\"An app\"\r\n".into(),
        ),
        (
            &nested,
            "Content-Type: multipart/mixed; boundary=c\r\n".into(),
        ),
        (
            &nested,
            "Content-Type: multipart/mixed; boundary*=utf-8''c\r\n".into(),
        ),
        (
            &nested,
            "Content-Type: multipart/mixed; boundary*0=c\r\n".into(),
        ),
        (&nested, html.into()),
        (
            &nested,
            "Content-Type: multipart/alternative; boundary=b\r\nContent-Disposition: \
                   attachment\r\n"
                .into(),
        ),
        (
            &nested,
            "Content-Type: multipart/alternative; boundary=b\r\nContent-Transfer-Encoding: \
                   base64\r\n"
                .into(),
        ),
        (
            &escaped,
            format!("{html}Content-Transfer-Encoding: quoted-printable\r\n"),
        ),
        (
            &escaped,
            format!("{html}Content-Transfer-Encoding: Quoted-Printable (x)\r\n"),
        ),
        (
            &escaped,
            format!("{html}Content-Transfer-Encoding: base64\r\n"),
        ),
        (
            &escaped,
            format!("{html}Content-Transfer-Encoding : quoted-printable\r\n"),
        ),
        (&quoted, html.into()),
        (
            &quoted,
            format!("{html}Content-Transfer-Encoding: 8bit\r\n"),
        ),
        (
            &of_another_charset,
            "Content-Type: text/html; charset=shift_jis\r\n".into(),
        ),
        (
            &of_another_charset,
            "Content-Type: text/html; charset=gbk\r\n".into(),
        ),
        (
            &of_another_charset,
            "Content-Type: text/html; charset=iso-2022-jp\r\n".into(),
        ),
        (
            &of_another_charset,
            "Content-Type: text/html; charset=utf-7\r\n".into(),
        ),
    ] {
        let retold = retold(mail, &fields);
        // By its own signature, and by the word of a host that verified it.
        let verdict = judged(&judge, &retold).await;
        assert_eq!(verdict.verdict, Verdict::Fail, "{fields}{verdict:?}");
        let recorded = gmail(
            "Authentication-Results: mx.google.com; dkim=pass \
                              header.d=am.atlassian.com\n",
            &retold,
        );
        let verdict = judge.judge(&message("gmail", &recorded)).await;
        assert_eq!(verdict.verdict, Verdict::Fail, "{fields}{verdict:?}");
        tried += 1;
    }
    assert_eq!(tried, 30);
}

#[tokio::test]
async fn where_the_body_was_made_anew_the_signature_covers_how_it_was_read() {
    let zone = zone();
    let judge = judge_by(&zone.address);
    let said = "Authentication-Results: spf=pass; dkim=pass header.d=am.atlassian.com;example.com; \
                dmarc=pass\n";
    let anew = |mail: &[u8]| {
        let mail = str::from_utf8(mail)
            .unwrap()
            .replace("_Part_alertbridge_sample", "_Part_of_Exchange");
        below(said, mail.as_bytes())
    };
    let of = async |mail: &[u8]| judge.judge(&message("microsoft", &anew(mail))).await;
    assert_eq!(of(&genuine()).await.verdict, Verdict::Pass);
    assert_says(
        &of(&loosely(&alert())).await,
        Verdict::Fail,
        "it does not cover Content-Type",
    );
    // A host that keeps the body says nothing of another.
    let mail = altered(&genuine(), "Objective", "Subjective");
    let kept = gmail(
        "Authentication-Results: mx.google.com; dkim=pass header.d=am.atlassian.com\n",
        &mail,
    );
    assert_says(
        &judge.judge(&message("gmail", &kept)).await,
        Verdict::Fail,
        "does not fit the body",
    );
}
