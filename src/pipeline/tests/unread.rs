//! Tests alerts that cannot be read: a storm of the same alert pages once, a copy of a mail never
//! pages again, and the next outage in the same words does.

use super::{
    profiles::{PROFILES, from},
    *,
};
use crate::{message::Outcome, store::MailRow};

/// Returns a mail that its profile cannot read, sent at a minute after midnight.
fn unreadable(minute: i64) -> Vec<u8> {
    from("am@example.com", "list", minute * 60, "All is lost.")
}

impl Night {
    async fn arrives(&self, raw: Vec<u8>, minute: i64) -> MailRow {
        *self.now.lock().unwrap() = midnight() + SignedDuration::from_mins(minute);
        let id = self.take(raw).await;
        self.store.mail(id).await.unwrap().unwrap().0
    }
}

#[tokio::test]
async fn an_alert_that_cannot_be_read_is_told_again_hours_later_and_a_copy_of_its_mail_never() {
    let night = Night::under(PROFILES);
    for (sent, arrives, expected) in [
        (0, 0, Outcome::Unparsed),
        (1, 1, Outcome::Duplicate),
        (230, 230, Outcome::Duplicate),
        // Repeats postpone nothing: the alert is told again while it goes on.
        (240, 240, Outcome::Unparsed),
        (241, 241, Outcome::Duplicate),
        // A copy of a mail has that mail's Date, whenever it arrives.
        (0, 700, Outcome::Duplicate),
        (1, 700, Outcome::Duplicate),
        (240, 700, Outcome::Duplicate),
        (7 * 24 * 60, 7 * 24 * 60, Outcome::Unparsed),
        (240, 7 * 24 * 60 + 1, Outcome::Duplicate),
        // A Date from a clock that is ahead counts as the mail's arrival.
        (9 * 24 * 60, 7 * 24 * 60 + 2, Outcome::Duplicate),
        (7 * 24 * 60 + 300, 7 * 24 * 60 + 300, Outcome::Unparsed),
    ] {
        let row = night.arrives(unreadable(sent), arrives).await;
        assert_eq!(
            row.outcome, expected,
            "sent {sent}, arrives {arrives}: {:?}",
            row.reason
        );
        if expected == Outcome::Duplicate {
            let reason = "an alert that reads the same was told within 4 hours of it";
            assert_eq!(row.reason.as_deref(), Some(reason));
        }
    }
    assert_eq!(night.delivered().await.len(), 4);
}

#[tokio::test]
async fn without_a_date_an_alert_that_cannot_be_read_is_as_old_as_its_arrival() {
    let night = Night::under(PROFILES);
    let undated = b"From: am@example.com\r\nSubject: list\r\n\r\nAll is lost.\r\n";
    for (arrives, expected) in [
        (0, Outcome::Unparsed),
        (200, Outcome::Duplicate),
        (240, Outcome::Unparsed),
    ] {
        let row = night.arrives(undated.to_vec(), arrives).await;
        assert_eq!(row.outcome, expected, "{arrives}");
    }
}

#[tokio::test]
async fn atlassians_own_mail_that_cannot_be_read_is_told_again_hours_later_too() {
    let night = Night::under(PROFILES);
    let mail = |minute: i64| {
        let date = (midnight() + SignedDuration::from_mins(minute)).strftime("%a, %d %b %Y %T");
        format!(
            "From: no-reply@am.atlassian.com\r\nSubject: x\r\nDate: {date} +0000\r\n\
             MIME-Version: 1.0\r\nContent-Type: text/html\r\n\r\n\
             <script type=\"application/json\" id=\"incident-data\">{{\"incidentId\": \"i\"}}\
             </script>\r\n"
        )
        .into_bytes()
    };
    for (minute, expected) in [
        (0, Outcome::Unparsed),
        (10, Outcome::Duplicate),
        (300, Outcome::Unparsed),
    ] {
        let row = night.arrives(mail(minute), minute).await;
        assert_eq!(row.outcome, expected, "{minute}: {:?}", row.reason);
    }
}

#[tokio::test]
async fn an_alert_that_cannot_be_read_and_came_too_late_hides_no_later_one() {
    let night = Night::under(PROFILES);
    let row = night.arrives(unreadable(0), 2 * 24 * 60).await;
    assert_eq!(row.outcome, Outcome::Expired);
    let row = night.arrives(unreadable(24 * 60 + 1), 2 * 24 * 60).await;
    assert_eq!(row.outcome, Outcome::Unparsed, "{:?}", row.reason);
    let again = 5 * 24 * 60;
    let row = night.arrives(unreadable(3 * 24 * 60), again).await;
    assert_eq!(row.outcome, Outcome::Expired);
    let row = night.arrives(unreadable(again), again).await;
    assert_eq!(row.outcome, Outcome::Unparsed, "{:?}", row.reason);
}

#[tokio::test]
async fn what_a_person_ended_is_told_by_the_next_mail_and_not_by_copies() {
    let night = Night::under(PROFILES);
    night.arrives(unreadable(0), 0).await;
    night.pass(10);
    let told = night.delivered().await;
    let (incident, _) = night
        .store
        .timeline(&told[0].incident)
        .await
        .unwrap()
        .unwrap();
    let rules = Arc::clone(&night.pipeline.in_force().rules);
    resolve_by_hand(&*night.store, rules, &incident, "ann", night.now())
        .await
        .unwrap();
    for (sent, expected) in [
        (0, Outcome::Duplicate),
        (9, Outcome::Duplicate),
        (11, Outcome::Unparsed),
        (11, Outcome::Duplicate),
        (12, Outcome::Duplicate),
    ] {
        let row = night.arrives(unreadable(sent), 20).await;
        assert_eq!(row.outcome, expected, "{sent}: {:?}", row.reason);
    }
}

#[tokio::test]
async fn an_unproven_alert_that_cannot_be_read_pages_as_seldom() {
    let night = Night::under(PROFILES);
    for (minute, expected) in [
        (0, Outcome::Unparsed),
        (1, Outcome::Duplicate),
        (241, Outcome::Unparsed),
        (242, Outcome::Duplicate),
    ] {
        let mail = from("mail@strict.example", "list", minute * 60, "All is lost.");
        let row = night.arrives(mail, minute).await;
        assert_eq!(row.outcome, expected, "{minute}: {:?}", row.reason);
    }
}

#[tokio::test]
async fn what_a_mute_holds_of_an_alert_that_cannot_be_read_is_told_once_at_its_end() {
    let muted = PROFILES.replacen(
        "route:\n  receiver: chat\n  routes:\n",
        "time_intervals: [{ name: night, time_intervals: [{ times: [{ start_time: '00:00', \
         end_time: '10:00' }] }] }]\nroute:\n  receiver: chat\n  routes:\n    - { receiver: chat, \
         matchers: ['kind=unparsed'], mute_time_intervals: [night] }\n",
        1,
    );
    let night = Night::under(&muted);
    for minute in [10, 20, 300, 310, 550] {
        night.arrives(unreadable(minute), minute).await;
        assert_eq!(night.delivered().await, []);
    }
    night.pass(60);
    night.sweep().await;
    assert_eq!(night.delivered().await.len(), 1);
}
