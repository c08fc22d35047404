//! Compiles settings into stages that are ready to run.
//!
//! Each stage compiles its own settings, and all problems are reported at once.

use std::sync::Arc;

use crate::{
    extract::Extractor,
    incident::ATLASSIAN_SLI,
    label::Severities,
    pipeline::{Expect, Rules, SliReader, Treatment, standing::Policy},
    profile::{Profile, Profiles},
    receiver::Receivers,
    route::Routes,
    settings::{Duration, Problem},
    validate::Validator,
};

use super::{Config, OnMissingPayload};

/// Compiles the rules. `given` are the values from the environment, with their key paths.
pub(super) fn rules(
    config: &Config,
    profiles: &Arc<Profiles>,
    given: Vec<(String, String)>,
) -> Result<Rules, Vec<Problem>> {
    let mut problems = Vec::new();
    let validator = validator(config)
        .map_err(|problem| problems.push(problem))
        .ok();
    let severities = Severities::compile(&config.alerts.severity)
        .map_err(|found| problems.extend(found))
        .ok();

    let names: Vec<String> = config
        .receivers
        .iter()
        .map(|receiver| receiver.name.clone())
        .collect();
    let routes = Routes::compile(&config.route, &config.time_intervals, &names)
        .map_err(|found| problems.extend(found))
        .ok();
    let receivers = receivers(config, profiles, given)
        .map_err(|found| problems.extend(found))
        .ok();

    match (validator, severities, routes, receivers) {
        (Some(validator), Some(severities), Some(routes), Some(receivers))
            if problems.is_empty() =>
        {
            let alerts = &config.alerts;
            let sli = SliReader {
                profile: ATLASSIAN_SLI.into(),
                extractor: Extractor::new(&alerts.from),
                validator,
                statuses: alerts.status.clone(),
                notify_missing_payload: alerts.on_missing_payload == OnMissingPayload::Notify,
            };
            let declared = profiles.iter().map(|profile| declared(config, profile));

            Ok(Rules {
                sli,
                profiles: Arc::clone(profiles),
                treatments: (built_in(config, severities), declared.collect()),
                routes,
                receivers: Arc::new(receivers),
                max_age: config.global.max_age,
            })
        }
        _ => Err(problems),
    }
}

fn validator(config: &Config) -> Result<Validator, Problem> {
    let validator = match &config.alerts.schema_file {
        None => Validator::built_in(),
        Some(path) => Validator::from_file(path),
    };
    validator.map_err(|error| {
        Problem::new(
            "alerts.schema_file",
            error.to_string(),
            "correct the schema, or drop the key",
        )
    })
}

fn receivers(
    config: &Config,
    profiles: &Profiles,
    given: Vec<(String, String)>,
) -> Result<Receivers, Vec<Problem>> {
    let (all, files) = (&config.receivers, &config.templates);
    let receivers = Receivers::compile_with(all, files, &profiles.own_labels())?.hiding(given);

    Ok(match config.canary {
        Some(_) => receivers.with_sink(),
        None => receivers,
    })
}

/// Returns the treatment of Atlassian's alerts.
fn built_in(config: &Config, severities: Severities) -> Treatment {
    let alerts = &config.alerts;
    Treatment {
        profile: ATLASSIAN_SLI.into(),
        severities,
        notify_on_change: alerts.notify_on_change.clone(),
        policy: Policy {
            unverified: alerts.authenticity.unverified.clone(),
            app_keys: alerts.app_keys.clone(),
            patience: patience(config, alerts.authenticity.freshness),
        },
        resolve_after: None,
        expect: None,
    }
}

/// Returns the treatment of the alerts of a profile in `profiles:`.
fn declared(config: &Config, profile: &Profile) -> Treatment {
    let authenticity = profile.authenticity(&config.alerts.authenticity, "");
    let expect = profile.expect().map(|expect| Expect {
        within: expect.every.and(expect.grace),
        key: expect.key.clone().unwrap_or_else(|| "missing".to_owned()),
    });

    Treatment {
        profile: Arc::clone(&profile.name),
        severities: profile.severities.clone(),
        notify_on_change: profile.notify_on_change().to_vec(),
        policy: Policy {
            unverified: authenticity.unverified,
            app_keys: Vec::new(),
            patience: patience(config, authenticity.freshness),
        },
        resolve_after: profile.resolve_after(),
        expect,
    }
}

/// Returns how long a resolve that cannot be checked waits: as long as a mail counts as fresh, or a
/// day if there is no limit.
fn patience(config: &Config, freshness: Option<Duration>) -> Duration {
    let freshness = freshness.unwrap_or(config.global.max_age);

    if freshness.is_zero() {
        Duration::from_secs(24 * 3600)
    } else {
        freshness
    }
}
