//! Mails: those that arrived, their outcomes, and the quarantine.

use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    message::{Envelope, MailId, Outcome, Release},
    store::{Browse, MailFilter, MailRow, SCANNED, Span, StoreError, StoredMail, Stretch},
    web::{
        Admin,
        list::{List, Walk, page},
        problem::Problem,
        who::Who,
    },
};

mod discard;
mod head;

pub use discard::{DiscardFilter, Discarded, discard_all};
use head::is_sender;
pub use head::{Head, is_from};

/// The filter of the list of mails.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct MailQuery {
    pub outcome: Option<Outcome>,
    pub profile: Option<String>,
    pub ingress: Option<String>,
    /// Only mails in the quarantine whose From has this address or, for `@example.com`, an address
    /// of this domain.
    pub from: Option<String>,
    /// Only mails that contain this text in their labels, their reason or their incident's id. For
    /// a mail with several alerts, those of each alert count as well.
    pub q: Option<String>,
    /// Whether the bridge's own canaries are left out.
    #[serde(skip)]
    pub without_canaries: bool,
}

/// A mail in a list. While it is in the quarantine, the list also shows its From and its Subject.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ListedMail {
    #[serde(flatten)]
    pub row: MailRow,
    /// The addresses in its From while it is in the quarantine; otherwise null.
    #[serde(default)]
    pub from: Option<Vec<String>>,
    /// Its Subject while it is in the quarantine; otherwise null.
    #[serde(default)]
    pub subject: Option<String>,
}

impl ListedMail {
    /// Decides whether the mail is from `wanted`, as far as the list knows its From.
    fn is_from(&self, wanted: &str) -> bool {
        let from = self.from.iter().flatten();
        from.map(String::as_str)
            .any(|address| is_sender(address, wanted))
    }
}

/// A mail, and the main fields of its header.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Mail {
    #[serde(flatten)]
    pub row: MailRow,
    pub subject: Option<String>,
    /// The addresses in its From.
    pub from: Vec<String>,
    /// Its Date.
    pub date: Option<String>,
    /// What the SMTP client declared; null if the mail did not arrive over SMTP.
    pub envelope: Option<Envelope>,
    /// Its original size in bytes, if only its header is kept.
    pub cut_from: Option<u64>,
    /// The alerts of a mail that contains several, each as a mail of its own; otherwise empty.
    #[serde(default)]
    pub items: Vec<MailRow>,
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
                "`from` searches only the quarantine: ask for `outcome=quarantined`, or drop one \
                 of them",
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

/// Reads a stretch of the list, and keeps the mails that match.
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

/// Adds to each quarantined mail what the list shows of its header.
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

/// Counts the mails with an outcome that have arrived since a time, among the newest `most`.
pub async fn count(
    admin: &Admin,
    outcome: Outcome,
    since: Timestamp,
    most: u32,
) -> Result<u64, Problem> {
    Ok(admin.browse.count_mails(outcome, since, most).await?)
}

/// Counts the mails with an outcome that are no newer than `up_to`.
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

/// Returns one mail with its header.
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

/// Returns the headers of several mails.
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

/// Returns the bytes of a mail as they came.
pub async fn raw(admin: &Admin, id: MailId) -> Result<Bytes, Problem> {
    Ok(found(admin, id).await?.1.message.raw)
}

/// Returns the bytes of a mail, and refuses one of which only the header is kept.
pub async fn whole(admin: &Admin, id: MailId) -> Result<Bytes, Problem> {
    let message = found(admin, id).await?.1.message;
    if message.cut_from.is_some() {
        return Err(Problem::unprocessable(format!(
            "only the header of mail {id} is kept: choose a newer mail"
        )));
    }
    Ok(message.raw)
}

async fn found(admin: &Admin, id: MailId) -> Result<(MailRow, StoredMail), Problem> {
    let found = admin.desk.mail(id).await?;
    found.ok_or_else(|| Problem::not_found(format!("there is no mail {id}")))
}

/// Releases a mail from the quarantine, to be decided as genuine.
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

/// Discards a mail from the quarantine for good.
pub async fn discard(admin: &Admin, who: &Who, id: MailId) -> Result<Mail, Problem> {
    super::recorded(admin, who, "mails.discard", id.to_string(), async {
        Ok(admin.desk.discard_mail(id, admin.clock.now()).await?)
    })
    .await?;
    show(admin, id).await
}
