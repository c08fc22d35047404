//! One incident at a time: forged mail between genuine ones.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forged_resolve_is_held_and_told_of_and_the_genuine_one_through_another_door_closes() {
    let (zone, folder, pager) = (
        zone(),
        tempfile::tempdir().unwrap(),
        PagerDuty::start().await,
    );
    let bridge = Bridge::start(
        folder.path(),
        &config(&zone.address, folder.path(), &pager, "}", ""),
    );
    assert_eq!(
        bridge
            .post(&genuine("ANOMALOUS", "a", in_minutes(0)))
            .await
            .unwrap(),
        202
    );
    bridge.settled(1).await;
    over_smtp(&bridge, &mail("OK", "a", in_minutes(1))).await;
    bridge.settled(2).await;
    assert_eq!(
        pager
            .open_alerts()
            .iter()
            .filter(|key| *key == "a:oncall")
            .count(),
        1
    );
    let held = listed(&bridge, "quarantined");
    assert_eq!(held.len(), 1);
    assert!(
        held[0]["reason"]
            .as_str()
            .unwrap()
            .starts_with("an unverified resolve closes nothing: "),
        "{}",
        held[0]
    );
    assert_eq!(held[0]["incident_id"], "a");
    until(&bridge, "the held resolve is told of", || {
        told(&pager) == ["trigger self:held-resolves"]
    })
    .await;
    over_smtp(&bridge, &genuine("OK", "a", in_minutes(2))).await;
    until(&bridge, "it is over", || {
        pager.open_alerts().is_empty()
            && told(&pager).last().unwrap() == "resolve self:held-resolves"
    })
    .await;
    let seen: Vec<_> = pages(&pager)
        .into_iter()
        .map(|page| (page.action, page.title))
        .collect();
    assert_eq!(
        seen.iter()
            .map(|(action, _)| action.as_str())
            .collect::<Vec<_>>(),
        ["trigger", "resolve"]
    );
    assert!(
        seen.iter().all(|(_, title)| !title.contains("UNVERIFIED")),
        "{seen:?}"
    );
    assert_eq!(pager.violations(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forged_future_stands_in_the_way_of_nothing() {
    let (zone, folder, pager) = (
        zone(),
        tempfile::tempdir().unwrap(),
        PagerDuty::start().await,
    );
    let bridge = Bridge::start(
        folder.path(),
        &config(&zone.address, folder.path(), &pager, "}", ""),
    );
    let next_year = in_minutes(365 * 1440);
    let statuses = ["ANOMALOUS", "NEWS", "OK"];
    // Before its genuine trigger, and between it and the resolve.
    let mut sent = 0;
    for round in 0..2 {
        for status in statuses {
            assert_eq!(
                bridge.post(&mail(status, "a", next_year)).await.unwrap(),
                202
            );
            sent += 1;
            bridge.settled(sent).await;
        }
        let (status, minutes) = if round == 0 {
            ("ANOMALOUS", 0)
        } else {
            ("OK", 1)
        };
        over_smtp(&bridge, &genuine(status, "a", in_minutes(minutes))).await;
        sent += 1;
        bridge.settled(sent).await;
    }
    assert!(
        !pager.open_alerts().contains(&"a:oncall".to_owned()),
        "the genuine resolve closes"
    );
    assert_eq!(listed(&bridge, "resolved").len(), 1);
    assert_eq!(
        listed(&bridge, "quarantined").len(),
        2,
        "both forged resolves are held"
    );
    over_smtp(&bridge, &genuine("ANOMALOUS", "a", in_minutes(2))).await;
    bridge.settled(sent + 1).await;
    assert_eq!(
        listed(&bridge, "reopened").len(),
        1,
        "and the next genuine trigger opens it again"
    );
    assert!(pager.open_alerts().contains(&"a:oncall".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_forged_triggers_is_told_so_often_and_never_stops_a_genuine_one() {
    let (zone, folder, pager) = (
        zone(),
        tempfile::tempdir().unwrap(),
        PagerDuty::start().await,
    );
    let limit = ", unverified: { max_per_hour: 3 } }";
    let bridge = Bridge::start(
        folder.path(),
        &config(&zone.address, folder.path(), &pager, limit, ""),
    );
    for n in 0..10 {
        let forged = match n % 2 {
            0 => mail("ANOMALOUS", &format!("forged-{n}"), in_minutes(0)),
            // Alerts that cannot be read count too.
            _ => String::from_utf8(mail("ANOMALOUS", &format!("forged-{n}"), in_minutes(0)))
                .unwrap()
                .replace("incidentId", "incidentIdd")
                .into_bytes(),
        };
        assert_eq!(bridge.post(&forged).await.unwrap(), 202);
    }
    bridge.settled(10).await;
    over_smtp(&bridge, &genuine("ANOMALOUS", "real", in_minutes(0))).await;
    bridge.settled(11).await;
    let titles: Vec<_> = pages(&pager).into_iter().map(|page| page.title).collect();
    assert_eq!(titles.len(), 4, "{titles:?}");
    assert_eq!(
        titles
            .iter()
            .filter(|title| title.starts_with("[UNVERIFIED] "))
            .count(),
        3,
        "{titles:?}"
    );
    assert!(!titles[3].contains("UNVERIFIED"), "{titles:?}");
    let held = listed(&bridge, "quarantined");
    assert_eq!(held.len(), 7);
    assert!(
        held.iter()
            .all(|mail| mail["reason"].as_str().unwrap().contains("max_per_hour: 3")),
        "{held:?}"
    );
    until(&bridge, "that more are held is told", || {
        !told(&pager).is_empty()
    })
    .await;
    let id = held[0]["id"].as_i64().unwrap();
    assert!(
        bridge
            .command(&["mails", "discard", &id.to_string()])
            .status
            .success()
    );
    assert_eq!(shown(&bridge, id)["outcome"], "ignored");
    assert_eq!(told(&pager), ["trigger self:held-triggers"], "once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_released_acts_as_genuine_mail_does_and_says_who_let_it_through() {
    let (zone, folder, pager) = (
        zone(),
        tempfile::tempdir().unwrap(),
        PagerDuty::start().await,
    );
    let quarantine = ", unverified: { trigger: quarantine } }\n  app_keys: [com.example.appkey]";
    let config = config(&zone.address, folder.path(), &pager, quarantine, "");
    let bridge = Bridge::start_with(folder.path(), &config, &[]);
    let release = |id: i64| {
        let output = bridge.command(&["mails", "release", &id.to_string()]);
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    };
    assert_eq!(
        bridge
            .post(&mail("ANOMALOUS", "a", in_minutes(0)))
            .await
            .unwrap(),
        202
    );
    bridge.settled(1).await;
    assert!(pager.pages().is_empty());
    release(1);
    until(&bridge, "it is paged", || {
        pager.open_alerts() == ["a:oncall"]
    })
    .await;
    assert!(!pages(&pager)[0].title.contains("UNVERIFIED"));
    assert_eq!(
        bridge.post(&mail("OK", "a", in_minutes(1))).await.unwrap(),
        202
    );
    bridge.settled(3).await;
    release(2);
    until(&bridge, "it is closed", || {
        !pager.open_alerts().contains(&"a:oncall".to_owned())
    })
    .await;
    let mail = shown(&bridge, 2);
    assert_eq!(
        (&mail["outcome"], &mail["authenticity"]["verdict"]),
        (&json!("resolved"), &json!("none"))
    );
    assert!(
        mail["released"]["by"].as_str().unwrap().contains('@'),
        "{mail}"
    );
    let timeline = bridge.command(&["incidents", "show", "a"]);
    let timeline = String::from_utf8(timeline.stdout).unwrap();
    let timeline = timeline.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        timeline.contains("released from the quarantine by "),
        "{timeline}"
    );
    let again = bridge.command(&["mails", "release", "2"]);
    assert_eq!(again.status.code(), Some(1));
    // Genuine mail of an app nobody expects.
    let other = String::from_utf8(super::mail("ANOMALOUS", "b", in_minutes(0))).unwrap();
    let other = signed(
        other
            .replace("com.example.appkey", "com.example.another")
            .as_bytes(),
        DOMAIN,
        json!({}),
    );
    assert_eq!(bridge.post(&other).await.unwrap(), 202);
    until(&bridge, "the app is told of", || {
        told(&pager)
            .last()
            .is_some_and(|last| last == "trigger self:app-key:com.example.another")
    })
    .await;
    release(3);
    until(&bridge, "it is paged, and nothing is held any more", || {
        pager.open_alerts() == ["b:oncall"]
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_checked_is_told_or_waits_over_a_restart_and_is_checked_again() {
    let port = free_port();
    let (zone, folder, pager) = (
        zone_on(port),
        tempfile::tempdir().unwrap(),
        PagerDuty::start().await,
    );
    let config = config(&zone.address, folder.path(), &pager, "}", "");
    let mut bridge = Bridge::start(folder.path(), &config);
    let of = |status: &str, id: &str, minutes, domain: &str| {
        signed(&mail(status, id, in_minutes(minutes)), domain, json!({}))
    };
    assert_eq!(
        bridge.post(&of("ANOMALOUS", "a", 0, DOMAIN)).await.unwrap(),
        202
    );
    bridge.settled(1).await;
    drop(zone);
    // Keys that nobody has asked for yet.
    assert_eq!(
        bridge
            .post(&of("ANOMALOUS", "b", 0, "atlassian.com"))
            .await
            .unwrap(),
        202
    );
    bridge.settled(2).await;
    let title = &pages(&pager)[1].title;
    assert!(title.starts_with("[UNVERIFIED SO FAR] "), "{title}");
    assert_eq!(
        bridge
            .post(&of("OK", "a", 1, "mail.am.atlassian.com"))
            .await
            .unwrap(),
        202
    );
    until(&bridge, "the resolve waits", || {
        listed(&bridge, "pending")
            .iter()
            .any(|mail| mail["check_at"].is_string())
    })
    .await;
    assert_eq!(pager.open_alerts(), ["a:oncall", "b:oncall"]);
    bridge.kill();
    let _zone = zone_on(port);
    let bridge = Bridge::start(folder.path(), &config);
    until(&bridge, "the resolve acts", || {
        pager.open_alerts() == ["b:oncall"]
    })
    .await;
    until(&bridge, "the trigger is proven", || {
        shown(&bridge, 2)["authenticity"]["verdict"] == "pass"
    })
    .await;
    let mail = shown(&bridge, 2);
    assert_eq!(
        (&mail["outcome"], &mail["labels"]["authenticity"]),
        (&json!("opened"), &json!("pass"))
    );
    assert!(
        mail["reason"]
            .as_str()
            .unwrap()
            .contains("checked again: genuine"),
        "{mail}"
    );
    assert_eq!(
        bridge
            .post(&genuine("OK", "b", in_minutes(1)))
            .await
            .unwrap(),
        202
    );
    until(&bridge, "its resolve reaches whom it was told", || {
        pager.open_alerts().is_empty()
    })
    .await;
    let actions: Vec<_> = pages(&pager)
        .into_iter()
        .map(|page| format!("{} {}", page.action, page.key))
        .collect();
    assert_eq!(
        actions,
        [
            "trigger a:oncall",
            "trigger b:oncall",
            "resolve a:oncall",
            "resolve b:oncall"
        ]
    );
    assert_eq!(pager.repeats(), Vec::<String>::new(), "no second page");
}

#[tokio::test]
async fn explain_shows_what_the_policy_makes_of_a_mail() {
    let (zone, folder, pager) = (
        zone(),
        tempfile::tempdir().unwrap(),
        PagerDuty::start().await,
    );
    let config = config(&zone.address, folder.path(), &pager, "}", "");
    std::fs::write(folder.path().join("alertbridge.yaml"), config).unwrap();
    let explained = |mail: &[u8]| -> Value {
        let output = harness::run_with(folder.path(), &["explain", "-", "--json"], mail);
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let resolve = explained(&mail("OK", "a", in_minutes(0)));
    assert_eq!(
        (&resolve["outcome"], &resolve["requests"]),
        (&json!("quarantined"), &json!([]))
    );
    let trigger = explained(&mail("ANOMALOUS", "a", in_minutes(0)));
    assert_eq!(
        (&trigger["outcome"], &trigger["labels"]["authenticity"]),
        (&json!("opened"), &json!("none"))
    );
    let summary = trigger["requests"][0]["body"]["payload"]["summary"]
        .as_str()
        .unwrap();
    assert!(summary.starts_with("[UNVERIFIED] "), "{summary}");
    assert_eq!(
        explained(&genuine("OK", "a", in_minutes(0)))["outcome"],
        "resolved"
    );
}
