//! Mail that does not come.

use super::*;

const JOB: &str = "
alerts: { authenticity: { require: [] } }
ingress: { webhook: [{ name: hook }] }
profiles:
  - name: job
    match: { from: [job@example.com] }
    fields: { key: nightly, status: \"{{ pairs['Status'] }}\", time: \"{{ pairs['Since'] }}\" }
    status: { resolve: [OK], ignore: [DONE] }
    resolve_after: 2h
    expect: { every: 60m, grace: 10m, key: report }
route: { receiver: root, routes: [{ matchers: ['kind=\"missing\"'], receiver: pager }] }
receivers: [{ name: root, stdout_configs: [{}] }, { name: pager, stdout_configs: [{}] }]
";

const MISSING: &str = "trigger job:report pager";
const ARRIVED: &str = "resolve job:report pager";

#[tokio::test]
async fn mail_that_did_not_come_is_an_incident_until_it_comes() {
    let mut night = Night::under(JOB);
    night.works("imap");
    night.pass(69).await;
    assert!(
        night.told_of("job:report").await.is_empty(),
        "expected since the start"
    );
    night.mail("DONE").await;
    night.pass(69).await;
    assert!(
        night.told_of("job:report").await.is_empty(),
        "mail of no alert is mail"
    );

    night.restart();
    night.works("imap");
    night.pass(2).await;
    assert_eq!(
        night.told_of("job:report").await,
        [MISSING],
        "a restart forgets nothing"
    );
    night.pass(100).await;
    assert_eq!(
        night.told_of("job:report").await,
        [MISSING],
        "it is told once"
    );

    night.mail("DONE").await;
    night.pass(1).await;
    assert_eq!(night.told_of("job:report").await, [MISSING, ARRIVED]);
    night.pass(80).await;
    assert_eq!(
        night.told_of("job:report").await,
        [MISSING, ARRIVED, MISSING]
    );

    night.reload(CONFIGURATION);
    night.pass(1).await;
    let told = night.told_of("job:report").await;
    assert_eq!(told.last().unwrap(), ARRIVED, "it is expected no longer");
}

#[tokio::test]
async fn mail_that_stays_away_after_a_resolve_by_hand_is_missing_again_a_period_later() {
    for restarts in [false, true] {
        let mut night = Night::under(JOB);
        night.works("imap");
        night.pass(100).await;
        let mut told = vec![MISSING];
        for _ in 0..2 {
            let rules = Arc::clone(&night.watch.in_force.borrow().rules);
            let (missing, _) = night.desk.timeline("job:report").await.unwrap().unwrap();
            resolve_by_hand(&*night.watch.intake, rules, &missing, "ann", night.now())
                .await
                .unwrap();
            told.push(ARRIVED);
            if restarts {
                night.restart();
                night.works("imap");
            }
            night.pass(69).await;
            assert_eq!(night.told_of("job:report").await, told);
            night.pass(2).await;
            told.push(MISSING);
            assert_eq!(night.told_of("job:report").await, told);
        }
    }
}

#[tokio::test]
async fn nothing_is_missing_while_it_may_lie_in_a_mailbox_that_was_not_read() {
    for says_so in [true, false] {
        let mut night = Night::under(JOB);
        night.works("imap");
        night.pass(65).await;
        night.restart();
        if says_so {
            night.watch.health.failed("imap", "no route", false);
        }
        night.pass(10).await;
        assert!(night.told_of("job:report").await.is_empty());
        night.pass(10).await;
        let told = night.told_of("job:report").await;
        assert!(told.contains(&MISSING.to_owned()), "not for ever: {told:?}");
    }
}

#[tokio::test]
async fn nothing_ends_after_a_start_before_the_mailbox_is_read_and_its_mail_decided() {
    let mut night = Night::under(JOB);
    night.works("imap");
    night.mail("BAD").await;
    night.pass(100).await;
    // The bridge is down while the incident would end, and its next mail comes meanwhile.
    *night.now.lock().unwrap() += SignedDuration::from_mins(60);
    night.restart();
    night.look().await;
    let undecided = night.record("BAD").await;
    night.works("imap");
    night.look().await;
    assert_eq!(night.told_of("job:nightly").await.len(), 1, "not ended");
    night.decide(undecided).await;
    night.pass(100).await;
    assert_eq!(
        night.told_of("job:nightly").await.len(),
        1,
        "heard of again"
    );
}

#[tokio::test]
async fn an_incident_that_is_heard_of_no_longer_ends_by_itself() {
    const OPENED: &str = "trigger job:nightly root";
    const ENDED: &str = "resolve job:nightly root";
    let mut night = Night::under(JOB);
    night.works("imap");
    night.mail("BAD").await;
    night.pass(100).await;
    // The same mail again, with the same time, shows that the incident goes on.
    night.mail("BAD").await;
    night.restart();
    night.works("imap");
    night.pass(119).await;
    assert_eq!(night.told_of("job:nightly").await, [OPENED]);
    night.pass(2).await;
    assert_eq!(night.told_of("job:nightly").await, [OPENED, ENDED]);
    night.pass(200).await;
    assert_eq!(night.told_of("job:nightly").await, [OPENED, ENDED]);
}
