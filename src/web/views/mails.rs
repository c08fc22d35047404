//! Mails: what came, what became of it, and the quarantine.

use bytes::Bytes;
use jiff::Timestamp;
use mail_parser::MessageParser;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    message::{Envelope, MailId, Outcome, Release},
    settings::Duration,
    store::{MailFilter, MailRow, StoredMail},
    web::{
        Admin,
        list::{List, Walk, page},
        problem::Problem,
        who::Who,
    },
};

/// Mails looked at, or discarded, at a time.
const STEP: u32 = 500;

/// Which mails to list.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct MailQuery {
    pub outcome: Option<Outcome>,
    pub profile: Option<String>,
    pub ingress: Option<String>,
    /// Only those that hold this text in their labels, reason or incident's id.
    pub q: Option<String>,
}

/// A mail, and what stands in its header.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Mail {
    #[serde(flatten)]
    pub row: MailRow,
    pub subject: Option<String>,
    /// The addresses of its From.
    pub from: Vec<String>,
    /// Its Date.
    pub date: Option<String>,
    /// What the SMTP client said, where there was one.
    pub envelope: Option<Envelope>,
    /// Its true size, where only its header is kept.
    pub cut_from: Option<u64>,
    /// The alerts of a mail that holds several, each as a mail of its own; else none.
    #[serde(default)]
    pub items: Vec<MailRow>,
}

/// Which mails to take out of the quarantine: those that fit all that is given.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DiscardFilter {
    /// `quarantined`, the only outcome to take.
    pub outcome: Option<Outcome>,
    pub ingress: Option<String>,
    /// The address in From, or of `@example.com` one of this domain.
    pub from: Option<String>,
    /// Those that arrived longer ago, such as `7d`.
    pub older: Option<String>,
}

/// How many were taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Discarded {
    pub discarded: u64,
}

/// Lists mails, the newest first.
pub async fn list(admin: &Admin, query: &MailQuery, walk: &Walk) -> Result<List<MailRow>, Problem> {
    let filter = MailFilter {
        outcome: query.outcome,
        profile: query.profile.clone(),
        ingress: query.ingress.clone(),
        text: query.q.clone().filter(|text| !text.is_empty()),
    };
    page("mails", walk, |span| {
        admin.browse.browse_mails(filter.clone(), span)
    })
    .await
}

/// How many mails with an outcome have arrived since, among as many of the newest as `most`.
pub async fn count(
    admin: &Admin,
    outcome: Outcome,
    since: Timestamp,
    most: u32,
) -> Result<u64, Problem> {
    Ok(admin.browse.count_mails(outcome, since, most).await?)
}

/// One mail with its header.
pub async fn show(admin: &Admin, id: MailId) -> Result<Mail, Problem> {
    let (row, stored) = found(admin, id).await?;
    let header = MessageParser::new()
        .with_minimal_headers()
        .with_date_headers()
        .parse_headers(stored.message.raw.as_ref());

    let from = header.as_ref().and_then(|header| header.from());
    let from = from.into_iter().flat_map(|from| from.iter());
    let from = from.filter_map(|one| one.address().map(ToOwned::to_owned));

    Ok(Mail {
        items: admin.desk.items(id).await?,
        from: from.collect(),
        subject: header
            .as_ref()
            .and_then(|header| header.subject().map(ToOwned::to_owned)),
        date: header
            .as_ref()
            .and_then(|header| header.date().map(mail_parser::DateTime::to_rfc3339)),
        envelope: stored.message.envelope,
        cut_from: stored.message.cut_from,
        row,
    })
}

/// The bytes as they came.
pub async fn raw(admin: &Admin, id: MailId) -> Result<Bytes, Problem> {
    Ok(found(admin, id).await?.1.message.raw)
}

/// The same of a mail that is kept whole.
pub async fn whole(admin: &Admin, id: MailId) -> Result<Bytes, Problem> {
    let message = found(admin, id).await?.1.message;
    if message.cut_from.is_some() {
        return Err(Problem::unprocessable(format!(
            "of mail {id} only the header is kept (`store.ignored_mail`): take a newer one"
        )));
    }
    Ok(message.raw)
}

async fn found(admin: &Admin, id: MailId) -> Result<(MailRow, StoredMail), Problem> {
    let found = admin.desk.mail(id).await?;
    found.ok_or_else(|| Problem::not_found(format!("there is no mail {id}")))
}

/// Lets a mail in the quarantine be decided as genuine.
pub async fn release(admin: &Admin, who: &Who, id: MailId) -> Result<Mail, Problem> {
    let release = Release {
        by: who.name.clone(),
        at: admin.clock.now(),
    };
    super::recorded(admin, who, "mails.release", id.to_string(), async {
        Ok(admin.desk.release_mail(id, release).await?)
    })
    .await?;
    show(admin, id).await
}

/// Takes a mail out of the quarantine for good.
pub async fn discard(admin: &Admin, who: &Who, id: MailId) -> Result<Mail, Problem> {
    super::recorded(admin, who, "mails.discard", id.to_string(), async {
        Ok(admin.desk.discard_mail(id, admin.clock.now()).await?)
    })
    .await?;
    show(admin, id).await
}

/// Takes all that fit out of the quarantine.
pub async fn discard_all(
    admin: &Admin,
    who: &Who,
    filter: &DiscardFilter,
) -> Result<Discarded, Problem> {
    let now = admin.clock.now();
    let older = filter.checked()?;
    let subject = serde_json::to_string(filter).unwrap_or_default();

    super::recorded(admin, who, "mails.discard", subject, async {
        let (mut discarded, mut after) = (0, 0);
        loop {
            let mails = admin.desk.quarantined(after, STEP).await?;
            let Some(last) = mails.last() else {
                return Ok(Discarded { discarded });
            };
            after = last.id;
            let fit = mails.iter().filter(|mail| filter.fits(mail, older, now));
            let fit = fit.map(|mail| mail.id).collect();
            discarded += admin.desk.discard_mails(fit, now).await?;
        }
    })
    .await
}

impl DiscardFilter {
    /// Something must be said: an empty filter is a slip, and takes everything.
    fn checked(&self) -> Result<Option<Duration>, Problem> {
        if self.outcome.is_none()
            && self.ingress.is_none()
            && self.from.is_none()
            && self.older.is_none()
        {
            return Err(Problem::unprocessable(
                "the filter is empty: give `outcome`, `ingress`, `from` or `older`",
            ));
        }

        if self
            .outcome
            .is_some_and(|outcome| outcome != Outcome::Quarantined)
        {
            return Err(Problem::unprocessable(
                "only what is quarantined can be discarded: `outcome` is `quarantined` or left out",
            ));
        }

        let older = self.older.as_deref().map(str::parse::<Duration>);
        older
            .transpose()
            .map_err(|error| Problem::unprocessable(format!("`older`: {error}")))
    }

    fn fits(&self, mail: &StoredMail, older: Option<Duration>, now: Timestamp) -> bool {
        let message = &mail.message;
        self.ingress
            .as_ref()
            .is_none_or(|ingress| message.ingress == *ingress)
            && older.is_none_or(|age| now.duration_since(message.arrived_at) > age.as_signed())
            && self
                .from
                .as_ref()
                .is_none_or(|from| is_from(&message.raw, from))
    }
}

/// Whether an address in a mail's From is the one wanted, or of the domain wanted, in any case.
pub fn is_from(raw: &[u8], wanted: &str) -> bool {
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
