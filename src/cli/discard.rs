//! `alertbridge mails discard` by filter: mails that a stranger sent by the thousand leave the
//! quarantine together.

use std::io::{self, BufRead as _, IsTerminal as _, Write};

use anyhow::Context as _;
use jiff::Timestamp;
use mail_parser::MessageParser;

use crate::{
    cli::table,
    message::MailId,
    settings::Duration,
    store::{Store, StoredMail},
};

/// Mails looked at, or discarded, at a time.
const STEP: u32 = 500;

/// Which of the mails in the quarantine are meant; what is not given holds of all.
#[derive(Debug, Default)]
pub struct Filter {
    pub ingress: Option<String>,
    /// An address, or `@` and a domain.
    pub from: Option<String>,
    pub older: Option<Duration>,
}

impl Filter {
    fn fits(&self, mail: &StoredMail, now: Timestamp) -> bool {
        let message = &mail.message;
        self.ingress
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

/// Whether an address in a mail's From is the one wanted, or of the domain wanted, in any case.
fn is_from(raw: &[u8], wanted: &str) -> bool {
    let Some(header) = MessageParser::new()
        .with_minimal_headers()
        .parse_headers(raw)
    else {
        return false;
    };
    let wanted = wanted.to_lowercase();
    let fits = |address: &str| {
        let address = address.trim().to_lowercase();
        if wanted.starts_with('@') {
            address.ends_with(&wanted)
        } else {
            address == wanted
        }
    };
    header
        .from()
        .is_some_and(|from| from.iter().filter_map(|one| one.address()).any(fits))
}

/// The mails in the quarantine that fit.
pub async fn find(
    store: &dyn Store,
    filter: &Filter,
    now: Timestamp,
) -> anyhow::Result<Vec<MailId>> {
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

/// Whether there is somebody to ask.
pub fn can_ask() -> bool {
    io::stdin().is_terminal()
}

/// Asks a person before so many mails are discarded.
pub fn agreed(mails: usize) -> anyhow::Result<bool> {
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

/// Discards mails, but those that left the quarantine meanwhile.
pub async fn discard(
    store: &dyn Store,
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

#[cfg(test)]
mod tests {
    use super::is_from;

    #[test]
    fn a_sender_is_an_address_or_a_domain_in_any_case_and_never_a_display_name() {
        let mail = b"From: \"spam@example.com\" <Eve@Mail.Example.ORG>\r\nSubject: x\r\n\r\n";
        for (wanted, fits) in [
            ("eve@mail.example.org", true),
            ("EVE@mail.example.org", true),
            ("@mail.example.org", true),
            ("@example.org", false),
            ("spam@example.com", false),
            ("ve@mail.example.org", false),
        ] {
            assert_eq!(is_from(mail, wanted), fits, "{wanted}");
        }
        assert!(!is_from(b"no header at all", "@example.org"));
    }
}
