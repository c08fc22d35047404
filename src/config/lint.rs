//! Settings without effect: labels that no alert has, and receivers, routes and time intervals that
//! nothing leads to. Each is allowed, and most likely a mistake; `check`, the start and a reload
//! warn about it.

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

/// Every such warning, as a sentence.
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
    intervals(config, &reached, &mut found);
    found
}

/// A profile without a sender takes mail from anybody, whose own domain then vouches for it.
fn senders(config: &Config, found: &mut Vec<String>) {
    // What it begins with may name one, where there is such a starter.
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

/// An expression without a named group gives templates nothing.
fn groups(config: &Config, found: &mut Vec<String>) {
    for (index, profile) in config.profiles.iter().enumerate() {
        // Without the text that its incidents match it is a mistake of another kind.
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
                "profiles[{index}].{key} names no group, so that nothing comes of it; name what is \
                 meant: `(?<name>…)`"
            ));
        }
    }
}

/// A profile that asks for no evidence takes every mail at its word.
fn unchecked(config: &Config, found: &mut Vec<String>) {
    for (index, profile) in config.profiles.iter().enumerate() {
        let required = &profile.authenticity.require;
        if required.as_ref().is_some_and(Vec::is_empty) {
            found.push(format!(
                "profiles[{index}].authenticity.require is empty: mail that the profile `{}` takes \
                 is not checked to be its sender's, so whoever can write to an ingress can page \
                 and resolve; list what counts as evidence",
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

/// Of a label that no alert has no change is ever told.
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

/// An objective for a label that no alert has measures nothing.
fn objectives(config: &Config, known: &BTreeSet<String>, found: &mut Vec<String>) {
    for (index, objective) in config.objectives.iter().enumerate() {
        let key = format!("objectives[{index}].matchers");
        labels(&key, &objective.matchers, known, found);
    }
}

/// A matcher of such a label sees it as empty, whatever the mail.
fn labels(key: &str, matchers: &[String], known: &BTreeSet<String>, found: &mut Vec<String>) {
    for (index, text) in matchers.iter().enumerate() {
        let parsed = Matcher::parse_list(text).unwrap_or_default();
        let names = parsed.iter().map(Matcher::name);
        unknown(&format!("{key}[{index}]"), names, known, found);
    }
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

/// What the route tree leads to.
#[derive(Default)]
struct Reached {
    /// The labels that an alert may have.
    known: BTreeSet<String>,
    receivers: BTreeSet<String>,
    intervals: BTreeSet<String>,
}

impl Reached {
    /// `written` is the route as it is written, and `above` are the matchers of the routes that
    /// lead to this one.
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

/// Whether a route takes every alert that these matchers leave.
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

/// Two matchers of which one alone can hold.
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

/// A fallback reaches its receiver wherever the receiver that it replaces is reached.
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
mod tests {
    use crate::config::{Config, Files, Source};

    /// The warnings about a route tree below a root that goes to `a`, with receivers `a` to `d`;
    /// `d` is the fallback of `c`.
    fn warnings(routes: &str, more: &str) -> Vec<String> {
        let text = format!(
            "route: {{ receiver: a, routes: [{routes}] }}\nreceivers:\n- {{ name: a }}\n- {{ name: \
             b }}\n\
             - {{ name: c, fallback: {{ receiver: d, after: 5m }} }}\n- {{ name: d }}\n{more}"
        );
        let loaded = Config::parse(Source::Embedded, &text, Files::Unneeded, &|_| None);
        loaded
            .map_err(|errors| panic!("{errors}"))
            .map(|loaded| loaded.warnings)
            .unwrap_or_default()
    }

    fn told(warnings: &[String], what: &str) -> bool {
        warnings.iter().any(|warning| warning.contains(what))
    }

    #[test]
    fn a_label_that_no_alert_has_is_named_wherever_it_is_matched() {
        let deep = "{ receiver: b, routes: [{ receiver: c, matchers: ['kind!=self', \
                    'severty=critical'] }] }";
        let said = warnings(
            deep,
            "alerts: { severity: [{ matchers: ['sli_gab>5'], severity: critical }] }",
        );
        assert!(
            told(
                &said,
                "route.routes[0].routes[0].matchers[1]: no alert has a label `severty`; did you mean \
                 `severity`?"
            ),
            "{said:?}"
        );
        assert!(
            told(
                &said,
                "alerts.severity[0].matchers[0]: no alert has a label `sli_gab`; did you mean \
                 `sli_gap`?"
            ),
            "{said:?}"
        );
        assert!(!told(&said, "`kind`"), "{said:?}");
    }

    #[test]
    fn the_matcher_of_a_label_that_no_alert_has_is_named_by_its_place() {
        for place in 0..4 {
            let mut matchers = ["'kind=incident, sli=x'"; 4];
            matchers[place] = "'state=firing, severty=critical'";
            let list = matchers.join(", ");
            let said = warnings(
                &format!("{{ receiver: b, matchers: [{list}] }}"),
                &format!(
                    "alerts: {{ severity: [{{ matchers: [{list}], severity: critical }}] }}\n\
                     objectives: [{{ matchers: [{list}], slo: 99.9 }}]"
                ),
            );
            for key in ["route.routes[0]", "alerts.severity[0]", "objectives[0]"] {
                let what = format!("{key}.matchers[{place}]: no alert has a label `severty`");
                assert!(told(&said, &what), "{what}: {said:?}");
            }
            let named = said.iter().filter(|one| one.contains("`severty`"));
            assert_eq!(named.count(), 3, "{said:?}");
        }
    }

    #[test]
    fn a_label_that_no_alert_has_is_named_where_its_changes_are_to_be_told() {
        let profile = "profiles: [{ name: p, match: { from: [a@example.com] }, \
                       fields: { key: k, status: s, load: '1' }, \
                       notify_on_change: [severity, load, severty] }]";
        let said = warnings("{ receiver: b }", profile);
        assert!(
            told(
                &said,
                "profiles[0].notify_on_change: no alert has a label `severty`; did you mean \
                 `severity`?"
            ),
            "{said:?}"
        );
        assert!(!told(&said, "`load`"), "{said:?}");
    }

    #[test]
    fn a_profile_that_checks_nothing_is_named() {
        let profile = |more: &str| {
            let profile = format!(
                "profiles: [{{ name: p, match: {{ from: [a@example.com] }}, \
                 fields: {{ key: k, status: s }}{more} }}]"
            );
            warnings("{ receiver: b }", &profile)
        };
        let said = profile(", authenticity: { require: [] }");
        assert!(
            told(&said, "profiles[0].authenticity.require is empty"),
            "{said:?}"
        );
        let said = profile(", authenticity: { require: [dkim] }");
        assert!(!told(&said, "authenticity"), "{said:?}");
    }

    #[test]
    fn a_receiver_is_reached_by_a_route_or_as_the_fallback_of_one_that_is() {
        let said = warnings("{ receiver: c, matchers: [sli=x] }", "");
        assert!(
            told(&said, "receivers[1]: no route reaches the receiver `b`"),
            "{said:?}"
        );
        for reached in ["`a`", "`c`", "`d`"] {
            assert!(!told(&said, reached), "{reached}: {said:?}");
        }
        let said = warnings("{ receiver: b, matchers: [sli=x] }", "");
        assert!(
            told(&said, "receivers[2]: ") && told(&said, "receivers[3]: "),
            "{said:?}"
        );
    }

    #[test]
    fn what_stands_behind_a_route_that_takes_everything_is_reached_by_nothing() {
        let said = warnings("{ receiver: b }, { receiver: c, matchers: [sli=x] }", "");
        assert!(
            told(&said, "route.routes[1]: no alert reaches this route"),
            "{said:?}"
        );
        assert!(
            told(&said, "the receiver `a`") && told(&said, "the receiver `c`"),
            "{said:?}"
        );
        let said = warnings(
            "{ receiver: b, continue: true }, { receiver: c, matchers: [sli=x] }",
            "",
        );
        assert!(
            !told(&said, "no alert reaches this route") && !told(&said, "the receiver `c`"),
            "{said:?}"
        );
    }

    #[test]
    fn a_route_whose_alerts_another_takes_and_one_that_contradicts_itself_are_named() {
        for (routes, place) in [
            (
                "{ receiver: b, matchers: ['sli=~.*'] }, { receiver: c, matchers: [sli=x] }",
                1,
            ),
            (
                "{ receiver: b, matchers: [sli=x] }, \
                 { receiver: c, matchers: [kind=incident, sli=x] }",
                1,
            ),
            (
                "{ receiver: c, matchers: [severity=critical, 'severity=\"warning\"'] }",
                0,
            ),
        ] {
            let said = warnings(routes, "");
            let route = format!("route.routes[{place}]");
            assert!(
                said.iter()
                    .any(|said| said.starts_with(&route)
                        && said.contains("no alert reaches this route"))
                    && told(&said, "the receiver `c`"),
                "{routes}: {said:?}"
            );
        }
        let below = "{ receiver: b, matchers: [severity=critical], routes: [{ receiver: c, \
                     matchers: [severity=warning] }] }";
        assert!(told(&warnings(below, ""), "both `critical` and `warning`"));
        for routes in [
            "{ receiver: b, matchers: [sli=x], continue: true }, \
             { receiver: c, matchers: [sli=x] }",
            "{ receiver: b, matchers: [sli=x, kind=incident] }, { receiver: c, matchers: [sli=x] }",
            "{ receiver: b, matchers: [sli=x] }, { receiver: c, matchers: [sli!=x] }",
            "{ receiver: b, matchers: ['sli=~x'] }, { receiver: c, matchers: [sli=x] }",
            "{ receiver: c, matchers: [severity=critical, severity!=warning] }",
        ] {
            let said = warnings(routes, "");
            assert!(
                !told(&said, "no alert reaches this route") && !told(&said, "the receiver `c`"),
                "{routes}: {said:?}"
            );
        }
    }

    #[test]
    fn a_label_that_no_alert_has_is_named_where_an_objective_matches_it() {
        let said = warnings(
            "{ receiver: b }",
            "objectives: [{ matchers: [severty=x], slo: 99.9 }]",
        );
        assert!(
            told(
                &said,
                "objectives[0].matchers[0]: no alert has a label `severty`"
            ),
            "{said:?}"
        );
    }

    #[test]
    fn a_time_interval_that_no_route_uses_is_named() {
        let intervals = "time_intervals: [{ name: nights }, { name: weekends }]";
        let said = warnings("{ receiver: b, mute_time_intervals: [nights] }", intervals);
        assert!(
            told(
                &said,
                "time_intervals[1]: no route uses the time interval `weekends`"
            ),
            "{said:?}"
        );
        assert!(!told(&said, "`nights`"), "{said:?}");
    }
}
