//! `replay --diff`: what an on-call engineer is told of a changed configuration before it is in
//! force.

use std::{fs, path::Path, process::Output};

use alertbridge::cli::sample;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{cli::incidents_in_turn, harness::run};

/// Two receivers, whose secrets are elsewhere.
const CONFIG: &str = r#"
store: { url: "sqlite:state.db" }
ingress: { webhook: [{ name: mail }] }
alerts: { authenticity: { require: [] } }
time_intervals:
  - { name: nights, time_intervals: [{ times: [{ start_time: "00:00", end_time: "08:00" }] }] }
route:
  receiver: chat
  routes:
    - { receiver: oncall, matchers: ['severity="critical"'] }
receivers:
  - { name: chat, slack_configs: [{ api_url_file: secrets/slack }] }
  - { name: oncall, opsgenie_configs: [{ api_key_file: secrets/key, message: "{{ metric }}" }] }
  - { name: team, opsgenie_configs: [{ api_key_file: secrets/key, message: "{{ metric }}" }] }
"#;

/// Two incidents, each with its end, and mail that is no alert.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("alertbridge.yaml"), CONFIG).unwrap();
    let mails = folder.path().join("mails");
    fs::create_dir(&mails).unwrap();
    for (name, status, incident, at) in [
        ("1.eml", "ANOMALOUS", "inc-1", "2026-03-01T03:00:00Z"),
        ("2.eml", "OK", "inc-1", "2026-03-01T04:00:00Z"),
        ("3.eml", "ANOMALOUS", "inc-2", "2026-03-01T12:00:00Z"),
        ("4.eml", "OK", "inc-2", "2026-03-01T13:00:00Z"),
    ] {
        fs::write(
            mails.join(name),
            sample::mail(status, Some(incident), at.parse().unwrap()),
        )
        .unwrap();
    }
    fs::write(mails.join("5.eml"), "From: me@example.com\r\n\r\nhello").unwrap();
    folder
}

/// Compares with the configuration in which `from` is `to`.
fn diff(folder: &Path, from: &str, to: &str, more: &[&str]) -> Output {
    assert!(CONFIG.contains(from), "{from} is not there to be changed");
    fs::write(folder.join("other.yaml"), CONFIG.replace(from, to)).unwrap();
    run(
        folder,
        &[&["replay", "--diff", "other.yaml"], more].concat(),
    )
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn said(output: &Output) -> &str {
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
    text(&output.stdout)
}

fn lines(output: &Output) -> Vec<Value> {
    said(output)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn pages_that_move_are_told_of_the_mails_that_differ_and_summed_up() {
    let folder = folder();
    let moved = diff(
        folder.path(),
        "{ receiver: oncall,",
        "{ receiver: team,",
        &["mails"],
    );
    let said = said(&moved);
    assert_eq!(
        said.matches("\n  Cloud Fortified alert: Bücher für Jira\n")
            .count(),
        4,
        "the Subject: {said}"
    );
    let told: Vec<_> = said
        .lines()
        .filter(|line| line.starts_with("mails/") || line.starts_with("  moves"))
        .collect();
    assert_eq!(
        told,
        [
            "mails/1.eml  2026-03-01T03:00:00Z  inc-1",
            "  moves    the trigger from oncall (opsgenie) to team (opsgenie)",
            "mails/2.eml  2026-03-01T04:00:00Z  inc-1",
            "  moves    the resolve from oncall (opsgenie) to team (opsgenie)",
            "mails/3.eml  2026-03-01T12:00:00Z  inc-2",
            "  moves    the trigger from oncall (opsgenie) to team (opsgenie)",
            "mails/4.eml  2026-03-01T13:00:00Z  inc-2",
            "  moves    the resolve from oncall (opsgenie) to team (opsgenie)",
        ]
    );
    let summary = "RECEIVER  PAGES  WITH other.yaml\n\
                   oncall    4      0\n\
                   team      0      4\n\
                   4 of 5 mails differ; pages: 4 moved\n";
    assert!(said.ends_with(summary), "{said}");
}

#[test]
fn a_line_of_json_has_the_documented_shape() {
    let folder = folder();
    let more = "matchers: ['severity=\"critical\"'], continue: true }\n    - { receiver: chat }";
    let added = lines(&diff(
        folder.path(),
        "matchers: ['severity=\"critical\"'] }",
        more,
        &["--json", "mails"],
    ));
    assert_eq!(
        added.iter().map(|line| &line["mail"]).collect::<Vec<_>>(),
        ["mails/1.eml", "mails/2.eml", "mails/3.eml", "mails/4.eml"]
    );
    let keys = |value: &Value| {
        value
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect::<Vec<_>>()
            .join(" ")
    };
    let [line, ..] = added.as_slice() else {
        panic!("nothing is different")
    };
    assert_eq!(keys(line), "mail incident_id outcome reason changes");
    assert_eq!(line["incident_id"], "inc-1");
    assert_eq!(
        line["outcome"],
        json!({ "before": "opened", "after": "opened" })
    );
    assert_eq!(line["reason"], json!({ "before": null, "after": null }));
    let change = &line["changes"][0];
    assert_eq!(keys(change), "change action differs before after");
    assert_eq!(
        (&change["change"], &change["action"], &change["before"]),
        (&json!("added"), &json!("trigger"), &Value::Null)
    );
    assert_eq!(
        keys(&change["after"]),
        "receiver integration method url headers body held_until"
    );
    assert_eq!(change["after"]["receiver"], "chat");
    assert_eq!(added[1]["changes"][0]["action"], "resolve");
}

#[test]
fn a_changed_template_is_shown_by_what_it_makes_otherwise() {
    let folder = folder();
    let changed = diff(
        folder.path(),
        "\"{{ metric }}\" }] }\n  - { name: team",
        "\"{{ metric }}!\" }] }\n  - { name: team",
        &["mails"],
    );
    let said = said(&changed);
    assert!(
        said.contains("  changes  the trigger to oncall (opsgenie)\n           body.message: \""),
        "{said}"
    );
    assert!(
        said.ends_with("2 of 5 mails differ; pages: 2 changed\n"),
        "a resolve has no message: {said}"
    );
    let changed = diff(
        folder.path(),
        "\"{{ metric }}\" }] }\n  - { name: team",
        "\"{{ metric }}!\" }] }\n  - { name: team",
        &["--json", "mails"],
    );
    assert_eq!(lines(&changed)[0]["changes"][0]["differs"], json!(["body"]));
}

#[test]
fn another_key_is_a_change_and_the_same_file_beside_another_configuration_is_none() {
    let folder = folder();
    let key = "oncall, opsgenie_configs: [{ api_key_file: secrets/key";
    let other_key = diff(
        folder.path(),
        key,
        "oncall, opsgenie_configs: [{ api_key_file: secrets/other",
        &["mails"],
    );
    assert!(
        said(&other_key).contains("           with another key or secret address\n"),
        "{}",
        said(&other_key)
    );
    fs::create_dir(folder.path().join("proposed")).unwrap();
    fs::write(folder.path().join("proposed/alertbridge.yaml"), CONFIG).unwrap();
    let moved = run(
        folder.path(),
        &["replay", "--diff", "proposed/alertbridge.yaml", "mails"],
    );
    assert_eq!(said(&moved), "nothing changes: 5 mails, 4 pages\n");
}

#[test]
fn an_integration_is_known_by_its_destination_wherever_its_entry_stands() {
    let folder = folder();
    let entry = "{ api_key_file: secrets/key, message: \"{{ metric }}\" }] }\n  - { name: team";
    let changes = |other: &str| {
        let changed = diff(folder.path(), entry, other, &["--json", "mails"]);
        let lines = lines(&changed);
        let all = lines[0]["changes"].as_array().unwrap();
        let told = |change: &Value| json!([change["change"], change["differs"]]);
        all.iter().map(told).collect::<Value>()
    };

    let first = "{ api_key_file: secrets/first, message: \"{{ metric }}\" }, ";
    let added = json!(["added", []]);
    assert_eq!(changes(&format!("{first}{entry}")), json!([added]));
    let worded = entry.replace("metric }}", "metric }}!");
    let body = json!(["changed", ["body"]]);
    assert_eq!(changes(&format!("{first}{worded}")), json!([added, body]));
}

#[test]
fn a_mute_shows_as_a_page_that_is_held_and_its_resolve_as_dropped() {
    let folder = folder();
    let muted = "'severity=\"critical\"'], mute_time_intervals: [nights] }";
    let muted = lines(&diff(
        folder.path(),
        "'severity=\"critical\"'] }",
        muted,
        &["--json", "mails"],
    ));
    let told: Vec<_> = muted
        .iter()
        .map(|line| {
            (
                &line["changes"][0]["change"],
                &line["changes"][0]["differs"],
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            (&json!("changed"), &json!(["held_until"])),
            (&json!("dropped"), &json!([]))
        ]
    );
    assert_eq!(
        muted[0]["changes"][0]["after"]["held_until"],
        "2026-03-01T08:00:00Z"
    );
}

#[test]
fn a_mail_that_tells_nobody_either_way_differs_by_its_outcome() {
    let folder = folder();
    let apps = "alerts: { app_keys: [com.example.other], authenticity";
    let held = diff(
        folder.path(),
        "alerts: { authenticity",
        apps,
        &["mails/1.eml"],
    );
    let told = said(&held);
    assert!(told.contains("\n  opened → quarantined: "), "{told}");
    assert!(
        told.contains("\n  drops    the trigger to oncall (opsgenie)\n"),
        "{told}"
    );
    let ignored = CONFIG.replace(
        "alerts: { authenticity",
        "alerts: { from: [me@example.com], authenticity",
    );
    fs::write(folder.path().join("alertbridge.yaml"), ignored).unwrap();
    let only = diff(
        folder.path(),
        "alerts: {",
        "alerts: { from: [me@example.com], on_missing_payload: notify,",
        &["mails/5.eml"],
    );
    assert_eq!(
        only.status.code(),
        Some(1),
        "an alert that cannot be read fails"
    );
    assert_eq!(
        text(&only.stderr),
        "1 alert could not be read with other.yaml\n"
    );
    assert!(
        text(&only.stdout).contains("\n  ignored → unparsed: "),
        "{}",
        text(&only.stdout)
    );
}

#[test]
fn where_nothing_changes_that_is_said() {
    let folder = folder();
    let same = diff(
        folder.path(),
        "alerts:",
        "# another comment\nalerts:",
        &["mails"],
    );
    assert_eq!(said(&same), "nothing changes: 5 mails, 4 pages\n");
    let same = diff(
        folder.path(),
        "alerts:",
        "# another comment\nalerts:",
        &["--json", "mails"],
    );
    assert_eq!(said(&same), "");
}

#[test]
fn a_fault_of_the_other_configuration_is_told_with_its_place_and_nothing_is_replayed() {
    let folder = folder();
    let wrong = diff(
        folder.path(),
        "receiver: oncall,",
        "receiver: nobody,",
        &["mails"],
    );
    assert_eq!((wrong.status.code(), text(&wrong.stdout)), (Some(1), ""));
    let error = text(&wrong.stderr);
    assert!(error.starts_with("error: other.yaml:10:"), "{error}");
    assert!(
        error.contains("route.routes[0].receiver") && error.contains("mend: "),
        "{error}"
    );
    let missing = run(
        folder.path(),
        &["replay", "--diff", "missing.yaml", "mails"],
    );
    assert_eq!(missing.status.code(), Some(1));
    assert!(
        text(&missing.stderr).starts_with("error: missing.yaml: cannot be read"),
        "{}",
        text(&missing.stderr)
    );
    let both = diff(
        folder.path(),
        "alerts:",
        "alerts:",
        &["--send", "--yes", "mails"],
    );
    assert_eq!((both.status.code(), text(&both.stdout)), (Some(2), ""));
    let missing = diff(folder.path(), "alerts:", "alerts:", &["nowhere"]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(
        text(&missing.stderr).contains("cannot read nowhere"),
        "{}",
        text(&missing.stderr)
    );
}

#[test]
fn many_mails_are_compared_each_with_itself() {
    let folder = folder();
    fs::write(folder.path().join("all.mbox"), incidents_in_turn(300)).unwrap();
    let same = diff(folder.path(), "alerts:", "alerts:", &["all.mbox"]);
    assert_eq!(said(&same), "nothing changes: 600 mails, 600 pages\n");
    let moved = lines(&diff(
        folder.path(),
        "{ receiver: oncall,",
        "{ receiver: team,",
        &["--json", "all.mbox"],
    ));
    assert_eq!(moved.len(), 600);
    for (line, n) in moved.iter().zip(1..) {
        assert_eq!(line["mail"], format!("all.mbox#{n}"));
        assert_eq!(
            (
                line["changes"].as_array().unwrap().len(),
                &line["changes"][0]["change"]
            ),
            (1, &json!("moved"))
        );
    }
}

#[test]
fn that_stored_mails_keep_their_verdict_is_said_where_the_other_would_judge_otherwise() {
    let folder = folder();
    assert!(run(folder.path(), &["store", "migrate"]).status.success());
    let judged = |from: &str, to: &str| {
        let compared = diff(folder.path(), from, to, &["--stored"]);
        assert_eq!(
            (compared.status.code(), text(&compared.stdout)),
            (Some(0), "nothing changes: 0 mails, 0 pages\n")
        );
        text(&compared.stderr).to_owned()
    };
    let note = "note: other.yaml has other rules for authenticity; stored mails keep the verdict \
                of their arrival\n";
    assert_eq!(judged("require: []", "require: [dkim]"), note);
    assert_eq!(
        judged(
            "require: []",
            "require: [], unverified: { max_per_hour: 1 }"
        ),
        ""
    );
}
