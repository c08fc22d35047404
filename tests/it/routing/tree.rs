//! The tree: order, inheritance, mutes, what is wrong with one; `routes show` and `routes test`.

use std::collections::BTreeSet;

use alertbridge::config::{Config, Files, Source};
use alertbridge::{
    cli::routes::{self, Test},
    route::Routes,
};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{compile, labels};

const NAMES: [&str; 3] = ["default", "oncall", "chat"];

fn night() -> Value {
    json!([{ "name": "night",
             "time_intervals": [{ "times": [{ "start_time": "22:00", "end_time": "24:00" }] }] }])
}

fn tree() -> Value {
    json!({ "receiver": "default", "routes": [
        { "matchers": ["severity=critical"], "continue": true, "receiver": "oncall" },
        { "matchers": ["severity=~\"critical|warning\""], "receiver": "chat",
          "mute_time_intervals": ["night"],
          "routes": [{ "matchers": ["sli_gap>=20"], "receiver": "oncall" },
                     { "matchers": ["app_key=quiet"], "mute_time_intervals": ["night"],
                       "on_mute": "drop" }] },
    ] })
}

fn compiled() -> Routes {
    compile(&tree(), &night(), &NAMES).unwrap()
}

fn paths(routes: &Routes, pairs: &[(&'static str, &str)]) -> Vec<(String, String)> {
    routes
        .reach(&labels(pairs), None)
        .into_iter()
        .map(|reached| (reached.receiver, reached.path))
        .collect()
}

fn pair(receiver: &str, path: &str) -> (String, String) {
    (receiver.to_owned(), path.to_owned())
}

#[test]
fn each_receiver_is_reached_once_by_the_first_route_that_names_it() {
    let routes = compiled();
    assert_eq!(paths(&routes, &[]), [pair("default", "route")]);
    assert_eq!(
        paths(&routes, &[("severity", "critical")]),
        [
            pair("oncall", "route.routes[0]"),
            pair("chat", "route.routes[1]")
        ]
    );
    assert_eq!(
        paths(&routes, &[("severity", "critical"), ("sli_gap", "39")]),
        [pair("oncall", "route.routes[0]")]
    );
    assert_eq!(
        paths(&routes, &[("severity", "warning"), ("app_key", "quiet")]),
        [pair("chat", "route.routes[1].routes[1]")]
    );
}

#[test]
fn only_the_receiver_and_on_mute_are_inherited() {
    let at: Timestamp = "2026-03-02T23:00:00Z".parse().unwrap();
    let routes = compile(
        &json!({ "receiver": "default", "on_mute": "drop", "routes": [
            { "matchers": ["app_key=a"], "mute_time_intervals": ["night"], "routes": [
                { "matchers": ["sli=x"] }, { "matchers": ["sli=y"],
                                             "mute_time_intervals": ["night"],
                                             "on_mute": "hold" }] }] }),
        &night(),
        &NAMES,
    )
    .unwrap();
    let mute = |pairs: &[(&'static str, &str)]| {
        let [reached] = &routes.reach(&labels(pairs), Some(at))[..] else {
            panic!("{pairs:?}")
        };
        assert_eq!(reached.receiver, "default");
        reached.mute.clone()
    };
    assert_eq!(mute(&[("app_key", "a")]).unwrap().until, None);
    assert_eq!(mute(&[("app_key", "a"), ("sli", "x")]), None);
    let held = mute(&[("app_key", "a"), ("sli", "y")]).unwrap();
    assert_eq!(held.until, Some("2026-03-03T00:00:00Z".parse().unwrap()));
    assert_eq!(held.intervals, ["night"]);
}

#[test]
fn a_receiver_muted_on_one_route_and_told_by_another_is_told() {
    let at: Timestamp = "2026-03-02T23:00:00Z".parse().unwrap();
    let muted = |on_mute: &str| {
        json!({ "receiver": "chat", "continue": true,
                                        "mute_time_intervals": ["night"], "on_mute": on_mute })
    };
    let reach = |routes: Value| {
        let routes = compile(
            &json!({ "receiver": "default", "routes": routes }),
            &night(),
            &NAMES,
        )
        .unwrap();
        routes.reach(&labels(&[]), Some(at))
    };
    let told = reach(
        json!([muted("hold"), { "receiver": "oncall", "continue": true }, { "receiver": "chat" }]),
    );
    assert_eq!(
        told.iter()
            .map(|reached| reached.receiver.as_str())
            .collect::<Vec<_>>(),
        ["chat", "oncall"]
    );
    assert_eq!(
        (told[0].path.as_str(), &told[0].mute),
        ("route.routes[2]", &None)
    );
    let held = reach(json!([muted("drop"), muted("hold")]));
    assert_eq!(held.len(), 1);
    assert!(held[0].mute.as_ref().unwrap().until.is_some());
}

#[test]
fn without_a_time_nothing_is_muted() {
    let routes = compile(
        &json!({ "receiver": "default",
                 "routes": [{ "mute_time_intervals": ["always"], "receiver": "chat" }] }),
        &json!([{ "name": "always", "time_intervals": [{}] }]),
        &NAMES,
    )
    .unwrap();
    assert_eq!(routes.reach(&labels(&[]), None)[0].mute, None);
    assert!(
        routes.reach(&labels(&[]), Some(Timestamp::UNIX_EPOCH))[0]
            .mute
            .is_some()
    );
}

#[test]
fn all_that_is_wrong_with_a_tree_is_said_with_its_key_and_mend() {
    let route = json!({ "matchers": ["a=b"], "continue": true, "routes": [
        { "receiver": "nobody", "matchers": ["a=b", "a=~\"(\"", "sli_gap>=much"],
          "mute_time_intervals": ["night", "nihgt"] },
        { "routes": [{ "active_time_intervals": ["day"], "receiver": "chat" }] } ] });
    let intervals = json!([
        { "name": "night",
          "time_intervals": [{ "times": [{ "start_time": "22:00", "end_time": "06:00" }],
                               "weekdays": ["mo"] }] },
        { "name": "night", "time_intervals": [{ "location": "Mars/Olympus" }] },
        { "time_intervals": [{ "days_of_month": ["0"], "months": ["13"], "years": ["x"] }] } ]);
    let problems = compile(&route, &intervals, &NAMES).unwrap_err();
    let keys: Vec<_> = problems
        .iter()
        .map(|problem| problem.key.as_str())
        .collect();
    assert_eq!(
        keys,
        [
            "time_intervals[0].time_intervals[0].weekdays[0]",
            "time_intervals[0].time_intervals[0].times[0]",
            "time_intervals[1].time_intervals[0].location",
            "time_intervals[1].name",
            "time_intervals[2].name",
            "time_intervals[2].time_intervals[0].days_of_month[0]",
            "time_intervals[2].time_intervals[0].months[0]",
            "time_intervals[2].time_intervals[0].years[0]",
            "route.receiver",
            "route.matchers",
            "route.continue",
            "route.routes[0].receiver",
            "route.routes[0].matchers[1]",
            "route.routes[0].matchers[2]",
            "route.routes[0].mute_time_intervals[1]",
            "route.routes[1].routes[0].active_time_intervals[0]",
        ]
    );
    assert!(
        problems
            .iter()
            .all(|problem| !problem.what.is_empty() && !problem.mend.is_empty())
    );
    let of = |key: &str| problems.iter().find(|problem| problem.key == key).unwrap();
    assert_eq!(
        of("route.routes[0].receiver").what,
        "there is no receiver `nobody`"
    );
    assert!(of("route.routes[0].receiver").mend.contains("`oncall`"));
}

#[test]
fn a_tree_deeper_than_any_sensible_one_is_refused() {
    let nested = |depth: usize| {
        (0..depth).fold(
            json!({ "receiver": "chat" }),
            |child, _| json!({ "receiver": "chat", "routes": [child] }),
        )
    };
    assert!(compile(&nested(63), &json!([]), &NAMES).is_ok());
    let problems = compile(&nested(100), &json!([]), &NAMES).unwrap_err();
    assert_eq!(problems.len(), 1);
    assert!(problems[0].what.contains("deeper than 64"), "{problems:?}");
}

#[test]
fn the_yaml_people_write_is_read() {
    let yaml = "
ingress: { smtp: [{ name: smtp }] }
route: { receiver: a }
receivers: [{ name: a }]
time_intervals:
  - name: office
    time_intervals:
      - times: [{ start_time: 09:00, end_time: '17:00' }]
        weekdays: ['monday:friday']
        days_of_month: [1, '2:28', -1]
        months: [1, 'february:12']
        years: [2026, '2027:2030']
        location: Europe/Berlin
";
    let loaded = Config::parse(Source::Embedded, yaml, Files::Unneeded, &|_| None)
        .map_err(|errors| errors.to_string());
    let settings = loaded.unwrap().config.time_intervals;
    let json = serde_json::to_value(settings[0].time_intervals[0].years.clone()).unwrap();
    assert_eq!(json, json!(["2026", "2027:2030"]));
    assert!(
        Routes::compile(
            &alertbridge::route::Settings {
                receiver: Some("a".into()),
                ..Default::default()
            },
            &settings,
            &["a".into()]
        )
        .is_ok()
    );
}

/// The labels of alerts, one of a profile among them.
fn known() -> BTreeSet<&'static str> {
    alertbridge::label::NAMES
        .into_iter()
        .chain(["site"])
        .collect()
}

/// What `routes test` says on stdout and stderr, and its exit status.
fn ask(pairs: &[&str], at: Option<&str>, expect: Option<&str>, json: bool) -> (String, String, u8) {
    let labels: Vec<String> = pairs.iter().map(|pair| (*pair).to_owned()).collect();
    let (mut out, mut notes) = (Vec::new(), Vec::new());
    let mut test = Test {
        labels,
        at: at.map(|at| at.parse().unwrap()),
        expect: expect.map(str::to_owned),
        ..Test::default()
    };
    test.print.json = json;
    let result = routes::test(&compiled(), &known(), &test, &mut out, &mut notes);
    let mut notes = String::from_utf8(notes).unwrap();
    let status = result.map_or_else(
        |error| {
            notes += &error.to_string();
            error.exit_status()
        },
        |()| 0,
    );
    (String::from_utf8(out).unwrap(), notes, status)
}

#[test]
fn routes_test_prints_the_receivers_and_holds_them_against_those_expected() {
    let critical = ["severity=\"critical\""];
    assert_eq!(
        ask(&critical, None, None, false),
        ("oncall,chat\n".into(), String::new(), 0)
    );
    assert_eq!(
        ask(&[], None, None, false),
        ("default\n".into(), String::new(), 0)
    );
    let (out, _, _) = ask(&critical, None, None, true);
    assert_eq!(
        serde_json::from_str::<Value>(&out).unwrap(),
        json!({ "receivers": ["oncall", "chat"], "routes": ["route.routes[0]", "route.routes[1]"] })
    );
    assert_eq!(ask(&critical, None, Some("oncall, chat"), false).2, 0);
    let (out, err, status) = ask(&critical, None, Some("oncall"), false);
    assert_eq!((out.as_str(), status), ("oncall,chat\n", 1));
    assert_eq!(err, "the labels reach oncall,chat, not oncall as expected");
}

#[test]
fn routes_test_at_a_time_says_who_is_held_or_dropped() {
    let at = Some("2026-03-02T23:00:00Z");
    let (out, err, status) = ask(&["severity=critical"], at, Some("oncall"), false);
    assert_eq!((out.as_str(), status), ("oncall\n", 0));
    assert_eq!(
        err,
        "chat (route.routes[1]): held until 2026-03-03T00:00:00Z by the time interval night\n"
    );
    let (out, err, _) = ask(&["severity=warning", "app_key=quiet"], at, Some(""), true);
    assert_eq!(out, "{\"receivers\":[],\"routes\":[]}\n");
    assert_eq!(
        err,
        "chat (route.routes[1].routes[1]): dropped by the time interval night\n"
    );
}

#[test]
fn routes_test_notes_labels_no_alert_has_and_refuses_what_is_no_label() {
    let (out, err, status) = ask(&["team=a", "severity=critical"], None, None, false);
    assert_eq!((out.as_str(), status), ("oncall,chat\n", 0));
    assert!(
        err.starts_with("note: no alert has a label `team`; there are incident_id, app_key,"),
        "{err}"
    );
    let (_, err, _) = ask(&["site=b"], None, None, false);
    assert_eq!(err, "", "a profile gives it");
    for wrong in [
        "severity",
        "=critical",
        "severity!=critical",
        "severity=~crit",
        "sli_gap>=20",
        "",
    ] {
        let (out, err, status) = ask(&[wrong], None, None, false);
        assert_eq!((out.as_str(), status), ("", 2), "{wrong}");
        assert!(err.contains("write it like"), "{err}");
    }
}

#[test]
fn routes_show_draws_the_tree() {
    let mut out = Vec::new();
    routes::show(&compiled(), false, &mut out).unwrap();
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "default-route  receiver: default
├── {severity=\"critical\"}  continue: true  receiver: oncall
└── {severity=~\"critical|warning\"}  receiver: chat  mute_time_intervals: night  on_mute: \
hold
    ├── {sli_gap>=20}  receiver: oncall
    └── {app_key=\"quiet\"}  receiver: chat  mute_time_intervals: night  on_mute: drop
"
    );
    let mut out = Vec::new();
    routes::show(&compiled(), true, &mut out).unwrap();
    let tree: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(tree["routes"][1]["routes"][1]["on_mute"], "drop");
    assert_eq!(tree["routes"][1]["path"], "route.routes[1]");
}
