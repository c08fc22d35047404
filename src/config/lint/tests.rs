use crate::config::{Config, Files, Source};

/// Returns the warnings about a route tree below a root that goes to `a`, with receivers `a` to
/// `d`. `d` is the fallback of `c`.
fn warnings(routes: &str, more: &str) -> Vec<String> {
    let text = format!(
        "route: {{ receiver: a, routes: [{routes}] }}
receivers:
- {{ name: a, stdout_configs: [{{}}] }}
- {{ name: b, stdout_configs: [{{}}] }}
- {{ name: c, stdout_configs: [{{}}], fallback: {{ receiver: d, after: 5m }} }}
- {{ name: d, stdout_configs: [{{}}] }}
{more}"
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
fn an_operator_that_was_meant_to_be_another_is_named_unless_it_is_quoted() {
    for (matcher, is_slip) in [
        ("severity==critical", true),
        ("severity = =critical", true),
        ("severity=!critical", true),
        ("severity!==critical", true),
        ("severity=~~crit.*", true),
        ("severity=critical", false),
        ("severity=\"=critical\"", false),
        ("severity=~crit=1", false),
    ] {
        let said = warnings(
            &format!("{{ receiver: b, routes: [{{ receiver: c, matchers: ['{matcher}'] }}] }}"),
            "",
        );
        let what = "route.routes[0].routes[0].matchers[0]: `severity";
        assert_eq!(told(&said, what), is_slip, "{matcher}: {said:?}");
    }
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
fn a_receiver_that_is_reached_and_tells_nobody_is_named() {
    let more = "- { name: empty }\n- { name: spare }\n";
    let said = warnings("{ receiver: empty, matchers: [sli=x] }", more);
    assert!(
        told(
            &said,
            "receivers[4]: the receiver `empty` has no integration"
        ),
        "{said:?}"
    );
    assert!(
        !told(&said, "`spare` has no integration") && !told(&said, "`a` has no integration"),
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
            said.iter().any(
                |said| said.starts_with(&route) && said.contains("no alert reaches this route")
            ) && told(&said, "the receiver `c`"),
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
