//! What the store must do for silences.

use alertbridge::{
    silence::{Plan, Silence, SilenceId},
    store::{Horizon, Memory, Sweep},
};

use super::*;

both!(
    a_silence_counts_for_what_is_decided_while_it_is_active_whoever_added_it,
    a_silence_is_kept_as_it_was_asked_for,
    silences_are_expired_together_or_not_at_all,
    expired_silences_go_with_the_mails_of_their_time,
);

fn later(minutes: i64) -> Timestamp {
    noon() + SignedDuration::from_mins(minutes)
}

/// One that nothing in these tests needs to be covered by.
async fn silenced(store: &dyn Store, from: Timestamp, until: Timestamp) -> Silence {
    let matchers = ["app_key=\"com.example\"".to_owned(), "sli_gap>=20".to_owned()];
    let plan = Plan::new(&matchers, (from, until), "Ann O'Neill", "moves \u{1f6e0}\nto \"b\\c\"", noon()).unwrap();
    store.add_silence(plan, noon()).await.unwrap()
}

/// What a mail is decided by that comes then.
async fn active(store: &dyn Store, now: Timestamp) -> Vec<Silence> {
    let id = recorded(store).await;
    let (tell, told) = std::sync::mpsc::channel();
    let decide = Box::new(move |memory: &Memory| {
        tell.send(memory.silences.clone()).unwrap();
        Decision { state: None, applied: false, ..decision(Outcome::Stale, state(Phase::Firing, 1), vec![]) }
    });
    store.decide(id, Some(subject(&format!("i{id}"), "X")), now, decide).await.unwrap();
    told.recv().unwrap()
}

fn ids(silences: &[Silence]) -> Vec<SilenceId> {
    silences.iter().map(|silence| silence.id).collect()
}

async fn a_silence_counts_for_what_is_decided_while_it_is_active_whoever_added_it(home: Home) {
    let (serving, beside) = (home.open().await, home.open().await);
    let serving = serving.as_ref();
    assert_eq!(active(serving, noon()).await, []);
    let long = silenced(beside.as_ref(), noon(), later(60)).await;
    let short = silenced(beside.as_ref(), later(10), later(20)).await;
    assert_eq!(active(serving, noon()).await, std::slice::from_ref(&long));
    assert_eq!(ids(&active(serving, later(10)).await), [short.id, long.id], "the first to end first");
    assert_eq!(ids(&active(serving, later(20)).await), [long.id], "the end is no part of it");
    beside.expire_silences(vec![long.id], later(30)).await.unwrap();
    assert_eq!(active(serving, later(30)).await, []);
    assert_eq!(ids(&active(serving, later(29)).await), [long.id], "it was active until then");
}

async fn a_silence_is_kept_as_it_was_asked_for(home: Home) {
    let store = home.open().await;
    let made = silenced(store.as_ref(), later(1), later(2)).await;
    drop(store);
    let store = home.open().await;
    assert_eq!(store.silences(false, noon(), 10).await.unwrap(), std::slice::from_ref(&made));
    let wanted = Silence {
        id: made.id,
        matchers: vec!["app_key=\"com.example\"".into(), "sli_gap>=20".into()],
        starts_at: later(1),
        ends_at: later(2),
        author: "Ann O'Neill".into(),
        comment: "moves \u{1f6e0}\nto \"b\\c\"".into(),
        created_at: noon(),
    };
    assert_eq!(made, wanted);
    assert_eq!(active(store.as_ref(), later(1)).await, [wanted]);
}

async fn silences_are_expired_together_or_not_at_all(home: Home) {
    let store = home.open().await;
    let store = store.as_ref();
    let now = silenced(store, noon(), later(10)).await.id;
    let future = silenced(store, later(60), later(120)).await.id;
    let past = silenced(store, noon(), later(1)).await.id;
    let listed = async |expired| ids(&store.silences(expired, later(5), 10).await.unwrap());
    assert_eq!((listed(false).await, listed(true).await), (vec![now, future], vec![past]));
    for (asked, why) in [
        (vec![now, past], format!("silence {past} has ended already, at 2026-03-01T12:01:00Z")),
        (vec![now, 4711], "there is no silence 4711: `alertbridge silences list` names them".into()),
    ] {
        let refused = store.expire_silences(asked, later(5)).await.unwrap_err();
        assert!(matches!(&refused, StoreError::Refused(said) if *said == why), "{refused}");
    }
    assert_eq!(listed(false).await, [now, future], "none of them was expired");
    store.expire_silences(vec![future, now, now], later(5)).await.unwrap();
    assert_eq!((listed(false).await, listed(true).await), (vec![], vec![future, now, past]));
    assert_eq!(active(store, later(61)).await, [], "what was yet to begin never does");
    assert_eq!(store.silences(true, later(5), 1).await.unwrap().len(), 1);
}

async fn expired_silences_go_with_the_mails_of_their_time(home: Home) {
    let store = home.open().await;
    let store = store.as_ref();
    silenced(store, noon(), later(1)).await;
    let young = silenced(store, noon(), later(3)).await.id;
    let horizon = Horizon { mails: later(2), incidents: None };
    let mut from = Some(Sweep::START);
    while let Some(at) = from {
        from = store.prune(horizon, at, 10).await.unwrap().next;
    }
    assert_eq!(ids(&store.silences(true, later(9), 10).await.unwrap()), [young]);
    assert!(silenced(store, noon(), later(9)).await.id > young, "a number is never used twice");
}
