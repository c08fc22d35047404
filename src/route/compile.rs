//! Compiles the settings into the tree: names are resolved, inherited values filled in, and all
//! problems reported at once.

use std::{collections::BTreeMap, sync::Arc};

use super::{OnMute, Route, Settings, interval};
use crate::{label::matcher, settings::Problem};

/// The deepest nesting of routes, which is limited because [`super::Routes::reach`] walks them
/// recursively.
const MAX_DEPTH: usize = 64;

struct Compiler<'a> {
    intervals: BTreeMap<String, Arc<interval::Intervals>>,
    receivers: &'a [String],
    problems: Vec<Problem>,
}

pub(super) fn compile(
    root: &Settings,
    intervals: &[interval::Settings],
    receivers: &[String],
) -> Result<Route, Vec<Problem>> {
    let mut problems = Vec::new();
    let intervals = interval::compile(intervals, &mut problems);
    let mut compiler = Compiler {
        intervals,
        receivers,
        problems,
    };

    compiler.check_root(root);

    let route = compiler.route(root, "route".to_owned(), ("", OnMute::default()), 1);

    if compiler.problems.is_empty() {
        Ok(route)
    } else {
        Err(compiler.problems)
    }
}

impl Compiler<'_> {
    fn check_root(&mut self, root: &Settings) {
        let mut wrong =
            |key: &str, what: &str, mend: &str| self.problems.push(Problem::new(key, what, mend));
        if root.receiver.as_deref().unwrap_or_default().is_empty() {
            wrong(
                "route.receiver",
                "the root route names no receiver, but every alert that no other route matches \
                 goes there",
                "name one of `receivers`: `receiver: oncall`",
            );
        }

        if !root.matchers.is_empty() {
            wrong(
                "route.matchers",
                "the root route takes no matchers: every alert that no other route matches goes \
                 there",
                "move them to a route of its own under `route.routes`",
            );
        }

        if root.r#continue {
            wrong(
                "route.continue",
                "the root route has no siblings to continue to",
                "drop `continue`",
            );
        }
    }

    /// Compiles a route. `inherited` are the parent's receiver and its `on_mute`.
    fn route(
        &mut self,
        settings: &Settings,
        path: String,
        inherited: (&str, OnMute),
        depth: usize,
    ) -> Route {
        let given = settings.receiver.as_deref().filter(|name| !name.is_empty());
        if let Some(name) = given
            && !self.receivers.iter().any(|known| known == name)
        {
            let problem = unknown(
                &format!("{path}.receiver"),
                "receiver",
                name,
                self.receivers.iter(),
            );
            self.problems.push(problem);
        }

        let receiver = given.unwrap_or(inherited.0).to_owned();
        let on_mute = settings.on_mute.unwrap_or(inherited.1);
        let matchers = matcher::compile(
            &format!("{path}.matchers"),
            &settings.matchers,
            &mut self.problems,
        );

        let mute = self.intervals(
            &format!("{path}.mute_time_intervals"),
            &settings.mute_time_intervals,
        );

        let active = self.intervals(
            &format!("{path}.active_time_intervals"),
            &settings.active_time_intervals,
        );

        let mut routes = Vec::with_capacity(settings.routes.len());

        if depth < MAX_DEPTH {
            for (index, child) in settings.routes.iter().enumerate() {
                routes.push(self.route(
                    child,
                    format!("{path}.routes[{index}]"),
                    (&receiver, on_mute),
                    depth + 1,
                ));
            }
        } else if !settings.routes.is_empty() {
            self.problems.push(Problem::new(
                format!("{path}.routes"),
                format!("routes are nested deeper than {MAX_DEPTH} levels"),
                "use more matchers and fewer levels",
            ));
        }

        Route {
            path,
            receiver,
            matchers,
            r#continue: settings.r#continue,
            mute,
            active,
            on_mute,
            routes,
        }
    }

    fn intervals(&mut self, key: &str, names: &[String]) -> Vec<Arc<interval::Intervals>> {
        let mut found = Vec::with_capacity(names.len());
        for (index, name) in names.iter().enumerate() {
            if let Some(interval) = self.intervals.get(name) {
                found.push(Arc::clone(interval));
            } else {
                let problem = unknown(
                    &format!("{key}[{index}]"),
                    "time interval",
                    name,
                    self.intervals.keys(),
                );
                self.problems.push(problem);
            }
        }

        found
    }
}

/// Returns the problem of a name that does not exist, with the first few that do.
fn unknown<'a>(
    key: &str,
    what: &str,
    name: &str,
    known: impl Iterator<Item = &'a String>,
) -> Problem {
    let known = known
        .take(10)
        .map(|name| format!("`{name}`"))
        .collect::<Vec<_>>()
        .join(", ");

    let place = what.replace(' ', "_");
    let mend = if known.is_empty() {
        format!("add it to `{place}s`")
    } else {
        format!("add it to `{place}s`, or name one that is there: {known}")
    };

    Problem::new(key, format!("there is no {what} `{name}`"), mend)
}
