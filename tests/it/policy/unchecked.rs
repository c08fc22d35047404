//! Mail that could not be checked yet: no laxer than what is not proven, and nobody's choice.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trouble_that_the_sender_chooses_earns_him_nothing() {
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
    assert_eq!(
        bridge
            .post(&genuine("ANOMALOUS", "real", in_minutes(0)))
            .await
            .unwrap(),
        202
    );
    bridge.settled(1).await;
    let forged = |status: &str, incident: &str, minutes| {
        let selector =
            ["-x", "x-", "x..y", "_-", "xn--zzzz"][usize::try_from(minutes).unwrap() % 5];
        signed(
            &mail(status, incident, in_minutes(minutes)),
            DOMAIN,
            json!({ "tags": { "s": selector } }),
        )
    };
    for n in 0..20 {
        assert_eq!(
            bridge
                .post(&forged("ANOMALOUS", &format!("forged-{n}"), n))
                .await
                .unwrap(),
            202
        );
    }
    for n in 0..5 {
        assert_eq!(
            bridge.post(&forged("OK", "real", n + 1)).await.unwrap(),
            202
        );
    }
    bridge.settled(26).await;
    let told_of = pages(&pager);
    assert_eq!(
        told_of
            .iter()
            .filter(|page| page.title.starts_with("[UNVERIFIED] "))
            .count(),
        3,
        "{told_of:?}"
    );
    assert_eq!(
        (told_of.len(), listed(&bridge, "quarantined").len()),
        (4, 22)
    );
    assert!(listed(&bridge, "pending").is_empty(), "no resolve waits");
    assert!(pager.open_alerts().contains(&"real:oncall".to_owned()));
    until(&bridge, "what is held is told of", || {
        let told = told(&pager);
        ["self:held-resolves", "self:held-triggers"]
            .iter()
            .all(|own| told.contains(&format!("trigger {own}")))
    })
    .await;
    // Another door has an account of its own.
    over_smtp(&bridge, &forged("ANOMALOUS", "by-smtp", 0)).await;
    bridge.settled(27).await;
    assert!(
        pager.open_alerts().contains(&"by-smtp:oncall".to_owned()),
        "{:?}",
        pager.open_alerts()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_checked_draws_on_the_account_too_and_is_told_once_it_is_proven() {
    let port = free_port();
    let (folder, pager) = (tempfile::tempdir().unwrap(), PagerDuty::start().await);
    let limit = ", unverified: { max_per_hour: 2 } }";
    let config = config(
        &format!("127.0.0.1:{port}"),
        folder.path(),
        &pager,
        limit,
        "",
    );
    let bridge = Bridge::start(folder.path(), &config);
    for n in 0..4 {
        assert_eq!(
            bridge
                .post(&genuine("ANOMALOUS", &format!("i{n}"), in_minutes(0)))
                .await
                .unwrap(),
            202
        );
        bridge.settled(n + 1).await;
    }
    let told_so_far = pages(&pager);
    assert_eq!(told_so_far.len(), 2, "{told_so_far:?}");
    assert!(
        told_so_far
            .iter()
            .all(|page| page.title.starts_with("[UNVERIFIED SO FAR] ")),
        "{told_so_far:?}"
    );
    let held = listed(&bridge, "quarantined");
    assert_eq!(held.len(), 2);
    assert!(
        held.iter().all(|mail| mail["check_at"].is_string()),
        "it is checked again: {held:?}"
    );
    until(&bridge, "that some are held is told", || {
        told(&pager) == ["trigger self:held-triggers"]
    })
    .await;
    let _zone = zone_on(port);
    until(&bridge, "those that were held are told", || {
        pages(&pager).len() == 4
    })
    .await;
    assert!(
        pages(&pager)[2..]
            .iter()
            .all(|page| !page.title.contains("UNVERIFIED")),
        "{:?}",
        pages(&pager)
    );
    assert_eq!(pager.repeats(), Vec::<String>::new(), "no second page");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_unproven_triggers_are_quarantined_so_are_those_that_could_not_be_checked() {
    let port = free_port();
    let (folder, pager) = (tempfile::tempdir().unwrap(), PagerDuty::start().await);
    let quarantine = ", unverified: { trigger: quarantine } }";
    let config = config(
        &format!("127.0.0.1:{port}"),
        folder.path(),
        &pager,
        quarantine,
        "",
    );
    let bridge = Bridge::start(folder.path(), &config);
    assert_eq!(
        bridge
            .post(&genuine("ANOMALOUS", "a", in_minutes(0)))
            .await
            .unwrap(),
        202
    );
    bridge.settled(1).await;
    assert!(pages(&pager).is_empty(), "{:?}", pages(&pager));
    until(&bridge, "that it is held is told", || {
        told(&pager) == ["trigger self:held-triggers"]
    })
    .await;
    let _zone = zone_on(port);
    until(&bridge, "it is told once it is proven", || {
        pager.open_alerts().contains(&"a:oncall".to_owned())
    })
    .await;
    assert!(!pages(&pager)[0].title.contains("UNVERIFIED"));
}
