//! Hostile input, held to its bounds of time and memory: what is allocated is counted, so this is a
//! program of its own.
//!
//! The checks are those of the fuzz targets (`tests/fuzz`): here they run over the corpora, which
//! hold all that fuzzing ever found, and over mails made to be as dear as can be.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use std::{
    fs,
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};

use alertbridge::extract::Extracted;
use proptest::{collection::vec, prelude::*, sample::select};

#[path = "../fuzz/src/lib.rs"]
mod checks;
mod imap;
mod profiles;
mod shapes;
mod smtp;

/// Held by each test: what another allocates meanwhile would count.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs a check over the corpus of its target.
fn replay(target: &str, check: fn(&[u8])) {
    let _alone = alone();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fuzz/corpus")
        .join(target);
    let mut files: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(
        files.len() >= 20,
        "{} inputs in {}",
        files.len(),
        folder.display()
    );
    for file in files {
        let data = fs::read(&file).unwrap();
        let kept = std::panic::catch_unwind(|| check(&data)).is_ok();
        assert!(kept, "a promise is broken by {}", file.display());
    }
}

#[test]
fn the_corpus_of_mails_breaks_no_promise() {
    replay("mail", checks::mail::check);
}

#[test]
fn the_corpus_of_html_breaks_no_promise() {
    replay("html", checks::html::check);
}

#[test]
fn the_corpus_of_json_breaks_no_promise() {
    replay("json", checks::json::check);
}

#[test]
fn the_corpus_of_smtp_breaks_no_promise() {
    replay("smtp", checks::smtp::check);
}

#[test]
fn the_corpus_of_imap_breaks_no_promise() {
    replay("imap", checks::imap::check);
}

#[test]
fn the_corpus_of_webhooks_breaks_no_promise() {
    replay("webhook", checks::webhook::check);
}

#[test]
fn the_corpus_of_authentication_results_breaks_no_promise() {
    let alone = alone();
    // Not in vain: with the host's word for it the mail does pass.
    let genuine = checks::results::judge(checks::results::genuine().as_bytes());
    assert_eq!(
        genuine.verdict,
        alertbridge::message::Verdict::Pass,
        "{genuine:?}"
    );
    drop(alone);
    replay("results", checks::results::check);
}

const HEADER: &str = "From: no-reply@am.atlassian.com\r\nMIME-Version: 1.0\r\n";
const ELEMENT: &str = "<script type=\"application/json\" id=\"incident-data\">{\"n\":1}</script>";

/// Reads a mail within 160 MiB and three times its own size: what `lol_html` may take, a decoded
/// copy, and its text.
fn read(what: &str, mail: &[u8]) -> Extracted {
    let extraction =
        checks::within_bounds(mail.len(), 160 << 20, 3, || checks::mail::extract(mail));
    checks::mail::sound(&extraction);
    assert!(
        !matches!(extraction.found, Extracted::Json(ref json) if json["n"] != 1),
        "{what}"
    );
    extraction.found
}

#[test]
fn the_dearest_mails_stay_within_their_memory() {
    let _alone = alone();
    let html =
        |body: String| format!("{HEADER}Content-Type: text/html; charset=utf-8\r\n\r\n{body}");
    let coded = |coding: &str, body: String| {
        format!(
            "{HEADER}Content-Type: text/html\r\nContent-Transfer-Encoding: {coding}\r\n\r\n{body}"
        )
    };
    let part = "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n";
    for (what, mail) in [
        (
            "a hundred megabytes of text",
            html(format!("<p>{}</p>{ELEMENT}", "x".repeat(100 << 20))),
        ),
        (
            "a hundred megabytes of base64",
            coded("base64", "PGE+".repeat(25 << 20)),
        ),
        (
            "quoted-printable without end",
            coded("quoted-printable", "=3C".repeat(8 << 20)),
        ),
        (
            "soft line breaks alone",
            coded("quoted-printable", "=\r\n".repeat(8 << 20)),
        ),
        (
            "nested tags by the ten thousand",
            html("<div>".repeat(100_000) + ELEMENT),
        ),
        (
            "nested tags by the million",
            html("<a>".repeat(4 << 20) + ELEMENT),
        ),
        (
            "attributes by the million",
            html(format!("<script {}>", "a ".repeat(4 << 20))),
        ),
        (
            "elements that could be it",
            html("<script id=&amp;>x</script>".repeat(400_000)),
        ),
        ("comments that never end", html("<!--".repeat(4 << 20))),
        (
            "nested multiparts by the ten thousand",
            format!("{HEADER}{}", part.repeat(100_000)),
        ),
        (
            "parts by the million",
            format!("{HEADER}{part}{}", "\r\n--b\r\n".repeat(1 << 20)),
        ),
        (
            "a header of many lines",
            format!("{}{HEADER}\r\n{ELEMENT}", "X: y\r\n".repeat(1 << 20)),
        ),
        (
            "one header without end",
            format!("X:{}\r\n{HEADER}\r\n", " y\r\n".repeat(4 << 20)),
        ),
        (
            "encoded words without end",
            format!(
                "Subject: {}\r\n{HEADER}\r\n",
                "=?utf-8?B?4piD?= ".repeat(1 << 20)
            ),
        ),
        (
            "deep JSON",
            html(format!(
                "{}{}</script>",
                &ELEMENT[..50],
                "[".repeat(200_000)
            )),
        ),
        (
            "wide JSON",
            html(format!(
                "{}[{}0]</script>",
                &ELEMENT[..50],
                "0,".repeat(120_000)
            )),
        ),
        (
            "a zip bomb called HTML",
            coded("base64", "UEsDBBQAAAAIAA==".repeat(1 << 20)),
        ),
    ] {
        read(what, mail.as_bytes());
    }
}

/// What dear mails are made of.
const PIECES: [&str; 30] = [
    "Content-Type: text/html\r\n\r\n",
    "Content-Type: text/html; charset=windows-1252\r\nContent-Transfer-Encoding: base64\r\n\r\n",
    "Content-Type: text/html\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n",
    "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n",
    "Content-Type: multipart/alternative; boundary=\"b b\"\r\n\r\n",
    "Content-Disposition: attachment\r\n",
    "\r\n--b\r\n",
    "\r\n--b b--\r\n",
    "\r\n\r\n",
    "X: y\r\n",
    " folded\r\n",
    "Subject: =?utf-8?Q?=C3=BC?=\r\n",
    ELEMENT,
    "<script id=incident-data>",
    "</script>",
    "<div>",
    "<a><b>",
    "</div>",
    "<table><tr>",
    "<select><option>",
    "<svg><style>",
    "<template>",
    "<!--",
    "-->",
    "&#x26;",
    "<textarea>",
    "=3D=\r\n",
    "PGE+",
    "\0",
    "\u{fffd}\u{e9}",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None,
                                        ..ProptestConfig::default() })]

    #[test]
    fn no_mail_of_known_pieces_however_often_leaves_its_bounds(
        pieces in vec((select(&PIECES[..]), prop_oneof![4 => 1_usize..4, 1 => 1_usize..5_000]),
                      0..24),
    ) {
        let _alone = alone();
        let mut mail = HEADER.to_owned();
        for (piece, times) in pieces {
            mail += &piece.repeat(times);
        }
        checks::mail::check(mail.as_bytes());
    }

    #[test]
    fn no_json_leaves_its_bounds(
        pieces in vec((select(&["{\"a\":", "[", "]", "}", "\"\\u0041\"", ",", "1e308", "-0",
                                "\"incidentId\":", "null", "\"\u{e9}\""][..]), 1_usize..2_000),
                                0..12),
    ) {
        let _alone = alone();
        let json: String = pieces.into_iter().map(|(piece, times)| piece.repeat(times)).collect();
        checks::json::check(json.as_bytes());
    }

    #[test]
    fn no_answer_of_a_mailbox_leaves_its_bounds(
        cut in any::<u8>(),
        pieces in vec((select(&["* 1 FETCH (UID 1 BODY[] {5}\r\n", "hello", ")\r\n", "* OK ", "* \
            SEARCH 1", " 2", "\r\n", "(", "\"", "* LIST () \"/\" {5}\r\n", "BODY[HEADER]<0> \
                {99999}\r\n", "[UIDVALIDITY 1]", "\u{ac}", "a1 \
                    OK\r\n"][..]), prop_oneof![8 => 1_usize..3, 1 => 1_usize..5_000]), 0..24),
    ) {
        let _alone = alone();
        let answer: String = pieces.into_iter().map(|(piece, times)| piece.repeat(times)).collect();
        checks::imap::check(&[&[cut], answer.as_bytes()].concat());
    }
}
