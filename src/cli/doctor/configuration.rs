//! Checks the configuration: its errors, its warnings, and who may read its secrets.

use std::path::Path;

use super::finding::Finding;
use crate::{
    config::{Config, ConfigErrors, Files, Loaded, Misconfigured},
    settings::Problem,
};

/// Returns the findings, and the configuration if it is good enough for the other checks.
pub fn check(path: Option<&Path>) -> (Vec<Finding>, Option<Loaded>) {
    match Config::load(path, Files::Needed) {
        Ok(loaded) => {
            let mut found = vec![Finding::ok(
                "configuration",
                loaded.source.to_string(),
                "it is right",
            )];
            found.extend(secrets(&loaded));
            found.extend(warnings(&loaded));
            (found, Some(loaded))
        }
        Err(ConfigErrors { problems, .. }) => {
            let found = problems.into_iter().map(wrong).collect();
            // If only a secret is missing, the rest can be checked.
            (found, Config::load(path, Files::Unneeded).ok())
        }
    }
}

fn wrong(misconfigured: Misconfigured) -> Finding {
    let Misconfigured {
        file,
        line,
        key,
        problem,
        mend,
        ..
    } = misconfigured;
    let about = match line {
        0 => file,
        line => format!("{file}:{line}"),
    };
    let what = if key.is_empty() {
        problem
    } else {
        format!("{key}: {problem}")
    };
    Finding::wrong("configuration", about, what, mend)
}

/// Reports secrets that other users may read.
fn secrets(loaded: &Loaded) -> Vec<Finding> {
    let exposed = loaded.exposed_secrets().into_iter();
    exposed
        .map(|Problem { key, what, mend }| Finding::wrong("permissions", key, what, mend))
        .collect()
}

/// Returns what `check` warns about, except what is reported as wrong here.
fn warnings(loaded: &Loaded) -> Vec<Finding> {
    let told: Vec<_> = loaded
        .exposed_secrets()
        .into_iter()
        .map(|problem| problem.to_string())
        .collect();
    let warning = |warning: &String| {
        let (what, mend) = warning.rsplit_once("; ").unwrap_or((
            warning,
            "see the comment beside the key in deploy/alertbridge.yaml",
        ));
        let (about, what) = what.split_once(": ").unwrap_or(("", what));
        Finding::warning("configuration", about, what, mend)
    };

    loaded
        .warnings
        .iter()
        .filter(|warning| !told.iter().any(|told| warning.starts_with(told)))
        .map(warning)
        .collect()
}
