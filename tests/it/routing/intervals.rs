//! When a route is muted, and until when.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{compile, labels};

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// Whether a route muted by this interval is muted at that time; and until when.
fn muted(interval: &Value, at: &str) -> Option<Timestamp> {
    muted_by(
        &json!({ "mute_time_intervals": ["t"] }),
        &json!([{ "name": "t", "time_intervals": [interval] }]),
        time(at),
    )
}

fn muted_by(route: &Value, intervals: &Value, at: Timestamp) -> Option<Timestamp> {
    let routes = compile(
        &json!({ "receiver": "r", "routes": [route] }),
        intervals,
        &["r"],
    )
    .unwrap();
    let reached = routes.reach(&labels(&[]), Some(at));
    assert_eq!(reached.len(), 1);
    reached[0].mute.as_ref().map(|mute| mute.until.unwrap())
}

#[test]
fn all_fields_of_an_interval_must_hold() {
    let day = json!([{ "start_time": "09:00", "end_time": "17:00" }]);
    // 2026-03-02 is a Monday.
    for (interval, at, expected) in [
        (json!({}), "2026-03-02T12:00:00Z", true),
        (json!({ "times": day }), "2026-03-02T08:59:59.999Z", false),
        (json!({ "times": day }), "2026-03-02T09:00:00Z", true),
        (json!({ "times": day }), "2026-03-02T16:59:59Z", true),
        (json!({ "times": day }), "2026-03-02T17:00:00Z", false),
        (
            json!({ "times": [{ "start_time": "22:00", "end_time": "24:00" }] }),
            "2026-03-02T23:59:59Z",
            true,
        ),
        (
            json!({ "weekdays": ["monday:friday"] }),
            "2026-03-06T23:59:00Z",
            true,
        ),
        (
            json!({ "weekdays": ["monday:friday"] }),
            "2026-03-07T00:00:00Z",
            false,
        ),
        (
            json!({ "weekdays": ["Sunday", "saturday"] }),
            "2026-03-08T10:00:00Z",
            true,
        ),
        (
            json!({ "days_of_month": ["1:5"] }),
            "2026-03-05T10:00:00Z",
            true,
        ),
        (
            json!({ "days_of_month": ["1:5"] }),
            "2026-03-06T10:00:00Z",
            false,
        ),
        (
            json!({ "days_of_month": ["-3:-1"] }),
            "2026-02-26T10:00:00Z",
            true,
        ),
        (
            json!({ "days_of_month": ["-3:-1"] }),
            "2026-02-25T10:00:00Z",
            false,
        ),
        (
            json!({ "days_of_month": ["-1"] }),
            "2028-02-29T10:00:00Z",
            true,
        ),
        (
            json!({ "days_of_month": ["29:31"] }),
            "2026-02-28T10:00:00Z",
            false,
        ),
        (
            json!({ "days_of_month": ["20:31"] }),
            "2026-02-28T10:00:00Z",
            true,
        ),
        (
            json!({ "days_of_month": ["-31:-1"] }),
            "2026-04-01T10:00:00Z",
            true,
        ),
        (
            json!({ "days_of_month": ["15:-1"] }),
            "2026-04-14T10:00:00Z",
            false,
        ),
        (
            json!({ "months": ["january:march", "12"] }),
            "2026-03-31T10:00:00Z",
            true,
        ),
        (
            json!({ "months": ["january:march", "12"] }),
            "2026-04-01T00:00:00Z",
            false,
        ),
        (
            json!({ "months": ["january:march", "12"] }),
            "2026-12-01T00:00:00Z",
            true,
        ),
        (
            json!({ "years": ["2025", "2027:2030"] }),
            "2026-03-02T12:00:00Z",
            false,
        ),
        (json!({ "years": ["2026"] }), "2026-03-02T12:00:00Z", true),
        (
            json!({ "times": day, "weekdays": ["sunday"] }),
            "2026-03-02T12:00:00Z",
            false,
        ),
        (
            json!({ "times": day, "location": "America/New_York" }),
            "2026-03-02T13:59:00Z",
            false,
        ),
        (
            json!({ "times": day, "location": "America/New_York" }),
            "2026-03-02T14:00:00Z",
            true,
        ),
        (
            json!({ "times": day, "location": "America/New_York" }),
            "2026-07-01T13:00:00Z",
            true,
        ),
        (
            json!({ "weekdays": ["tuesday"], "location": "Asia/Tokyo" }),
            "2026-03-02T15:00:00Z",
            true,
        ),
        (
            json!({ "times": day, "location": "Asia/Kolkata" }),
            "2026-03-02T03:30:00Z",
            true,
        ),
        (
            json!({ "times": day, "location": "" }),
            "2026-03-02T12:00:00Z",
            true,
        ),
    ] {
        assert_eq!(
            muted(&interval, at).is_some(),
            expected,
            "{interval} at {at}"
        );
    }
}

#[test]
fn a_mute_ends_at_the_first_minute_outside_it() {
    let night = json!({ "times": [{ "start_time": "22:00", "end_time": "24:00" },
                                  { "start_time": "00:00", "end_time": "06:30" }],
                        "location": "Europe/Berlin" });
    let weekend = json!({ "weekdays": ["saturday", "sunday"], "location": "Europe/Berlin" });
    for (interval, at, until) in [
        (&night, "2026-01-10T22:15:30.5Z", "2026-01-11T05:30:00Z"),
        (&night, "2026-07-10T21:15:30Z", "2026-07-11T04:30:00Z"),
        // The clock goes forward at 02:00 on 29 March, back at 03:00 on 25 October.
        (&night, "2026-03-28T23:00:00Z", "2026-03-29T04:30:00Z"),
        (&night, "2026-10-24T22:00:00Z", "2026-10-25T05:30:00Z"),
        (&weekend, "2026-03-28T12:00:00Z", "2026-03-29T22:00:00Z"),
        (&weekend, "2026-10-24T12:00:00Z", "2026-10-25T23:00:00Z"),
        (
            &json!({ "months": ["december"], "years": ["2026"] }),
            "2026-12-05T00:00:00Z",
            "2027-01-01T00:00:00Z",
        ),
        (
            &json!({ "days_of_month": ["-1"] }),
            "2026-02-28T01:00:00Z",
            "2026-03-01T00:00:00Z",
        ),
        // No end within 366 days.
        (&json!({}), "2026-03-02T12:00:00Z", "2027-03-03T12:00:00Z"),
        (
            &json!({ "years": ["2026:2036"] }),
            "2026-03-02T12:00:00Z",
            "2027-03-03T12:00:00Z",
        ),
    ] {
        assert_eq!(muted(interval, at), Some(time(until)), "{interval} at {at}");
    }
}

#[test]
fn an_hour_that_comes_twice_is_muted_twice_and_one_left_out_mutes_nothing() {
    let hour = json!({ "times": [{ "start_time": "02:00", "end_time": "02:30" }],
                       "location": "Europe/Berlin" });
    assert_eq!(
        muted(&hour, "2026-10-25T00:10:00Z"),
        Some(time("2026-10-25T00:30:00Z"))
    );
    assert_eq!(muted(&hour, "2026-10-25T00:40:00Z"), None);
    assert_eq!(
        muted(&hour, "2026-10-25T01:10:00Z"),
        Some(time("2026-10-25T01:30:00Z"))
    );
    assert_eq!(muted(&hour, "2026-03-29T01:10:00Z"), None);
    // One that begins inside the hour left out ends with it.
    let long = json!({ "times": [{ "start_time": "01:00", "end_time": "02:30" }],
                       "location": "Europe/Berlin" });
    assert_eq!(
        muted(&long, "2026-03-29T00:10:00Z"),
        Some(time("2026-03-29T01:00:00Z"))
    );
}

#[test]
fn several_intervals_mute_one_after_the_other() {
    let intervals = json!([
        { "name": "night", "time_intervals": [
            { "times": [{ "start_time": "22:00", "end_time": "24:00" }] },
            { "times": [{ "start_time": "00:00", "end_time": "06:00" }] }] },
        { "name": "early",
          "time_intervals": [{ "times": [{ "start_time": "06:00", "end_time": "07:15" }],
                               "location": "Etc/GMT-1" }] },
        { "name": "work",
          "time_intervals": [{ "weekdays": ["monday:friday"],
                               "times": [{ "start_time": "07:00", "end_time": "19:00" }] }] },
    ]);
    let both = json!({ "mute_time_intervals": ["night", "early"] });
    // "early" is over at 06:15 UTC.
    assert_eq!(
        muted_by(&both, &intervals, time("2026-03-02T23:00:00Z")),
        Some(time("2026-03-03T06:15:00Z"))
    );
    // Outside the active interval counts as muted: from Friday evening to Monday morning.
    let active = json!({ "active_time_intervals": ["work"] });
    assert_eq!(
        muted_by(&active, &intervals, time("2026-03-06T19:00:00Z")),
        Some(time("2026-03-09T07:00:00Z"))
    );
    assert_eq!(
        muted_by(&active, &intervals, time("2026-03-09T07:00:00Z")),
        None
    );
    let of_both =
        json!({ "active_time_intervals": ["work"], "mute_time_intervals": ["night", "early"] });
    assert_eq!(
        muted_by(&of_both, &intervals, time("2026-03-07T23:00:00Z")),
        Some(time("2026-03-09T07:00:00Z"))
    );
}

#[test]
fn the_end_of_a_mute_is_what_walking_minute_by_minute_finds() {
    let mut rng = fastrand::Rng::with_seed(7);
    for _ in 0..300 {
        let zone = [
            "UTC",
            "Europe/Berlin",
            "America/St_Johns",
            "Australia/Lord_Howe",
            "Asia/Kathmandu",
        ][rng.usize(..5)];
        let minute = |minute: u32| format!("{:02}:{:02}", minute / 60, minute % 60);
        let start = rng.u32(0..1430);
        let end = rng.u32(start + 1..=1440);
        let first = rng.usize(..7);
        let days = [
            "sunday",
            "monday",
            "tuesday",
            "wednesday",
            "thursday",
            "friday",
            "saturday",
        ];
        let interval = json!({
            "times": [{ "start_time": minute(start), "end_time": minute(end) },
                      { "start_time": "00:00", "end_time": "04:10" }],
            "weekdays": [format!("{}:{}", days[first], days[rng.usize(first..7)])],
            "location": zone,
        });
        let intervals = json!([{ "name": "t", "time_intervals": [interval] }]);
        let key = if rng.bool() {
            "mute_time_intervals"
        } else {
            "active_time_intervals"
        };
        let route = json!({ "receiver": "r", "routes": [{ key: ["t"] }] });
        let routes = compile(&route, &intervals, &["r"]).unwrap();
        // Around the changes of the clocks in 2026.
        let around = [
            "2026-03-08T00:00:00Z",
            "2026-03-29T00:00:00Z",
            "2026-04-05T00:00:00Z",
            "2026-10-25T00:00:00Z",
        ][rng.usize(..4)];
        let at = time(around) + SignedDuration::from_secs(rng.i64(-86_400..86_400));
        let until = |at| {
            routes.reach(&labels(&[]), Some(at))[0]
                .mute
                .as_ref()
                .map(|mute| mute.until.unwrap())
        };
        let Some(found) = until(at) else { continue };
        let mut walked = Timestamp::from_second(at.as_second().div_euclid(60) * 60).unwrap();
        while until(walked.max(at)).is_some() {
            walked += SignedDuration::from_mins(1);
        }
        assert_eq!(found, walked, "{interval} {key} at {at}");
    }
}
