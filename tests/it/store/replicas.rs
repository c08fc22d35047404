//! What replicas must not do twice that look at the same thing in the same instant; and what one
//! database is asked.

use alertbridge::{
    message::{Hold, Verdict},
    store::{
        Intake as _, Memory,
        audit::Extent,
        postgres::{self, Address},
    },
};
use futures_util::future::join_all;

use super::*;

const REPLICAS: usize = 3;

async fn replicas(database: &Database) -> Vec<Arc<dyn Store>> {
    let opened = join_all((0..REPLICAS).map(|_| database.open())).await;
    opened
        .into_iter()
        .map(|store| Arc::new(store) as Arc<dyn Store>)
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_unverified_triggers_are_told_together_than_by_one() {
    const MOST: u64 = 5;
    let database = Database::create().await;
    let replicas = replicas(&database).await;
    let decided = (0..30).map(|number: usize| {
        let store = Arc::clone(&replicas[number % REPLICAS]);
        async move {
            let id = recorded(&*store).await;
            let subject = Subject {
                verified: false,
                ..subject(&format!("i{number}"), "X")
            };
            let decide = Box::new(|memory: &Memory| {
                if memory.marked >= MOST {
                    let held = decision(Outcome::Quarantined, state(Phase::Firing, 1), vec![]);
                    return Decision {
                        state: None,
                        applied: false,
                        hold: Some(Hold::Flood),
                        ..held
                    };
                }
                Decision {
                    marked: true,
                    ..decision(Outcome::Opened, state(Phase::Firing, 1), vec![])
                }
            });
            store
                .decide(id, Some(subject), noon(), decide)
                .await
                .unwrap()
                .unwrap()
                .marked
        }
    });
    let told = join_all(decided)
        .await
        .into_iter()
        .filter(|marked| *marked)
        .count();
    assert_eq!(told as u64, MOST);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_others_have_yet_to_decide_is_seen_by_who_has_a_later_mail_and_decided_once() {
    let database = Database::create().await;
    let replicas = replicas(&database).await;
    let mut ids = Vec::new();
    for number in 0..6 {
        ids.push(recorded(&*replicas[number % 2]).await);
    }
    let [own, other] = [&replicas[0], &replicas[1]];
    assert_eq!(own.ahead(ids[5]).await.unwrap(), [ids[1], ids[3]]);
    assert_eq!(other.ahead(ids[5]).await.unwrap(), [ids[0], ids[2], ids[4]]);
    assert_eq!(replicas[2].ahead(ids[2]).await.unwrap(), ids[..2]);
    // One waits for its authenticity, one is held for a person, one is decided: nobody waits for
    // them.
    let waits = Decision {
        state: None,
        applied: false,
        check_at: Some(noon()),
        ..decision(Outcome::Pending, state(Phase::Firing, 1), vec![])
    };
    let held = Decision {
        check_at: None,
        outcome: Outcome::Quarantined,
        ..waits.clone()
    };
    own.decide(ids[0], None, noon(), Box::new(|_| waits))
        .await
        .unwrap();
    own.decide(ids[1], None, noon(), Box::new(|_| held))
        .await
        .unwrap();
    let opens = decision(Outcome::Opened, state(Phase::Firing, 1), vec![]);
    let decided = [own, other].map(|replica| {
        let opens = opens.clone();
        replica.decide(ids[2], Some(subject("a", "X")), noon(), Box::new(|_| opens))
    });
    assert_eq!(
        join_all(decided)
            .await
            .into_iter()
            .filter_map(Result::unwrap)
            .count(),
        1
    );
    assert_eq!(replicas[2].ahead(MailId::MAX).await.unwrap(), ids[3..]);
    let read = replicas[2].undecided_among(ids.clone()).await.unwrap();
    assert_eq!(
        read.iter().map(|mail| mail.id).collect::<Vec<_>>(),
        ids[3..]
    );
}

/// Whatever locks it may be undone: a replica that passed it over would decide what came after it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_does_not_pass_over_a_mail_of_its_own_that_is_locked() {
    let database = Database::create().await;
    let [own, other] = [(); 2].map(|()| database.open());
    let own = own.await;
    let other = other.await.with_hold(Duration::ZERO);
    let ids = [
        recorded(&own).await,
        recorded(&other).await,
        recorded(&own).await,
        recorded(&other).await,
    ];
    let mut client = database.client().await;
    let transaction = client.transaction().await.unwrap();
    let lock = "SELECT 1 FROM mails WHERE id = ANY ($1) FOR NO KEY UPDATE";
    let locked = [ids[0], ids[1]].to_vec();
    transaction.query(lock, &[&locked]).await.unwrap();
    let read = own.undecided(0, 10).await.unwrap();
    let read: Vec<_> = read.iter().map(|mail| mail.id).collect();
    assert_eq!(read, [ids[0], ids[2], ids[3]], "another's is left to it");
    assert_eq!(own.ahead(MailId::MAX).await.unwrap(), [ids[1]]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mail_that_is_due_is_reconsidered_by_one_of_those_who_looked_at_it() {
    let database = Database::create().await;
    let replicas = replicas(&database).await;
    let id = recorded(&*replicas[0]).await;
    let waits = Decision {
        state: None,
        applied: false,
        check_at: Some(noon()),
        ..decision(Outcome::Pending, state(Phase::Firing, 1), vec![])
    };
    replicas[0]
        .decide(id, None, noon(), Box::new(|_| waits))
        .await
        .unwrap();
    for store in &replicas {
        assert_eq!(store.due(noon(), 10).await.unwrap().len(), 1);
    }
    let reconsidered = replicas.iter().map(|store| async move {
        // Checked, it is to be checked once more, later.
        let again = Decision {
            check_at: Some(noon() + MINUTE),
            ..decision(
                Outcome::Opened,
                state(Phase::Firing, 1),
                vec![page("a", Action::Trigger, "one")],
            )
        };
        let found = Authenticity::unproven(Verdict::TempError, "again");
        store
            .reconsider(
                id,
                found,
                Some(subject("a", "X")),
                noon(),
                Box::new(|_| again),
            )
            .await
            .unwrap()
    });
    let reconsidered = join_all(reconsidered).await;
    assert_eq!(reconsidered.iter().flatten().count(), 1);
    assert_eq!(replicas[1].deliveries(None, 10).await.unwrap().len(), 1);
    assert_eq!(
        replicas[2].due(noon() + MINUTE, 10).await.unwrap()[0].checks,
        1
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_all_see_of_the_bridge_is_told_by_the_first() {
    let database = Database::create().await;
    let replicas = replicas(&database).await;
    let announced = replicas.iter().map(|store| async move {
        let own = Subject {
            kind: Kind::Own,
            time: None,
            ..subject("self:x", "FIRING")
        };
        let decide = Box::new(|memory: &Memory| match &memory.known.state {
            None => Decision {
                applied: false,
                ..decision(
                    Outcome::Opened,
                    state(Phase::Firing, 1),
                    vec![page("self:x", Action::Trigger, "one")],
                )
            },
            Some(_) => Decision {
                applied: false,
                state: None,
                ..decision(Outcome::Duplicate, state(Phase::Firing, 1), vec![])
            },
        });
        let item = Item::about(own, decide, Mutes::default());
        store.announce(item, noon()).await.unwrap();
    });
    join_all(announced).await;
    assert_eq!(replicas[0].deliveries(None, 10).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_reads_everything_and_finds_what_is_wrong() {
    let database = Database::create().await;
    let address = Address::parse(&database.url()).unwrap();
    let store = database.open().await;
    opened(&store, "a", vec![page("a", Action::Trigger, "one")]).await;
    let mut read = 0;
    let (found, totals) = postgres::check(&address, noon(), Extent::Everything, |mails, _| {
        read = mails;
    })
    .await
    .unwrap();
    assert_eq!(
        (found, totals.mails, totals.deliveries, read),
        (vec![], 1, 1, 1)
    );
    let client = database.client().await;
    client
        .batch_execute("DELETE FROM deliveries; UPDATE mails SET sha256 = 'x'")
        .await
        .unwrap();
    let (found, _) = postgres::check(&address, noon(), Extent::Everything, |_, _| {})
        .await
        .unwrap();
    let found: Vec<_> = found.iter().map(|finding| finding.check).collect();
    assert_eq!(
        found,
        [
            "every page that was owed has a delivery",
            "mails are unchanged"
        ]
    );
}
