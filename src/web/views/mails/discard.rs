//! Discards many mails from the quarantine at once.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::head::is_from;
use crate::{
    message::{MailId, Outcome},
    settings::Duration,
    store::StoredMail,
    web::{Admin, problem::Problem, views::recorded, who::Who},
};

/// How many mails are examined, or discarded, at a time.
const STEP: u32 = 500;

/// The mails to discard from the quarantine: those that match every field that is given.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DiscardFilter {
    /// The outcome of the mails. Only `quarantined` is accepted.
    pub outcome: Option<Outcome>,
    pub ingress: Option<String>,
    /// The address in From or, for `@example.com`, an address of this domain.
    pub from: Option<String>,
    /// The age that the mails must exceed, counted from their arrival, such as `7d`.
    pub older: Option<String>,
    /// The newest mail that the person who decides has seen: mails that arrived after it stay. It
    /// limits the other fields, and is no filter by itself.
    pub up_to: Option<MailId>,
    /// The time at which the person who decides looked: mails that were quarantined later stay. A
    /// mail up to `up_to` may still have been waiting for its check at that time.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub seen_at: Option<Timestamp>,
}

/// The number of mails that were discarded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Discarded {
    pub discarded: u64,
    /// The number of mails that match as well but stay in the quarantine, because they arrived
    /// after `up_to` or were not in the quarantine yet at `seen_at`.
    pub newer: u64,
}

/// Discards all mails that match and are in the quarantine now.
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

    recorded(admin, who, "mails.discard", subject, async {
        let mut discarded = 0;
        for some in fit.chunks(STEP as usize) {
            discarded += admin.desk.discard_mails(some.to_vec(), now).await?;
        }
        Ok(Discarded { discarded, newer })
    })
    .await
}

impl DiscardFilter {
    /// Finds the mails to discard, and counts those that match but are newer than the filter
    /// allows.
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

    /// Describes the chosen mails for the record.
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

    /// Checks the filter. An empty filter is refused, since it is most likely a slip and would take
    /// everything. `up_to` and `seen_at` do not count: alone they only say when somebody looked.
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
                "only quarantined mail can be discarded: `outcome` must be `quarantined` or left \
                 out",
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
