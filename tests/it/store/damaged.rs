//! Mail with damaged bytes, which must not keep others back.

use alertbridge::message::Release;

use super::*;

both!(a_damaged_mail_keeps_no_other_from_its_release_or_its_next_check);

/// Damages the stored bytes of a mail.
async fn damage(home: &Home, mail: MailId) {
    match home {
        Home::Folder(folder) => {
            let connection = rusqlite::Connection::open(folder.path().join("store.db")).unwrap();
            connection
                .execute("UPDATE bodies SET raw = x'00' WHERE mail = ?1", [mail])
                .unwrap();
        }
        Home::Database(database) => {
            let client = database.client().await;
            client
                .execute("UPDATE bodies SET raw = '\\x00' WHERE mail = $1", &[&mail])
                .await
                .unwrap();
        }
    }
}

async fn a_damaged_mail_keeps_no_other_from_its_release_or_its_next_check(home: Home) {
    let store = home.open().await;
    let store = store.as_ref();
    let mut held = Vec::new();
    for check_at in [None, None, Some(noon()), Some(noon())] {
        let quarantined = Decision {
            state: None,
            applied: false,
            check_at,
            ..decision(Outcome::Quarantined, state(Phase::Firing, 1), vec![])
        };
        let id = recorded(store).await;
        let status = Some(subject("a", "ANOMALOUS"));
        let decided = store.decide(id, status, noon(), Box::new(|_| quarantined));
        decided.await.unwrap().unwrap();
        held.push(id);
    }
    for id in &held[..2] {
        let release = Release {
            by: "ann".into(),
            at: noon(),
        };
        store.release_mail(*id, release).await.unwrap();
    }
    damage(&home, held[0]).await;
    damage(&home, held[2]).await;

    let ids = |mails: Vec<alertbridge::store::StoredMail>| {
        mails.into_iter().map(|mail| mail.id).collect::<Vec<_>>()
    };
    assert_eq!(ids(store.let_out(10).await.unwrap()), [held[1]]);
    assert_eq!(
        ids(store.due(noon(), 10).await.unwrap()),
        [held[1], held[3]]
    );
}
