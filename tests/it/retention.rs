//! Retention: what is over and old goes, in small steps, and nothing that is still needed.

use std::sync::Arc;

use alertbridge::{
    delivery::Action,
    incident::Phase,
    message::{Authenticity, Outcome},
    store::{Decision, Horizon, Store, StoreError, Subject, Sweep, sqlite::Sqlite},
};
use jiff::{SignedDuration, Timestamp};

use crate::store::{
    Home, MINUTE, both, claim, dead, decision, delivered, mail, noon, opened, page, recorded,
    resolved, settle, standing::announced, state, subject,
};

both!(
    what_is_over_goes_as_a_whole_and_nothing_that_is_needed_goes,
    an_incident_is_remembered_while_a_late_copy_could_page,
    what_the_bridge_told_of_itself_goes_once_it_is_over,
);

/// Everything older than `before` may go.
fn horizon(before: Timestamp) -> Horizon {
    Horizon {
        mails: before,
        incidents: Some(before),
    }
}

/// Whole sweeps until one finds nothing; how many steps of them deleted something.
async fn swept(store: &dyn Store, horizon: Horizon, limit: u32) -> usize {
    let mut steps = 0;
    loop {
        let mut deleted = 0;
        let mut from = Some(Sweep::START);
        while let Some(at) = from {
            let step = store.prune(horizon, at, limit).await.unwrap();
            assert!(step.deleted <= limit as usize, "{step:?}");
            assert!(
                step.deleted > 0 || step.next != from || at == Sweep::Space,
                "it moves on: {step:?}"
            );
            deleted += step.deleted;
            steps += usize::from(step.deleted > 0);
            from = step.next;
        }
        if deleted == 0 {
            return steps;
        }
    }
}

/// An incident that was told and is over.
async fn told(store: &dyn Store, incident: &str) {
    opened(
        store,
        incident,
        vec![page(incident, Action::Trigger, incident)],
    )
    .await;
    resolved(store, incident, noon()).await;
    for _ in 0..2 {
        let claimed = claim(store, incident, noon()).await;
        assert!(settle(store, &claimed[0], delivered(), noon()).await);
    }
}

async fn left(store: &dyn Store) -> Vec<String> {
    let mails = store.mails(None, 1000).await.unwrap();
    let mut left: Vec<_> = mails
        .into_iter()
        .map(|mail| mail.incident_id.unwrap_or_else(|| mail.outcome.to_string()))
        .collect();
    left.sort();
    left
}

async fn what_is_over_goes_as_a_whole_and_nothing_that_is_needed_goes(home: Home) {
    let store = home.open().await;
    let store = store.as_ref();
    told(store, "over").await;
    opened(store, "open", vec![]).await;
    opened(store, "owed", vec![page("owed", Action::Trigger, "one")]).await;
    resolved(store, "owed", noon()).await;
    opened(
        store,
        "given-up",
        vec![page("given-up", Action::Trigger, "two")],
    )
    .await;
    let claimed = claim(store, "two", noon()).await;
    settle(store, &claimed[0], dead(), noon()).await;
    store.timeline("over").await.unwrap().unwrap();
    recorded(store).await;
    let quarantined = recorded(store).await;
    let held = Decision {
        state: None,
        applied: false,
        ..decision(Outcome::Quarantined, state(Phase::Firing, 1), vec![])
    };
    store
        .decide(quarantined, None, noon(), Box::new(|_| held))
        .await
        .unwrap();

    assert_eq!(swept(store, horizon(noon()), 3).await, 0, "not old enough");
    assert!(
        swept(store, horizon(noon() + MINUTE), 1).await > 4,
        "in steps"
    );
    assert_eq!(
        left(store).await,
        ["given-up", "open", "owed", "owed", "pending", "quarantined"]
    );
    assert_eq!(store.timeline("over").await.unwrap(), None);
    assert_eq!(store.deliveries(None, 100).await.unwrap().len(), 3);
    let incidents: Vec<_> = store.incidents(false, 10).await.unwrap();
    assert_eq!(incidents.len(), 3);
    store.discard_mail(quarantined, noon()).await.unwrap();
    assert!(matches!(
        store.discard_mail(quarantined, noon()).await,
        Err(StoreError::Refused(_))
    ));
    swept(store, horizon(noon() + MINUTE), 100).await;
    assert_eq!(
        left(store).await.last().unwrap(),
        "pending",
        "what a person discarded goes"
    );
}

async fn an_incident_is_remembered_while_a_late_copy_could_page(home: Home) {
    let store = home.open().await;
    let store = store.as_ref();
    told(store, "over").await;
    let remembered = Horizon {
        mails: noon() + MINUTE,
        incidents: None,
    };
    assert!(swept(store, remembered, 100).await > 0);
    assert!(
        store.mails(None, 10).await.unwrap().is_empty()
            && store.deliveries(None, 10).await.unwrap().is_empty()
    );
    let memory = known(store, "over").await;
    assert!(memory.known.applied_before, "the copy is a duplicate");
    assert_eq!(
        (memory.known.state.unwrap().phase, memory.recurrence_28d),
        (Phase::Resolved, 1)
    );
    // That mail was the last thing that held it.
    swept(store, horizon(noon() + MINUTE), 100).await;
    let memory = known(store, "over").await;
    assert!(memory.known.state.is_none(), "{memory:?}");
    assert_eq!(
        memory.recurrence_28d, 1,
        "what is counted is not the incident's"
    );
    swept(
        store,
        horizon(noon() + SignedDuration::from_hours(29 * 24)),
        100,
    )
    .await;
    assert_eq!(known(store, "over").await.recurrence_28d, 0);
}

async fn what_the_bridge_told_of_itself_goes_once_it_is_over(home: Home) {
    let store = home.open().await;
    let store = store.as_ref();
    for (incident, ends) in [("self:over", true), ("self:on", false)] {
        announced(
            store,
            incident,
            Phase::Firing,
            vec![page(incident, Action::Trigger, incident)],
        )
        .await;
        let claimed = claim(store, incident, noon()).await;
        assert!(settle(store, &claimed[0], delivered(), noon()).await);
        if ends {
            announced(store, incident, Phase::Resolved, vec![]).await;
        }
    }
    // However long incidents of mails are remembered.
    swept(
        store,
        Horizon {
            mails: noon() + MINUTE,
            incidents: None,
        },
        100,
    )
    .await;
    let left: Vec<_> = store
        .incidents(false, 10)
        .await
        .unwrap()
        .into_iter()
        .map(|left| left.incident_id)
        .collect();
    assert_eq!(left, ["self:on"]);
}

/// What the store knows when a copy of the incident's trigger comes.
async fn known(store: &dyn Store, incident: &str) -> alertbridge::store::Memory {
    let id = recorded(store).await;
    let (tell, told) = std::sync::mpsc::channel();
    let decide = Box::new(move |memory: &alertbridge::store::Memory| {
        tell.send(memory.clone()).unwrap();
        Decision {
            state: None,
            applied: false,
            ..decision(Outcome::Duplicate, state(Phase::Firing, 1), vec![])
        }
    });
    let subject: Subject = subject(incident, "ANOMALOUS");
    store
        .decide(id, Some(subject), noon(), decide)
        .await
        .unwrap();
    told.recv().unwrap()
}

#[tokio::test]
async fn the_disk_is_given_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let store: Arc<dyn Store> = Arc::new(Sqlite::open(&path).unwrap());
    let pages = || -> i64 {
        rusqlite::Connection::open(&path)
            .unwrap()
            .query_row("PRAGMA page_count", [], |row| row.get(0))
            .unwrap()
    };
    let mut rng = fastrand::Rng::with_seed(7);
    for _ in 0..24 {
        // Letters at random: zstd makes little of them.
        let raw: String = std::iter::repeat_with(|| rng.alphanumeric())
            .take(1 << 20)
            .collect();
        let id = store
            .record(vec![(mail(&raw), Authenticity::off())], None)
            .await
            .unwrap()[0];
        let ignored = Decision {
            state: None,
            applied: false,
            ..decision(Outcome::Ignored, state(Phase::Firing, 1), vec![])
        };
        store
            .decide(id, None, noon(), Box::new(|_| ignored))
            .await
            .unwrap();
    }
    let full = pages();
    assert!(full > 4096, "{full} pages");
    swept(store.as_ref(), horizon(noon() + MINUTE), 200).await;
    let after = pages();
    assert!(after <= 4096 + 256, "{full} pages before, {after} after");
}
