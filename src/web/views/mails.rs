//! Mails: what came, what became of it, and the quarantine.

use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::Timestamp;
use mail_parser::MessageParser;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    message::{Envelope, MailId, Outcome, Release},
    settings::Duration,
    store::{Browse, MailFilter, MailRow, SCANNED, Span, StoreError, StoredMail, Stretch},
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
    /// Only those in the quarantine whose From has this address, or, for `@example.com`, one of
    /// this domain.
    pub from: Option<String>,
    /// Only those that hold this text in their labels, reason or incident's id, or in those of an
    /// alert of a mail with several.
    pub q: Option<String>,
    /// Whether the bridge's own canaries are left out.
    #[serde(skip)]
    pub without_canaries: bool,
}

/// A mail in a list. Where somebody is to decide about it, what its header says stands beside it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ListedMail {
    #[serde(flatten)]
    pub row: MailRow,
    /// The addresses of its From, while it is in the quarantine; else null.
    #[serde(default)]
    pub from: Option<Vec<String>>,
    /// Its Subject, while it is in the quarantine; else null.
    #[serde(default)]
    pub subject: Option<String>,
}

impl ListedMail {
    /// Whether its From is so, as far as the list has it.
    fn is_from(&self, wanted: &str) -> bool {
        let from = self.from.iter().flatten();
        from.map(String::as_str)
            .any(|address| is_sender(address, wanted))
    }
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

/// What stands in a mail's header.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Head {
    /// The addresses of its From.
    pub from: Vec<String>,
    pub subject: Option<String>,
    pub date: Option<String>,
}

impl Head {
    fn of(raw: &[u8]) -> Self {
        let header = MessageParser::new()
            .with_minimal_headers()
            .with_date_headers()
            .parse_headers(raw);
        let Some(header) = header else {
            return Self::default();
        };

        let from = header.from().into_iter().flat_map(|from| from.iter());
        let from = from.filter_map(|one| one.address().map(ToOwned::to_owned));
        Self {
            from: from.collect(),
            subject: header.subject().map(ToOwned::to_owned),
            date: header.date().map(mail_parser::DateTime::to_rfc3339),
        }
    }
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
    /// None that came after this mail: the newest that whoever decides has seen. It bounds another
    /// filter, and is none by itself.
    pub up_to: Option<MailId>,
    /// None that the quarantine took later: what came before `up_to` may have waited for its check
    /// when whoever decides looked.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub seen_at: Option<Timestamp>,
}

/// How many were taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Discarded {
    pub discarded: u64,
    /// Those that fit as well, and stay in the quarantine: they came after `up_to`, or were not in
    /// it yet at `seen_at`.
    pub newer: u64,
}

/// Lists mails, the newest first.
pub async fn list(
    admin: &Admin,
    query: &MailQuery,
    walk: &Walk,
) -> Result<List<ListedMail>, Problem> {
    let from = query.from.as_deref().filter(|from| !from.trim().is_empty());
    let outcome = match (from, query.outcome) {
        (Some(_), None | Some(Outcome::Quarantined)) => Some(Outcome::Quarantined),
        (Some(_), Some(_)) => {
            return Err(Problem::bad(
                "`from` looks through the quarantine alone: ask for `outcome=quarantined`, or drop \
                 one of them",
            ));
        }
        (None, outcome) => outcome,
    };
    let filter = MailFilter {
        outcome,
        profile: query.profile.clone(),
        ingress: query.ingress.clone(),
        text: query.q.clone().filter(|text| !text.is_empty()),
        without_kind: query.without_canaries.then_some("canary"),
    };
    page("mails", walk, |span| {
        stretch(&*admin.browse, filter.clone(), from, span)
    })
    .await
}

/// What fits of a stretch of the list.
pub async fn stretch(
    browse: &dyn Browse,
    filter: MailFilter,
    from: Option<&str>,
    span: Span,
) -> Result<Stretch<ListedMail>, StoreError> {
    let found = browse.browse_mails(filter, span).await?;
    let mut items = listed(browse, found.items).await?;
    items.retain(|mail| from.is_none_or(|from| mail.is_from(from)));
    Ok(Stretch {
        items,
        next: found.next,
    })
}

/// Mails as they are listed.
pub async fn listed(
    browse: &dyn Browse,
    rows: Vec<MailRow>,
) -> Result<Vec<ListedMail>, StoreError> {
    let is_held = |row: &&MailRow| row.outcome == Outcome::Quarantined;
    let waiting = rows.iter().filter(is_held).map(|row| row.id).collect();
    let mut heads = heads_of(browse, waiting).await?;
    let list = rows.into_iter().map(|row| {
        let head = heads.remove(&row.id);
        ListedMail {
            from: head.as_ref().map(|head| head.from.clone()),
            subject: head.and_then(|head| head.subject),
            row,
        }
    });
    Ok(list.collect())
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

/// How many mails with an outcome are no newer than `up_to`.
pub async fn count_up_to(
    admin: &Admin,
    outcome: Outcome,
    ingress: Option<&str>,
    up_to: MailId,
) -> Result<u64, Problem> {
    let filter = MailFilter {
        outcome: Some(outcome),
        ingress: ingress.map(ToOwned::to_owned),
        ..MailFilter::default()
    };
    let (mut found, mut before) = (0, up_to.saturating_add(1));
    loop {
        let span = Span {
            before,
            limit: SCANNED,
        };
        let stretch = admin.browse.browse_mails(filter.clone(), span).await?;
        found += stretch.items.len() as u64;
        match stretch.next {
            Some(next) => before = next,
            None => return Ok(found),
        }
    }
}

/// One mail with its header.
pub async fn show(admin: &Admin, id: MailId) -> Result<Mail, Problem> {
    let (row, stored) = found(admin, id).await?;
    let head = Head::of(&stored.message.raw);

    Ok(Mail {
        items: admin.desk.items(id).await?,
        from: head.from,
        subject: head.subject,
        date: head.date,
        envelope: stored.message.envelope,
        cut_from: stored.message.cut_from,
        row,
    })
}

/// What stands in the header of several.
pub async fn heads(admin: &Admin, ids: Vec<MailId>) -> Result<BTreeMap<MailId, Head>, Problem> {
    Ok(heads_of(&*admin.browse, ids).await?)
}

async fn heads_of(
    browse: &dyn Browse,
    ids: Vec<MailId>,
) -> Result<BTreeMap<MailId, Head>, StoreError> {
    if ids.is_empty() {
        return Ok(BTreeMap::new());
    }
    let heads = browse.heads(ids).await?;
    let heads = heads.into_iter().map(|(id, raw)| (id, Head::of(&raw)));
    Ok(heads.collect())
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
            "of mail {id} only the header is kept: take a newer one"
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

/// Takes all that fit out of the quarantine: those that are in it now.
pub async fn discard_all(
    admin: &Admin,
    who: &Who,
    filter: &DiscardFilter,
) -> Result<Discarded, Problem> {
    who.may_act()?;
    let now = admin.clock.now();
    let (fit, newer) = filter.find(admin, now).await?;
    let many = if fit.len() == 1 { "mail" } else { "mails" };
    let subject = format!("{} {many}{}", fit.len(), filter.said());

    super::recorded(admin, who, "mails.discard", subject, async {
        let mut discarded = 0;
        for some in fit.chunks(STEP as usize) {
            discarded += admin.desk.discard_mails(some.to_vec(), now).await?;
        }
        Ok(Discarded { discarded, newer })
    })
    .await
}

impl DiscardFilter {
    /// The mails that fit, and how many more came after the newest that may go.
    async fn find(&self, admin: &Admin, now: Timestamp) -> Result<(Vec<MailId>, u64), Problem> {
        let older = self.checked()?;
        let (mut fit, mut newer, mut after) = (Vec::new(), 0, 0);
        loop {
            let mails = admin.desk.quarantined(after, STEP).await?;
            let Some(last) = mails.last() else {
                return Ok((fit, newer));
            };
            after = last.id;
            for mail in mails.iter().filter(|mail| self.fits(mail, older, now)) {
                if self.was_seen(mail) {
                    fit.push(mail.id);
                } else {
                    newer += 1;
                }
            }
        }
    }

    /// Which mails these are, as the record says it.
    fn said(&self) -> String {
        let said = [
            self.ingress.as_ref().map(|name| format!("through {name}")),
            self.from.as_ref().map(|from| format!("from {from}")),
            self.older.as_ref().map(|age| format!("older than {age}")),
            self.up_to.map(|newest| format!("up to mail {newest}")),
        ];
        let said: Vec<_> = said.into_iter().flatten().collect();
        if said.is_empty() {
            return ": all in the quarantine".to_owned();
        }
        format!(": {}", said.join(", "))
    }

    /// Something must be said: an empty filter is a slip, and takes everything. `up_to` and
    /// `seen_at` alone say only when somebody looked.
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

    fn was_seen(&self, mail: &StoredMail) -> bool {
        self.up_to.is_none_or(|newest| mail.id <= newest)
            && (self.seen_at.zip(mail.decided_at)).is_none_or(|(seen, taken)| taken <= seen)
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

    header.from().is_some_and(|from| {
        let addresses = from.iter().filter_map(|one| one.address());
        addresses
            .into_iter()
            .any(|address| is_sender(address, wanted))
    })
}

fn is_sender(address: &str, wanted: &str) -> bool {
    let (address, wanted) = (address.trim().to_lowercase(), wanted.trim().to_lowercase());
    if wanted.starts_with('@') {
        address.ends_with(&wanted)
    } else {
        address == wanted
    }
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
