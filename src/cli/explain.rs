//! `alertbridge explain MAIL`: one mail through every stage, in words or as JSON. Stores and sends
//! nothing.

use std::{io::Write, path::Path};

use anyhow::{Context as _, bail};
use jiff::Timestamp;

use crate::{
    cli::{
        mailbox,
        plain::{self, plain},
        trial::{Explained, Specimen, Trial},
    },
    config::Loaded,
    message::{Message, Outcome},
    pipeline::Finding,
};

/// What is asked of it.
pub struct Request<'a> {
    pub mail: &'a Path,
    /// Instead of the mail's own Date.
    pub at: Option<Timestamp>,
    pub trust: bool,
    /// As if it had come through this one.
    pub ingress: Option<String>,
    pub json: bool,
    /// For mail without a Date.
    pub now: Timestamp,
}

/// Explains a mail on `out`; returns what became of it.
pub async fn run(
    loaded: &Loaded,
    request: Request<'_>,
    out: &mut impl Write,
) -> anyhow::Result<Outcome> {
    let found = mailbox::find(&[request.mail.to_owned()], || {})?;
    let mail = match found.as_slice() {
        [mail] => mail,
        [] => bail!("{} holds no mail", request.mail.display()),
        many => bail!(
            "{} holds {} mails: `alertbridge replay` takes many",
            request.mail.display(),
            many.len()
        ),
    };
    let arrived_at = request.at.or(mail.date).unwrap_or(request.now);
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
        now: arrived_at,
    };
    let size = specimen.message.raw.len();
    let explained = Trial::new(loaded, request.trust)?.run(specimen).await?;
    if request.json {
        writeln!(out, "{}", plain::json(&explained)?).context("cannot write")?;
    } else {
        walk(&explained, size, arrived_at, out).context("cannot write")?;
    }
    Ok(explained.outcome)
}

fn walk(
    explained: &Explained,
    size: usize,
    at: Timestamp,
    out: &mut impl Write,
) -> std::io::Result<()> {
    let reading = &explained.reading;
    let line =
        |out: &mut dyn Write, stage: &str, text: &str| writeln!(out, "{stage:<13} {}", plain(text));
    line(
        out,
        "mail",
        &format!(
            "{} ({size} bytes), as if it arrived at {at:.0}",
            explained.mail
        ),
    )?;
    if let Some(subject) = &reading.subject_line {
        line(out, "", subject)?;
    }
    line(out, "authenticate", &explained.authenticity.to_string())?;
    match &reading.finding {
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
            let drift = if unknown.is_empty() {
                "fits the schema".to_owned()
            } else {
                format!(
                    "fits the schema, with additions it does not know: {}",
                    unknown.join(" ")
                )
            };
            line(out, "validate", &drift)?;
        }
    }
    for (place, (name, value)) in explained
        .labels
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .enumerate()
    {
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
    let receivers = match explained.receivers.as_slice() {
        [] => "nobody is told".to_owned(),
        receivers => receivers.join(", "),
    };
    line(out, "route", &receivers)?;
    for request in &explained.requests {
        writeln!(out)?;
        writeln!(
            out,
            "{} · {}",
            plain(&request.receiver),
            request.integration
        )?;
        writeln!(out, "{} {}", request.method, plain(&request.url))?;
        for (name, value) in &request.headers {
            writeln!(out, "{name}: {}", plain(value.as_str().unwrap_or_default()))?;
        }
        match &request.body {
            serde_json::Value::Null => {}
            serde_json::Value::String(text) => {
                writeln!(out, "{}", plain::lines(text.trim_end_matches('\n')))?;
            }
            json => writeln!(out, "{}", plain::pretty(json)?)?,
        }
    }
    Ok(())
}
