use bytes::Bytes;

use super::*;
use crate::message::{Authenticity, Message, Release};

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn mail(verdict: Verdict) -> StoredMail {
    let message = Message {
        ingress: "t".into(),
        arrived_at: NOW,
        raw: Bytes::new(),
        cut_from: None,
        withheld: None,
        envelope: None,
    };
    let authenticity = Authenticity {
        verdict,
        detail: Some("so it is".into()),
        ..Authenticity::off()
    };
    StoredMail {
        id: 1,
        message,
        authenticity,
        checks: 0,
        released: None,
        decided_at: None,
        cut_at: None,
    }
}

fn policy(trigger: ForTrigger, resolve: ForResolve) -> Policy {
    let unverified = Settings {
        trigger,
        resolve,
        ..Settings::default()
    };
    Policy {
        unverified,
        app_keys: vec!["ours".into()],
        patience: settings::Duration::from_secs(86_400),
    }
}

/// Describes in one word what a mail with that verdict may do.
fn word(policy: &Policy, verdict: Verdict, signal: Signal, app: &str) -> &'static str {
    match policy.standing(&mail(verdict), signal, Some(app), NOW) {
        Standing::Genuine => "acts",
        Standing::Doubtful {
            doubt: Doubt::Unverified,
            check_at: None,
        } => "marked",
        Standing::Doubtful {
            doubt: Doubt::Unchecked,
            check_at: Some(_),
        } => "marked, checked",
        Standing::Doubtful { .. } => "odd",
        Standing::Waits { .. } => "waits",
        Standing::Held(Held {
            hold: Some(Hold::Resolve),
            ..
        }) => "held, told",
        Standing::Held(Held {
            hold: Some(Hold::App(_)),
            ..
        }) => "app, told",
        Standing::Held(Held {
            hold: Some(Hold::Flood),
            check_at: Some(_),
            ..
        }) => "held, told, checked",
        Standing::Held(Held {
            hold: Some(Hold::Flood),
            check_at: None,
            ..
        }) => "flood",
        Standing::Held(Held { hold: None, .. }) => "held",
    }
}

#[test]
fn what_a_mail_may_do_by_verdict_signal_and_setting() {
    use ForResolve as R;
    use ForTrigger as T;
    use Verdict::{Fail, None, Off, Pass, TempError};
    let (trigger, resolve, unknown) = (Signal::Trigger, Signal::Resolve, Signal::Unknown);
    for (for_trigger, for_resolve, verdict, signal, expected) in [
        (T::Mark, R::Quarantine, Pass, trigger, "acts"),
        (T::Mark, R::Quarantine, Pass, resolve, "acts"),
        (T::Mark, R::Quarantine, Off, trigger, "acts"),
        (T::Mark, R::Quarantine, Off, resolve, "acts"),
        (T::Mark, R::Quarantine, Fail, trigger, "marked"),
        (T::Mark, R::Quarantine, Fail, unknown, "marked"),
        (T::Mark, R::Quarantine, Fail, resolve, "held, told"),
        (T::Mark, R::Quarantine, None, trigger, "marked"),
        (T::Mark, R::Quarantine, None, resolve, "held, told"),
        (
            T::Mark,
            R::Quarantine,
            TempError,
            trigger,
            "marked, checked",
        ),
        (
            T::Mark,
            R::Quarantine,
            TempError,
            unknown,
            "marked, checked",
        ),
        (T::Mark, R::Quarantine, TempError, resolve, "waits"),
        (T::Quarantine, R::Quarantine, Pass, trigger, "acts"),
        (T::Quarantine, R::Quarantine, Fail, trigger, "held"),
        (T::Quarantine, R::Quarantine, None, unknown, "held"),
        (
            T::Quarantine,
            R::Quarantine,
            TempError,
            trigger,
            "held, told, checked",
        ),
        (
            T::Quarantine,
            R::Quarantine,
            TempError,
            unknown,
            "held, told, checked",
        ),
        (T::Quarantine, R::Quarantine, TempError, resolve, "waits"),
        (T::Accept, R::Quarantine, Fail, trigger, "acts"),
        (T::Accept, R::Quarantine, Fail, unknown, "acts"),
        (T::Accept, R::Quarantine, Fail, resolve, "held, told"),
        (T::Accept, R::Quarantine, TempError, trigger, "acts"),
        (T::Mark, R::Accept, Fail, resolve, "acts"),
        (T::Mark, R::Accept, TempError, resolve, "acts"),
        (T::Mark, R::Accept, Fail, trigger, "marked"),
    ] {
        let policy = policy(for_trigger, for_resolve);
        let setting = format!("{for_trigger:?}/{for_resolve:?} {verdict:?} {signal:?}");
        assert_eq!(
            word(&policy, verdict, signal, "ours"),
            expected,
            "{setting}"
        );
    }
}

#[test]
fn an_app_that_is_not_listed_is_held_and_told_of_where_its_mail_is_genuine() {
    let policy = policy(ForTrigger::Mark, ForResolve::Quarantine);
    for (verdict, expected) in [
        (Verdict::Pass, "app, told"),
        (Verdict::Off, "app, told"),
        (Verdict::Fail, "held"),
        (Verdict::TempError, "held"),
    ] {
        for signal in [Signal::Trigger, Signal::Resolve] {
            assert_eq!(
                word(&policy, verdict, signal, "theirs"),
                expected,
                "{verdict:?} {signal:?}"
            );
        }
    }
    assert!(matches!(
        policy.standing(&mail(Verdict::Pass), Signal::Trigger, None, NOW),
        Standing::Genuine
    ));
    let any = Policy {
        app_keys: Vec::new(),
        ..policy
    };
    assert_eq!(word(&any, Verdict::Pass, Signal::Trigger, "theirs"), "acts");
}

#[test]
fn what_a_person_let_through_acts_as_genuine_mail_does() {
    let policy = policy(ForTrigger::Quarantine, ForResolve::Quarantine);
    for (verdict, app) in [
        (Verdict::Fail, "ours"),
        (Verdict::TempError, "ours"),
        (Verdict::None, "theirs"),
    ] {
        for signal in [Signal::Trigger, Signal::Resolve] {
            let released = Some(Release {
                by: "ana@host".into(),
                at: NOW,
            });
            let mail = StoredMail {
                released,
                ..mail(verdict)
            };
            assert_eq!(
                policy.standing(&mail, signal, Some(app), NOW),
                Standing::Genuine
            );
        }
    }
}

#[test]
fn so_many_unverified_triggers_an_hour_are_told() {
    let policy = policy(ForTrigger::Mark, ForResolve::Quarantine);
    for again in [None, Some(NOW)] {
        assert_eq!(policy.over_the_limit(19, again), None);
        let Some(Held {
            hold: Some(Hold::Flood),
            reason,
            check_at,
        }) = policy.over_the_limit(20, again)
        else {
            panic!("the 21st is held")
        };
        let told = "20 unverified triggers of this ingress were told in the last hour";
        assert_eq!(
            (reason, check_at),
            (format!("{told} (unverified.max_per_hour: 20)"), again)
        );
    }
}

#[test]
fn a_resolve_is_checked_again_less_and_less_often_until_patience_is_over() {
    let policy = policy(ForTrigger::Mark, ForResolve::Quarantine);
    let mut at = NOW;
    let mut pauses = Vec::new();
    let reason = loop {
        let checks = u32::try_from(pauses.len()).unwrap();
        match policy.standing(
            &StoredMail {
                checks,
                ..mail(Verdict::TempError)
            },
            Signal::Resolve,
            None,
            at,
        ) {
            Standing::Waits { check_at } => {
                pauses.push(check_at.duration_since(at).as_secs());
                at = check_at;
            }
            Standing::Held(Held {
                hold: Some(Hold::Resolve),
                reason,
                ..
            }) => break reason,
            odd => panic!("{odd:?}"),
        }
    };
    assert_eq!(pauses[..7], [30, 60, 120, 240, 480, 900, 900]);
    assert!(pauses.iter().all(|pause| *pause <= 900));
    assert_eq!(
        pauses.iter().sum::<i64>(),
        86_400,
        "and at the very end once more"
    );
    assert!(
        reason.starts_with(
            "it could not be checked for 1d, and an unverified resolve closes nothing"
        ),
        "{reason}"
    );
}
