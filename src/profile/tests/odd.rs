//! Tests the starters' own mails as gateways, servers and broken connections leave them: tagged,
//! damaged and cut off. None of them ends as no alert, and none as another incident's.

use std::fs;

use super::*;
use crate::{message::Mended, profile::starters::STARTERS};

/// A mail of a starter, and the starter with that mail's sender.
struct Sample {
    profiles: Arc<Profiles>,
    file: String,
    raw: String,
}

/// Returns every mail of every starter that its profile takes, in the form that SMTP carries.
fn samples() -> Vec<Sample> {
    let folder = format!("{}/schema/profiles", env!("CARGO_MANIFEST_DIR"));
    let mut samples = Vec::new();
    for (name, _) in STARTERS {
        for entry in fs::read_dir(format!("{folder}/{name}")).unwrap() {
            let path = entry.unwrap().path();
            let raw = fs::read_to_string(&path).unwrap();
            let raw = raw.replace("\r\n", "\n").replace('\n', "\r\n");
            let from = raw
                .lines()
                .find_map(|line| line.strip_prefix("From: "))
                .and_then(|from| from.rsplit([' ', '<']).next())
                .unwrap()
                .trim_end_matches('>');
            let profiles = compiled(&format!(
                "profiles:\n- {{ name: {name}, use: {name}, match: {{ from: ['{from}'] }} }}\n"
            ))
            .unwrap();
            let file = path.display().to_string();
            let sample = Sample {
                profiles,
                file,
                raw,
            };
            if matches!(taking(&sample, sample.raw.as_bytes()), Taking::Taken(_)) {
                samples.push(sample);
            }
        }
    }
    assert!(samples.len() > 3 * STARTERS.len());
    samples
}

fn taking<'a>(sample: &'a Sample, raw: &[u8]) -> Taking<'a> {
    sample.profiles.taking(Mended::of(raw).header())
}

fn read(sample: &Sample, raw: &[u8]) -> Vec<Found> {
    sample.profiles.iter().next().unwrap().read(raw)
}

/// Returns the key and the meaning of every alert.
fn told(found: &[Found]) -> Vec<(String, Meaning)> {
    let one = |found: &Found| match found {
        Found::Alert(alert) => Some((alert.key.clone(), alert.meaning)),
        _ => None,
    };
    found.iter().filter_map(one).collect()
}

/// Returns the header's lines, and the rest with the empty line before it.
fn halves(raw: &str) -> (Vec<&str>, &str) {
    let end = raw.find("\r\n\r\n").unwrap() + 2;
    (raw[..end].split_inclusive("\r\n").collect(), &raw[end..])
}

/// Returns what is wrong with the reading of an odd copy of a mail: an alert that the mail does not
/// report, or one that is missing and not told as unparsed.
fn wrong(sample: &Sample, raw: &[u8], what: &str) -> Option<String> {
    let whole = told(&read(sample, sample.raw.as_bytes()));
    let found = read(sample, raw);
    let unparsed = |found: &Found| matches!(found, Found::Unparsed { .. });
    let is_another = told(&found).iter().any(|alert| !whole.contains(alert));
    let is_missing = told(&found) != whole && !found.iter().any(unparsed);
    (is_another || is_missing).then(|| format!("{what}: {}: {found:.400?}", sample.file))
}

fn assert_none(wrong: &[String]) {
    let shown = &wrong[..wrong.len().min(12)];
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), shown.join("\n"));
}

#[test]
fn a_damaged_mail_is_never_another_incidents_and_never_no_alert() {
    let mut found = Vec::new();
    for sample in samples() {
        let (header, body) = halves(&sample.raw);
        let header = header.concat();
        // Nothing shows that the last line of plain text is incomplete, or that a list of labels
        // is.
        let is_text = !header.contains("multipart/") && !header.contains("text/html");
        let is_list = is_text && sample.file.contains("grafana");
        let is_cut = |at: &usize| !is_list && (!is_text || body[..*at].ends_with("\r\n"));
        for at in (2..body.len())
            .filter(is_cut)
            .step_by(if is_text { 1 } else { 7 })
        {
            if body.is_char_boundary(at) {
                let cut = format!("{header}{}", &body[..at]);
                found.extend(wrong(&sample, cut.as_bytes(), &format!("cut at {at}")));
            }
        }
        let encoded = |name: &str| {
            let lines = sample.raw.split_inclusive("\r\n");
            let is_encoding = |line: &str| {
                line.to_ascii_lowercase()
                    .starts_with("content-transfer-encoding:")
            };
            let kept: String = lines.filter(|line| !is_encoding(line)).collect();
            let field = format!("Content-Transfer-Encoding: {name}\r\n");
            kept.replace(
                "Content-Type: text/",
                &format!("{field}Content-Type: text/"),
            )
        };
        for name in ["base64", "x-uue", "x-unknown"] {
            found.extend(wrong(&sample, encoded(name).as_bytes(), name));
        }
    }
    assert_none(&found);
}

#[test]
fn a_mail_that_lacks_nothing_but_its_last_boundary_is_read() {
    let mut count = 0;
    for sample in samples() {
        let closing = sample.raw.trim_end();
        let Some(open) = closing.strip_suffix("--") else {
            continue;
        };
        let Some(end) = open.rfind("\r\n--") else {
            continue;
        };
        if !sample.raw.contains("Content-Type: multipart/") {
            continue;
        }
        count += 1;
        let open = &open[..end + 2];
        let whole = read(&sample, sample.raw.as_bytes());
        for ends in [
            open.to_owned(),
            format!("{closing} Scanned by a gateway\r\n"),
        ] {
            assert_eq!(read(&sample, ends.as_bytes()), whole, "{}", sample.file);
        }
    }
    assert!(count > 3, "{count}");
}

#[test]
fn only_damage_to_what_key_and_status_are_made_of_counts() {
    let of_body = only(
        "  match: { from: [a@b.c] }\n  fields: { key: \"{{ pairs['ID'] }}\", status: \"{{ \
         pairs['Status'] }}\", note: \"{{ pairs['Note'] | default('') }}\" }\n",
    );
    let of_header = only(
        "  match: { from: [a@b.c] }\n  \
         regex: { subject: '(?<id>[0-9]+)', text: '(?<url>http.*)' }\n  \
         fields: { key: '{{ re.id }}', status: '{{ subject }}', \
         url: \"{{ re.url | default('') }}\" }\n",
    );
    let plain = "Content-Type: text/plain\n\nID: 7\nStatus: on\n";
    let cut = "<html><table><tr><td>ID</td><td>7</td></tr><tr><td>Status</td><td>o";
    let html = format!("{cut}n</td></tr></table><p>x</p></html>");
    let mail = |parts: &[&str], end: &str| {
        let parts: String = parts.iter().map(|part| format!("--b\n{part}\n")).collect();
        format!(
            "From: a@b.c\nSubject: 7\nContent-Type: multipart/mixed; boundary=b\n\n{parts}{end}"
        )
    };
    let in_base64 = |text: &str| {
        format!("Content-Type: text/plain\nContent-Transfer-Encoding: base64\n\n{text}\n")
    };
    let of_html = |html: &str| format!("Content-Type: text/html\n\n{html}");
    for (mail, is_read) in [
        (mail(&[plain, &of_html(cut)], "--b--\n"), true),
        (mail(&[plain, &of_html(cut)], ""), true),
        (mail(&[&of_html(&html)], ""), true),
        (mail(&[&of_html(cut)], "--b--\n"), false),
        (mail(&[&of_html(&html[..html.len() - 30])], ""), false),
        (mail(&[&format!("{plain}Note: x\n")], ""), true),
        (mail(&[plain.trim_end()], ""), false),
        (
            mail(
                &[&plain.replace("\n\n", "\nContent-Transfer-Encoding: base64\n\n")],
                "--b--",
            ),
            false,
        ),
        (
            mail(
                &[&plain.replace("\n\n", "\nContent-Transfer-Encoding: x-odd\n\n")],
                "--b--",
            ),
            true,
        ),
        (
            mail(
                &[&plain.replace("\n\n", "\nContent-Transfer-Encoding: x-odd\n\na=2Db\n")],
                "--b--",
            ),
            false,
        ),
        (
            mail(&[&in_base64("SUQ6IDcKU3RhdHVzOiBvbgo")], "--b--"),
            true,
        ),
        (
            mail(&[&in_base64("SUQ6IDcKU3RhdHVzOiBvbg")], "--b--"),
            false,
        ),
        (mail(&[], ""), false),
    ] {
        let found = of_body.read(mail.as_bytes());
        assert_eq!(
            told(&found).len(),
            usize::from(is_read),
            "{mail}\n{found:?}"
        );
        assert_eq!(told(&of_header.read(mail.as_bytes())).len(), 1, "{mail}");
    }

    let said = of_body.read(mail(&[&of_html(cut)], "--b--\n").as_bytes());
    assert!(reason(&said).contains("looks cut off"), "{said:?}");
}

#[test]
fn a_header_that_is_damaged_is_read_or_told() {
    let mut found = Vec::new();
    for sample in samples() {
        let raw = &sample.raw;
        let (lines, body) = halves(raw);
        let mut odd: Vec<(String, Vec<u8>)> = Vec::new();
        for before in [
            &b"\0\0\0"[..],
            b"\xff\xfe",
            b"\xff\xfe\r\n",
            b"\xfe\xff\r\n",
            b"Return-Path: <x@y>\r\n\r\n",
            b"Received: by a.example;\r\n\tMon, 2 Mar 2026 12:00:00 +0000\r\n\r\n",
            b"<b>[EXTERNAL]</b>\r\n",
            b"<table>\r\n<tr><td>CAUTION</td></tr>\r\n</table>\r\n",
        ] {
            let mail = [before, raw.as_bytes()].concat();
            odd.push((before.escape_ascii().to_string(), mail));
        }
        odd.push(("LF CR".into(), raw.replace("\r\n", "\n\r").into_bytes()));
        for at in 1..lines.len() {
            let mut lines = lines.clone();
            // A line that follows a field may be its folded continuation.
            if lines[at].starts_with([' ', '\t']) || at + 1 == lines.len() {
                continue;
            }
            lines.insert(at, "<b>[EXTERNAL]</b>\r\n");
            odd.push((
                format!("a banner before line {at}"),
                format!("{}{body}", lines.concat()).into_bytes(),
            ));
        }
        for (what, mail) in odd {
            let taken = taking(&sample, &mail);
            assert!(
                matches!(taken, Taking::Taken(_) | Taking::Doubtful(..)),
                "{what}: {}: {taken:?}",
                sample.file
            );
            if matches!(taken, Taking::Taken(_)) {
                found.extend(wrong(&sample, &mail, &what));
            }
        }
        for from in ["\u{1}From:", ">From:", "F r o m:", "X-Original-From:"] {
            let mail = raw.replacen("From:", from, 1);
            let taken = taking(&sample, mail.as_bytes());
            assert!(
                matches!(taken, Taking::Doubtful(..)),
                "{from}: {}: {taken:?}",
                sample.file
            );
        }
    }
    assert_none(&found);
}

#[test]
fn a_tag_of_a_gateway_in_front_of_the_subject_changes_nothing() {
    for sample in samples() {
        let tagged = |tag: &str| {
            sample
                .raw
                .replacen("Subject: ", &format!("Subject: {tag} "), 1)
        };
        let whole = read(&sample, sample.raw.as_bytes());
        for tag in [
            "[EXTERNAL]",
            "[EXT]",
            "[SUSPECTED SPAM]",
            "***SPAM***",
            "External:",
            "[EXT] [Spam]",
            "[CAUTION]",
            "[alerts]",
            "[SUSPECT]",
            "[Externe Mail]",
            "[Extern E-Mail]",
            "[EXT-Mail]",
            "[Marketing Mail]",
            "[PHISHING?]",
            "[External_Sender]:",
            "[External] [alerts]",
            "[alerts] [EXT] [PHISHING?]",
        ] {
            let mail = tagged(tag);
            assert!(
                matches!(taking(&sample, mail.as_bytes()), Taking::Taken(_)),
                "{tag}: {}",
                sample.file
            );
            assert_eq!(
                read(&sample, mail.as_bytes()),
                whole,
                "{tag}: {}",
                sample.file
            );
        }
        // A tagged reply or forward is judged as the same mail without the tag.
        for prefix in ["Re:", "Fwd:", "AW:", "WG:"] {
            let taken = |mail: String| matches!(taking(&sample, mail.as_bytes()), Taking::Taken(_));
            let bare = taken(tagged(prefix));
            for both in [
                format!("[EXTERNAL] {prefix}"),
                format!("{prefix} [EXTERNAL]"),
                format!("[alerts] {prefix}"),
                format!("{prefix} [alerts]"),
            ] {
                assert!(bare || !taken(tagged(&both)), "{both}: {}", sample.file);
            }
        }
    }
}

#[test]
fn a_profile_that_looks_for_the_tag_still_finds_it() {
    let profile = only(
        "  match: { matchers: ['subject=~\"\\[EXT\\] .*\"', 'subject!~\"(?i)re: .*\"'] }\n  \
         regex: { subject: '^\\[EXT\\] (?<id>.+)$' }\n  \
         fields: { key: '{{ re.id }}', status: '{{ subject }}' }\n",
    );
    let mail = |subject: &str| format!("From: a@b.c\nSubject: {subject}\n\nx\n");
    let miss = |subject: &str| profile.matching.miss(mail(subject).as_bytes());
    assert_eq!(miss("[EXT] disk"), None);
    assert!(miss("disk").is_some() && miss("[EXT] Re: disk").is_some());
    let found = profile.read(mail("[EXT] disk").as_bytes());
    assert_eq!(
        (&*alert(&found[0]).key, &*alert(&found[0]).status),
        ("disk", "disk")
    );
}
