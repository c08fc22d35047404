//! Mails whose time is their Date.

use super::*;

/// A sender whose mails state a time only in their Date, and are all distinct.
#[derive(Default)]
pub(super) struct Dated(Known);

impl Dated {
    pub(super) fn sees(&mut self, signal: Signal, seconds: i64) -> &'static str {
        let seen = Observation {
            signal,
            status: format!("{signal:?}").to_uppercase(),
            time: Some(at(seconds)),
            by_date: true,
            verified: true,
            fresh: true,
            values: Values::new(),
        };
        let (name, state) = match transition(&self.0, &seen) {
            Transition::Opened(state) => ("opened", Some(state)),
            Transition::Reopened(state) => ("reopened", Some(state)),
            Transition::Continued(state) => ("updated", Some(state)),
            Transition::Resolved(state) => ("resolved", Some(state)),
            Transition::Duplicate { advance, .. } => ("duplicate", advance),
            Transition::Stale { .. } => ("stale", None),
            Transition::Ignored { .. } => ("ignored", None),
            other => panic!("{other:?}"),
        };
        if let Some(state) = state {
            self.0.state = Some(state);
        }
        name
    }
}

#[test]
fn of_two_mails_of_one_second_the_later_arrival_is_newer() {
    let mut sender = Dated::default();
    assert_eq!(sender.sees(Signal::Resolve, 0), "resolved");
    assert_eq!(sender.sees(Signal::Trigger, 0), "reopened");
    assert_eq!(sender.sees(Signal::Trigger, 0), "duplicate");
    assert_eq!(sender.sees(Signal::Resolve, 0), "resolved");
    assert_eq!(sender.sees(Signal::Trigger, -1), "stale");
}

#[test]
fn news_is_told_while_the_incident_is_open_and_changes_nothing() {
    let mut sender = Dated::default();
    assert_eq!(sender.sees(Signal::Update, 0), "ignored");
    assert_eq!(sender.sees(Signal::Trigger, 1), "opened");
    assert_eq!(sender.sees(Signal::Update, 2), "updated");
    assert_eq!(sender.sees(Signal::Update, 3), "updated", "each is news");
    let state = sender.0.state.clone().unwrap();
    assert_eq!((state.phase, &*state.status), (Phase::Firing, "TRIGGER"));
    assert_eq!(sender.sees(Signal::Trigger, 4), "duplicate");
    assert_eq!(sender.sees(Signal::Update, 3), "stale");
    assert_eq!(sender.sees(Signal::Resolve, 5), "resolved");
    assert_eq!(sender.sees(Signal::Update, 6), "ignored");
}
