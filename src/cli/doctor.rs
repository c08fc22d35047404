//! `alertbridge doctor`: is this deployment sound, from outside in?

use std::{
    io::{self, IsTerminal as _, Write},
    path::Path,
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use clap::Args;
use futures_util::{
    FutureExt as _, StreamExt as _,
    future::{BoxFuture, ready},
    stream::FuturesUnordered,
};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::{
    exit,
    options::Json,
    plain::{plain, pretty},
};
use crate::{
    clock::Clock,
    config::{Config, Loaded},
    deliver::Client,
    pipeline::Rules,
};

mod canary;
mod clock;
mod configuration;
mod exposure;
mod finding;
mod listening;
mod mailbox;
mod oidc;
mod receiver;
mod resolver;
mod store;
mod traces;

use finding::{Checked, Finding, State};

/// Check a deployment from outside in: configuration, secrets, DNS, TLS, mailboxes, receivers,
/// store
#[derive(Debug, Args)]
#[command(after_help = "\
It looks up names, logs in to mailboxes and opens their folders, sends
receivers a request that pages nobody, and writes to the store. It changes
nothing and notifies nobody. Each finding is printed with its fix. Run it as
the user that alertbridge runs as.

Exit status: 0 nothing is wrong, 1 something is wrong, 2 wrong usage.

Examples:
  alertbridge doctor --config /etc/alertbridge/alertbridge.yaml
  sudo -u alertbridge alertbridge doctor
  alertbridge doctor --json | jq '.findings[] | {what, mend}'")]
pub struct Doctor {
    #[command(flatten)]
    pub print: Json,
}

/// The time limit for a check, because a person waits. A check without an answer by then is
/// reported as such.
const LIMIT: Duration = Duration::from_secs(25);

/// The input of the checks.
struct Deployment {
    config: Config,
    rules: Arc<Rules>,
    client: Client,
    clock: Clock,
}

/// A running check, and its name.
type Check<'a> = BoxFuture<'a, Checked>;

impl Doctor {
    pub async fn run(self, config: Option<&Path>) -> anyhow::Result<ExitCode> {
        let findings = examine(config, Clock::system()).await?;
        report(&findings, self.print.json, &mut io::stdout())
    }
}

/// Runs all checks. Returns every finding, errors first.
async fn examine(config: Option<&Path>, clock: Clock) -> anyhow::Result<Vec<Finding>> {
    let (mut findings, loaded) = configuration::check(config);

    if let Some(Loaded { config, rules, .. }) = loaded {
        let timeout = config.delivery.timeout.as_std().min(LIMIT / 2);
        let client = Client::new(&rules.receivers, timeout, &|name| std::env::var(name).ok())?;
        let deployment = Deployment {
            config,
            rules,
            client,
            clock,
        };

        let Checked {
            findings: found,
            clocks,
        } = side_by_side(checks(&deployment), LIMIT).await;
        findings.extend(found);
        findings.extend(clock::findings(clocks));
    }

    // The sort is stable: within a state, findings stay in the order of the checks.
    findings.sort_by_key(|finding| finding.state);
    Ok(findings)
}

/// Returns all possible checks, each with its subject.
fn checks(deployment: &Deployment) -> Vec<(String, Check<'_>)> {
    let mut checks: Vec<(String, Check<'_>)> = vec![
        ("store.url".into(), store::check(deployment).boxed()),
        (
            "alerts.authenticity.dns".into(),
            resolver::check(deployment).boxed(),
        ),
        ("admin.listen".into(), listening::check(deployment).boxed()),
        ("ingress".into(), ready(exposure::check(deployment)).boxed()),
    ];

    checks.push(("canary".into(), canary::check(deployment).boxed()));
    checks.push(("telemetry".into(), traces::check(deployment).boxed()));
    checks.push((oidc::ABOUT.into(), oidc::check(deployment).boxed()));
    for place in 0..deployment.config.ingress.imap.len() {
        let about = format!("ingress.imap[{place}]");
        checks.push((about, mailbox::check(deployment, place).boxed()));
    }

    for target in deployment.rules.receivers.integrations.keys() {
        let about = deployment.rules.receivers.place(target);
        checks.push((about, receiver::check(deployment, target).boxed()));
    }

    checks
}

/// Runs checks concurrently, each within the limit. Returns their findings in the order of the
/// checks.
async fn side_by_side(checks: Vec<(String, Check<'_>)>, limit: Duration) -> Checked {
    let progress = progress(checks.len() as u64);
    let mut running: FuturesUnordered<_> = checks
        .into_iter()
        .enumerate()
        .map(async |(place, (about, check))| {
            let checked = tokio::time::timeout(limit, check).await;
            (place, checked.unwrap_or_else(|_| unanswered(about, limit)))
        })
        .collect();

    let mut done = Vec::new();
    while let Some(checked) = running.next().await {
        progress.inc(1);
        done.push(checked);
    }
    progress.finish_and_clear();

    done.sort_by_key(|(place, _)| *place);
    let mut all = Checked::default();
    for (_, Checked { findings, clocks }) in done {
        all.findings.extend(findings);
        all.clocks.extend(clocks);
    }
    all
}

fn unanswered(about: String, limit: Duration) -> Checked {
    let what = format!("no answer within {limit:?}");
    let mend = "check whether the service it connects to works, and whether a firewall drops the \
                packets";
    vec![Finding::wrong("time", about, what, mend)].into()
}

/// Shows the number of finished checks on a terminal, and nothing in a pipe.
fn progress(checks: u64) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }

    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} checks, {elapsed}");
    let progress = ProgressBar::new(checks);
    progress.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    progress.enable_steady_tick(Duration::from_millis(200));
    progress
}

/// Prints findings. The exit status says whether anything is wrong.
fn report(findings: &[Finding], json: bool, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let count = |state| findings.iter().filter(|one| one.state == state).count();
    let wrong = count(State::Wrong);

    if json {
        let (passed, found): (Vec<_>, Vec<_>) =
            findings.iter().partition(|one| one.state == State::Ok);
        let verdict = json!({ "ok": wrong == 0, "findings": found, "passed": passed });
        writeln!(out, "{}", pretty(&verdict)?).context("cannot write")?;
        return Ok(exit(wrong == 0));
    }

    for finding in findings {
        writeln!(out, "{}", line(finding)).context("cannot write")?;
    }

    let summary = match (wrong, count(State::Warning)) {
        (0, 0) => "ok".to_owned(),
        (0, warnings) => format!(
            "ok, with {}",
            super::table::count(warnings as u64, "warning")
        ),
        (wrong, _) => format!("{wrong} of {} wrong", findings.len()),
    };
    writeln!(out, "{summary}").context("cannot write")?;

    Ok(exit(wrong == 0))
}

fn line(finding: &Finding) -> String {
    let state = match finding.state {
        State::Wrong => "WRONG",
        State::Warning => "warning",
        State::Ok => "ok",
    };
    let about = if finding.about.is_empty() {
        String::new()
    } else {
        format!("{}: ", finding.about)
    };
    let first = format!("{state:<8} {:<13} {about}{}", finding.check, finding.what);
    let first = plain(&first).into_owned();

    match &finding.mend {
        Some(mend) => format!("{first}\n{:9}mend: {}", "", plain(mend)),
        None => first,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings() -> Vec<Finding> {
        vec![
            Finding::wrong("disk", "store.url", "it has 1 MiB left", "free some space"),
            Finding::ok("clock", "", "it agrees"),
        ]
    }

    #[test]
    fn what_is_wrong_is_told_with_its_mend_for_people_and_programs() {
        let mut out = Vec::new();
        let code = report(&findings(), false, &mut out).unwrap();
        assert_eq!(code, ExitCode::FAILURE);
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("mend: free some space\n"), "{text}");
        assert!(text.ends_with("\n1 of 2 wrong\n"), "{text}");

        let mut out = Vec::new();
        report(&findings(), true, &mut out).unwrap();
        let json: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(json["ok"], false);
        assert_eq!(json["findings"][0]["mend"], "free some space");
        assert_eq!(json["passed"][0]["check"], "clock");
    }

    #[test]
    fn where_nothing_is_wrong_the_status_is_0() {
        let mut out = Vec::new();
        let code = report(&findings()[1..], false, &mut out).unwrap();
        assert_eq!(code, ExitCode::SUCCESS);
        assert!(out.ends_with(b"\nok\n"));
    }

    #[tokio::test]
    async fn a_check_that_does_not_end_is_told_and_keeps_no_other_waiting() {
        let hangs = std::future::pending().boxed();
        let ends = ready(Checked::from(findings())).boxed();
        let checked = vec![("a".into(), hangs), ("b".into(), ends)];
        let checked = side_by_side(checked, Duration::from_millis(10)).await;
        assert_eq!(checked.findings.len(), 3);
        assert_eq!(checked.findings[0].what, "no answer within 10ms");
    }
}
