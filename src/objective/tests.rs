//! Examples worked out by hand. The window is 28 days, which is 2,419,200 s; an objective of 99.9 %
//! leaves a budget of 2,419.2 s.

use super::*;

/// Returns a time, in minutes after noon of 28 March 2026.
fn at(minutes: i64) -> Timestamp {
    let noon: Timestamp = "2026-03-28T12:00:00Z".parse().unwrap();
    noon + SignedDuration::from_mins(minutes)
}

fn span(from: i64, to: i64) -> Span {
    Span {
        from: at(from),
        to: at(to),
    }
}

fn breach(from: i64, to: Option<i64>, silenced: &[Span]) -> Breach {
    Breach {
        from: at(from),
        to: to.map(at),
        silenced: silenced.to_vec(),
    }
}

fn measured(breaches: &[Breach]) -> Measure {
    measure(breaches, 0.999, WINDOW, at(0))
}

/// 28 days in minutes.
const DAYS_28: i64 = 28 * 24 * 60;

#[test]
fn nothing_spends_nothing() {
    let found = measured(&[]);
    assert_eq!((found.breaches, found.breach_seconds), (0, 0));
    assert_eq!(
        (found.budget_seconds, found.spent, found.left),
        (2419.2, Some(0.0), Some(1.0))
    );
    assert_eq!(found.ladder, Ladder::None);
}

#[test]
fn one_breach_spends_its_share() {
    // 20 minutes are 1200 s of 2419.2 s.
    let found = measured(&[breach(-100, Some(-80), &[])]);
    assert_eq!((found.breaches, found.breach_seconds), (1, 1200));
    assert_eq!(
        (found.spent, found.left),
        (Some(0.496_032), Some(0.503_968))
    );
    assert_eq!((found.ladder, found.recurrence), (Ladder::Incident, 1));
}

#[test]
fn what_overlaps_counts_once() {
    // Counted from minute −100, 0–30 and 10–40 make 40 minutes, and 50–60 adds ten.
    let found = measured(&[
        breach(-100, Some(-70), &[]),
        breach(-90, Some(-60), &[]),
        breach(-50, Some(-40), &[]),
    ]);
    assert_eq!((found.breaches, found.breach_seconds), (3, 50 * 60));
    assert_eq!(found.spans, [span(-100, -60), span(-50, -40)]);
    assert_eq!(found.ladder, Ladder::Demotion, "3000 s of 2419.2 s");
}

#[test]
fn an_open_breach_lasts_until_now_however_long_its_resolve_does_not_come() {
    let found = measured(&[breach(-10, None, &[])]);
    assert_eq!(found.breach_seconds, 600);
    let since_ever = measured(&[breach(-2 * DAYS_28, None, &[])]);
    assert_eq!(since_ever.breach_seconds, 2_419_200);
    assert_eq!((since_ever.breaches, since_ever.recurrence), (1, 0));
    assert_eq!(since_ever.spent, Some(1000.0));
}

#[test]
fn the_window_cuts_at_both_edges() {
    // Ten of the first breach's twenty minutes lie within the window, and the next breach begins
    // when the window ends.
    let found = measured(&[
        breach(-DAYS_28 - 10, Some(-DAYS_28 + 10), &[]),
        breach(0, Some(5), &[]),
        breach(-DAYS_28 - 20, Some(-DAYS_28), &[]),
    ]);
    assert_eq!((found.breaches, found.breach_seconds), (1, 600));
    assert_eq!(found.recurrence, 0, "it began before");
    let ends_later = measured(&[breach(-5, Some(5), &[])]);
    assert_eq!(ends_later.breach_seconds, 300);
    assert_eq!(ends_later.recurrence, 1);
}

#[test]
fn maintenance_is_a_breach_that_spends_nothing() {
    // Ten of the 30 minutes are silenced, by two silences that overlap.
    let silences = [span(-95, -88), span(-90, -85)];
    let found = measured(&[breach(-100, Some(-70), &silences)]);
    assert_eq!(
        (found.breach_seconds, found.maintenance_seconds),
        (1800, 600)
    );
    assert_eq!(found.announced, [span(-95, -85)]);
    assert_eq!(found.spent, Some(rounded(1200.0 / 2419.2)));
    assert_eq!(found.ladder, Ladder::Incident);

    let announced = measured(&[breach(-100, Some(-70), &[span(-200, 0)])]);
    assert_eq!(announced.maintenance_seconds, 1800);
    assert_eq!((announced.breaches, announced.ladder), (1, Ladder::None));
    assert_eq!(announced.spent, Some(0.0));
}

#[test]
fn what_one_alert_s_silence_covers_another_still_spends() {
    // The first breach is silenced entirely. The second is not silenced, and shares ten minutes
    // with it.
    let found = measured(&[
        breach(-100, Some(-70), &[span(-100, -70)]),
        breach(-80, Some(-70), &[]),
    ]);
    assert_eq!(
        (found.breach_seconds, found.maintenance_seconds),
        (1800, 1200)
    );
    assert_eq!(found.announced, [span(-100, -80)]);
}

#[test]
fn a_reopened_incident_breaches_again_and_a_repeat_does_not() {
    let said = vec![
        (at(-100), true),
        (at(-95), true),
        (at(-90), false),
        (at(-85), false),
        (at(-50), true),
    ];
    let found = breaches(said, &[]);
    assert_eq!(
        found,
        [breach(-100, Some(-90), &[]), breach(-50, None, &[])]
    );
    assert_eq!(measured(&found).breach_seconds, 600 + 3000);
}

#[test]
fn a_resolve_without_its_trigger_is_no_breach_and_one_at_its_time_is_one_of_no_length() {
    assert_eq!(breaches(vec![(at(-100), false)], &[]), []);
    let found = breaches(vec![(at(-100), false), (at(-100), true)], &[]);
    let found = measured(&found);
    assert_eq!((found.breaches, found.breach_seconds), (1, 0));
    assert_eq!(found.ladder, Ladder::Incident);
}

#[test]
fn an_objective_of_all_leaves_no_budget() {
    let none = measure(&[], 1.0, WINDOW, at(0));
    assert_eq!((none.budget_seconds, none.spent), (0.0, Some(0.0)));
    let spent = measure(&[breach(-10, Some(-5), &[])], 1.0, WINDOW, at(0));
    assert_eq!((spent.spent, spent.left), (None, None));
}

#[test]
fn what_is_measured_is_set_or_the_alerts_own_or_the_published() {
    let labels = |pairs: &[(&'static str, &str)]| -> Labels {
        let pairs = pairs.iter();
        pairs
            .map(|(name, value)| ((*name).into(), (*value).to_owned()))
            .collect()
    };
    let set = [Settings {
        matchers: vec!["app_key=\"a\"".into()],
        slo: Some(99.5),
        window: Duration::from_secs(3600),
    }];
    let fraction = |labels: &Labels| format!("{:.3}", target(&set, labels).0);
    assert_eq!(
        fraction(&labels(&[("app_key", "a"), ("slo_value", "99")])),
        "0.995"
    );
    assert_eq!(
        target(&set, &labels(&[("app_key", "a")]))
            .1
            .as_signed()
            .as_secs(),
        3600
    );
    assert_eq!(
        fraction(&labels(&[("app_key", "b"), ("slo_value", "99")])),
        "0.990"
    );
    assert_eq!(fraction(&labels(&[("sli", "iframe_load")])), "0.950");
    assert_eq!(fraction(&labels(&[("sli", "unknown")])), "0.999");
}

proptest::proptest! {
    /// Checks minute by minute that the announced times are those in which silences cover all
    /// breaches.
    #[test]
    fn what_is_announced_is_what_breaches_and_does_not_count(
        breaches in proptest::collection::vec(
            (-400_i64..0, 1_i64..90, proptest::collection::vec((-400_i64..0, 1_i64..90), 0..3)),
            0..30,
        )
    ) {
        let within = |minute: i64, (from, long): &(i64, i64)| {
            (*from..from + long).contains(&minute)
        };
        let breaches: Vec<_> = breaches
            .into_iter()
            .map(|(from, long, silences)| ((from, long.min(-from)), silences))
            .collect();
        let is_announced = |minute: i64| {
            let mut on = breaches.iter().filter(|(on, _)| within(minute, on)).peekable();
            on.peek().is_some()
                && on.all(|(_, silences)| silences.iter().any(|one| within(minute, one)))
        };
        let found: Vec<Breach> = breaches
            .iter()
            .map(|((from, long), silences)| {
                let silences: Vec<_> =
                    silences.iter().map(|(from, long)| span(*from, from + long)).collect();
                breach(*from, Some(from + long), &silences)
            })
            .collect();

        let found = measured(&found);
        let announced: Vec<i64> = (-400..0).filter(|minute| is_announced(*minute)).collect();
        let drawn = found.announced.iter();
        let drawn: Vec<i64> = (-400..0)
            .filter(|minute| drawn.clone().any(|one| one.holds(at(*minute))))
            .collect();
        proptest::prop_assert_eq!(&drawn, &announced);
        let minutes = i64::try_from(announced.len()).unwrap();
        proptest::prop_assert_eq!(found.maintenance_seconds, 60 * minutes);
    }
}
