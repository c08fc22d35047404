//! Tests that what a reader sees of a mail takes precedence over what it hides or quotes.

use super::*;

const HIDDEN: &str = "<div style=\"display:none\">";

fn html(body: &str) -> Vec<u8> {
    let header = "From: a@example.com\r\nDate: Sat, 28 Nov 2026 04:10:00 +0000\r\n\
                  Content-Type: text/html\r\n\r\n";
    format!("{header}{body}\r\n").into_bytes()
}

fn text(body: &str) -> Vec<u8> {
    let header = "From: a@example.com\r\nDate: Sat, 28 Nov 2026 04:10:00 +0000\r\n\r\n";
    format!("{header}{body}\r\n").into_bytes()
}

/// Returns the key and the status of each item, sorted.
fn read(profile: &Profile, mail: &[u8]) -> Vec<String> {
    let found = profile.read(mail);
    let said = found.iter().map(alert);
    said.map(|alert| format!("{} {}", alert.key, alert.status))
        .collect()
}

const STATUS: &str = "  status: { trigger: [DOWN], resolve: [UP], otherwise: unparsed }\n";

#[test]
fn a_preheader_is_no_second_value() {
    let fields = "  match: { from: [a@example.com] }\n\
                  \x20 fields: { key: \"{{ pairs.ID }}\", status: \"{{ pairs.State }}\" }\n";
    let profile = only(&format!("{fields}{STATUS}"));
    let alert = "<p>ID: 7</p><p>State: DOWN</p>";
    let other = "<p>ID: 9</p><p>State: UP</p>";
    for mail in [
        html(&format!("{HIDDEN}{other}</div>{alert}")),
        html(&format!("{alert}{HIDDEN}{other}</div>")),
        html(&format!("{HIDDEN}{alert}</div>")),
        html(&format!("<p>CAUTION: external</p>{HIDDEN}{alert}</div>")),
        html(&format!("<p>ID: 7</p>{HIDDEN}<p>State: DOWN</p></div>")),
        text("> ID: 7\r\n> State: DOWN"),
        text("> ID:\r\n>   7\r\n> State:\r\n>   DOWN"),
        text("ID: 7\r\nState: DOWN\r\n\r\n> ID: 9\r\n> State: UP"),
    ] {
        let what = String::from_utf8_lossy(&mail);
        assert_eq!(read(&profile, &mail), ["7 DOWN"], "{what}");
    }
}

#[test]
fn an_expression_looks_at_what_is_seen_first() {
    let fields = "  match: { from: [a@example.com] }\n\
                  \x20 regex: { text: '(?m)^Host (?<host>\\S+) is (?<state>\\w+)' }\n\
                  \x20 fields: { key: \"{{ re.host }}\", status: \"{{ re.state }}\" }\n";
    let profile = only(&format!("{fields}{STATUS}"));
    for mail in [
        html(&format!("{HIDDEN}Host b is UP</div><p>Host a is DOWN</p>")),
        html(&format!("{HIDDEN}Host a is DOWN</div><p>See the page</p>")),
        html(&format!("{HIDDEN}Host a is DOWN</div>")),
        text("> Host a is DOWN"),
        text("> Host b is UP\r\nHost a is DOWN"),
        text(">> Host a is DOWN"),
    ] {
        let what = String::from_utf8_lossy(&mail);
        assert_eq!(read(&profile, &mail), ["a DOWN"], "{what}");
    }
}

#[test]
fn items_are_those_that_are_seen() {
    let fields = "  match: { from: [a@example.com] }\n\
                  \x20 each: { text: '(?m)^(?<host>\\S+) is (?<state>\\w+)$' }\n\
                  \x20 fields: { key: \"{{ item.host }}\", status: \"{{ item.state }}\" }\n";
    let profile = only(&format!("{fields}{STATUS}"));
    let hidden = format!("{HIDDEN}<p>a is UP</p><p>c is DOWN</p></div>");
    let seen = "<p>a is DOWN</p><p>b is UP</p>";
    let both = html(&format!("{hidden}{seen}"));
    assert_eq!(read(&profile, &both), ["a DOWN", "b UP"]);
    let alone = html(&format!("<p>See the page</p>{hidden}"));
    assert_eq!(read(&profile, &alone), ["a UP", "c DOWN"]);
    assert_eq!(
        read(&profile, &text("> a is UP\r\n> c is DOWN")),
        ["a UP", "c DOWN"]
    );
}
