//! Whom the end of an incident is told to.

use super::*;

both!(who_was_told_of_an_older_opening_alone_hears_nothing_of_the_end_of_this_one);

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
    let held = NewDelivery { held_until: Some(noon() + MINUTE), ..page("a", Action::Trigger, "two") };
    let again = decision(Outcome::Reopened, state(Phase::Firing, 2), vec![held]);
    let id = recorded(store).await;
    store.decide(id, Some(subject("a", "ANOMALOUS")), noon(), Box::new(|_| again)).await.unwrap().unwrap();
    assert_eq!(resolved(store, "a", noon()).await, [""; 0]);
    assert!(store.agenda().await.unwrap().due.is_empty(), "nobody is owed anything");
}
