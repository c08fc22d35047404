//! The rules of `alerts.severity`: they derive the label `severity` from all others.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Labels, Matcher, matcher};
use crate::settings::Problem;

/// A rule for the severity (an entry of `severity`). The first rule whose matchers all match
/// decides.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SeverityRule {
    /// The matchers of the labels, such as `sli_gap>=20`, all of which must match. Without any, the
    /// rule always matches.
    pub matchers: Vec<String>,
    /// The severity that the rule gives: `critical`, `warning`, `info`, or a word of your own,
    /// which ranks between `warning` and `critical`.
    pub severity: String,
}

/// The compiled rules.
#[derive(Debug, Clone, Default)]
pub struct Severities(Vec<(Vec<Matcher>, String)>);

/// Returns the rank of a severity, to tell whether it rose. An unknown word of a team's own ranks
/// between `warning` and `critical`, as an error.
pub fn rank(word: &str) -> u8 {
    match word.trim().to_ascii_lowercase().as_str() {
        "critical" => 4,
        "warning" => 2,
        "info" => 1,
        _ => 3,
    }
}

/// The severity if no rule matches and the mail states none.
const FALLBACK: &str = "warning";

impl Severities {
    /// Returns whether a rule depends on this label.
    pub fn look_at(&self, label: &str) -> bool {
        let matchers = self.0.iter().flat_map(|(matchers, _)| matchers);
        matchers.into_iter().any(|matcher| matcher.name() == label)
    }

    /// Compiles the rules of `alerts:`, or reports all their problems.
    pub fn compile(rules: &[SeverityRule]) -> Result<Self, Vec<Problem>> {
        Self::compile_at("alerts.severity", rules, false)
    }

    /// Compiles rules at another key of the configuration. If the mail states its severity
    /// (`is_said`), the rules may match it.
    pub fn compile_at(
        at: &str,
        rules: &[SeverityRule],
        is_said: bool,
    ) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let mut compiled = Vec::with_capacity(rules.len());

        for (index, rule) in rules.iter().enumerate() {
            let key = format!("{at}[{index}]");
            if rule.severity.is_empty() {
                problems.push(Problem::new(
                    format!("{key}.severity"),
                    "the rule names no severity",
                    "name one: `severity: critical`",
                ));
            }
            let matchers =
                matcher::compile(&format!("{key}.matchers"), &rule.matchers, &mut problems);
            if !is_said && matchers.iter().any(|matcher| matcher.name() == "severity") {
                problems.push(Problem::new(
                    format!("{key}.matchers"),
                    "these rules decide the severity, so they cannot match it",
                    "match another label, such as `sli_gap>=20`",
                ));
            }
            compiled.push((matchers, rule.severity.clone()));
        }

        if problems.is_empty() {
            Ok(Self(compiled))
        } else {
            Err(problems)
        }
    }

    /// Returns the severity of an alert with these labels. If no rule matches, it is what the mail
    /// states, or else `warning`.
    pub fn of<'a>(&'a self, labels: &'a Labels) -> &'a str {
        let holds = |matchers: &[Matcher]| matchers.iter().all(|matcher| matcher.holds(labels));
        let ruled = self.0.iter().find(|(matchers, _)| holds(matchers));
        let said = || labels.get("severity").filter(|said| !said.is_empty());

        ruled
            .map(|(_, severity)| severity)
            .or_else(said)
            .map_or(FALLBACK, String::as_str)
    }
}
