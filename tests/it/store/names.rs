//! The names of integrations, as the store keeps them.

use alertbridge::{
    delivery::naming::{Entry, Fingerprint, former},
    store::Outstanding,
};
use futures_util::future::join_all;

use super::*;

both!(
    names_outlive_a_restart_and_follow_their_destinations,
    of_many_that_name_at_once_all_agree,
    what_hangs_on_a_name_is_counted,
    what_is_open_of_each_profile_is_counted,
    a_fallback_that_was_told_under_a_former_name_is_not_told_again,
    what_comes_under_a_new_name_waits_for_what_is_owed_under_a_former_one,
    what_a_mute_holds_under_a_former_name_is_told_by_what_comes_under_a_new_one,
);

fn entries(receiver: &str, whole: &[&str]) -> Vec<Entry> {
    let entry = |(place, whole): (u32, &&str)| Entry {
        receiver: receiver.into(),
        kind: "webhook".into(),
        place,
        fingerprint: Fingerprint {
            whole: (*whole).into(),
            site: (*whole).into(),
            address: "a".into(),
        },
    };
    (0..).zip(whole).map(entry).collect()
}

/// The names of the entries, in order.
async fn names(store: &dyn Store, receiver: &str, whole: &[&str]) -> Vec<String> {
    let mut names = store.name(entries(receiver, whole)).await.unwrap();
    names.retain(|name| name.place.is_some());
    names.sort_by_key(|name| name.place);
    let names = names.into_iter().map(|name| name.target.integration);
    names.collect()
}

async fn names_outlive_a_restart_and_follow_their_destinations(home: Home) {
    let first = names(home.open().await.as_ref(), "ops", &["x", "y"]).await;
    assert_eq!(first, ["webhook/0", "webhook/1"]);
    let second = names(home.open().await.as_ref(), "ops", &["z", "y", "x"]).await;
    assert_eq!(second, ["webhook/2", "webhook/1", "webhook/0"]);
    let store = home.open().await;
    let names = store.name(entries("sre", &["y", "x"])).await.unwrap();
    let of = |receiver: &str, number: u32| Target {
        receiver: receiver.into(),
        integration: format!("webhook/{number}"),
    };
    let expected = [(of("ops", 0), of("sre", 1)), (of("ops", 1), of("sre", 0))];
    assert_eq!(former(&names), expected.into());
    drop(store);
    let again = home.open().await;
    assert_eq!(again.names().await.unwrap(), names, "they are remembered");
    let again = again.name(entries("sre", &["y", "x"])).await;
    assert_eq!(former(&again.unwrap()), former(&names), "it is remembered");
}

async fn of_many_that_name_at_once_all_agree(home: Home) {
    let store = home.open().await;
    for whole in [["x", "y", "z"], ["z", "w", "x"]] {
        let named = (0..8).map(|_| names(store.as_ref(), "ops", &whole));
        let named = join_all(named).await;
        assert!(named.iter().all(|one| *one == named[0]), "{named:?}");
    }
    let last = names(store.as_ref(), "ops", &["w", "x", "y", "z"]).await;
    assert_eq!(last, ["webhook/3", "webhook/0", "webhook/1", "webhook/2"]);
}

async fn what_hangs_on_a_name_is_counted(home: Home) {
    let store = home.open().await;
    let store = store.as_ref();
    for incident in ["a", "b", "c"] {
        let pages = ["one", "two"].map(|to| page(incident, Action::Trigger, to));
        opened(store, incident, pages.into()).await;
    }
    for claimed in claim(store, "one", noon()).await {
        assert!(settle(store, &claimed, delivered(), noon()).await);
    }
    // It is over, and owed the end.
    resolved(store, "c", noon()).await;
    let outstanding = |receiver, owed, told| Outstanding {
        target: target(receiver),
        owed,
        told,
    };
    assert_eq!(
        store.outstanding().await.unwrap(),
        [outstanding("one", 1, 2), outstanding("two", 4, 0)]
    );
}

async fn a_fallback_that_was_told_under_a_former_name_is_not_told_again(home: Home) {
    let store = home.open().await;
    let store = store.as_ref();
    let late = |receiver| NewDelivery {
        fallback_at: Some(noon()),
        ..page("a", Action::Trigger, receiver)
    };
    opened(
        store,
        "a",
        vec![
            late("one"),
            late("two"),
            page("a", Action::Trigger, "first"),
        ],
    )
    .await;
    // Twice renamed.
    for receiver in ["first", "second", "third"] {
        names(store, receiver, &["x"]).await;
    }
    let told = store.deliveries(None, 10).await.unwrap().len();
    let make: alertbridge::store::Fallback =
        Arc::new(|_, _| vec![page("a", Action::Trigger, "third")]);
    assert_eq!(store.escalate(noon(), make).await.unwrap().len(), 2);
    assert_eq!(store.deliveries(None, 10).await.unwrap().len(), told);
}

async fn what_comes_under_a_new_name_waits_for_what_is_owed_under_a_former_one(home: Home) {
    let store = home.open().await;
    let store = store.as_ref();
    opened(store, "a", vec![page("a", Action::Trigger, "first")]).await;
    for receiver in ["first", "second", "third"] {
        names(store, receiver, &["x"]).await;
    }

    // It begins and ends under the former name, and begins again twice renamed.
    resolved(store, "a", noon()).await;
    opened(
        store,
        "a",
        vec![
            page("a", Action::Trigger, "third"),
            page("a", Action::Trigger, "other"),
        ],
    )
    .await;
    assert_eq!(claim(store, "third", noon()).await.len(), 0);
    assert_eq!(claim(store, "other", noon()).await.len(), 1);

    let drained = async || {
        let mut order = Vec::new();
        loop {
            let claims = claim(store, "first", noon()).await;
            assert!(claims.len() < 2, "one at a time");
            let Some(claimed) = claims.first() else {
                return order;
            };
            order.push(claimed.notification.action);
            assert!(settle(store, claimed, delivered(), noon()).await);
        }
    };
    assert_eq!(
        drained().await,
        [Action::Trigger, Action::Resolve, Action::Trigger]
    );

    // Nothing waits any more.
    resolved(store, "a", noon()).await;
    drained().await;
    opened(store, "a", vec![page("a", Action::Trigger, "third")]).await;
    assert_eq!(claim(store, "third", noon()).await.len(), 1);
}

async fn what_a_mute_holds_under_a_former_name_is_told_by_what_comes_under_a_new_one(home: Home) {
    let store = home.open().await;
    let store = store.as_ref();
    let held = NewDelivery {
        held_until: Some(noon() + SignedDuration::from_mins(60)),
        ..page("a", Action::Trigger, "first")
    };
    opened(store, "a", vec![held]).await;
    for receiver in ["first", "second"] {
        names(store, receiver, &["x"]).await;
    }
    opened(store, "a", vec![page("a", Action::Trigger, "second")]).await;

    let states: Vec<_> = store.deliveries(None, 10).await.unwrap();
    let discarded = states
        .iter()
        .filter(|row| row.state == DeliveryState::Discarded);
    assert_eq!(discarded.count(), 1, "{states:?}");
    let due = store.agenda().await.unwrap().due;
    assert_eq!(due.len(), 1, "{due:?}");
}

async fn what_is_open_of_each_profile_is_counted(home: Home) {
    let store = home.open().await;
    let store = store.as_ref();
    for (incident, profile) in [
        ("a", None),
        ("b", Some("p")),
        ("c", Some("p")),
        ("d", Some("q")),
    ] {
        let id = recorded(store).await;
        let opens = Decision {
            profile: profile.map(Into::into),
            ..decision(Outcome::Opened, state(Phase::Firing, 1), Vec::new())
        };
        let decided = store.decide(
            id,
            Some(subject(incident, "X")),
            noon(),
            Box::new(move |_| opens),
        );
        decided.await.unwrap().unwrap();
    }
    resolved(store, "d", noon()).await;
    assert_eq!(
        store.open_by_profile().await.unwrap(),
        [("p".to_owned(), 2)]
    );
}
