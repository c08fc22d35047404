//! What the bridge tells of itself.

use super::*;
use crate::dovecot::{Dovecot, PASSWORD};
use alertbridge::ingress::imap::Tls;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_login_is_told_once_over_a_restart_and_its_end_too() {
    let (folder, pager) = (tempfile::tempdir().unwrap(), PagerDuty::start().await);
    let dovecot = Dovecot::start();
    dovecot.write_password("wrong");
    let mailbox = dovecot.settings(Tls::Implicit);
    let imap = format!(
        "  imap: [{{ name: box, host: localhost, port: {}, ca_file: '{}', username: {}, \
         password_file: '{}' }}]",
        mailbox.port.unwrap(),
        mailbox.ca_file.unwrap().display(),
        mailbox.username,
        mailbox.password_file.unwrap().display()
    );
    let config = config("127.0.0.1:1", folder.path(), &pager, "}", &imap);
    let mut bridge = Bridge::start(folder.path(), &config);
    until(&bridge, "the refused login is told", || {
        told(&pager) == ["trigger self:ingress:box"]
    })
    .await;
    let title = pager.pages()[0].title.clone();
    assert!(
        title.starts_with("alertbridge: ingress box cannot log in"),
        "{title}"
    );
    let listed = bridge.command(&["incidents", "list", "--open", "--json"]);
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!(
        (&listed[0]["kind"], &listed[0]["incident_id"]),
        (&json!("self"), &json!("self:ingress:box"))
    );
    bridge.kill();
    let bridge = Bridge::start(folder.path(), &config);
    dovecot.write_password(PASSWORD);
    until(&bridge, "its end is told", || {
        pager.open_alerts().is_empty()
    })
    .await;
    assert_eq!(
        told(&pager),
        ["trigger self:ingress:box", "resolve self:ingress:box"]
    );
    assert_eq!(pager.repeats(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_letters_are_told_once_and_their_end_too() {
    let (zone, folder, pager) = (
        zone(),
        tempfile::tempdir().unwrap(),
        PagerDuty::start().await,
    );
    let bridge = Bridge::start(
        folder.path(),
        &config(&zone.address, folder.path(), &pager, "}", ""),
    );
    for n in 0..3 {
        pager.fail_next(1, 400, &[]);
        assert_eq!(
            bridge
                .post(&genuine("ANOMALOUS", &format!("i{n}"), in_minutes(0)))
                .await
                .unwrap(),
            202
        );
        bridge.settled(n + 1).await;
        until(&bridge, "the dead letters are told", || {
            told(&pager) == ["trigger self:dead-letters"]
        })
        .await;
    }
    assert!(
        bridge
            .command(&["deliveries", "retry", "--dead"])
            .status
            .success()
    );
    until(&bridge, "their end is told", || {
        told(&pager) == ["trigger self:dead-letters", "resolve self:dead-letters"]
    })
    .await;
    assert_eq!(pager.open_alerts(), ["i0:oncall", "i1:oncall", "i2:oncall"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pager_that_refuses_everything_is_told_of_itself_once() {
    let (zone, folder, pager) = (
        zone(),
        tempfile::tempdir().unwrap(),
        PagerDuty::start().await,
    );
    let bridge = Bridge::start(
        folder.path(),
        &config(&zone.address, folder.path(), &pager, "}", ""),
    );
    pager.fail_next(1000, 400, &[]);
    assert_eq!(
        bridge
            .post(&genuine("ANOMALOUS", "a", in_minutes(0)))
            .await
            .unwrap(),
        202
    );
    let dead = || {
        let listed = bridge.command(&["deliveries", "list", "--state", "dead", "--json"]);
        serde_json::from_slice::<Vec<Value>>(&listed.stdout)
            .unwrap()
            .len()
    };
    until(&bridge, "the page and what tells of it are dead", || {
        dead() == 2
    })
    .await;
    // Some looks later.
    let looks = Instant::now() + Duration::from_secs(12);
    until(&bridge, "time passes", || Instant::now() > looks).await;
    assert_eq!(dead(), 2, "a dead page of its own raises nothing new");
}
