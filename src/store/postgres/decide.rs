//! The second commit: reads what is known of an incident, and writes everything that follows from a
//! mail about it.
//!
//! It takes two round trips: one reads, one writes. An advisory lock on the incident's id makes
//! transactions that decide about the same incident, or change its lanes, take turns, whether the
//! incident's row exists yet or not.

use std::{
    borrow::Cow,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use jiff::Timestamp;

use super::{connection::Database, row::text};
use crate::{
    message::{Authenticity, MailId},
    store::{Decide, Decision, Item, StoreError, Subject, part::Part},
};

mod ask;
mod several;
mod write;

use ask::Found;
use write::{End, Written};

/// The matter to decide: a mail, one alert of a mail that holds several, or an incident without a
/// mail, such as one of the bridge's own alarms.
#[derive(Clone, Copy)]
enum Matter<'a> {
    Fresh(MailId),
    Due(MailId, &'a Authenticity),
    /// One alert of a mail that holds several. The mail's own row is already locked.
    Part(Part),
    Own,
}

/// Decides about what was found in a mail, given what is known, and writes the decision. Returns
/// `None` if the mail is already decided, or waits to be checked again.
pub(super) async fn decide(
    database: &Arc<Database>,
    mail: MailId,
    items: Vec<Item>,
    now: Timestamp,
) -> Result<Option<Vec<Decision>>, StoreError> {
    follow(database, Matter::Fresh(mail), items, now).await
}

/// Decides a mail that was due to be checked again. Returns `None` if it is no longer due.
pub(super) async fn reconsider(
    database: &Arc<Database>,
    mail: MailId,
    authenticity: &Authenticity,
    items: Vec<Item>,
    now: Timestamp,
) -> Result<Option<Vec<Decision>>, StoreError> {
    follow(database, Matter::Due(mail, authenticity), items, now).await
}

/// Decides about an incident without a mail, such as one of the bridge's own alarms.
pub(super) async fn announce(
    database: &Arc<Database>,
    item: Item,
    now: Timestamp,
) -> Result<Decision, StoreError> {
    let announced = follow(database, Matter::Own, vec![item], now).await?;
    announced
        .and_then(|mut decisions| decisions.pop())
        .ok_or_else(|| StoreError::Failed("the bridge's own alarm was not decided".into()))
}

async fn follow(
    database: &Arc<Database>,
    matter: Matter<'_>,
    mut items: Vec<Item>,
    now: Timestamp,
) -> Result<Option<Vec<Decision>>, StoreError> {
    match (matter, items.len()) {
        (Matter::Fresh(mail) | Matter::Due(mail, _), many) if many > 1 => {
            several::follow(database, (mail, matter), items, now).await
        }
        _ => {
            let Some(item) = items.pop() else {
                return Ok(None);
            };
            let decision = one(database, matter, item, now).await?;
            Ok(decision.map(|decision| vec![decision]))
        }
    }
}

/// Reads what is known about one item, decides, and writes the decision.
async fn one(
    database: &Arc<Database>,
    matter: Matter<'_>,
    item: Item,
    now: Timestamp,
) -> Result<Option<Decision>, StoreError> {
    let Item {
        subject,
        decide,
        mutes,
    } = item;
    let subject = subject.as_ref().map(Named::new);
    let subject = subject.as_ref();
    let transaction = database.begin().await?;
    let Some(found) = ask::ask(&transaction, matter, subject, &mutes, now).await? else {
        transaction.undo().await?;
        return Ok(None);
    };

    let mut decision = concluded(decide, &found)?;
    let written = Written {
        matter,
        subject,
        found: &found,
        decision: &decision,
        now,
    };
    let claims = write::write(database, End::Commit(Box::new(transaction)), written).await?;
    decision.claims = claims;

    Ok(Some(decision))
}

/// Draws the conclusion. If that panics, it returns an error, and dropping the transaction rolls it
/// back.
fn concluded(decide: Decide, found: &Found) -> Result<Decision, StoreError> {
    catch_unwind(AssertUnwindSafe(|| decide(&found.memory))).map_err(|_| StoreError::Panicked)
}

/// A subject, as parameters of the statements.
struct Named<'a> {
    incident_id: Cow<'a, str>,
    kind: &'static str,
    status: Cow<'a, str>,
    app_key: Cow<'a, str>,
    metric: Cow<'a, str>,
    applied_at: i64,
    known_at: (i64, i64),
    ingress: Cow<'a, str>,
    profile: &'a str,
    verified: bool,
}

impl<'a> Named<'a> {
    fn new(subject: &'a Subject) -> Self {
        Self {
            incident_id: text(&subject.incident_id),
            kind: subject.kind.as_str(),
            status: text(&subject.status),
            app_key: text(&subject.series.of),
            metric: text(&subject.series.what),
            applied_at: subject.applied_at(),
            known_at: subject.known_at(),
            ingress: text(&subject.ingress),
            profile: &subject.profile,
            verified: subject.verified,
        }
    }
}
