//! What the store must do for mail that is held, waits or is let through, and for what the bridge
//! tells of itself.

use alertbridge::{
    message::{Hold, Release, Verdict},
    store::{Concerns, DEAD_LETTERS, Memory},
};

use super::*;

both!(
    a_mail_that_waits_is_due_at_its_time_and_holds_up_no_other_even_after_a_restart,
    a_check_again_is_written_with_what_follows_and_once,
    after_the_clock_was_set_back_what_waits_is_due,
    what_was_told_before_it_could_be_checked_keeps_its_outcome_and_joins_its_opening,
    what_unverified_mail_applied_is_known_to_unverified_mail_alone,
    an_alert_that_could_not_be_read_is_known_within_hours_of_one_that_was_told,
    unverified_triggers_are_counted_by_the_hour,
    an_incident_that_is_over_keeps_its_title_and_severity_and_its_mail_says_its_own,
    a_released_mail_is_due_before_all_others_and_says_who_let_it_through,
    a_mail_that_waits_can_be_released_and_one_that_is_not_whole_or_decided_cannot,
    a_held_resolve_concerns_somebody_while_its_incident_is_open,
    held_triggers_and_unexpected_apps_concern_somebody_until_they_are_let_through_or_discarded,
    what_the_bridge_tells_of_itself_is_durable_delivered_and_never_taken_for_a_mails_incident,
    dead_letters_concern_somebody_but_for_those_that_tell_of_dead_letters,
);

fn later(minutes: i64) -> Timestamp {
    noon() + SignedDuration::from_mins(minutes)
}

fn nothing(outcome: Outcome) -> Decision {
    Decision {
        state: None,
        applied: false,
        ..decision(outcome, state(Phase::Firing, 1), vec![])
    }
}

fn unverified(incident_id: &str, status: &str) -> Subject {
    Subject {
        verified: false,
        ..subject(incident_id, status)
    }
}

async fn decided(
    store: &dyn Store,
    subject: Subject,
    now: Timestamp,
    decision: Decision,
) -> MailId {
    let id = recorded(store).await;
    store
        .decide(id, Some(subject), now, Box::new(|_| decision))
        .await
        .unwrap()
        .unwrap();
    id
}

/// What the store shows of an incident to whoever decides.
async fn memory(store: &dyn Store, subject: Subject, now: Timestamp) -> Memory {
    let id = recorded(store).await;
    let (tell, told) = std::sync::mpsc::channel();
    let decide = Box::new(move |memory: &Memory| {
        tell.send(memory.clone()).unwrap();
        nothing(Outcome::Ignored)
    });
    store.decide(id, Some(subject), now, decide).await.unwrap();
    told.recv().unwrap()
}

async fn waits(store: &dyn Store, until: Timestamp) -> MailId {
    let decision = Decision {
        check_at: Some(until),
        ..nothing(Outcome::Pending)
    };
    decided(store, unverified("waiting", "OK"), noon(), decision).await
}

async fn due(store: &dyn Store, now: Timestamp) -> Vec<MailId> {
    store
        .due(now, 100)
        .await
        .unwrap()
        .into_iter()
        .map(|mail| mail.id)
        .collect()
}

fn pass() -> Authenticity {
    Authenticity::unproven(Verdict::Pass, "checked now")
}

async fn release(store: &dyn Store, id: MailId) -> Result<(), StoreError> {
    store
        .release_mail(
            id,
            Release {
                by: "ana@host".into(),
                at: noon(),
            },
        )
        .await
}

async fn a_mail_that_waits_is_due_at_its_time_and_holds_up_no_other_even_after_a_restart(
    home: Home,
) {
    let store = home.open().await;
    let waiting = waits(store.as_ref(), later(1)).await;
    let other = recorded(store.as_ref()).await;
    drop(store);
    let store = home.open().await;
    let undecided = store.undecided(0, 1).await.unwrap();
    assert_eq!(
        undecided.iter().map(|mail| mail.id).collect::<Vec<_>>(),
        [other]
    );
    assert_eq!(due(store.as_ref(), noon()).await, Vec::<MailId>::new());
    assert_eq!(due(store.as_ref(), later(1)).await, [waiting]);
    let (row, _) = store.mail(waiting).await.unwrap().unwrap();
    assert_eq!(
        (row.outcome, row.check_at),
        (Outcome::Pending, Some(later(1)))
    );
}

async fn a_check_again_is_written_with_what_follows_and_once(home: Home) {
    let store = home.open().await;
    let store = store.as_ref();
    let id = waits(store, later(1)).await;
    let again = Decision {
        check_at: Some(later(3)),
        ..nothing(Outcome::Pending)
    };
    let temporary = Authenticity::unproven(Verdict::TempError, "again");
    let decide = Box::new(|_: &Memory| again);
    store
        .reconsider(id, temporary, Some(subject("a", "OK")), later(1), decide)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(due(store, later(2)).await, Vec::<MailId>::new());
    let mails = store.due(later(3), 10).await.unwrap();
    assert_eq!((mails[0].id, mails[0].checks), (id, 1));
    let opened = decision(
        Outcome::Opened,
        state(Phase::Firing, 1),
        vec![page("a", Action::Trigger, "one")],
    );
    let decide = Box::new(|_: &Memory| opened);
    store
        .reconsider(id, pass(), Some(subject("a", "OK")), later(3), decide)
        .await
        .unwrap()
        .unwrap();
    let (row, _) = store.mail(id).await.unwrap().unwrap();
    assert_eq!(
        (row.outcome, row.authenticity, row.check_at),
        (Outcome::Opened, pass(), None)
    );
    assert_eq!(claim(store, "one", later(3)).await.len(), 1);
    let late = store
        .reconsider(
            id,
            pass(),
            None,
            later(4),
            Box::new(|_| panic!("it is not due any more")),
        )
        .await;
    assert_eq!(late.unwrap(), None);
}

async fn after_the_clock_was_set_back_what_waits_is_due(home: Home) {
    let store = home.open().await;
    let waiting = waits(store.as_ref(), later(15)).await;
    assert_eq!(due(store.as_ref(), later(-24 * 60)).await, [waiting]);
}

async fn what_was_told_before_it_could_be_checked_keeps_its_outcome_and_joins_its_opening(
    home: Home,
) {
    let store = home.open().await;
    let store = store.as_ref();
    opened(store, "a", vec![]).await;
    resolved(store, "a", noon()).await;
    let id = recorded(store).await;
    let mut told = page("a", Action::Trigger, "one");
    told.notification.mail = Some(id);
    let unproven = Decision {
        check_at: Some(later(1)),
        state: None,
        ..decision(Outcome::Reopened, state(Phase::Firing, 2), vec![told])
    };
    store
        .decide(
            id,
            Some(unverified("a", "AGAIN")),
            noon(),
            Box::new(|_| unproven),
        )
        .await
        .unwrap();
    let (tell, told) = std::sync::mpsc::channel();
    let decide = Box::new(move |memory: &Memory| {
        tell.send(memory.told_before).unwrap();
        decision(Outcome::Stale, state(Phase::Firing, 2), vec![])
    });
    store
        .reconsider(id, pass(), Some(subject("a", "AGAIN")), later(1), decide)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(told.recv().unwrap(), Some(Outcome::Reopened));
    let (row, _) = store.mail(id).await.unwrap().unwrap();
    assert_eq!(
        (row.outcome, row.authenticity.verdict),
        (Outcome::Reopened, Verdict::Pass)
    );
    assert_eq!(
        resolved(store, "a", later(2)).await,
        ["one"],
        "its resolve goes to whom it was told"
    );
}

async fn what_unverified_mail_applied_is_known_to_unverified_mail_alone(home: Home) {
    let store = home.open().await;
    let store = store.as_ref();
    let unproven = State {
        verified: false,
        ..state(Phase::Firing, 1)
    };
    decided(
        store,
        unverified("a", "X"),
        noon(),
        decision(Outcome::Opened, unproven, vec![]),
    )
    .await;
    assert!(
        memory(store, unverified("a", "X"), noon())
            .await
            .known
            .applied_before
    );
    let seen = memory(store, subject("a", "X"), noon()).await;
    assert!(!seen.known.applied_before);
    assert_eq!(seen.recurrence_28d, 0, "what is not proven is no opening");
    decided(
        store,
        subject("a", "X"),
        noon(),
        decision(Outcome::Opened, state(Phase::Firing, 1), vec![]),
    )
    .await;
    let seen = memory(store, subject("a", "X"), noon()).await;
    assert!(seen.known.applied_before);
    assert_eq!(seen.recurrence_28d, 1, "proven, it is");
}

async fn an_alert_that_could_not_be_read_is_known_within_hours_of_one_that_was_told(home: Home) {
    let store = home.open().await;
    let unread = |minutes: i64, verified: bool| Subject {
        kind: Kind::Unparsed,
        time: Some(later(minutes)),
        verified,
        ..subject("unparsed-1", "UNPARSED")
    };
    let told = || decision(Outcome::Unparsed, state(Phase::Firing, 1), vec![]);
    decided(store.as_ref(), unread(0, false), noon(), told()).await;
    decided(store.as_ref(), unread(100, true), later(100), told()).await;

    for (minutes, verified, known) in [
        (0, false, true),
        (239, false, true),
        (339, false, true),
        (340, false, false),
        (-240, false, false),
        (-239, false, true),
        (-140, true, false),
        (-139, true, true),
        (0, true, true),
        (339, true, true),
        (340, true, false),
    ] {
        let memory = memory(store.as_ref(), unread(minutes, verified), later(400)).await;
        assert_eq!(
            memory.known.applied_before, known,
            "{minutes} minutes later, verified: {verified}"
        );
    }

    // Of an incident only the same time is.
    let incident = |minutes: i64| Subject {
        time: Some(later(minutes)),
        ..subject("incident", "S")
    };
    let opened = decision(Outcome::Opened, state(Phase::Firing, 1), vec![]);
    decided(store.as_ref(), incident(0), noon(), opened).await;
    for (minutes, known) in [(0, true), (1, false), (-1, false)] {
        let memory = memory(store.as_ref(), incident(minutes), later(2)).await;
        assert_eq!(memory.known.applied_before, known, "{minutes}");
    }
}

async fn unverified_triggers_are_counted_by_the_hour(home: Home) {
    let store = home.open().await;
    let store = store.as_ref();
    for minute in [0, 30, 59] {
        let told = Decision {
            marked: true,
            ..nothing(Outcome::Opened)
        };
        decided(store, unverified("a", "X"), later(minute), told).await;
    }
    decided(
        store,
        unverified("a", "X"),
        later(59),
        nothing(Outcome::Opened),
    )
    .await;
    let marked = async |minute| {
        memory(store, unverified("b", "X"), later(minute))
            .await
            .marked
    };
    assert_eq!(marked(59).await, 3);
    assert_eq!(marked(60).await, 2, "an hour is an hour");
    assert_eq!(marked(119).await, 0);
    assert_eq!(
        marked(-60).await,
        0,
        "a clock set back finds none of the future"
    );
    let elsewhere = Subject {
        ingress: "another".into(),
        ..unverified("b", "X")
    };
    assert_eq!(
        memory(store, elsewhere, later(59)).await.marked,
        0,
        "each ingress has an account of its own"
    );
}

async fn an_incident_that_is_over_keeps_its_title_and_severity_and_its_mail_says_its_own(
    home: Home,
) {
    let store = home.open().await;
    let store = store.as_ref();
    let said = |outcome, phase, labels: [(&'static str, &str); 3]| Decision {
        labels: labels
            .into_iter()
            .map(|(name, value)| (name.into(), value.to_owned()))
            .collect(),
        ..decision(outcome, state(phase, 1), vec![])
    };
    let broke = [
        ("title", "HTTP is CRITICAL"),
        ("severity", "critical"),
        ("summary", "no answer"),
    ];
    let well = [
        ("title", "HTTP is OK"),
        ("severity", "warning"),
        ("summary", "200"),
    ];

    let opening = said(Outcome::Opened, Phase::Firing, broke);
    let labels = opening.labels.clone();
    decided(store, subject("a", "ANOMALOUS"), noon(), opening).await;
    let known = memory(store, subject("a", "OK"), noon()).await;
    assert_eq!(known.labels, labels, "as they stand");

    let end = said(Outcome::Resolved, Phase::Resolved, well);
    let its_own = end.labels.clone();
    let mail = decided(store, subject("a", "OK"), noon(), end).await;
    let (row, _) = store.timeline("a").await.unwrap().unwrap();
    let kept = ["title", "severity", "summary"].map(|name| row.labels[name].as_str());
    assert_eq!(kept, ["HTTP is CRITICAL", "critical", "200"]);
    let (mail, _) = store.mail(mail).await.unwrap().unwrap();
    assert_eq!(mail.labels, its_own);

    // One that comes before its trigger ends nothing that would be kept.
    let end = said(Outcome::Resolved, Phase::Resolved, well);
    let mail = decided(store, subject("b", "OK"), noon(), end).await;
    let (row, _) = store.timeline("b").await.unwrap().unwrap();
    let (mail, _) = store.mail(mail).await.unwrap().unwrap();
    assert_eq!(row.labels, mail.labels);
}

async fn a_released_mail_is_due_before_all_others_and_says_who_let_it_through(home: Home) {
    let store = home.open().await;
    waits(store.as_ref(), noon()).await;
    let held = Decision {
        hold: Some(Hold::Resolve),
        ..nothing(Outcome::Quarantined)
    };
    let id = decided(store.as_ref(), unverified("a", "OK"), noon(), held).await;
    release(store.as_ref(), id).await.unwrap();
    assert!(
        matches!(
            release(store.as_ref(), id).await,
            Err(StoreError::Refused(_))
        ),
        "once is enough"
    );
    drop(store);
    let store = home.open().await;
    let store = store.as_ref();
    assert!(store.undecided(0, 10).await.unwrap().is_empty());
    let first = &store.due(noon(), 1).await.unwrap()[0];
    assert_eq!(
        (first.id, first.released.clone()),
        (
            id,
            Some(Release {
                by: "ana@host".into(),
                at: noon()
            })
        )
    );
    let decide =
        Box::new(|_: &Memory| decision(Outcome::Resolved, state(Phase::Resolved, 1), vec![]));
    store
        .reconsider(
            id,
            Authenticity::off(),
            Some(subject("a", "OK")),
            noon(),
            decide,
        )
        .await
        .unwrap()
        .unwrap();
    let (row, _) = store.mail(id).await.unwrap().unwrap();
    assert_eq!(
        (row.outcome, row.released.unwrap().by.as_str()),
        (Outcome::Resolved, "ana@host")
    );
}

async fn a_mail_that_waits_can_be_released_and_one_that_is_not_whole_or_decided_cannot(home: Home) {
    let store = home.open().await;
    let store = store.as_ref();
    let waiting = waits(store, later(10)).await;
    release(store, waiting).await.unwrap();
    assert_eq!(due(store, noon()).await, [waiting]);
    let cut = Message {
        cut_from: Some(99_000_000),
        ..mail("Subject: x")
    };
    let cut = store
        .record(vec![(cut, Authenticity::off())], None)
        .await
        .unwrap()[0];
    store
        .decide(
            cut,
            None,
            noon(),
            Box::new(|_| nothing(Outcome::Quarantined)),
        )
        .await
        .unwrap();
    let why = release(store, cut).await.unwrap_err().to_string();
    assert!(
        why.contains("99000000 bytes") && why.contains("only its header was kept"),
        "{why}"
    );
    let opened = decided(store, subject("a", "X"), noon(), nothing(Outcome::Opened)).await;
    assert!(
        release(store, opened)
            .await
            .unwrap_err()
            .to_string()
            .contains("opened, not quarantined")
    );
    assert!(
        release(store, 999)
            .await
            .unwrap_err()
            .to_string()
            .contains("no mail 999")
    );
}

async fn a_held_resolve_concerns_somebody_while_its_incident_is_open(home: Home) {
    let store = home.open().await;
    let store = store.as_ref();
    opened(store, "a", vec![]).await;
    let held = || Decision {
        hold: Some(Hold::Resolve),
        ..nothing(Outcome::Quarantined)
    };
    for _ in 0..3 {
        decided(store, unverified("a", "OK"), noon(), held()).await;
    }
    decided(store, unverified("unknown", "OK"), noon(), held()).await;
    opened(store, "of which nothing is held", vec![]).await;
    opened(store, "over", vec![]).await;
    decided(store, unverified("over", "OK"), noon(), held()).await;
    resolved(store, "over", noon()).await;
    opened(store, "b", vec![]).await;
    let second = decided(store, unverified("b", "OK"), noon(), held()).await;
    assert_eq!(store.concerns().await.unwrap().held_resolves, ["a", "b"]);
    resolved(store, "a", noon()).await;
    assert_eq!(store.concerns().await.unwrap().held_resolves, ["b"]);
    store.discard_mail(second, noon()).await.unwrap();
    assert_eq!(
        store.concerns().await.unwrap().held_resolves,
        Vec::<String>::new()
    );
}

async fn held_triggers_and_unexpected_apps_concern_somebody_until_they_are_let_through_or_discarded(
    home: Home,
) {
    let store = home.open().await;
    let store = store.as_ref();
    assert_eq!(
        Concerns {
            room: None,
            ..store.concerns().await.unwrap()
        },
        Concerns::default()
    );
    let held = |hold| Decision {
        hold: Some(hold),
        ..nothing(Outcome::Quarantined)
    };
    decided(store, unverified("a", "X"), noon(), held(Hold::Flood)).await;
    let last = decided(store, unverified("b", "X"), later(5), held(Hold::Flood)).await;
    let mut apps = Vec::new();
    for app in ["app:b", "a", "b", "a"] {
        apps.push(
            decided(
                store,
                subject("c", "X"),
                noon(),
                held(Hold::App(app.into())),
            )
            .await,
        );
    }
    let concerns = store.concerns().await.unwrap();
    assert_eq!(concerns.flooded_at, Some(later(5)));
    assert_eq!(concerns.unexpected_apps, ["a", "app:b", "b"]);
    store.discard_mail(last, noon()).await.unwrap();
    release(store, apps[0]).await.unwrap();
    store.discard_mail(apps[1], noon()).await.unwrap();
    let concerns = store.concerns().await.unwrap();
    assert_eq!(concerns.flooded_at, Some(noon()));
    assert_eq!(concerns.unexpected_apps, ["a", "b"], "one of two is left");
    match home {
        Home::Folder(_) => assert!(
            concerns
                .room
                .is_some_and(|room| 0 < room.free && room.free <= room.total)
        ),
        Home::Database(_) => assert_eq!(concerns.room, None),
    }
}

fn own(incident_id: &str, status: &str) -> Subject {
    Subject {
        kind: Kind::Own,
        time: None,
        ..subject(incident_id, status)
    }
}

pub async fn announced(
    store: &dyn Store,
    incident_id: &str,
    phase: Phase,
    deliveries: Vec<NewDelivery>,
) {
    let decision = Decision {
        applied: false,
        ..decision(Outcome::Opened, state(phase, 1), deliveries)
    };
    let item = Item::about(
        own(incident_id, "X"),
        Box::new(|_| decision),
        Mutes::default(),
    );
    store.announce(item, noon()).await.unwrap();
}

async fn what_the_bridge_tells_of_itself_is_durable_delivered_and_never_taken_for_a_mails_incident(
    home: Home,
) {
    let store = home.open().await;
    announced(
        store.as_ref(),
        "self:x",
        Phase::Firing,
        vec![page("self:x", Action::Trigger, "one")],
    )
    .await;
    assert_eq!(
        memory(store.as_ref(), subject("self:x", "OK"), noon()).await,
        Memory::default()
    );
    drop(store);
    let store = home.open().await;
    let store = store.as_ref();
    let names = async || -> Vec<String> {
        store
            .concerns()
            .await
            .unwrap()
            .alarms
            .into_iter()
            .map(|alarm| alarm.incident_id)
            .collect()
    };
    assert_eq!(names().await, ["self:x"]);
    let claimed = claim(store, "one", noon()).await;
    assert_eq!(claimed.len(), 1);
    settle(store, &claimed[0], delivered(), noon()).await;
    let (tell, told) = std::sync::mpsc::channel();
    let decide = Box::new(move |memory: &Memory| {
        tell.send(memory.told.len()).unwrap();
        Decision {
            applied: false,
            ..decision(Outcome::Resolved, state(Phase::Resolved, 1), vec![])
        }
    });
    let item = Item::about(own("self:x", "OVER"), decide, Mutes::default());
    store.announce(item, noon()).await.unwrap();
    assert_eq!(told.recv().unwrap(), 1, "its end goes to whom it was told");
    assert_eq!(names().await, Vec::<String>::new());
    let listed = store.incidents(false, 10).await.unwrap();
    assert_eq!(
        listed
            .iter()
            .map(|incident| incident.kind)
            .collect::<Vec<_>>(),
        [Kind::Own]
    );
    assert!(store.timeline("self:x").await.unwrap().is_some());
}

async fn dead_letters_concern_somebody_but_for_those_that_tell_of_dead_letters(home: Home) {
    let store = home.open().await;
    let store = store.as_ref();
    announced(
        store,
        DEAD_LETTERS,
        Phase::Firing,
        vec![page(DEAD_LETTERS, Action::Trigger, "one")],
    )
    .await;
    let claimed = claim(store, "one", noon()).await;
    settle(store, &claimed[0], dead(), noon()).await;
    assert_eq!(store.concerns().await.unwrap().dead, 0);
    opened(store, "a", vec![page("a", Action::Trigger, "one")]).await;
    let claimed = claim(store, "one", noon()).await;
    settle(store, &claimed[0], dead(), noon()).await;
    assert_eq!(store.concerns().await.unwrap().dead, 1);
    store.discard(claimed[0].id, noon()).await.unwrap();
    assert_eq!(store.concerns().await.unwrap().dead, 0);
}
