//! What the store must do for whoever browses it, and what it keeps of people.

use std::time::Instant;

use alertbridge::store::{
    Answer, Answered, Courses, Deed, DeliveryFilter, IncidentFilter, MailFilter, Session, Span,
    Stretch,
};
use rusqlite::Connection;

use super::*;

both!(
    a_list_is_browsed_by_what_fits_and_says_where_it_goes_on,
    what_belongs_to_incidents_is_browsed_too,
    an_end_is_when_it_was_decided_whatever_is_heard_later,
    it_is_kept_who_did_what_was_answered_and_is_signed_in,
    of_a_hundred_thousand_incidents_every_list_answers_at_once,
);

fn labelled(severity: &str) -> Labels {
    Labels::from([
        ("severity".into(), severity.to_owned()),
        ("app_key".into(), "com.example_%".to_owned()),
    ])
}

async fn browse(
    store: &dyn Store,
    filter: IncidentFilter,
    span: Span,
) -> (Vec<String>, Option<i64>) {
    let Stretch { items, next } = store.browse_incidents(filter, span).await.unwrap();
    let ids = items.into_iter().map(|(_, row)| row.incident_id);
    (ids.collect(), next)
}

/// Three incidents of two severities; `b` is told to `two`, the others to `one`.
async fn three(store: &dyn Store) {
    for (id, severity) in [("a", "critical"), ("b", "warning"), ("c", "critical")] {
        let mail = recorded(store).await;
        let told = Decision {
            labels: labelled(severity),
            profile: Some(ATLASSIAN_SLI.into()),
            ..decision(
                Outcome::Opened,
                state(Phase::Firing, 1),
                vec![page(
                    id,
                    Action::Trigger,
                    if id == "b" { "two" } else { "one" },
                )],
            )
        };
        let subject = subject(id, "S");
        store
            .decide(mail, Some(subject), noon(), Box::new(|_| told))
            .await
            .unwrap();
    }
}

async fn a_list_is_browsed_by_what_fits_and_says_where_it_goes_on(home: Home) {
    let store = &*home.open().await;
    three(store).await;
    let all = Span::first(10);
    let filter = IncidentFilter::default;
    assert_eq!(
        browse(store, filter(), all).await,
        (vec!["c".into(), "b".into(), "a".into()], None)
    );
    let (first, next) = browse(store, filter(), Span::first(2)).await;
    assert_eq!(first, ["c", "b"]);
    let before = next.unwrap();
    assert_eq!(
        browse(store, filter(), Span { before, limit: 2 }).await.0,
        ["a"]
    );

    let fits = async |filter| browse(store, filter, all).await.0;
    let severity = Some("critical".to_owned());
    assert_eq!(
        fits(IncidentFilter {
            severity,
            ..filter()
        })
        .await,
        ["c", "a"]
    );
    let receiver = Some("two".to_owned());
    assert_eq!(
        fits(IncidentFilter {
            receiver,
            ..filter()
        })
        .await,
        ["b"]
    );
    let phase = Some(Phase::Resolved);
    assert_eq!(fits(IncidentFilter { phase, ..filter() }).await, [""; 0]);
    let profile = Some("other".to_owned());
    assert_eq!(
        fits(IncidentFilter {
            profile,
            ..filter()
        })
        .await,
        [""; 0]
    );
    for (text, found) in [("EXAMPLE_%", 3), ("example%_", 0), ("\0", 0), ("\\", 0)] {
        let text = Some(text.to_owned());
        assert_eq!(
            fits(IncidentFilter {
                text: text.clone(),
                ..filter()
            })
            .await
            .len(),
            found,
            "{text:?}"
        );
    }
}

async fn what_belongs_to_incidents_is_browsed_too(home: Home) {
    let store = &*home.open().await;
    three(store).await;
    let all = Span::first(10);
    let outcome = Some(Outcome::Opened);
    let mails = store
        .browse_mails(
            MailFilter {
                outcome,
                ..MailFilter::default()
            },
            all,
        )
        .await
        .unwrap();
    assert_eq!(mails.items.len(), 3);
    let owed = DeliveryFilter {
        state: Some(DeliveryState::Pending),
        receiver: Some("one".into()),
    };
    let owed = store.browse_deliveries(owed, all).await.unwrap();
    assert_eq!(owed.items.len(), 2);
    let numbers = store
        .browse_incidents(IncidentFilter::default(), all)
        .await
        .unwrap()
        .items;
    let told = store
        .told(numbers.iter().map(|(number, _)| *number).collect())
        .await
        .unwrap();
    assert_eq!(told.len(), 3);
    let backlogs = store.backlogs().await.unwrap();
    let pending: Vec<_> = backlogs
        .iter()
        .map(|one| (one.receiver.as_str(), one.pending))
        .collect();
    assert_eq!(pending, [("one", 2), ("two", 1)]);
    let ids: Vec<_> = mails.items.iter().map(|mail| mail.id).collect();
    let asked = ids.iter().copied().chain([i64::MAX]).collect();
    let mut heads = store.heads(asked).await.unwrap();
    heads.sort_by_key(|(id, _)| std::cmp::Reverse(*id));
    for ((id, head), mail) in heads.iter().zip(ids) {
        let (_, stored) = store.mail(mail).await.unwrap().unwrap();
        assert_eq!((*id, head.as_slice()), (mail, &*stored.message.raw));
    }
    assert_eq!(heads.len(), 3);
    let since = noon() - MINUTE;
    let changed = Courses::Changed { since, after: 0 };
    let courses = store.courses(changed, 10).await.unwrap();
    assert_eq!(courses.len(), 3);
    for course in courses {
        let times = course.said.iter().map(|(time, _)| *time);
        assert_eq!(times.collect::<Vec<_>>(), [noon()], "{course:?}");
    }
    let before = store.pulse().await.unwrap();
    recorded(store).await;
    assert_ne!(store.pulse().await.unwrap().mails, before.mails);
}

/// A sender's incident is closed without a mail; its own mail says the same, later.
async fn an_end_is_when_it_was_decided_whatever_is_heard_later(home: Home) {
    let store = &*home.open().await;
    let moved = async |status: &str, told: Decision, at: Timestamp| {
        let mail = recorded(store).await;
        let subject = Subject {
            time: Some(at),
            ..subject("a", status)
        };
        store
            .decide(mail, Some(subject), at, Box::new(|_| told))
            .await
            .unwrap();
    };
    let opened = page("a", Action::Trigger, "one");
    let firing = state(Phase::Firing, 1);
    moved(
        "DOWN",
        decision(Outcome::Opened, firing, vec![opened]),
        noon(),
    )
    .await;
    let over = page("a", Action::Resolve, "one");
    let resolved = || state(Phase::Resolved, 1);
    let closed_at = noon() + MINUTE;
    let closed = decision(Outcome::Resolved, resolved(), vec![over]);
    moved("CLOSED", closed, closed_at).await;
    let heard_at = noon() + MINUTE * 60;
    let heard = decision(Outcome::Duplicate, resolved(), vec![]);
    moved("UP", heard, heard_at).await;

    let since = noon() - MINUTE;
    let changed = Courses::Changed { since, after: 0 };
    let courses = store.courses(changed, 10).await.unwrap();
    let [course] = &courses[..] else {
        panic!("{courses:?}")
    };
    assert_eq!(course.changed_at, heard_at);
    assert_eq!(course.ended_at, Some(closed_at));
}

async fn it_is_kept_who_did_what_was_answered_and_is_signed_in(home: Home) {
    let store = home.open().await;
    let deed = |subject: &str| Deed {
        at: noon(),
        by: "ann".into(),
        via: "api".into(),
        action: "mails.release".into(),
        subject: subject.into(),
    };
    let first = store.begin_deed(deed("1")).await.unwrap();
    store.begin_deed(deed("2")).await.unwrap();
    store.end_deed(first, "done".into()).await.unwrap();

    let answer = Answer {
        status: 201,
        content_type: "application/json".into(),
        body: "{}".into(),
    };
    let asked = async |store: &dyn Store, key: &str, request: &str, at| {
        store
            .answered(key.into(), request.into(), at)
            .await
            .unwrap()
    };
    assert_eq!(asked(&*store, "k", "r", noon()).await, Answered::NotYet);
    assert_eq!(asked(&*store, "k", "r", noon()).await, Answered::UnderWay);
    store
        .keep_answer("k".into(), Some(answer.clone()))
        .await
        .unwrap();
    assert_eq!(asked(&*store, "lost", "r", noon()).await, Answered::NotYet);

    let session = Session {
        id: "s".into(),
        name: "ann".into(),
        role: "operator".into(),
        how: "users_file".into(),
        stamp: "1".into(),
        begun_at: noon(),
        ends_at: noon() + MINUTE,
    };
    store.begin_session(session.clone()).await.unwrap();
    drop(store);

    let store = home.open().await;
    let deeds = store.browse_deeds(Span::first(10)).await.unwrap().items;
    let told: Vec<_> = deeds
        .iter()
        .map(|deed| (&*deed.subject, deed.outcome.as_deref()))
        .collect();
    assert_eq!(told, [("2", None), ("1", Some("done"))]);

    assert_eq!(
        asked(&*store, "k", "r", noon()).await,
        Answered::Given(answer)
    );
    assert_eq!(
        asked(&*store, "k", "other", noon()).await,
        Answered::Another
    );
    let later = noon() + MINUTE * 3;
    assert_eq!(
        asked(&*store, "lost", "r", later).await,
        Answered::NotYet,
        "who took it has crashed"
    );
    let next_day = noon() + SignedDuration::from_hours(25);
    assert_eq!(asked(&*store, "k", "r", next_day).await, Answered::NotYet);

    let found = async |at| store.session("s".into(), at).await.unwrap();
    assert_eq!(found(noon()).await, Some(session));
    assert_eq!(found(noon() + MINUTE).await, None, "it is over");
    store.end_session("s".into()).await.unwrap();
    assert_eq!(found(noon()).await, None);
}

/// Most of them over; what is rare lies at the far end.
const CROWD: &str = "
INSERT INTO incidents (incident_id, kind, phase, status, verified, untold, episode, opened_at,
                       changed_at, labels, profile)
{n} SELECT 'i' || i, 'incident', CASE WHEN i % 50 = 0 THEN 'firing'
  ELSE 'resolved' END, 'S', {true}, {false}, 1, i, i,
       '{\"app_key\":\"com.example.app' || (i % 9) || '\",\"severity\":\"' || CASE
         WHEN i = 7 THEN 'critical' ELSE 'warning' END
       || '\",\"metric\":\"Jira Installation Callback Success Rate\",'
       || '\"sli\":\"installation_callback\"}',
       'atlassian-sli'
FROM n;
INSERT INTO mails (ingress, arrived_at, size, sha256, authenticity, outcome, incident, decided_at,
                   labels, profile)
SELECT 'mail', id, 1, '',
  '{\"verdict\":\"pass\",\"evidence\":null,\"domain\":null,\"detail\":null}', 'opened', id, id,
    labels,
       profile FROM incidents;
INSERT INTO deliveries (mail, incident, episode, receiver, integration, action, alias,
                        notification, state, step, created_at,
                        settled_at)
SELECT id, id, 1, 'oncall', 'stdout/0', 'trigger', 'a', '{}', 'delivered', '{}', id, id
FROM incidents;
";

async fn of_a_hundred_thousand_incidents_every_list_answers_at_once(home: Home) {
    const INCIDENTS: &str = "100000";
    let store = home.open().await;
    match &home {
        Home::Folder(folder) => {
            let numbers = format!(
                "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n
                                          WHERE i < {INCIDENTS})"
            );
            let crowd = CROWD
                .replace("{n}", &numbers)
                .replace("{true}", "1")
                .replace("{false}", "0");
            Connection::open(folder.path().join("store.db"))
                .unwrap()
                .execute_batch(&crowd)
                .unwrap();
        }
        Home::Database(database) => {
            let numbers = format!("WITH n AS (SELECT i FROM generate_series(1, {INCIDENTS}) AS i)");
            let crowd = CROWD
                .replace("{n}", &numbers)
                .replace("{true}", "true")
                .replace("{false}", "false");
            database.client().await.batch_execute(&crowd).await.unwrap();
        }
    }

    let store = &*store;
    let filters = [
        IncidentFilter::default(),
        IncidentFilter {
            phase: Some(Phase::Firing),
            ..IncidentFilter::default()
        },
        IncidentFilter {
            severity: Some("critical".into()),
            ..IncidentFilter::default()
        },
        IncidentFilter {
            receiver: Some("nobody".into()),
            ..IncidentFilter::default()
        },
        IncidentFilter {
            text: Some("no such text".into()),
            ..IncidentFilter::default()
        },
    ];
    for filter in filters {
        let (mut times, mut found, mut span) = (Vec::new(), 0, Span::first(100));
        loop {
            let begun = Instant::now();
            let stretch = store.browse_incidents(filter.clone(), span).await.unwrap();
            times.push(begun.elapsed());
            found += stretch.items.len();
            match stretch.next {
                Some(next) if times.len() < 40 => span.before = next,
                _ => break,
            }
        }
        times.sort();
        let p95 = times[times.len() * 95 / 100];
        println!(
            "{filter:?}: {found} found in {} stretches, p95 {p95:?}",
            times.len()
        );
        assert!(p95.as_millis() < 100, "{filter:?}: {p95:?}");
        if filter.severity.is_some() {
            assert_eq!(found, 1, "the far end is reached");
        }
    }

    for _ in 0..3 {
        let begun = Instant::now();
        store
            .browse_mails(MailFilter::default(), Span::first(100))
            .await
            .unwrap();
        store
            .browse_deliveries(DeliveryFilter::default(), Span::first(100))
            .await
            .unwrap();
        store.backlogs().await.unwrap();
        store.pulse().await.unwrap();
        println!(
            "mails, deliveries, backlogs and pulse: {:?}",
            begun.elapsed()
        );
        assert!(begun.elapsed().as_millis() < 400);
    }
}
