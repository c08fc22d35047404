//! Whom the end of an incident is told to, and with what.

use alertbridge::delivery::{Doubt, Refused};

use super::*;

both!(
    who_was_told_of_an_older_opening_alone_hears_nothing_of_the_end_of_this_one,
    a_resolve_is_claimed_with_what_its_trigger_came_to,
    a_resolve_leased_with_its_decision_has_it_too,
    the_receipt_of_another_opening_or_another_receiver_is_nobody_elses,
    every_page_of_an_opening_has_the_receipt_before_it_and_the_end_has_them_all,
    an_alert_is_doubtful_while_only_unproven_triggers_were_sent_since_its_end,
    a_dead_end_goes_before_the_trigger_of_the_next_opening,
    the_fallback_is_told_of_an_unproven_page_after_the_end_of_its_incident,
);

async fn who_was_told_of_an_older_opening_alone_hears_nothing_of_the_end_of_this_one(home: Home) {
    let store = home.open().await;
    let store = store.as_ref();
    opened(store, "a", vec![page("a", Action::Trigger, "one")]).await;
    assert_eq!(resolved(store, "a", noon()).await, ["one"]);
    for _ in 0..2 {
        let claimed = claim(store, "one", noon()).await;
        assert!(settle(store, &claimed[0], delivered(), noon()).await);
    }
    // It opens again while a mute holds what another receiver would hear.
    let held = NewDelivery {
        held_until: Some(noon() + MINUTE),
        ..page("a", Action::Trigger, "two")
    };
    let again = decision(Outcome::Reopened, state(Phase::Firing, 2), vec![held]);
    let id = recorded(store).await;
    store
        .decide(
            id,
            Some(subject("a", "ANOMALOUS")),
            noon(),
            Box::new(|_| again),
        )
        .await
        .unwrap()
        .unwrap();
    assert_eq!(resolved(store, "a", noon()).await, [""; 0]);
    assert!(
        store.agenda().await.unwrap().due.is_empty(),
        "nobody is owed anything"
    );
}

fn receipt(receipt: &str) -> Next {
    Next::Delivered {
        receipt: Some(receipt.into()),
    }
}

async fn a_resolve_is_claimed_with_what_its_trigger_came_to(home: Home) {
    let store = home.open().await;
    let store = store.as_ref();
    opened(store, "a", vec![page("a", Action::Trigger, "one")]).await;
    resolved(store, "a", noon()).await;
    let trigger = claim(store, "one", noon()).await;
    assert_eq!((trigger.len(), trigger[0].receipt.as_deref()), (1, None));
    assert!(settle(store, &trigger[0], receipt("C1/2.3"), noon()).await);
    let resolve = claim(store, "one", noon()).await;
    assert_eq!(resolve[0].receipt.as_deref(), Some("C1/2.3"));
    let again = Next::Again {
        step: Step::Send,
        at: noon(),
        failures: 1,
    };
    assert!(settle(store, &resolve[0], again, noon()).await);
    let resolve = claim(store, "one", noon()).await;
    assert_eq!(
        resolve[0].receipt.as_deref(),
        Some("C1/2.3"),
        "it is there at every attempt"
    );
}

async fn a_resolve_leased_with_its_decision_has_it_too(home: Home) {
    let store = home.open().await;
    let store = store.as_ref();
    opened(store, "a", vec![page("a", Action::Trigger, "one")]).await;
    let trigger = claim(store, "one", noon()).await;
    assert!(settle(store, &trigger[0], receipt("C1/2.3"), noon()).await);
    let leased = NewDelivery {
        leased_until: Some(noon() + MINUTE),
        ..page("a", Action::Resolve, "one")
    };
    let over = decision(Outcome::Resolved, state(Phase::Resolved, 1), vec![leased]);
    let id = recorded(store).await;
    let decided = store
        .decide(id, Some(subject("a", "OK")), noon(), Box::new(|_| over))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (decided.claims.len(), decided.claims[0].receipt.as_deref()),
        (1, Some("C1/2.3"))
    );
}

async fn the_receipt_of_another_opening_or_another_receiver_is_nobody_elses(home: Home) {
    let store = home.open().await;
    let store = store.as_ref();
    opened(
        store,
        "a",
        vec![
            page("a", Action::Trigger, "one"),
            page("a", Action::Trigger, "two"),
        ],
    )
    .await;
    for (receiver, next) in [
        ("one", receipt("C1/2.3")),
        ("two", Next::Delivered { receipt: None }),
    ] {
        let trigger = claim(store, receiver, noon()).await;
        assert!(settle(store, &trigger[0], next, noon()).await);
    }
    resolved(store, "a", noon()).await;
    let two = claim(store, "two", noon()).await;
    assert_eq!(two[0].receipt, None, "its own trigger had none");
    let one = claim(store, "one", noon()).await;
    assert!(settle(store, &one[0], delivered(), noon()).await);
    // It opens again, and its trigger is given up: what it was told before is not of this opening.
    let again = decision(
        Outcome::Reopened,
        state(Phase::Firing, 2),
        vec![page("a", Action::Trigger, "one")],
    );
    let id = recorded(store).await;
    store
        .decide(
            id,
            Some(subject("a", "ANOMALOUS")),
            noon(),
            Box::new(|_| again),
        )
        .await
        .unwrap()
        .unwrap();
    let trigger = claim(store, "one", noon()).await;
    assert!(settle(store, &trigger[0], dead(), noon()).await);
    let over = decision(
        Outcome::Resolved,
        state(Phase::Resolved, 2),
        vec![page("a", Action::Resolve, "one")],
    );
    let id = recorded(store).await;
    store
        .decide(id, Some(subject("a", "OK")), noon(), Box::new(|_| over))
        .await
        .unwrap()
        .unwrap();
    let resolve = claim(store, "one", noon()).await;
    assert_eq!((resolve.len(), resolve[0].receipt.as_deref()), (1, None));
}

/// Of every order of pages, whether a receiver names what it made each time, twice the same or not
/// at all; each is leased as it is owed or claimed later.
async fn every_page_of_an_opening_has_the_receipt_before_it_and_the_end_has_them_all(home: Home) {
    let store = home.open().await;
    let store = store.as_ref();
    let choices = [None, Some("r1"), Some("r2")];
    for number in 0..27_usize {
        let incident = format!("i{number}");
        let told = [number % 3, number / 3 % 3, number / 9].map(|choice| choices[choice]);
        let mut known: Vec<&str> = Vec::new();
        for (place, said) in told.into_iter().enumerate() {
            let action = if (number + place) % 2 == 0 || place == 0 {
                Action::Trigger
            } else {
                Action::Change
            };
            let page = owed(store, &incident, action, number % 2 == 0).await;
            assert_eq!(page.receipt.as_deref(), known.first().copied(), "{told:?}");
            let next = Next::Delivered {
                receipt: said.map(ToOwned::to_owned),
            };
            assert!(settle(store, &page, next, noon()).await);
            if let Some(said) = said {
                known.retain(|one| *one != said);
                known.insert(0, said);
            }
        }

        let end = owed(store, &incident, Action::Resolve, number % 2 == 1).await;
        assert_eq!(end.receipt.as_deref(), known.first().copied(), "{told:?}");
        assert_eq!(store.receipts(end.id).await.unwrap(), known, "{told:?}");
        let step = Step::Ends {
            left: vec!["r1".into()],
            refused: vec![Refused {
                receipt: "r2".into(),
                why: "why".into(),
            }],
        };
        let again = Next::Again {
            step: step.clone(),
            at: noon(),
            failures: 0,
        };
        assert!(settle(store, &end, again, noon()).await);
        let end = claim(store, "one", noon()).await.remove(0);
        assert_eq!(end.step, step);
        assert!(settle(store, &end, delivered(), noon()).await);
    }
}

/// The claim of a page that is decided now.
async fn owed(store: &dyn Store, incident: &str, action: Action, at_once: bool) -> Claim {
    let page = NewDelivery {
        leased_until: at_once.then(|| noon() + MINUTE),
        ..page(incident, action, "one")
    };
    let (outcome, phase) = if action == Action::Resolve {
        (Outcome::Resolved, Phase::Resolved)
    } else {
        (Outcome::Updated, Phase::Firing)
    };
    let decision = decision(outcome, state(phase, 1), vec![page]);
    let id = recorded(store).await;
    let decided = store
        .decide(
            id,
            Some(subject(incident, "S")),
            noon(),
            Box::new(|_| decision),
        )
        .await
        .unwrap()
        .unwrap();
    match decided.claims.into_iter().next() {
        Some(claim) => claim,
        None => claim(store, "one", noon()).await.remove(0),
    }
}

async fn an_alert_is_doubtful_while_only_unproven_triggers_were_sent_since_its_end(home: Home) {
    let store = home.open().await;
    let store = store.as_ref();
    // A mail may say what a page says at its end, and may contain a NUL.
    let said = serde_json::json!({ "x": "\u{0}\\\"doubt\":\"unverified\"}" });
    let sent = |action, doubt, stays| {
        let mut sent = page("a", action, "one");
        sent.notification.incident = said.clone();
        sent.notification.doubt = doubt;
        sent.notification.stays = stays;
        sent
    };
    opened(store, "a", vec![sent(Action::Trigger, None, false)]).await;

    let (unverified, unchecked) = (Some(Doubt::Unverified), Some(Doubt::Unchecked));
    for (action, doubt, stays, doubtful) in [
        (Action::Trigger, unverified, false, false),
        (Action::Resolve, None, false, false),
        (Action::Trigger, unchecked, false, true),
        (Action::Change, None, false, true),
        (Action::Trigger, unverified, true, true),
        (Action::Resolve, None, false, false),
        (Action::Trigger, unchecked, true, true),
        (Action::Trigger, None, false, false),
    ] {
        let deliveries = vec![sent(action, doubt, stays)];
        let owed = decision(Outcome::Updated, state(Phase::Firing, 1), deliveries);
        let id = recorded(store).await;
        let status = Some(subject("a", "ANOMALOUS"));
        let decided = store.decide(id, status, noon(), Box::new(|_| owed)).await;
        decided.unwrap().unwrap();

        let (said, heard) = std::sync::mpsc::channel();
        let look = Box::new(move |memory: &alertbridge::store::Memory| {
            said.send(memory.told[0].doubtful).unwrap();
            Decision::nothing(Outcome::Duplicate, "r", Labels::new())
        });
        let id = recorded(store).await;
        let status = Some(subject("a", "ANOMALOUS"));
        store.decide(id, status, noon(), look).await.unwrap();
        assert_eq!(
            heard.recv().unwrap(),
            doubtful,
            "{action:?} {doubt:?} {stays}"
        );
    }
}

async fn a_dead_end_goes_before_the_trigger_of_the_next_opening(home: Home) {
    let store = home.open().await;
    let store = store.as_ref();
    opened(store, "a", vec![page("a", Action::Trigger, "one")]).await;
    resolved(store, "a", noon()).await;
    for next in [delivered(), dead()] {
        let claimed = claim(store, "one", noon()).await;
        assert!(settle(store, &claimed[0], next, noon()).await);
    }

    let deliveries = vec![
        page("a", Action::Trigger, "one"),
        page("a", Action::Trigger, "two"),
    ];
    let again = decision(Outcome::Reopened, state(Phase::Firing, 2), deliveries);
    let id = recorded(store).await;
    let status = Some(subject("a", "ANOMALOUS"));
    let decided = store.decide(id, status, noon(), Box::new(|_| again)).await;
    decided.unwrap().unwrap();
    assert_eq!(claim(store, "two", noon()).await.len(), 1);
    for (action, next) in [(Action::Resolve, dead()), (Action::Trigger, delivered())] {
        let claimed = claim(store, "one", noon()).await;
        assert_eq!((claimed.len(), claimed[0].notification.action), (1, action));
        assert!(settle(store, &claimed[0], next, noon()).await);
    }
    assert!(claim(store, "one", noon()).await.is_empty());
}

async fn the_fallback_is_told_of_an_unproven_page_after_the_end_of_its_incident(home: Home) {
    let store = home.open().await;
    let store = store.as_ref();
    // By the incident, the doubt about its next page, and whether that page ends too.
    for (incident, doubt, ends, told) in [
        ("a", Some(Doubt::Unchecked), false, true),
        ("b", Some(Doubt::Unverified), true, false),
        ("c", None, false, false),
    ] {
        opened(
            store,
            incident,
            vec![page(incident, Action::Trigger, "one")],
        )
        .await;
        resolved(store, incident, noon()).await;

        let mut again = page(incident, Action::Trigger, "one");
        again.notification.doubt = doubt;
        again.fallback_at = Some(noon() + MINUTE);
        // What proves less than the state is told, and leaves the state as it is.
        let unkept = Decision {
            state: None,
            ..decision(Outcome::Reopened, state(Phase::Firing, 1), vec![again])
        };
        let id = recorded(store).await;
        let status = Some(subject(incident, "ANOMALOUS"));
        let decided = store.decide(id, status, noon(), Box::new(|_| unkept)).await;
        decided.unwrap().unwrap();
        if ends {
            resolved(store, incident, noon()).await;
        }

        let name = incident.to_owned();
        let make: alertbridge::store::Fallback =
            Arc::new(move |_, _| vec![page(&name, Action::Trigger, "backup")]);
        let escalated = store.escalate(noon() + MINUTE, make).await.unwrap();
        assert_eq!(!escalated.is_empty(), told, "{incident}");
        let backup = claim(store, "backup", noon() + MINUTE).await;
        assert_eq!(!backup.is_empty(), told, "{incident}");
    }
}
