//! Whatever can be done on a page is clicked through: with a script and without, asked once, and
//! recorded with who did it.

use serde_json::{Value, json};

use super::data::{Alert, Bed, starters_mail};
use crate::{
    browser::{Look, Tab},
    harness::client,
};

/// Done with a script on a desk, and without one on a phone.
const LOOKS: [Look; 2] = [
    Look {
        width: 1280,
        dark: false,
        javascript: true,
    },
    Look {
        width: 360,
        dark: true,
        javascript: false,
    },
];

/// What was done, and what came of it, the newest first.
async fn deeds(bed: &Bed) -> Vec<(String, String)> {
    let url = bed.at("/api/v1/audit");
    let list: Value = client()
        .get(url)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let items = list["items"].as_array().unwrap().iter();
    items
        .map(|deed| {
            assert_eq!(
                (&deed["by"], &deed["via"]),
                (&json!("local"), &json!("page")),
                "{deed}"
            );
            (
                deed["action"].as_str().unwrap().to_owned(),
                deed["outcome"].to_string(),
            )
        })
        .collect()
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
async fn an_incident_is_resolved_by_hand() {
    for look in LOOKS {
        let bed = Bed::new();
        bed.send(&Alert::new("BROKE")).await;
        bed.bridge.settled(1).await;
        let tab = Tab::open(look);
        tab.go(&bed.at("/"));
        tab.follow("#open .row-title");
        tab.choose("Resolve by hand");
        shown(&tab, "chat will be told that local resolved it.");
        tab.choose("Back");
        shown(&tab, "open for");
        tab.choose("Resolve by hand");
        let meanwhile = tab.beside(look);
        meanwhile.go(&bed.at("/incidents/BROKE/resolve"));
        tab.front();
        tab.choose("Resolve it");
        shown(
            &tab,
            "The incident is resolved: whoever was told of it is told so.",
        );
        assert_eq!(tab.path(), "/incidents/BROKE?done=resolved");
        tab.until("document.querySelector('main').innerText.includes('Lasted')");

        // It is told once: the address may be opened again, when that is long over.
        for path in ["/incidents/BROKE?done=resolved", "/?done=resolved"] {
            tab.go(&bed.at(path));
            assert!(
                !tab.says().contains("The incident is resolved"),
                "{}",
                tab.says()
            );
        }

        // Another press, as from a page that was open meanwhile, finds it closed, and leads back.
        meanwhile.front();
        meanwhile.choose("Resolve it");
        shown(&meanwhile, "is already over");
        meanwhile.choose("Back");
        assert_eq!(meanwhile.path(), "/incidents/BROKE");
        tab.front();
        tab.go(&bed.at("/incidents/BROKE/resolve"));
        shown(
            &tab,
            "Jira Installation Callback Success Rate is already resolved",
        );
        assert!(!tab.says().contains("Resolve it"), "{}", tab.says());
        tab.choose("Back");
        assert_eq!(tab.path(), "/incidents/BROKE");
        tab.go(&bed.at("/audit"));
        shown(&tab, "local\ntried to resolve incident\nBROKE");
        shown(&tab, "local\nresolved incident\nBROKE");
        let deeds = deeds(&bed).await;
        assert_eq!(deeds.len(), 2, "{deeds:?}");
        assert_eq!(
            deeds[1],
            ("incidents.resolve".to_owned(), "\"done\"".to_owned())
        );
        assert_ne!(deeds[0].1, "\"done\"");
        assert_eq!(
            bed.bridge.pages().len(),
            2,
            "one trigger and one end: {:?}",
            bed.bridge.pages()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_looks_like_it_is_silenced_after_a_preview_and_the_silence_ended() {
    for look in LOOKS {
        let bed = Bed::new();
        bed.send(&Alert::new("BROKE")).await;
        bed.bridge.settled(1).await;
        let tab = Tab::open(look);
        tab.go(&bed.at("/incidents/BROKE"));
        tab.choose("Silence alerts like it");
        let matchers = tab.text("document.getElementById('matchers').value");
        assert_eq!(
            matchers,
            "app_key=\"com.example.calendar\"\nmetric=\"Jira Installation Callback Success Rate\""
        );
        shown(&tab, "Open now: 1");

        // What cannot be is said, and what was written stays.
        tab.fill("#matchers", "app_key!=\"x\"");
        tab.fill("#comment", "the database moves");
        tab.choose("Show what it would hold");
        shown(&tab, "must not match the empty string");
        assert!(
            !tab.says().contains("Create this silence"),
            "{}",
            tab.says()
        );
        assert_eq!(
            tab.text("document.getElementById('comment').value"),
            "the database moves"
        );
        tab.fill("#matchers", &matchers);
        tab.fill("#duration", "0s");
        tab.choose("Show what it would hold");
        shown(&tab, "It would end at 20");
        let is_whole = "!/\\d[.]\\d/.test(document.querySelector('main').innerText)";
        assert_eq!(tab.eval(is_whole), json!(true), "{}", tab.says());
        tab.fill("#duration", "3h");
        tab.choose("Show what it would hold");
        shown(&tab, "In the last 28 days: 1");
        assert_eq!(deeds(&bed).await, [], "a preview does nothing");
        let asked = tab.path();
        tab.choose("Create this silence");
        shown(&tab, "The silence is active");
        assert_eq!(tab.path(), "/silences/1?done=silenced");

        // Going back and pressing again makes no other.
        tab.go(&bed.at(&asked));
        tab.choose("Create this silence");
        assert_eq!(tab.path(), "/silences/1?done=silenced");

        // As Alertmanager's tools link to it.
        if look.javascript {
            tab.go(&bed.at("/#/silences/00000000-0000-4000-8000-000000000001"));
            tab.until("location.pathname === '/silences/1'");
        }

        bed.send(&Alert::new("QUIET")).await;
        bed.bridge.settled(2).await;
        tab.go(&bed.at("/incidents/QUIET"));
        shown(&tab, "UTC by silence 1 (local: the database moves)");
        assert_eq!(bed.bridge.pages().len(), 1);

        tab.go(&bed.at("/silences"));
        tab.choose("End it now");
        tab.choose("End it");
        shown(&tab, "The silence has ended");
        let done: Vec<_> = deeds(&bed)
            .await
            .into_iter()
            .map(|(action, _)| action)
            .collect();
        assert_eq!(done, ["silences.expire", "silences.add"]);
        tab.go(&bed.at("/silences"));
        shown(&tab, "Nothing is silenced now.");
        tab.go(&bed.at("/silences/1/expire"));
        shown(&tab, "Silence 1 has already ended");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silence_that_is_planned_holds_nothing_yet() {
    for look in LOOKS {
        let bed = Bed::new();
        let tab = Tab::open(look);
        tab.go(&bed.at("/silences/new"));
        tab.fill("#matchers", "severity=critical");
        tab.fill("#start", "2099-01-01T00:00:00Z");
        tab.fill("#comment", "the database moves");
        tab.choose("Show what it would hold");
        tab.choose("Create this silence");
        shown(
            &tab,
            "The silence is planned and becomes active at its start.",
        );
        tab.choose("End it now");
        shown(&tab, "It has not begun, and will never hold anything.");
        tab.choose("Cancel it");
        shown(&tab, "The silence is cancelled: it has held nothing.");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silence_begun_in_a_warning_or_after_the_end_covers_the_next_critical_of_the_check() {
    for (before, after) in [
        (&["warning"][..], &["recovery", "problem"][..]),
        (&["warning", "recovery"], &["problem"]),
    ] {
        let bed = Bed::with("profiles: [{ name: nagios, use: nagios }]");
        for (name, minutes) in before.iter().zip([30, 20]) {
            bed.post(&starters_mail("nagios", name, minutes)).await;
        }
        let tab = Tab::open(LOOKS[1]);
        tab.go(&bed.at("/incidents/nagios%3Aweb1%2FHTTP"));
        tab.choose("Silence alerts like it");
        let matchers = tab.text("document.getElementById('matchers').value");
        assert_eq!(matchers, "incident_id=\"nagios:web1/HTTP\"");
        tab.fill("#matchers", "host=web1");
        tab.fill("#comment", "the web server moves");
        tab.choose("Show what it would hold");
        let says = tab.says();
        assert!(!says.contains("no alert has a label"), "{says}");
        tab.fill("#matchers", &matchers);
        tab.choose("Show what it would hold");
        tab.choose("Create this silence");
        shown(&tab, "The silence is active");

        for (name, minutes) in after.iter().zip([10, 5]) {
            bed.post(&starters_mail("nagios", name, minutes)).await;
        }
        let mails = client().get(bed.at("/api/v1/mails")).send().await.unwrap();
        let mails: Value = mails.json().await.unwrap();
        assert_eq!(mails["items"][0]["outcome"], "silenced", "{mails}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_did_not_arrive_is_sent_again_or_discarded() {
    for look in LOOKS {
        let bed = Bed::new();
        for incident in ["FIRST", "SECOND", "THIRD"] {
            bed.send(&Alert::refused(incident)).await;
        }
        bed.bridge.settled(3).await;
        let tab = Tab::open(look);
        tab.go(&bed.at("/"));
        shown(&tab, "3 pages did not reach refusing (webhook).");
        tab.choose("Look at them");
        tab.choose("Discard");
        shown(&tab, "Its receiver will never get it.");
        shown(&tab, "Webhook Delivery: did not reach refusing (webhook): ");
        tab.choose("Discard it");
        shown(&tab, "It is discarded.");
        assert_eq!(
            tab.path(),
            "/deliveries?receiver=refusing&state=dead&done=discarded"
        );

        bed.take_everything();
        tab.go(&bed.at("/deliveries?state=dead"));
        tab.choose("Retry");
        tab.choose("Send it again");
        shown(&tab, "The page is sent again.");

        tab.go(&bed.at("/incidents/FIRST"));
        tab.choose("Send again");
        shown(&tab, "trigger to refusing (webhook)");
        tab.choose("Send again");
        shown(&tab, "The pages that did not arrive are sent again.");
        bed.bridge.settled(3).await;
        tab.go(&bed.at("/incidents/FIRST"));
        shown(&tab, "told refusing");
        assert!(
            !tab.says().contains("Send again"),
            "there is nothing to send: {}",
            tab.says()
        );
        for (path, said) in [
            ("/incidents/FIRST/again", " has no pages to send again"),
            ("/deliveries/2/retry", "Page 2 can no longer be sent again"),
            ("/deliveries/2/discard", "Page 2 can no longer be discarded"),
        ] {
            tab.go(&bed.at(path));
            shown(&tab, said);
            tab.choose("Back");
            assert_eq!(tab.path(), "/incidents/FIRST");
        }
        tab.go(&bed.at("/audit"));
        shown(&tab, "local\ndiscarded page\n6");
        tab.choose("6");
        assert_eq!(
            tab.text("location.pathname + location.hash"),
            "/incidents/THIRD#delivery-6"
        );
        let done: Vec<_> = deeds(&bed)
            .await
            .into_iter()
            .map(|(action, _)| action)
            .collect();
        assert_eq!(
            done,
            ["deliveries.retry", "deliveries.retry", "deliveries.discard"]
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_quarantine_is_emptied_one_by_one_and_by_filter() {
    for look in LOOKS {
        let bed = Bed::new();
        for incident in ["A", "B", "C", "D"] {
            let app = ("com.example.other", "Another's");
            bed.send(&Alert {
                app,
                ..Alert::new(incident)
            })
            .await;
        }
        let tab = Tab::open(look);
        tab.go(&bed.at("/"));
        tab.follow("a[href='/mails?outcome=quarantined']");
        shown(&tab, "from no-reply@am.atlassian.com");
        shown(&tab, "Cloud Fortified alert");
        tab.choose("Release");
        shown(&tab, "it may page people");
        tab.choose("Release it");
        shown(&tab, "The mail is released");
        bed.bridge.settled(5).await;
        tab.go(&bed.at("/mails/4"));
        shown(&tab, "opened");
        for deed in ["release", "discard"] {
            tab.go(&bed.at(&format!("/mails/4/{deed}")));
            shown(&tab, "Mail 4 is not in the quarantine");
            shown(&tab, "It was released by local at");
            shown(&tab, "Its outcome: opened");
            assert!(!tab.says().contains(" it\n"), "{}", tab.says());
            tab.choose("Back");
            assert_eq!(tab.path(), "/mails/4");
        }

        tab.go(&bed.at("/mails/3"));
        tab.choose("Discard it");
        tab.choose("Discard it");
        shown(&tab, "It is discarded.");
        assert_eq!(tab.path(), "/mails/3?done=discarded");

        tab.go(&bed.at("/mails?outcome=quarantined&ingress=mail"));
        tab.choose("Discard all of these");
        shown(
            &tab,
            "Discard 2 mails in the quarantine that came through mail?",
        );
        tab.fill("#from", "@elsewhere.example.com");
        tab.fill("#older", "a week");
        tab.choose("Discard them");
        let written = "['ingress', 'from', 'older'].map((name) => \
                       document.querySelector(`[name=${name}]`).value)";
        assert_eq!(
            tab.eval(written),
            json!(["mail", "@elsewhere.example.com", "a week"]),
            "what is wrong is said, and nothing of the filter is lost: {}",
            tab.says()
        );
        shown(&tab, "`older`: ");
        tab.fill("#older", "");
        tab.choose("Discard them");
        shown(&tab, "Nothing was discarded.");

        // What comes while the question stands there is nobody's to discard yet.
        tab.choose("Discard all of these");
        bed.send(&Alert {
            app: ("com.example.other", "Another's"),
            ..Alert::new("LATE")
        })
        .await;
        tab.fill("#from", "@am.atlassian.com");
        tab.choose("Discard them");
        shown(&tab, "2 mails are discarded; 1 newer mail waits.");
        let left = "document.querySelectorAll('#list .row').length";
        assert_eq!(tab.eval(left), json!(1), "{}", tab.says());
        let list = "/mails?ingress=mail&outcome=quarantined";
        tab.go(&bed.at(list));
        tab.choose("Discard");
        tab.choose("Discard it");
        shown(&tab, "It is discarded.");
        assert_eq!(tab.path(), format!("{list}&done=discarded"));
        let done: Vec<_> = deeds(&bed)
            .await
            .into_iter()
            .map(|(action, _)| action)
            .collect();
        assert_eq!(
            done,
            [
                "mails.discard",
                "mails.discard",
                "mails.discard",
                "mails.discard",
                "mails.release"
            ]
        );
        tab.go(&bed.at("/audit"));
        shown(&tab, "local");
        shown(&tab, "released mail");
        shown(&tab, "2 mails: from @am.atlassian.com, up to mail");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_are_asked_by_labels_by_mail_and_by_another_configuration() {
    for look in LOOKS {
        let bed = Bed::new();
        bed.send(&Alert::new("BROKE")).await;
        bed.bridge.settled(1).await;
        let tab = Tab::open(look);

        tab.go(&bed.at("/rules"));
        tab.fill("#labels", "severity=critical\napp_key=com.example.refused");
        tab.choose("Test these labels");
        let reached = "[...document.querySelectorAll('#test [role=status] li')].map((e) => \
                       e.innerText.split('\\n')[0])";
        assert_eq!(tab.eval(reached), json!(["chat", "refusing"]));
        assert_eq!(
            tab.eval("document.querySelectorAll('.node.taken').length"),
            json!(2)
        );
        tab.fill("#labels", "severity>3");
        tab.choose("Test these labels");
        shown(&tab, "is not a valid label");
        tab.fill("#labels", "severty=critical");
        tab.choose("Test these labels");
        shown(&tab, "no alert has a label severty; did you mean severity?");

        let file = bed.folder.path().join("mail.eml");
        std::fs::write(&file, Alert::refused("NEW").mail()).unwrap();
        tab.choose_file("#file", &file);
        tab.choose("Explain it");
        shown(&tab, "chat, refusing would be told");
        shown(&tab, "As if it arrived 10 min ago");
        tab.press("#explained details:last-of-type summary");
        shown(&tab, "\"alias\": \"NEW:refusing\"");
        tab.go(&bed.at("/mails/1"));
        tab.choose("Explain it under the current rules");
        shown(&tab, "chat would be told");
        assert_eq!(bed.bridge.pages().len(), 1, "nobody is told");

        let other = std::fs::read_to_string(bed.folder.path().join("alertbridge.yaml")).unwrap();
        let other = other.replace("receiver: chat, continue: true", "receiver: refusing");
        let file = bed.folder.path().join("other.yaml");
        std::fs::write(&file, other).unwrap();
        tab.go(&bed.at("/rules"));
        tab.choose("Download the edited file");
        shown(&tab, "paste your whole alertbridge.yaml");
        tab.choose_file("#config-file", &file);
        tab.choose("Compare");
        shown(
            &tab,
            "1 would have been handled differently, of 1 mail within 7 days",
        );
        shown(
            &tab,
            "moved: the page from chat (stdout) to refusing (webhook)",
        );
        tab.choose_file("#config-file", &bed.folder.path().join("mail.eml"));
        tab.choose("Compare");
        shown(&tab, "It cannot be compared");
        tab.assert_quiet(&bed.admin, &[]);
    }
}
