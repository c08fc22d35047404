//! `alertbridge mails discard`: removes one mail from the quarantine, or all that match, because a
//! stranger may have sent thousands.

use std::{
    io::{self, BufRead as _, IsTerminal as _, Write},
    process::ExitCode,
};

use anyhow::Context as _;
use clap::{ArgGroup, Args};
use jiff::Timestamp;

use crate::{
    cli::{WRONG_USAGE, table},
    message::{MailId, Outcome},
    settings::Duration,
    store::{Desk, StoredMail},
    web::views::mails::is_from,
};

/// The number of mails examined, or discarded, at a time.
const STEP: u32 = 500;

/// Which mails to discard.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("which")
    .required(true)
    .multiple(true)
    .args(["id", "outcome", "ingress", "from", "older"]))]
pub struct Discard {
    /// The mail's number, as `mails list --outcome quarantined` shows it
    #[arg(conflicts_with_all = ["outcome", "ingress", "from", "older", "up_to", "yes"])]
    pub id: Option<i64>,
    /// All mails in the quarantine, the only outcome that can be discarded
    #[arg(long, value_parser = [Outcome::Quarantined.as_str()])]
    pub outcome: Option<String>,
    /// Only mails that came through this ingress
    #[arg(long, value_name = "NAME")]
    pub ingress: Option<String>,
    /// Only mails whose From has this address, or, for `@example.com`, an address of this domain
    #[arg(long, value_name = "ADDRESS")]
    pub from: Option<String>,
    /// Only mails that arrived longer ago, such as 7d
    #[arg(long, value_name = "AGE")]
    pub older: Option<Duration>,
    /// No mail that came after this one
    #[arg(long, value_name = "ID")]
    pub up_to: Option<MailId>,
    /// Do not ask for confirmation
    #[arg(long)]
    pub yes: bool,
}

impl Discard {
    pub async fn run(
        self,
        store: &dyn Desk,
        now: Timestamp,
        out: &mut impl Write,
    ) -> anyhow::Result<ExitCode> {
        if let Some(id) = self.id {
            store.discard_mail(id, now).await?;
            writeln!(out, "mail {id} is discarded")?;
            return Ok(ExitCode::SUCCESS);
        }

        if !self.yes && !io::stdin().is_terminal() {
            tell!(
                "error: discarding mails needs a confirmation, and there is no terminal to ask on: \
                 add --yes"
            );
            return Ok(ExitCode::from(WRONG_USAGE));
        }

        let found = find(store, &self, now).await?;
        if !found.is_empty() && !self.yes && !agreed(found.len())? {
            tell!("nothing was discarded");
            return Ok(ExitCode::FAILURE);
        }

        discard_all(store, &found, now, out).await?;

        Ok(ExitCode::SUCCESS)
    }

    fn fits(&self, mail: &StoredMail, now: Timestamp) -> bool {
        let message = &mail.message;
        self.up_to.is_none_or(|newest| mail.id <= newest)
            && self
                .ingress
                .as_ref()
                .is_none_or(|ingress| message.ingress == *ingress)
            && self
                .older
                .is_none_or(|age| now.duration_since(message.arrived_at) > age.as_signed())
            && self
                .from
                .as_ref()
                .is_none_or(|from| is_from(&message.raw, from))
    }
}

/// Finds the mails in the quarantine that match.
async fn find(store: &dyn Desk, filter: &Discard, now: Timestamp) -> anyhow::Result<Vec<MailId>> {
    let (mut found, mut after) = (Vec::new(), 0);
    loop {
        let mails = store.quarantined(after, STEP).await?;
        let Some(last) = mails.last() else {
            return Ok(found);
        };
        after = last.id;
        found.extend(
            mails
                .iter()
                .filter(|mail| filter.fits(mail, now))
                .map(|mail| mail.id),
        );
    }
}

/// Asks for confirmation before that many mails are discarded.
fn agreed(mails: usize) -> anyhow::Result<bool> {
    eprint!(
        "discard {} from the quarantine for good? [y/N] ",
        table::count(mails as u64, "mail")
    );

    let mut answer = String::new();
    io::stdin()
        .lock()
        .read_line(&mut answer)
        .context("cannot read the answer")?;

    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// Discards mails, except those that have left the quarantine in between.
async fn discard_all(
    store: &dyn Desk,
    mails: &[MailId],
    now: Timestamp,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let mut discarded = 0;
    for some in mails.chunks(STEP as usize) {
        discarded += store.discard_mails(some.to_vec(), now).await?;
    }

    let are = if discarded == 1 { "is" } else { "are" };
    Ok(writeln!(
        out,
        "{} {are} discarded",
        table::count(discarded, "mail")
    )?)
}
