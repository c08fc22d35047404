//! Warnings about settings without effect: labels that no alert has, and receivers, routes and time
//! intervals that nothing leads to.
//!
//! Each is allowed, and most likely a mistake. `check`, the start and a reload warn about it.

use std::collections::BTreeSet;

use regex::Regex;

use super::Config;
use crate::{
    label::{self, Matcher, Operator},
    pipeline::Rules,
    profile::{Profiles, starters},
    route::{self, Route},
    settings::nearest,
};

/// Returns every such warning, as a sentence.
pub fn warnings(config: &Config, rules: &Rules, profiles: &Profiles) -> Vec<String> {
    let mut found = Vec::new();
    let known = profiles.labels().into_iter().map(ToOwned::to_owned);
    let mut known: BTreeSet<String> = known.collect();
    known.insert(label::STAGE.to_owned());
    severities(config, &known, &mut found);
    changes(config, &known, &mut found);
    objectives(config, &known, &mut found);
    senders(config, &mut found);
    groups(config, &mut found);
    unchecked(config, &mut found);

    let mut reached = Reached {
        known,
        ..Reached::default()
    };
    reached.route(rules.routes.root(), &config.route, &[], &mut found);
    receivers(config, &mut reached, &mut found);
    empty(config, rules, &reached, &mut found);
    intervals(config, &reached, &mut found);
    found
}

/// Warns about profiles without a sender: they take mail from anybody, whose own domain then
/// vouches for it.
fn senders(config: &Config, found: &mut Vec<String>) {
    // The starter that a profile uses may name a sender; an unknown starter is reported elsewhere.
    let is_known = |starter: &String| starters::named(starter).is_some();
    let nameless = config.profiles.iter().enumerate().filter(|(_, profile)| {
        profile.r#match.from.is_empty() && profile.r#use.as_ref().is_none_or(is_known)
    });
    for (index, profile) in nameless {
        found.push(format!(
            "profiles[{index}].match.from: the profile `{}` names no sender, so anybody who writes \
             such a mail can page and resolve; name the address that its alerts come from",
            profile.name
        ));
    }
}

/// Warns about expressions without a named group, which give templates nothing.
fn groups(config: &Config, found: &mut Vec<String>) {
    for (index, profile) in config.profiles.iter().enumerate() {
        // A section without `each.text` is a mistake of another kind.
        let each = profile.each.as_ref().filter(|each| each.text.is_some());
        let section = each.and_then(|each| each.section.as_ref());
        let expressions = [
            ("regex.subject", profile.regex.subject.as_ref()),
            ("regex.text", profile.regex.text.as_ref()),
            ("each.section", section),
        ];
        let nameless = expressions.into_iter().filter(|(_, text)| {
            let regex = text.and_then(|text| Regex::new(text).ok());
            regex.is_some_and(|regex| regex.capture_names().flatten().next().is_none())
        });
        for (key, _) in nameless {
            found.push(format!(
                "profiles[{index}].{key} has no named group, so it extracts nothing; name the part \
                 that is meant: `(?<name>…)`"
            ));
        }
    }
}

/// Warns about profiles that require no evidence: they accept every mail as genuine.
fn unchecked(config: &Config, found: &mut Vec<String>) {
    for (index, profile) in config.profiles.iter().enumerate() {
        let required = &profile.authenticity.require;
        if required.as_ref().is_some_and(Vec::is_empty) {
            found.push(format!(
                "profiles[{index}].authenticity.require is empty: nothing checks that mail for the \
                 profile `{}` comes from its sender, so anybody who can write to an ingress can \
                 page and resolve; list what counts as evidence",
                profile.name
            ));
        }
    }
}

fn severities(config: &Config, known: &BTreeSet<String>, found: &mut Vec<String>) {
    let of_alerts = ("alerts".to_owned(), &config.alerts.severity);
    let of_profiles = config.profiles.iter().enumerate();
    let of_profiles =
        of_profiles.map(|(index, profile)| (format!("profiles[{index}]"), &profile.severity));

    for (key, rules) in std::iter::once(of_alerts).chain(of_profiles) {
        for (index, rule) in rules.iter().enumerate() {
            let key = format!("{key}.severity[{index}].matchers");
            labels(&key, &rule.matchers, known, found);
        }
    }
}

/// Warns about `notify_on_change` for labels that no alert has: no change of them is ever told.
fn changes(config: &Config, known: &BTreeSet<String>, found: &mut Vec<String>) {
    let of_alerts = ("alerts".to_owned(), &config.alerts.notify_on_change);
    let of_profiles = config.profiles.iter().enumerate();
    let of_profiles = of_profiles
        .map(|(index, profile)| (format!("profiles[{index}]"), &profile.notify_on_change));

    for (key, names) in std::iter::once(of_alerts).chain(of_profiles) {
        let key = format!("{key}.notify_on_change");
        unknown(&key, names.iter().map(String::as_str), known, found);
    }
}

/// Warns about objectives for labels that no alert has: they measure nothing.
fn objectives(config: &Config, known: &BTreeSet<String>, found: &mut Vec<String>) {
    for (index, objective) in config.objectives.iter().enumerate() {
        let key = format!("objectives[{index}].matchers");
        labels(&key, &objective.matchers, known, found);
    }
}

/// Warns about matchers that never hold: those of labels that no alert has, because the label is
/// empty, whatever the mail; and those whose operator was meant to be another.
fn labels(key: &str, matchers: &[String], known: &BTreeSet<String>, found: &mut Vec<String>) {
    for (index, text) in matchers.iter().enumerate() {
        let key = format!("{key}[{index}]");
        let parsed = Matcher::parse_list(text).unwrap_or_default();
        unknown(&key, parsed.iter().map(Matcher::name), known, found);

        let is_quoted = text.contains('"');
        let slips = parsed
            .iter()
            .filter(|matcher| !is_quoted && is_slip(matcher));
        found.extend(slips.map(|slip| {
            let (name, operator, value) = (slip.name(), slip.operator(), slip.value());
            format!(
                "{key}: `{name}{operator}{value}` compares {name} with the text `{value}`; the \
                 operators are =, !=, =~, !~, >, >=, < and <=; quote the value if it is meant"
            )
        }));
    }
}

/// Returns whether the value begins like an operator, as in `severity==critical`. Alertmanager
/// accepts that, too, and takes the rest of the operator for a part of the value.
fn is_slip(matcher: &Matcher) -> bool {
    matcher.value().starts_with(['=', '~', '!'])
}

fn unknown<'a>(
    key: &str,
    names: impl Iterator<Item = &'a str>,
    known: &BTreeSet<String>,
    found: &mut Vec<String>,
) {
    let unknown: BTreeSet<&str> = names.filter(|name| !known.contains(*name)).collect();

    for name in unknown {
        let mend = match nearest(name, known.iter().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("the labels are {}", label::NAMES.join(", ")),
        };
        found.push(format!("{key}: no alert has a label `{name}`; {mend}"));
    }
}

/// The receivers and time intervals that the route tree leads to.
#[derive(Default)]
struct Reached {
    /// The labels that an alert may have.
    known: BTreeSet<String>,
    receivers: BTreeSet<String>,
    intervals: BTreeSet<String>,
}

impl Reached {
    /// Visits a route. `written` is the route as it is written, and `above` are the matchers of the
    /// routes that lead to it.
    fn route<'r>(
        &mut self,
        route: &'r Route,
        written: &route::Settings,
        above: &[&'r Matcher],
        found: &mut Vec<String>,
    ) {
        let key = format!("{}.matchers", route.path);
        labels(&key, &written.matchers, &self.known, found);

        let intervals = route.mute.iter().chain(&route.active);
        self.intervals
            .extend(intervals.map(|interval| interval.name.clone()));

        let above: Vec<&Matcher> = above.iter().copied().chain(&route.matchers).collect();
        let above = above.as_slice();
        if let Some((one, other)) = contradiction(above) {
            found.push(format!(
                "{}.matchers: no alert reaches this route, because no `{}` is both `{}` and `{}`; \
                 correct one of them",
                route.path,
                one.name(),
                one.value(),
                other.value()
            ));
            return;
        }

        // A child that takes everything leaves nothing to its parent.
        if !route.routes.iter().any(|child| takes_all_of(child, &[])) {
            self.receivers.insert(route.receiver.clone());
        }

        for (index, child) in route.routes.iter().enumerate() {
            let mut before = route.routes[..index].iter();
            let held: Vec<&Matcher> = above.iter().copied().chain(&child.matchers).collect();
            match before.find(|other| !other.r#continue && takes_all_of(other, &held)) {
                Some(other) if other.matchers.is_empty() => found.push(format!(
                    "{}: no alert reaches this route, because {} before it has no matchers and \
                     takes every alert; move this route up, or give the other one `matchers` or \
                     `continue: true`",
                    child.path, other.path
                )),
                Some(other) => found.push(format!(
                    "{}: no alert reaches this route, because {} before it takes every alert that \
                     this one would; move this route up, or give the other one `continue: true`",
                    child.path, other.path
                )),
                None => self.route(child, &written.routes[index], above, found),
            }
        }
    }
}

/// Returns whether a route takes every alert that these matchers let through.
fn takes_all_of(route: &Route, matchers: &[&Matcher]) -> bool {
    let same = |one: &Matcher, other: &Matcher| {
        (one.name(), one.operator(), one.value()) == (other.name(), other.operator(), other.value())
    };
    let is_any =
        |matcher: &Matcher| matcher.operator() == Operator::Matches && matcher.value() == ".*";
    route
        .matchers
        .iter()
        .all(|own| is_any(own) || matchers.iter().any(|other| same(own, other)))
}

/// Returns two matchers that cannot both hold.
fn contradiction<'m>(matchers: &[&'m Matcher]) -> Option<(&'m Matcher, &'m Matcher)> {
    let named = |name: &str| {
        let equal = matchers
            .iter()
            .filter(|one| one.operator() == Operator::Equal);
        let mut of_name = equal.filter(|one| one.name() == name).copied();
        let first = of_name.next()?;
        let other = of_name.find(|other| other.value() != first.value())?;
        Some((first, other))
    };
    matchers.iter().find_map(|matcher| named(matcher.name()))
}

/// Warns about receivers that nothing reaches. A fallback is reached wherever the receiver that it
/// replaces is.
fn receivers(config: &Config, reached: &mut Reached, found: &mut Vec<String>) {
    let fallbacks = || {
        let with_fallback = config.receivers.iter();
        with_fallback
            .filter_map(|receiver| Some((&receiver.name, &receiver.fallback.as_ref()?.receiver)))
    };

    while let Some((_, fallback)) = fallbacks().find(|(name, fallback)| {
        reached.receivers.contains(*name) && !reached.receivers.contains(*fallback)
    }) {
        reached.receivers.insert(fallback.clone());
    }

    for (index, receiver) in config.receivers.iter().enumerate() {
        if !reached.receivers.contains(&receiver.name) {
            found.push(format!(
                "receivers[{index}]: no route reaches the receiver `{}`; name it in a route, or \
                 drop it",
                receiver.name
            ));
        }
    }
}

/// Warns about receivers that notify nobody, because they have no integration.
fn empty(config: &Config, rules: &Rules, reached: &Reached, found: &mut Vec<String>) {
    let integrations = &rules.receivers.integrations;
    let is_empty = |name: &str| !integrations.keys().any(|target| target.receiver == name);

    for (index, receiver) in config.receivers.iter().enumerate() {
        if reached.receivers.contains(&receiver.name) && is_empty(&receiver.name) {
            found.push(format!(
                "receivers[{index}]: the receiver `{}` has no integration, so alerts routed to it \
                 reach nobody; add one, such as `slack_configs`",
                receiver.name
            ));
        }
    }
}

fn intervals(config: &Config, reached: &Reached, found: &mut Vec<String>) {
    for (index, interval) in config.time_intervals.iter().enumerate() {
        if !reached.intervals.contains(&interval.name) {
            found.push(format!(
                "time_intervals[{index}]: no route uses the time interval `{}`; name it in \
                 `mute_time_intervals` or \
                 `active_time_intervals` of a route, or drop it",
                interval.name
            ));
        }
    }
}

#[cfg(test)]
mod tests;
