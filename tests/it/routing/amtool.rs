//! Alertmanager's amtool (Debian's package prometheus-alertmanager) routes the same labels through
//! the same trees.

use std::{
    collections::BTreeMap,
    path::Path,
    process::{Command, Output},
    sync::atomic::{AtomicUsize, Ordering},
};

use alertbridge::{cli::routes, label::Matcher};
use fastrand::Rng;
use serde_json::{Value, json};

use super::compile;

const SEED: u64 = 0x5EED;
const TREES: u64 = 150;
const RECEIVERS: [&str; 6] = ["r0", "r1", "r2", "r3", "r4", "r5"];
const NAMES: [&str; 5] = ["app_key", "severity", "sli", "metric", "team"];
const VALUES: [&str; 10] = [
    "",
    "critical",
    "warning",
    "crit",
    "a b",
    "x,y",
    "say \"hi\"",
    "back\\slash",
    "café",
    "com.example.app",
];
const PATTERNS: [&str; 14] = [
    "crit.*",
    "crit|warning",
    ".*",
    ".+",
    "",
    "[a-c ]+",
    r"com\.example\..*",
    "com[.]example[.].*",
    r"\w+",
    "caf.",
    "(?i)CRITICAL",
    "x,?y",
    "w.r",
    r"\S+\s\S+",
];

fn amtool(arguments: &[&str], file: &Path) -> Output {
    Command::new("amtool")
        .args(arguments)
        .output()
        .unwrap_or_else(|error| {
            panic!(
                "amtool does not run ({error}): install the package prometheus-alertmanager; for \
                {}",
                file.display()
            )
        })
}

fn write(folder: &Path, name: &str, config: &Value) -> std::path::PathBuf {
    let file = folder.join(name);
    // JSON is YAML.
    std::fs::write(&file, config.to_string()).unwrap();
    file
}

fn config(route: &Value) -> Value {
    json!({ "route": route, "receivers": RECEIVERS.map(|name| json!({ "name": name })) })
}

/// The receivers amtool names, each once.
fn amtool_reaches(file: &Path, pairs: &[String]) -> Vec<String> {
    let option = format!("--config.file={}", file.display());
    let mut arguments = vec!["config", "routes", "test", &option];
    arguments.extend(pairs.iter().map(String::as_str));
    let output = amtool(&arguments, file);
    assert!(
        output.status.success(),
        "{}: {}",
        file.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    let mut receivers: Vec<String> = Vec::new();
    for name in String::from_utf8(output.stdout).unwrap().trim().split(',') {
        if !receivers.iter().any(|known| known == name) {
            receivers.push(name.to_owned());
        }
    }
    receivers
}

fn amtool_accepts(folder: &Path, name: &str, config: &Value) -> bool {
    let file = write(folder, name, config);
    amtool(&["check-config", &file.display().to_string()], &file)
        .status
        .success()
}

fn quote(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', r"\\").replace('"', "\\\""))
}

fn one<'a>(rng: &mut Rng, from: &[&'a str]) -> &'a str {
    from[rng.usize(..from.len())]
}

fn matcher(rng: &mut Rng) -> String {
    let operator = one(rng, &["=", "=", "!=", "=~", "!~"]);
    let value = if operator.ends_with('~') {
        one(rng, &PATTERNS)
    } else {
        one(rng, &VALUES)
    };
    let plain = value
        .chars()
        .all(|c| c.is_alphanumeric() || "._|*+?".contains(c));
    let value = if plain && rng.bool() {
        value.to_owned()
    } else {
        quote(value)
    };
    let space = one(rng, &["", "", " "]);
    format!("{}{space}{operator}{space}{value}", one(rng, &NAMES))
}

fn matchers(rng: &mut Rng) -> Vec<String> {
    (0..rng.usize(0..3))
        .map(|_| match rng.u8(0..8) {
            0 => format!("{{{}, {}}}", matcher(rng), matcher(rng)),
            1 => format!("{},{},", matcher(rng), matcher(rng)),
            _ => matcher(rng),
        })
        .collect()
}

fn route(rng: &mut Rng, depth: usize) -> Value {
    let mut route = json!({});
    if depth == 0 {
        route["receiver"] = json!(RECEIVERS[0]);
    } else {
        route["matchers"] = json!(matchers(rng));
        route["continue"] = json!(rng.u8(0..3) == 0);
        if rng.u8(0..4) > 0 {
            route["receiver"] = json!(one(rng, &RECEIVERS));
        }
    }
    if depth < 4 {
        route["routes"] = (0..rng.usize(0..4))
            .map(|_| self::route(rng, depth + 1))
            .collect();
    }
    route
}

fn pairs(rng: &mut Rng) -> Vec<String> {
    let mut pairs = Vec::new();
    for name in NAMES {
        if rng.u8(0..3) > 0 {
            pairs.push(format!("{name}={}", quote(one(rng, &VALUES))));
        }
    }
    pairs
}

fn we_reach(route: &Value, pairs: &[String]) -> Vec<String> {
    let routes = compile(route, &json!([]), &RECEIVERS)
        .unwrap_or_else(|problems| panic!("{route}: {problems:?}"));
    let (mut out, mut notes) = (Vec::new(), Vec::new());
    let test = routes::Test {
        labels: pairs.to_vec(),
        ..routes::Test::default()
    };
    routes::test(&routes, &NAMES.into(), &test, &mut out, &mut notes).unwrap();
    String::from_utf8(out)
        .unwrap()
        .trim()
        .split(',')
        .map(str::to_owned)
        .collect()
}

/// Calls `work` for every number below `count`, on both cores.
fn on_two_threads(count: u64, work: impl Fn(u64) + Sync) {
    std::thread::scope(|scope| {
        for half in 0..2 {
            let work = &work;
            scope.spawn(move || (half..count).step_by(2).for_each(work));
        }
    });
}

#[test]
fn a_tree_alertmanager_accepts_sends_the_same_labels_to_the_same_receivers() {
    let folder = tempfile::tempdir().unwrap();
    let (asked, past_root, several) = (
        AtomicUsize::new(0),
        AtomicUsize::new(0),
        AtomicUsize::new(0),
    );
    on_two_threads(TREES, |number| {
        let mut rng = Rng::with_seed(SEED + number);
        let route = route(&mut rng, 0);
        let file = write(folder.path(), &format!("{number}.yml"), &config(&route));
        for _ in 0..rng.usize(2..4) {
            let pairs = pairs(&mut rng);
            let theirs = amtool_reaches(&file, &pairs);
            let ours = we_reach(&route, &pairs);
            assert_eq!(
                ours, theirs,
                "tree {number} (seed {SEED}), labels {pairs:?}: {route:#}"
            );
            asked.fetch_add(1, Ordering::Relaxed);
            past_root.fetch_add(usize::from(ours != ["r0"]), Ordering::Relaxed);
            several.fetch_add(usize::from(ours.len() > 1), Ordering::Relaxed);
        }
    });
    let [asked, past_root, several] = [asked, past_root, several].map(AtomicUsize::into_inner);
    assert!(
        asked >= 300 && past_root > asked / 3 && several > asked / 20,
        "{asked} {past_root} {several}"
    );
}

/// As people and the classic grammar's own tests write them; some of them are none.
const TEXTS: [&str; 62] = [
    "a=b",
    " a = b ",
    "a=\"b\"",
    "a=\"\"",
    "a=",
    "a!=",
    "a=~",
    "a= \"b\" ",
    "a=\" b \"",
    "a=b c",
    "a==b",
    "a=!b",
    "a=~=b",
    "a!b",
    "a",
    "",
    "{}",
    "{",
    "}",
    ",",
    "a=b,",
    "a=b, ",
    ",a=b",
    "a=b,,c=d",
    "{a=b",
    "a=b}",
    " {a=b}",
    "{a=b} ",
    "{a=b,c=d}",
    "{a=\"b\", c=\"d\",}",
    "a=\"b",
    "a=b\"",
    "a=b\"c",
    "a=\"b\"c\"",
    "a=\"b\\\"c\"",
    "a=b\\\"c",
    "a=\"b\\nc\"",
    "a=b\\nc",
    "a=\"b\\tc\"",
    "a=\"b\\\\\"",
    "a=\"b\\\"",
    "a=b\\",
    "a=\"x,y\"",
    "a=\"x\\\",y\"",
    "a=\\\",c=d",
    "a=\"{}\"",
    "a={b}",
    "a=~x{2}",
    "a=~\"x{2}\"",
    "a=~\"(\"",
    "a=~\"b|c\"",
    "a=~b|c",
    "a=~\"^b$\"",
    "a!~\"b.*\"",
    "a=~\".*\\\\d\"",
    "a=~\"\\d+\"",
    "a='b'",
    "0a=b",
    "a:b=c",
    "a-b=c",
    "a=é",
    "a=\"b\"\n",
];

#[test]
fn an_odd_matcher_means_what_it_means_to_alertmanager() {
    let folder = tempfile::tempdir().unwrap();
    let mut routes = BTreeMap::new();
    for (number, text) in TEXTS.into_iter().enumerate() {
        let route = json!({ "receiver": "r1", "matchers": [text] });
        let accepted = amtool_accepts(
            folder.path(),
            &format!("{number}.yml"),
            &config(&json!({ "receiver": "r0", "routes": [route] })),
        );
        if accepted {
            assert!(
                Matcher::parse_list(text).is_ok(),
                "{text:?}: {:?}",
                Matcher::parse_list(text)
            );
            routes.insert(number, text);
        }
    }
    assert!(routes.len() > 35, "{routes:?}");
    let values = [
        "", "b", " b ", "b c", "=b", "b\"", "b\"c", "b\nc", "b\\tc", "b\\", "x,y", "x\",y", "{}",
        "{b}", "xx", "x{2", "c", "bcd", "7", "'b'", "é", "\\d+", "!b", ">1",
    ];
    assert_same_routes(folder.path(), &routes, &values);
}

/// Where Go's and Rust's regular expressions could differ.
const EXPRESSIONS: [&str; 33] = [
    r"\d+",
    r"\D+",
    r"\w+",
    r"\W+",
    r"\s",
    r"\S+",
    r"a\b.*",
    r"a\B.*",
    r"[\d.]+",
    r"[^\w]",
    r"\Qa.c\E",
    r"\<a\>",
    "[[a]",
    "[]a]",
    "[a&&b]+",
    "[a~~b]+",
    "[--a]",
    "[!--]",
    "[a-]",
    "[^-a]",
    "[[:alpha:]_]+",
    "[[:word:]]+",
    r"\pL+",
    r"\p{Greek}",
    r"\x41",
    r"\x{e9}",
    "x{2}",
    "x{2",
    "x{,2}",
    "{a}",
    "a)|(b",
    "(?s).",
    "(?i:K)",
];

#[test]
fn a_regular_expression_matches_what_it_matches_in_alertmanager() {
    let folder = tempfile::tempdir().unwrap();
    let texts: Vec<String> = EXPRESSIONS
        .iter()
        .map(|pattern| format!("a=~{}", quote(pattern)))
        .collect();
    let routes: BTreeMap<usize, &str> = texts.iter().map(String::as_str).enumerate().collect();
    let values = [
        "", "1", "١", "a", "é", "aé", "a b", "\u{a0}", " ", "1.5", "a.c", "abc", "<a>", "[", "&",
        "~", "-", "%", "_", "]", "α", "A", "xx", "x{2", "x{,2}", "{a}", "b", "\n", "k", "\u{212a}",
        ".",
    ];
    assert_same_routes(folder.path(), &routes, &values);
}

/// Gives every matcher a route of its own that continues, and compares who is reached with each
/// value of `a`.
fn assert_same_routes(folder: &Path, texts: &BTreeMap<usize, &str>, values: &[&str]) {
    let names: Vec<String> = texts.keys().map(|number| format!("m{number}")).collect();
    let children: Vec<Value> = texts
        .iter()
        .map(|(number, text)| {
            json!({ "receiver": format!("m{number}"), "matchers": [text],
                                      "continue": true })
        })
        .collect();
    let route = json!({ "receiver": "r0", "routes": children });
    let receivers: Vec<Value> = names
        .iter()
        .map(String::as_str)
        .chain(["r0"])
        .map(|name| json!({ "name": name }))
        .collect();
    let file = write(
        folder,
        "all.yml",
        &json!({ "route": route, "receivers": receivers }),
    );
    let mut known: Vec<&str> = names.iter().map(String::as_str).collect();
    known.push("r0");
    let compiled = compile(&route, &json!([]), &known).unwrap();
    for value in values {
        let pair = format!("a={}", quote(value).replace('\n', r"\n"));
        let theirs = amtool_reaches(&file, std::slice::from_ref(&pair));
        let ours = compiled.reach(&super::labels(&[("a", *value)]), None);
        let ours: Vec<_> = ours.into_iter().map(|reached| reached.receiver).collect();
        let text = |name: &String| {
            name[1..]
                .parse()
                .ok()
                .and_then(|number: usize| texts.get(&number))
        };
        let differing: Vec<_> = ours
            .iter()
            .filter(|name| !theirs.contains(name))
            .map(|name| ("ours alone", text(name)))
            .chain(
                theirs
                    .iter()
                    .filter(|name| !ours.contains(name))
                    .map(|name| ("theirs alone", text(name))),
            )
            .collect();
        assert!(differing.is_empty(), "a={value:?}: {differing:?}");
    }
}

#[test]
fn time_intervals_are_good_or_bad_as_alertmanager_finds_them() {
    let folder = tempfile::tempdir().unwrap();
    let times =
        |start: &str, end: &str| json!({ "times": [{ "start_time": start, "end_time": end }] });
    let mut intervals = vec![
        json!({}),
        json!({ "location": "Europe/Berlin" }),
        json!({ "location": "Mars/Olympus" }),
    ];
    for (start, end) in [
        ("00:00", "24:00"),
        ("09:00", "17:00"),
        ("17:00", "09:00"),
        ("09:00", "09:00"),
        ("9:00", "17:00"),
        ("09:60", "17:00"),
        ("24:00", "24:00"),
        ("23:59", "24:01"),
        ("", "17:00"),
        ("a", "b"),
        ("09:00:00", "10:00"),
    ] {
        intervals.push(times(start, end));
    }
    for (field, texts) in [
        (
            "weekdays",
            vec![
                "monday:friday",
                "Sunday",
                "friday:monday",
                "mon",
                "monday:",
                ":monday",
                "1",
                "saturday:sunday",
            ],
        ),
        (
            "days_of_month",
            vec![
                "1", "1:5", "-1", "-3:-1", "5:1", "-1:-3", "0", "32", "-32", "1:-1", "-1:1",
                "15:-20", "a", "1:2:3",
            ],
        ),
        (
            "months",
            vec![
                "january",
                "1:3",
                "march:january",
                "May:August",
                "12",
                "smarch",
                "january:3",
            ],
        ),
        ("years", vec!["2026", "2026:2027", "2027:2026", "year"]),
    ] {
        intervals.extend(texts.into_iter().map(|text| json!({ field: [text] })));
    }
    let route = json!({ "receiver": "r0", "routes": [{ "mute_time_intervals": ["t"] }] });
    let mut good = 0;
    for (number, interval) in intervals.iter().enumerate() {
        let named = json!([{ "name": "t", "time_intervals": [interval] }]);
        let mut config = config(&route);
        config["time_intervals"] = named.clone();
        let accepted = amtool_accepts(folder.path(), &format!("{number}.yml"), &config);
        let ours = compile(&route, &named, &RECEIVERS);
        assert_eq!(ours.is_ok(), accepted, "{interval}: {:?}", ours.err());
        good += usize::from(accepted);
    }
    assert!(
        good > 15 && good < intervals.len() - 15,
        "{good} of {}",
        intervals.len()
    );
}
