//! What every store must do. The suite knows nothing of the databases but how to open them; what is
//! one's own comes last.

use std::{path::Path, sync::Arc, time::Duration};

use alertbridge::{
    canary::Stage,
    delivery::{Action, DeliveryState, Notification, Step, Target},
    incident::{ATLASSIAN_SLI, Phase, Series, State, Values},
    label::Labels,
    message::{Authenticity, Bookmark, MailId, Message, Outcome, Wanted},
    store::{
        Attempt, Claim, Decision, Item, Kind, Mutes, NewDelivery, Next, Settled, Settlement,
        Silencing, Store, StoreError, Subject, sqlite::Sqlite,
    },
};
use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use tempfile::TempDir;

use crate::postgres::Database;

pub const MINUTE: SignedDuration = SignedDuration::from_mins(1);
const LEASE: Duration = Duration::from_mins(1);

pub fn noon() -> Timestamp {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

/// Where a store is, and can be opened again and again.
pub enum Home {
    Folder(TempDir),
    Database(Database),
}

impl Home {
    pub fn folder() -> Self {
        Self::Folder(tempfile::tempdir().unwrap())
    }

    pub async fn open(&self) -> Arc<dyn Store> {
        match self {
            Self::Folder(folder) => {
                Arc::new(Sqlite::open(&folder.path().join("store.db")).unwrap())
            }
            // Whoever opens it takes what others left undecided without waiting.
            Self::Database(database) => Arc::new(database.open().await.with_hold(Duration::ZERO)),
        }
    }
}

pub fn mail(raw: &str) -> Message {
    Message {
        ingress: "mail".into(),
        arrived_at: noon(),
        raw: raw.to_owned().into(),
        cut_from: None,
        withheld: None,
        envelope: None,
    }
}

pub async fn recorded(store: &dyn Store) -> MailId {
    store
        .record(
            vec![(mail("Subject: x\r\n\r\nbody"), Authenticity::off())],
            None,
        )
        .await
        .unwrap()[0]
}

pub fn subject(incident_id: &str, status: &str) -> Subject {
    Subject {
        kind: Kind::Incident,
        incident_id: incident_id.into(),
        status: status.into(),
        time: Some(noon()),
        profile: ATLASSIAN_SLI.into(),
        series: Series {
            of: "com.example".into(),
            what: "m".into(),
        },
        ingress: "mail".into(),
        verified: true,
    }
}

pub fn state(phase: Phase, episode: i64) -> State {
    State {
        phase,
        status: "S".into(),
        newest: Some(noon()),
        verified: true,
        untold: false,
        episode,
        told: Values::new(),
    }
}

pub fn target(receiver: &str) -> Target {
    Target {
        receiver: receiver.into(),
        integration: "webhook/0".into(),
    }
}

pub fn page(incident_id: &str, action: Action, receiver: &str) -> NewDelivery {
    NewDelivery {
        target: target(receiver),
        alias: format!("{incident_id}:{receiver}"),
        notification: Notification {
            action,
            incident_id: incident_id.into(),
            labels: Labels::new(),
            incident: json!({"n": 1}),
            arrived_at: noon(),
            time: None,
            reason: None,
            mail: None,
            doubt: None,
            was: None,
            stays: false,
        },
        held_until: None,
        fallback_at: None,
        leased_until: None,
    }
}

pub fn decision(outcome: Outcome, state: State, deliveries: Vec<NewDelivery>) -> Decision {
    Decision {
        profile: None,
        outcome,
        reason: None,
        labels: Labels::new(),
        state: Some(state),
        applied: true,
        deliveries,
        receivers: vec![],
        check_at: None,
        hold: None,
        marked: false,
        late: None,
        claims: Vec::new(),
        supersedes: false,
        silencing: Silencing::AsItIs,
        heard_at: None,
        arrival: None,
    }
}

/// Opens an incident with these deliveries; returns those that are leased with it.
pub async fn opened(
    store: &dyn Store,
    incident_id: &str,
    deliveries: Vec<NewDelivery>,
) -> Vec<Claim> {
    let id = recorded(store).await;
    let mut decision = decision(Outcome::Opened, state(Phase::Firing, 1), deliveries);
    for delivery in &mut decision.deliveries {
        delivery.notification.mail = Some(id);
    }
    let decided = store
        .decide(
            id,
            Some(subject(incident_id, "ANOMALOUS")),
            noon(),
            Box::new(|_| decision),
        )
        .await;
    decided.unwrap().unwrap().claims
}

/// Resolves it, telling those the store says were told; returns them.
pub async fn resolved(store: &dyn Store, incident_id: &str, now: Timestamp) -> Vec<String> {
    let id = recorded(store).await;
    let name = incident_id.to_owned();
    let decide = Box::new(move |memory: &alertbridge::store::Memory| {
        let deliveries = memory
            .told
            .iter()
            .map(|told| page(&name, Action::Resolve, &told.target.receiver))
            .collect();
        Decision {
            receivers: memory
                .told
                .iter()
                .map(|told| told.target.receiver.clone())
                .collect(),
            ..decision(Outcome::Resolved, state(Phase::Resolved, 1), deliveries)
        }
    });
    store
        .decide(id, Some(subject(incident_id, "OK")), now, decide)
        .await
        .unwrap()
        .unwrap()
        .receivers
}

pub async fn claim(store: &dyn Store, receiver: &str, now: Timestamp) -> Vec<Claim> {
    store
        .claim(now, LEASE, vec![(target(receiver), 100)])
        .await
        .unwrap()
}

pub async fn settle(store: &dyn Store, claim: &Claim, next: Next, now: Timestamp) -> bool {
    let attempt = Attempt {
        at: now,
        took_ms: 3,
        result: "r".into(),
        detail: "d".into(),
    };
    let settlement = Settlement {
        at: now,
        next,
        attempt: Some(attempt),
        fallback: vec![],
    };
    store
        .settle(claim.id, claim.lease, settlement)
        .await
        .unwrap()
        != Settled::Lost
}

pub fn delivered() -> Next {
    Next::Delivered {
        receipt: Some("r-1".into()),
    }
}

pub fn dead() -> Next {
    Next::Dead {
        reason: "no".into(),
        retry: Step::Send,
    }
}

macro_rules! both {
    ($($test:ident),* $(,)?) => {
        mod in_a_file {
            $(
                #[tokio::test]
                async fn $test() {
                    super::$test(crate::store::Home::folder()).await;
                }
            )*
        }
        mod in_postgres {
            $(
                #[tokio::test]
                async fn $test() {
                    let database = crate::postgres::Database::create().await;
                    super::$test(crate::store::Home::Database(database)).await;
                }
            )*
        }
    };
}

pub(crate) use both;

both!(
    mail_survives_a_restart_to_the_last_byte,
    a_bookmark_moves_with_or_without_mail,
    what_a_mailbox_has_not_given_is_remembered_until_it_has,
    a_mail_is_decided_once,
    of_many_that_would_send_a_canary_one_does,
    a_canary_counts_once_and_in_its_time,
    what_was_applied_is_known_afterwards,
    a_decision_that_panics_harms_no_other_and_leaves_its_mail_undecided,
    deliveries_of_an_incident_to_a_receiver_go_one_after_the_other,
    mail_is_read_back_in_no_more_bytes_than_memory_bears,
    what_is_leased_with_its_decision_is_sent_by_one,
    a_lease_of_a_decision_ends_as_any_other,
    a_claim_takes_no_more_than_is_wanted,
    a_dead_workers_lease_ends_and_its_late_settlement_writes_nothing,
    a_held_trigger_is_sent_when_its_window_ends_and_to_nobody_when_it_is_over_before,
    a_held_trigger_whose_window_has_ended_is_sent_then_resolved,
    a_permanent_failure_tells_the_fallback_once,
    a_late_delivery_tells_the_fallback_once_and_goes_on,
    the_fallback_sleeps_on_where_the_incident_is_over,
    dead_letters_are_sent_again_in_order,
    a_retry_keeps_a_deliverys_age_and_begins_its_patience_anew,
    a_dead_trigger_goes_before_the_resolve_that_waits,
    a_retry_that_would_open_an_alert_nobody_closes_is_refused,
    discarding_the_head_of_a_lane_gives_the_next_its_turn,
    a_resolve_of_an_older_opening_is_not_sent_again_over_a_newer_alert,
    a_dead_trigger_is_not_put_before_a_resolve_that_is_under_way,
    what_no_mute_holds_does_not_wait_behind_what_one_does,
    a_fallback_two_integrations_share_is_told_once,
    a_clock_set_back_stalls_no_delivery,
    the_agenda_names_every_target_and_its_next_time,
    a_lease_that_has_ended_does_not_keep_a_person_from_discarding,
    a_timeline_tells_the_whole_story_in_order,
    a_thousand_mails_at_once_all_get_a_number_of_their_own,
);

async fn mail_survives_a_restart_to_the_last_byte(home: Home) {
    let store = home.open().await;
    let raw: String = (0..5000).map(|n| format!("line {n} é\r\n")).collect();
    let bookmark = Bookmark::at("m", 7, 9);
    let ids = store
        .record(
            vec![
                (mail(&raw), Authenticity::off()),
                (mail("b"), Authenticity::off()),
            ],
            Some(bookmark.clone()),
        )
        .await
        .unwrap();
    drop(store);
    let store = home.open().await;
    let undecided = store.undecided(0, 10).await.unwrap();
    assert_eq!(
        undecided.iter().map(|mail| mail.id).collect::<Vec<_>>(),
        ids
    );
    assert_eq!(undecided[0].message.raw, raw);
    assert_eq!(undecided[0].message.arrived_at, noon());
    assert_eq!(store.bookmark("m").await.unwrap(), Some(bookmark));
    assert_eq!(store.bookmark("other").await.unwrap(), None);
}

async fn what_a_mailbox_has_not_given_is_remembered_until_it_has(home: Home) {
    let store = home.open().await;
    let wanted = |uid, told| Wanted {
        uid,
        since: noon(),
        told,
    };
    let known = async || store.bookmark("m").await.unwrap().unwrap().wanted;
    let at = |uid_validity, last_uid| Bookmark::at("m", uid_validity, last_uid);
    let withheld = Message {
        withheld: Some("the server said no".into()),
        ..mail("")
    };
    let both = vec![wanted(3, false), wanted(5, false)];
    store
        .record(
            vec![(withheld, Authenticity::off())],
            Some(Bookmark {
                wanted: both.clone(),
                ..at(1, 9)
            }),
        )
        .await
        .unwrap();
    assert_eq!(known().await, both);
    assert_eq!(
        store.undecided(0, 9).await.unwrap()[0]
            .message
            .withheld
            .as_deref(),
        Some("the server said no")
    );

    store
        .record(
            vec![],
            Some(Bookmark {
                wanted: vec![wanted(5, true)],
                ..at(1, 9)
            }),
        )
        .await
        .unwrap();
    store
        .record(
            vec![],
            Some(Bookmark {
                wanted: vec![wanted(5, false)],
                ..at(1, 9)
            }),
        )
        .await
        .unwrap();
    assert_eq!(
        known().await,
        [wanted(3, false), wanted(5, true)],
        "what was told stays so"
    );
    store
        .record(vec![], Some(Bookmark::at("other", 1, 9)))
        .await
        .unwrap();
    store
        .record(
            vec![],
            Some(Bookmark {
                given: vec![3],
                ..at(1, 9)
            }),
        )
        .await
        .unwrap();
    assert_eq!(known().await, [wanted(5, true)]);

    // Where a mailbox was begun stays, however it is numbered and whoever says otherwise.
    let start = |seconds| Some(Timestamp::from_second(seconds).unwrap());
    for (uid_validity, starts_at) in [(1, start(7)), (1, None), (1, start(9))] {
        let bookmark = Bookmark {
            starts_at,
            ..at(uid_validity, 9)
        };
        store.record(vec![], Some(bookmark)).await.unwrap();
        let known = store.bookmark("m").await.unwrap().unwrap();
        assert_eq!(known.starts_at, start(7));
    }

    let rewound = Bookmark {
        rewound: true,
        wanted: vec![wanted(2, false)],
        ..at(1, 4)
    };
    store.record(vec![], Some(rewound)).await.unwrap();
    let bookmark = store.bookmark("m").await.unwrap().unwrap();
    assert_eq!(
        (bookmark.last_uid, bookmark.wanted),
        (4, vec![wanted(2, false)])
    );
    store.record(vec![], Some(at(2, 1))).await.unwrap();
    assert_eq!(known().await, [], "the mailbox is numbered anew");
    let bookmark = store.bookmark("m").await.unwrap().unwrap();
    assert_eq!(bookmark.starts_at, start(7));
}

async fn a_bookmark_moves_with_or_without_mail(home: Home) {
    let store = home.open().await;
    for last_uid in [3, 8] {
        let bookmark = Bookmark::at("m", 1, last_uid);
        store.record(vec![], Some(bookmark.clone())).await.unwrap();
        assert_eq!(store.bookmark("m").await.unwrap(), Some(bookmark));
    }
}

async fn of_many_that_would_send_a_canary_one_does(home: Home) {
    let stores = [home.open().await, home.open().await, home.open().await];
    let keys = join_all((0..3).map(|n| stores[n as usize].canary_key([n; 32]))).await;
    let keys: Vec<_> = keys.into_iter().map(Result::unwrap).collect();
    assert!(keys.iter().all(|key| key == &keys[0]), "{keys:?}");

    for (minute, number) in [(0, 1), (60, 2)] {
        let now = noon() + MINUTE * minute;
        let begun = join_all(
            stores
                .iter()
                .chain(&stores)
                .map(|store| store.begin_canary(now, now - MINUTE * 60)),
        )
        .await;
        let begun: Vec<u64> = begun.into_iter().filter_map(Result::unwrap).collect();
        assert_eq!(begun, [number]);
    }

    // Half an hour later it is no time yet; where the clock was set back, it is.
    let early = noon() + MINUTE * 90;
    let begin = |now| stores[0].begin_canary(now, now - MINUTE * 60);
    assert_eq!(begin(early).await.unwrap(), None);
    // A replica whose clock is a little behind that of the one that sent it.
    let behind = noon() + MINUTE * 60 - SignedDuration::from_millis(1);
    assert_eq!(begin(behind).await.unwrap(), None);
    assert_eq!(begin(noon()).await.unwrap(), Some(3));
}

async fn a_canary_counts_once_and_in_its_time(home: Home) {
    let store = home.open().await;
    let number = store
        .begin_canary(noon(), noon() - MINUTE)
        .await
        .unwrap()
        .unwrap();
    store.canary_sent(number, Ok(noon())).await.unwrap();

    let (first, second) = (recorded(&*store).await, recorded(&*store).await);
    let (arrived, judged) = (noon() + MINUTE, noon() + MINUTE * 2);
    let comes = |number, mail, not_before| {
        store.canary_arrived(number, mail, [arrived, judged], not_before)
    };
    assert!(!comes(number, first, arrived).await.unwrap(), "too old");
    assert!(!comes(number + 1, first, noon()).await.unwrap(), "not ours");
    assert!(comes(number, first, noon()).await.unwrap());
    assert!(comes(number, first, noon()).await.unwrap(), "the same mail");
    assert!(!comes(number, second, noon()).await.unwrap(), "a copy");
    store
        .canary_decided(number, [judged, judged])
        .await
        .unwrap();
    store.canary_pinged(number, judged).await.unwrap();

    let [flight] = store.flights(5).await.unwrap().try_into().unwrap();
    assert_eq!((flight.number, flight.begun_at), (number, noon()));
    assert_eq!((flight.mail, flight.is_pinged), (Some(first), true));
    assert_eq!(flight.stopped_at(), Some(Stage::Delivered));
    let passed = [noon(), arrived, judged, judged, judged];
    assert_eq!(flight.passed[..5], passed.map(Some));

    let failed = Err("no connection".to_owned());
    store.canary_sent(number, failed).await.unwrap();
    let why = store.flights(1).await.unwrap()[0].failure.clone();
    assert_eq!(why.as_deref(), Some("no connection"));
}

async fn a_mail_is_decided_once(home: Home) {
    let store = home.open().await;
    let id = recorded(store.as_ref()).await;
    let first = decision(Outcome::Opened, state(Phase::Firing, 1), vec![]);
    let again = first.clone();
    assert!(
        store
            .decide(id, Some(subject("a", "X")), noon(), Box::new(|_| first))
            .await
            .unwrap()
            .is_some()
    );
    assert_eq!(
        store
            .decide(id, Some(subject("a", "X")), noon(), Box::new(|_| again))
            .await
            .unwrap(),
        None
    );
    assert!(store.undecided(0, 10).await.unwrap().is_empty());
    assert_eq!(
        store.mails(Some(Outcome::Opened), 10).await.unwrap().len(),
        1
    );
    assert_eq!(
        store.mails(Some(Outcome::Stale), 10).await.unwrap().len(),
        0
    );
}

async fn what_was_applied_is_known_afterwards(home: Home) {
    let store = home.open().await;
    opened(store.as_ref(), "a", vec![page("a", Action::Trigger, "one")]).await;
    let id = recorded(store.as_ref()).await;
    let (tell, told) = std::sync::mpsc::channel();
    let decide = Box::new(move |memory: &alertbridge::store::Memory| {
        tell.send(memory.clone()).unwrap();
        decision(Outcome::Duplicate, state(Phase::Firing, 1), vec![])
    });
    store
        .decide(id, Some(subject("a", "ANOMALOUS")), noon(), decide)
        .await
        .unwrap();
    let memory = told.recv().unwrap();
    assert!(memory.known.applied_before);
    assert_eq!(memory.known.state, Some(state(Phase::Firing, 1)));
    assert_eq!(memory.told.len(), 1);
    assert_eq!(memory.told[0].alias, "a:one");
    assert_eq!(memory.recurrence_28d, 1);
}

async fn mail_is_read_back_in_no_more_bytes_than_memory_bears(home: Home) {
    let store = home.open().await;
    let large = "x".repeat(5 << 20);
    let mails = (0..3)
        .map(|_| (mail(&large), Authenticity::off()))
        .collect();
    let ids = store.record(mails, None).await.unwrap();
    let read = async |after| {
        store
            .undecided(after, 10)
            .await
            .unwrap()
            .iter()
            .map(|mail| mail.id)
            .collect::<Vec<_>>()
    };
    assert_eq!(read(0).await, ids[..2]);
    assert_eq!(read(ids[1]).await, ids[2..]);
    let stored = async |after| store.stored(None, None, after, 10).await.unwrap();
    let first = stored((Timestamp::MIN, 0)).await;
    assert_eq!(
        first.iter().map(|mail| mail.id).collect::<Vec<_>>(),
        ids[..2]
    );
    let rest = stored((first[1].message.arrived_at, ids[1])).await;
    assert_eq!(
        rest.iter().map(|mail| mail.id).collect::<Vec<_>>(),
        ids[2..]
    );
    assert_eq!(rest[0].message.raw.len(), first[0].message.raw.len());
}

async fn a_decision_that_panics_harms_no_other_and_leaves_its_mail_undecided(home: Home) {
    let store = home.open().await;
    let (bad, good) = (
        recorded(store.as_ref()).await,
        recorded(store.as_ref()).await,
    );
    let decision = decision(Outcome::Opened, state(Phase::Firing, 1), vec![]);
    let (failed, done) = tokio::join!(
        store.decide(
            bad,
            Some(subject("a", "X")),
            noon(),
            Box::new(|_| panic!("on purpose"))
        ),
        store.decide(
            good,
            Some(subject("b", "X")),
            noon(),
            Box::new(|_| decision)
        ),
    );
    assert!(failed.is_err());
    assert!(done.unwrap().is_some());
    // A database server undoes what panicked when it sees that the connection is gone.
    let undecided = async || {
        store
            .undecided(0, 10)
            .await
            .unwrap()
            .iter()
            .map(|mail| mail.id)
            .collect::<Vec<_>>()
    };
    for _ in 0..100 {
        if undecided().await == [bad] {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(undecided().await, [bad]);
}

async fn deliveries_of_an_incident_to_a_receiver_go_one_after_the_other(home: Home) {
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
    assert_eq!(resolved(store, "a", noon()).await, ["one", "two"]);
    let first = claim(store, "one", noon()).await;
    assert_eq!(
        first
            .iter()
            .map(|claim| claim.notification.action)
            .collect::<Vec<_>>(),
        [Action::Trigger]
    );
    assert!(
        claim(store, "one", noon()).await.is_empty(),
        "leased, and the resolve waits behind"
    );
    let again = Next::Again {
        step: Step::Send,
        at: noon() + MINUTE,
        failures: 1,
    };
    assert!(settle(store, &first[0], again, noon()).await);
    assert!(claim(store, "one", noon()).await.is_empty(), "not due yet");
    let second = claim(store, "one", noon() + MINUTE).await;
    assert_eq!((second[0].id, second[0].failures), (first[0].id, 1));
    assert!(settle(store, &second[0], delivered(), noon() + MINUTE).await);
    let resolve = claim(store, "one", noon() + MINUTE).await;
    assert_eq!(resolve[0].notification.action, Action::Resolve);
    assert_eq!(
        claim(store, "two", noon()).await.len(),
        1,
        "another receiver's lane does not wait"
    );
}

async fn what_is_leased_with_its_decision_is_sent_by_one(home: Home) {
    let store = home.open().await;
    let store = store.as_ref();
    let until = Some(noon() + MINUTE);
    let leased = |receiver| NewDelivery {
        leased_until: until,
        ..page("a", Action::Trigger, receiver)
    };
    let held = NewDelivery {
        held_until: until,
        ..leased("held")
    };
    let claims = opened(
        store,
        "a",
        vec![leased("one"), held, page("a", Action::Trigger, "two")],
    )
    .await;
    let [first] = &claims[..] else {
        panic!("{claims:?}")
    };
    assert!(claim(store, "one", noon()).await.is_empty(), "leased");
    assert_eq!(
        (&first.target, &first.step, first.failures),
        (&target("one"), &Step::Send, 0)
    );
    assert_eq!((&*first.alias, first.since), ("a:one", noon()));
    assert_eq!(claim(store, "two", noon()).await.len(), 1, "not leased");
    // Behind it nothing is leased, and what waits there gets its turn.
    let id = recorded(store).await;
    let resolve = NewDelivery {
        leased_until: until,
        ..page("a", Action::Resolve, "one")
    };
    let decision = decision(Outcome::Resolved, state(Phase::Resolved, 1), vec![resolve]);
    let decided = store
        .decide(id, Some(subject("a", "OK")), noon(), Box::new(|_| decision))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(decided.claims, []);
    let settlement = |next| Settlement {
        at: noon(),
        next,
        attempt: None,
        fallback: Vec::new(),
    };
    let settled = store
        .settle(first.id, first.lease, settlement(delivered()))
        .await
        .unwrap();
    assert_eq!(settled, Settled::Onward, "the resolve is due now");
    let resolve = &claim(store, "one", noon()).await[0];
    assert_eq!(resolve.notification.action, Action::Resolve);
    let settled = store
        .settle(resolve.id, resolve.lease, settlement(delivered()))
        .await
        .unwrap();
    assert_eq!(settled, Settled::Last);
}

async fn a_lease_of_a_decision_ends_as_any_other(home: Home) {
    let store = home.open().await;
    let leased = NewDelivery {
        leased_until: Some(noon() + MINUTE),
        ..page("a", Action::Trigger, "one")
    };
    let lost = opened(store.as_ref(), "a", vec![leased]).await;
    assert_eq!(lost.len(), 1);
    let taken = claim(store.as_ref(), "one", noon() + MINUTE).await;
    assert_eq!(
        taken.iter().map(|claim| claim.id).collect::<Vec<_>>(),
        [lost[0].id]
    );
    assert!(!settle(store.as_ref(), &lost[0], delivered(), noon() + MINUTE).await);
}

async fn a_claim_takes_no_more_than_is_wanted(home: Home) {
    let store = home.open().await;
    for n in 0..5 {
        opened(
            store.as_ref(),
            &format!("i{n}"),
            vec![page(&format!("i{n}"), Action::Trigger, "one")],
        )
        .await;
    }
    let first = store
        .claim(noon(), LEASE, vec![(target("one"), 2), (target("none"), 9)])
        .await
        .unwrap();
    let rest = claim(store.as_ref(), "one", noon()).await;
    let mut all: Vec<_> = first.iter().chain(&rest).map(|claim| claim.id).collect();
    assert_eq!((first.len(), rest.len()), (2, 3));
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 5, "none twice");
}

async fn a_dead_workers_lease_ends_and_its_late_settlement_writes_nothing(home: Home) {
    let store = home.open().await;
    let store = store.as_ref();
    opened(store, "a", vec![page("a", Action::Trigger, "one")]).await;
    let lost = claim(store, "one", noon()).await;
    let after = noon() + SignedDuration::from_secs(61);
    assert_eq!(
        store.agenda().await.unwrap().due,
        [(target("one"), noon() + MINUTE)]
    );
    let taken = claim(store, "one", after).await;
    assert_eq!(taken[0].id, lost[0].id);
    assert!(!settle(store, &lost[0], dead(), after).await);
    assert!(settle(store, &taken[0], delivered(), after).await);
    assert!(
        !settle(store, &taken[0], delivered(), after).await,
        "settled already"
    );
    let row = &store.deliveries(None, 10).await.unwrap()[0];
    assert_eq!(
        (row.state, row.detail.as_deref()),
        (DeliveryState::Delivered, Some("r-1"))
    );
}

async fn a_held_trigger_is_sent_when_its_window_ends_and_to_nobody_when_it_is_over_before(
    home: Home,
) {
    let store = home.open().await;
    let store = store.as_ref();
    let held = |incident: &str| NewDelivery {
        held_until: Some(noon() + MINUTE),
        ..page(incident, Action::Trigger, "one")
    };
    opened(store, "sent", vec![held("sent")]).await;
    opened(store, "over", vec![held("over")]).await;
    assert!(claim(store, "one", noon()).await.is_empty());
    assert_eq!(
        store
            .deliveries(Some(DeliveryState::Held), 10)
            .await
            .unwrap()
            .len(),
        2
    );
    assert!(
        resolved(store, "over", noon()).await.is_empty(),
        "nobody was told"
    );
    assert_eq!(
        store.agenda().await.unwrap().held_until,
        Some(noon() + MINUTE)
    );
    store
        .release_held(Mutes::default(), noon() + MINUTE)
        .await
        .unwrap();
    assert_eq!(store.agenda().await.unwrap().held_until, None);
    let due = claim(store, "one", noon() + MINUTE).await;
    assert_eq!(
        due.iter()
            .map(|claim| claim.notification.incident_id.as_str())
            .collect::<Vec<_>>(),
        ["sent"]
    );
    assert_eq!(
        due[0].since,
        noon() + MINUTE,
        "its patience begins when it could be sent"
    );
    assert_eq!(resolved(store, "sent", noon() + MINUTE).await, ["one"]);
}

async fn a_held_trigger_whose_window_has_ended_is_sent_then_resolved(home: Home) {
    let store = home.open().await;
    let store = store.as_ref();
    let held = NewDelivery {
        held_until: Some(noon() + MINUTE),
        ..page("a", Action::Trigger, "one")
    };
    opened(store, "a", vec![held]).await;
    assert_eq!(resolved(store, "a", noon() + MINUTE).await, ["one"]);
    let trigger = claim(store, "one", noon() + MINUTE).await;
    assert_eq!(trigger.len(), 1);
    assert!(settle(store, &trigger[0], delivered(), noon() + MINUTE).await);
    assert_eq!(
        claim(store, "one", noon() + MINUTE).await[0]
            .notification
            .action,
        Action::Resolve
    );
}

async fn a_permanent_failure_tells_the_fallback_once(home: Home) {
    let store = home.open().await;
    let store = store.as_ref();
    opened(
        store,
        "a",
        vec![NewDelivery {
            fallback_at: Some(noon() + MINUTE),
            ..page("a", Action::Trigger, "one")
        }],
    )
    .await;
    let claimed = claim(store, "one", noon()).await;
    let fallback = vec![page("a", Action::Trigger, "backup")];
    let settlement = Settlement {
        at: noon(),
        next: dead(),
        attempt: None,
        fallback,
    };
    assert_ne!(
        store
            .settle(claimed[0].id, claimed[0].lease, settlement)
            .await
            .unwrap(),
        Settled::Lost
    );
    let escalated = store
        .escalate(noon() + MINUTE, Arc::new(|_, _| panic!("told already")))
        .await
        .unwrap();
    assert!(escalated.is_empty());
    assert_eq!(claim(store, "backup", noon()).await.len(), 1);
    assert_eq!(
        resolved(store, "a", noon()).await,
        ["one", "backup"],
        "a resolve goes to both"
    );
}

async fn a_late_delivery_tells_the_fallback_once_and_goes_on(home: Home) {
    let store = home.open().await;
    let store = store.as_ref();
    opened(
        store,
        "a",
        vec![NewDelivery {
            fallback_at: Some(noon() + MINUTE),
            ..page("a", Action::Trigger, "one")
        }],
    )
    .await;
    let make: alertbridge::store::Fallback =
        Arc::new(|_, _| vec![page("a", Action::Trigger, "backup")]);
    assert!(
        store
            .escalate(noon(), Arc::clone(&make))
            .await
            .unwrap()
            .is_empty(),
        "not late yet"
    );
    let escalated = store.escalate(noon() + MINUTE, Arc::clone(&make)).await;
    let targets = escalated.unwrap().into_iter().map(|late| late.target);
    assert_eq!(targets.collect::<Vec<_>>(), [target("one")]);
    assert!(
        store
            .escalate(noon() + MINUTE, make)
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(claim(store, "backup", noon() + MINUTE).await.len(), 1);
    assert_eq!(claim(store, "one", noon() + MINUTE).await.len(), 1);
}

async fn the_fallback_sleeps_on_where_the_incident_is_over(home: Home) {
    let store = home.open().await;
    let store = store.as_ref();
    opened(
        store,
        "a",
        vec![NewDelivery {
            fallback_at: Some(noon() + MINUTE),
            ..page("a", Action::Trigger, "one")
        }],
    )
    .await;
    resolved(store, "a", noon()).await;
    let make: alertbridge::store::Fallback =
        Arc::new(|_, _| vec![page("a", Action::Trigger, "backup")]);
    assert!(
        store
            .escalate(noon() + MINUTE, make)
            .await
            .unwrap()
            .is_empty()
    );
    assert!(claim(store, "backup", noon() + MINUTE).await.is_empty());
}

async fn dead_letters_are_sent_again_in_order(home: Home) {
    let store = home.open().await;
    let store = store.as_ref();
    opened(store, "a", vec![page("a", Action::Trigger, "one")]).await;
    resolved(store, "a", noon()).await;
    for _ in 0..2 {
        let claimed = claim(store, "one", noon()).await;
        assert!(settle(store, &claimed[0], dead(), noon()).await);
    }
    assert_eq!(store.retry(None, noon()).await.unwrap().len(), 2);
    let trigger = claim(store, "one", noon()).await;
    assert_eq!(
        trigger
            .iter()
            .map(|claim| claim.notification.action)
            .collect::<Vec<_>>(),
        [Action::Trigger]
    );
    assert!(settle(store, &trigger[0], delivered(), noon()).await);
    assert_eq!(
        claim(store, "one", noon()).await[0].notification.action,
        Action::Resolve
    );
}

async fn a_retry_keeps_a_deliverys_age_and_begins_its_patience_anew(home: Home) {
    let store = home.open().await;
    let store = store.as_ref();
    opened(store, "a", vec![page("a", Action::Trigger, "one")]).await;
    let claimed = claim(store, "one", noon()).await;
    assert!(settle(store, &claimed[0], dead(), noon()).await);
    let row = |rows: Vec<alertbridge::store::DeliveryRow>| {
        (rows[0].state, rows[0].failures, rows[0].created_at)
    };
    let given_up = row(store.deliveries(None, 1).await.unwrap());
    assert_eq!(
        given_up,
        (DeliveryState::Dead, 1, noon()),
        "the failure that ended it counts"
    );
    let later = noon() + SignedDuration::from_hours(30);
    store.retry(None, later).await.unwrap();
    assert_eq!(
        row(store.deliveries(None, 1).await.unwrap()),
        (DeliveryState::Pending, 0, noon())
    );
    assert_eq!(store.depth().await.unwrap().oldest_pending, Some(noon()));
    let again = claim(store, "one", later).await;
    assert_eq!((again[0].since, again[0].failures), (later, 0));
}

async fn a_dead_trigger_goes_before_the_resolve_that_waits(home: Home) {
    let store = home.open().await;
    let store = store.as_ref();
    opened(store, "a", vec![page("a", Action::Trigger, "one")]).await;
    let claimed = claim(store, "one", noon()).await;
    assert!(settle(store, &claimed[0], dead(), noon()).await);
    resolved(store, "a", noon()).await;
    assert_eq!(
        store
            .retry(Some(vec![claimed[0].id]), noon())
            .await
            .unwrap(),
        [claimed[0].id]
    );
    let next = claim(store, "one", noon()).await;
    assert_eq!(
        next.iter().map(|claim| claim.id).collect::<Vec<_>>(),
        [claimed[0].id]
    );
}

async fn a_retry_that_would_open_an_alert_nobody_closes_is_refused(home: Home) {
    let store = home.open().await;
    let store = store.as_ref();
    opened(store, "a", vec![page("a", Action::Trigger, "one")]).await;
    let trigger = claim(store, "one", noon()).await;
    assert!(settle(store, &trigger[0], dead(), noon()).await);
    resolved(store, "a", noon()).await;
    let resolve = claim(store, "one", noon()).await;
    assert!(settle(store, &resolve[0], delivered(), noon()).await);
    let refused = store
        .retry(Some(vec![trigger[0].id]), noon())
        .await
        .unwrap_err();
    assert!(
        matches!(&refused, StoreError::Refused(why) if why.contains("nobody closes")),
        "{refused}"
    );
    assert!(store.retry(None, noon()).await.unwrap().is_empty());
    store.discard(trigger[0].id, noon()).await.unwrap();
    assert!(matches!(
        store.discard(trigger[0].id, noon()).await,
        Err(StoreError::Refused(_))
    ));
    assert!(matches!(
        store.retry(Some(vec![999]), noon()).await,
        Err(StoreError::Missing(_))
    ));
}

async fn discarding_the_head_of_a_lane_gives_the_next_its_turn(home: Home) {
    let store = home.open().await;
    let store = store.as_ref();
    opened(store, "a", vec![page("a", Action::Trigger, "one")]).await;
    resolved(store, "a", noon()).await;
    let head = store
        .deliveries(Some(DeliveryState::Pending), 10)
        .await
        .unwrap()
        .last()
        .unwrap()
        .id;
    store.discard(head, noon()).await.unwrap();
    assert_eq!(
        claim(store, "one", noon()).await[0].notification.action,
        Action::Resolve
    );
}

async fn a_resolve_of_an_older_opening_is_not_sent_again_over_a_newer_alert(home: Home) {
    let store = home.open().await;
    let store = store.as_ref();
    opened(store, "a", vec![page("a", Action::Trigger, "one")]).await;
    let trigger = claim(store, "one", noon()).await;
    settle(store, &trigger[0], delivered(), noon()).await;
    resolved(store, "a", noon()).await;
    let resolve = claim(store, "one", noon()).await;
    settle(store, &resolve[0], dead(), noon()).await;
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
        .unwrap();
    // It goes out once more before the incident opens again, and is refused again.
    let once_more = claim(store, "one", noon()).await;
    assert_eq!(once_more[0].id, resolve[0].id);
    settle(store, &once_more[0], dead(), noon()).await;
    let newer = claim(store, "one", noon()).await;
    let refused = store
        .retry(Some(vec![resolve[0].id]), noon())
        .await
        .unwrap_err();
    assert!(
        refused.to_string().contains("part of an earlier opening"),
        "{refused}"
    );
    settle(store, &newer[0], delivered(), noon()).await;
    assert!(
        store
            .retry(Some(vec![resolve[0].id]), noon())
            .await
            .is_err()
    );
    assert!(store.retry(None, noon()).await.unwrap().is_empty());
}

async fn a_dead_trigger_is_not_put_before_a_resolve_that_is_under_way(home: Home) {
    let store = home.open().await;
    let store = store.as_ref();
    opened(store, "a", vec![page("a", Action::Trigger, "one")]).await;
    let trigger = claim(store, "one", noon()).await;
    resolved(store, "a", noon()).await;
    settle(store, &trigger[0], dead(), noon()).await;
    assert_eq!(
        claim(store, "one", noon()).await[0].notification.action,
        Action::Resolve
    );
    assert!(
        store
            .retry(Some(vec![trigger[0].id]), noon())
            .await
            .is_err()
    );
    assert!(store.retry(None, noon()).await.unwrap().is_empty());
}

async fn what_no_mute_holds_does_not_wait_behind_what_one_does(home: Home) {
    let store = home.open().await;
    let store = store.as_ref();
    let held = NewDelivery {
        held_until: Some(noon() + MINUTE),
        ..page("a", Action::Trigger, "one")
    };
    opened(store, "a", vec![held]).await;
    let told = decision(
        Outcome::Updated,
        state(Phase::Firing, 1),
        vec![page("a", Action::Trigger, "one")],
    );
    let id = recorded(store).await;
    store
        .decide(id, Some(subject("a", "WORSE")), noon(), Box::new(|_| told))
        .await
        .unwrap();
    assert_eq!(claim(store, "one", noon()).await.len(), 1, "told now");
    assert!(
        store
            .deliveries(Some(DeliveryState::Held), 10)
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(resolved(store, "a", noon()).await, ["one"]);
}

async fn a_fallback_two_integrations_share_is_told_once(home: Home) {
    let store = home.open().await;
    let store = store.as_ref();
    let late = |receiver| NewDelivery {
        fallback_at: Some(noon()),
        ..page("a", Action::Trigger, receiver)
    };
    opened(store, "a", vec![late("one"), late("two")]).await;
    let make: alertbridge::store::Fallback = Arc::new(|_, _| {
        vec![NewDelivery {
            fallback_at: Some(noon()),
            ..page("a", Action::Trigger, "backup")
        }]
    });
    assert_eq!(
        store
            .escalate(noon(), Arc::clone(&make))
            .await
            .unwrap()
            .len(),
        2
    );
    // Whose fallback is a receiver told already: it ends there.
    let back: alertbridge::store::Fallback =
        Arc::new(|_, _| vec![page("a", Action::Trigger, "one")]);
    store.escalate(noon(), back).await.unwrap();
    for receiver in ["one", "two", "backup"] {
        assert_eq!(claim(store, receiver, noon()).await.len(), 1, "{receiver}");
    }
    assert_eq!(store.deliveries(None, 10).await.unwrap().len(), 3);
}

async fn a_clock_set_back_stalls_no_delivery(home: Home) {
    let store = home.open().await;
    let store = store.as_ref();
    for incident in ["waits", "leased"] {
        opened(
            store,
            incident,
            vec![page(incident, Action::Trigger, incident)],
        )
        .await;
    }
    let tried = claim(store, "waits", noon()).await;
    settle(
        store,
        &tried[0],
        Next::Again {
            step: Step::Send,
            at: noon() + MINUTE,
            failures: 1,
        },
        noon(),
    )
    .await;
    claim(store, "leased", noon()).await;
    let before = noon() - SignedDuration::from_hours(9000);
    assert!(claim(store, "waits", before).await.is_empty());
    store.bring_forward(before, LEASE).await.unwrap();
    let claimed = claim(store, "waits", before).await;
    assert_eq!(
        (claimed.len(), claimed[0].since),
        (1, before),
        "its patience begins anew"
    );
    assert!(
        claim(store, "leased", before).await.is_empty(),
        "it may be on its way"
    );
    assert_eq!(claim(store, "leased", before + MINUTE).await.len(), 1);
}

async fn the_agenda_names_every_target_and_its_next_time(home: Home) {
    let store = home.open().await;
    let of = |receiver: &str, integration: &str| Target {
        receiver: receiver.into(),
        integration: integration.into(),
    };
    let targets = [
        of("a", "jsm/0"),
        of("a", "slack/0"),
        of("a", "slack/1"),
        of("b", "jsm/0"),
        of("c", "jsm/0"),
    ];
    for (number, target) in targets.iter().rev().enumerate() {
        for incident in [format!("x{number}"), format!("y{number}")] {
            let delivery = NewDelivery {
                target: target.clone(),
                ..page(&incident, Action::Trigger, "any")
            };
            opened(store.as_ref(), &incident, vec![delivery]).await;
        }
    }
    let agenda = store.agenda().await.unwrap();
    assert_eq!(agenda.due, targets.map(|target| (target, noon())));
    assert_eq!(agenda.fallback_at, None);
}

async fn a_lease_that_has_ended_does_not_keep_a_person_from_discarding(home: Home) {
    let store = home.open().await;
    let store = store.as_ref();
    opened(store, "a", vec![page("a", Action::Trigger, "one")]).await;
    let lost = claim(store, "one", noon()).await;
    assert!(
        store.discard(lost[0].id, noon()).await.is_err(),
        "it is being sent"
    );
    store.discard(lost[0].id, noon() + MINUTE).await.unwrap();
    assert!(!settle(store, &lost[0], delivered(), noon() + MINUTE).await);
}

async fn a_timeline_tells_the_whole_story_in_order(home: Home) {
    let store = home.open().await;
    let store = store.as_ref();
    opened(store, "a", vec![page("a", Action::Trigger, "one")]).await;
    let claimed = claim(store, "one", noon()).await;
    settle(store, &claimed[0], delivered(), noon() + MINUTE).await;
    let (incident, events) = store.timeline("a").await.unwrap().unwrap();
    assert_eq!(incident.phase, Phase::Firing);
    let kinds: Vec<_> = events
        .iter()
        .map(|event| {
            serde_json::to_value(event).unwrap()["event"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    assert_eq!(kinds, ["mail", "delivery", "attempt"]);
    assert_eq!(store.timeline("nobody").await.unwrap(), None);
}

async fn a_thousand_mails_at_once_all_get_a_number_of_their_own(home: Home) {
    let store = home.open().await;
    let recorded = (0..1000).map(|n| {
        store.record(
            vec![(mail(&format!("mail {n}")), Authenticity::off())],
            None,
        )
    });
    let mut ids: Vec<_> = join_all(recorded)
        .await
        .into_iter()
        .flat_map(Result::unwrap)
        .collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 1000);
    assert_eq!(
        store
            .stored(None, None, (Timestamp::MIN, 0), 2000)
            .await
            .unwrap()
            .len(),
        1000
    );
    assert_eq!(
        store
            .stored(Some(noon() + MINUTE), None, (Timestamp::MIN, 0), 10)
            .await
            .unwrap()
            .len(),
        0
    );
    assert_eq!(
        store
            .stored(None, Some(noon()), (Timestamp::MIN, 0), 10)
            .await
            .unwrap()
            .len(),
        0
    );
}

mod browse;
mod cost;
mod damaged;
mod lost;
mod names;
mod replicas;
mod several;
mod silences;
pub mod standing;
mod told;

mod sqlite {
    use super::*;

    #[tokio::test]
    async fn the_owner_of_the_store_ends_all_leases_when_it_starts() {
        let home = Home::folder();
        let store = home.open().await;
        opened(store.as_ref(), "a", vec![page("a", Action::Trigger, "one")]).await;
        let lost = claim(store.as_ref(), "one", noon()).await;
        store.release_leases(noon()).await.unwrap();
        assert!(!settle(store.as_ref(), &lost[0], delivered(), noon()).await);
        assert_eq!(claim(store.as_ref(), "one", noon()).await.len(), 1);
    }

    #[tokio::test]
    async fn one_serve_owns_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.db");
        let owned = alertbridge::store::sqlite::own(&path).unwrap();
        drop(Sqlite::open(&path).unwrap());
        assert!(matches!(
            alertbridge::store::sqlite::own(&path),
            Err(StoreError::Locked)
        ));
        drop(owned);
        assert!(alertbridge::store::sqlite::own(&path).is_ok());
    }

    #[tokio::test]
    async fn a_store_of_a_newer_version_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        drop(Sqlite::open(&folder.path().join("store.db")).unwrap());
        let connection = rusqlite::Connection::open(folder.path().join("store.db")).unwrap();
        let newer = "INSERT INTO refinery_schema_history SELECT 999, name, applied_on, checksum
                     FROM refinery_schema_history LIMIT 1";
        connection.execute(newer, []).unwrap();
        let refused = Sqlite::open(&folder.path().join("store.db"))
            .map(|_| ())
            .unwrap_err();
        assert!(
            matches!(refused, StoreError::Newer { found: 999, .. }),
            "{refused}"
        );
    }

    #[tokio::test]
    async fn a_folder_that_cannot_be_written_is_named() {
        let refused = Sqlite::open(Path::new("/proc/none/store.db"))
            .map(|_| ())
            .unwrap_err();
        assert!(refused.to_string().contains("/proc/none"), "{refused}");
    }

    /// Every version of the schema ships sample data, over which all later migrations are run.
    #[tokio::test]
    async fn every_migration_runs_over_the_data_of_the_versions_before() {
        let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/store");
        let migrations = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema/migrations/sqlite");
        let mut scripts = refinery::load_sql_migrations(migrations).unwrap();
        scripts.sort_by_key(refinery::Migration::version);
        for newest in 1..=scripts.len() {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("store.db");
            let mut connection = rusqlite::Connection::open(&path).unwrap();
            refinery::Runner::new(&scripts[..newest])
                .run(&mut connection)
                .unwrap();
            let sample = samples.join(format!("V{}.sql", scripts[newest - 1].version()));
            connection
                .execute_batch(
                    &std::fs::read_to_string(&sample).expect("a version without sample data"),
                )
                .unwrap();
            drop(connection);
            let store: Arc<dyn Store> = Arc::new(Sqlite::open(&path).unwrap());
            assert_eq!(
                store.incidents(false, 10).await.unwrap().len(),
                2,
                "V{newest}"
            );
            assert_eq!(store.mails(None, 10).await.unwrap().len(), 3);
            assert_eq!(store.mail(1).await.unwrap().unwrap().1.message.raw, "abc");
            let (_, events) = store.timeline("open").await.unwrap().unwrap();
            assert!(matches!(events.len(), 5 | 6), "V{newest}: {}", events.len());
            assert_eq!(store.depth().await.unwrap().deliveries["pending"], 1);
            let next = store
                .record(vec![(mail("smtp"), Authenticity::off())], None)
                .await
                .unwrap();
            assert_eq!(next, [10], "no number is used twice");
            let connection = rusqlite::Connection::open(&path).unwrap();
            let last_told = connection.query_row(
                "SELECT told FROM incidents WHERE incident_id = 'open'",
                [],
                |row| row.get(0),
            );
            assert_eq!(
                last_told,
                Ok(r#"{"severity":"critical"}"#.to_owned()),
                "as the page said, V{newest}"
            );
            let verdict: String = connection
                .query_row("PRAGMA integrity_check", [], |row| row.get(0))
                .unwrap();
            assert_eq!(verdict, "ok");
            let orphans = connection
                .prepare("PRAGMA foreign_key_check")
                .unwrap()
                .query([])
                .unwrap()
                .next()
                .unwrap()
                .is_some();
            assert!(!orphans);
        }
    }
}

mod postgres {
    use super::*;
    use alertbridge::store::{
        Desk as _, Intake as _, Upkeep as _,
        postgres::{Address, Postgres, versions},
    };
    use futures_util::future::join_all;

    #[tokio::test]
    async fn both_databases_have_the_same_tables_and_migrations() {
        let scripts = |database: &str| {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("schema/migrations")
                .join(database);
            let mut names: Vec<_> = std::fs::read_dir(folder)
                .unwrap()
                .map(|entry| entry.unwrap().file_name())
                .collect();
            names.sort();
            names
        };
        assert_eq!(scripts("sqlite"), scripts("postgres"));
        let folder = tempfile::tempdir().unwrap();
        drop(Sqlite::open(&folder.path().join("store.db")).unwrap());
        let sqlite = rusqlite::Connection::open(folder.path().join("store.db")).unwrap();
        let mut columns = sqlite
            .prepare(
                "SELECT tables.name || '.' || columns.name FROM sqlite_master AS tables
                 JOIN pragma_table_info(tables.name) AS columns
                 WHERE tables.type = 'table' AND tables.name NOT LIKE 'sqlite%'
                   AND tables.name NOT LIKE 'refinery%'",
            )
            .unwrap();
        let of_sqlite: std::collections::BTreeSet<String> = columns
            .query_map([], |row| row.get(0))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        let database = Database::create().await;
        database.open().await;
        let of_postgres = "SELECT table_name || '.' || column_name FROM information_schema.columns
                           WHERE table_schema = 'public' AND table_name NOT LIKE 'refinery%'";
        let rows = database
            .client()
            .await
            .query(of_postgres, &[])
            .await
            .unwrap();
        let of_postgres: std::collections::BTreeSet<String> =
            rows.iter().map(|row| row.get(0)).collect();
        let more: Vec<_> = of_postgres
            .difference(&of_sqlite)
            .map(String::as_str)
            .collect();
        assert_eq!(of_sqlite.difference(&of_postgres).count(), 0);
        assert_eq!(
            more,
            [
                "consumers.held_until",
                "consumers.holder",
                "consumers.mailbox",
                "mails.held_until",
                "mails.holder",
                "openings.part",
            ]
        );
    }

    #[tokio::test]
    async fn one_replica_migrates_and_the_others_wait() {
        let database = Database::create().await;
        let address = Address::parse(&database.url()).unwrap();
        assert_eq!(versions(&address).await.unwrap().0, 0);
        let opened = join_all((0..8).map(|_| Postgres::open(&address))).await;
        assert!(
            opened.iter().all(Result::is_ok),
            "{:?}",
            opened.iter().find_map(|opened| opened.as_ref().err())
        );
        let client = database.client().await;
        let run = client
            .query_one("SELECT count(*) FROM refinery_schema_history", &[])
            .await
            .unwrap();
        let (found, known) = versions(&address).await.unwrap();
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema/migrations/postgres");
        let migrations = std::fs::read_dir(folder).unwrap().count();
        assert_eq!(
            (usize::try_from(run.get::<_, i64>(0)).unwrap(), found),
            (migrations, known)
        );
        client
            .batch_execute("UPDATE refinery_schema_history SET version = 900 + version")
            .await
            .unwrap();
        let refused = Postgres::open(&address).await.map(drop).unwrap_err();
        assert!(
            matches!(refused, StoreError::Newer { found: 901.., .. }),
            "{refused}"
        );
    }

    /// Every version of the schema ships sample data, over which all later migrations are run.
    #[tokio::test]
    async fn every_migration_runs_over_the_data_of_the_versions_before() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut scripts =
            refinery::load_sql_migrations(folder.join("schema/migrations/postgres")).unwrap();
        scripts.sort_by_key(refinery::Migration::version);
        for newest in 1..=scripts.len() {
            let database = Database::create().await;
            let mut client = database.client().await;
            refinery::Runner::new(&scripts[..newest])
                .run_async(&mut client)
                .await
                .unwrap();
            let sample = folder
                .join("tests/store/postgres")
                .join(format!("V{}.sql", scripts[newest - 1].version()));
            client
                .batch_execute(
                    &std::fs::read_to_string(&sample).expect("a version without sample data"),
                )
                .await
                .unwrap();
            let store: Arc<dyn Store> = Arc::new(database.open().await);
            assert_eq!(
                store.incidents(false, 10).await.unwrap().len(),
                2,
                "V{newest}"
            );
            assert_eq!(store.mails(None, 10).await.unwrap().len(), 3);
            assert_eq!(store.mail(1).await.unwrap().unwrap().1.message.raw, "abc");
            let (_, events) = store.timeline("open").await.unwrap().unwrap();
            assert!(matches!(events.len(), 5 | 6), "V{newest}: {}", events.len());
            assert_eq!(store.depth().await.unwrap().deliveries["pending"], 1);
            let last_told = client
                .query_one("SELECT told FROM incidents WHERE incident_id = 'open'", &[])
                .await
                .unwrap();
            assert_eq!(
                last_told.get::<_, &str>(0),
                r#"{"severity":"critical"}"#,
                "as the page said, V{newest}"
            );
        }
    }

    #[tokio::test]
    async fn a_wrong_password_and_a_database_that_is_not_there_are_said_without_the_password() {
        let database = Database::create().await;
        let wrong = database.url().replace("pass%20word", "hunter2");
        let missing = database.url().rsplit_once('/').unwrap().0.to_owned() + "/nowhere";
        let closed = "postgres://bridge:hunter2@127.0.0.1:1/nowhere".to_owned();
        for (url, expected) in [(wrong, "28P01"), (missing, "3D000"), (closed, "refused")] {
            let refused = Postgres::open(&Address::parse(&url).unwrap())
                .await
                .map(drop)
                .unwrap_err()
                .to_string();
            assert!(
                refused.contains(expected) && refused.contains("127.0.0.1"),
                "{refused}"
            );
            assert!(
                !refused.contains("hunter2") && !refused.contains("pass word"),
                "{refused}"
            );
        }
    }

    #[tokio::test]
    async fn a_replica_that_starts_leaves_the_leases_of_the_others_alone() {
        let database = Database::create().await;
        let (one, two) = (database.open().await, database.open().await);
        opened(&one, "a", vec![page("a", Action::Trigger, "one")]).await;
        let leased = claim(&one, "one", noon()).await;
        two.release_leases(noon()).await.unwrap();
        assert!(claim(&two, "one", noon()).await.is_empty());
        let again = Next::Again {
            step: Step::Send,
            at: noon() + MINUTE,
            failures: 1,
        };
        assert!(settle(&one, &leased[0], again, noon()).await);
        two.release_leases(noon()).await.unwrap();
        assert_eq!(
            claim(&two, "one", noon()).await.len(),
            1,
            "what waits for another attempt is tried at once"
        );
    }

    #[tokio::test]
    async fn a_mail_is_left_to_the_replica_that_took_it_until_its_time_is_over() {
        let database = Database::create().await;
        let (one, two) = (database.open().await, database.open().await);
        let id = recorded(&one).await;
        assert!(two.undecided(0, 10).await.unwrap().is_empty());
        assert_eq!(one.undecided(0, 10).await.unwrap().len(), 1);
        let client = database.client().await;
        client
            .batch_execute("UPDATE mails SET held_until = now() - interval '1 s'")
            .await
            .unwrap();
        assert_eq!(two.undecided(0, 10).await.unwrap()[0].id, id);
        let conclusion = || decision(Outcome::Opened, state(Phase::Firing, 1), vec![]);
        let (a, b) = (conclusion(), conclusion());
        let (a, b) = tokio::join!(
            one.decide(id, Some(subject("a", "X")), noon(), Box::new(|_| a)),
            two.decide(id, Some(subject("a", "X")), noon(), Box::new(|_| b)),
        );
        assert_eq!(
            usize::from(a.unwrap().is_some()) + usize::from(b.unwrap().is_some()),
            1,
            "decided once"
        );
    }

    #[tokio::test]
    async fn one_alert_through_two_replicas_at_once_opens_one_incident() {
        let database = Database::create().await;
        let (one, two) = (
            Arc::new(database.open().await),
            Arc::new(database.open().await),
        );
        let open = |store: Arc<Postgres>, incident: String| async move {
            let id = recorded(&*store).await;
            let named = incident.clone();
            let decide =
                Box::new(
                    move |memory: &alertbridge::store::Memory| match memory.known.state {
                        None => decision(
                            Outcome::Opened,
                            state(Phase::Firing, 1),
                            vec![page(&named, Action::Trigger, "one")],
                        ),
                        Some(_) => decision(Outcome::Duplicate, state(Phase::Firing, 1), vec![]),
                    },
                );
            store
                .decide(id, Some(subject(&incident, "ANOMALOUS")), noon(), decide)
                .await
                .unwrap()
                .unwrap()
                .outcome
        };
        let copies = (0..80).map(|n| {
            open(
                Arc::clone(if n % 2 == 0 { &one } else { &two }),
                format!("i{}", n / 4),
            )
        });
        let outcomes = join_all(copies).await;
        assert_eq!(
            outcomes
                .iter()
                .filter(|outcome| **outcome == Outcome::Opened)
                .count(),
            20,
            "{outcomes:?}"
        );
        assert_eq!(claim(&*one, "one", noon()).await.len(), 20);
    }

    /// Otherwise a resolve that is decided while its trigger is settled would wait behind it for
    /// ever.
    #[tokio::test]
    async fn what_is_owed_while_the_head_of_its_lane_is_settled_gets_its_turn() {
        let database = Database::create().await;
        let (one, two) = (
            Arc::new(database.open().await),
            Arc::new(database.open().await),
        );
        for n in 0..40 {
            let incident = format!("i{n}");
            opened(
                &*one,
                &incident,
                vec![page(&incident, Action::Trigger, "one")],
            )
            .await;
            let head = claim(&*one, "one", noon()).await;
            tokio::join!(
                async { assert!(settle(&*one, &head[0], delivered(), noon()).await) },
                async {
                    assert_eq!(resolved(&*two, &incident, noon()).await, ["one"]);
                },
            );
            let resolve = claim(&*two, "one", noon()).await;
            assert_eq!(resolve.len(), 1, "{incident}");
            assert!(settle(&*two, &resolve[0], delivered(), noon()).await);
        }
    }

    #[tokio::test]
    async fn a_mailbox_is_one_replicas_until_its_lease_ends_or_is_given_back() {
        let database = Database::create().await;
        let (one, two) = (database.open().await, database.open().await);
        assert!(one.consume("m", LEASE).await.unwrap());
        assert!(!two.consume("m", LEASE).await.unwrap());
        assert!(one.consume("m", LEASE).await.unwrap(), "renewed");
        assert!(two.consume("other", LEASE).await.unwrap());
        two.relinquish("m").await.unwrap();
        assert!(
            !two.consume("m", LEASE).await.unwrap(),
            "it is not two's to give back"
        );
        one.relinquish("m").await.unwrap();
        assert!(two.consume("m", LEASE).await.unwrap());
        let over = "UPDATE consumers SET held_until = now() - interval '1 s'";
        database.client().await.batch_execute(over).await.unwrap();
        assert!(one.consume("m", LEASE).await.unwrap());
    }

    #[tokio::test]
    async fn a_bookmark_never_goes_back() {
        let database = Database::create().await;
        let (one, two) = (database.open().await, database.open().await);
        let bookmark = |uid_validity, last_uid| Bookmark::at("m", uid_validity, last_uid);
        one.record(vec![], Some(bookmark(1, 9))).await.unwrap();
        two.record(vec![], Some(bookmark(1, 5))).await.unwrap();
        assert_eq!(one.bookmark("m").await.unwrap(), Some(bookmark(1, 9)));
        two.record(vec![], Some(bookmark(2, 3))).await.unwrap();
        assert_eq!(
            one.bookmark("m").await.unwrap(),
            Some(bookmark(2, 3)),
            "the mailbox is numbered anew"
        );
    }

    #[tokio::test]
    async fn replicas_hear_of_what_is_owed_and_not_their_own_bell() {
        let database = Database::create().await;
        let (one, two) = (database.open().await, database.open().await);
        // Each hears once when it begins to listen.
        one.rung().await;
        two.rung().await;
        opened(&one, "a", vec![page("a", Action::Trigger, "one")]).await;
        tokio::time::timeout(crate::harness::PATIENCE, two.rung())
            .await
            .unwrap();
        let own = tokio::time::timeout(Duration::from_millis(300), one.rung()).await;
        assert!(own.is_err(), "its own bell");
        let leased = NewDelivery {
            leased_until: Some(noon() + MINUTE),
            ..page("b", Action::Trigger, "one")
        };
        opened(&one, "b", vec![leased]).await;
        let sent_by_one = tokio::time::timeout(Duration::from_millis(300), two.rung()).await;
        assert!(sent_by_one.is_err(), "nothing is left to do for another");
    }

    #[tokio::test]
    async fn a_nul_in_what_people_read_is_shown_as_a_sign() {
        let database = Database::create().await;
        let store = database.open().await;
        let id = recorded(&store).await;
        let mut labels = Labels::new();
        labels.insert("app_name".into(), "a\0b".into());
        let told = Decision {
            reason: Some("not\0hing".into()),
            labels: labels.clone(),
            ..decision(
                Outcome::Opened,
                state(Phase::Firing, 1),
                vec![page("a", Action::Trigger, "one")],
            )
        };
        store
            .decide(id, Some(subject("a", "X")), noon(), Box::new(|_| told))
            .await
            .unwrap();
        let mail = &store.mails(None, 1).await.unwrap()[0];
        assert_eq!(
            (mail.reason.as_deref(), &mail.labels),
            (Some("not\u{2400}hing"), &labels)
        );
        let claimed = claim(&store, "one", noon()).await;
        assert!(
            settle(
                &store,
                &claimed[0],
                Next::Dead {
                    reason: "\0".into(),
                    retry: Step::Send,
                },
                noon()
            )
            .await
        );
    }

    #[tokio::test]
    async fn after_its_connections_are_cut_the_store_goes_on() {
        let database = Database::create().await;
        let store = database.open().await;
        opened(&store, "a", vec![page("a", Action::Trigger, "one")]).await;
        let client = database.client().await;
        let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                   WHERE datname = current_database() AND pid <> pg_backend_pid()";
        for _ in 0..10 {
            client.query(cut, &[]).await.unwrap();
            // Each that was idle is known to be dead, or is found dead once.
            let deadline = std::time::Instant::now() + crate::harness::PATIENCE;
            while let Err(lost) = store.ping().await {
                assert!(matches!(lost, StoreError::Failed(_)), "{lost:?}");
                assert!(std::time::Instant::now() < deadline, "{lost}");
            }
        }
        assert_eq!(claim(&store, "one", noon()).await.len(), 1);
    }
}
