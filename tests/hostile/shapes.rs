//! Mails in which something begins again and again, and ends far away or nowhere: whoever looks for
//! the end from each beginning takes time quadratic in the mail's size.

use std::{fmt::Write as _, time::Instant};

use super::{HEADER, alone, checks};

/// So many bytes of one piece over and over.
fn fill(piece: &str, size: usize) -> String {
    piece.repeat(size / piece.len())
}

fn html(body: &str) -> String {
    format!("{HEADER}Content-Type: text/html; charset=utf-8\r\n\r\n{body}")
}

fn text(body: &str) -> String {
    format!("{HEADER}Content-Type: text/plain; charset=utf-8\r\n\r\n{body}")
}

/// A mail of one part with these fields, within a multipart.
fn part(fields: &str) -> String {
    format!(
        "{HEADER}Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n{fields}\r\n\r\nx\r\n--b--"
    )
}

/// Different words: `a0 a1 a2 …`, each within a text.
fn numbered(size: usize, write: impl Fn(usize) -> String) -> String {
    let mut all = String::with_capacity(size + 64);
    let mut number = 0;
    while all.len() < size {
        let _ = write!(all, "{}", write(number));
        number += 1;
    }
    all
}

type Shapes = Vec<(&'static str, String)>;

/// What begins again and again, with its name and with its end.
type Piece = (&'static str, &'static str, &'static str);

/// Pieces of the values of fields.
const VALUES: &[Piece] = &[
    ("brackets", "(", ""),
    ("brackets in words", "a ( ", ""),
    ("comments", "(c) ", ""),
    ("comments in comments", "(a", ")"),
    ("comments that hardly end", "(a)(", ""),
    ("quotes", "\"", ""),
    ("values in quotes", "a=\"b", ""),
    ("backslashes", "\\", ""),
    ("semicolons", ";", ""),
    ("parameters", ";a=b", ""),
    ("numbered parameters", ";a*1=b", ""),
    ("boundaries", "; boundary=b", ""),
    ("equals signs", "=", ""),
    ("no-break spaces", " \u{a0}", "x"),
    ("words", "a ", ""),
    ("words of no value", "; a= b c ", ""),
    ("encoded words", "=?utf-8?Q?a?= ", ""),
    ("encoded words that never end", "=?utf-8?Q?a ", ""),
    ("beginnings of encoded words", "=?", ""),
    ("beginnings and letters", "=?x", ""),
    ("broken base64", "=?utf-8?B?!?=", ""),
    ("addresses", "a@b,", ""),
    ("at signs", " @", ""),
    ("angle brackets", "<", ""),
    ("angle brackets that end", "<a@b> ", ""),
    ("white space", " ", "x"),
];

/// Pieces of HTML.
const DOCUMENTS: &[Piece] = &[
    ("scripts and one end", "<script>", "</script>"),
    ("tags of scripts and one end", "<script ", "></script>"),
    (
        "tags of named scripts and one end",
        "<script id=x ",
        "></script>",
    ),
    (
        "tags of scripts that name it",
        "<script id=incident-data ",
        "></script>",
    ),
    (
        "scripts with an id and one end",
        "<script id=x>",
        "</script>",
    ),
    ("ends of scripts", "</script>", ""),
    ("ends of scripts that never end", "</script", ""),
    ("styles and one end", "<style>", "</style>"),
    ("titles and one end", "<title>", "</title>"),
    ("titles and scripts", "<title><script>", "</script></title>"),
    ("texts and one end", "<textarea>", "</textarea>"),
    ("frames and one end", "<iframe>", "</iframe>"),
    ("noscripts and one end", "<noscript>", "</noscript>"),
    ("comments and one end", "<!--", "-->"),
    ("comments that end at once", "<!-->", "-->"),
    ("defanged scripts", "<!--defang_script", "-->"),
    ("CDATA and one end", "<![CDATA[", "]]>"),
    ("questions and one end", "<?", ">"),
    ("slashes and one end", "</", ">"),
    ("values and one end", "<a x=\"", "\">"),
    ("other values and one end", "<a x='", "'>"),
    ("equals signs in a tag", "= ", ">"),
    ("slashes before equals signs", "/=", ">"),
    ("templates", "<template>", "</template>"),
    ("selects", "<select><title>", "</title></select>"),
    ("plain texts", "<plaintext>", ""),
    ("capitals", "I ", "dStatus"),
    ("halves of a word", "Id S ", ""),
    ("capitals and white space", "IdS\u{200b}\u{200b}", ""),
    ("names of the id", "incidentId\":\"", ""),
    ("ids without a value", "\"incidentId\" : ", ""),
    ("entities that never end", "&#38", ""),
    ("entities", "&lt;script id=incident-data&gt;", ""),
    (
        "the id in entities",
        "<script id=&#105;ncident-data>",
        "</script>",
    ),
    ("many ids", "id=incident-data ", ""),
    ("links", "<a href=https://urldefense.com/v3/__", ">x</a>"),
    ("tables behind pairs", "<table></table>", ""),
    ("terms", "<dt>a:<dd>", ""),
    ("hidden words", "<p hidden>incidentId", ""),
    ("cells of tables", "<table><td>a:<td>", ""),
    ("escapes", "=3D", ""),
    ("spaces", " ", "x"),
    ("blank lines", " \n", "x"),
];

/// Pieces of texts.
const TEXTS: &[Piece] = &[
    ("quotations", ">", ""),
    ("lines of a quotation", "> a: b\n", ""),
    ("quotations that differ in depth", "> a \n>> b \n", ""),
    ("bars", "| ", ""),
    ("bars with an end", "|a", "|"),
    ("brackets", "【", "】"),
    ("equals signs", "=", ""),
    ("pairs of a link", "a=b&", ""),
    ("soft breaks", "=\n", ""),
    ("soft breaks and blanks", "=   ", "\n"),
    ("soft breaks and blank lines", "=\n\n", ""),
    ("blanks", " ", "\n"),
    ("blanks before breaks", " \n", ""),
    ("base64", "PGE+", ""),
    ("short lines of base64", "PG\n", ""),
    ("base64 and others", "PGE+PGE+PGE+PGE+\n!\n", ""),
    ("uuencode", "begin 644 x\n", ""),
    ("links", "https://", ""),
    (
        "links of a gateway",
        "https://urldefense.com/v3/__https://x/a*",
        "__;",
    ),
    (
        "links of another gateway",
        "https://x.safelinks.protection.outlook.com/?url=",
        "",
    ),
    ("links of a third", "https://url.avanan.click/v2/___", ""),
    ("labels", "a:\n", ""),
    ("labels and values", "a:\nb\n", ""),
    ("stars", "*", ": x"),
    ("dots", ".", ": x"),
    ("UTF-7", "+AAA", ""),
    ("broken UTF-8", "\u{e4}\u{f6}", ""),
    ("capitals", "Id ", ""),
    ("JSON", "{\"a\":", ""),
    ("brackets of JSON", "[", ""),
    ("items", "[1] Firing\nLabels\n", ""),
    ("Grafana's items", "Labels:\n - a = b\n", ""),
];

/// Headers that do not end, or that name something again and again.
fn headers(size: usize) -> Shapes {
    let from = "From: no-reply@am.atlassian.com\r\n";
    let banners = ["To", "Subject", "Date", "Message-ID", "MIME-Version"];
    let banners = banners
        .map(|name| fill("<b>\r\n", 75) + name + ": x\r\n")
        .concat();
    vec![
        (
            "lines of dashes",
            format!("{from}{}", fill("--a\r\n", size)),
        ),
        (
            "lines of dashes that all differ",
            format!("{from}{}", numbered(size, |n| format!("--{n}\r\n"))),
        ),
        (
            "boundaries and lines of dashes",
            format!(
                "{from}{}{}",
                fill("X: boundary=\"aa\"\r\n", size / 2),
                fill("--ab\r\n", size / 2)
            ),
        ),
        (
            "quotes and lines of dashes",
            format!(
                "{from}X: {}\r\n{}",
                fill("=\"", size / 2),
                fill("--a\r\n", size / 2)
            ),
        ),
        ("lines of dashes in a part", part(&fill("--a\r\n", size))),
        (
            "banners behind many fields",
            format!("{}{from}{banners}\r\nx", fill("X: y\r\n", size)),
        ),
        (
            "fields before a line of HTML",
            format!("{}{}", fill("X: y\r\n", size), fill("<b>\r\n", 75)),
        ),
        (
            "a field of many lines",
            format!("{from}X: {}\r\n", fill("y\r\n ", size)),
        ),
        ("colons", format!("{from}{}", fill(":\r\n", size))),
        (
            "types",
            format!("{from}{}\r\nx", fill("Content-Type: text/html\r\n", size)),
        ),
        (
            "encodings",
            part(
                &("Content-Type: text/html\r\n".to_owned()
                    + &fill("Content-Transfer-Encoding: base64\r\n", size)),
            ),
        ),
    ]
}

/// Values of single fields of a mail and of a part.
fn values(size: usize) -> Shapes {
    let mut shapes = Vec::new();
    for &(what, piece, end) in VALUES {
        let value = fill(piece, size) + end;
        for name in [
            "From",
            "Subject",
            "Content-Type: multipart/mixed; x",
            "Content-Disposition",
        ] {
            let sender = if name == "From" {
                ""
            } else {
                "From: no-reply@am.atlassian.com\r\n"
            };
            shapes.push((what, format!("{sender}{name}: {value}\r\n\r\n<p>x</p>")));
            if name.starts_with("Content-") {
                shapes.push((what, part(&format!("{name}: {value}"))));
            }
        }
    }
    shapes.push((
        "senders",
        format!(
            "From: {}\r\n{}\r\nx",
            fill("a@b, ", size / 2),
            fill("From: b\r\n", size / 2)
        ),
    ));
    let long = |piece: &str| format!("From: {}\r\n", fill(piece, 60 << 10));
    for (what, piece) in [
        ("senders of equals signs", "="),
        ("senders of beginnings", "=?x"),
        ("senders of encoded words", "=?a?Q?b?= "),
        ("senders of brackets", "("),
    ] {
        let many = numbered(size, |n| long(piece) + &format!(" {n}\r\n"));
        shapes.push((what, format!("{many}\r\nx")));
    }
    shapes
}

/// HTML in which something begins often, and its end comes once or never.
fn documents(size: usize) -> Shapes {
    let element = "<script type=\"application/json\" id=\"incident-data\">{\"n\":1}</script>";
    let mut shapes = Vec::new();
    for &(what, piece, end) in DOCUMENTS {
        let body = fill(piece, size) + end;
        shapes.push((what, html(&body)));
        shapes.push((what, html(&format!("<html>{body}{element}"))));
        shapes.push((what, html(&format!("<p>a: b</p><a {body}"))));
    }
    let pairs = numbered(20_000, |n| format!("L{n}: v<br>"));
    shapes.push((
        "tables behind all pairs",
        html(&(pairs + &fill("<table></table>", size))),
    ));
    let names = numbered(size.min(200 << 10), |n| format!("a{n} "));
    for tag in [
        "script id=incident-data type=application/json",
        "p",
        "a href=x",
        "svg",
    ] {
        shapes.push((
            "attributes that all differ",
            html(&format!("<{tag} {names}>{{}}</script>")),
        ));
    }
    let foreign = |piece: &str| {
        let one = format!(
            "--b\r\nContent-Type: text/html\r\n\r\n{}{element}\r\n",
            fill(piece, 60 << 10)
        );
        let all = fill(&one, size.max(one.len()));
        format!("{HEADER}Content-Type: multipart/mixed; boundary=b\r\n\r\n{all}--b--")
    };
    shapes.push(("parts of svg", foreign("<svg><g>")));
    shapes.push(("parts of math", foreign("<math><mi>")));
    shapes.push(("parts of svg and div", foreign("<svg><div>")));
    shapes.push(("parts of links and math", foreign("<a><math>")));
    shapes
}

/// Texts, in the ways in which they are sent.
fn texts(size: usize) -> Shapes {
    let mut shapes = Vec::new();
    for &(what, piece, end) in TEXTS {
        let body = fill(piece, size) + end;
        shapes.push((what, text(&body)));
        for fields in [
            "Content-Transfer-Encoding: quoted-printable",
            "Content-Type: text/plain; format=flowed; delsp=yes",
            "Content-Type: text/html; charset=gb18030",
            "Content-Type: text/html\r\nContent-Transfer-Encoding: base64",
        ] {
            shapes.push((what, format!("{HEADER}{fields}\r\n\r\n{body}")));
        }
    }
    shapes.push(("labels whose values differ late", {
        let long = "v".repeat(200);
        text(&numbered(size, |n| format!("a:\n{long}{n}\n")))
    }));
    shapes.push(("values in other words", {
        let words: String = (0..50).map(|n| format!("w{n:03} ")).collect();
        let plain: String = (0..79)
            .map(|n| format!("Status: {words}u{n}\r\n"))
            .collect();
        let html = numbered(size, |n| {
            let (at, rest) = words.split_at((n % 49 + 1) * 5);
            format!("<p>Status: {rest}{at}u78{}</p>", ".".repeat(n / 49 % 50))
        });
        format!(
            "{HEADER}Content-Type: multipart/alternative; boundary=b\r\n\r\n\
             --b\r\nContent-Type: text/plain\r\n\r\n{plain}\r\n\
             --b\r\nContent-Type: text/html\r\n\r\n{html}\r\n--b--\r\n"
        )
    }));
    shapes
}

/// Multiparts that nest, or whose boundaries come often.
fn multiparts(size: usize) -> Shapes {
    let mixed = |boundary: &str| format!("Content-Type: multipart/mixed; boundary={boundary}\r\n");
    let nested = |fields: &dyn Fn(usize) -> String, body: &str| {
        let open: String = (0..15)
            .map(|n| format!("{}\r\n--b{n}x\r\n", fields(n)))
            .collect();
        format!("{HEADER}{open}Content-Type: text/plain\r\n\r\n{body}")
    };
    let twice = |n: usize| {
        format!(
            "{}Content-Type: multipart/related; boundary=c\r\n",
            mixed(&format!("b{n}x"))
        )
    };
    let many = |n: usize| {
        let never: String = (0..15).map(|m| format!("; boundary=never{m}")).collect();
        format!("Content-Type: multipart/mixed{never}; boundary=b{n}x\r\n")
    };
    let once = |n: usize| mixed(&format!("b{n}x"));
    let digest = |n: usize| format!("Content-Type: multipart/digest; boundary=b{n}x\r\n");
    let mut shapes = Vec::new();
    for (what, piece) in [
        ("text", "abcdefgh "),
        ("dashes", "-"),
        ("dashes of a boundary", "--b"),
        ("dashes of a line", "\n--never"),
        ("closing lines", "\n--b3x--x"),
        ("base64", "PGE+PGE+PGE+PGE+\n"),
        ("escapes", "=3D"),
        ("uuencode", "\nbegin 644 x\n!!!!"),
    ] {
        let body = fill(piece, size);
        shapes.push((what, nested(&once, &body)));
        shapes.push((what, nested(&twice, &body)));
        shapes.push((what, nested(&many, &body)));
        shapes.push((what, nested(&digest, &body)));
        shapes.push((what, format!("{HEADER}{}\r\n{body}", mixed("b"))));
        shapes.push((
            what,
            format!("{HEADER}{}\r\n--b\r\n\r\n{body}\r\n--b--{body}", mixed("b")),
        ));
    }
    let odd = "--b\r\nContent-Type: text/html\r\nContent-Type: text/plain\r\n\r\nx\r\n";
    shapes.push((
        "parts of two types",
        format!("{HEADER}{}\r\n{}", mixed("b"), fill(odd, size)),
    ));
    let empty = format!("--b\r\n{}\r\n--c--\r\n", mixed("c"));
    shapes.push((
        "multiparts in a multipart",
        format!("{HEADER}{}\r\n{}", mixed("b"), fill(&empty, size)),
    ));
    shapes
}

fn all(size: usize) -> Shapes {
    [
        headers(size),
        values(size),
        documents(size),
        texts(size),
        multiparts(size),
    ]
    .concat()
}

/// What 128 KiB may take without optimisation, beside others. Quadratic time is many times that.
const MOST: f64 = 3.0;

#[test]
fn what_begins_often_and_ends_far_away_costs_no_more_for_that() {
    let _alone = alone();
    for (what, mail) in all(128 << 10) {
        let begun = Instant::now();
        drop(checks::mail::extract(mail.as_bytes()));
        drop(checks::profiles::contents(mail.as_bytes()));
        let took = begun.elapsed().as_secs_f64();
        let begins: String = mail.chars().skip(HEADER.len()).take(80).collect();
        println!("{:8.1} ms: {what}: {begins:?}", took * 1e3);
        assert!(took < MOST, "{what} took {took} s: {begins:?}");
    }
}
