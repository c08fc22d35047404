use proptest::prelude::*;

use super::*;

mod dated;

use dated::Dated;

/// Applies mails to one incident, as the store would.
#[derive(Default)]
struct Play {
    known: Known,
    applied: Vec<(String, Option<Timestamp>, bool)>,
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + seconds).unwrap()
}

impl Play {
    fn sees(&mut self, status: &str, seconds: i64) -> &'static str {
        self.observes(status, seconds, true, true)
    }

    fn observes(
        &mut self,
        status: &str,
        seconds: i64,
        fresh: bool,
        verified: bool,
    ) -> &'static str {
        self.observes_as("warning", status, seconds, fresh, verified)
    }

    fn observes_as(
        &mut self,
        severity: &str,
        status: &str,
        seconds: i64,
        fresh: bool,
        verified: bool,
    ) -> &'static str {
        let values = Values::from([("severity".to_owned(), severity.to_owned())]);
        let seen = Observation {
            signal: Statuses::default().signal(status),
            status: normalize_status(status),
            time: Some(at(seconds)),
            by_date: false,
            verified,
            fresh,
            values: values.clone(),
        };
        let applied = |by| self.applied.contains(&(seen.status.clone(), seen.time, by));
        self.known.applied_before = applied(true) || !verified && applied(false);
        let transition = transition(&self.known, &seen);
        let (name, state) = match transition {
            Transition::Opened(state) => ("opened", Some(state)),
            Transition::Reopened(state) => ("reopened", Some(state)),
            Transition::Updated(state) | Transition::Continued(state) => ("updated", Some(state)),
            Transition::Changed(state) => ("changed", Some(state)),
            Transition::Resolved(state) => ("resolved", Some(state)),
            Transition::Expired(state) => ("expired", Some(state)),
            Transition::Duplicate { advance, .. } => ("duplicate", advance),
            Transition::Stale { .. } => return "stale",
            Transition::Ignored { .. } => return "ignored",
        };
        let kept = self.known.keeps(&seen);
        self.applied.push((seen.status, seen.time, verified));
        if let Some(state) = state.filter(|_| kept) {
            let tells = ["opened", "reopened", "updated", "changed"].contains(&name);
            let told = if tells { values } else { state.told.clone() };
            self.known.state = Some(State { told, ..state });
        }
        name
    }

    fn silenced(&mut self) {
        if let Some(state) = &mut self.known.state {
            state.untold = true;
        }
    }
}

#[test]
fn a_trigger_opens_and_its_resolve_ends_it() {
    let mut play = Play::default();
    assert_eq!(play.sees("ANOMALOUS", 0), "opened");
    assert_eq!(play.sees("OK", 60), "resolved");
}

#[test]
fn the_same_mail_again_is_a_duplicate_in_every_phase() {
    let mut play = Play::default();
    play.sees("ANOMALOUS", 0);
    assert_eq!(play.sees("ANOMALOUS", 0), "duplicate");
    play.sees("OK", 60);
    assert_eq!(play.sees("ANOMALOUS", 0), "duplicate");
    assert_eq!(play.sees("OK", 60), "duplicate");
}

#[test]
fn a_reminder_is_a_duplicate_and_advances_the_clock() {
    let mut play = Play::default();
    play.sees("ANOMALOUS", 0);
    assert_eq!(play.sees("ANOMALOUS", 100), "duplicate");
    assert_eq!(play.sees("OK", 50), "stale", "older than the reminder");
    assert_eq!(play.sees("OK", 150), "resolved");
}

#[test]
fn a_late_trigger_never_reopens_a_resolved_incident() {
    let mut play = Play::default();
    assert_eq!(play.sees("OK", 60), "resolved");
    assert_eq!(play.sees("ANOMALOUS", 0), "stale");
    assert_eq!(
        play.sees("ANOMALOUS", 60),
        "stale",
        "as old as the resolve is not newer"
    );
}

#[test]
fn a_newer_trigger_reopens_and_begins_another_episode() {
    let mut play = Play::default();
    play.sees("ANOMALOUS", 0);
    play.sees("OK", 60);
    assert_eq!(play.sees("ANOMALOUS", 61), "reopened");
    assert_eq!(play.known.state.as_ref().unwrap().episode, 2);
    assert_eq!(play.sees("OK", 90), "resolved");
}

#[test]
fn every_way_of_ending_is_one_end() {
    for status in [
        "OK",
        "AUTO_RESOLVED",
        "MANUALLY_RESOLVED",
        "manually resolved",
        "Stopped",
        " ok ",
    ] {
        let mut play = Play::default();
        play.sees("ANOMALOUS", 0);
        assert_eq!(play.sees(status, 60), "resolved", "{status}");
        assert_eq!(
            play.sees("STOPPED", 70),
            "duplicate",
            "{status} then STOPPED"
        );
    }
}

#[test]
fn a_resolve_at_the_very_time_of_its_trigger_still_ends_it() {
    let mut play = Play::default();
    play.sees("ANOMALOUS", 0);
    assert_eq!(play.sees("OK", 0), "resolved");
}

#[test]
fn an_unknown_status_is_told_once_and_its_incident_can_end() {
    let mut play = Play::default();
    assert_eq!(play.sees("DEGRADED", 0), "updated");
    assert_eq!(play.sees("DEGRADED", 10), "duplicate");
    assert_eq!(play.sees("WORSE", 20), "updated");
    assert_eq!(play.sees("ANOMALOUS", 30), "duplicate");
    assert_eq!(play.sees("OK", 40), "resolved");
    assert_eq!(play.sees("WORSE", 40), "stale");
    assert_eq!(play.sees("WORSE", 50), "updated");
    assert_eq!(play.known.state.as_ref().unwrap().episode, 2);
}

#[test]
fn an_incident_nobody_was_told_of_pages_on_its_next_fresh_trigger_repeat_or_not() {
    let mut expired = Play::default();
    assert_eq!(expired.observes("ANOMALOUS", 0, false, true), "expired");
    assert_eq!(expired.observes("ANOMALOUS", 0, false, true), "duplicate");
    assert_eq!(expired.sees("ANOMALOUS", 0), "opened");
    assert_eq!(expired.sees("ANOMALOUS", 0), "duplicate");

    let mut silenced = Play::default();
    silenced.sees("ANOMALOUS", 0);
    silenced.silenced();
    assert_eq!(silenced.sees("ANOMALOUS", 30), "opened");
}

#[test]
fn an_untold_incident_ends_like_any_other_and_stays_ended() {
    let mut play = Play::default();
    play.observes("ANOMALOUS", 0, false, true);
    assert_eq!(play.sees("OK", 60), "resolved");
    assert_eq!(play.sees("ANOMALOUS", 30), "stale");
    assert_eq!(play.observes("ANOMALOUS", 90, false, true), "expired");
    assert_eq!(play.sees("ANOMALOUS", 100), "opened");
}

#[test]
fn resolves_never_expire() {
    let mut play = Play::default();
    play.sees("ANOMALOUS", 0);
    assert_eq!(play.observes("OK", 60, false, true), "resolved");
}

#[test]
fn a_verified_copy_of_an_unverified_trigger_applies_and_notifies() {
    let mut play = Play::default();
    assert_eq!(play.observes("ANOMALOUS", 0, true, false), "opened");
    assert_eq!(play.sees("ANOMALOUS", 0), "opened");
    assert_eq!(play.sees("ANOMALOUS", 0), "duplicate");
}

#[test]
fn unverified_mail_never_advances_a_verified_clock() {
    let mut play = Play::default();
    play.sees("ANOMALOUS", 0);
    assert_eq!(
        play.observes("ANOMALOUS", 1_000_000, true, false),
        "duplicate"
    );
    assert_eq!(
        play.sees("OK", 60),
        "resolved",
        "the forged future did not move the clock"
    );
}

/// An unreadable alert has no time here, and is recognised by its key alone.
#[test]
fn an_unreadable_alert_is_told_once() {
    let seen = Observation {
        signal: Signal::Trigger,
        status: "UNPARSED".into(),
        time: None,
        by_date: false,
        verified: true,
        fresh: true,
        values: Values::new(),
    };
    let Transition::Opened(state) = transition(&Known::default(), &seen) else {
        panic!("the first is told")
    };
    let known = Known {
        state: Some(state),
        applied_before: true,
    };
    assert!(matches!(
        transition(&known, &seen),
        Transition::Duplicate { advance: None, .. }
    ));
}

#[test]
fn a_forged_future_never_stands_in_the_way_of_what_is_verified() {
    const NEXT_YEAR: i64 = 365 * 86_400;
    for forged in ["ANOMALOUS", "NEWS"] {
        let mut play = Play::default();
        play.observes(forged, NEXT_YEAR, true, false);
        assert_eq!(
            play.sees("ANOMALOUS", 0),
            "opened",
            "{forged}: the genuine copy is told"
        );
        play.observes(forged, NEXT_YEAR, true, false);
        assert_eq!(play.sees("OK", 60), "resolved", "{forged}");
        play.observes(forged, NEXT_YEAR, true, false);
        assert_eq!(play.sees("ANOMALOUS", 120), "reopened", "{forged}");
    }
}

#[test]
fn a_verified_resolve_ends_what_was_forged_and_sets_the_clock() {
    let mut play = Play::default();
    play.observes("ANOMALOUS", 1_000_000, true, false);
    assert_eq!(play.sees("OK", 60), "resolved");
    assert_eq!(play.sees("ANOMALOUS", 120), "reopened");
}

#[test]
fn what_unverified_mail_applied_is_no_duplicate_to_a_verified_one() {
    let mut play = Play::default();
    play.sees("ANOMALOUS", 0);
    assert_eq!(play.observes("ANOMALOUS", 200, true, false), "duplicate");
    assert_eq!(play.sees("OK", 100), "resolved");
    assert_eq!(
        play.sees("ANOMALOUS", 200),
        "reopened",
        "its forged copy came first"
    );
}

#[test]
fn an_unverified_reopening_is_told_and_leaves_the_verified_state() {
    let mut play = Play::default();
    play.sees("ANOMALOUS", 0);
    play.sees("OK", 60);
    let before = play.known.state.clone();
    assert_eq!(play.observes("ANOMALOUS", 100, true, false), "reopened");
    assert_eq!(play.known.state, before);
    assert_eq!(
        play.observes("ANOMALOUS", 100, true, false),
        "duplicate",
        "its copy is told no more"
    );
    assert_eq!(
        play.sees("ANOMALOUS", 100),
        "reopened",
        "the verified copy applies and is told"
    );
}

#[test]
fn an_open_incident_of_another_severity_is_changed() {
    let mut play = Play::default();
    assert_eq!(play.sees("ANOMALOUS", 0), "opened");
    assert_eq!(
        play.observes_as("critical", "ANOMALOUS", 60, true, true),
        "changed"
    );
    assert_eq!(
        play.observes_as("critical", "ANOMALOUS", 90, true, true),
        "duplicate",
        "it was told"
    );
    assert_eq!(
        play.observes_as("warning", "ANOMALOUS", 90, true, true),
        "changed",
        "back, at the same time"
    );
    assert_eq!(
        play.observes_as("critical", "ANOMALOUS", 80, true, true),
        "duplicate"
    );
    assert_eq!(
        play.observes_as("critical", "OK", 120, true, true),
        "resolved",
        "an end changes nothing"
    );
    assert_eq!(play.observes_as("info", "OK", 130, true, true), "duplicate");
    assert_eq!(
        play.observes_as("info", "ANOMALOUS", 140, true, true),
        "reopened",
        "what was told before is forgotten"
    );
}

#[test]
fn what_is_too_old_or_was_never_told_is_not_changed() {
    let mut play = Play::default();
    assert_eq!(play.observes("ANOMALOUS", 0, false, true), "expired");
    assert_eq!(
        play.observes_as("critical", "ANOMALOUS", 10, true, true),
        "opened",
        "nobody was told yet"
    );
    assert_eq!(
        play.observes_as("info", "ANOMALOUS", 20, false, true),
        "duplicate",
        "too old to tell"
    );
}

#[test]
fn another_severity_that_is_not_proven_is_not_kept() {
    let mut play = Play::default();
    assert_eq!(play.sees("ANOMALOUS", 0), "opened");
    assert_eq!(
        play.observes_as("critical", "ANOMALOUS", 60, true, false),
        "changed"
    );
    assert_eq!(
        play.sees("ANOMALOUS", 70),
        "duplicate",
        "the severity is what the proven mail said"
    );
}

#[test]
fn what_proves_nothing_keeps_no_alert_that_cannot_be_read_from_being_told() {
    let open = State {
        phase: Phase::Firing,
        status: "UNPARSED".into(),
        newest: Some(at(0)),
        verified: true,
        untold: false,
        episode: 1,
        told: Values::new(),
    };
    let sees = |state: &State, verified: bool, applied_before: bool| {
        let seen = Observation {
            signal: Signal::Trigger,
            status: "UNPARSED".into(),
            time: Some(at(60)),
            by_date: false,
            verified,
            fresh: true,
            values: Values::new(),
        };
        let known = Known {
            state: Some(state.clone()),
            applied_before,
        };
        unread(&known, &seen)
    };

    let Transition::Reopened(again) = sees(&open, true, false) else {
        panic!("it is another episode");
    };
    assert_eq!((again.episode, again.newest), (2, Some(at(60))));
    assert!(matches!(sees(&open, false, false), Transition::Reopened(_)));
    assert!(matches!(
        sees(&open, true, true),
        Transition::Duplicate { .. }
    ));

    let unproven = State {
        verified: false,
        ..open.clone()
    };
    let Transition::Opened(proven) = sees(&unproven, true, true) else {
        panic!("its proof is told");
    };
    assert!(proven.verified && proven.episode == 1);
    assert!(matches!(
        sees(&unproven, false, true),
        Transition::Duplicate { .. }
    ));

    let kept = State {
        untold: true,
        ..open
    };
    assert!(matches!(sees(&kept, true, true), Transition::Opened(_)));
}

proptest! {
    /// Whatever a sender mails within a few seconds, if the mails arrive in the order of their
    /// Dates, the last one decides whether the incident is open, and each beginning and end is told
    /// once.
    #[test]
    fn mails_in_the_order_of_their_dates_lead_where_the_last_says(
        steps in prop::collection::vec((0_i64..3, prop::bool::ANY), 1..40)
    ) {
        let mut sender = Dated::default();
        let (mut now, mut open) = (0, None);
        for (pause, trigger) in steps {
            now += pause;
            let signal = if trigger { Signal::Trigger } else { Signal::Resolve };
            let expected = match (open, trigger) {
                (None, true) => "opened",
                (Some(true), true) | (Some(false), false) => "duplicate",
                (Some(false), true) => "reopened",
                (None | Some(true), false) => "resolved",
            };
            prop_assert_eq!(sender.sees(signal, now), expected);
            open = Some(trigger);
        }
    }
}
