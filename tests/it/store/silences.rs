//! What the store must do for silences.

use alertbridge::{
    silence::{Plan, Silence, SilenceId},
    store::{Held, Horizon, Memory, Silenced, Silencing, Sweep, Unsilenced},
};

use super::*;

both!(
    a_silence_counts_for_what_is_decided_while_it_is_active_whoever_added_it,
    a_silence_is_kept_as_it_was_asked_for,
    silences_are_expired_together_or_not_at_all,
    expired_silences_go_with_the_mails_of_their_time,
    a_page_that_a_silence_holds_waits_for_its_end,
    a_page_that_a_mute_held_waits_for_the_silences_that_cover_it,
    a_held_page_is_passed_on_to_whom_the_routes_lead_now,
    a_page_is_told_at_the_first_moment_at_which_no_mute_and_no_silence_holds_it,
    what_a_silence_holds_goes_with_the_end_of_its_incident,
    what_a_silence_holds_outlives_the_retention_of_its_mail,
    what_was_last_told_is_remembered,
);

fn later(minutes: i64) -> Timestamp {
    noon() + SignedDuration::from_mins(minutes)
}

/// One that nothing in these tests needs to be covered by.
async fn silenced(store: &dyn Store, from: Timestamp, until: Timestamp) -> Silence {
    let matchers = [
        "app_key=\"com.example\"".to_owned(),
        "sli_gap>=20".to_owned(),
    ];
    let plan = Plan::new(
        &matchers,
        (from, until),
        "Ann O'Neill",
        "moves \u{1f6e0}\nto \"b\\c\"",
        noon(),
    )
    .unwrap();
    store.add_silence(plan, noon()).await.unwrap()
}

/// What a mail is decided by that comes then.
async fn active(store: &dyn Store, now: Timestamp) -> Vec<Silence> {
    let id = recorded(store).await;
    let (tell, told) = std::sync::mpsc::channel();
    let decide = Box::new(move |memory: &Memory| {
        tell.send(memory.silences.clone()).unwrap();
        Decision {
            state: None,
            applied: false,
            ..decision(Outcome::Stale, state(Phase::Firing, 1), vec![])
        }
    });
    store
        .decide(id, Some(subject(&format!("i{id}"), "X")), now, decide)
        .await
        .unwrap();
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
    assert_eq!(
        ids(&active(serving, later(10)).await),
        [short.id, long.id],
        "the first to end first"
    );
    assert_eq!(
        ids(&active(serving, later(20)).await),
        [long.id],
        "the end is no part of it"
    );
    beside
        .expire_silences(vec![long.id], later(30))
        .await
        .unwrap();
    assert_eq!(active(serving, later(30)).await, []);
    assert_eq!(
        ids(&active(serving, later(29)).await),
        [long.id],
        "it was active until then"
    );
}

async fn a_silence_is_kept_as_it_was_asked_for(home: Home) {
    let store = home.open().await;
    let made = silenced(store.as_ref(), later(1), later(2)).await;
    drop(store);
    let store = home.open().await;
    assert_eq!(
        store.silences(false, noon(), 10).await.unwrap(),
        std::slice::from_ref(&made)
    );
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
    assert_eq!(
        (listed(false).await, listed(true).await),
        (vec![now, future], vec![past])
    );
    for (asked, why) in [
        (
            vec![now, past],
            format!("silence {past} has ended already, at 2026-03-01T12:01:00Z"),
        ),
        (
            vec![now, 4711],
            "there is no silence 4711: `alertbridge silences list` names them".into(),
        ),
    ] {
        let refused = store.expire_silences(asked, later(5)).await.unwrap_err();
        assert!(
            matches!(&refused,
                     StoreError::Refused(said) | StoreError::Missing(said) if *said == why),
            "{refused}"
        );
    }
    assert_eq!(
        listed(false).await,
        [now, future],
        "none of them was expired"
    );
    store
        .expire_silences(vec![future, now, now], later(5))
        .await
        .unwrap();
    assert_eq!(
        (listed(false).await, listed(true).await),
        (vec![], vec![future, now, past])
    );
    assert_eq!(
        active(store, later(61)).await,
        [],
        "what was yet to begin never does"
    );
    assert_eq!(store.silences(true, later(5), 1).await.unwrap().len(), 1);
}

async fn expired_silences_go_with_the_mails_of_their_time(home: Home) {
    let store = home.open().await;
    let store = store.as_ref();
    silenced(store, noon(), later(1)).await;
    let young = silenced(store, noon(), later(3)).await.id;
    let horizon = Horizon {
        mails: later(2),
        incidents: None,
    };
    let mut from = Some(Sweep::START);
    while let Some(at) = from {
        from = store.prune(horizon, at, 10).await.unwrap().next;
    }
    assert_eq!(
        ids(&store.silences(true, later(9), 10).await.unwrap()),
        [young]
    );
    assert!(
        silenced(store, noon(), later(9)).await.id > young,
        "a number is never used twice"
    );
}

/// One that covers every incident.
async fn maintenance(store: &dyn Store, until: Timestamp) -> Silence {
    let plan = Plan::new(
        &["kind=incident".to_owned()],
        (noon(), until),
        "ann",
        "moves",
        noon(),
    )
    .unwrap();
    store.add_silence(plan, noon()).await.unwrap()
}

/// An incident that opens while it is silenced.
async fn opened_under(store: &dyn Store, incident: &str, silence: &Silence) {
    let page = page(incident, Action::Trigger, "one").notification;
    let held = Silenced {
        silence: silence.id,
        until: silence.ends_at,
        page,
    };
    let untold = State {
        untold: true,
        ..state(Phase::Firing, 1)
    };
    let silenced = Decision {
        silencing: Silencing::Held(Box::new(held)),
        ..decision(Outcome::Silenced, untold, vec![])
    };
    let id = recorded(store).await;
    store
        .decide(
            id,
            Some(subject(incident, "ANOMALOUS")),
            noon(),
            Box::new(|_| silenced),
        )
        .await
        .unwrap();
}

async fn ended(store: &dyn Store, now: Timestamp) -> Vec<String> {
    store
        .unsilenced(now, 10)
        .await
        .unwrap()
        .into_iter()
        .map(|incident| incident.incident_id)
        .collect()
}

/// Tells it, as the pipeline does; false where another was first.
async fn told_of(store: &dyn Store, incident: &str, now: Timestamp) -> bool {
    let ended = Unsilenced {
        kind: Kind::Incident,
        incident_id: incident.into(),
    };
    let name = incident.to_owned();
    let decide = Box::new(move |memory: &Memory| {
        let deliveries = memory
            .silenced
            .iter()
            .map(|_| page(&name, Action::Trigger, "one"))
            .collect();
        Decision {
            silencing: Silencing::Over,
            applied: false,
            ..decision(Outcome::Opened, state(Phase::Firing, 1), deliveries)
        }
    });
    !store
        .announce(Item::about(ended.subject(), decide, Mutes::default()), now)
        .await
        .unwrap()
        .deliveries
        .is_empty()
}

async fn a_page_that_a_silence_holds_waits_for_its_end(home: Home) {
    let store = home.open().await;
    let (by_time, early) = (
        maintenance(store.as_ref(), later(10)).await,
        maintenance(store.as_ref(), later(60)).await,
    );
    opened_under(store.as_ref(), "by time", &by_time).await;
    opened_under(store.as_ref(), "early", &early).await;
    drop(store);
    let store = home.open().await;
    let store = store.as_ref();
    assert_eq!(ended(store, later(9)).await, [""; 0]);
    assert_eq!(
        ended(store, later(10)).await,
        ["by time"],
        "a restart forgets nothing"
    );
    store
        .expire_silences(vec![early.id], later(5))
        .await
        .unwrap();
    assert_eq!(ended(store, later(5)).await, ["early"]);
    assert!(told_of(store, "early", later(5)).await);
    assert!(!told_of(store, "early", later(5)).await, "once");
    assert_eq!(ended(store, later(5)).await, [""; 0]);
    assert_eq!(claim(store, "one", later(5)).await.len(), 1);
    assert!(told_of(store, "by time", later(10)).await);
    assert_eq!(resolved(store, "early", later(10)).await, ["one"]);
}

async fn a_page_that_a_mute_held_waits_for_the_silences_that_cover_it(home: Home) {
    let store = home.open().await;
    let store = store.as_ref();
    let muted = |incident: &str| {
        let mut page = page(incident, Action::Trigger, "one");
        page.notification
            .labels
            .insert("kind".into(), "incident".into());
        NewDelivery {
            held_until: Some(later(1)),
            fallback_at: Some(later(6)),
            ..page
        }
    };
    opened(store, "told", vec![muted("told")]).await;
    opened(store, "over", vec![muted("over")]).await;
    let (short, long) = (
        maintenance(store, later(20)).await,
        maintenance(store, later(60)).await,
    );
    assert_eq!(store.agenda().await.unwrap().held_until, Some(later(1)));
    store
        .release_held(Mutes::default(), later(1))
        .await
        .unwrap();
    assert_eq!(claim(store, "one", later(1)).await, [], "they are silenced");
    let agenda = store.agenda().await.unwrap();
    assert_eq!(
        (agenda.held_until, agenda.fallback_at),
        (Some(later(60)), Some(later(65))),
        "the last that covers it"
    );

    assert_eq!(
        resolved(store, "over", later(2)).await,
        [""; 0],
        "told to nobody"
    );
    store
        .expire_silences(vec![long.id], later(5))
        .await
        .unwrap();
    store
        .release_held(Mutes::default(), later(5))
        .await
        .unwrap();
    assert_eq!(
        claim(store, "one", later(5)).await,
        [],
        "the other covers it still"
    );
    assert_eq!(
        store.agenda().await.unwrap().held_until,
        Some(short.ends_at)
    );
    store
        .release_held(Mutes::default(), later(20))
        .await
        .unwrap();
    let due = claim(store, "one", later(20)).await;
    assert_eq!(
        due.iter()
            .map(|claim| claim.notification.incident_id.as_str())
            .collect::<Vec<_>>(),
        ["told"]
    );
    assert_eq!(
        due[0].since,
        later(20),
        "its patience begins when it could be sent"
    );
    assert_eq!(resolved(store, "told", later(20)).await, ["one"]);
}

/// Minutes, each from the first to before the last.
type Windows = Vec<(i64, i64)>;

/// A night of one page that a mute holds first: what mutes it in one configuration and another, what
/// silences it, and what else happens when.
#[derive(Debug)]
struct Night {
    mutes: [Windows; 2],
    silences: Windows,
    /// The other configuration comes into force.
    reload: i64,
    /// The store is closed and opened again.
    restart: i64,
    /// A silence ends before its time.
    expire: (usize, i64),
    resolve: i64,
}

impl Night {
    fn at_random(rng: &mut fastrand::Rng) -> Self {
        let mut windows = |first: i64| {
            let others = (0..rng.usize(0..4)).map(|_| {
                let from = rng.i64(1..80);
                (from, from + rng.i64(1..30))
            });
            let mut windows: Windows = others.collect();
            windows.push((0, first));
            windows
        };
        let (mutes, mut silences) = ([windows(10), windows(5)], windows(1));
        silences.pop();

        Self {
            mutes,
            expire: (rng.usize(..3), rng.i64(1..80)),
            silences,
            reload: rng.i64(1..120),
            restart: rng.i64(1..120),
            resolve: rng.i64(1..200),
        }
    }

    fn muted_at(&self, minute: i64) -> bool {
        holds(&self.mutes[usize::from(minute >= self.reload)], minute)
    }

    fn silenced_at(&self, minute: i64) -> bool {
        let mut silences = self.silences.clone();
        if let Some(expired) = silences.get_mut(self.expire.0)
            && expired.1 > self.expire.1
        {
            *expired = (expired.0.min(self.expire.1), self.expire.1);
        }
        holds(&silences, minute)
    }

    /// The mutes of the configuration that is in force then, as the routes tell them.
    fn mutes_at(&self, minute: i64) -> Mutes {
        let windows = self.mutes[usize::from(minute >= self.reload)].clone();
        Mutes::new(move |held, now| {
            assert_eq!(held.target.receiver, "one");
            let minute = now.duration_since(noon()).as_mins();
            (minute..minute + 100_000)
                .find(|minute| !holds(&windows, *minute))
                .map(later)
        })
    }
}

fn holds(windows: &[(i64, i64)], minute: i64) -> bool {
    windows
        .iter()
        .any(|(from, until)| (*from..*until).contains(&minute))
}

async fn a_page_is_told_at_the_first_moment_at_which_no_mute_and_no_silence_holds_it(home: Home) {
    let seed = fastrand::u64(..);
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut replicas = [home.open().await, home.open().await];
    for number in 0..12 {
        let night = Night::at_random(&mut rng);
        let at = format!("seed {seed}, night {number}: {night:?}");
        let (incident, matcher) = (format!("n{number}"), format!("app_name=n{number}"));
        let mut page = page(&incident, Action::Trigger, "one");
        let labels = &mut page.notification.labels;
        labels.insert("kind".into(), "incident".into());
        labels.insert("app_name".into(), incident.clone());
        let held = NewDelivery {
            held_until: Some(later(10)),
            ..page
        };
        opened(&*replicas[0], &incident, vec![held]).await;

        let mut silences = Vec::new();
        for (from, until) in &night.silences {
            let times = (later(*from), later(*until));
            let plan = Plan::new(
                std::slice::from_ref(&matcher),
                times,
                "ann",
                "works",
                noon(),
            )
            .unwrap();
            silences.push(replicas[1].add_silence(plan, noon()).await.unwrap().id);
        }

        let mut told = false;
        for minute in 1..=120 {
            if minute == night.restart {
                replicas[0] = home.open().await;
            }
            if minute == night.reload {
                replicas[1].look_at_held(later(minute)).await.unwrap();
            }
            if let Some(silence) = silences.get(night.expire.0)
                && minute == night.expire.1
                && night.silences[night.expire.0].1 > minute
            {
                let expired = replicas[0].expire_silences(vec![*silence], later(minute));
                expired.await.unwrap();
            }

            let looks = replicas.each_ref();
            let looks =
                looks.map(|store| store.release_held(night.mutes_at(minute), later(minute)));
            for looked in join_all(looks).await {
                looked.unwrap();
            }

            let due = claim(&*replicas[0], "one", later(minute)).await;
            let is_free = !told && !night.muted_at(minute) && !night.silenced_at(minute);
            assert_eq!(due.len(), usize::from(is_free), "minute {minute} of {at}");
            told |= is_free;
            for page in due {
                assert!(page.since <= later(minute), "{at}");
                settle(&*replicas[0], &page, delivered(), later(minute)).await;
            }
            if minute == night.resolve {
                break;
            }
        }

        let over = resolved(&*replicas[1], &incident, later(night.resolve)).await;
        assert_eq!(over.len(), usize::from(told), "{at}");
        for resolve in claim(&*replicas[0], "one", later(night.resolve)).await {
            settle(&*replicas[0], &resolve, delivered(), later(night.resolve)).await;
        }
    }
}

async fn what_a_silence_holds_goes_with_the_end_of_its_incident(home: Home) {
    let store = home.open().await;
    let store = store.as_ref();
    let silence = maintenance(store, later(10)).await;
    opened_under(store, "a", &silence).await;
    let over = Decision {
        silencing: Silencing::Over,
        ..decision(Outcome::Resolved, state(Phase::Resolved, 1), vec![])
    };
    let id = recorded(store).await;
    store
        .decide(id, Some(subject("a", "OK")), later(1), Box::new(|_| over))
        .await
        .unwrap();
    assert_eq!(ended(store, later(10)).await, [""; 0]);
    assert!(!told_of(store, "a", later(10)).await);
}

async fn what_a_silence_holds_outlives_the_retention_of_its_mail(home: Home) {
    let store = home.open().await;
    let store = store.as_ref();
    let silence = maintenance(store, later(60)).await;
    // An alert that cannot be read has no end that retention could wait for.
    let unparsed = Subject {
        kind: Kind::Unparsed,
        ..subject("u", "UNPARSED")
    };
    let held = |until| {
        Silencing::Held(Box::new(Silenced {
            silence: silence.id,
            until,
            page: page("u", Action::Trigger, "one").notification,
        }))
    };
    let sweep = async || {
        let horizon = Horizon {
            mails: later(30),
            incidents: Some(later(30)),
        };
        let mut from = Some(Sweep::START);
        while let Some(at) = from {
            from = store.prune(horizon, at, 10).await.unwrap().next;
        }
        store.timeline("u").await.unwrap().is_some()
    };

    for (silencing, left) in [(held(silence.ends_at), true), (Silencing::Over, false)] {
        let decided = Decision {
            silencing,
            ..decision(Outcome::Silenced, state(Phase::Firing, 1), vec![])
        };
        let id = recorded(store).await;
        store
            .decide(id, Some(unparsed.clone()), noon(), Box::new(|_| decided))
            .await
            .unwrap();
        assert_eq!(sweep().await, left);
        assert_eq!(!ended(store, later(60)).await.is_empty(), left);
    }
}

async fn what_was_last_told_is_remembered(home: Home) {
    let store = home.open().await;
    let store = store.as_ref();
    let told = Values::from([("severity".to_owned(), "it's \"bad\" \u{1f6e0}".to_owned())]);
    let id = recorded(store).await;
    let opens = State {
        told: told.clone(),
        ..state(Phase::Firing, 1)
    };
    let opens = decision(
        Outcome::Changed,
        opens,
        vec![page("a", Action::Trigger, "one")],
    );
    store
        .decide(
            id,
            Some(subject("a", "ANOMALOUS")),
            noon(),
            Box::new(|_| opens),
        )
        .await
        .unwrap();
    let (tell, heard) = std::sync::mpsc::channel();
    let change = move |memory: &Memory| {
        tell.send(memory.clone()).unwrap();
        let change = page("a", Action::Change, "one");
        Decision {
            supersedes: true,
            ..decision(Outcome::Changed, state(Phase::Firing, 1), vec![change])
        }
    };
    let change = Box::new(change);
    let id = recorded(store).await;
    let tell_later = store
        .decide(id, Some(subject("a", "ANOMALOUS")), later(1), change)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(tell_later.outcome, Outcome::Changed);
    let memory = heard.recv().unwrap();
    assert_eq!(memory.known.state.unwrap().told, told);
    assert_eq!(memory.told.len(), 1);
    // In order: the change waits behind the trigger, and knows what the receiver made of it.
    let trigger = claim(store, "one", later(1)).await;
    assert_eq!(
        (trigger.len(), trigger[0].notification.action),
        (1, Action::Trigger)
    );
    settle(store, &trigger[0], delivered(), later(1)).await;
    let change = claim(store, "one", later(1)).await;
    assert_eq!(
        (change[0].notification.action, change[0].receipt.as_deref()),
        (Action::Change, Some("r-1"))
    );
    settle(
        store,
        &change[0],
        Next::Delivered { receipt: None },
        later(1),
    )
    .await;
    assert_eq!(resolved(store, "a", later(2)).await, ["one"]);
    assert_eq!(
        claim(store, "one", later(2)).await[0].receipt.as_deref(),
        Some("r-1"),
        "the last that there is"
    );
}

/// Two receivers' pages are held, and the routes lead to three others by then: one knows of the
/// incident, one is told, one has a mute of its own.
async fn a_held_page_is_passed_on_to_whom_the_routes_lead_now(home: Home) {
    let store = home.open().await;
    let store = store.as_ref();
    let to = |receiver: &str, held_until| NewDelivery {
        held_until,
        fallback_at: Some(later(500)),
        ..page("i", Action::Trigger, receiver)
    };
    let held = |receiver: &str| to(receiver, Some(later(10)));
    opened(
        store,
        "i",
        vec![held("one"), held("two"), to("known", None)],
    )
    .await;
    for told in claim(store, "known", later(1)).await {
        settle(store, &told, delivered(), later(1)).await;
    }

    let others = move |held: &Held, _| {
        let others = [("known", None), ("told", None), ("asleep", Some(later(30)))];
        let others = others.map(|(receiver, until)| to(receiver, until));
        match &*held.target.receiver {
            "one" | "two" => others.into(),
            _ => Vec::new(),
        }
    };
    let mutes = Mutes::default().leading(others);
    store.release_held(mutes.clone(), later(9)).await.unwrap();
    assert_eq!(
        claim(store, "told", later(9)).await,
        [],
        "not before it is looked at"
    );
    // A reload has it looked at before the end of the mute.
    store.look_at_held(later(9)).await.unwrap();
    for _ in 0..2 {
        store.release_held(mutes.clone(), later(9)).await.unwrap();
    }

    let told = claim(store, "told", later(9)).await;
    assert_eq!(told.len(), 1, "once, in place of both");
    settle(store, &told[0], delivered(), later(9)).await;
    for receiver in ["one", "two", "known", "asleep"] {
        assert_eq!(claim(store, receiver, later(9)).await, [], "{receiver}");
    }
    assert_eq!(store.agenda().await.unwrap().held_until, Some(later(30)));
    let rows = store.deliveries(None, 10).await.unwrap();
    let mut states: Vec<_> = rows
        .iter()
        .map(|row| (row.receiver.as_str(), row.state))
        .collect();
    states.sort_by_key(|(receiver, _)| *receiver);
    assert_eq!(
        states,
        [
            ("asleep", DeliveryState::Held),
            ("known", DeliveryState::Delivered),
            ("one", DeliveryState::Discarded),
            ("told", DeliveryState::Delivered),
            ("two", DeliveryState::Discarded),
        ]
    );
    assert_eq!(resolved(store, "i", later(20)).await, ["known", "told"]);
}
