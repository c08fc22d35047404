//! `alertbridge profiles` through the real program.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use alertbridge::profile::starters::STARTERS;
use serde_json::Value;
use tempfile::TempDir;

use super::{REST, folder};

fn run(in_folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = Command::new(env!("CARGO_BIN_EXE_alertbridge"))
        .args(arguments)
        .current_dir(in_folder)
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

fn configured(profiles: &str) -> TempDir {
    let folder = TempDir::new().unwrap();
    fs::write(
        folder.path().join("alertbridge.yaml"),
        format!("{profiles}{REST}"),
    )
    .unwrap();
    folder
}

#[test]
fn profiles_are_listed_and_shown() {
    let here = configured("profiles: [{ name: aws, use: cloudwatch }]\n");
    let (code, out, _) = run(here.path(), &["profiles", "list"]);
    assert_eq!(code, 0);
    assert!(
        out.contains("aws") && out.contains("starters: forge-alert cloudwatch"),
        "{out}"
    );

    let (_, out, _) = run(here.path(), &["profiles", "list", "--json"]);
    let json: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(json["profiles"][0]["from"][0], "no-reply@sns.amazonaws.com");
    assert_eq!(json["starters"].as_array().unwrap().len(), STARTERS.len());

    let (_, out, _) = run(here.path(), &["profiles", "show", "aws"]);
    assert!(out.contains("else re.alarm }}{{ '/' ~ re.account"), "{out}");
    let (_, out, _) = run(here.path(), &["profiles", "show", "atlassian-sli"]);
    assert!(out.contains("script#incident-data"), "{out}");
    let (code, _, told) = run(here.path(), &["profiles", "show", "none"]);
    assert!(
        code == 1 && told.contains("there is no profile or starter `none`"),
        "{told}"
    );
}

#[test]
fn a_failing_test_is_told_by_its_profile_its_number_and_its_field() {
    let here = configured(
        "profiles:\n- name: aws\n  use: cloudwatch\n  tests:\n  - { mail: alarm.eml, outcome: \
         opened }\n  - { mail: alarm.eml, outcome: resolved, fields: { key: other } }\n",
    );
    fs::copy(
        folder().join("cloudwatch/alarm.eml"),
        here.path().join("alarm.eml"),
    )
    .unwrap();

    let (code, out, _) = run(here.path(), &["profiles", "test", "aws"]);
    assert_eq!(code, 1, "{out}");
    assert!(out.contains("2 tests, 1 failed"), "{out}");
    assert!(
        out.contains("outcome: the mail is opened, not resolved"),
        "{out}"
    );
    assert!(
        out.contains(
            "fields.key: the field `key` is `EU (Ireland)/api-5xx/123456789012`, not `other`"
        ),
        "{out}"
    );

    let (code, _, told) = run(here.path(), &["check"]);
    assert_eq!(code, 1);
    assert!(
        told.contains(
            "alertbridge.yaml:6:53: profiles[0].tests[1].fields.key: test 2 of the profile `aws`, \
             with alarm.eml, fails: "
        ),
        "{told}"
    );
}

#[test]
fn a_draft_goes_into_the_configuration_as_it_is() {
    let here = TempDir::new().unwrap();
    for mail in ["down", "up"] {
        let name = format!("{mail}.eml");
        fs::copy(
            folder().join("healthchecks").join(&name),
            here.path().join(&name),
        )
        .unwrap();
    }
    let (code, draft, told) = run(here.path(), &["profiles", "draft", "down.eml", "up.eml"]);
    assert_eq!(code, 0, "{told}");
    fs::write(
        here.path().join("alertbridge.yaml"),
        format!("{draft}{REST}"),
    )
    .unwrap();
    let (code, _, told) = run(here.path(), &["check"]);
    assert_eq!(code, 0, "{told}\n{draft}");
}

#[test]
fn explain_shows_what_a_profile_can_speak_of_and_why_none_took_a_mail() {
    let here = configured(
        "profiles:
  - name: ups
    match: { from: [ups@example.com], matchers: ['subject=~\"UPS.*\"'] }
    regex: { subject: '^UPS (?<unit>\\S+)' }
    fields: { key: '{{ re.unit }}', status: '{{ pairs.State }}' }
  - name: wan
    match: { from: [noc@example.com] }
    fields: { key: '{{ pairs.Circuit }}', status: '{{ pairs.State }}' }
",
    );
    let mail = |subject: &str| {
        let head = "From: ups@example.com\r\nDate: Mon, 02 Mar 2026 03:04:05 +0000\r\n";
        let body = "State: on \u{202e}battery\u{1b}[2J\r\nSite: K\u{f6}ln\r\n";
        let kind = "Content-Type: text/plain; charset=utf-8\r\n";
        let mail = format!("{head}Subject: {subject}\r\n{kind}\r\n{body}");
        fs::write(here.path().join("m.eml"), mail).unwrap();
    };
    let explain = |more: &[&str]| {
        let arguments = [&["explain", "m.eml", "--trust"], more].concat();
        let (code, out, told) = run(here.path(), &arguments);
        assert_eq!(code, 0, "{told}");
        out
    };

    mail("UPS u3 speaks");
    let out = explain(&[]);
    assert!(
        out.contains(
            "profile       ups\n\
             pairs         State: on \\u{202e}battery\\u{1b}[2J\n              Site: K\u{f6}ln\n\
             groups        unit: u3\n"
        ),
        "{out}"
    );
    assert!(!out.contains(['\u{1b}', '\u{202e}']), "{out}");

    let json: Value = serde_json::from_str(&explain(&["--json"])).unwrap();
    assert_eq!(json["profile"], "ups");
    assert_eq!(json["groups"]["unit"], "u3");
    assert_eq!(json["pairs"][1], serde_json::json!(["Site", "K\u{f6}ln"]));
    assert_eq!(json["misses"], serde_json::json!([]));

    mail("Newsletter");
    let out = explain(&[]);
    assert!(
        out.contains("profile       no profile takes it\n              ups: ")
            && out.contains("\n              wan: ")
            && out.contains("Site: K\u{f6}ln"),
        "{out}"
    );
    let json: Value = serde_json::from_str(&explain(&["--json"])).unwrap();
    let of = |place: usize| json["misses"][place]["profile"].as_str();
    assert_eq!((of(0), of(1), of(2)), (Some("ups"), Some("wan"), None));
}

const SPEAKS_UP: &str = "profiles:
- name: cron
  match: { matchers: ['subject=~\"Cron .*\"'] }
  fields: { key: '{{ subject }}', status: failed }
  resolve_after: 90m
";

#[test]
fn a_replay_ends_what_ended_by_itself() {
    let here = configured(SPEAKS_UP);
    fs::create_dir(here.path().join("mails")).unwrap();
    for (minute, name) in [0, 60, 140, 240].into_iter().zip(1..) {
        let mail = format!(
            "From: cron@example.com\r\nSubject: Cron tidy\r\n\
             Date: Sat, 28 Nov 2026 {:02}:{:02}:00 +0000\r\n\r\nno space left\r\n",
            minute / 60,
            minute % 60
        );
        fs::write(here.path().join(format!("mails/{name}.eml")), mail).unwrap();
    }

    let (code, out, told) = run(here.path(), &["replay", "--trust", "--json", "mails"]);
    assert_eq!(code, 0, "{told}");
    let outcomes: Vec<String> = out
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["outcome"].to_string())
        .collect();
    // From the newest mail, repeats included.
    let expected = ["opened", "duplicate", "duplicate", "reopened"];
    assert_eq!(outcomes, expected.map(|outcome| format!("{outcome:?}")));
}

#[test]
fn a_page_that_comes_back_is_no_alert() {
    let here = configured("");
    let config = format!(
        "{SPEAKS_UP}route: {{ receiver: out }}\nreceivers:\n- name: out\n  email_configs:\n  - to: [a@example.com]\n    \
         from: Bridge <bridge@example.com>\n    smarthost: {{ host: mail.example.com }}\n    subject: 'Cron {{{{ status }}}}'\n"
    );
    fs::write(here.path().join("alertbridge.yaml"), config).unwrap();
    let explained = |mail: &str| -> Value {
        fs::write(here.path().join("m.eml"), mail).unwrap();
        let (code, out, told) = run(here.path(), &["explain", "--trust", "--json", "m.eml"]);
        assert_eq!(code, 0, "{told}");
        serde_json::from_str(out.lines().next().unwrap()).unwrap()
    };

    let alert = "From: cron@example.com\r\nSubject: Cron tidy\r\n\
                 Date: Sat, 28 Nov 2026 04:10:00 +0000\r\n\r\nno space left\r\n";
    let paged = explained(alert);
    let page = &paged["requests"][0];
    let mut mail = String::new();
    for (name, value) in page["headers"].as_object().unwrap() {
        mail += &format!("{name}: {}\r\n", value.as_str().unwrap());
    }
    mail += &format!("\r\n{}", page["body"].as_str().unwrap_or("text"));
    assert!(mail.contains("Subject: Cron failed\r\n"), "{page:#}");

    let back = explained(&mail);
    assert_eq!(back["outcome"], "ignored", "{back:#}");
    assert!(
        back["reason"].as_str().unwrap().contains("sent itself"),
        "{back:#}"
    );
    // What else comes from that address, or answers a page, is not ours.
    let other = mail.replace("Auto-Submitted: auto-generated\r\n", "");
    assert_eq!(explained(&other)["outcome"], "opened");
    let other = mail.replace("bridge@example.com>", "cron@example.com>");
    assert_eq!(explained(&other)["outcome"], "opened");
}

#[test]
fn a_failing_test_keeps_nobody_from_looking_into_why() {
    let here = configured(&format!(
        "{SPEAKS_UP}  tests: [{{ mail: m.eml, outcome: opened, fields: {{ key: other }} }}]\n"
    ));
    let mail = "From: cron@example.com\r\nSubject: Cron tidy\r\n\r\nno space left\r\n";
    fs::write(here.path().join("m.eml"), mail).unwrap();
    for arguments in [&["explain", "m.eml"], &["replay", "m.eml"]] {
        let (code, _, told) = run(here.path(), arguments);
        assert_eq!(code, 0, "{told}");
        assert!(
            told.contains(
                "warning: alertbridge.yaml: profiles[0].tests[0].fields.key: test 1 of the \
                 profile `cron`"
            ),
            "{told}"
        );
    }
}
