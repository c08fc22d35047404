//! `alertbridge profiles` through the real program.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

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
    assert_eq!(json["starters"].as_array().unwrap().len(), 14);

    let (_, out, _) = run(here.path(), &["profiles", "show", "aws"]);
    assert!(
        out.contains("key: \"{{ re.region }}/{{ re.alarm }}\""),
        "{out}"
    );
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
        out.contains("fields.key: the field `key` is `EU (Ireland)/api-5xx`, not `other`"),
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
        out.contains("profile       none takes it\n              ups: ")
            && out.contains("\n              wan: ")
            && out.contains("Site: K\u{f6}ln"),
        "{out}"
    );
    let json: Value = serde_json::from_str(&explain(&["--json"])).unwrap();
    let of = |place: usize| json["misses"][place]["profile"].as_str();
    assert_eq!((of(0), of(1), of(2)), (Some("ups"), Some("wan"), None));
}
