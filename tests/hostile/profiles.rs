//! Other senders' mail: what a profile reads is bounded in time and memory, whoever wrote it.

use std::{fs, path::Path, time::Instant};

use alertbridge::{config::Config, profile::Profiles};

use super::{alone, checks};

const HEADER: &str = "From: a@example.com\r\nMIME-Version: 1.0\r\n";

/// Half a megabyte of one piece over and over.
fn fill(piece: &str) -> String {
    piece.repeat((512 << 10) / piece.len())
}

fn text(mut body: String) -> String {
    let header = format!("{HEADER}Content-Type: text/plain; charset=utf-8\r\n\r\n");
    body.insert_str(0, &header);
    body
}

fn html(mut body: String) -> String {
    let header = format!("{HEADER}Content-Type: text/html; charset=utf-8\r\n\r\n");
    body.insert_str(0, &header);
    body
}

/// Mails of half a megabyte, each dear in its own way.
fn dear() -> Vec<(&'static str, String)> {
    [dear_texts(), dear_html(), dear_parts()].concat()
}

fn dear_texts() -> Vec<(&'static str, String)> {
    vec![
        ("pairs without end", text(fill("Label: value\n"))),
        (
            "labels that all differ",
            text((0..40_000).map(|n| format!("L{n}: v\n")).collect()),
        ),
        ("labels above their values", text(fill("a:\nb\n"))),
        ("a quotation of quotations", text(fill("> | "))),
        ("quoted labels", text(fill("> a:\n> b\n"))),
        ("bars", text(fill("|a|b|\n"))),
        (
            "stars in a link",
            text(format!(
                "https://urldefense.com/v3/__https://x/{}__;",
                fill("*")
            )),
        ),
        (
            "a link in a link",
            text(fill("https://linkprotect.cudasvc.com/url?a=")),
        ),
        (
            "links of a gateway",
            text(fill("https://linkprotect.cudasvc.com/url?a=https://x\n")),
        ),
        ("one line", text(fill("x: "))),
        ("colons", text(fill(":"))),
        ("tabs", text(fill("a\t"))),
        (
            "quoted lines that flow",
            format!(
                "{HEADER}Content-Type: text/plain; format=flowed\r\n\r\n{}",
                fill("> a \r\n")
            ),
        ),
    ]
}

fn dear_html() -> Vec<(&'static str, String)> {
    let half = |piece: &str| fill(piece)[..256 << 10].to_owned();
    vec![
        ("nested tags", html(fill("<div>"))),
        ("nested tables", html(fill("<table><tr><td>"))),
        ("hidden paragraphs", html(fill("<p hidden>a"))),
        ("nested hiding", html(fill("<b style=display:none>a"))),
        (
            "a long style",
            html(format!("<p style=\"{}\">a", fill("a:b;"))),
        ),
        ("styles", html(fill("<p style=a:b;c:d>a"))),
        (
            "ends of what never began",
            html(half("<b>") + &half("</i>")),
        ),
        (
            "rows with room",
            html("<table>".to_owned() + &fill("<tr><td><td>a<td>b<td>")),
        ),
        (
            "tables with room",
            html(fill("<table><tr><td><td>a<td>b</table>")),
        ),
        (
            "cells of a label and a line",
            html("<table><tr>".to_owned() + &fill("<td>a:<br>b")),
        ),
        ("rows", html(fill("<tr><td>a<td>b"))),
        ("empty cells", html(fill("<td>"))),
        (
            "empty cells, then one that is not",
            html(fill("<td>") + "a"),
        ),
        (
            "cells of one row",
            html(format!("<table><tr>{}", fill("<td>a"))),
        ),
        (
            "labels of one row",
            html(format!("<table><tr>{}", fill("<td>a:"))),
        ),
        (
            "tables of one cell",
            html(format!(
                "<table><tr><td>{}",
                fill("<table><tr><td>a</table>")
            )),
        ),
        ("a list of terms", html(fill("<dt>a<dd>b"))),
        ("links", html(fill("<a href=x>y</a>"))),
        ("links that never end", html(fill("<a href=x>y"))),
        ("entities", html(fill("&amp;"))),
        ("ampersands", html(fill("&"))),
        ("comments", html(fill("<!-- a -->"))),
        ("comments that never end", html(fill("<!--"))),
        ("a comment of marks", html(format!("<!--{}", fill("->")))),
        ("scripts that never end", html(fill("<script>"))),
        ("attributes", html(format!("<a {}", fill("x=\"y\" ")))),
        ("quotes that never end", html(fill("<a x=\""))),
        (
            "attributes of a link",
            html(format!("<a {}>", fill("é=1 "))),
        ),
        ("angle brackets", html(fill("<"))),
        ("end tags", html(fill("</table></tr>"))),
        ("breaks", html(fill("<br>"))),
    ]
}

fn dear_parts() -> Vec<(&'static str, String)> {
    vec![
        (
            "encoded words",
            format!("{HEADER}Subject: {}\r\n\r\n", fill("=?utf-8?B?YQ==?= ")),
        ),
        (
            "Alertmanager's items",
            text(format!("[1] Firing\n{}", fill("Labels\na = b\nSource\n"))),
        ),
        ("items that never end", text(fill("Labels\na = b\n"))),
        ("Grafana's labels", text(fill("Labels:\n    a = b\n"))),
        (
            "parts",
            format!(
                "{HEADER}Content-Type: multipart/mixed; boundary=b\r\n\r\n{}",
                fill("--b\r\n\r\na\r\n")
            ),
        ),
        (
            "attachments",
            format!(
                "{HEADER}Content-Type: multipart/mixed; boundary=b\r\n\r\n{}",
                fill("--b\r\nContent-Disposition: attachment; filename=x\r\n\r\na\r\n")
            ),
        ),
        (
            "header fields",
            format!("{}{HEADER}\r\n", fill("X-A: b\r\n")),
        ),
    ]
}

/// What half a megabyte may take without optimisation, beside others: some fifteen times what it
/// takes as it is shipped.
const MOST: f64 = 1.5;

#[test]
fn half_a_megabyte_costs_little_however_it_is_written() {
    let _alone = alone();
    for (what, mail) in dear() {
        let begun = Instant::now();
        let contents = checks::within_bounds(mail.len(), 64 << 20, 16, || {
            checks::profiles::contents(mail.as_bytes())
        });
        let took = begun.elapsed().as_secs_f64();
        assert!(took < MOST, "{what} took {took} s");
        assert!(contents.text.len() <= (512 << 10) + 4, "{what}");
        drop(contents);
        println!("{what}: {:.1} ms", took * 1e3);
    }
}

/// Each short match could have the rest of the text looked through for a longer one.
#[test]
fn an_item_has_no_more_looked_through_than_lies_near() {
    let _alone = alone();
    let settings = "profiles:\n- name: far\n  match: { from: [a@example.com] }\n  each: { text: \
                    '(?s)A(\\d*)(?:.*Z)?', section: '(?s)B(?<b>\\d*)(?:.*Z)?' }\n  \
                    fields: { key: '{{ item.section.b }}', status: on }\n";
    let settings = Config::profiles_of(settings).unwrap();
    let profiles = Profiles::compile(&settings).unwrap();
    let profile = profiles.get("far").unwrap();
    for text in ["AB", "A1 B2 ", "A", "B", &format!("A{}", "x".repeat(1_000))] {
        let mail = format!("{HEADER}\r\n{}", text.repeat((512 << 10) / text.len()));
        let begun = Instant::now();
        let found = profile.read(mail.as_bytes());
        let took = begun.elapsed().as_secs_f64();
        println!("{text:.8}: {:.1} ms, {} items", took * 1e3, found.len());
        assert!(took < MOST, "{text:.8} took {took} s");
    }
}

#[test]
fn every_starter_reads_whatever_is_sent() {
    let _alone = alone();
    for (what, mail) in dear() {
        let begun = Instant::now();
        checks::profiles::check(mail.as_bytes());
        println!("{what}: {:.1} ms", begun.elapsed().as_secs_f64() * 1e3);
    }

    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut read = 0;
    for folder in [root.join("tests/mail"), root.join("tests/fuzz/corpus/mail")] {
        for entry in fs::read_dir(folder).unwrap() {
            let data = fs::read(entry.unwrap().path()).unwrap();
            checks::profiles::check(&data);
            checks::profiles::pairs(&data);
            read += 1;
        }
    }
    assert!(read >= 200, "{read}");
}
