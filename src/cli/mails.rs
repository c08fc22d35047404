//! `alertbridge mails`: the stored mails, and the quarantine.

use std::io::Write;

use anyhow::{Context as _, bail};
use jiff::Timestamp;

use crate::{
    cli::table,
    message::{MailId, Outcome},
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
        return Ok(writeln!(out, "{}", serde_json::to_string(&mails)?)?);
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
    let heading = ["ID", "ARRIVED (UTC)", "INGRESS", "OUTCOME", "INCIDENT", "REASON"];
    Ok(writeln!(out, "{}", table::of(&heading, rows))?)
}

/// One mail: what is known of it, or its bytes exactly as they came.
pub async fn show(store: &dyn Store, id: MailId, raw: bool, json: bool, out: &mut impl Write) -> anyhow::Result<()> {
    let (row, stored) = store.mail(id).await?.with_context(|| format!("there is no mail {id} in the store"))?;
    if raw {
        return Ok(out.write_all(&stored.message.raw)?);
    }
    if json {
        let mut whole = serde_json::to_value(&row)?;
        whole["envelope"] = serde_json::to_value(&stored.message.envelope)?;
        return Ok(writeln!(out, "{whole}")?);
    }
    writeln!(out, "mail {} ({} bytes, SHA-256 {})", row.id, row.size, row.sha256)?;
    writeln!(out, "arrived {} through {}", row.arrived_at, row.ingress)?;
    if let Some(envelope) = stored.message.envelope {
        let peer = envelope.peer.map(|peer| peer.to_string()).unwrap_or_default();
        writeln!(out, "from {peer} ({}), <{}> to {}", envelope.helo, envelope.mail_from, envelope.rcpt_to.join(", "))?;
    }
    writeln!(out, "{}: {}", row.outcome, row.reason.as_deref().unwrap_or("an alert"))?;
    for (name, value) in row.labels.iter().filter(|(_, value)| !value.is_empty()) {
        writeln!(out, "  {name}=\"{value}\"")?;
    }
    Ok(())
}

/// Lets a quarantined mail act. Until senders are checked, only mail over the size limit is quarantined, and of that only the
/// header was kept: there is nothing to let act.
pub async fn release(store: &dyn Store, id: MailId) -> anyhow::Result<()> {
    let (row, stored) = store.mail(id).await?.with_context(|| format!("there is no mail {id} in the store"))?;
    if row.outcome != Outcome::Quarantined {
        bail!("mail {id} is {}, not quarantined", row.outcome);
    }
    match stored.message.cut_from {
        Some(size) => bail!(
            "mail {id} was {size} bytes, over the size limit, and only its header was kept: raise max_message_size and \
             send the mail again, or `alertbridge mails discard {id}`"
        ),
        None => bail!("mail {id} cannot be released"),
    }
}

/// Takes a mail out of the quarantine for good.
pub async fn discard(store: &dyn Store, id: MailId, now: Timestamp, out: &mut impl Write) -> anyhow::Result<()> {
    store.discard_mail(id, now).await?;
    Ok(writeln!(out, "mail {id} is discarded")?)
}
