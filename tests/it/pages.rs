//! The pages of the real program, in a real browser: what they show of real mails, and what is done
//! on them, with a script and without.

mod data;
mod live;
mod safety;
mod steering;
mod truth;

use std::{path::Path, thread};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use self::data::{Alert, Bed, starters_mail};
use crate::{
    browser::{Look, Tab},
    harness::{PROGRAM, client},
};

/// What every page owes to whoever uses it: see `browser/audit.js`.
const AUDIT: &str = include_str!("browser/audit.js");
/// What axe-core finds, as sentences. The frame of a mail's own layout runs no script.
const AXE: &str = "axe.run(document, { iframes: false, preload: false, resultTypes: ['violations'] })
    .then((found) => found.violations.map((one) =>
        `${one.impact}: ${one.help}: ${one.nodes.map((node) => node.html.slice(0, 200)).join(' ')}`))";

/// Every page there is, with everything on it.
const PAGES: [&str; 28] = [
    "/",
    "/incidents",
    "/incidents?state=resolved",
    "/incidents/BROKE",
    "/incidents/OVER",
    "/incidents/BROKE/resolve",
    "/incidents/REFUSED/again",
    "/incidents/none",
    "/silences",
    "/silences?state=all",
    "/silences/1",
    "/silences/1/expire",
    "/silences/new?matchers=severity%3D%22critical%22",
    "/deliveries",
    "/deliveries?state=dead",
    "/mails",
    "/mails?outcome=quarantined",
    "/mails/1",
    "/mails/discard",
    "/mails/none",
    "/objectives",
    "/objectives?app=com.example.calendar&sli=installation_callback",
    "/objectives?app=com.example.none",
    "/rules?labels=severity%3Dcritical",
    "/rules?mail=1",
    "/profiles",
    "/profiles/draft?mail=1&closing=4",
    "/audit",
];

#[tokio::test(flavor = "multi_thread")]
async fn every_page_is_sound_on_a_phone_and_a_desk_by_day_and_by_night() {
    let bed = Bed::with_everything().await;
    let axe = axe();
    let (one_half, other_half) = PAGES.split_at(PAGES.len() / 2);
    let (admin, axe) = (&*bed.admin, axe.as_deref());
    let look = |pages| wrong_with(admin, pages, axe);
    let wrong = thread::scope(|scope| {
        let beside = scope.spawn(|| look(other_half));
        let mut wrong = look(one_half);
        wrong.extend(beside.join().unwrap());
        wrong
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What is wrong with pages, looked at on a phone and a desk, by day and by night.
fn wrong_with(admin: &str, pages: &[&str], axe: Option<&str>) -> Vec<String> {
    let tab = Tab::open(Look::default());
    let mut wrong = Vec::new();
    for page in pages {
        tab.go(&format!("{admin}{page}"));
        if let Some(axe) = axe {
            tab.eval(axe);
        }
        for (width, dark) in [(360, true), (360, false), (1280, false), (1280, true)] {
            tab.look(Look {
                width,
                dark,
                ..Look::default()
            });
            let mut found = vec![tab.eval(AUDIT)];
            found.extend(axe.map(|_| tab.eval(AXE)));
            let found = found.iter().flat_map(|list| list.as_array().unwrap());
            let by = if dark { "dark" } else { "light" };
            wrong.extend(found.map(|what| format!("{page} at {width} px, {by}: {what}")));
        }
    }
    tab.assert_quiet(admin, &["/none"]);
    wrong
}

/// The source of axe-core, where `tests/run` has put it: beside the build.
fn axe() -> Option<String> {
    let build = Path::new(PROGRAM).ancestors();
    let mut found = build.map(|folder| folder.join("tools/node_modules/axe-core/axe.min.js"));
    let Some(file) = found.find(|file| file.exists()) else {
        eprintln!("SKIPPED: axe-core is not here; tests/run installs it where npm is");
        return None;
    };
    // Its last value would be sent along.
    Some(std::fs::read_to_string(file).unwrap() + ";0")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_keyboard_alone_leads_everywhere() {
    let bed = Bed::new();
    bed.send(&Alert::new("BROKE")).await;
    let tab = Tab::open(Look::default());
    tab.go(&bed.at("/"));

    tab.key("Tab");
    assert_eq!(
        tab.text("document.activeElement.innerText"),
        "Skip to the page"
    );
    let seen = "getComputedStyle(document.activeElement).outlineStyle !== 'none' && \
                document.activeElement.getBoundingClientRect().top >= 0";
    assert_eq!(tab.eval(seen), json!(true), "the focus is to be seen");
    tab.key("Enter");
    assert_eq!(tab.text("document.activeElement.id"), "main");

    // On to the incident, and to its first action.
    let mut steps = 0;
    while !tab
        .text("document.activeElement.getAttribute('href') ?? ''")
        .ends_with("/BROKE")
    {
        tab.key("Tab");
        assert_eq!(
            tab.eval(seen),
            json!(true),
            "{}",
            tab.text("document.activeElement.outerHTML")
        );
        steps += 1;
        assert!(steps < 40, "the incident is not reached");
    }
    tab.leading("the incident", || tab.key("Enter"));
    assert_eq!(tab.path(), "/incidents/BROKE");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_on_call_engineer_asks_at_night_is_answered() {
    let bed = Bed::with_everything().await;
    let tab = Tab::open(Look {
        width: 360,
        ..Look::default()
    });

    // What broke, who was told, and did it reach them?
    tab.go(&bed.at("/"));
    let now = tab.says();
    for expected in [
        "page did not reach refusing (webhook).",
        "critical",
        "Jira Installation Callback Success Rate",
        "Calendar for Jira · com.example.calendar",
        "60% (objective 99%)",
        "told chat",
        "did not reach refusing",
        "silenced until",
    ] {
        assert!(now.contains(expected), "{expected:?} in {now}");
    }
    assert!(!now.contains("OVER"), "what is over is not open: {now}");
    let place = |words: &str| now.find(words).unwrap();
    assert!(
        place("What waits for a person") < place("Jira Installation Callback Success Rate"),
        "what asks for somebody is seen before a list of any length: {now}"
    );

    // Is it still on, by what, and why were they told?
    tab.go(&bed.at("/incidents/BROKE"));
    let story = tab.says();
    for expected in [
        "open for",
        "72.5% (objective 99%), over 24 h",
        "told chat",
        "Opened as critical",
        "Nothing new",
        "The page arrived: chat (stdout) has confirmed it",
        "Sender: not checked, because no proof is required.",
        "Measured: 60% at first, 72.5% at last, by 2 mails; the objective is 99%",
        "severity=\"critical\"",
        "route.routes[0]",
    ] {
        assert!(story.contains(expected), "{expected:?} in {story}");
    }
    tab.press("#timeline details summary");
    let way = tab.says();
    assert!(
        way.contains("mx.example.com\nafter 6 s"),
        "each hop's delay: {way}"
    );

    // What is over says how long it lasted.
    tab.go(&bed.at("/incidents/OVER"));
    assert!(tab.says().contains("Lasted"), "{}", tab.says());
    assert!(!tab.says().contains("Resolve by hand"), "{}", tab.says());
    tab.assert_quiet(&bed.admin, &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_week_after_each_objective_answers_for_itself() {
    let without_script = Look {
        javascript: false,
        ..Look::default()
    };
    let untouched = Bed::new();
    let tab = Tab::open(without_script);
    tab.go(&untouched.at("/objectives"));
    let empty = tab.says();
    assert!(empty.contains("No alert has named an objective"), "{empty}");

    // Within the silence that `SILENT` is open in, half an hour from now.
    let bed = Bed::with_everything().await;
    #[expect(clippy::disallowed_methods, reason = "mail is dated now")]
    let at = Timestamp::now() + SignedDuration::from_mins(30);
    let query = format!("at={at:.0}");
    let tab = Tab::open(without_script);
    tab.go(&bed.at(&format!("/objectives?{query}")));
    let all = tab.says();
    for expected in [
        "Calendar for Jira installation_callback",
        "once, for",
        "1 breach began in the last 28 days",
        "Incident (reached)",
        "Remediation (not reached)",
        "of it were announced and spend no budget",
    ] {
        let all = all.replace('\n', " ");
        assert!(all.contains(expected), "{expected:?} in {all}");
    }

    // One and the same as the API, and the evidence beside it.
    let api = bed.at(&format!("/api/v1/objectives?{query}"));
    let api = client().get(api).send().await.unwrap();
    let api: Value = api.json().await.unwrap();
    let api = api["items"].as_array().unwrap();
    for one in api {
        let percent = (one["spent"].as_f64().unwrap() * 1000.0).round() / 10.0;
        let spent = format!("{percent}% spent");
        assert!(all.contains(&spent), "{spent} in {all}");
    }
    let drawn = tab.eval("document.querySelectorAll('article .strip').length");
    assert_eq!(drawn, json!(api.len()));
    let evidence = "document.querySelector('article dd a[download]').getAttribute('href')";
    let evidence = client().get(bed.at(&tab.text(evidence))).send();
    let evidence = evidence.await.unwrap();
    assert_eq!(
        evidence.headers()["content-type"],
        "text/csv; charset=utf-8"
    );
    let evidence = evidence.text().await.unwrap();
    let is_announced = |item: &&Value| item["maintenance_seconds"].as_i64() > Some(0);
    let announced = api.iter().find(is_announced).unwrap();
    let seconds = announced["maintenance_seconds"].to_string();
    assert!(evidence.contains(&seconds), "{seconds} in {evidence}");

    tab.eval("document.getElementById('f-sli').value = 'installation_callback'");
    tab.choose("Look");
    assert!(
        tab.path().contains("sli=installation_callback"),
        "{}",
        tab.path()
    );
    let left = "[...document.querySelectorAll('article h2 code')].map((e) => e.innerText)";
    assert_eq!(tab.eval(left), json!(["installation_callback"]));
    tab.assert_quiet(&bed.admin, &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_without_an_objective_answers_by_how_often_and_how_long() {
    let bed = Bed::with("profiles: [{ name: jenkins, use: jenkins }]");
    for (name, minutes) in [("failure", 30), ("fixed", 20), ("failure", 10)] {
        bed.post(&starters_mail("jenkins", name, minutes)).await;
    }

    let senders = client()
        .get(bed.at("/api/v1/senders"))
        .send()
        .await
        .unwrap();
    let senders: Value = senders.json().await.unwrap();
    let sender = &senders["items"][0];
    assert_eq!(
        (
            &sender["profile"],
            &sender["incidents"],
            &sender["times"],
            &sender["open"]
        ),
        (&json!("jenkins"), &json!(1), &json!(2), &json!(1)),
        "{senders}"
    );

    let tab = Tab::open(Look::default());
    tab.go(&bed.at("/objectives"));
    let says = tab.says();
    assert!(says.contains("1 incident, twice, for"), "{says}");
    tab.choose("shop/main: failure");
    assert!(
        tab.path().starts_with("/incidents/jenkins"),
        "{}",
        tab.path()
    );
    tab.assert_quiet(&bed.admin, &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_is_drafted_from_a_mail_that_nobody_takes() {
    let bed = Bed::new();
    let mails = ["problem", "recovery"].map(|name| starters_mail("icinga", name, 10));
    for mail in &mails {
        bed.post(mail).await;
    }

    let tab = Tab::open(Look {
        javascript: false,
        ..Look::default()
    });
    tab.go(&bed.at("/mails/1"));
    tab.choose("Draft a profile from it");
    assert!(tab.says().contains("opens an incident"), "{}", tab.says());
    tab.fill("#closing", "2");
    tab.choose("Draft it");
    assert!(
        tab.says().contains("says that it is over"),
        "{}",
        tab.says()
    );
    assert!(
        tab.says().contains("It reads them as it should"),
        "{}",
        tab.says()
    );

    // One and the same on the page, by the API and by the command.
    let file = tab.text("document.querySelector('main a[download]').getAttribute('href')");
    let file = client().get(bed.at(&file)).send().await.unwrap();
    let file = file.text().await.unwrap();
    let draft = client().post(bed.at("/api/v1/profiles/draft"));
    let draft = draft.json(&json!({ "opening": 1, "closing": 2 }));
    let draft: Value = draft.send().await.unwrap().json().await.unwrap();
    assert_eq!(draft["document"], json!(file));
    assert_eq!(draft["doubts"], json!([]));
    assert_eq!(draft["read"][0]["key"], draft["read"][1]["key"]);
    let paths = ["opening.eml", "closing.eml"].map(|name| bed.folder.path().join(name));
    for (path, mail) in paths.iter().zip(&mails) {
        std::fs::write(path, mail).unwrap();
    }
    let [opening, closing] = paths.each_ref().map(|path| path.to_str().unwrap());
    let printed = bed.bridge.command(&["profiles", "draft", opening, closing]);
    assert_eq!(String::from_utf8(printed.stdout).unwrap(), file);

    tab.go(&bed.at("/profiles/draft?mail=99"));
    assert!(
        tab.says().contains("There is no mail 99."),
        "{}",
        tab.says()
    );
    tab.assert_quiet(&bed.admin, &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_mail_is_sent_as_the_page_says_and_shows_by_itself() {
    let bed = Bed::new();
    let tab = Tab::open(Look::default());
    tab.go(&bed.at("/"));
    assert!(
        tab.says().contains("No mail has come yet"),
        "{}",
        tab.says()
    );
    tab.until("document.getElementById('live').innerText.startsWith('Live')");

    let commands = tab.eval("[...document.querySelectorAll('#open pre')].map((e) => e.innerText)");
    let commands: Vec<String> = serde_json::from_value(commands).unwrap();
    let [opens, closes] = commands.as_slice() else {
        panic!("{commands:?}")
    };
    bed.shell(opens);
    tab.until("document.querySelector('#open .row-title') !== null");
    assert_eq!(tab.text("document.title"), "1 open · alertbridge");
    assert_eq!(
        tab.text("document.getElementById('announce').innerText"),
        "1 open incident, critical"
    );
    let fresh = "performance.getEntriesByType('navigation')[0].type === 'navigate' && \
                 performance.getEntriesByType('navigation').length === 1";
    assert_eq!(tab.eval(fresh), json!(true));

    // What ends it is still there to be copied.
    let left = tab.eval("[...document.querySelectorAll('#open pre')].map((e) => e.innerText)");
    assert_eq!(left, json!([closes]));
    assert!(closes.contains(PROGRAM), "as it was called: {closes}");

    bed.shell(closes);
    tab.until("document.querySelector('#open .row-title') === null");
    let left = "document.querySelectorAll('#open pre').length";
    assert_eq!(tab.eval(left), json!(0), "{}", tab.says());
    assert!(tab.says().contains("Nothing is open"), "{}", tab.says());
    tab.assert_quiet(&bed.admin, &[]);
}
