//! The alert rules and the dashboard of `deploy/`, by Debian's Prometheus: they parse, fire when
//! they should and not otherwise, and ask for nothing that the program does not export.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    sync::LazyLock,
    time::{Duration, Instant},
};

use regex::Regex;
use serde_json::{Value, json};

use super::{deploy, yaml};
use crate::{
    harness::{Bridge, PATIENCE, client},
    port::free_port,
};

static RULES: LazyLock<Value> = LazyLock::new(|| yaml("prometheus/alerts.yaml"));
static DASHBOARD: LazyLock<Value> = LazyLock::new(|| {
    serde_json::from_str(&fs::read_to_string(deploy("grafana/dashboard.json")).unwrap()).unwrap()
});

fn promtool(arguments: &[&str], file: &Path) {
    let output = Command::new("promtool")
        .args(arguments)
        .arg(file)
        .output()
        .unwrap_or_else(|error| {
            panic!("promtool does not run ({error}): install the package prometheus");
        });
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}:\n{said}", file.display());
}

/// The alerts.
pub fn rules() -> &'static [Value] {
    RULES["groups"][0]["rules"].as_array().unwrap()
}

/// What the panels ask, and how they name what they get. `$job` and the interval stand as Grafana
/// would fill them in.
pub fn queries() -> Vec<(String, String)> {
    let panels = DASHBOARD["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().unwrap());
    let filled = |query: &str| {
        query
            .replace("$job", ".+")
            .replace("$__rate_interval", "1m")
    };
    let word = |target: &Value, key: &str| target[key].as_str().unwrap().to_owned();
    targets
        .map(|target| (filled(&word(target, "expr")), word(target, "legendFormat")))
        .collect()
}

/// The heading's place in a page, as GitHub makes it.
fn anchor(heading: &str) -> String {
    let plain = heading.trim_start_matches('#').trim().to_lowercase();
    plain
        .chars()
        .filter(|c| c.is_alphanumeric() || " -_".contains(*c))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

#[test]
fn prometheus_takes_the_rules_and_each_fires_when_it_should_and_not_otherwise() {
    promtool(&["check", "rules"], &deploy("prometheus/alerts.yaml"));
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/prometheus/alerts.yaml");
    promtool(&["test", "rules"], &tests);
    let tests = fs::read_to_string(tests).unwrap();
    for rule in rules() {
        let alert = rule["alert"].as_str().unwrap();
        assert!(
            tests.contains(alert),
            "no test of tests/prometheus/alerts.yaml has {alert} fire"
        );
    }
}

#[test]
fn every_alert_says_how_bad_it_is_and_which_section_of_the_runbook_helps() {
    let runbook = fs::read_to_string(deploy("RUNBOOK.md")).unwrap();
    let sections: BTreeSet<_> = runbook
        .lines()
        .filter(|line| line.starts_with('#'))
        .map(anchor)
        .collect();
    for rule in rules() {
        let alert = rule["alert"].as_str().unwrap();
        let severity = rule["labels"]["severity"].as_str().unwrap();
        assert!(
            ["critical", "warning"].contains(&severity),
            "{alert}: {severity}"
        );
        let said = |what: &str| {
            rule["annotations"][what]
                .as_str()
                .unwrap_or_else(|| panic!("{alert} has no {what}"))
        };
        assert!(
            said("summary").len() > 10 && said("description").len() > 10,
            "{alert}"
        );
        let section = said("runbook")
            .strip_prefix("deploy/RUNBOOK.md#")
            .unwrap_or_else(|| panic!("{alert}: where?"));
        assert!(
            sections.contains(section),
            "{alert}: the runbook has no section {section}: {sections:?}"
        );
    }
}

#[test]
fn the_alarms_that_rules_ask_for_are_the_bridge_s_own() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let sources = fs::read_to_string(folder.join("store/concern.rs")).unwrap();
    let alarm = Regex::new(r#"alarm=~?"(self:[a-z-]+:?)"#).unwrap();
    let rules = RULES.to_string().replace("\\\"", "\"");
    let named: BTreeSet<_> = alarm
        .captures_iter(&rules)
        .map(|found| found[1].to_owned())
        .collect();
    assert!(named.len() >= 4, "{named:?}");
    for name in named {
        assert!(
            sources.contains(&format!("= \"{name}\";")),
            "the bridge has no alarm {name}"
        );
    }
}

#[test]
fn prometheus_understands_every_query_of_the_dashboard() {
    let queries = queries();
    assert!(queries.len() > 10, "{queries:?}");
    let recorded = queries
        .iter()
        .enumerate()
        .map(|(number, (query, _))| json!({ "record": format!("q{number}"), "expr": query }));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rules.yaml");
    // JSON is YAML.
    fs::write(
        &file,
        json!({ "groups": [{ "name": "dashboard", "rules": recorded.collect::<Vec<_>>() }] })
            .to_string(),
    )
    .unwrap();
    promtool(&["check", "rules"], &file);
}

/// A Prometheus that scrapes a bridge every few seconds under the shipped rules. Killed when
/// dropped.
pub struct Prometheus {
    child: Child,
    url: String,
    _folder: tempfile::TempDir,
}

impl Prometheus {
    pub async fn watching(bridge: &Bridge) -> Self {
        let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
        let file = folder.path().join("prometheus.yaml");
        let target = bridge.admin.trim_start_matches("http://");
        let config = json!({
            "global": { "scrape_interval": "4s", "scrape_timeout": "4s",
                        "evaluation_interval": "1s" },
            "rule_files": [deploy("prometheus/alerts.yaml")],
            "scrape_configs": [{ "job_name": "alertbridge",
                                 "static_configs": [{ "targets": [target] }] }],
        });
        fs::write(&file, config.to_string()).unwrap();
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                folder.path().join("data").display()
            ))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdout(Stdio::null())
            .stderr(fs::File::create(folder.path().join("log")).unwrap())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("prometheus does not run ({error}): install the package prometheus")
            });
        let own = Self {
            child,
            url: format!("http://127.0.0.1:{port}"),
            _folder: folder,
        };
        let deadline = Instant::now() + PATIENCE;
        while !client()
            .get(format!("{}/-/ready", own.url))
            .send()
            .await
            .is_ok_and(|reply| reply.status().is_success())
        {
            assert!(Instant::now() < deadline, "Prometheus did not start");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        own
    }

    async fn get(&self, path: &str, query: &[(&str, &str)]) -> Value {
        let url =
            url::Url::parse_with_params(&format!("{}/api/v1/{path}", self.url), query).unwrap();
        let reply: Value = client()
            .get(url)
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        assert_eq!(reply["status"], "success", "{path} {query:?}: {reply}");
        reply["data"].clone()
    }

    /// The series a query gives, once there are any.
    pub async fn query(&self, query: &str) -> Vec<Value> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let found = self.get("query", &[("query", query)]).await["result"]
                .as_array()
                .unwrap()
                .clone();
            if !found.is_empty() {
                return found;
            }
            assert!(
                Instant::now() < deadline,
                "the program exports nothing for {query}"
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// The state of an alert: inactive, pending or firing.
    async fn state_of(&self, alert: &str) -> String {
        let groups = self.get("rules", &[]).await;
        let rules = groups["groups"][0]["rules"].as_array().unwrap();
        let rule = rules
            .iter()
            .find(|rule| rule["name"] == alert)
            .unwrap_or_else(|| panic!("no alert {alert}"));
        assert_ne!(rule["health"], "err", "{rule}");
        rule["state"].as_str().unwrap().to_owned()
    }

    pub async fn until(&self, alert: &str, states: &[&str]) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let state = self.state_of(alert).await;
            if states.contains(&state.as_str()) {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "{alert} is {state}, and not {states:?}"
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
