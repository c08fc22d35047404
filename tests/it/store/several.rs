//! A mail that holds several alerts, mail that is expected, and incidents that fall quiet.

use alertbridge::{
    message::{Hold, Release, Verdict},
    store::{Arrival, Event, ExpectedMail, MailFilter, Memory, Span},
};

use super::*;

both!(
    a_mail_of_several_alerts_is_decided_as_a_whole_and_each_by_itself,
    where_one_alert_cannot_be_decided_none_of_its_mail_is,
    a_mail_that_is_checked_again_stays_due_while_one_of_its_alerts_waits,
    what_was_told_of_a_mails_alert_is_told_once_however_often_the_mail_is_looked_at,
    expected_mail_and_quiet_incidents_are_known_to_whoever_asks,
    a_mail_that_is_decided_late_makes_no_incident_quiet,
);

fn item(incident_id: &str, decision: Decision) -> Item {
    Item {
        subject: Some(subject(incident_id, "S")),
        decide: Box::new(move |_: &Memory| decision),
        mutes: Mutes::default(),
    }
}

fn told(incident_id: &str, id: MailId) -> Decision {
    let mut page = page(incident_id, Action::Trigger, "chat");
    page.notification.mail = Some(id);
    let profile = Some("many".into());
    Decision {
        profile,
        ..decision(Outcome::Opened, state(Phase::Firing, 1), vec![page])
    }
}

fn held() -> Decision {
    Decision {
        state: None,
        applied: false,
        hold: Some(Hold::Resolve),
        ..decision(Outcome::Quarantined, state(Phase::Firing, 1), vec![])
    }
}

async fn a_mail_of_several_alerts_is_decided_as_a_whole_and_each_by_itself(home: Home) {
    let store = home.open().await;
    let id = recorded(&*store).await;
    let items = vec![
        item("a", told("a", id)),
        item("b", told("b", id)),
        item("a", held()),
    ];
    let decided = store.decide_all(id, items, noon()).await.unwrap().unwrap();
    assert_eq!(decided.len(), 3);
    assert!(!store.has_undecided().await.unwrap());
    let again = vec![item("a", told("a", id)), item("b", told("b", id))];
    assert!(store.decide_all(id, again, noon()).await.unwrap().is_none());

    let (row, _) = store.mail(id).await.unwrap().unwrap();
    assert_eq!((row.outcome, row.incident_id), (Outcome::Quarantined, None));
    assert_eq!(row.profile.as_deref(), Some("many"));
    assert_eq!(
        row.reason.as_deref(),
        Some("3 alerts: 1 quarantined, 2 opened")
    );
    let items = store.items(id).await.unwrap();
    let of: Vec<_> = items.iter().map(|row| (row.item, row.outcome)).collect();
    assert_eq!(
        of,
        [
            (Some(1), Outcome::Opened),
            (Some(2), Outcome::Opened),
            (Some(3), Outcome::Quarantined)
        ]
    );
    assert_eq!(claim(&*store, "chat", noon()).await.len(), 2);
    assert_eq!(store.concerns().await.unwrap().held_resolves, ["a"]);

    let (_, events) = store.timeline("b").await.unwrap().unwrap();
    let mails = events
        .iter()
        .filter(|event| matches!(event, Event::Mail(_)));
    assert_eq!(mails.count(), 1);
    // It is found by what any of its alerts holds.
    for (text, found) in [("B", vec![id]), ("elsewhere", vec![])] {
        let filter = MailFilter {
            text: Some(text.into()),
            ..MailFilter::default()
        };
        let mails = store.browse_mails(filter, Span::first(10)).await.unwrap();
        let ids: Vec<_> = mails.items.iter().map(|row| row.id).collect();
        assert_eq!(ids, found, "{text}");
    }

    store.discard_mail(id, noon()).await.unwrap();
    assert!(store.concerns().await.unwrap().held_resolves.is_empty());
    let items = store.items(id).await.unwrap();
    let of: Vec<_> = items.iter().map(|row| row.outcome).collect();
    assert_eq!(of, [Outcome::Opened, Outcome::Opened, Outcome::Ignored]);
}

async fn where_one_alert_cannot_be_decided_none_of_its_mail_is(home: Home) {
    let store = home.open().await;
    let id = recorded(&*store).await;
    let panics = Item {
        subject: Some(subject("b", "S")),
        decide: Box::new(|_: &Memory| panic!("a fault")),
        mutes: Mutes::default(),
    };
    let items = vec![item("a", told("a", id)), panics];
    assert!(store.decide_all(id, items, noon()).await.is_err());
    assert!(store.timeline("a").await.unwrap().is_none());

    let waits = Decision {
        state: None,
        ..decision(Outcome::Pending, state(Phase::Firing, 1), vec![])
    };
    let items = vec![item("a", told("a", id)), item("b", waits)];
    let decided = store.decide_all(id, items, noon()).await.unwrap().unwrap();
    assert_eq!(decided.len(), 2);
    assert!(store.timeline("a").await.unwrap().is_none());
    assert!(store.has_undecided().await.unwrap());
    assert_eq!(store.undecided(0, 10).await.unwrap().len(), 1);
}

async fn a_mail_that_is_checked_again_stays_due_while_one_of_its_alerts_waits(home: Home) {
    let store = home.open().await;
    let id = recorded(&*store).await;
    let unchecked = || Decision {
        check_at: Some(noon() + MINUTE),
        ..held()
    };
    let items = vec![item("a", unchecked()), item("b", unchecked())];
    store.decide_all(id, items, noon()).await.unwrap().unwrap();

    let waits = Decision {
        state: None,
        ..decision(Outcome::Pending, state(Phase::Firing, 1), vec![])
    };
    let later = noon() + MINUTE;
    let pass = || Authenticity::unproven(Verdict::Pass, "proven");
    let items = vec![item("a", told("a", id)), item("b", waits)];
    let looked = store.reconsider_all(id, pass(), items, later).await;
    assert_eq!(looked.unwrap().unwrap().len(), 2);
    assert!(store.timeline("a").await.unwrap().is_none());
    let due = store.due(later, 10).await.unwrap();
    assert_eq!(due.len(), 1, "it is still due");
    assert_eq!(due[0].checks, 0);

    let items = vec![item("a", told("a", id)), item("b", told("b", id))];
    let looked = store.reconsider_all(id, pass(), items, later).await;
    assert_eq!(looked.unwrap().unwrap().len(), 2);
    assert!(store.due(later, 10).await.unwrap().is_empty());
    assert_eq!(claim(&*store, "chat", later).await.len(), 2);
}

async fn what_was_told_of_a_mails_alert_is_told_once_however_often_the_mail_is_looked_at(
    home: Home,
) {
    let store = home.open().await;
    let id = recorded(&*store).await;
    let items = vec![item("a", told("a", id)), item("b", held())];
    store.decide_all(id, items, noon()).await.unwrap().unwrap();
    let release = Release {
        by: "ann".into(),
        at: noon(),
    };
    store.release_mail(id, release).await.unwrap();
    assert!(store.concerns().await.unwrap().held_resolves.is_empty());

    let (tell, heard) = std::sync::mpsc::channel();
    let looks = |incident_id: &str| {
        let tell = tell.clone();
        let nothing = Decision {
            state: None,
            ..decision(Outcome::Duplicate, state(Phase::Firing, 1), vec![])
        };
        Item {
            subject: Some(subject(incident_id, "S")),
            decide: Box::new(move |memory: &Memory| {
                tell.send(memory.told_before).unwrap();
                nothing
            }),
            mutes: Mutes::default(),
        }
    };
    let items = vec![looks("a"), looks("b"), looks("a")];
    let pass = Authenticity::unproven(Verdict::Pass, "proven");
    let looked = store.reconsider_all(id, pass, items, noon()).await.unwrap();
    assert_eq!(looked.unwrap().len(), 3);
    let told: Vec<_> = heard.try_iter().collect();
    assert_eq!(told, [Some(Outcome::Opened), None, None]);
    assert!(store.due(noon(), 10).await.unwrap().is_empty());
}

async fn expected_mail_and_quiet_incidents_are_known_to_whoever_asks(home: Home) {
    let store = home.open().await;
    let later = noon() + MINUTE;
    let expected = |heard_at, missing| ExpectedMail {
        profile: "job".into(),
        key: "nightly".into(),
        heard_at,
        missing,
    };
    store.expect_mail(expected(noon(), false)).await.unwrap();
    store.expect_mail(expected(later, true)).await.unwrap();
    let known = store.expected_mail().await.unwrap();
    assert_eq!(known, [expected(noon(), true)], "it came when it came");
    assert_eq!(store.missing_mail().await.unwrap(), ["job".into()]);

    for (at, heard_at) in [(later, later), (noon(), later)] {
        let id = recorded(&*store).await;
        let arrived = Decision {
            profile: Some("job".into()),
            heard_at: Some(at),
            arrival: Some(Arrival {
                profile: "job".into(),
                key: "nightly".into(),
                at,
            }),
            ..decision(Outcome::Opened, state(Phase::Firing, 1), vec![])
        };
        let repeats = Decision {
            state: None,
            ..arrived.clone()
        };
        let first = at == later;
        let decision = if first { arrived } else { repeats };
        let subject = Some(subject("job:a", "S"));
        let decided = store
            .decide(id, subject, noon(), Box::new(|_| decision))
            .await;
        assert!(decided.unwrap().is_some());
        assert_eq!(
            store.expected_mail().await.unwrap(),
            [expected(heard_at, true)]
        );
        assert!(store.quiet("job", noon(), 9).await.unwrap().is_empty());
        let quiet = store.quiet("job", later, 9).await.unwrap();
        assert_eq!(quiet.len(), 1, "the newest counts");
    }

    assert!(store.quiet("other", later, 9).await.unwrap().is_empty());
    store.unexpect_mail("job", "nightly").await.unwrap();
    assert!(store.expected_mail().await.unwrap().is_empty());
}

async fn a_mail_that_is_decided_late_makes_no_incident_quiet(home: Home) {
    let store = home.open().await;
    let (earlier, later) = (noon() + MINUTE, noon() + MINUTE * 2);
    let heard = |state, at| Decision {
        profile: Some("job".into()),
        heard_at: Some(at),
        state,
        ..decision(Outcome::Opened, self::state(Phase::Firing, 1), vec![])
    };
    let firing = || Some(state(Phase::Firing, 1));
    // The second repeats the first; the third arrived between them, and its check took longer.
    for decision in [
        heard(firing(), noon()),
        heard(None, later),
        heard(firing(), earlier),
    ] {
        let id = recorded(&*store).await;
        let subject = Some(subject("job:a", "S"));
        let decided = store.decide(id, subject, later, Box::new(|_| decision));
        assert!(decided.await.unwrap().is_some());
    }
    assert!(store.quiet("job", earlier, 9).await.unwrap().is_empty());
    assert_eq!(store.quiet("job", later, 9).await.unwrap().len(), 1);
}
