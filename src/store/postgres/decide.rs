//! The second commit: what is known of an incident, and everything that follows from a mail about
//! it.
//!
//! Two ways to the server: one asks, one writes. An advisory lock on the incident's id makes those
//! who decide about the same incident, or change its lanes, take turns, whether there is a row of
//! it yet or not.

use std::{
    borrow::Cow,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use jiff::Timestamp;

use super::{connection::Database, row::text};
use crate::{
    message::{Authenticity, MailId},
    store::{Decide, Decision, StoreError, Subject},
};

mod ask;
mod write;

/// What is decided: a mail, or what the bridge tells of itself.
enum Matter<'a> {
    Fresh(MailId),
    Due(MailId, &'a Authenticity),
    Own,
}

/// Lets `decide` conclude from what is known, and writes it. None where the mail is decided
/// already, or waits.
pub(super) async fn decide(
    database: &Arc<Database>,
    mail: MailId,
    subject: Option<&Subject>,
    now: Timestamp,
    decide: Decide,
) -> Result<Option<Decision>, StoreError> {
    follow(database, &Matter::Fresh(mail), subject, now, decide).await
}

/// The same for a mail that was due to be looked at again. None where it is not any more.
pub(super) async fn reconsider(
    database: &Arc<Database>,
    mail: MailId,
    authenticity: &Authenticity,
    subject: Option<&Subject>,
    now: Timestamp,
    decide: Decide,
) -> Result<Option<Decision>, StoreError> {
    follow(
        database,
        &Matter::Due(mail, authenticity),
        subject,
        now,
        decide,
    )
    .await
}

/// The same for what the bridge tells of itself.
pub(super) async fn announce(
    database: &Arc<Database>,
    subject: &Subject,
    now: Timestamp,
    decide: Decide,
) -> Result<Decision, StoreError> {
    let announced = follow(database, &Matter::Own, Some(subject), now, decide).await?;
    announced
        .ok_or_else(|| StoreError::Failed("what the bridge tells of itself was not decided".into()))
}

/// Asks, concludes, writes.
async fn follow(
    database: &Arc<Database>,
    matter: &Matter<'_>,
    subject: Option<&Subject>,
    now: Timestamp,
    decide: Decide,
) -> Result<Option<Decision>, StoreError> {
    let subject = subject.map(Named::new);
    let subject = subject.as_ref();
    let transaction = database.begin().await?;
    let Some(found) = ask::ask(&transaction, matter, subject, now).await? else {
        transaction.undo().await?;
        return Ok(None);
    };

    // The transaction is undone by being dropped.
    let mut decision = catch_unwind(AssertUnwindSafe(|| decide(&found.memory)))
        .map_err(|_| StoreError::Panicked)?;
    decision.claims = write::write(
        database,
        transaction,
        matter,
        subject,
        &found,
        &decision,
        now,
    )
    .await?;

    Ok(Some(decision))
}

/// A subject as the statements take it.
struct Named<'a> {
    incident_id: Cow<'a, str>,
    kind: &'static str,
    status: Cow<'a, str>,
    app_key: Cow<'a, str>,
    metric: Cow<'a, str>,
    applied_at: i64,
    ingress: Cow<'a, str>,
    verified: bool,
}

impl<'a> Named<'a> {
    fn new(subject: &'a Subject) -> Self {
        Self {
            incident_id: text(&subject.incident_id),
            kind: subject.kind.as_str(),
            status: text(&subject.status),
            app_key: text(&subject.app_key),
            metric: text(&subject.metric),
            applied_at: subject.applied_at(),
            ingress: text(&subject.ingress),
            verified: subject.verified,
        }
    }
}
