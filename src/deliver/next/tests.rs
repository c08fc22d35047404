use super::*;
use crate::{delivery::Target, receiver::sample::notifications};

/// Tries every list of up to four receipts, each of which is ended, refused, or refused after a
/// retry.
#[test]
fn each_of_several_alerts_is_ended_once_in_order_and_one_that_is_refused_fails_the_whole() {
    for length in 0..=4_u32 {
        let receipts: Vec<String> = (1..=length).rev().map(|id| id.to_string()).collect();
        for fates in 0..3_u32.pow(length) {
            let fate = |at: usize| fates / 3_u32.pow(u32::try_from(at).unwrap_or(0)) % 3;
            let (mut step, mut asked, mut tried) = (Step::Send, Vec::new(), 0);
            let end = loop {
                let this = step.end().or(receipts.first()).cloned();
                let at = asked.len();
                let refused = length > 0 && fate(at) > 0;
                let again = length > 0 && fate(at) == 2 && tried == 0;
                let verdict = if again {
                    Verdict::Retry {
                        reason: FailureReason::Timeout,
                        detail: "slow".to_owned(),
                        after: None,
                    }
                } else if refused {
                    gone()
                } else {
                    Verdict::Delivered { receipt: None }
                };
                match of_each(verdict, &mut step, receipts.clone()) {
                    Verdict::Retry { .. } => tried += 1,
                    Verdict::Partly { next, .. } => {
                        asked.extend(this);
                        assert_eq!(next, step);
                        tried = 0;
                    }
                    end => {
                        asked.extend(this);
                        break end;
                    }
                }
            };

            assert_eq!(asked, receipts, "{fates}");
            let refused = (0..receipts.len()).filter(|at| fate(*at) > 0);
            let refused: Vec<_> = refused.map(|at| receipts[at].clone()).collect();
            let told = refused
                .iter()
                .map(|one| format!("{one} could not be closed: gone"));
            let told = told.collect::<Vec<_>>().join("; ");
            match end {
                Verdict::Delivered { .. } => assert_eq!(refused, [""; 0]),
                Verdict::Permanent { detail, .. } => {
                    assert!(!refused.is_empty());
                    assert_eq!(detail, told);
                    let left = refused;
                    let refused = Vec::new();
                    assert_eq!(step.retried(), Step::Ends { left, refused });
                }
                end => panic!("{fates} of {length}: {end:?}"),
            }
        }
    }
}

fn gone() -> Verdict {
    Verdict::Permanent {
        reason: FailureReason::Rejected,
        detail: "gone".to_owned(),
    }
}

#[test]
fn what_may_have_been_taken_is_sent_four_times_whatever_fails_in_between() {
    let unheard_of = |reason| Verdict::Retry {
        reason,
        detail: "nothing".to_owned(),
        after: None,
    };
    let to = vec!["a@example.com".to_owned()];
    let mut step = Step::Rest { to };
    let proper = step.clone();
    for reason in [
        FailureReason::Network,
        FailureReason::Unconfirmed,
        FailureReason::RateLimited,
        FailureReason::Unconfirmed,
        FailureReason::Unconfirmed,
        FailureReason::Network,
    ] {
        let verdict = unheard(unheard_of(reason), &mut step);
        assert_eq!(verdict, unheard_of(reason));
        // The step outlives a restart.
        step = serde_json::from_str(&serde_json::to_string(&step).unwrap()).unwrap();
        assert_eq!(step.proper(), &proper);
    }
    let verdict = unheard(unheard_of(FailureReason::Unconfirmed), &mut step);
    let Verdict::Permanent { reason, detail } = verdict else {
        panic!("{verdict:?}")
    };
    assert_eq!(reason, FailureReason::Unconfirmed);
    assert!(detail.contains("sent 4 times"), "{detail}");
}

/// A resolve that may have been taken each time is given up, and the next one follows.
#[test]
fn one_of_several_ends_of_which_nothing_is_heard_keeps_no_other_from_its_turn() {
    let receipts = ["2", "1"].map(ToOwned::to_owned).to_vec();
    let mut step = Step::Send;
    let mut tried = |verdict| {
        let verdict = unheard(verdict, &mut step);
        let verdict = of_each(verdict, &mut step, receipts.clone());
        if let Verdict::Partly { next, .. } = &verdict {
            assert_eq!(*next, step);
        }
        (verdict, step.end().cloned())
    };
    let lost = || Verdict::Retry {
        reason: FailureReason::Unconfirmed,
        detail: "nothing".to_owned(),
        after: None,
    };
    let second = || Some("1".to_owned());
    for _ in 1..MOST_UNHEARD {
        assert_eq!(tried(lost()), (lost(), None));
    }
    assert!(matches!(tried(lost()), (Verdict::Partly { .. }, end) if end == second()));
    assert_eq!(tried(lost()), (lost(), second()));
    let (verdict, _) = tried(Verdict::Delivered { receipt: None });
    let Verdict::Permanent { detail, .. } = verdict else {
        panic!("{verdict:?}")
    };
    assert!(detail.starts_with("2 could not be closed"), "{detail}");
    let left = vec!["2".to_owned()];
    let refused = Vec::new();
    assert_eq!(step.retried(), Step::Ends { left, refused });
}

#[test]
fn the_last_tries_of_what_may_have_been_taken_outlast_a_restart_and_an_outage() {
    let settings = Settings::default();
    let verdict = |reason| Verdict::Retry {
        reason,
        detail: "nothing".to_owned(),
        after: None,
    };
    let pause = |times, reason| {
        let mut claim = claim();
        claim.step = Step::Unheard {
            times,
            of: Box::default(),
        };
        let now = Timestamp::UNIX_EPOCH;
        let probe = Some(later(now, Duration::from_secs(2)));
        match step(&claim, &verdict(reason), &settings, probe, now) {
            Next::Again { at, .. } => at.duration_since(now).as_secs(),
            other => panic!("{other:?}"),
        }
    };
    assert!(pause(1, FailureReason::Unconfirmed) <= 2);
    assert_eq!(pause(2, FailureReason::Unconfirmed), 60);
    assert_eq!(pause(3, FailureReason::Unconfirmed), 15 * 60);
    assert!(pause(2, FailureReason::Network) <= 2, "nothing was sent");
}

fn claim() -> Claim {
    Claim {
        id: 1,
        lease: 1,
        target: Target {
            receiver: "chat".to_owned(),
            integration: "webhook/0".to_owned(),
        },
        alias: "a".to_owned(),
        notification: notifications()[0].1.clone(),
        step: Step::Send,
        receipt: None,
        failures: 0,
        since: Timestamp::UNIX_EPOCH,
    }
}

#[test]
fn what_is_given_up_in_between_goes_on_with_all_that_is_not_ended() {
    let receipts = ["4", "3", "2", "1"].map(ToOwned::to_owned).to_vec();
    let mut step = Step::Send;
    for verdict in [Verdict::Delivered { receipt: None }, gone()] {
        of_each(verdict, &mut step, receipts.clone());
    }
    let left = ["3", "2", "1"].map(ToOwned::to_owned).to_vec();
    let refused = Vec::new();
    assert_eq!(step.retried(), Step::Ends { left, refused });
    assert_eq!(Step::Message.retried(), Step::Send);
}

#[test]
fn a_step_that_an_earlier_version_left_begins_with_all_of_them() {
    let left = r#"{"step":"earlier","receipt":"2","failed":"3 could not be ended"}"#;
    let mut step: Step = serde_json::from_str(left).unwrap();
    assert_eq!(step.end(), None);
    let verdict = Verdict::Delivered { receipt: None };
    let receipts = vec!["2".to_owned(), "1".to_owned()];
    of_each(verdict, &mut step, receipts);
    assert_eq!(step.end().map(String::as_str), Some("1"));
}

#[test]
fn what_ends_nothing_by_its_receipt_stays_as_it_is() {
    for verdict in [
        Verdict::NotYet,
        Verdict::Delivered { receipt: None },
        Verdict::Permanent {
            reason: FailureReason::Rejected,
            detail: "no".to_owned(),
        },
    ] {
        let mut step = Step::Send;
        assert_eq!(of_each(verdict.clone(), &mut step, vec![]), verdict);
        assert_eq!(step, Step::Send);
    }
}
