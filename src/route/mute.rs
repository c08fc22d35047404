//! Decides whether a route is muted at a time, and when that ends.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::{Mute, OnMute, Route, interval::Intervals};

/// How far ahead the end of a mute is searched. After that time, a held page is sent anyway.
pub const HORIZON: SignedDuration = SignedDuration::from_hours(366 * 24);

/// Returns the mute of a route: it is muted while any muting interval is active, or while it has
/// active intervals and none of them is active.
pub(super) fn mute(route: &Route, at: Timestamp, on_mute: OnMute) -> Option<Mute> {
    let names = |intervals: &mut dyn Iterator<Item = &Arc<Intervals>>| {
        intervals
            .map(|interval| interval.name.clone())
            .collect::<Vec<_>>()
    };

    let mut intervals = names(&mut route.mute.iter().filter(|interval| interval.contains(at)));

    if outside(&route.active, at) {
        intervals.extend(names(&mut route.active.iter()));
    }

    (!intervals.is_empty()).then(|| Mute {
        intervals,
        until: (on_mute == OnMute::Hold).then(|| end(route, at)),
    })
}

/// Returns the time from which the route tells what is held: `at` itself if the route is not muted
/// then.
pub(super) fn told_from(route: &Route, at: Timestamp) -> Timestamp {
    if muted(route, at) { end(route, at) } else { at }
}

fn muted(route: &Route, at: Timestamp) -> bool {
    route.mute.iter().any(|interval| interval.contains(at)) || outside(&route.active, at)
}

fn outside(active: &[Arc<Intervals>], at: Timestamp) -> bool {
    !active.is_empty() && !active.iter().any(|interval| interval.contains(at))
}

/// Returns the first time after `at` at which the route is not muted. Steps from one possible
/// change to the next.
fn end(route: &Route, at: Timestamp) -> Timestamp {
    let horizon = at.checked_add(HORIZON).unwrap_or(Timestamp::MAX);
    let mut time = at;

    loop {
        let next = route
            .mute
            .iter()
            .chain(&route.active)
            .map(|interval| interval.next_change(time))
            .min();
        match next {
            Some(next) if time < next && next < horizon => time = next,
            _ => return horizon,
        }
        if !muted(route, time) {
            return time;
        }
    }
}
