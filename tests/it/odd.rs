//! Genuine alerts as odd mailers, gateways and lists leave them: oddities of header, From, MIME,
//! transfer encoding and character set drawn and combined at random, the same for the same seed,
//! each with what it says. However they combine, the alert is read; and where a mail leaves more
//! than one reading, it is told.

use alertbridge::extract::{Extracted, Extraction, Extractor, NoAlert};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use encoding_rs::Encoding;
use serde_json::json;

const SENDER: &str = "no-reply@am.atlassian.com";

/// One mail, and the oddities in it.
struct Odd {
    eml: Vec<u8>,
    id: String,
    name: &'static str,
    kinds: Vec<String>,
}

/// How the sender is written; every one of them names nobody else.
const FROMS: [&str; 34] = [
    "no-reply@am.atlassian.com",
    "<no-reply@am.atlassian.com>",
    "Atlassian <no-reply@AM.Atlassian.COM>",
    "Atlassian <NO-REPLY@am.atlassian.com>",
    "Atlassian, Inc. <no-reply@am.atlassian.com>",
    "Atlassian [Alerts] <no-reply@am.atlassian.com>",
    "Atlassian (Alerts) <no-reply@am.atlassian.com>",
    "Atlassian <Alerts> <no-reply@am.atlassian.com>",
    "Atlassian: Alerts <no-reply@am.atlassian.com>",
    "Atlassian; Alerts <no-reply@am.atlassian.com>",
    "Atlassian @ Work <no-reply@am.atlassian.com>",
    "no-reply@am.atlassian.com <no-reply@am.atlassian.com>",
    "\"no-reply@am.atlassian.com\" <no-reply@am.atlassian.com>",
    "'no-reply@am.atlassian.com' <no-reply@am.atlassian.com>",
    "\"someone@example.com via Atlassian\" <no-reply@am.atlassian.com>",
    "no-reply@am.atlassian.com (someone@example.com)",
    "(a comment (in a comment)) no-reply@am.atlassian.com",
    "no-reply (x) @ (y) am.atlassian.com",
    "Alerts: no-reply@am.atlassian.com;",
    "Atlassian <no-reply@am.atlassian.com.>",
    "Atlassian <\"no-reply\"@am.atlassian.com>",
    "Atlassian < no-reply@am.atlassian.com >",
    "Atlassian <<no-reply@am.atlassian.com>>",
    "Atlassian <no-reply@am.atlassian.com",
    "Atlassian no-reply@am.atlassian.com",
    "\"Atlassian <no-reply@am.atlassian.com>",
    "Atlassian\" <no-reply@am.atlassian.com>",
    "=?utf-8?Q?Atlassian=2C_Inc=2E?= <no-reply@am.atlassian.com>",
    "\"=?utf-8?Q?Atlassian?=\" <no-reply@am.atlassian.com>",
    "=?utf-8?Q?Atlassian?=<no-reply@am.atlassian.com>",
    "=?utf-8?B?broken <no-reply@am.atlassian.com>",
    "=?x-none?Q?Atlassian?= <no-reply@am.atlassian.com>",
    "Atlassi\u{e4}n\u{7} <no-reply@am.atlassian.com>",
    "Atlassian\r\n\t<no-reply@am.atlassian.com>\r\n ",
];

/// Names of character sets, and a name that can be written in each.
const CHARSETS: [(&str, &str, &[&str]); 10] = [
    (
        "utf-8",
        "Bücher für Jira",
        &[
            "utf-8",
            "UTF8",
            "utf_8",
            "\"utf-8\"",
            "\"utf-8;\"",
            "utf-8 (comment)",
            "=utf-8",
            "'utf-8'",
        ],
    ),
    (
        "windows-1252",
        "Bücher für Jira",
        &[
            "iso-8859-1",
            "\"iso-8859-1;\"",
            "latin1",
            "latin-1",
            "cp1252",
            "iso8859_1",
            "8859-1",
        ],
    ),
    (
        "iso-8859-15",
        "Bücher für 5 €",
        &["iso-8859-15", "ISO8859-15", "iso_8859-15"],
    ),
    (
        "big5",
        "日曆 for Jira",
        &["big5", "Big5", "cn-big5", "\"big5\"", "cp950"],
    ),
    (
        "gbk",
        "日历 for Jira",
        &["gb2312", "GBK", "gb_2312-80", "cp936", "gb18030"],
    ),
    (
        "shift_jis",
        "ソフト表示 for Jira",
        &[
            "shift_jis",
            "Shift-JIS",
            "sjis",
            "x-sjis",
            "windows-31j",
            "cp932",
        ],
    ),
    ("euc-jp", "カレンダー", &["euc-jp", "EUC_JP", "x-euc-jp"]),
    (
        "euc-kr",
        "달력 for Jira",
        &["euc-kr", "ks_c_5601-1987", "cp949", "euckr"],
    ),
    ("koi8-r", "Отчёты", &["koi8-r", "KOI8_R"]),
    (
        "us-ascii",
        "Plain App",
        &[
            "us-ascii",
            "ascii",
            "x-unknown",
            "unknown-8bit",
            "default",
            "x-user-defined",
        ],
    ),
];

const IDENTITY: [&str; 13] = [
    "",
    "7bit",
    "8bit",
    "binary",
    "7bit;",
    "7-bit",
    "8bit\"",
    "\"8bit\"",
    "8 bit",
    "7bit (comment)",
    "(c) 8bit",
    "none",
    "8BIT ;",
];
const QUOTED_PRINTABLE: [&str; 5] = [
    "quoted-printable",
    "Quoted-Printable;",
    "quoted printable",
    "\"quoted-printable\"",
    "quoted-printable (c)",
];
const BASE64: [&str; 6] = [
    "base64",
    "BASE64;",
    "base-64",
    "\"base64\"",
    "(c) base64",
    "base64; charset=utf-8",
];

/// How a parameter `boundary` is written after `multipart/…`; `%` stands for its value.
const BOUNDARIES: [&str; 20] = [
    "; boundary=\"%\"",
    "; boundary=%",
    ";\r\n boundary=\"%\"",
    ";\r\n boundary=\r\n \"%\"",
    ";\r\n\tboundary\r\n\t=\r\n\t%",
    " ; Boundary = \"%\" ; x=y",
    "; charset=\"x\";boundary=\"%\"",
    "; charset=x boundary=\"%\"",
    " boundary=\"%\"",
    ", boundary=\"%\"",
    "; boundary=\"%",
    "; boundary=\"%\";;",
    "; boundary=\"%   \"",
    "; boundary=\\\"%\\\"",
    "/mixed; boundary=%\r\n ",
    "; boundary=\"%\" (a comment)",
    " (a comment; boundary=no); boundary=\"%\"",
    "; boundary*=us-ascii''%",
    "; boundary*0=\"%\"; boundary*1=\"\"",
    "; boundary=\"% \"; format=flowed",
];
const BOUNDARY_VALUES: [&str; 7] = [
    "b1",
    "----=_Part_12_3.4567",
    "=_abc",
    "_000_ABC_",
    "Apple-Mail=_1-2",
    "a'b+c,d./:?",
    "0123456789012345678901234567890123456789012345678901234567890123456789",
];

/// What mailers, lists and gateways put around a body in base64.
const AROUND_BASE64: [(&str, &str); 5] = [
    ("", ""),
    (
        "",
        "\r\n_______________________________________________\r\nalerts mailing list -- \
         a@b.example\r\n",
    ),
    ("", "\r\n\r\n-- \r\nThis message was scanned.\r\n"),
    ("[EXTERNAL] Take care.\r\n\r\n", ""),
    (
        "* This mail came from outside. *\r\n",
        "\r\n\r\nClick: https://example.com/?a=b\r\n",
    ),
];

struct Draw {
    rng: fastrand::Rng,
    kinds: Vec<String>,
}

impl Draw {
    fn one<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.rng.usize(..from.len())]
    }

    fn once_in(&mut self, times: u32) -> bool {
        self.rng.u32(..times) == 0
    }

    fn kind(&mut self, kind: impl Into<String>) {
        self.kinds.push(kind.into());
    }
}

fn mails(seed: u64, count: usize) -> impl Iterator<Item = Odd> {
    (0..count as u64).map(move |number| mail(seed, number, None))
}

/// One mail, with `from` in place of a From of its own where it is given.
fn mail(seed: u64, number: u64, from: Option<&str>) -> Odd {
    let mut draw = Draw {
        rng: fastrand::Rng::with_seed(seed.wrapping_mul(1 << 32) + number),
        kinds: Vec::new(),
    };
    let id = format!("odd-{seed}-{number}");
    let (codec, name, labels) = CHARSETS[draw.rng.usize(..CHARSETS.len())];
    let element = json!({
        "appKey": "com.example.app", "appDetails": { "name": name, "partnerName": "R&D <b>" },
        "incidentId": id,
        "incidentStatus": "ANOMALOUS", "time": "2026-03-02T11:58:00Z", "metricName": "Jira Webhook \
            Delivery Success Rate",
        "metricUnit": "PERCENT", "measurementDurationSeconds": 86_400, "sliValue": 60.0,
        "sloValue": 99.0,
    })
    .to_string()
    .replace('<', "\\u003c");
    let html = format!(
        "<!DOCTYPE html>\r\n<html><head><title>Alert</title></head><body style=\"a: \
         b\">\r\n<p>{name}</p>\r\n\
         <script type=\"application/json\" \
         id=\"incident-data\">{element}</script>\r\n</body></html>\r\n"
    );
    let encoding = Encoding::for_label(codec.as_bytes()).unwrap();
    let (html, _, lossy) = encoding.encode(&html);
    assert!(!lossy, "{name} in {codec}");
    let (fields, body) = html_part(&mut draw, &html, labels);
    let (fields, body) = structured(&mut draw, fields, body);
    let eml = whole(&mut draw, from, &fields, &body);
    Odd {
        eml,
        id,
        name,
        kinds: draw.kinds,
    }
}

/// A text/html part: its fields, and its body.
fn html_part(draw: &mut Draw, html: &[u8], labels: &[&str]) -> (String, Vec<u8>) {
    let label = draw.one(labels);
    let utf_8 = std::str::from_utf8(html).is_ok();
    let mut fields = match draw.rng.u32(..12) {
        0 if utf_8 => String::new(),
        1 if utf_8 => "Content-Type: \r\n".to_owned(),
        2 if utf_8 => {
            format!(
                "Content-Type: {}\r\n",
                draw.one(&["text", "html", "text/", "; charset=utf-8", "texthtml"])
            )
        }
        3 => format!("Content-Type: TEXT/HTML ; Charset={label}\r\n"),
        4 => format!("Content-Type: text/html charset={label}\r\n"),
        5 => format!("Content-Type: text/html;\r\n charset=\r\n\t{label}\r\n"),
        6 => format!("Content-Type: \"text/html\"; charset={label}\r\n"),
        7 => format!("Content-Type: text / html (comment); charset={label}; x\r\n"),
        8 => format!(
            "Content-Type: text/html; charset={label};\r\ncontent-type: text/html; \
             charset={label};\r\n"
        ),
        9 => format!("Content-Type : text/html;;charset={label}\r\n"),
        10 => format!("Content-Type: application/xhtml+xml; charset={label}\r\n"),
        _ => format!("Content-Type: text/html; charset={label}\r\n"),
    };
    draw.kind(fields.clone());
    let (name, body) = match draw.rng.u32(..3) {
        0 => (draw.one(&IDENTITY), html.to_vec()),
        1 => (draw.one(&QUOTED_PRINTABLE), quoted_printable(draw, html)),
        _ => {
            let name = draw.one(&BASE64);
            (name, base64(draw, html))
        }
    };
    if !name.is_empty() {
        let colon = draw.one(&[":", ": ", ":\r\n ", " : "]);
        fields += &format!("Content-Transfer-Encoding{colon}{name}\r\n");
    }
    let disposition = draw.one(&[
        "",
        "",
        "",
        "inline",
        "inline;",
        "INLINE; filename=x",
        "inline filename=x.html",
        "\"inline\"",
        " ",
    ]);
    if !disposition.is_empty() {
        fields += &format!("Content-Disposition: {disposition}\r\n");
    }
    draw.kind(format!("{name:?} {disposition:?}"));
    (fields, body)
}

fn quoted_printable(draw: &mut Draw, html: &[u8]) -> Vec<u8> {
    let width = draw.rng.usize(20..200);
    let end = draw.one(&["=\r\n", "=\r\n", "= \t\r\n", "=\r\n\r\n", "=\r\n \r\n\r\n"]);
    draw.kind(format!("soft line breaks {end:?} after {width}"));
    let mut encoded = String::new();
    let mut column = 0;
    for byte in html {
        let next = match byte {
            b'\r' | b'\n' => (*byte as char).to_string(),
            b'=' | 0x80.. => format!("={byte:02X}"),
            byte => (*byte as char).to_string(),
        };
        column = if *byte == b'\n' {
            0
        } else {
            column + next.len()
        };
        if column > width && *byte != b'\r' && *byte != b'\n' {
            encoded += end;
            column = next.len();
        }
        encoded += &next;
    }
    encoded.into_bytes()
}

fn base64(draw: &mut Draw, html: &[u8]) -> Vec<u8> {
    let width = draw.one(&[&76, &76, &64, &60, &1_000_000]);
    let end = draw.one(&["\r\n", "\r\n", "\r\n\r\n", " \r\n"]);
    let (before, after) = AROUND_BASE64[draw.rng.usize(..AROUND_BASE64.len())];
    draw.kind(format!("base64 of {width}, {end:?}, {before:?}, {after:?}"));
    let encoded = STANDARD.encode(html);
    let lines: Vec<&[u8]> = encoded.as_bytes().chunks(*width).collect();
    [
        before.as_bytes(),
        &lines.join(end.as_bytes()),
        after.as_bytes(),
    ]
    .concat()
}

/// Put into so many multiparts, or none.
fn structured(draw: &mut Draw, fields: String, body: Vec<u8>) -> (String, Vec<u8>) {
    let mut entity = (fields, body);
    let outermost = draw.one(&BOUNDARY_VALUES).to_owned();
    for depth in 0..draw.rng.usize(..4) {
        // One begins as the one around it does.
        let boundary = format!(
            "{outermost}{}",
            draw.one(&["", "--in", "x", "1"]).repeat(3 - depth)
        );
        entity = multipart(draw, &boundary, &entity);
    }
    entity
}

fn multipart(
    draw: &mut Draw,
    boundary: &str,
    (fields, body): &(String, Vec<u8>),
) -> (String, Vec<u8>) {
    let written = draw.one(&BOUNDARIES);
    let quoted = written.contains("\"%");
    // What must be quoted is not written without.
    let boundary = if quoted {
        boundary.to_owned()
    } else {
        boundary.replace(['\'', ',', ':', '?', '/'], "-")
    };
    let boundary = boundary.chars().take(70).collect::<String>();
    let subtype = draw.one(&[
        "alternative",
        "mixed",
        "related",
        "signed",
        "report",
        "x-odd",
    ]);
    let head = format!(
        "Content-Type: multipart/{subtype}{}\r\n",
        written.replace('%', &boundary)
    );
    draw.kind(head.clone());

    let mut text = draw
        .one(&[
            "",
            "This is a multi-part message in MIME format.\r\n\r\n",
            "\r\n--\r\n",
        ])
        .as_bytes()
        .to_vec();
    let pad = draw.one(&["", "", " ", "\t  "]);
    let delimiter = format!("--{boundary}{pad}\r\n");
    let beside = [
        "Content-Type: text/plain; charset=utf-8\r\n\r\nalert\r\n",
        "\r\nno header\r\n",
        "Content-Type: image/png; name=x.png\r\nContent-Transfer-Encoding: \
         base64\r\n\r\niVBORw0KGgo=\r\n",
        "Content-Type: text/html\r\nContent-Disposition: attachment; \
         filename=x.html\r\n\r\n<p>x\r\n",
        "Content-Type: message/rfc822\r\n\r\nFrom: x@y\r\n\r\nx\r\n",
        "X-No: type\r\n\r\n\r\n",
    ];
    let part = |draw: &mut Draw, text: &mut Vec<u8>| {
        text.extend_from_slice(delimiter.as_bytes());
        text.extend_from_slice(draw.one(&beside).as_bytes());
    };
    for _ in 0..draw.rng.usize(..3) {
        part(draw, &mut text);
    }
    text.extend_from_slice(delimiter.as_bytes());
    text.extend_from_slice(fields.as_bytes());
    // What is no field ends the header of a part that no empty line ends.
    let plain = body
        .split(|byte| *byte == b'\n')
        .next()
        .is_some_and(|line| !line.contains(&b':'));
    let missing = plain && !matches!(body.first(), Some(b' ' | b'\t')) && draw.once_in(8);
    if !missing {
        text.extend_from_slice(b"\r\n");
    }
    text.extend_from_slice(body);
    text.extend_from_slice(b"\r\n");
    if draw.once_in(2) {
        part(draw, &mut text);
    }
    let end = match draw.rng.u32(..6) {
        0 => String::new(),
        1 => format!("--{boundary}-- Scanned by a gateway\r\n"),
        2 => format!("--{boundary}--\r\n\r\nA footer behind all parts\r\n"),
        3 => format!("--{boundary}--"),
        _ => format!("--{boundary}--{pad}\r\n"),
    };
    draw.kind(format!("ends {end:?}"));
    text.extend_from_slice(end.as_bytes());
    (head, text)
}

/// The mail, with oddities of its header.
fn whole(draw: &mut Draw, from: Option<&str>, fields: &str, body: &[u8]) -> Vec<u8> {
    let colon = draw.one(&[":", ": ", ": ", ":\r\n ", ":\t"]);
    let own = format!(
        "{}{colon}{}\r\n",
        draw.one(&["From", "From", "FROM", "from"]),
        draw.one(&FROMS)
    );
    let from = from.map_or(own, ToOwned::to_owned);
    draw.kind(from.clone());
    let mut lines = vec![
        "Received: from a.example by b.example; Mon, 2 Mar 2026 12:00:01 +0000\r\n".to_owned(),
        "To: alerts@example.com\r\n".to_owned(),
        "Subject: Cloud Fortified alert\r\n".to_owned(),
        "Date: Mon, 02 Mar 2026 12:00:00 +0000\r\n".to_owned(),
        "MIME-Version: 1.0\r\n".to_owned(),
        from,
    ];
    draw.rng.shuffle(&mut lines);
    // A field is folded, and must not be cut in two: the MIME fields stay together.
    lines.insert(draw.rng.usize(..=lines.len()), fields.to_owned());
    let junk = [
        "links or open attachments unless you know the sender\r\n",
        "CAUTION this mail came from outside\r\n",
        ": begins with a colon\r\n",
        "no colon at all\r\n",
        "Two Words: are no name\r\n",
        "From someone@example.com Mon Mar  2 12:00:00 2026\r\n",
        ">From someone@example.com Mon Mar  2 12:00:00 2026\r\n",
        "X-Nul: a\0b\r\n",
        "X-Cr: a\rb\r\n",
        "X-Latin: \u{e4}\r\n",
        "X-\u{e4}: x\r\n",
        "\u{feff}X-Mark: x\r\n",
        "Sender: x@y.example\r\n",
        "X-Empty:\r\n",
        "X-Blank:\r\n \r\n",
        "Received: by mx.example; Mon, 2 Mar 2026 12:00:02 +0000\r\n",
    ];
    for _ in 0..draw.rng.usize(..3) {
        let line = draw.one(&junk);
        draw.kind(line);
        let place = draw.rng.usize(..=lines.len());
        lines.insert(place, line.to_owned());
    }
    let before = draw.one(&[
        "",
        "",
        "",
        "\u{feff}",
        "\r\n",
        "\r\n \r\n\r\n",
        "\u{feff}\r\n",
        "From x@y Mon Mar  2 12:00:00 2026\r\n",
    ]);
    draw.kind(format!("begins {before:?}"));
    let mut eml = [before.as_bytes(), lines.concat().as_bytes(), b"\r\n", body].concat();
    let ends = draw.one(&["\r\n", "\r\n", "\r\n", "\n", "\r\r\n"]);
    if ends != "\r\n" {
        draw.kind(format!("lines end in {ends:?}"));
        eml = replaced(&eml, ends.as_bytes());
    }
    if draw.once_in(4) {
        draw.kind("a server's line above");
        let server = "Received: from c.example by d.example; Mon, 2 Mar 2026 12:00:03 +0000\r\n";
        // Empty lines before the header would end the server's.
        if !before.contains("\r\n") {
            eml = [server.as_bytes(), &eml].concat();
        }
    }
    eml
}

fn replaced(eml: &[u8], ends: &[u8]) -> Vec<u8> {
    let mut replaced = Vec::with_capacity(eml.len() + eml.len() / 16);
    for line in eml.split_inclusive(|byte| *byte == b'\n') {
        match line.strip_suffix(b"\r\n") {
            Some(text) => replaced.extend([text, ends].concat()),
            None => replaced.extend_from_slice(line),
        }
    }
    replaced
}

fn extract(eml: &[u8]) -> Extraction {
    Extractor::new(&[SENDER.into()]).extract(eml)
}

#[test]
fn an_alert_is_read_however_odd_the_mail_around_it() {
    let mut wrong = Vec::new();
    let count = 6_000;
    for mail in mails(1, count) {
        let read = match extract(&mail.eml).found {
            Extracted::Json(json)
                if json["incidentId"] == mail.id && json["appDetails"]["name"] == mail.name =>
            {
                continue;
            }
            other => format!("{other:?}"),
        };
        wrong.push(format!(
            "{}: {read:.300}\n  {}",
            mail.id,
            mail.kinds.join("\n  ")
        ));
        if let Ok(folder) = std::env::var("ODD_MAILS") {
            std::fs::write(format!("{folder}/{}.eml", mail.id), &mail.eml).unwrap();
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {count}:\n{}",
        wrong.len(),
        wrong[..wrong.len().min(5)].join("\n")
    );
}

#[test]
fn an_alert_that_leaves_two_readings_is_told() {
    let froms = [
        "From: x@evil.example, no-reply@am.atlassian.com\r\n",
        "From: x@evil.example <no-reply@am.atlassian.com>\r\n",
        "From: <no-reply@am.atlassian.com> <x@evil.example>\r\n",
        "From: <@evil.example:no-reply@am.atlassian.com>\r\n",
        "From: <no-reply%40am.atlassian.com>\r\n",
        "From: =?utf-8?Q?no-reply=40am.atlassian.com?=\r\n",
        "From: no-reply@am.atlassian.com\r\nFrom: x@evil.example\r\n",
        "From: x@evil.example\r\nFrom: no-reply@am.atlassian.com\r\n",
        "From: x@evil.example\rFrom: no-reply@am.atlassian.com\r\n",
        "From: no-reply@am.atlassian.com\0x\r\n",
        "From: Atlassian\r\n",
        "From:\r\n",
        "X-From: no-reply@am.atlassian.com\r\n",
    ];
    for (number, from) in (0..1_300).zip(froms.into_iter().cycle()) {
        let mail = mail(2, number, Some(from));
        let found = extract(&mail.eml).found;
        assert!(
            matches!(found, Extracted::Unreadable { .. }),
            "{found:?}\n{}",
            mail.kinds.join("\n")
        );
    }
}

#[test]
fn an_encoding_that_the_part_does_not_name_is_told_and_a_copy_that_is_hidden_is_not() {
    let html =
        "<html><script type=\"application/json\" id=\"incident-data\">{\"a\": 1}</script></html>";
    let escaped = html.replace('=', "=3D");
    let header = "From: no-reply@am.atlassian.com\r\nContent-Type: text/html\r\n\r\n";
    for body in [
        escaped.clone(),
        STANDARD.encode(html),
        format!("{}\r\n{}", &escaped[..30], &escaped[30..]),
    ] {
        let found = extract(format!("{header}{body}").as_bytes()).found;
        assert!(
            matches!(found, Extracted::Unreadable { .. }),
            "{body}: {found:?}"
        );
    }
    for body in [
        format!("<!-- {html} -->"),
        format!("<!-- {escaped} -->"),
        format!("<title>{html}</title>"),
    ] {
        let found = extract(format!("{header}{body}").as_bytes()).found;
        assert!(
            matches!(found, Extracted::NoAlert(NoAlert::NoPayload(_))),
            "{body}: {found:?}"
        );
    }
}

/// The ways to make text fit for transport; a gateway may put a second one on top of the first.
fn packed(bytes: &[u8], way: u32) -> Vec<u8> {
    match way {
        0 => STANDARD.encode(bytes).into_bytes(),
        1 => bytes
            .iter()
            .flat_map(|byte| match byte {
                b' '..=b'<' | b'>'..=b'~' | b'\r' | b'\n' => vec![*byte],
                byte => format!("={byte:02X}").into_bytes(),
            })
            .collect(),
        _ => {
            let text = String::from_utf8_lossy(bytes);
            let units = text.encode_utf16();
            match way {
                2 => units.flat_map(u16::to_le_bytes).collect(),
                3 => units.flat_map(u16::to_be_bytes).collect(),
                _ => [0xfeff]
                    .into_iter()
                    .chain(units)
                    .flat_map(u16::to_le_bytes)
                    .collect(),
            }
        }
    }
}

/// An alert's HTML of its own length, so that its base64 begins at each of the three places.
fn page(draw: &mut Draw, id: &str) -> String {
    let element = json!({
        "appKey": "com.example.app", "incidentId": id, "incidentStatus": "OK",
        "time": "2026-03-02T11:58:00Z", "metricName": "Jira App Availability",
    });
    format!(
        "<html><p>{}</p><script type=\"application/json\" id=\"incident-data\">{element}</script>\
         </html>\r\n",
        "x".repeat(draw.rng.usize(..9))
    )
}

/// An end that is lost is as bad as a trigger.
fn assert_not_lost(eml: &[u8], kinds: &str) {
    let found = extract(eml).found;
    assert!(
        !matches!(found, Extracted::NoAlert(_)),
        "{found:?}\n{kinds}\n{}",
        String::from_utf8_lossy(eml)
    );
}

fn draw(seed: u64) -> Draw {
    Draw {
        rng: fastrand::Rng::with_seed(seed),
        kinds: Vec::new(),
    }
}

#[test]
fn what_is_encoded_twice_or_in_another_way_than_it_says_is_never_lost() {
    for seed in 0..600 {
        let mut draw = draw(seed);
        let html = page(&mut draw, "twice");
        let (inner, outer) = (draw.rng.u32(..5), draw.rng.u32(..2));
        let body = packed(&packed(html.as_bytes(), inner), outer);
        let encoding = draw.one(if outer == 0 {
            &BASE64[..]
        } else {
            &QUOTED_PRINTABLE[..]
        });
        let charset = draw.one(&[
            "",
            "; charset=utf-8",
            "; charset=iso-8859-1",
            "; charset=x-odd",
        ]);
        let header = format!(
            "From: {SENDER}\r\nContent-Type: text/html{charset}\r\nContent-Transfer-Encoding: \
             {encoding}\r\n\r\n"
        );
        let eml = [header.as_bytes(), &body].concat();
        assert_not_lost(&eml, &format!("{inner} in {outer}"));
    }
}

#[test]
fn an_alert_that_is_packed_or_cut_off_before_its_element_is_never_lost() {
    let packed = [
        "application/octet-stream; name=smime.p7m",
        "application/octet-stream; name=\"SMIME.P7M\"",
        "application/x-unknown; name=winmail.dat",
        "application/octet-stream; name=encrypted.asc",
        "application/pgp-encrypted",
    ];
    for kind in packed {
        for disposition in ["", "Content-Disposition: attachment\r\n"] {
            let part = format!("Content-Type: {kind}\r\n{disposition}\r\nMIIB\r\n");
            assert_not_lost(format!("From: {SENDER}\r\n{part}").as_bytes(), kind);
            let whole = format!(
                "From: {SENDER}\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\
                 Content-Type: text/plain\r\n\r\nx\r\n--b\r\n{part}--b--\r\n"
            );
            assert_not_lost(whole.as_bytes(), kind);
        }
    }
    for seed in 0..100 {
        let mut draw = draw(seed);
        let html = page(&mut draw, "cut");
        let opened = html.find("<html>").unwrap() + 6;
        let cut = &html[..draw.rng.usize(opened..html.find("incident-data").unwrap())];
        let header = format!("From: {SENDER}\r\nContent-Type: text/html\r\n");
        assert_not_lost(format!("{header}\r\n{cut}").as_bytes(), "");
        let encoded = STANDARD.encode(cut);
        let eml = format!("{header}Content-Transfer-Encoding: base64\r\n\r\n{encoded}");
        assert_not_lost(eml.as_bytes(), "");
    }
}

#[test]
fn an_alert_outside_of_all_parts_or_in_one_that_says_two_things_is_never_lost() {
    let dispositions = [
        "body",
        "unknown",
        "none",
        "x-inline",
        "in line",
        "form-data; name=x",
        "inline-attachment",
        "alternative",
        "attachement; filename=x.html",
        "\"shown\"",
    ];
    let types = [
        "application/xml",
        "application/vnd.example+xml",
        "message/html",
        "text/plain; text/html",
        "text/plain, text/html; charset=utf-8",
        "text/plain; boundary=bb",
        "application/x-html-archive",
    ];
    let entity = |kind: &str, disposition: &str, html: &str| {
        let disposition = match disposition {
            "" => String::new(),
            word => format!("Content-Disposition: {word}\r\n"),
        };
        format!("Content-Type: {kind}\r\n{disposition}\r\n{html}")
    };
    for seed in 0..400 {
        let mut draw = draw(seed);
        let html = page(&mut draw, "outside");
        let odd = match draw.rng.u32(..3) {
            0 => entity("text/html", draw.one(&dispositions), &html),
            1 => entity(draw.one(&types), "", &html),
            _ => {
                let plain = "Content-Type: text/plain\r\n\r\nalert\r\n";
                let shown = entity("text/html", "", &html);
                let body = match draw.rng.u32(..4) {
                    0 => format!("{html}\r\n--b1\r\n{plain}--b1--\r\n"),
                    1 => format!("--b1\r\n{plain}--b1--\r\n{shown}"),
                    2 => format!("--b1\r\n{plain}--b1--\r\n--b1\r\n{shown}--b1--\r\n"),
                    _ => format!("--b1\r\n{plain}--b1--\r\n\r\n{}", STANDARD.encode(&html)),
                };
                format!("Content-Type: multipart/mixed; boundary=b1\r\n\r\n{body}")
            }
        };
        let whole = if draw.rng.bool() {
            odd
        } else {
            format!(
                "Content-Type: multipart/related; boundary=b2\r\n\r\n--b2\r\n{odd}\r\n--b2--\r\n"
            )
        };
        assert_not_lost(format!("From: {SENDER}\r\n{whole}").as_bytes(), "");
    }
}

#[test]
fn a_sender_in_any_brackets_or_misspelt_is_never_taken_for_another() {
    let around = [
        ("\u{ff1c}", "\u{ff1e}"),
        ("\u{300c}", "\u{300d}"),
        ("\u{2039}", "\u{203a}"),
        ("\u{201c}", "\u{201d}"),
        ("\u{ab}", "\u{bb}"),
        ("\u{a0}", "\u{a0}"),
        ("{", "}"),
        ("`", "`"),
        ("*", "*"),
        ("_", "_"),
        ("|", "|"),
        ("~", "~"),
        ("//", ""),
        ("", "/"),
        ("\u{2192}", ""),
    ];
    let misspelt = [
        "no-reply@@am.atlassian.com",
        "no-reply@am..atlassian.com",
        "no-reply@.am.atlassian.com",
        "no-reply@[am.atlassian.com]",
        "no-reply@",
    ];
    for seed in 0..600 {
        let mut draw = draw(seed);
        let (before, after) = around[draw.rng.usize(..around.len())];
        let address = if draw.rng.u32(..4) == 0 {
            draw.one(&misspelt).to_owned()
        } else {
            format!("{before}{SENDER}{after}")
        };
        let from = match draw.rng.u32(..4) {
            0 => format!("Atlassian {address}"),
            1 => format!("<{address}>"),
            2 => format!("Atlassian <{address}>"),
            _ => address,
        };
        let html = page(&mut draw, "disguised");
        let eml = format!("From: {from}\r\nContent-Type: text/html\r\n\r\n{html}");
        assert_not_lost(eml.as_bytes(), &from);
    }
}

#[test]
fn a_note_in_place_of_a_mail_is_told_in_any_encoding_and_language() {
    let subjects = [
        "Retrieval using the IMAP4 protocol failed for the following message: 7",
        "=?utf-8?B?SU1BUDQg44OX44Ot44OI44Kz44Or?=",
        "Abruf mit dem POP3-Protokoll",
        "7",
    ];
    let froms = [
        "Microsoft Exchange Server",
        "\"Microsoft Exchange\" <MicrosoftExchange329e@example.com>",
        "=?utf-8?B?TWljcm9zb2Z0IEV4Y2hhbmdl?= <exchange@example.com>",
    ];
    for seed in 0..300 {
        let mut draw = draw(seed);
        let note = format!(
            "\u{30b5}\u{30fc}\u{30d0}\u{30fc}\r\n\r\nSubject: \"Alert\"\r\nFrom: \"Atlassian\" \
             (\"{SENDER}\")\r\n"
        );
        let (bytes, charset) = match draw.rng.u32(..3) {
            0 => (packed(note.as_bytes(), 4), "utf-16"),
            1 => (
                Encoding::for_label(b"shift_jis")
                    .unwrap()
                    .encode(&note)
                    .0
                    .into_owned(),
                "shift_jis",
            ),
            _ => (note.into_bytes(), "utf-8"),
        };
        let (way, encoding) = if charset == "utf-16" || draw.rng.bool() {
            (0, "base64")
        } else {
            (1, "quoted-printable")
        };
        let part = format!(
            "Content-Type: text/plain; charset={charset}\r\nContent-Transfer-Encoding: \
             {encoding}\r\n\r\n{}\r\n",
            String::from_utf8(packed(&bytes, way)).unwrap()
        );
        let part = if draw.rng.bool() {
            part
        } else {
            format!(
                "Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\n{part}\r\n--b--\r\n"
            )
        };
        let (from, subject) = (draw.one(&froms), draw.one(&subjects));
        let eml = format!("From: {from}\r\nSubject: {subject}\r\n{part}");
        assert_not_lost(eml.as_bytes(), "");
    }
}

#[test]
fn the_same_oddities_of_another_sender_tell_nobody() {
    let froms = [
        "From: Colleague <colleague@example.com>\r\n",
        "From: no-reply@am.atlassian.com <colleague@example.com>\r\n",
        "From: \"no-reply@am.atlassian.com via Alerts\" <alerts@example.com>\r\n",
        "From: colleague@example.com (no-reply@am.atlassian.com)\r\n",
        "From: no-reply@am.atlassian.com.example.com\r\n",
    ];
    for (number, from) in (0..1_000).zip(froms.into_iter().cycle()) {
        let mail = mail(3, number, Some(from));
        let found = extract(&mail.eml).found;
        assert!(
            matches!(found, Extracted::NoAlert(NoAlert::OtherSender(_))),
            "{found:?}\n{}",
            mail.kinds.join("\n")
        );
    }
}

#[test]
fn reading_an_odd_mail_cut_anywhere_never_ends_as_no_alert_once_the_element_is_in_it() {
    for mail in mails(4, 60) {
        let Some(element) = memchr::memmem::find(&mail.eml, b"incident-data") else {
            continue;
        };
        for end in (element + 13..mail.eml.len()).step_by(37) {
            let found = extract(&mail.eml[..end]).found;
            assert!(
                !matches!(found, Extracted::NoAlert(_)),
                "cut at {end}: {found:?}\n{}",
                mail.kinds.join("\n")
            );
        }
    }
}
