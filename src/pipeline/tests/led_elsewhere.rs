//! Tests a page that a mute holds while the routes change: it follows the new routes.

use super::*;
use crate::message::Outcome;

const APP: &str = "com.example.known";

/// Returns a configuration that routes every alert to these receivers. If `muted`, `night` and
/// `off` sleep for the first hour.
fn leading(receivers: &[&str], muted: bool) -> String {
    let mute = if muted {
        ", mute_time_intervals: [sleep], on_mute: drop"
    } else {
        ""
    };
    let routes: Vec<_> = receivers
        .iter()
        .map(|receiver| {
            let mute = if *receiver == "chat" { "" } else { mute };
            format!("{{ receiver: {receiver}, continue: true{mute} }}")
        })
        .collect();
    let route = format!(
        "route: {{ receiver: pager, routes: [{}] }}\n",
        routes.join(", ")
    );
    let whole = sleeping(&[(0, 60)]);
    let (before, rest) = whole.split_once("route:").unwrap();
    let (_, receivers) = rest.split_once("receivers:").unwrap();
    format!("{before}{route}receivers:{receivers}")
}

/// Returns a night in which a page for `night` is held, and everybody else on call was told.
async fn held(receivers: &[&str]) -> Night {
    let held = leading(receivers, true).replace(", on_mute: drop", "");
    let mut night = Night::under(&held);
    let mail = night.mail("a", "ANOMALOUS", "critical", APP);
    night.take(mail).await;
    night.pass(10);
    let told = names(&told(&night).await);
    assert!(!told.contains(&"night".into()), "{told:?}");
    night
}

/// Returns the pages that have been told by now.
async fn told(night: &Night) -> Vec<Page> {
    night.sweep().await;
    night.delivered().await
}

fn names(pages: &[Page]) -> Vec<String> {
    pages.iter().map(|page| page.receiver.clone()).collect()
}

/// Ends the incident and returns the receivers that are told of it.
async fn ended(night: &mut Night) -> Vec<String> {
    let mail = night.mail("a", "OK", "critical", APP);
    night.take(mail).await;
    let pages = told(night).await;
    assert!(pages.iter().all(|page| page.action == Action::Resolve));
    names(&pages)
}

#[tokio::test]
async fn it_is_told_at_once_to_whom_they_lead_and_to_nobody_else() {
    for muted in [true, false] {
        let mut night = held(&["night"]).await;
        night.reload(&leading(&["chat"], muted)).await;
        let pages = told(&night).await;
        assert_eq!(names(&pages), ["chat"]);
        assert_eq!(pages[0].action, Action::Trigger);
        let again = night.mail("a", "ANOMALOUS", "critical", APP);
        night.take(again).await;
        night.pass(120);
        assert_eq!(told(&night).await, [], "it is told once");
        assert_eq!(ended(&mut night).await, ["chat"]);
    }
}

#[tokio::test]
async fn their_mutes_hold_it_on_and_drop_nothing() {
    let mut night = held(&["night"]).await;
    night.reload(&leading(&["off"], true)).await;
    assert_eq!(told(&night).await, []);
    night.pass(50);
    assert_eq!(names(&told(&night).await), ["off"]);
    assert_eq!(ended(&mut night).await, ["off"]);
}

#[tokio::test]
async fn routes_that_lead_back_lead_it_back() {
    let mut night = held(&["night"]).await;
    for receivers in [["off"], ["night"]] {
        night.reload(&leading(&receivers, true)).await;
        assert_eq!(told(&night).await, []);
    }
    night.pass(50);
    assert_eq!(names(&told(&night).await), ["night"]);
    assert_eq!(ended(&mut night).await, ["night"]);
}

#[tokio::test]
async fn whoever_was_told_is_not_told_again() {
    let mut night = held(&["night", "chat"]).await;
    night.reload(&leading(&["chat"], true)).await;
    night.pass(60);
    assert_eq!(told(&night).await, []);
    assert_eq!(ended(&mut night).await, ["chat"]);
}

#[tokio::test]
async fn what_is_over_by_then_is_told_to_nobody() {
    let mut night = held(&["night"]).await;
    assert_eq!(ended(&mut night).await, [""; 0]);
    night.reload(&leading(&["chat"], false)).await;
    night.pass(60);
    assert_eq!(told(&night).await, []);
}

#[tokio::test]
async fn a_silence_holds_it_on_and_at_its_end_it_goes_by_the_routes_of_that_time() {
    let mut night = held(&["night"]).await;
    let now = night.now();
    let until = now + SignedDuration::from_mins(20);
    night.silence("incident_id=a", now, until).await;
    night.reload(&leading(&["chat"], false)).await;
    assert_eq!(told(&night).await, []);
    night.pass(20);
    assert_eq!(names(&told(&night).await), ["chat"]);
    assert_eq!(ended(&mut night).await, ["chat"]);
}

#[tokio::test]
async fn a_mail_that_comes_first_finds_it_where_the_routes_lead() {
    let mut night = held(&["night"]).await;
    night.reload(&leading(&["chat"], false)).await;
    let again = night.mail("a", "ANOMALOUS", "critical", APP);
    night.take(again).await;
    assert_eq!(names(&told(&night).await), ["chat"]);
    assert_eq!(ended(&mut night).await, ["chat"]);
}

/// A half-written configuration may name a receiver before it says how to reach it.
#[tokio::test]
async fn what_a_receiver_without_integration_got_is_told_once_it_has_one() {
    let filled = leading(&["chat"], false);
    let (before, _) = filled.split_once("receivers:").unwrap();
    let emptied = format!("{before}receivers: [{{ name: pager }}, {{ name: chat }}]\n");

    let mut night = Night::under(&emptied);
    let mail = night.mail("a", "ANOMALOUS", "critical", APP);
    let id = night.take(mail).await;
    let (row, _) = night.store.mail(id).await.unwrap().unwrap();
    assert_eq!(row.outcome, Outcome::Silenced);
    assert_eq!(row.reason.as_deref(), Some("chat has no integration"));

    night.reload(&filled).await;
    let again = night.mail("a", "ANOMALOUS", "critical", APP);
    night.take(again).await;
    assert_eq!(names(&told(&night).await), ["chat"]);
    assert_eq!(ended(&mut night).await, ["chat"]);
}
