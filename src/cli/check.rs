//! `alertbridge check`: is the configuration right?

use std::{
    io::{self, Write},
    path::Path,
    process::ExitCode,
};

use anyhow::Context as _;
use clap::Args;
use serde_json::json;

use super::{exit, options::Json};
use crate::{
    cli::table,
    config::{Config, ConfigErrors, Files, Loaded},
    receiver,
    serve::store_place,
};

/// Validate the configuration, its templates, routes and secrets' files
#[derive(Debug, Args)]
#[command(after_help = "\
Every problem is reported with its file, line, key and fix. Warnings are
reported too, and do not change the exit status.

Exit status: 0 it is right, 1 it is wrong, 2 wrong usage.

Examples:
  alertbridge check
  alertbridge check --config /etc/alertbridge/alertbridge.yaml
  alertbridge check --json | jq .problems")]
pub struct Check {
    #[command(flatten)]
    pub print: Json,
}

impl Check {
    pub fn run(self, config: Option<&Path>) -> anyhow::Result<ExitCode> {
        check(config, self.print.json, &mut io::stdout())
    }
}

/// Checks the configuration: prints `ok` or its JSON on `out`, and problems in words on stderr.
fn check(path: Option<&Path>, json: bool, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let result = Config::load(path, Files::Needed).map(|mut loaded| {
        let ingress = &loaded.config.ingress;
        if ingress.imap.is_empty() && ingress.webhook.is_empty() && ingress.smtp.is_empty() {
            loaded
                .warnings
                .push("ingress is empty: no mail can arrive, and `serve` does not start".into());
        }
        let place = store_place(&loaded.config);
        if let Some(error) = place.ok().and_then(|place| place.misplaced()) {
            loaded.warnings.push(format!("store.url: {error}"));
        }
        loaded
    });

    let code = exit(result.is_ok());

    if json {
        let (problems, warnings) = match result {
            Ok(loaded) => (Vec::new(), loaded.warnings),
            Err(ConfigErrors { problems, warnings }) => (problems, warnings),
        };
        let verdict =
            json!({ "ok": problems.is_empty(), "problems": problems, "warnings": warnings });
        writeln!(out, "{verdict:#}").context("cannot write")?;
        return Ok(code);
    }

    match result {
        Ok(loaded) => {
            for warning in &loaded.warnings {
                tell!("warning: {warning}");
            }
            writeln!(out, "{}\nok", summary(&loaded)).context("cannot write")?;
        }
        Err(errors) => {
            for warning in &errors.warnings {
                tell!("warning: {warning}");
            }
            tell!("{errors}");
        }
    }

    Ok(code)
}

fn summary(
    Loaded {
        config,
        source,
        included,
        ..
    }: &Loaded,
) -> String {
    let count = |number: usize, one: &str| table::count(number as u64, one);
    let ingress = &config.ingress;
    let integrations: usize = config
        .receivers
        .iter()
        .map(receiver::Settings::integrations)
        .sum();

    let files = match included {
        0 => String::new(),
        included => format!(" and {}", count(*included, "file")),
    };

    let ingresses = match ingress.imap.len() + ingress.webhook.len() + ingress.smtp.len() {
        1 => "1 ingress".to_owned(),
        many => format!("{many} ingresses"),
    };

    format!(
        "{source}{files}: {ingresses}, {}, {} with {}, {}",
        count(routes(&config.route), "route"),
        count(config.receivers.len(), "receiver"),
        count(integrations, "integration"),
        count(config.time_intervals.len(), "time interval"),
    )
}

fn routes(route: &crate::route::Settings) -> usize {
    1 + route.routes.iter().map(routes).sum::<usize>()
}
