//! What a person reads in a window of 80 columns, and in a pipe: every list calls what it holds by
//! its name.

use std::{
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    api::{CONFIG, sample},
    harness::{Bridge, PATIENCE, PROGRAM},
};

const PROFILE: &str = "
alerts: { app_keys: [com.example.appkey], authenticity: { require: [] } }
profiles:
  - name: ups
    match: { from: [ups@example.com] }
    fields: { key: '{{ subject }}', status: low, title: '{{ subject }}' }
";

const BATTERY: &str = "The battery of the third rack is low";
const NEWS: &str = "News of the week";

fn mail(from: &str, subject: &str) -> Vec<u8> {
    format!("From: {from}\r\nSubject: {subject}\r\n\r\nRead on.\r\n").into_bytes()
}

/// What a command shows in such a window.
fn shown(folder: &Path, arguments: &[&str]) -> String {
    let words = arguments.iter().map(|word| format!("'{word}'"));
    let words = words.collect::<Vec<_>>().join(" ");
    let output = Command::new("script")
        .args(["-qec", &format!("stty cols 80; exec {PROGRAM} {words}")])
        .arg("/dev/null")
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{arguments:?}: {said}");
    said.replace('\r', "")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_list_fits_the_window_and_names_what_it_holds() {
    let folder = tempfile::tempdir().unwrap();
    let bridge = Bridge::start(folder.path(), &format!("{CONFIG}{PROFILE}"));
    let held = String::from_utf8(sample(folder.path(), "two", &[])).unwrap();
    let held = held.replace("\"appKey\":\"com.", "\"appKey\":\"org.");
    let held = held.into_bytes();
    for mail in [
        sample(folder.path(), "one", &[]),
        mail("ups@example.com", BATTERY),
        mail("news@shop.example", NEWS),
        held,
    ] {
        assert_eq!(bridge.post(&mail).await.unwrap(), 202);
    }
    let decided = || {
        let listed = bridge.command(&["mails", "list", "--json"]).stdout;
        let listed: Value = serde_json::from_slice(&listed).unwrap();
        let listed = listed.as_array().unwrap().iter();
        listed.filter(|mail| mail["outcome"] != "pending").count()
    };
    let deadline = Instant::now() + PATIENCE;
    while decided() < 4 {
        assert!(Instant::now() < deadline, "{}", bridge.log());
        thread::sleep(Duration::from_millis(20));
    }

    let server = ["--server", bridge.admin.as_str()];
    for (command, named) in [
        (&["incidents", "list"][..], Some(BATTERY)),
        (&["incidents", "show", "one"], None),
        (&["mails", "list"], Some(NEWS)),
        (&["deliveries", "list"], None),
        (&["objectives"], Some("installation_callback")),
        (&["silences", "preview", "profile=ups"], Some(BATTERY)),
        (
            &["mails", "list", "--outcome", "quarantined"],
            Some("no-reply@am.atlassian.com"),
        ),
        (&["profiles", "list"], Some("ups")),
    ] {
        for command in [command.to_vec(), [command, &server[..]].concat()] {
            let window = shown(folder.path(), &command);
            assert!(
                window.lines().all(|line| line.chars().count() <= 80),
                "{command:?}:\n{window}"
            );
            let pipe = bridge.command(&command);
            let pipe = String::from_utf8(pipe.stdout).unwrap();
            for word in named.iter().flat_map(|named| named.split(' ')) {
                assert!(window.contains(word), "{command:?}, {word}:\n{window}");
            }
            assert!(named.is_none_or(|named| pipe.contains(named)), "{pipe}");
        }
    }

    let one = bridge.command(&["mails", "show", "4"]).stdout;
    let one = String::from_utf8(one).unwrap();
    assert!(
        one.contains("\nfrom          no-reply@am.atlassian.com\n"),
        "{one}"
    );

    // A matcher that can fit nothing is told of, wherever the rules are.
    for at in [&[][..], &server] {
        let command = [&["silences", "preview", "sevrity=critical"], at].concat();
        let noted = String::from_utf8(bridge.command(&command).stderr).unwrap();
        let note = "note: no alert has a label sevrity; did you mean severity?";
        assert!(noted.contains(note), "{command:?}: {noted}");
    }
}
