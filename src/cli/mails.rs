//! `alertbridge mails`: the stored mails, and the quarantine.

use std::io::{self, IsTerminal as _, Write};

use anyhow::Context as _;
use jiff::Timestamp;
use mail_parser::MessageParser;

use crate::{
    cli::{
        asker,
        plain::{self, plain},
        table,
    },
    message::{MailId, Outcome, Release},
    store::Store,
};

/// Lists mails, the newest first.
pub async fn list(
    store: &dyn Store,
    outcome: Option<Outcome>,
    limit: u32,
    json: bool,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let mails = store.mails(outcome, limit).await?;
    if json {
        return Ok(writeln!(out, "{}", plain::json(&mails)?)?);
    }
    let rows = mails.into_iter().map(|mail| {
        vec![
            mail.id.to_string(),
            mail.arrived_at.strftime("%F %T").to_string(),
            mail.ingress,
            mail.outcome.to_string(),
            mail.incident_id.unwrap_or_default(),
            mail.reason.unwrap_or_default(),
        ]
    });
    let heading = [
        "ID",
        "ARRIVED (UTC)",
        "INGRESS",
        "OUTCOME",
        "INCIDENT",
        "REASON",
    ];
    Ok(writeln!(out, "{}", table::of(&heading, rows))?)
}

/// One mail: what is known of it, or its bytes exactly as they came.
pub async fn show(
    store: &dyn Store,
    id: MailId,
    raw: bool,
    json: bool,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let (row, stored) = store.mail(id).await?.with_context(|| unknown(id))?;
    if raw {
        if let Some(size) = stored.message.cut_from {
            eprintln!(
                "only the header is kept of this mail, which had {}",
                table::count(size, "byte")
            );
        }
        if io::stdout().is_terminal() {
            // A mail must not do with a terminal what it likes; in a pipe it comes byte for byte.
            return Ok(writeln!(
                out,
                "{}",
                plain::lines(&String::from_utf8_lossy(&stored.message.raw))
            )?);
        }
        return Ok(out.write_all(&stored.message.raw)?);
    }
    if json {
        let mut whole = serde_json::to_value(&row)?;
        whole["envelope"] = serde_json::to_value(&stored.message.envelope)?;
        return Ok(writeln!(out, "{}", plain::json(&whole)?)?);
    }
    let mut line = |name: &str, text: &str| writeln!(out, "{name:<13} {}", plain(text));
    let reason = row
        .reason
        .as_deref()
        .map(|reason| format!(": {reason}"))
        .unwrap_or_default();
    line(
        &format!("mail {}", row.id),
        &format!("{}{reason}", row.outcome),
    )?;
    line(
        "arrived",
        &format!(
            "{} UTC through {}",
            row.arrived_at.strftime("%F %T"),
            row.ingress
        ),
    )?;
    if let Some(envelope) = stored.message.envelope {
        let peer = envelope
            .peer
            .map(|peer| peer.to_string())
            .unwrap_or_default();
        let to = envelope.rcpt_to.join(", ");
        line(
            "envelope",
            &format!(
                "<{}> to {to}, by {peer} ({})",
                envelope.mail_from, envelope.helo
            ),
        )?;
    }
    if let Some(header) = MessageParser::new()
        .with_minimal_headers()
        .parse_headers(stored.message.raw.as_ref())
    {
        line("subject", header.subject().unwrap_or_default())?;
    }
    if let Some(release) = &row.released {
        line(
            "released",
            &format!("by {} at {} UTC", release.by, release.at.strftime("%F %T")),
        )?;
    }
    if let Some(at) = row.check_at {
        line("checked again", &format!("{} UTC", at.strftime("%F %T")))?;
    }
    line(
        "size",
        &format!("{}, SHA-256 {}", table::count(row.size, "byte"), row.sha256),
    )?;
    line("authenticity", &row.authenticity.to_string())?;
    if let Some(incident) = &row.incident_id {
        line(
            "incident",
            &format!("{incident} (`alertbridge incidents show {incident}`)"),
        )?;
    }
    for (place, (name, value)) in row
        .labels
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .enumerate()
    {
        line(
            if place == 0 { "labels" } else { "" },
            &format!("{name}=\"{value}\""),
        )?;
    }
    Ok(())
}

fn unknown(id: MailId) -> String {
    format!("there is no mail {id} in the store: `alertbridge mails list` names them")
}

/// Lets a mail act as if it were genuine; `serve` takes it up within a second or two, or when it
/// starts.
pub async fn release(
    store: &dyn Store,
    id: MailId,
    now: Timestamp,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let by = asker::user_at_host();
    store
        .release_mail(
            id,
            Release {
                by: by.clone(),
                at: now,
            },
        )
        .await?;
    writeln!(
        out,
        "mail {id} is let through by {by}: `alertbridge serve` decides it anew"
    )?;
    Ok(())
}

/// Takes a mail out of the quarantine for good.
pub async fn discard_one(
    store: &dyn Store,
    id: MailId,
    now: Timestamp,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    store.discard_mail(id, now).await?;
    Ok(writeln!(out, "mail {id} is discarded")?)
}
