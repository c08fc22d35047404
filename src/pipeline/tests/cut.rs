//! Tests that a mail of which only the header is left says why.

use super::*;
use crate::store::{Excess, Spare};

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
    assert!(reason(&stored).contains("over the size limit"));
}
