//! What the pages ask, promise and list is so: no question is without an answer, nothing is well
//! that is not, and whatever came leads on.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::data::{Alert, Bed, starters_mail};
use crate::{
    browser::{Look, Tab},
    harness::{PATIENCE, client},
};

const PLAIN: Look = Look {
    width: 1280,
    dark: false,
    javascript: false,
};

async fn asked(bed: &Bed, path: &str) -> Value {
    let answer = client().get(bed.at(path)).send().await.unwrap();
    answer.json().await.unwrap()
}

/// Waits until the bridge itself has reported an incident.
async fn reported(bed: &Bed, id: &str) {
    let deadline = Instant::now() + PATIENCE;
    let path = format!("/api/v1/incidents/{id}");
    while asked(bed, &path).await["state"] != "open" {
        assert!(Instant::now() < deadline, "{id}: {}", bed.bridge.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn shown(tab: &Tab, expected: &str) {
    let says = tab.says();
    assert!(
        says.contains(expected),
        "{expected:?} at {}: {says}",
        tab.path()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_bridge_tells_of_itself_says_why_and_is_ended_by_nobody_else() {
    let bed = Bed::new();
    bed.send(&Alert::refused("LOST")).await;
    reported(&bed, "self:dead-letters").await;

    let tab = Tab::open(PLAIN);
    tab.go(&bed.at("/incidents/self:dead-letters"));
    let moments = "[...document.querySelectorAll('#timeline h3')].map((e) => e.innerText)";
    let moments: Vec<String> = serde_json::from_value(tab.eval(moments)).unwrap();
    assert_eq!(moments.last().unwrap(), "Opened", "{moments:?}");
    shown(&tab, "1 page is given up and never reached its receiver");
    assert!(!tab.says().contains("Resolve by hand"), "{}", tab.says());
    tab.go(&bed.at("/incidents/self:dead-letters/resolve"));
    shown(
        &tab,
        "The bridge reports this problem itself, and resolves it when it is over.",
    );
    assert!(!tab.says().contains("Resolve it"), "{}", tab.says());
    tab.choose("Back");
    assert_eq!(tab.path(), "/incidents/self:dead-letters");

    let printed = bed
        .bridge
        .command(&["incidents", "show", "self:dead-letters"]);
    let printed = String::from_utf8(printed.stdout).unwrap();
    let opened = printed.lines().find(|line| line.contains("  opened  "));
    let opened = opened.unwrap_or_else(|| panic!("{printed}"));
    assert!(opened.contains("given up and never reached"), "{printed}");
    let first = printed
        .lines()
        .position(|line| line.starts_with("AT (UTC)"));
    let first = printed.lines().nth(first.unwrap() + 1);
    assert_eq!(first, Some(opened), "it comes first: {printed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_that_does_not_come_is_missed_wherever_its_profile_stands() {
    let bed = Bed::with(
        "profiles:
  - name: backups
    match: { from: [backup@example.com] }
    fields: { key: disk, status: failed }
    expect: { every: 1s, grace: 0s, key: nightly }",
    );
    reported(&bed, "backups:nightly").await;
    let tab = Tab::open(PLAIN);
    let of_profile = "document.querySelector('#profile-backups .state').innerText";
    let on_now = "[...document.querySelectorAll('#health .health')].find((e) => \
                  e.innerText.includes('backups')).querySelector('.state').innerText";
    let missed = || {
        tab.go(&bed.at("/profiles"));
        assert_eq!(tab.text(of_profile), "its mail is missing");
        tab.go(&bed.at("/"));
        assert_eq!(tab.text(on_now), "its mail is missing");
        shown(&tab, "1\nexpected mail is missing");
    };
    missed();
    // Though no mail has ever come, what is open stands there.
    tab.follow("#open .row-title");
    assert_eq!(tab.path(), "/incidents/backups:nightly");
    shown(&tab, "Opened");
    shown(
        &tab,
        "No authenticated mail of the profile backups has come for",
    );
    tab.choose("Resolve by hand");
    shown(
        &tab,
        "It is resolved although its mail has not arrived. The mail is expected anew from now on, \
         and reported again if it has not arrived a full period later.",
    );
    assert!(
        !tab.says().contains("A later mail that reports it"),
        "{}",
        tab.says()
    );
    tab.choose("Resolve it");
    shown(&tab, "The incident is resolved");

    // What was closed by hand has not come by that.
    missed();
    tab.follow("a.pile[href='/profiles']");
    assert_eq!(tab.path(), "/profiles");
    let profiles = asked(&bed, "/api/v1/profiles").await;
    let missing = |name: &str| {
        let all = profiles["items"].as_array().unwrap();
        let found = all.iter().find(|one| one["name"] == name).unwrap();
        found["missing"].clone()
    };
    assert_eq!(
        (missing("backups"), missing("atlassian-sli")),
        (json!(true), json!(false))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_with_several_alerts_leads_to_each_and_is_found_by_each() {
    let bed = Bed::with("profiles: [{ name: alertmanager, use: alertmanager }]");
    bed.post(&starters_mail("alertmanager", "firing", 10)).await;
    let tab = Tab::open(PLAIN);
    for words in ["DiskFull", "db-1:9100"] {
        tab.go(&bed.at(&format!("/mails?q={words}")));
        assert!(
            tab.eval("document.querySelectorAll('#list .row').length") == json!(1),
            "{words}: {}",
            tab.says()
        );
    }
    tab.go(&bed.at("/mails?q=elsewhere"));
    shown(&tab, "No mail matches.");
    tab.go(&bed.at("/mails"));
    let title = tab.text("document.querySelector('#list .row-title').innerText");
    assert!(title.starts_with("[FIRING:2]"), "by its subject: {title}");

    tab.follow("#list .row-title");
    shown(&tab, "The 2 alerts in it");
    tab.follow("#items li:nth-child(2) a");
    assert!(
        tab.path().starts_with("/incidents/alertmanager"),
        "{}",
        tab.path()
    );
    shown(&tab, "DiskFull");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_alerts_of_one_name_are_told_apart_on_the_first_page() {
    let bed = Bed::with(
        "profiles:
  - name: disks
    match: { from: [disks@example.com] }
    fields:
      { key: \"{{ pairs.disk }}\", status: full, title: Disk full, summary: \"{{ subject }}\" }",
    );
    let mail = |disk: &str, subject: &str| {
        format!(
            "From: disks@example.com\r\nSubject: {subject}\r\nMessage-ID: <{disk}@x>\r\n\r\n\
             Disk: {disk}\r\n"
        )
    };
    bed.post(mail("a", "on db-1").as_bytes()).await;
    let tab = Tab::open(PLAIN);
    tab.go(&bed.at("/"));
    shown(&tab, "Disk full");
    assert!(!tab.says().contains("on db-1"), "{}", tab.says());
    bed.post(mail("b", "on db-2").as_bytes()).await;
    tab.go(&bed.at("/"));
    shown(&tab, "on db-1");
    shown(&tab, "on db-2");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_way_of_nothing_and_of_everything_is_shown() {
    let bed = Bed::new();
    bed.send(&Alert::new("BROKE")).await;
    let tab = Tab::open(PLAIN);
    tab.go(&bed.at("/rules"));
    tab.choose("Test these labels");
    let reached = "[...document.querySelectorAll('#test [role=status] li')].map((e) => \
                   e.innerText.split('\\n')[0])";
    assert_eq!(tab.eval(reached), json!(["chat"]));
    let other = "store: { url: 'sqlite:alertbridge.db' }\nroute: { receiver: nobody }\n";
    tab.fill("#config", other);
    tab.choose("Compare");
    shown(&tab, "It cannot be compared");
    let faults = "[...document.querySelectorAll('#changes > ul li')].map((e) => e.innerText)";
    let faults: Vec<String> = serde_json::from_value(tab.eval(faults)).unwrap();
    let alone = |fault: &String| fault.trim().starts_with("mend:");
    assert!(
        !faults.is_empty() && !faults.iter().any(alone),
        "{faults:?}"
    );
}
