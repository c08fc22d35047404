use super::*;
use crate::message::{Message, header};

const HTML: &str =
    "<html><script type=3D\"application/json\" id=3D\"incident-data\">{=\r\n}</script></html>\r\n";
const PLAIN_HTML: &str = "<!doctype html><p title=\"x\">a</p>\r\n";
const MULTIPART: &str =
    "preamble\r\n--b1\r\n\r\ntext\r\n--b1\r\n\r\n<html></html>\r\n--b1--\r\n\r\n";

fn of(fields: &str, body: &str, signed: &[&str]) -> Option<String> {
    let raw = format!("{fields}\r\n{body}").into_bytes();
    let message = Message {
        ingress: String::new(),
        arrived_at: jiff::Timestamp::UNIX_EPOCH,
        raw: raw.clone().into(),
        cut_from: None,
        withheld: None,
        envelope: None,
    };
    let (header, body) = header::split(&raw);
    fault(
        &Mail::new(&message, header, body, "a.example", Vec::new()),
        &|name| signed.contains(&name),
    )
}

fn base64(text: &str) -> String {
    let packed = BASE64_STANDARD.encode(text);
    packed
        .as_bytes()
        .chunks(76)
        .map(|line| format!("{}\r\n", str::from_utf8(line).unwrap()))
        .collect()
}

#[test]
fn a_body_that_shows_what_it_is_is_read_as_that_alone() {
    let html = "Content-Type: text/html; charset=utf-8\r\n";
    let quoted = "Content-Transfer-Encoding: quoted-printable\r\n";
    let packed = base64(&PLAIN_HTML.repeat(9));
    for (fields, body) in [
        (
            "Content-Type: multipart/alternative; boundary=b1\r\n".to_owned(),
            MULTIPART,
        ),
        (
            "Content-Type: multipart/mixed;\r\n boundary=\"b1\"\r\nContent-Transfer-Encoding: \
          8bit\r\n"
                .into(),
            MULTIPART,
        ),
        (
            "Content-Type: multipart/mixed; boundary=b1\r\nContent-Transfer-Encoding: \
          7bit;\r\n"
                .into(),
            MULTIPART,
        ),
        (html.into(), PLAIN_HTML),
        (format!("{html}{quoted}"), HTML),
        (format!("{html}{quoted}"), "<p>nothing to escape</p>"),
        (
            format!("{html}Content-Transfer-Encoding: 7bit\r\n"),
            PLAIN_HTML,
        ),
        (
            format!("{html}Content-Transfer-Encoding: base64\r\n"),
            packed.as_str(),
        ),
        (
            "Content-Type: text/html; charset=iso-8859-1\r\n".into(),
            PLAIN_HTML,
        ),
        (html.into(), "\r\n<p title=\"x\">Grüße ☃</p>\r\n"),
        (
            "Content-Type: text/plain\r\n".into(),
            "hello, <you>\r\n-- \r\nme",
        ),
        (String::new(), "hello"),
        ("Content-Disposition: inline\r\n".into(), "hello"),
    ] {
        assert_eq!(of(&fields, body, &[]), None, "{fields}");
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "it is a table")]
fn a_field_that_is_not_signed_gives_a_body_no_other_reading() {
    let both = "Content-Type: text/html\r\n";
    let packed = base64(&PLAIN_HTML.repeat(9));
    for (fields, body) in [
        // The type differs from the body's.
        ("Content-Type: text/html\r\n".to_owned(), MULTIPART),
        (
            "Content-Type: text/html\r\n".into(),
            "hello <script id=incident-data>{}</script>\r\nBye",
        ),
        (
            "Content-Type: text/html\r\n".into(),
            "<script id=incident-data>{}</script>\r\n-- \r\nBye",
        ),
        ("Content-Type: text/plain\r\n".into(), MULTIPART),
        ("Content-Type: text/plain\r\n".into(), PLAIN_HTML),
        ("Content-Type: text/plain\r\n".into(), packed.as_str()),
        (String::new(), MULTIPART),
        ("Content-Type: message/rfc822\r\n".into(), MULTIPART),
        ("Content-Type: application/octet-stream\r\n".into(), "hello"),
        ("Content-Type: ???\r\n".into(), MULTIPART),
        // The boundary differs.
        (
            "Content-Type: multipart/mixed; boundary=b2\r\n".into(),
            MULTIPART,
        ),
        (
            "Content-Type: multipart/mixed; boundary=b\r\n".into(),
            MULTIPART,
        ),
        (
            "Content-Type: multipart/mixed; boundary=\"b1--\"\r\n".into(),
            MULTIPART,
        ),
        (
            "Content-Type: multipart/encrypted; boundary=b1\r\n".into(),
            MULTIPART,
        ),
        (
            "Content-Type: multipart/digest; boundary=b1\r\n".into(),
            MULTIPART,
        ),
        ("Content-Type: multipart/mixed\r\n".into(), MULTIPART),
        (
            "Content-Type: multipart/mixed; boundary=x\r\n".into(),
            "<html>\r\n--x\r\n\r\ny\r\n--x--\r\n</html>",
        ),
        // The field is written so that programs differ in reading it.
        (
            "Content-Type: multipart/mixed; boundary=b1; boundary=x\r\n".into(),
            MULTIPART,
        ),
        (
            "Content-Type: multipart/mixed (x); boundary=b1\r\n".into(),
            MULTIPART,
        ),
        (
            "Content-Type: multipart/mixed; boundary=\"b\\1\"\r\n".into(),
            MULTIPART,
        ),
        (
            "Content-Type: multipart/mixed; boundary*0=b; boundary*1=1\r\n".into(),
            MULTIPART,
        ),
        (
            "Content-Type: multipart/mixed boundary=b1\r\n".into(),
            MULTIPART,
        ),
        ("Content-Type: application/xhtml+xml\r\n".into(), PLAIN_HTML),
        (
            format!("{both}Content-Transfer-Encoding: (x) quoted-printable\r\n"),
            PLAIN_HTML,
        ),
        (
            format!("{both}Content-Transfer-Encoding: quoted printable\r\n"),
            PLAIN_HTML,
        ),
        (
            "Content-Type: multipart/mixed; boundary=x\r\n".into(),
            "--b1\r\n\r\n--x\r\n\r\ny\r\n--x--\r\n\r\n--b1--",
        ),
        // The transfer encoding differs.
        (both.into(), HTML),
        (format!("{both}Content-Transfer-Encoding: base64\r\n"), HTML),
        (
            format!("{both}Content-Transfer-Encoding: quoted-printable\r\n"),
            PLAIN_HTML,
        ),
        (
            format!("{both}Content-Transfer-Encoding: quoted-printable\r\n"),
            packed.as_str(),
        ),
        (
            format!("{both}Content-Transfer-Encoding: uuencode\r\n"),
            PLAIN_HTML,
        ),
        (both.into(), packed.as_str()),
        (
            "Content-Type: multipart/mixed; boundary=b1\r\nContent-Transfer-Encoding: base64\r\n"
                .into(),
            MULTIPART,
        ),
        // The charset differs.
        (
            "Content-Type: text/html; charset=shift_jis\r\n".into(),
            "<p>Grüße</p>",
        ),
        (
            "Content-Type: text/html; charset=iso-8859-1\r\n".into(),
            "<p>Grüße</p>",
        ),
        (
            "Content-Type: text/html; charset=utf-7\r\n".into(),
            "<p>+ADw-</p>",
        ),
        (
            "Content-Type: text/html; charset=iso-2022-jp\r\n".into(),
            "<p>a</p>",
        ),
        // The mail becomes an attachment.
        (
            "Content-Type: multipart/mixed; boundary=b1\r\nContent-Disposition: attachment\r\n"
                .into(),
            MULTIPART,
        ),
    ] {
        assert!(of(&fields, body, &[]).is_some(), "{fields}{body}");
    }
}

#[test]
fn what_is_signed_is_the_senders_own_affair() {
    let all = [
        "Content-Type",
        "Content-Transfer-Encoding",
        "Content-Disposition",
    ];
    for (fields, body) in [
        (
            "Content-Type: text/html\r\nContent-Transfer-Encoding: quoted-printable\r\n",
            PLAIN_HTML,
        ),
        (
            "Content-Type: ???\r\nContent-Disposition: attachment\r\n",
            MULTIPART,
        ),
        ("", MULTIPART),
    ] {
        assert_eq!(of(fields, body, &all), None, "{fields}");
    }
    // A body without a type is read as HTML if it looks like HTML.
    assert!(of("", HTML, &["Content-Type"]).is_some());
    // A multipart has no encoding, so most signatures cover none.
    assert_eq!(
        of(
            "Content-Type: multipart/mixed; boundary=x\r\n",
            MULTIPART,
            &["Content-Type"]
        ),
        None
    );
    assert!(of("Content-Type: text/html\r\n", HTML, &["Content-Type"]).is_some());
    assert_eq!(
        of("Content-Type: text/html\r\n", PLAIN_HTML, &["Content-Type"]),
        None
    );
}
