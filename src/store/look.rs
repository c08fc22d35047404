//! The rows that people look at: `incidents`, `deliveries`, `mails`, and the numbers of the gauges.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Attempt, DeedRow, Kind};
use crate::{
    delivery::{Action, DeliveryId, DeliveryState},
    incident::Phase,
    label::Labels,
    message::{Authenticity, MailId, Outcome, Release},
};

/// A mail in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MailRow {
    pub id: MailId,
    pub ingress: String,
    #[schema(value_type = String, format = DateTime)]
    pub arrived_at: Timestamp,
    pub size: u64,
    pub outcome: Outcome,
    pub reason: Option<String>,
    /// The profile that took the mail, if any.
    pub profile: Option<String>,
    /// The number of the alert, from 1, if the mail contains several; otherwise null.
    pub item: Option<i64>,
    pub incident_id: Option<String>,
    pub sha256: String,
    pub authenticity: Authenticity,
    #[schema(value_type = BTreeMap<String, String>)]
    pub labels: Labels,
    /// The time at which the mail was cut to its header to free space.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub cut_at: Option<Timestamp>,
    /// The time at which its authenticity is checked again.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub check_at: Option<Timestamp>,
    /// The release of the mail from the quarantine, if it was released.
    pub released: Option<Release>,
}

/// An incident in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct IncidentRow {
    pub incident_id: String,
    pub kind: Kind,
    pub phase: Phase,
    /// Whether a person can end it at the receivers that were told. An alert that could not be read
    /// is never open here, but may be open there; the bridge's own alarms end by themselves.
    #[serde(skip)]
    pub can_end: bool,
    pub status: String,
    /// The newest `time` of its mails; null for the bridge's own alarms.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub newest: Option<Timestamp>,
    /// The number of its latest episode.
    pub episode: i64,
    #[schema(value_type = String, format = DateTime)]
    pub opened_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    pub changed_at: Timestamp,
    #[schema(value_type = BTreeMap<String, String>)]
    pub labels: Labels,
}

/// A delivery in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DeliveryRow {
    pub id: DeliveryId,
    pub incident_id: String,
    /// The title of its incident, otherwise its metric; null if its sender states neither.
    #[serde(default)]
    pub title: Option<String>,
    pub receiver: String,
    pub integration: String,
    pub action: Action,
    /// The key by which the vendor identifies the page.
    pub alias: String,
    pub state: DeliveryState,
    pub failures: u32,
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// The time of the next attempt, or the time at which its mute ends; absent while another
    /// delivery of its lane is ahead of it.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub next_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub settled_at: Option<Timestamp>,
    /// The latest failure or, once the page is delivered, its receipt: a resolve is claimed with
    /// the receipt of its trigger.
    pub detail: Option<String>,
    pub mail: Option<MailId>,
    /// Why it is told, if its page says so. For a page that comes from no mail, nothing else says
    /// why.
    #[serde(default)]
    pub reason: Option<String>,
}

/// The reason in a stored notification, read without the rest of it.
#[derive(Deserialize)]
pub(super) struct Reason {
    pub(super) reason: Option<String>,
}

/// One line of an incident's timeline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case", tag = "event")]
pub enum Event {
    Mail(MailRow),
    Delivery(DeliveryRow),
    Attempt {
        delivery: DeliveryId,
        receiver: String,
        integration: String,
        action: Action,
        #[serde(flatten)]
        attempt: Attempt,
    },
    /// A person closed the incident.
    Deed(DeedRow),
}

/// The size of a store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    pub mails: u64,
    pub incidents: u64,
    pub deliveries: u64,
}

/// The numbers for the gauges.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Depth {
    pub deliveries: BTreeMap<&'static str, u64>,
    pub oldest_pending: Option<Timestamp>,
}
