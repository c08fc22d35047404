//! `tests/mail`: small mails, each beside what is expected of it, and large hostile ones made here.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    fmt::Write as _,
    fs,
    path::Path,
    time::{Duration, Instant},
};

use alertbridge::{
    extract::{Extracted, Extraction, Extractor, MAX_PAYLOAD, NoAlert},
    incident::{Known, Observation, State, Statuses, Transition, Values, transition},
    validate::Validator,
};
use serde::Deserialize;
use serde_json::Value;

use super::generator::{Class, generate};

/// Generous: these tests run unoptimised, beside others. What they rule out takes minutes.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    /// `incident`, `unparsed` or `ignored`.
    outcome: String,
    incident_id: Option<String>,
    app_name: Option<String>,
    #[serde(default)]
    unknown: Vec<String>,
    /// A part of the reason.
    reason: Option<String>,
}

fn extract(mail: &[u8]) -> Extraction {
    Extractor::new(&["no-reply@am.atlassian.com".into()]).extract(mail)
}

fn conclude(validator: &Validator, mail: &[u8]) -> Expected {
    let concluded = |outcome: &str, reason: String| Expected {
        outcome: outcome.into(),
        incident_id: None,
        app_name: None,
        unknown: Vec::new(),
        reason: Some(reason),
    };
    match extract(mail).found {
        Extracted::NoAlert(NoAlert::OtherSender(reason) | NoAlert::NoPayload(reason)) => {
            concluded("ignored", reason)
        }
        Extracted::Unreadable { reason, .. } => concluded("unparsed", reason),
        Extracted::Json(json) => match validator.check(json) {
            Err(violation) => concluded("unparsed", violation.reason),
            Ok(valid) => Expected {
                outcome: "incident".into(),
                incident_id: Some(valid.alert.incident_id),
                app_name: valid.alert.app_name,
                unknown: valid.unknown,
                reason: None,
            },
        },
    }
}

fn corpus() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/mail"))
}

fn names(extension: &str) -> BTreeSet<String> {
    fs::read_dir(corpus())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect()
}

fn unreadable(mail: &[u8]) -> String {
    match extract(mail).found {
        Extracted::Unreadable { reason, key } => {
            assert!(key.starts_with("unparsed-") && key.len() == 41, "{key}");
            reason
        }
        Extracted::Json(json) => panic!("read as {:.100}", json.to_string()),
        Extracted::NoAlert(why) => panic!("no alert: {why:?}"),
    }
}

const HEADER: &str = "From: no-reply@am.atlassian.com\r\nMIME-Version: 1.0\r\n";
const ELEMENT: &str = r#"<script type="application/json" id="incident-data">{"n":1}</script>"#;

fn html_mail(html: &str) -> Vec<u8> {
    format!("{HEADER}Content-Type: text/html; charset=utf-8\r\n\r\n{html}").into_bytes()
}

fn in_time<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = work();
    let took = start.elapsed();
    assert!(took < PATIENCE, "{what} took {took:?}");
    result
}

#[test]
fn every_mail_of_the_corpus_is_understood_as_written_beside_it() {
    let validator = Validator::built_in().unwrap();
    let mails = names("eml");
    assert_eq!(
        mails,
        names("json"),
        "every .eml has its .json, and the other way round"
    );
    assert!(mails.len() >= 60, "only {} mails", mails.len());
    let mut wrong = Vec::new();
    for name in mails {
        let read = |extension| fs::read(corpus().join(format!("{name}.{extension}"))).unwrap();
        let expected: Expected = serde_json::from_slice(&read("json")).unwrap();
        let got = conclude(&validator, &read("eml"));
        let reason = match (&expected.reason, &got.reason) {
            (Some(part), Some(reason)) => reason.contains(part.as_str()),
            (None, None) => true,
            _ => false,
        };
        let same = expected.outcome == got.outcome
            && reason
            && expected.incident_id == got.incident_id
            && expected.unknown == got.unknown
            && (expected.app_name.is_none() || expected.app_name == got.app_name);
        if !same {
            wrong.push(format!(
                "{name}:\n  expected {expected:?}\n  got      {got:?}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn generated_mails_are_understood_as_their_truth_says() {
    let validator = Validator::built_in().unwrap();
    let mails = generate(7, 1_000);
    for mail in &mails {
        let got = conclude(&validator, &mail.eml);
        let expected = match mail.truth.outcome.class() {
            Class::Incident => "incident",
            Class::Unparsed => "unparsed",
            Class::Ignored => "ignored",
        };
        assert_eq!(got.outcome, expected, "{:?} {got:?}", mail.truth);
        if expected == "incident" {
            assert_eq!(got.incident_id, mail.truth.incident_id);
            assert_eq!(got.app_name, mail.truth.app_name);
        }
        assert_eq!(extract(&mail.eml).date, Some(mail.truth.date));
    }
    let share = |class| {
        mails
            .iter()
            .filter(|mail| mail.truth.outcome.class() == class)
            .count()
    };
    assert!(
        (60..160).contains(&share(Class::Unparsed)),
        "{}",
        share(Class::Unparsed)
    );
}

#[test]
fn the_state_machine_agrees_with_the_generated_truth() {
    let meaning = Statuses::default();
    let mut incidents: HashMap<String, State> = HashMap::new();
    let mut applied = HashSet::new();
    let mut seen_outcomes = HashSet::new();
    for mail in generate(11, 5_000) {
        let truth = mail.truth;
        seen_outcomes.insert(truth.outcome);
        let (Some(id), Some(status), Some(time)) = (truth.incident_id, truth.status, truth.time)
        else {
            continue;
        };
        let known = Known {
            state: incidents.get(&id).cloned(),
            applied_before: applied.contains(&(id.clone(), status.clone(), time)),
        };
        let signal = meaning.signal(&status);
        let seen = Observation {
            by_date: false,
            signal,
            status: status.clone(),
            time: Some(time),
            verified: false,
            fresh: true,
            values: Values::new(),
        };
        let (outcome, state) = match transition(&known, &seen) {
            Transition::Opened(state) => ("opened", Some(state)),
            Transition::Reopened(state) => ("reopened", Some(state)),
            Transition::Resolved(state) => ("resolved", Some(state)),
            Transition::Duplicate { advance, .. } => ("duplicate", advance),
            Transition::Stale { .. } => ("stale", None),
            other => panic!("{other:?}"),
        };
        assert_eq!(outcome, truth.outcome.as_str(), "{id} {status} {time}");
        if let Some(state) = state {
            incidents.insert(id.clone(), state);
            applied.insert((id, status, time));
        }
    }
    assert_eq!(
        seen_outcomes.len(),
        7,
        "every kind of mail is among 5,000: {seen_outcomes:?}"
    );
}

#[test]
fn copies_of_an_unreadable_alert_share_a_key_and_others_do_not() {
    let key = |mail: &[u8]| match extract(mail).found {
        Extracted::Unreadable { key, .. } => key,
        other => panic!("{other:?}"),
    };
    let broken = |json: &str| {
        html_mail(&format!(
            "<script type=application/json id=incident-data>{json}</script>"
        ))
    };
    let mut copy = b"Received: from somewhere\r\n".to_vec();
    copy.extend(broken("{\r\n \"a\" "));
    assert_eq!(key(&broken("{ \"a\" ")), key(&copy));
    assert_ne!(key(&broken("{ \"a\" ")), key(&broken("{ \"b\" ")));
}

#[test]
fn nested_html_costs_linear_time_and_hides_nothing() {
    for unit in [
        "<div>",
        "<a>",
        "<b><i>",
        "<table><tr><td>",
        "<p><select>",
        "</p>",
        "<x-y>",
    ] {
        let html = format!("{}{ELEMENT}", unit.repeat((512 << 10) / unit.len()));
        let found = in_time(unit, || extract(&html_mail(&html)).found);
        assert_eq!(
            found,
            Extracted::Json(serde_json::json!({ "n": 1 })),
            "{unit}"
        );
    }
    // Read by the DOM alone, whose time is quadratic: as much of it as there may be.
    for unit in ["<svg><g>", "<math><mi>", "<svg><div>", "<a><math>"] {
        let html = format!("{}{ELEMENT}", unit.repeat((60 << 10) / unit.len()));
        in_time(unit, || extract(&html_mail(&html)));
        let html = format!("{}{ELEMENT}", unit.repeat((512 << 10) / unit.len()));
        assert!(
            in_time(unit, || unreadable(&html_mail(&html))).contains("svg or math"),
            "{unit}"
        );
    }
}

#[test]
fn html_nested_beyond_memory_is_unreadable_rather_than_no_alert() {
    // Where tags alone tell, nesting takes no memory.
    let html = format!("{}{ELEMENT}", "<a>".repeat(4 << 20));
    let found = in_time("plain", || extract(&html_mail(&html)).found);
    assert!(matches!(found, Extracted::Json(json) if json["n"] == 1));
    let html = format!("<template>{html}");
    assert!(in_time("nested", || unreadable(&html_mail(&html))).contains("nests too deep"));
}

#[test]
fn repeated_markup_costs_linear_time() {
    for unit in [
        "<!--",
        "<script",
        "<script id=incident-data ",
        "<script id=x>",
        "</script>",
        "<script id=x></script>",
        "<![CDATA[",
        "<",
    ] {
        let html = unit.repeat((2 << 20) / unit.len());
        in_time(unit, || extract(&html_mail(&html)));
    }
    let attributes = format!("<script {}>", "id=x ".repeat(100_000));
    in_time("attributes", || extract(&html_mail(&attributes)));
}

#[test]
fn a_payload_over_the_limit_is_unreadable() {
    let html = format!(
        "<script type=application/json id=incident-data>\"{}\"</script>",
        "x".repeat(MAX_PAYLOAD + 8_192)
    );
    assert!(unreadable(&html_mail(&html)).contains("larger than 256 KiB"));
}

#[test]
fn a_hundred_megabytes_are_read_in_time_and_refused() {
    let html = format!("<p>{}</p>{ELEMENT}", "x".repeat(100 << 20));
    assert!(in_time("100 MB", || unreadable(&html_mail(&html))).contains("16 MiB of HTML"));
}

#[test]
fn a_boundary_that_never_comes_is_searched_once_per_level() {
    // What makes a parser that searches on for every boundary quadratic.
    let part = "Content-Type: multipart/mixed; boundary=never\r\n\r\n--top\r\n";
    let mail = format!(
        "{HEADER}Content-Type: multipart/mixed; boundary=top\r\n\r\n--top\r\n{}",
        part.repeat(200_000)
    );
    assert!(in_time("boundaries", || unreadable(mail.as_bytes())).contains("looks cut off"));
}

#[test]
fn ten_thousand_nested_multiparts_are_refused_in_time() {
    let mut mail = HEADER.to_owned();
    for level in 0..10_000 {
        write!(
            mail,
            "Content-Type: multipart/mixed; boundary=b{level}\r\n\r\n--b{level}\r\n"
        )
        .unwrap();
    }
    write!(mail, "Content-Type: text/html\r\n\r\n{ELEMENT}\r\n").unwrap();
    assert!(in_time("nesting", || unreadable(mail.as_bytes())).contains("nests more than 16"));
}

#[test]
fn many_parts_are_refused() {
    let part = "--b\r\nContent-Type: text/plain\r\n\r\nx\r\n";
    let mail = format!(
        "{HEADER}Content-Type: multipart/mixed; boundary=b\r\n\r\n{}--b--\r\n",
        part.repeat(100_000)
    );
    assert!(in_time("parts", || unreadable(mail.as_bytes())).contains("more than 256 parts"));
}

#[test]
fn attached_megabytes_are_not_decoded() {
    let mail = format!(
        "{HEADER}Content-Type: multipart/mixed; boundary=b\r\n\r\n\
         --b\r\nContent-Type: text/html\r\n\r\n{ELEMENT}\r\n\
         --b\r\nContent-Type: application/zip\r\nContent-Transfer-Encoding: \
         base64\r\n\r\n{}\r\n--b--\r\n",
        "AAAA".repeat(5 << 20)
    );
    let found = in_time("attachment", || extract(mail.as_bytes()).found);
    assert_eq!(found, Extracted::Json(serde_json::json!({ "n": 1 })));
}

#[test]
fn floods_of_headers_are_refused_in_time() {
    for flood in [
        "X: y\r\n".repeat(1 << 20),
        format!("X: {}\r\n", "y".repeat(16 << 20)),
        format!("X:\r\n{}", " y\r\n".repeat(4 << 20)),
        ":\r\n".repeat(1 << 20),
    ] {
        let mail = format!("{flood}{HEADER}\r\n");
        let reason = in_time("headers", || unreadable(mail.as_bytes()));
        assert!(
            reason.contains("at most 262144") || reason.contains("more than 1000 fields"),
            "{reason}"
        );
    }
}

#[test]
fn deep_or_wide_json_is_refused_or_read_in_time() {
    let deep = html_mail(&format!(
        "<script type=application/json id=incident-data>{}</script>",
        "[".repeat(200_000)
    ));
    assert!(unreadable(&deep).contains("recursion"));
    let entries: Vec<String> = (0..20_000).map(|n| format!("\"k{n}\":0")).collect();
    let wide = html_mail(&format!(
        "<script type=application/json id=incident-data>{{{}}}</script>",
        entries.join(",")
    ));
    let Extracted::Json(json) = in_time("wide", || extract(&wide).found) else {
        panic!("not read")
    };
    let violation = in_time("wide", || Validator::built_in().unwrap().check(json)).unwrap_err();
    assert!(violation.reason.len() < 2_000, "{}", violation.reason);
}

#[test]
fn no_mail_however_mutilated_makes_the_stages_panic() {
    let validator = Validator::built_in().unwrap();
    let mut rng = fastrand::Rng::with_seed(20_221_124);
    let mails: Vec<Vec<u8>> = names("eml")
        .iter()
        .map(|name| fs::read(corpus().join(format!("{name}.eml"))).unwrap())
        .filter(|mail| !mail.is_empty() && mail.len() < 20_000)
        .collect();
    let mut reached = [0_u32; 3];
    for _ in 0..4_000 {
        let mut mail = mails[rng.usize(..mails.len())].clone();
        for _ in 0..rng.usize(1..6) {
            mutilate(&mut rng, &mut mail, &mails);
        }
        match extract(&mail).found {
            Extracted::Json(json) => {
                reached[0] += 1;
                match validator.check(json) {
                    Ok(valid) => assert!(!valid.alert.incident_id.is_empty()),
                    Err(violation) => {
                        assert!(!violation.reason.is_empty() && violation.reason.len() < 5_000);
                    }
                }
            }
            Extracted::Unreadable { reason, key } => {
                reached[1] += 1;
                assert!(!reason.is_empty() && reason.len() < 1_000 && key.len() == 41);
            }
            Extracted::NoAlert(NoAlert::OtherSender(reason) | NoAlert::NoPayload(reason)) => {
                reached[2] += 1;
                assert!(!reason.is_empty() && reason.len() < 1_000);
            }
        }
    }
    assert!(reached.iter().all(|count| *count > 100), "{reached:?}");
}

/// One change: bytes flipped, cut, doubled, or taken from another mail.
fn mutilate(rng: &mut fastrand::Rng, mail: &mut Vec<u8>, others: &[Vec<u8>]) {
    if mail.is_empty() {
        return;
    }
    let at = rng.usize(..mail.len());
    let end = (at + rng.usize(1..64)).min(mail.len());
    match rng.u8(..6) {
        0 => mail[at] = rng.u8(..),
        1 => drop(mail.drain(at..end)),
        2 => mail.truncate(at.max(mail.len() / 2)),
        3 => {
            let piece = mail[at..end].to_vec();
            mail.splice(at..at, piece);
        }
        4 => {
            let special = [
                &b"\r"[..],
                b"\n",
                b"\r\n\r\n",
                b"\0",
                b"=",
                b"--b1\r\n",
                b"<script",
                b"</script>",
                b"&",
                b"\"",
                b"\xff",
            ];
            mail.splice(at..at, special[rng.usize(..special.len())].iter().copied());
        }
        _ => {
            let other = &others[rng.usize(..others.len())];
            let from = rng.usize(..other.len());
            let to = (from + rng.usize(1..200)).min(other.len());
            mail.splice(at..at, other[from..to].iter().copied());
        }
    }
}

#[test]
fn a_schema_violation_hands_the_json_back() {
    let Extracted::Json(json) = extract(&html_mail(ELEMENT)).found else {
        panic!("not read")
    };
    let violation = Validator::built_in().unwrap().check(json).unwrap_err();
    assert_eq!(violation.json, serde_json::json!({ "n": 1 }) as Value);
}
