//! Tests a mail that arrives after a page became owed but before the sweep that would have told it.

use super::*;

const KNOWN: &str = "com.example.known";

/// Returns the receiver and the action of each page, except those for `off`, which only the tests
/// of random nights use.
fn said(pages: &[Page]) -> Vec<String> {
    let said = |page: &Page| format!("{} {}", page.receiver, page.action.as_str());
    let pages = pages.iter().filter(|page| page.receiver != "off");
    let mut said: Vec<_> = pages.map(said).collect();
    said.sort();
    said
}

#[tokio::test]
async fn a_resolve_right_after_the_end_of_a_silence_comes_after_what_that_held() {
    for expires in [false, true] {
        let mut night = Night::begin();
        let until = night.now() + SignedDuration::from_mins(5);
        let silence = night.silence("kind=incident", night.now(), until).await;
        let (opens, ends) = (
            night.mail("a", "ANOMALOUS", "warning", KNOWN),
            night.mail("a", "OK", "warning", KNOWN),
        );
        night.take(opens).await;
        night.sweep().await;
        assert_eq!(night.delivered().await, []);
        if expires {
            night.expire(silence).await;
        } else {
            night.pass(5);
        }
        night.take(ends).await;
        let told = [
            "chat resolve",
            "chat trigger",
            "night resolve",
            "night trigger",
        ];
        assert_eq!(said(&night.delivered().await), told, "expires: {expires}");
        night.sweep().await;
        assert_eq!(night.delivered().await, [], "once");
    }
}

#[tokio::test]
async fn a_resolve_while_the_silence_lasts_leaves_nothing_to_tell() {
    let mut night = Night::begin();
    let until = night.now() + SignedDuration::from_mins(5);
    night.silence("kind=incident", night.now(), until).await;
    for status in ["ANOMALOUS", "OK"] {
        let mail = night.mail("a", status, "critical", KNOWN);
        night.take(mail).await;
    }
    night.pass(5);
    night.sweep().await;
    assert_eq!(night.delivered().await, []);
}

#[tokio::test]
async fn what_the_silence_held_is_told_before_a_change_that_comes_right_after_its_end() {
    let mut night = Night::begin();
    let opens = night.mail("a", "ANOMALOUS", "warning", KNOWN);
    night.take(opens).await;
    assert_eq!(
        said(&night.delivered().await),
        ["chat trigger", "night trigger"]
    );
    let until = night.now() + SignedDuration::from_mins(5);
    night.silence("kind=incident", night.now(), until).await;
    let worse = night.mail("a", "ANOMALOUS", "critical", KNOWN);
    night.take(worse).await;
    night.pass(5);
    let better = night.mail("a", "ANOMALOUS", "warning", KNOWN);
    night.take(better).await;
    let told = [
        "chat change",
        "night change",
        "pager change",
        "pager trigger",
    ];
    assert_eq!(said(&night.delivered().await), told);
}

#[tokio::test]
async fn a_change_is_told_anew_to_nobody_whose_route_is_muted() {
    let mut night = Night::begin();
    night.pass(15);
    let opens = night.mail("a", "ANOMALOUS", "warning", KNOWN);
    night.take(opens).await;
    assert_eq!(
        said(&night.delivered().await),
        ["chat trigger", "night trigger"]
    );
    night.pass(10);
    let worse = night.mail("a", "ANOMALOUS", "critical", KNOWN);
    night.take(worse).await;
    assert_eq!(
        said(&night.delivered().await),
        ["chat change", "pager trigger"]
    );
    night.pass(15);
    night.sweep().await;
    assert_eq!(
        said(&night.delivered().await),
        ["night change"],
        "when the mute ends"
    );
}

#[tokio::test]
async fn a_mail_that_was_let_out_acts_before_one_that_comes_then() {
    let mut night = Night::begin();
    let opens = night.mail("a", "ANOMALOUS", "warning", "com.example.other");
    let held = night.take(opens).await;
    assert_eq!(night.delivered().await, []);
    let release = Release {
        by: "ann".into(),
        at: night.now(),
    };
    night.store.release_mail(held, release).await.unwrap();
    let ends = night.mail("a", "OK", "warning", KNOWN);
    night.take(ends).await;
    let told = [
        "chat resolve",
        "chat trigger",
        "night resolve",
        "night trigger",
    ];
    assert_eq!(said(&night.delivered().await), told);
    night.sweep().await;
    assert_eq!(night.delivered().await, [], "once");
}

#[tokio::test]
async fn to_whom_an_opening_was_never_told_the_next_is_the_first() {
    use crate::message::Outcome::{Opened, Reopened, Resolved};

    let mut night = Night::begin();
    let steps = [
        ("OK", Resolved),
        ("ANOMALOUS", Opened),
        ("OK", Resolved),
        ("ANOMALOUS", Reopened),
    ];
    for (status, expected) in steps {
        let mail = night.mail("a", status, "warning", KNOWN);
        let id = night.take(mail).await;
        let (row, _) = night.store.mail(id).await.unwrap().unwrap();
        assert_eq!(row.outcome, expected, "{status}");
        night.delivered().await;
    }
}
