//! Whom the end of an incident is told to, and with what.

use super::*;

both!(
    who_was_told_of_an_older_opening_alone_hears_nothing_of_the_end_of_this_one,
    a_resolve_is_claimed_with_what_its_trigger_came_to,
    a_resolve_leased_with_its_decision_has_it_too,
    the_receipt_of_another_opening_or_another_receiver_is_nobody_elses,
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
