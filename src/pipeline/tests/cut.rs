//! Tests that a mail of which only the header is left says why.

use super::{
    profiles::{PROFILES, from},
    *,
};
use crate::{
    message::Outcome,
    store::{Excess, MailRow, Spare},
};

impl Night {
    /// Takes the header of a mail that was over the size limit.
    async fn take_header(&self, raw: Vec<u8>) -> MailRow {
        let body_at = raw.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4;
        let message = Message {
            ingress: "hook".into(),
            arrived_at: self.now(),
            raw: raw[..body_at].to_vec().into(),
            cut_from: Some(20_000_000),
            withheld: None,
            envelope: None,
        };
        let ids = self.pipeline.accept(vec![message], None).await.unwrap();
        let never = CancellationToken::new();
        self.pipeline.catch_up(MailId::MAX, &never).await.unwrap();
        self.store.mail(ids[0]).await.unwrap().unwrap().0
    }
}

#[tokio::test]
async fn a_mail_whose_body_was_dropped_is_not_called_too_large() {
    let mut night = Night::begin();
    let mail = night.mail("inc-1", "ANOMALOUS", "critical", "com.example.known");
    night.take(mail.clone()).await;
    let id = night.take(mail).await;
    let excess = Excess {
        before: None,
        bytes: u64::MAX,
    };
    let cut = night.store.cut(Spare::Repeated, excess, night.now());
    assert_eq!(cut.await.unwrap().mails, 1, "the repeat");

    let (_, mut stored) = night.store.mail(id).await.unwrap().unwrap();
    let rules = Arc::clone(&night.pipeline.in_force().rules);
    let reason = |mail: &StoredMail| match rules.read(mail).findings.as_slice() {
        [Finding::Quarantined { reason }] => reason.clone(),
        other => panic!("{other:?}"),
    };
    let dropped = "its body was dropped at 2026-03-01T00:00:00Z to free space";
    assert!(reason(&stored).contains(dropped), "{}", reason(&stored));
    stored.cut_at = None;
    let reading = rules.read(&stored);
    let [Finding::Unreadable { reason, .. }] = reading.findings.as_slice() else {
        panic!("a mail over the size limit may be an alert");
    };
    assert!(reason.contains("over the size limit"), "{reason}");
}

#[tokio::test]
async fn a_senders_mail_over_the_size_limit_is_told_once_within_the_budget_and_no_others_is() {
    let night = Night::under(&PROFILES.replace(
        "alerts: { authenticity: { require: [] } }",
        "alerts: { authenticity: { require: [dkim], unverified: { max_per_hour: 3 } } }",
    ));
    for sender in [
        "no-reply@am.atlassian.com",
        "Somebody <NO-REPLY@am.atlassian.com>",
        "am@example.com",
        "mail@strict.example",
    ] {
        night.pass(61);
        for (second, expected) in [
            (1, Outcome::Unparsed),
            (1, Outcome::Duplicate),
            (2, Outcome::Unparsed),
            (3, Outcome::Unparsed),
            // More than the hourly limit of unproven triggers is held.
            (4, Outcome::Quarantined),
        ] {
            let row = night.take_header(from(sender, "list", second, "x")).await;
            assert_eq!(row.outcome, expected, "{sender} {second}: {:?}", row.reason);
            let reason = row.reason.unwrap();
            match expected {
                Outcome::Unparsed => assert!(reason.contains("look into the mailbox"), "{reason}"),
                Outcome::Quarantined => assert!(reason.contains("max_per_hour"), "{reason}"),
                _ => {}
            }
        }
        assert_eq!(night.delivered().await.len(), 3, "{sender}");
    }

    for sender in [
        "ann@example.org",
        "no-reply@example.com",
        "list@other.example",
    ] {
        let row = night.take_header(from(sender, "list", 5, "x")).await;
        assert_eq!(row.outcome, Outcome::Ignored, "{sender}: {:?}", row.reason);
    }
    assert_eq!(night.delivered().await, []);
}
