//! The condition of the bridge: of each ingress, each receiver and each profile.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    ingress::OVERDUE,
    store::{Backlog, Lately, Taken},
    web::{Admin, list::List, problem::Problem, who::Who, workbench::Tested},
};

/// How many of the newest mails and deliveries are searched for the latest activity.
const LATELY: u32 = 500;

/// An ingress, and its condition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Ingress {
    pub name: String,
    /// `imap`, `smtp` or `webhook`.
    pub kind: String,
    /// Whether it succeeded within the last 15 minutes and its latest attempt did not fail.
    pub healthy: bool,
    /// The time of its latest success; null if there was none, or if another replica does its work.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_success: Option<Timestamp>,
    /// The reason why its latest attempt failed; null if it did not.
    pub error: Option<String>,
    pub login_refused: bool,
    /// The arrival of the newest mail that came through it, among the newest 500 mails of all.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_mail: Option<Timestamp>,
}

/// A receiver, and the condition of its integrations.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Receiver {
    pub name: String,
    pub healthy: bool,
    pub integrations: Vec<Integration>,
}

/// One integration of a receiver, and its condition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Integration {
    pub integration: String,
    /// `open` while the integration does not answer and is only probed, otherwise `closed`.
    pub circuit: String,
    /// The time of the next probe; null if the circuit is closed.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub probe_at: Option<Timestamp>,
    pub pending: u64,
    pub held: u64,
    pub dead: u64,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub oldest_pending: Option<Timestamp>,
    /// The latest failure among the deliveries that are owed to it.
    pub error: Option<String>,
    /// The time at which it last took a page, among the newest 500 deliveries.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_success: Option<Timestamp>,
    /// Whether the configuration in force contains it. An integration that was removed may still
    /// have a backlog.
    pub configured: bool,
}

impl Integration {
    /// Describes an integration that is no longer in the configuration, by what is owed to it.
    fn gone(name: String, backlog: Backlog, last_success: Option<Timestamp>) -> Self {
        Self {
            integration: name,
            circuit: "closed".to_owned(),
            probe_at: None,
            pending: backlog.pending,
            held: backlog.held,
            dead: backlog.dead,
            oldest_pending: backlog.oldest_pending,
            error: backlog.failure,
            last_success,
            configured: false,
        }
    }
}

/// A profile, and its condition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Profile {
    pub name: String,
    /// The arrival of the newest mail that it took, among the newest 500 mails of all.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_mail: Option<Timestamp>,
    /// The arrival of the newest such mail that it could read, that is, whose outcome is not
    /// `unparsed`.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_success: Option<Timestamp>,
    /// The number of its mails that could not be read, among the newest 500 mails of all.
    pub unparsed: u64,
    /// Whether the mail that it expects (`expect`) is reported missing and has not arrived since.
    #[serde(default)]
    pub missing: bool,
}

/// Lists the condition of every ingress.
pub async fn ingresses(admin: &Admin) -> Result<List<Ingress>, Problem> {
    Ok(ingresses_by(admin, &lately(admin).await?))
}

/// Lists the condition of every ingress, given the recent mail.
pub fn ingresses_by(admin: &Admin, lately: &[Lately]) -> List<Ingress> {
    let now = admin.clock.now();
    let conditions = admin.health.conditions();

    let items = admin.workbench.ingresses().into_iter().map(|(name, kind)| {
        let condition = conditions.get(&name).cloned().unwrap_or_default();
        let recent = condition
            .last_success
            .is_some_and(|last| now.duration_since(last) <= OVERDUE);
        let its = lately.iter().filter(|one| one.ingress == name);
        Ingress {
            kind: kind.to_owned(),
            healthy: recent && condition.failure.is_none(),
            last_success: condition.last_success,
            error: condition.failure,
            login_refused: condition.login_refused,
            last_mail: its.map(|one| one.last).max(),
            name,
        }
    });

    List {
        items: items.collect(),
        next: None,
    }
}

/// Reads the recent mail, from which the latest mail of each ingress and each profile is taken.
pub async fn lately(admin: &Admin) -> Result<Vec<Lately>, Problem> {
    Ok(admin.browse.lately(LATELY).await?)
}

/// Lists the condition of every receiver.
pub async fn receivers(admin: &Admin) -> Result<List<Receiver>, Problem> {
    receivers_by(admin, admin.browse.backlogs().await?).await
}

/// Lists the condition of every receiver, given their backlogs.
pub async fn receivers_by(
    admin: &Admin,
    backlogs: Vec<Backlog>,
) -> Result<List<Receiver>, Problem> {
    let key = |one: &Backlog| (one.receiver.clone(), one.integration.clone());
    let mut backlogs: BTreeMap<_, _> = backlogs.into_iter().map(|one| (key(&one), one)).collect();

    let taken = admin.browse.taken(LATELY).await?;

    let last_success = |receiver: &str, name: &str| {
        let its = |one: &&Taken| one.receiver == receiver && one.integration == name;
        taken.iter().find(its).map(|one| one.at)
    };

    let mut receivers: BTreeMap<String, Vec<Integration>> = BTreeMap::new();
    for one in admin.workbench.integrations() {
        let key = (one.receiver.clone(), one.integration.clone());
        let backlog = match backlogs.remove(&key) {
            None if one.is_former => continue,
            backlog => backlog.unwrap_or_default(),
        };
        let last_success = last_success(&one.receiver, &one.integration);
        let circuit = if one.probe_at.is_some() {
            "open"
        } else {
            "closed"
        };
        receivers
            .entry(one.receiver)
            .or_default()
            .push(Integration {
                circuit: circuit.to_owned(),
                probe_at: one.probe_at,
                configured: true,
                ..Integration::gone(one.integration, backlog, last_success)
            });
    }
    for ((receiver, name), backlog) in backlogs {
        let last_success = last_success(&receiver, &name);
        let gone = Integration::gone(name, backlog, last_success);
        receivers.entry(receiver).or_default().push(gone);
    }

    let items = receivers.into_iter().map(|(name, integrations)| Receiver {
        healthy: integrations
            .iter()
            .all(|one| one.probe_at.is_none() && one.dead == 0 && one.error.is_none()),
        name,
        integrations,
    });

    Ok(List {
        items: items.collect(),
        next: None,
    })
}

/// Lists the condition of every profile.
pub async fn profiles(admin: &Admin) -> Result<List<Profile>, Problem> {
    profiles_by(admin, &lately(admin).await?).await
}

/// Lists the condition of every profile, given the recent mail.
pub async fn profiles_by(admin: &Admin, lately: &[Lately]) -> Result<List<Profile>, Problem> {
    let missing = admin.browse.missing_mail().await?;
    let items = admin.workbench.profiles().into_iter().map(|name| {
        let its = lately
            .iter()
            .filter(|one| one.profile.as_ref() == Some(&name));
        let read = its.clone().filter(|one| !one.unparsed);
        let unread = its.clone().filter(|one| one.unparsed);
        Profile {
            last_mail: its.map(|one| one.last).max(),
            last_success: read.map(|one| one.last).max(),
            unparsed: unread.map(|one| one.mails).sum(),
            missing: missing.iter().any(|of| **of == *name),
            name,
        }
    });

    Ok(List {
        items: items.collect(),
        next: None,
    })
}

/// Sends a `[TEST]` trigger and its resolve to a receiver.
pub async fn test(admin: &Admin, who: &Who, name: &str) -> Result<Vec<Tested>, Problem> {
    super::recorded(
        admin,
        who,
        "receivers.test",
        name,
        admin.workbench.test(name),
    )
    .await
}
