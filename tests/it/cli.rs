//! The commands as a stranger on call meets them: what goes where, what it says, with which exit
//! status.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpListener,
    process::{Command, Output, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use alertbridge::cli::sample;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tempfile::TempDir;

use crate::harness::{Bridge, PATIENCE, PROGRAM, run, run_with};

/// Two receivers, one of them with a secret that is not there, and nights for one.
const CONFIG: &str = r#"
store: { url: "sqlite:state.db" }
ingress: { webhook: [{ name: mail }] }
alerts: { authenticity: { require: [] } }
time_intervals:
  - { name: nights, time_intervals: [{ times: [{ start_time: "00:00", end_time: "08:00" }] }] }
route:
  receiver: chat
  routes:
    - { receiver: oncall, matchers: ['severity="critical"'], continue: true }
    - { receiver: chat, matchers: ['severity="critical"'], mute_time_intervals: [nights] }
receivers:
  - { name: chat, stdout_configs: [{}] }
  - { name: oncall, opsgenie_configs: [{ api_key_file: not-on-this-laptop }] }
"#;

fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("alertbridge.yaml"), CONFIG).unwrap();
    folder
}

fn mail(status: &str, incident: &str, at: &str) -> String {
    sample::mail(status, Some(incident), at.parse().unwrap())
}

/// An mbox of so many incidents, each opened and resolved a second later, before the next.
pub fn incidents_in_turn(incidents: i64) -> String {
    let start: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
    let mails = (0..2 * incidents).map(|n| {
        let status = if n % 2 == 0 { "ANOMALOUS" } else { "OK" };
        let mail = sample::mail(
            status,
            Some(&format!("inc-{}", n / 2)),
            start + SignedDuration::from_secs(n),
        );
        format!(
            "From MAILER-DAEMON Sun Mar  1 12:00:00 2026\n{}\n",
            mail.replace("\r\n", "\n")
        )
    });
    mails.collect()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn json(output: &Output) -> Value {
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(
        text(&output.stdout).lines().count(),
        1,
        "not one object on one line"
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

fn lines(output: &Output) -> Vec<Value> {
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    text(&output.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn names(of: &Value) -> Vec<&str> {
    of.as_array()
        .unwrap()
        .iter()
        .map(|name| name.as_str().unwrap())
        .collect()
}

/// Runs until `done` says so.
fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "it never came: {what}");
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn explain_prints_the_one_object_of_the_contract_and_needs_no_secret() {
    let folder = folder();
    let eml = mail("ANOMALOUS", "inc-1", "2026-03-01T12:00:00Z");
    let explained = json(&run_with(
        folder.path(),
        &["explain", "--json", "-"],
        eml.as_bytes(),
    ));
    let keys: Vec<_> = explained
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    let contract = [
        "mail",
        "item",
        "profile",
        "outcome",
        "reason",
        "authenticity",
        "incident",
        "labels",
        "receivers",
        "requests",
    ];
    let found = [
        "pairs",
        "groups",
        "json",
        "items",
        "attachments",
        "text",
        "misses",
    ];
    assert_eq!(keys, [&contract[..], &found[..]].concat());
    assert_eq!(
        (
            &explained["mail"],
            &explained["outcome"],
            &explained["reason"]
        ),
        (&"-".into(), &"opened".into(), &Value::Null)
    );
    let evidence: Vec<_> = explained["authenticity"]
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(evidence, ["verdict", "evidence", "domain", "detail"]);
    assert_eq!(explained["authenticity"]["verdict"], "off");
    assert_eq!(explained["incident"]["incidentId"], "inc-1");
    assert_eq!(explained["labels"]["severity"], "critical");
    assert_eq!(names(&explained["receivers"]), ["oncall", "chat"]);
    for request in explained["requests"].as_array().unwrap() {
        let keys: Vec<_> = request
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        assert_eq!(
            keys,
            [
                "receiver",
                "integration",
                "method",
                "url",
                "headers",
                "body"
            ]
        );
    }
    assert_eq!(explained["requests"][0]["integration"], "opsgenie");
    assert_eq!(
        explained["requests"][0]["headers"]["authorization"],
        "GenieKey <secret>"
    );
    assert_eq!(explained["requests"][0]["body"]["alias"], "inc-1:oncall");
    assert!(
        !folder.path().join("state.db").exists(),
        "explain stores nothing"
    );
}

#[test]
fn explain_tells_a_lone_resolve_and_what_is_no_alert_to_nobody() {
    let folder = folder();
    let resolve = mail("OK", "inc-1", "2026-03-01T12:00:00Z");
    let resolved = json(&run_with(
        folder.path(),
        &["explain", "--json", "-"],
        resolve.as_bytes(),
    ));
    assert_eq!(
        (&resolved["outcome"], names(&resolved["receivers"])),
        (&"resolved".into(), vec![])
    );
    for junk in [
        b"".as_slice(),
        b"\0\xff\xfe junk",
        b"From: me@example.com\n\nhello",
    ] {
        let ignored = json(&run_with(folder.path(), &["explain", "--json", "-"], junk));
        assert_eq!(ignored["outcome"], "ignored");
        assert!(ignored["reason"].is_string());
        assert_eq!(
            (&ignored["incident"], &ignored["labels"]),
            (&Value::Null, &serde_json::json!({}))
        );
        assert_eq!(
            (&ignored["receivers"], &ignored["requests"]),
            (&serde_json::json!([]), &serde_json::json!([]))
        );
    }
}

#[test]
fn the_clock_of_explain_is_the_mails_own_arrival_unless_told_otherwise() {
    let folder = folder();
    let told = |date: &str, more: &[&str]| {
        let arguments = [&["explain", "--json", "-"], more].concat();
        let explained = json(&run_with(
            folder.path(),
            &arguments,
            mail("ANOMALOUS", "inc-1", date).as_bytes(),
        ));
        names(&explained["receivers"]).join(",")
    };
    assert_eq!(told("2026-03-01T12:00:00Z", &[]), "oncall,chat");
    assert_eq!(
        told("2026-03-01T03:00:00Z", &[]),
        "oncall",
        "the chat is muted at night"
    );
    assert_eq!(
        told("2026-03-01T03:00:00Z", &["--at", "2026-03-01T12:00:00Z"]),
        "oncall,chat"
    );
    assert_eq!(
        told("2026-03-01T12:00:00Z", &["--at", "2026-03-09"]),
        "",
        "older than max_age by then"
    );
}

#[test]
fn explain_reads_a_pipe_that_is_named_as_a_file() {
    let folder = folder();
    let eml = mail("ANOMALOUS", "inc-1", "2026-03-01T12:00:00Z");
    assert_eq!(
        json(&run_with(
            folder.path(),
            &["explain", "--json", "/dev/stdin"],
            eml.as_bytes()
        ))["outcome"],
        "opened"
    );
}

#[test]
fn replay_takes_files_folders_maildirs_and_mboxes_in_order_of_arrival_ties_by_path() {
    let folder = folder();
    let at = |path: &str, content: &str| {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    };
    at("b.eml", &mail("ANOMALOUS", "tie", "2026-03-01T12:00:00Z"));
    at(
        "a/nested/deep.eml",
        &mail("ANOMALOUS", "tie", "2026-03-01T12:00:00Z"),
    );
    at("md/new/1", &mail("OK", "tie", "2026-03-01T13:00:00Z"));
    at(
        "md/cur/2:2,S",
        &mail("ANOMALOUS", "early", "2026-03-01T10:00:00Z"),
    );
    at(
        "md/tmp/3",
        &mail("ANOMALOUS", "unfinished", "2026-03-01T10:00:00Z"),
    );
    let boxed = |status: &str, at: &str| {
        format!(
            "From MAILER-DAEMON Sun Mar  1 12:00:00 2026\n{}\n",
            mail(status, "boxed", at).replace("\r\n", "\n")
        )
    };
    at(
        "all.mbox",
        &(boxed("OK", "2026-03-01T12:30:00Z") + &boxed("ANOMALOUS", "2026-03-01T12:20:00Z")),
    );
    let replayed = run(
        folder.path(),
        &["replay", "--json", "b.eml", "a", "md", "all.mbox"],
    );
    let told: Vec<_> = lines(&replayed)
        .iter()
        .map(|line| {
            format!(
                "{} {}",
                line["mail"].as_str().unwrap(),
                line["outcome"].as_str().unwrap()
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            "md/cur/2:2,S opened",
            "a/nested/deep.eml opened",
            "b.eml duplicate",
            "all.mbox#2 opened",
            "all.mbox#1 resolved",
            "md/new/1 resolved",
        ]
    );
    let summary = run(folder.path(), &["replay", "b.eml", "a", "md", "all.mbox"]);
    assert_eq!(
        text(&summary.stdout),
        "OUTCOME    MAILS  TOLD\n\
         opened     3      chat 3, oncall 3\n\
         resolved   2      chat 2, oncall 2\n\
         duplicate  1\n\
         6 mails, 10 requests\n"
    );
    assert_eq!(text(&summary.stderr), "", "a bar is for a terminal");
}

#[test]
fn many_mails_at_once_are_decided_in_order_of_arrival() {
    let folder = folder();
    fs::write(folder.path().join("all.mbox"), incidents_in_turn(300)).unwrap();
    let replayed = run(folder.path(), &["replay", "--json", "all.mbox"]);
    let outcomes: Vec<_> = lines(&replayed)
        .iter()
        .map(|line| line["outcome"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(outcomes, ["opened", "resolved"].repeat(300));
}

#[test]
fn what_is_no_mail_in_a_folder_does_not_stop_a_replay() {
    let folder = folder();
    let mails = folder.path().join("mails");
    fs::create_dir(&mails).unwrap();
    fs::write(
        mails.join("a.eml"),
        mail("ANOMALOUS", "inc-1", "2026-03-01T12:00:00Z"),
    )
    .unwrap();
    std::os::unix::fs::symlink("nowhere", mails.join("gone")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(mails.join("socket")).unwrap();
    let replayed = run(folder.path(), &["replay", "--json", "mails"]);
    assert_eq!(lines(&replayed).len(), 1);
    assert_eq!(
        text(&replayed.stderr),
        "note: mails/gone does not exist\nnote: mails/socket is not a file\n"
    );
}

#[test]
fn replay_sends_only_with_a_yes() {
    let folder = folder();
    fs::write(
        folder.path().join("a.eml"),
        mail("ANOMALOUS", "inc-1", "2026-03-01T12:00:00Z"),
    )
    .unwrap();
    fs::write(folder.path().join("not-on-this-laptop"), "key").unwrap();
    let config = CONFIG.replace(
        "opsgenie_configs: [{ api_key_file: not-on-this-laptop }]",
        "stdout_configs: [{}]",
    );
    fs::write(folder.path().join("alertbridge.yaml"), config).unwrap();
    let refused = run(folder.path(), &["replay", "--send", "a.eml"]);
    assert_eq!(
        (refused.status.code(), text(&refused.stdout)),
        (Some(2), "")
    );
    assert!(
        text(&refused.stderr).contains("add --yes"),
        "{}",
        text(&refused.stderr)
    );
    let sent = run(folder.path(), &["replay", "--send", "--yes", "a.eml"]);
    assert_eq!(sent.status.code(), Some(0));
    assert_eq!(
        text(&sent.stdout).matches("TRIGGER inc-1:").count(),
        2,
        "{}",
        text(&sent.stdout)
    );
    assert_eq!(text(&sent.stderr), "2 requests delivered, 0 not\n");
    let sent = run(
        folder.path(),
        &["replay", "--send", "--yes", "--json", "a.eml"],
    );
    assert_eq!(
        (sent.status.code(), lines(&sent).len()),
        (Some(0), 1),
        "JSON alone on standard output"
    );
    assert_eq!(
        text(&sent.stderr).matches("TRIGGER inc-1:").count(),
        2,
        "{}",
        text(&sent.stderr)
    );
}

#[test]
fn routes_test_tells_whom_labels_reach() {
    let folder = folder();
    let cases: [(&[&str], i32, &str); 9] = [
        (&[], 0, "chat\n"),
        (
            &["--json"],
            0,
            "{\"receivers\":[\"chat\"],\"routes\":[\"route\"]}\n",
        ),
        (&["severity=critical"], 0, "oncall,chat\n"),
        (
            &["--json", "severity=critical"],
            0,
            "{\"receivers\":[\"oncall\",\"chat\"],\
             \"routes\":[\"route.routes[0]\",\"route.routes[1]\"]}\n",
        ),
        (
            &["--at", "2026-03-01T03:00:00Z", "severity=critical"],
            0,
            "oncall\n",
        ),
        (
            &["--expect", "oncall,chat", "severity=critical"],
            0,
            "oncall,chat\n",
        ),
        (
            &["--expect", "chat,oncall", "severity=critical"],
            1,
            "oncall,chat\n",
        ),
        (&["--expect", "oncall"], 1, "chat\n"),
        (&["severity"], 2, ""),
    ];
    for (arguments, status, said) in cases {
        let output = run(folder.path(), &[&["routes", "test"], arguments].concat());
        assert_eq!(
            (output.status.code(), text(&output.stdout)),
            (Some(status), said),
            "{arguments:?}"
        );
        assert_eq!(
            output.stderr.is_empty(),
            status == 0 && !arguments.contains(&"--at"),
            "{arguments:?}"
        );
    }
}

#[test]
fn replay_reads_packed_and_wrapped_mails_and_names_what_is_no_mail() {
    let folder = folder();
    let gzip = |bytes: &[u8]| {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut packed, bytes).unwrap();
        packed.finish().unwrap()
    };
    let mail = |id: &str, time: &str| sample::mail("ANOMALOUS", Some(id), time.parse().unwrap());
    let (one, two) = (
        mail("one", "2026-03-01T10:00:00Z"),
        mail("two", "2026-03-01T11:00:00Z"),
    );
    let envelope = "From a@b Sun Mar  1 12:00:00 2026\n";
    let at = |name: &str, content: &[u8]| {
        let path = folder.path().join("in").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    };
    at("1.eml.gz", &gzip(one.as_bytes()));
    at(
        "2.emlx",
        format!("{}\n{two}<?xml version=\"1.0\"?>\n<plist/>\n", two.len()).as_bytes(),
    );
    at(
        "3.eml.zst",
        &zstd::encode_all(mail("three", "2026-03-01T12:00:00Z").as_bytes(), 1).unwrap(),
    );
    let boxed = |mail: String| format!("{envelope}{}\n", mail.replace("\r\n", "\n"));
    let all =
        boxed(mail("four", "2026-03-01T13:00:00Z")) + &boxed(mail("five", "2026-03-01T14:00:00Z"));
    at("all.mbox.gz", &gzip(all.as_bytes()));
    at("x.pdf", b"%PDF-1.7\n");
    at("x.msg", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0\0");

    let replayed = run(folder.path(), &["replay", "--json", "in"]);
    let told: Vec<String> = lines(&replayed)
        .iter()
        .map(|line| {
            format!(
                "{} {}",
                line["mail"].as_str().unwrap(),
                line["incident"]["incidentId"].as_str().unwrap()
            )
        })
        .collect();
    let expected = [
        "in/1.eml.gz one",
        "in/2.emlx two",
        "in/3.eml.zst three",
        "in/all.mbox.gz#1 four",
        "in/all.mbox.gz#2 five",
    ];
    assert_eq!(told, expected, "{}", text(&replayed.stderr));
    assert!(
        text(&replayed.stderr).contains("note: in/x.pdf is skipped: it is not a mail but a PDF")
    );
    for (file, what) in [
        ("in/x.pdf", "in/x.pdf is not a mail but a PDF"),
        ("in/x.msg", "an Outlook message (.msg)"),
    ] {
        let explained = run(folder.path(), &["explain", file]);
        assert_eq!(explained.status.code(), Some(1), "{file}");
        assert!(
            text(&explained.stderr).contains(what),
            "{}",
            text(&explained.stderr)
        );
    }
    let packed = run(folder.path(), &["explain", "--json", "in/1.eml.gz"]);
    assert_eq!(lines(&packed)[0]["incident"]["incidentId"], "one");
}

#[test]
fn what_cannot_be_done_is_said_on_standard_error_with_the_mend() {
    let folder = folder();
    fs::create_dir(folder.path().join("empty")).unwrap();
    fs::write(
        folder.path().join("no-store.yaml"),
        CONFIG.replace("sqlite:state.db", "sqlite:alertbridge.yaml"),
    )
    .unwrap();
    let two = "From a Sun Mar  1 12:00:00 2026\nA: 1\n\nx\n\nFrom b Sun Mar  1 12:00:00 2026\nB: \
               2\n\ny\n";
    fs::write(folder.path().join("two.mbox"), two).unwrap();
    let cases: &[(&[&str], i32, &str)] = &[
        (&[], 2, "Usage: alertbridge"),
        (&["nonsense"], 2, "unrecognized subcommand"),
        (&["explain"], 2, "<MAIL>"),
        (
            &["explain", "--at", "noon", "-"],
            2,
            "write it like 2026-03-01T03:00:00Z",
        ),
        (
            &["explain", "missing.eml"],
            1,
            "cannot read missing.eml: No such file",
        ),
        (&["explain", "empty"], 1, "empty holds no mail"),
        (
            &["explain", "two.mbox"],
            1,
            "two.mbox holds 2 mails: use `alertbridge replay` for several",
        ),
        (&["replay"], 2, "<PATH>"),
        (&["replay", "--stored", "empty"], 2, "cannot be used with"),
        (
            &["replay", "--since", "2026-03-01", "empty"],
            2,
            "cannot be used with",
        ),
        (&["replay", "--yes", "empty"], 2, "--send"),
        (&["replay", "missing"], 1, "cannot read missing"),
        (
            &["check", "--config", "missing.yaml"],
            1,
            "missing.yaml: cannot be read",
        ),
        (
            &["check", "--config", "empty"],
            1,
            "mend: name a file that exists",
        ),
        (
            &["check"],
            1,
            "receivers[1].opsgenie_configs[0].api_key_file",
        ),
        (&["serve"], 1, "mend: put the file there"),
        (
            &["incidents", "list"],
            1,
            "there is no store state.db yet: `alertbridge serve` creates it",
        ),
        (&["replay", "--stored"], 1, "there is no store state.db yet"),
        (
            &["mails", "list", "--config", "no-store.yaml"],
            1,
            "store.url: alertbridge.yaml",
        ),
        (
            &["mails", "list", "--outcome", "lost"],
            2,
            "possible values: pending, opened",
        ),
        (
            &["deliveries", "list", "--state", "lost"],
            2,
            "possible values: pending, held, delivered, dead",
        ),
        (&["deliveries", "retry"], 2, "<ID>"),
        (&["schema", "mail"], 2, "possible values: incident, config"),
        (&["completion", "c64"], 2, "possible values: bash"),
    ];
    for (arguments, status, said) in cases {
        let output = run(folder.path(), arguments);
        let error = text(&output.stderr);
        assert_eq!(
            output.status.code(),
            Some(*status),
            "{arguments:?}: {error}"
        );
        assert!(error.contains(said), "{arguments:?} says:\n{error}");
        assert_eq!(
            text(&output.stdout),
            "",
            "{arguments:?}: standard output is for data"
        );
    }
}

#[test]
fn check_tells_problems_and_warnings_in_words_and_as_json() {
    let folder = folder();
    let problems = run(folder.path(), &["check", "--json"]);
    assert_eq!(
        (problems.status.code(), text(&problems.stderr)),
        (Some(1), "")
    );
    let verdict: Value = serde_json::from_slice(&problems.stdout).unwrap();
    assert_eq!(
        (
            &verdict["ok"],
            verdict["problems"].as_array().unwrap().len()
        ),
        (&Value::Bool(false), 1)
    );
    fs::write(folder.path().join("not-on-this-laptop"), "key").unwrap();
    let fine = run(folder.path(), &["check"]);
    assert!(
        text(&fine.stdout).ends_with("\nok\n"),
        "{}",
        text(&fine.stdout)
    );
    assert!(
        text(&fine.stderr).contains("warning: alerts.authenticity.require is empty"),
        "{}",
        text(&fine.stderr)
    );
    let no_way_in = CONFIG
        .lines()
        .filter(|line| !line.starts_with("ingress"))
        .collect::<Vec<_>>()
        .join("\n");
    fs::write(folder.path().join("alertbridge.yaml"), no_way_in).unwrap();
    let warned = run(folder.path(), &["check"]);
    assert_eq!(warned.status.code(), Some(0));
    assert!(
        text(&warned.stderr).contains("warning: ingress is empty"),
        "{}",
        text(&warned.stderr)
    );
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let folder = folder();
    fs::write(
        folder.path().join("a.eml"),
        mail("ANOMALOUS", "inc-1", "2026-03-01T12:00:00Z"),
    )
    .unwrap();
    let commands: [&[&str]; 9] = [
        &["routes", "show"],
        &["routes", "test", "--json"],
        &["sample"],
        &["schema", "config"],
        &["completion", "bash"],
        &["man"],
        &["explain", "a.eml"],
        &["explain", "--json", "a.eml"],
        &["replay", "--json", "a.eml"],
    ];
    for arguments in commands {
        let mut command = Command::new(PROGRAM);
        command
            .args(arguments)
            .current_dir(folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!(
            (output.status.code(), text(&output.stderr)),
            (Some(0), ""),
            "{arguments:?}"
        );
    }
}

#[test]
fn a_mail_does_not_reach_the_terminal_with_escape_sequences() {
    let folder = folder();
    let hostile = mail("ANOMALOUS", "\u{1b}[2J\nforged", "2026-03-01T12:00:00Z");
    let explained = run_with(folder.path(), &["explain", "-"], hostile.as_bytes());
    assert_eq!(explained.status.code(), Some(0));
    assert!(
        !explained.stdout.contains(&0x1b),
        "{}",
        text(&explained.stdout)
    );
    assert!(
        text(&explained.stdout).contains("incident_id=\"\\u{1b}[2J\\nforged\""),
        "{}",
        text(&explained.stdout)
    );
    assert!(
        !run(folder.path(), &["--help"]).stdout.contains(&0x1b),
        "colours are for a terminal"
    );
}

#[test]
fn completions_and_the_manual_know_every_command() {
    let folder = folder();
    let commands = [
        "serve",
        "explain",
        "replay",
        "routes",
        "deliveries",
        "migrate",
        "discard",
        "sample",
    ];
    for arguments in [
        &["completion", "bash"][..],
        &["completion", "zsh"],
        &["completion", "fish"],
        &["man"],
    ] {
        let output = run(folder.path(), arguments);
        assert_eq!(output.status.code(), Some(0));
        for command in commands {
            assert!(
                text(&output.stdout).contains(command),
                "{arguments:?} has no {command}"
            );
        }
    }
}

#[test]
fn a_receiver_is_tested_with_a_trigger_and_its_resolve() {
    let folder = tempfile::tempdir().unwrap();
    let tested = run(folder.path(), &["receivers", "test", "stdout"]);
    let said = text(&tested.stdout);
    assert_eq!(tested.status.code(), Some(0), "{}", text(&tested.stderr));
    assert_eq!(
        (
            said.matches("[TEST]").count(),
            said.matches("delivered").count()
        ),
        (2, 2),
        "{said}"
    );
    let tested = run(folder.path(), &["receivers", "test", "stdout", "--json"]);
    let deliveries: Vec<Value> =
        serde_json::from_slice(&tested.stdout).expect("JSON alone on standard output");
    assert_eq!(
        (
            deliveries.len(),
            text(&tested.stderr).matches("[TEST]").count()
        ),
        (2, 2)
    );
    let unknown = run(folder.path(), &["receivers", "test", "nobody"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(
        text(&unknown.stderr).contains("there are: stdout"),
        "{}",
        text(&unknown.stderr)
    );
    let refusing = Hook::start(Answer::Refuse);
    let config = CONFIG.replace(
        "stdout_configs: [{}]",
        &format!("webhook_configs: [{{ url: '{}' }}]", refusing.url),
    );
    fs::write(folder.path().join("alertbridge.yaml"), config).unwrap();
    fs::write(folder.path().join("not-on-this-laptop"), "key").unwrap();
    let failed = run(folder.path(), &["receivers", "test", "chat", "--json"]);
    assert_eq!(failed.status.code(), Some(1), "{}", text(&failed.stderr));
    let deliveries: Vec<Value> = serde_json::from_slice(&failed.stdout).unwrap();
    assert_eq!(
        deliveries
            .iter()
            .map(|delivery| &delivery["state"])
            .collect::<Vec<_>>(),
        ["dead", "dead"]
    );
}

/// How a webhook receiver answers.
#[derive(Clone, Copy, PartialEq)]
enum Answer {
    Refuse,
    Never,
}

/// A webhook receiver that refuses until it is mended, or never answers.
struct Hook {
    url: String,
    mended: Arc<AtomicBool>,
}

impl Hook {
    fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let mended = Arc::new(AtomicBool::new(false));
        let state = Arc::clone(&mended);
        thread::spawn(move || {
            let mut open = Vec::new();
            for mut stream in listener.incoming().map_while(Result::ok) {
                if answer == Answer::Never {
                    open.push(stream);
                    continue;
                }
                let _ = stream.read(&mut vec![0; 1 << 16]);
                let status = if state.load(Ordering::SeqCst) {
                    "200 OK"
                } else {
                    "400 Bad Request"
                };
                let _ = write!(
                    stream,
                    "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                );
            }
        });
        Self { url, mended }
    }

    fn config(&self) -> String {
        format!(
            "
global: {{ max_age: 0s }}
store: {{ url: 'sqlite:state.db' }}
admin: {{ listen: '127.0.0.1:0' }}
ingress: {{ http: {{ listen: '127.0.0.1:0' }}, webhook: [{{ name: mail }}] }}
route: {{ receiver: hook }}
receivers: [{{ name: hook, webhook_configs: [{{ url: '{}' }}] }}]
",
            self.url
        )
    }
}

fn listed(bridge: &Bridge, arguments: &[&str]) -> Vec<Value> {
    let output = bridge.command(arguments);
    assert!(
        output.status.success(),
        "{arguments:?}: {}",
        text(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_look_at_the_store_of_a_running_bridge_and_change_what_it_does() {
    let folder = tempfile::tempdir().unwrap();
    let hook = Hook::start(Answer::Refuse);
    let bridge = Bridge::start(folder.path(), &hook.config());
    let eml = mail("ANOMALOUS", "inc-1", "2026-03-01T12:00:00Z");
    assert_eq!(bridge.post(eml.as_bytes()).await.unwrap(), 202);
    let in_state =
        |state: &str| listed(&bridge, &["deliveries", "list", "--json", "--state", state]);
    until("a dead delivery", || in_state("dead").len() == 1);
    hook.mended.store(true, Ordering::SeqCst);
    let retried = bridge.command(&["deliveries", "retry", "--dead"]);
    assert_eq!(
        text(&retried.stdout),
        "delivery 1 is pending again\n",
        "{}",
        text(&retried.stderr)
    );
    let asked = Instant::now();
    until("its delivery", || in_state("delivered").len() == 1);
    assert!(
        asked.elapsed() < Duration::from_secs(20),
        "it took {:?}",
        asked.elapsed()
    );

    assert_eq!(
        listed(&bridge, &["incidents", "list", "--open", "--json"])[0]["incident_id"],
        "inc-1"
    );
    assert_eq!(
        listed(&bridge, &["mails", "list", "--outcome", "opened", "--json"]).len(),
        1
    );
    assert_eq!(
        bridge.command(&["mails", "show", "--raw", "1"]).stdout,
        eml.as_bytes()
    );
    let shown = bridge.command(&["mails", "show", "1"]);
    assert!(
        text(&shown.stdout).starts_with("mail 1        opened\n"),
        "{}",
        text(&shown.stdout)
    );
    let timeline = bridge.command(&["incidents", "show", "inc-1"]);
    let words: Vec<_> = text(&timeline.stdout)
        .lines()
        .skip_while(|line| !line.starts_with("AT (UTC)"))
        .skip(1)
        .map(|line| line[21..].split("  ").next().unwrap())
        .collect();
    assert_eq!(words.first(), Some(&"mail"), "{}", text(&timeline.stdout));
    assert_eq!(words.last(), Some(&"told"), "{}", text(&timeline.stdout));
    assert!(words.contains(&"failed"), "{}", text(&timeline.stdout));
    assert!(
        text(&timeline.stdout)
            .lines()
            .all(|line| line == line.trim_end()),
        "no blanks at the ends"
    );
    let replayed = lines(&bridge.command(&["replay", "--stored", "--json"]));
    assert_eq!(
        (&replayed[0]["mail"], &replayed[0]["outcome"]),
        (&"1".into(), &"opened".into())
    );
    assert_eq!(
        lines(&bridge.command(&["replay", "--stored", "--json", "--until", "2026-01-01"])),
        [] as [Value; 0]
    );
    let other = hook
        .config()
        .replace("name: hook", "name: other")
        .replace("receiver: hook", "receiver: other");
    fs::write(folder.path().join("other.yaml"), other).unwrap();
    let moved = lines(&bridge.command(&["replay", "--stored", "--diff", "other.yaml", "--json"]));
    assert_eq!((moved.len(), &moved[0]["mail"]), (1, &"1".into()));
    assert_eq!(
        moved[0]["changes"][0]["after"]["body"]["data"]["mail"], 1,
        "as the store numbers it: {}",
        moved[0]
    );

    for (arguments, said) in [
        (&["serve"][..], "only one `alertbridge serve` may use"),
        (&["mails", "show", "9"], "there is no mail 9"),
        (
            &["mails", "release", "1"],
            "mail 1 is opened, not quarantined",
        ),
        (&["mails", "discard", "1"], "not in the quarantine"),
        (
            &["incidents", "show", "x"],
            "`alertbridge incidents list` names them",
        ),
        (&["deliveries", "retry", "9"], "there is no delivery 9"),
        (&["deliveries", "discard", "9"], "there is no delivery 9"),
    ] {
        let output = bridge.command(arguments);
        assert_eq!(
            (output.status.code(), text(&output.stdout)),
            (Some(1), ""),
            "{arguments:?}"
        );
        assert!(
            text(&output.stderr).contains(said),
            "{arguments:?}: {}",
            text(&output.stderr)
        );
    }
    let migrated = bridge.command(&["store", "migrate"]);
    assert!(
        text(&migrated.stdout).contains(": already at schema version"),
        "{}",
        text(&migrated.stdout)
    );
    assert_eq!(bridge.stop().code(), Some(0));
}

#[test]
fn serve_says_which_key_is_at_fault_where_it_cannot_start() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    fs::write(folder.path().join("file"), "no folder, no store").unwrap();
    let good = Hook {
        url: "http://127.0.0.1:9/".to_owned(),
        mended: Arc::default(),
    }
    .config();
    let http = "http: { listen: '127.0.0.1:0' }";
    let cases = [
        (
            good.replace(http, &format!("http: {{ listen: '{taken}' }}")),
            format!("ingress.http.listen: cannot listen on {taken}"),
        ),
        (
            good.replace(
                "admin: { listen: '127.0.0.1:0' }",
                &format!("admin: {{ listen: '{taken}' }}"),
            ),
            format!("admin.listen: cannot listen on {taken}"),
        ),
        (
            good.replace(
                "webhook: [{ name: mail }]",
                &format!("smtp: [{{ name: s, listen: '{taken}' }}]"),
            ),
            format!("ingress.smtp[0].listen: cannot listen on {taken}"),
        ),
        (
            good.replace("webhook: [{ name: mail }]", "webhook: []"),
            "no ingress is configured".to_owned(),
        ),
        (
            good.replace("sqlite:state.db", "sqlite:file/state.db"),
            "store.url: file/state.db".to_owned(),
        ),
        (
            good.replace("sqlite:state.db", "sqlite:file"),
            "store.url: file".to_owned(),
        ),
    ];
    for (config, said) in cases {
        fs::write(folder.path().join("bad.yaml"), config).unwrap();
        let output = run(folder.path(), &["serve", "--config", "bad.yaml"]);
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{error}");
        let last = error.lines().last().unwrap();
        assert!(
            last.starts_with("error: ") && last.contains(&said),
            "{said} is not in:\n{error}"
        );
        assert!(
            last.matches("os error").count() <= 1,
            "a cause is told twice: {last}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_second_signal_stops_serve_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let config = Hook::start(Answer::Never)
        .config()
        .replace("webhook_configs", "stdout_configs: [{}], webhook_configs");
    let mut bridge = Bridge::start(folder.path(), &config);
    let eml = mail("ANOMALOUS", "inc-1", "2026-03-01T12:00:00Z");
    assert_eq!(bridge.post(eml.as_bytes()).await.unwrap(), 202);
    until("the page that nothing keeps back", || {
        bridge
            .pages()
            .iter()
            .any(|page| page.contains("TRIGGER inc-1:hook"))
    });
    bridge.signal("INT");
    until("the first signal", || bridge.log().contains("stopping"));
    let asked = Instant::now();
    bridge.signal("INT");
    until("the end", || bridge.ended());
    assert!(
        asked.elapsed() < Duration::from_secs(10),
        "it took {:?}",
        asked.elapsed()
    );
    until("its last word", || bridge.log().contains("stopped at once"));
}

#[test]
fn a_store_is_made_once_and_then_kept() {
    let folder = folder();
    let migrate = || {
        let migrated = run(folder.path(), &["store", "migrate"]);
        (
            migrated.status.code(),
            text(&migrated.stdout).to_owned() + text(&migrated.stderr),
        )
    };
    let made = migrate();
    let (_, newest) =
        alertbridge::store::sqlite::versions(&folder.path().join("state.db")).unwrap();
    assert_eq!(
        made,
        (
            Some(0),
            format!("state.db: created at schema version {newest}\n")
        )
    );
    assert_eq!(
        migrate(),
        (
            Some(0),
            format!("state.db: already at schema version {newest}\n")
        )
    );
    for list in ["incidents", "deliveries", "mails"] {
        assert_eq!(
            text(&run(folder.path(), &[list, "list", "--json"]).stdout),
            "[]\n"
        );
    }
    let store = rusqlite::Connection::open(folder.path().join("state.db")).unwrap();
    let newer = "INSERT INTO refinery_schema_history SELECT 999, name, applied_on, checksum FROM \
                 refinery_schema_history LIMIT 1";
    store.execute(newer, []).unwrap();
    let (status, said) = migrate();
    assert_eq!(status, Some(1));
    assert!(
        said.starts_with("error: store.url: state.db: the store is newer than this alertbridge"),
        "{said}"
    );
}
