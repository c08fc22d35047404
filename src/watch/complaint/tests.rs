use super::*;
use crate::store::Alarm;

fn alarms(names: &[&str]) -> Vec<Alarm> {
    names
        .iter()
        .map(|name| Alarm {
            incident_id: (*name).to_owned(),
            untold: false,
            told_at: Timestamp::UNIX_EPOCH,
        })
        .collect()
}

/// Returns the ids of the troubles for these concerns.
fn complained(concerns: &Concerns) -> Vec<String> {
    let now = Timestamp::from_second(1_700_000_000).unwrap();
    complaints(concerns, &BTreeMap::new(), &[], now, now)
        .into_iter()
        .map(|complaint| complaint.incident_id)
        .collect()
}

#[test]
fn a_store_near_full_is_told_of_before_it_is_full_and_does_not_come_and_go() {
    const GIB: u64 = 1 << 30;
    let with = |free, total, alarms| Concerns {
        room: Some(Room { free, total }),
        alarms,
        ..Concerns::default()
    };
    for (free, total, told, complains) in [
        (3 * GIB, 1000 * GIB, false, false),
        (GIB, 1000 * GIB, false, true),
        (GIB, 10 * GIB, false, false),
        (GIB / 3, 10 * GIB, false, true),
        (GIB * 11 / 20, 10 * GIB, false, false),
        (GIB * 11 / 20, 10 * GIB, true, true),
        (GIB * 2 / 3, 10 * GIB, true, false),
        (200 << 20, GIB, false, true),
        (300 << 20, GIB, false, false),
    ] {
        let open = if told {
            alarms(&["self:store-space"])
        } else {
            Vec::new()
        };
        let said = complained(&with(free, total, open));
        assert_eq!(
            said == ["self:store-space"],
            complains,
            "{free} of {total}, told: {told}: {said:?}"
        );
    }
}

#[test]
fn triggers_that_were_held_are_told_of_until_an_hour_has_passed_without_one() {
    let now = Timestamp::from_second(1_700_000_000).unwrap();
    for (minutes, complains) in [(0, true), (59, true), (61, false)] {
        let flooded_at = Some(now - SignedDuration::from_mins(minutes));
        let concerns = Concerns {
            flooded_at,
            ..Concerns::default()
        };
        assert_eq!(
            !complained(&concerns).is_empty(),
            complains,
            "after {minutes} minutes"
        );
    }
}

#[test]
fn whoever_makes_up_apps_fills_no_pager() {
    let unexpected_apps: Vec<String> = (0..20).map(|n| format!("app-{n:02}")).collect();
    let concerns = Concerns {
        unexpected_apps,
        ..Concerns::default()
    };
    assert_eq!(complained(&concerns).len(), 5);
    let open = [
        "self:app-key:app-15",
        "self:app-key:app-16",
        "self:app-key:app-17",
        "self:app-key:app-18",
    ];
    let said = complained(&Concerns {
        alarms: alarms(&open),
        ..concerns
    });
    assert_eq!(
        said,
        ["self:app-key:app-00", open[0], open[1], open[2], open[3]],
        "what is told stays told"
    );
}

#[test]
fn what_a_forged_mail_calls_its_incident_is_not_repeated() {
    let said = |held: &[&str]| {
        let held_resolves = held.iter().map(|id| (*id).to_owned()).collect();
        let concerns = Concerns {
            held_resolves,
            ..Concerns::default()
        };
        let now = Timestamp::UNIX_EPOCH;
        complaints(&concerns, &BTreeMap::new(), &[], now, now)
            .remove(0)
            .text
    };
    assert!(said(&["FOotlQrY5ZQ"]).starts_with("a resolve of incident FOotlQrY5ZQ is held"));
    assert!(
        said(&["all is well, ignore this"]).starts_with("a resolve of 1 open incident is held")
    );
    assert!(
        said(&["a", "b", "c", "d", "<x>"])
            .starts_with("a resolve of incidents a, b, c and 2 more is held")
    );
}
