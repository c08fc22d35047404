//! Stage 5: finds the receivers for an alert's labels by Alertmanager's tree, which reaches the
//! same receivers as there (`dispatch/route.go`).

use std::sync::Arc;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    label::{Labels, Matcher},
    settings::Problem,
};

mod compile;
pub mod interval;
mod mute;

pub use mute::HORIZON;

/// A route, as in Alertmanager: the root (`route`) or one of the `routes` below another.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The receiver that is notified. The default is that of the parent; the root must name one.
    pub receiver: Option<String>,
    /// The matchers of the labels, such as `severity="critical"`, all of which must match. The
    /// operators are `=`, `!=`, `=~` and `!~`, and for numbers `>`, `>=`, `<` and `<=`. The root
    /// must have none: it takes what no other route takes.
    pub matchers: Vec<String>,
    /// Whether the sibling routes after this one are tried as well once this one has matched. The
    /// default is `false`. The root has no siblings and may not set it.
    pub r#continue: bool,
    /// The names of the time intervals during which this route is muted. They apply to this route
    /// alone, not to the routes below it.
    pub mute_time_intervals: Vec<String>,
    /// The names of the time intervals outside which this route is muted. If empty, nothing is
    /// muted by this setting. They apply to this route alone, not to the routes below it.
    pub active_time_intervals: Vec<String>,
    /// What happens to a trigger while the route is muted. The default is that of the parent, and
    /// `hold` for the root.
    pub on_mute: Option<OnMute>,
    /// The routes below this one, which are tried in order. Those that match replace this one; the
    /// first that matches ends the search unless it sets `continue`. Routes may be nested at most
    /// 64 levels deep.
    pub routes: Vec<Settings>,
}

/// What happens to a trigger while its route is muted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnMute {
    /// The page is held, and sent when the mute ends if the incident is still open then, or after
    /// 366 days if the mute lasts longer.
    #[default]
    Hold,
    /// A trigger that arrives during the mute pages nobody. A page that was held already stays held
    /// until the mute ends.
    Drop,
}

/// A compiled route tree with its time intervals.
#[derive(Debug)]
pub struct Routes {
    root: Route,
}

/// A node of the tree, with what it inherits.
#[derive(Debug)]
pub struct Route {
    /// Its key path in the configuration: `route.routes[1]`.
    pub path: String,
    pub receiver: String,
    pub matchers: Vec<Matcher>,
    pub r#continue: bool,
    pub mute: Vec<Arc<interval::Intervals>>,
    pub active: Vec<Arc<interval::Intervals>>,
    pub on_mute: OnMute,
    pub routes: Vec<Route>,
}

/// A receiver that a set of labels reaches.
#[derive(Debug, Clone, PartialEq)]
pub struct Reached {
    pub receiver: String,
    /// The path of the route that names the receiver: `route.routes[1]`.
    pub path: String,
    pub mute: Option<Mute>,
}

/// Why a receiver is not notified now.
#[derive(Debug, Clone, PartialEq)]
pub struct Mute {
    /// The responsible time intervals: the active muting ones, or, if the route is outside its
    /// active intervals, all of those.
    pub intervals: Vec<String>,
    /// With `on_mute: hold`, the time at which the page is sent if the incident is still open then,
    /// or 366 days from now if the mute lasts longer. `None` means `on_mute: drop`.
    pub until: Option<Timestamp>,
}

impl Routes {
    /// Compiles the tree, or reports all its problems. `receivers` are the existing names.
    pub fn compile(
        route: &Settings,
        intervals: &[interval::Settings],
        receivers: &[String],
    ) -> Result<Self, Vec<Problem>> {
        compile::compile(route, intervals, receivers).map(|root| Self { root })
    }

    /// Returns the root of the tree.
    pub fn root(&self) -> &Route {
        &self.root
    }

    /// Returns the receivers that the labels reach, in the tree's order, each once. With `at`, time
    /// intervals apply.
    ///
    /// If several routes name a receiver, the one that notifies it soonest decides: now, later,
    /// never.
    pub fn reach(&self, labels: &Labels, at: Option<Timestamp>) -> Vec<Reached> {
        self.lead(labels, |route| {
            at.and_then(|at| mute::mute(route, at, route.on_mute))
        })
    }

    /// Returns the receivers that the labels reach at a time, where `is_held` names receivers that
    /// are owed the page already.
    ///
    /// `on_mute: drop` only applies to what arrives while the mute is on. What was held already
    /// stays held until the mute ends.
    pub fn reach_held(
        &self,
        labels: &Labels,
        at: Timestamp,
        is_held: impl Fn(&str) -> bool,
    ) -> Vec<Reached> {
        self.lead(labels, |route| {
            let on_mute = if is_held(&route.receiver) {
                OnMute::Hold
            } else {
                route.on_mute
            };
            mute::mute(route, at, on_mute)
        })
    }

    /// Returns the time from which a receiver is told what is held for it: `at` itself if a route
    /// that leads there is not muted then; `None` if no route leads there.
    pub fn told_from(&self, receiver: &str, labels: &Labels, at: Timestamp) -> Option<Timestamp> {
        let routes = self.matching(labels).into_iter();
        routes
            .filter(|route| route.receiver == receiver)
            .map(|route| mute::told_from(route, at))
            .min()
    }

    fn lead(&self, labels: &Labels, mute: impl Fn(&Route) -> Option<Mute>) -> Vec<Reached> {
        let mut reached: Vec<Reached> = Vec::new();
        for route in self.matching(labels) {
            let mute = mute(route);
            match reached
                .iter_mut()
                .find(|known| known.receiver == route.receiver)
            {
                Some(known) if sooner(mute.as_ref(), known.mute.as_ref()) => {
                    known.path.clone_from(&route.path);
                    known.mute = mute;
                }
                Some(_) => {}
                None => reached.push(Reached {
                    receiver: route.receiver.clone(),
                    path: route.path.clone(),
                    mute,
                }),
            }
        }

        reached
    }

    /// Returns the routes in which the labels end, in the tree's order.
    fn matching(&self, labels: &Labels) -> Vec<&Route> {
        let mut all = Vec::new();
        self.root.collect(labels, &mut all);
        all
    }
}

impl Route {
    /// Collects the matching routes, depth first, and returns whether this route matches.
    ///
    /// The matching children replace their parent, and the first of them ends the search among its
    /// siblings unless it has `continue`.
    fn collect<'a>(&'a self, labels: &Labels, all: &mut Vec<&'a Route>) -> bool {
        if !self.matchers.iter().all(|matcher| matcher.holds(labels)) {
            return false;
        }

        let before = all.len();
        for child in &self.routes {
            if child.collect(labels, all) && !child.r#continue {
                break;
            }
        }

        if all.len() == before {
            all.push(self);
        }

        true
    }
}

/// Returns whether a mute like `a` notifies sooner than one like `b`.
fn sooner(a: Option<&Mute>, b: Option<&Mute>) -> bool {
    match (a, b) {
        (_, None) => false,
        (None, Some(_)) => true,
        (Some(a), Some(b)) => match (a.until, b.until) {
            (Some(a), Some(b)) => a < b,
            (a, b) => a.is_some() && b.is_none(),
        },
    }
}
