//! Tests the keys of mails that a profile takes but cannot read.

use super::*;

#[test]
fn what_cannot_be_read_is_told_apart_by_all_that_a_profile_looks_at() {
    let fields = |key: &str, status: &str| {
        format!(
            "  match: {{ from: [a@b.c] }}\n  fields: {{ key: \"{key}\", status: \"{status}\" }}\n  \
             status: {{ trigger: [down], resolve: [up], otherwise: unparsed }}\n"
        )
    };
    let json = "  json: { text: true }\n  each: { json: /a }\n";
    let sections = "  each: { text: '(?m)^ (?<p>\\w+): (?<s>\\w+)$', section: \
                    '(?m)^\\[(?<h>\\w+)\\]$' }\n";
    for (what, profile, mail) in [
        (
            "the Subject, of which nothing is made",
            fields("{{ pairs.Id }}", "down"),
            "From: a@b.c\nSubject: HOST is down\n\nSee more.\n",
        ),
        (
            "the Subject in another word",
            fields("{{ pairs.Id }}", "down"),
            "From: a@b.c\nSubject: =?utf-8?Q?HOST?= is down\n\nSee more.\n",
        ),
        (
            "a status that is not known",
            fields("{{ subject }}", "flapping"),
            "From: a@b.c\nSubject: HOST\n\nSee more.\n",
        ),
        (
            "a field of the header",
            fields("{{ header['x-job'] }}", "new"),
            "From: a@b.c\nSubject: s\nX-Job: HOST\n\nSee more.\n",
        ),
        (
            "a field of the header beside what is missing",
            fields("{{ header['x-job'] }}/{{ pairs.Id }}", "down"),
            "From: a@b.c\nSubject: s\nX-Job: HOST\n\nSee more.\n",
        ),
        (
            "JSON outside the item",
            fields("{{ json.host }}/{{ item.c }}", "{{ item.s }}") + json,
            "From: a@b.c\n\n{\"host\": \"HOST\", \"a\": [{\"c\": 1, \"s\": \"?\"}]}",
        ),
        (
            "JSON outside an item without a key",
            fields("{{ json.host }}/{{ item.c }}", "down") + json,
            "From: a@b.c\n\n{\"host\": \"HOST\", \"a\": [{\"s\": \"down\"}]}",
        ),
        (
            "the section",
            fields("{{ item.p }}", "{{ item.s }}") + sections,
            "From: a@b.c\n\n[HOST]\n cpu: high\n",
        ),
        (
            "the body",
            fields("{{ pairs.Id }}", "down"),
            "From: a@b.c\n\nHOST\n",
        ),
    ] {
        let profile = only(&profile);
        let of = |mail: &str| unparsed_keys(&profile, mail.as_bytes());
        let (web, db) = (mail.replace("HOST", "web1"), mail.replace("HOST", "db7"));
        assert_eq!(of(&web).len(), 1, "{what}");
        assert_ne!(of(&web), of(&db), "{what}");

        // A mail that is delivered twice, or by two ingresses, is one mail.
        for copy in [
            web.clone(),
            web.replace('\n', "\r\n"),
            format!("Received: by mx2\nMessage-ID: <2@x>\n{web}"),
            format!("Date: Sat, 28 Nov 2026 04:10:00 +0000\n{web}"),
            web.replace("web1", "web1\n ")
                .replace("[web1\n ]", "[web1]")
                .replace("\n \"", "\""),
            web.replacen("Subject: web1", "Subject: =?utf-8?B?d2ViMQ==?=", 1),
        ] {
            assert_eq!(of(&web), of(&copy), "{what}\n{copy}");
        }
    }
}

#[test]
fn bytes_that_are_of_no_character_set_still_tell_two_hosts_apart() {
    let profile = only(
        "  match: { from: [a@b.c] }\n  regex: { subject: '^Host: (?<host>.+)$' }\n  \
         fields: { key: \"{{ re.host | default(pairs.Host) }}\", status: down }\n",
    );
    let read = |mail: &[u8]| match &profile.read(mail)[0] {
        Found::Alert(alert) => alert.key.clone(),
        other => panic!("{other:?}"),
    };
    let charsets = [
        None,
        Some("\"\""),
        Some("us-ascii"),
        Some("utf-8"),
        Some("UTF8"),
        Some("x-unknown"),
        Some("iso-2022-jp"),
        Some("euc-jp"),
        Some("windows-1252"),
    ];
    for charset in charsets {
        let typed = |kind: &str, before: &str, host: &[u8], after: &str| {
            let charset = charset.map(|charset| format!("; charset={charset}"));
            let charset = charset.unwrap_or_default();
            let head = format!("From: a@b.c\nContent-Type: {kind}{charset}\n\n{before}Host: ");
            [head.as_bytes(), host, after.as_bytes()].concat()
        };
        for (host, expected) in [(&b"K\xf6ln"[..], "Köln"), (b"K\xe4ln", "Käln")] {
            assert_eq!(
                read(&typed("text/plain", "", host, "\n")),
                expected,
                "{charset:?}"
            );
            let html = typed("text/html", "<p>", host, "</p>");
            assert_eq!(read(&html), expected, "{charset:?}");

            let raw = [b"From: a@b.c\nSubject: Host: ", host, b"\n\nx"].concat();
            assert_eq!(read(&raw), expected);
            let Some(charset) = charset.filter(|charset| charset.len() > 2) else {
                continue;
            };
            let hex = if host[1] == 0xf6 { "=F6" } else { "=E4" };
            for word in [
                format!("=?{charset}?Q?Host:_K{hex}ln?="),
                format!("Host: =?{charset}?Q?K?=\n =?{charset}?q?{hex}ln?="),
            ] {
                let mail = format!("From: a@b.c\nSubject: {word}\n\nx");
                assert_eq!(read(mail.as_bytes()), expected, "{word}");
            }
        }
    }
}

#[test]
fn a_mail_without_the_json_that_it_should_hold_is_told_so() {
    let profile = only(
        "  match: { from: [a@b.c] }\n  json: { attachment: '*.json' }\n  \
         fields: { key: '{{ json.id }}', status: '{{ json.state }}' }\n",
    );
    let mail = |name: &str| {
        format!(
            "From: a@b.c\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\
             Content-Type: application/octet-stream; name={name}\n\n\
             {{\"id\": 7, \"state\": \"on\"}}\n--b--\n"
        )
    };
    let found = profile.read(mail("x.txt").as_bytes());
    assert!(
        reason(&found).ends_with("the mail holds no JSON in an attachment `*.json`"),
        "{found:?}"
    );
    let found = profile.read(mail("ALARM.JSON").as_bytes());
    assert_eq!(alert(&found[0]).key, "7");
}

#[test]
fn text_beside_the_html_does_not_stand_for_it() {
    let profile = only(
        "  match: { from: [a@b.c] }\n  \
         regex: { text: '(?m)^(?<state>Firing|Resolved): (?<what>\\w+)$' }\n  \
         fields: { key: '{{ re.what }}', status: '{{ re.state }}' }\n  \
         status: { trigger: [Firing], resolve: [Resolved] }\n",
    );
    let part = |kind: &str, text: &str| format!("--b\nContent-Type: {kind}\n\n{text}\n");
    let mail = |multipart: &str, parts: &[String]| {
        let parts = parts.concat();
        format!("From: a@b.c\nContent-Type: multipart/{multipart}; boundary=b\n\n{parts}--b--\n")
    };
    let html = part("text/html", "<p>Resolved: disk</p>");
    let footer = part("text/plain", "-- \nThis list is for alerts.\nState: none");
    let nested =
        "--b\nContent-Type: multipart/alternative; boundary=c\n\n--c\nContent-Type: text/html\n\n\
         <p>Resolved: disk</p>\n--c--\n"
            .to_owned();
    for parts in [
        vec![html.clone(), footer.clone()],
        vec![footer.clone(), html.clone()],
        vec![footer.clone(), html.clone(), footer.clone()],
        vec![nested, footer.clone()],
        vec![
            part("text/plain", "Resolved: disk"),
            part("text/html", "<p>Disclaimer</p>"),
        ],
    ] {
        let found = profile.read(mail("mixed", &parts).as_bytes());
        assert_eq!(alert(&found[0]).meaning, Meaning::Resolve, "{parts:?}");
    }
    // If two parts of one alert disagree, neither is read.
    let both = [part("text/plain", "Firing: disk"), html];
    let found = profile.read(mail("alternative", &both).as_bytes());
    assert!(
        reason(&found).contains("`Resolved` in its HTML"),
        "{}",
        reason(&found)
    );
}
