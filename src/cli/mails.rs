//! `alertbridge mails`: the stored mails, and the quarantine.

use std::{
    io::{self, IsTerminal as _, Write},
    path::Path,
    process::ExitCode,
};

use anyhow::Context as _;
use clap::Subcommand;
use jiff::Timestamp;
use mail_parser::MessageParser;

use super::{
    desk::{Server, open_store},
    options::{Json, MOST_ROWS, cut, one_more},
};
use crate::{
    cli::{
        WRONG_USAGE, asker,
        plain::{self, plain},
        table,
    },
    clock::Clock,
    label::title_of,
    message::{Envelope, MailId, Message, Outcome, Release},
    store::{Desk, MailFilter, MailRow, SCANNED, Span},
    web::views::mails::{ListedMail, listed, stretch},
};

mod discard;

use discard::Discard;

/// Look at stored mails, and decide about those in the quarantine
#[derive(Debug, Subcommand)]
#[command(after_help = "\
Every accepted mail is stored with its outcome and the reason. Mail that is not
proven to be genuine, and may not act, is quarantined until somebody releases
or discards it.")]
pub enum Mails {
    /// List stored mails, the newest first
    #[command(after_help = "\
Exit status: 0 done, 1 there is no store, 2 wrong usage.

Examples:
  alertbridge mails list --outcome quarantined
  alertbridge mails list --from @example.com
  alertbridge mails list --json | jq -r '.[].outcome' | sort | uniq -c")]
    List {
        /// Only mails with this outcome
        #[arg(long)]
        outcome: Option<Outcome>,
        /// Only mails in the quarantine whose From has this address, or, for `@example.com`, an
        /// address of this domain
        #[arg(long, value_name = "ADDRESS")]
        from: Option<String>,
        /// Show at most this many
        #[arg(long, value_name = "N", default_value_t = MOST_ROWS)]
        limit: u32,
        #[command(flatten)]
        print: Json,
    },
    /// Show one mail: where it came from and its outcome
    #[command(after_help = "\
Exit status: 0 done, 1 there is no such mail, 2 wrong usage.

Examples:
  alertbridge mails show 17
  alertbridge mails show 17 --raw > alert.eml
  alertbridge mails show 17 --raw | alertbridge explain -")]
    Show {
        /// The mail's number, as `mails list` shows it
        id: i64,
        /// Print the mail itself, byte for byte; on a terminal, hidden characters are escaped
        #[arg(long, conflicts_with = "json")]
        raw: bool,
        #[command(flatten)]
        print: Json,
    },
    /// Release a quarantined mail, which is then decided as genuine
    #[command(after_help = "\
A running `serve` decides it within seconds; otherwise, the next one does. It
may page, or resolve. The record says who released it, and when.

Exit status: 0 done, 1 it is not in the quarantine, 2 wrong usage.

Example:
  alertbridge mails release 17")]
    Release {
        /// The mail's number, as `mails list --outcome quarantined` shows it
        id: i64,
    },
    /// Discard mails from the quarantine: nobody is notified
    #[command(after_help = "\
Without an ID, all mails in the quarantine that match every given option are
discarded, after a confirmation.

Exit status: 0 done; 1 it is not in the quarantine, or you declined; 2 wrong
usage.

Examples:
  alertbridge mails discard 17
  alertbridge mails discard --from @example.com --older 7d
  alertbridge mails discard --ingress smtp --yes")]
    Discard(Discard),
}

impl Mails {
    pub async fn run(self, config: Option<&Path>, server: &Server) -> anyhow::Result<ExitCode> {
        let (out, now) = (&mut io::stdout(), Clock::system().now());
        if let Self::List {
            outcome,
            from,
            limit,
            print,
        } = self
        {
            let outcome = match (&from, outcome) {
                (Some(_), None) => Some(Outcome::Quarantined),
                (Some(_), Some(other)) if other != Outcome::Quarantined => {
                    tell!(
                        "error: --from searches only the quarantine: drop it, or --outcome {other}"
                    );
                    return Ok(ExitCode::from(WRONG_USAGE));
                }
                _ => outcome,
            };
            let wanted = one_more(limit);
            let mut mails = find(config, server, outcome, from.as_deref(), wanted).await?;
            if let Some(note) = cut(&mut mails, limit) {
                tell!("{note}");
            }
            list(mails, outcome, print.json, out)?;
            return Ok(ExitCode::SUCCESS);
        }

        let store = &*server.desk(config).await?;
        match self {
            Self::List { .. } => {}
            Self::Show { id, raw, print } => show(store, id, raw, print.json, out).await?,
            Self::Release { id } => release(store, id, now, out).await?,
            Self::Discard(discard) => return discard.run(store, now, out).await,
        }

        Ok(ExitCode::SUCCESS)
    }
}

/// Finds mails, the newest first.
async fn find(
    config: Option<&Path>,
    server: &Server,
    outcome: Option<Outcome>,
    from: Option<&str>,
    limit: u32,
) -> anyhow::Result<Vec<ListedMail>> {
    if let Some(remote) = server.remote()? {
        return Ok(remote.listed(outcome, from, limit).await?);
    }
    let store = open_store(config).await?;
    if from.is_none() {
        let rows = store.mails(outcome, limit).await?;
        return Ok(listed(&*store, rows).await?);
    }

    let filter = MailFilter {
        outcome,
        ..MailFilter::default()
    };
    let (mut found, mut before) = (Vec::new(), MailId::MAX);
    loop {
        let span = Span {
            before,
            limit: SCANNED,
        };
        let more = stretch(&*store, filter.clone(), from, span).await?;
        found.extend(more.items);
        found.truncate(limit as usize);
        match more.next {
            Some(next) if found.len() < limit as usize => before = next,
            _ => return Ok(found),
        }
    }
}

/// Lists mails. For those in the quarantine, it shows the sender that they claim, because somebody
/// has to decide about them.
fn list(
    mails: Vec<ListedMail>,
    outcome: Option<Outcome>,
    json: bool,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    if json {
        return Ok(writeln!(out, "{}", plain::json(&mails)?)?);
    }

    if outcome == Some(Outcome::Quarantined) {
        let rows = mails.into_iter().map(|mail| {
            let title = title(&mail);
            vec![
                mail.row.id.to_string(),
                mail.row.arrived_at.strftime("%F %T").to_string(),
                mail.row.ingress,
                mail.from.unwrap_or_default().join(", "),
                title,
                mail.row.reason.unwrap_or_default(),
            ]
        });
        let heading = ["ID", "ARRIVED (UTC)", "INGRESS", "FROM", "TITLE", "REASON"];
        let least = ["ID", "FROM", "TITLE", "REASON"];
        return Ok(writeln!(out, "{}", table::list(&heading, rows, &least))?);
    }

    let rows = mails.into_iter().map(|mail| {
        let title = title(&mail);
        let mail = mail.row;
        vec![
            mail.id.to_string(),
            mail.arrived_at.strftime("%F %T").to_string(),
            mail.ingress,
            mail.outcome.to_string(),
            mail.incident_id.unwrap_or_default(),
            title,
            mail.reason.unwrap_or_default(),
        ]
    });

    let heading = [
        "ID",
        "ARRIVED (UTC)",
        "INGRESS",
        "OUTCOME",
        "INCIDENT",
        "TITLE",
        "REASON",
    ];

    let least = ["ID", "ARRIVED (UTC)", "OUTCOME", "TITLE", "REASON"];
    Ok(writeln!(out, "{}", table::list(&heading, rows, &least))?)
}

/// Returns the title of a mail's alert, or else its Subject if the list has it.
fn title(mail: &ListedMail) -> String {
    let said = title_of(&mail.row.labels).or(mail.subject.as_deref());
    said.unwrap_or_default().to_owned()
}

/// Shows one mail: what is known about it, or its original bytes.
async fn show(
    store: &dyn Desk,
    id: MailId,
    raw: bool,
    json: bool,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let (row, stored) = store.mail(id).await?.with_context(|| unknown(id))?;
    if raw {
        return show_bytes(&stored.message, out);
    }

    let items = store.items(id).await?;

    if json {
        let mut whole = serde_json::to_value(&row)?;
        whole["envelope"] = serde_json::to_value(&stored.message.envelope)?;
        whole["items"] = serde_json::to_value(&items)?;
        return Ok(writeln!(out, "{}", plain::json(&whole)?)?);
    }

    show_facts(&row, &stored.message, &items, out)
}

fn show_bytes(message: &Message, out: &mut impl Write) -> anyhow::Result<()> {
    if let Some(size) = message.cut_from {
        tell!(
            "only the header is kept of this mail, which had {}",
            table::count(size, "byte")
        );
    }

    if io::stdout().is_terminal() {
        // A mail must not control a terminal; in a pipe it is printed byte for byte.
        let text = plain::lines(&String::from_utf8_lossy(&message.raw));
        return Ok(writeln!(out, "{text}")?);
    }

    Ok(out.write_all(&message.raw)?)
}

/// Writes one line for each fact about a mail.
fn show_facts(
    row: &MailRow,
    message: &Message,
    items: &[MailRow],
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let mut line = |name: &str, text: &str| line(out, name, text);
    let utc = |at: Timestamp| format!("{} UTC", at.strftime("%F %T"));

    let reason = row
        .reason
        .as_deref()
        .map(|reason| format!(": {reason}"))
        .unwrap_or_default();
    line(
        &format!("mail {}", row.id),
        &format!("{}{reason}", row.outcome),
    )?;

    let arrived_at = utc(row.arrived_at);
    line("arrived", &format!("{arrived_at} through {}", row.ingress))?;
    if let Some(envelope) = &message.envelope {
        line("envelope", &handed_in(envelope))?;
    }

    if let Some(header) = MessageParser::new()
        .with_minimal_headers()
        .parse_headers(message.raw.as_ref())
    {
        let from = header.from().into_iter().flat_map(|from| from.iter());
        let from: Vec<_> = from.filter_map(|one| one.address()).collect();
        line("from", &from.join(", "))?;
        line("subject", header.subject().unwrap_or_default())?;
    }

    if let Some(Release { by, at }) = &row.released {
        line("released", &format!("by {by} at {}", utc(*at)))?;
    }
    if let Some(at) = row.check_at {
        line("checked again", &utc(at))?;
    }

    line("size", &table::count(row.size, "byte"))?;
    line("SHA-256", &row.sha256)?;
    line("authenticity", &row.authenticity.to_string())?;

    show_finding(row, items, out)
}

/// Writes how a mail was read: its profile, incidents and labels.
fn show_finding(row: &MailRow, items: &[MailRow], out: &mut impl Write) -> anyhow::Result<()> {
    let mut line = |name: &str, text: &str| line(out, name, text);

    if let Some(profile) = &row.profile {
        line("profile", profile)?;
    }
    if let Some(incident) = &row.incident_id {
        line(
            "incident",
            &format!("{incident} (`alertbridge incidents show {incident}`)"),
        )?;
    }

    for item in items {
        let (name, text) = alert(item);
        line(&name, &text)?;
    }

    let labels = row.labels.iter().filter(|(_, value)| !value.is_empty());
    for (place, (name, value)) in labels.enumerate() {
        line(
            if place == 0 { "labels" } else { "" },
            &format!("{name}=\"{value}\""),
        )?;
    }

    Ok(())
}

fn line(out: &mut impl Write, name: &str, text: &str) -> io::Result<()> {
    writeln!(out, "{name:<13} {}", plain(text))
}

fn handed_in(envelope: &Envelope) -> String {
    let peer = envelope.peer.map(|peer| peer.to_string());
    format!(
        "<{}> to {}, by {} ({})",
        envelope.mail_from,
        envelope.rcpt_to.join(", "),
        peer.unwrap_or_default(),
        envelope.helo
    )
}

/// Returns the outcome of one alert of a mail with several.
fn alert(item: &MailRow) -> (String, String) {
    let number = item.item.unwrap_or_default();
    let incident = item.incident_id.as_deref().unwrap_or("no incident");
    let reason = item.reason.as_deref().map(|reason| format!(": {reason}"));
    (
        format!("alert {number}"),
        format!("{} {incident}{}", item.outcome, reason.unwrap_or_default()),
    )
}

fn unknown(id: MailId) -> String {
    format!("there is no mail {id} in the store: `alertbridge mails list` names them")
}

/// Releases a mail, which then acts as genuine. `serve` decides it within a second or two, or when
/// it starts.
async fn release(
    store: &dyn Desk,
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
        "mail {id} is released by {by}: `alertbridge serve` decides it again"
    )?;

    Ok(())
}
