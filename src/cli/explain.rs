//! `alertbridge explain MAIL`: one mail through every stage, in words or as JSON. It stores and
//! sends nothing.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, bail};
use clap::Args;
use jiff::Timestamp;

use super::{
    WRONG_USAGE, exit,
    options::{Json, time},
};
use crate::{
    cli::{
        mailbox,
        plain::{self, plain},
        trial_of,
    },
    clock::Clock,
    config::{Config, Files, Loaded},
    incident::ATLASSIAN_SLI,
    message::{Message, Outcome},
    pipeline::Finding,
    trial::{Explained, Specimen, told::Rendered},
};

mod sight;

/// Walk one mail through every stage and show the exact requests; stores and sends nothing
#[derive(Debug, Args)]
#[command(after_help = "\
The mail counts as arrived at its own Date, unless --at is given. No mail came
before it, so a resolve alone notifies nobody; `replay` takes it together with
its trigger. Silences belong to the store and are ignored here;
`replay --stored` applies them. Secrets are shown as <secret> and need not
exist.
--json prints one object for each alert: mail, item, profile, outcome, reason,
authenticity, incident, labels, receivers, requests; the first also has what
was found in the mail (pairs, groups, json, items, attachments, text) and why
no profile took it (misses).

Exit status: 0 done, whoever is notified; 1 an alert cannot be read, or the
configuration is wrong; 2 wrong usage.

Examples:
  alertbridge explain alert.eml
  alertbridge sample | alertbridge explain --json -
  alertbridge explain --at 2026-03-01T03:00:00Z alert.eml
  alertbridge mails show 17 --raw | alertbridge explain --trust -")]
pub struct Explain {
    /// The mail, as a file (`.eml`); `-` is standard input
    pub mail: PathBuf,
    /// When it arrived, instead of its own Date: RFC 3339, a UTC day, or now
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub at: Option<Timestamp>,
    /// Treat the mail as genuine, without proof
    #[arg(long)]
    pub trust: bool,
    /// The ingress through which it came: the trusted host of that ingress may vouch for the mail
    /// [default: the hosts of all]
    #[arg(long, value_name = "NAME")]
    pub ingress: Option<String>,
    #[command(flatten)]
    pub print: Json,
}

impl Explain {
    pub async fn run(self, config: Option<&Path>) -> anyhow::Result<ExitCode> {
        let loaded = Config::load(config, Files::Unneeded)?;
        if let Some(problem) = loaded.misnamed_ingress(self.ingress.as_deref()) {
            tell!("error: {problem}");
            return Ok(ExitCode::from(WRONG_USAGE));
        }
        let now = Clock::system().now();
        let all_read = explain(&loaded, self, now, &mut io::stdout()).await?;
        Ok(exit(all_read))
    }
}

/// Explains a mail on `out`, and returns whether every alert in it could be read. A mail without a
/// Date counts as arrived `now`.
async fn explain(
    loaded: &Loaded,
    request: Explain,
    now: Timestamp,
    out: &mut impl Write,
) -> anyhow::Result<bool> {
    let found = mailbox::find(std::slice::from_ref(&request.mail), || {})?;
    let mail = match found.as_slice() {
        [mail] => mail,
        [] => bail!("{} holds no mail", request.mail.display()),
        many => bail!(
            "{} holds {} mails: use `alertbridge replay` for several",
            request.mail.display(),
            many.len()
        ),
    };

    let arrived_at = request.at.or(mail.date).unwrap_or(now);
    let raw = mail.read()?;
    let specimen = Specimen {
        name: mail.name.clone(),
        number: 1,
        message: Message {
            ingress: request.ingress.unwrap_or_else(|| "explain".into()),
            arrived_at,
            raw,
            cut_from: None,
            withheld: None,
            envelope: None,
        },
        authenticity: None,
        released: None,
        cut_at: None,
        now: arrived_at,
    };

    let size = specimen.message.raw.len();
    let explained = trial_of(loaded, request.trust)?.run(specimen).await?;

    for alert in &explained {
        if request.print.json {
            writeln!(out, "{}", plain::json(alert)?).context("cannot write")?;
        } else {
            if alert.item == 1 {
                arrival(alert, size, arrived_at, out).context("cannot write")?;
            }
            walk(alert, explained.len(), out).context("cannot write")?;
        }
    }

    let unparsed = explained
        .iter()
        .any(|alert| alert.outcome == Outcome::Unparsed);
    Ok(!unparsed)
}

fn line(out: &mut impl Write, stage: &str, text: &str) -> io::Result<()> {
    writeln!(out, "{stage:<13} {}", plain(text))
}

/// Prints what all alerts of a mail have in common.
fn arrival(
    explained: &Explained,
    size: usize,
    at: Timestamp,
    out: &mut impl Write,
) -> io::Result<()> {
    let mail = format!(
        "{} ({size} bytes), as if it arrived at {at:.0}",
        explained.mail
    );
    line(out, "mail", &mail)?;

    if let Some(subject) = &explained.reading.subject_line {
        line(out, "", subject)?;
    }

    let profile = explained
        .profile
        .as_deref()
        .unwrap_or("no profile takes it");
    line(out, "profile", profile)?;
    // Atlassian's own mail needs no profile, and its JSON is shown below.
    if let Some(sight) = &explained.sight
        && explained.profile.as_deref() != Some(ATLASSIAN_SLI)
    {
        sight::tell(sight, out)?;
    }
    line(out, "authenticate", &explained.authenticity.to_string())
}

/// Prints one alert's way through the stages that follow.
fn walk(explained: &Explained, of: usize, out: &mut impl Write) -> io::Result<()> {
    if of > 1 {
        writeln!(out)?;
        line(out, "alert", &format!("{} of {of}", explained.item))?;
    }

    match explained.finding() {
        Finding::Ignored { reason } => line(out, "extract", &format!("no alert: {reason}"))?,
        Finding::Quarantined { reason } => {
            line(out, "extract", &format!("held for a person: {reason}"))?;
        }
        Finding::Unreadable { reason, .. } => line(
            out,
            "extract",
            &format!("an alert that cannot be read: {reason}"),
        )?,
        Finding::Incident { incident, unknown } => {
            line(out, "extract", &incident.json.to_string())?;
            if explained.profile.as_deref() == Some(ATLASSIAN_SLI) {
                line(out, "validate", &drift(unknown))?;
            }
        }
    }

    let labels = explained.labels.iter();
    let labels = labels.filter(|(_, value)| !value.is_empty());
    for (place, (name, value)) in labels.enumerate() {
        line(
            out,
            if place == 0 { "labels" } else { "" },
            &format!("{name}=\"{value}\""),
        )?;
    }

    let reason = explained
        .reason
        .as_deref()
        .map(|reason| format!(": {reason}"))
        .unwrap_or_default();
    line(out, "decide", &format!("{}{reason}", explained.outcome))?;

    let held = explained.held.iter();
    let held = held.map(|(receiver, until)| format!("{receiver}, held until {until:.0}"));
    let now = Some(explained.receivers.join(", ")).filter(|told| !told.is_empty());
    let receivers: Vec<String> = now.into_iter().chain(held).collect();
    if receivers.is_empty() {
        line(out, "route", "nobody is told")?;
    } else {
        line(out, "route", &receivers.join("; "))?;
    }

    for request in &explained.requests {
        writeln!(out)?;
        show(request, out)?;
    }

    Ok(())
}

/// Prints a request in HTTP's notation.
fn show(request: &Rendered, out: &mut impl Write) -> io::Result<()> {
    let receiver = plain(&request.receiver);
    writeln!(out, "{receiver} · {}", request.integration)?;
    writeln!(out, "{} {}", request.method, plain(&request.url))?;
    for (name, value) in &request.headers {
        writeln!(out, "{name}: {}", plain(value.as_str().unwrap_or_default()))?;
    }

    match &request.body {
        serde_json::Value::Null => Ok(()),
        serde_json::Value::String(text) => {
            writeln!(out, "{}", plain::lines(text.trim_end_matches('\n')))
        }
        json => writeln!(out, "{}", plain::pretty(json)?),
    }
}

fn drift(unknown: &[String]) -> String {
    if unknown.is_empty() {
        "fits the schema".to_owned()
    } else {
        format!(
            "fits the schema, with additions it does not know: {}",
            unknown.join(" ")
        )
    }
}
