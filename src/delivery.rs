//! An alert's delivery to one receiver: its content, states, verdicts and retry times. Pure.

use std::time::Duration;

use aws_lc_rs::digest;
use data_encoding::HEXLOWER;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::{
    label::{Labels, severity},
    message::MailId,
};

mod alias;
pub mod naming;
mod owed;
mod settings;

pub use alias::alias;
pub use owed::NewDelivery;
pub use settings::{Backoff, Settings};

/// The store's number for a delivery, which increases in order of creation and orders each lane.
pub type DeliveryId = i64;

/// The kind of change of which a receiver is notified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    Trigger,
    /// The incident is open and has changed. Only receivers of the trigger are notified.
    Change,
    Resolve,
}

impl Action {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trigger => "trigger",
            Self::Change => "change",
            Self::Resolve => "resolve",
        }
    }

    /// Returns the action as a receiver is told it: a change is a repeated trigger.
    pub fn told_as(self) -> &'static str {
        match self {
            Self::Trigger | Self::Change => "trigger",
            Self::Resolve => "resolve",
        }
    }
}

/// The content of a page, fixed when its mail is decided and stored with the delivery.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Notification {
    pub action: Action,
    /// The incident's id, or the key made for an alert that has none.
    pub incident_id: String,
    pub labels: Labels,
    /// The extracted JSON; null if there is none.
    pub incident: Value,
    /// The time at which the mail reached the team.
    pub arrived_at: Timestamp,
    /// The time at which the detector saw the incident (`time` of the JSON).
    #[serde(default)]
    pub time: Option<Timestamp>,
    /// A sentence for what the labels do not say: why an alert could not be read, or what the
    /// bridge reports about itself.
    #[serde(default)]
    pub reason: Option<String>,
    /// The mail that the page comes from.
    #[serde(default)]
    pub mail: Option<MailId>,
    /// Why the page may not be genuine: such a page is marked.
    #[serde(default)]
    pub doubt: Option<Doubt>,
    /// For an incident that has changed: the previously announced severity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub was: Option<String>,
    /// Whether the page is owed to its receiver wherever the routes lead now: it reports how an
    /// incident stands after an earlier page about it was held for that receiver.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stays: bool,
}

impl Notification {
    /// Decides whether the severity rose since the last announcement.
    pub fn rose(&self) -> bool {
        let now = self.labels.get("severity").map_or("", String::as_str);
        self.was
            .as_deref()
            .is_some_and(|was| severity::rank(now) > severity::rank(was))
    }

    /// Decides whether a change opens a new alert if a person has closed the one that it changes: a
    /// rise does, and so does an update, which names no severity that was.
    pub fn rings(&self) -> bool {
        self.was.is_none() || self.rose()
    }

    /// Returns the kind: `incident`, `unparsed`, `self` and so on. Only the bridge sets it, never a
    /// mail.
    pub fn kind(&self) -> &str {
        self.labels.get("kind").map_or("incident", String::as_str)
    }
}

/// Why a page may not be genuine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Doubt {
    /// Its mail is not proven to be from its sender.
    Unverified,
    /// Its mail could not be checked yet (DNS trouble).
    Unchecked,
}

impl Doubt {
    /// Returns the mark of a page, for its headline and beside its severity.
    pub fn mark(self) -> &'static str {
        match self {
            Self::Unverified => "UNVERIFIED",
            Self::Unchecked => "UNVERIFIED SO FAR",
        }
    }
}

/// One integration of one receiver: the destination of a delivery.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Target {
    /// The receiver's name.
    pub receiver: String,
    /// The name of the integration within it: `opsgenie/0`, after the place in `opsgenie_configs`
    /// at which it was first seen ([`naming`]).
    pub integration: String,
}

impl Target {
    /// Returns the kind of the integration alone: `opsgenie` for `opsgenie/0`.
    pub fn kind(&self) -> &str {
        self.integration
            .split('/')
            .next()
            .unwrap_or(&self.integration)
    }
}

/// The state of a delivery.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum DeliveryState {
    /// Sent as soon as its lane and its time allow.
    Pending,
    /// Held by a mute until its window ends.
    Held,
    /// The receiver has it.
    Delivered,
    /// Given up; waits for a person (`deliveries retry`).
    Dead,
    /// Never to be sent: resolved while held, or discarded by a person.
    #[value(skip)]
    Discarded,
}

impl DeliveryState {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Held => "held",
            Self::Delivered => "delivered",
            Self::Dead => "dead",
            Self::Discarded => "discarded",
        }
    }
}

/// The next step of a delivery.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "step")]
pub enum Step {
    /// Send the page.
    #[default]
    Send,
    /// The page was accepted for later (Opsgenie's 202): query its result.
    Confirm {
        /// The receiver's id of the request.
        request_id: String,
        /// The time at which the page was accepted.
        since: Timestamp,
        /// The step that was accepted.
        #[serde(default, skip_serializing_if = "Step::is_send")]
        of: Box<Step>,
    },
    /// The alert has its new priority: change its message next.
    Message,
    /// The trigger's message was edited, or cannot be: reply to it.
    Reply,
    /// The trigger's message is gone: send a new one.
    Apart,
    /// End several alerts, each by its receipt. `left` holds those that remain, the next first. If
    /// it is empty, the resolve begins with all of them, as does a step that an earlier version
    /// stored.
    #[serde(alias = "earlier")]
    Ends {
        #[serde(default)]
        left: Vec<String>,
        #[serde(default)]
        refused: Vec<Refused>,
    },
    /// Some recipients have the page: send it to the others, which `to` lists.
    Rest { to: Vec<String> },
    /// Repeat the step `of`, which was sent `times` times without a known outcome.
    Unheard { times: u32, of: Box<Step> },
}

/// An alert that could not be ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Refused {
    pub receipt: String,
    pub why: String,
}

impl Step {
    fn is_send(&self) -> bool {
        *self == Self::Send
    }

    /// Returns the step itself, however often it was tried.
    pub fn proper(&self) -> &Self {
        match self {
            Self::Unheard { of, .. } => of,
            step => step,
        }
    }

    /// Returns the receipt of the alert to end next, if there are several.
    pub fn end(&self) -> Option<&String> {
        match self.proper() {
            Self::Ends { left, .. } => left.first(),
            _ => None,
        }
    }

    /// Returns the step at which a retry by a person begins. Alerts that are already ended are not
    /// ended again, because their vendor would refuse that.
    #[must_use]
    pub fn retried(self) -> Self {
        match self {
            Self::Ends { left, refused } => {
                let refused = refused.into_iter().map(|one| one.receipt);
                Self::Ends {
                    left: refused.chain(left).collect(),
                    refused: Vec::new(),
                }
            }
            Self::Unheard { of, .. } => of.retried(),
            _ => Self::Send,
        }
    }
}

/// The meaning of a receiver's reply.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// Done. `receipt` is the receiver's id for the page, if it returned one.
    Delivered { receipt: Option<String> },
    /// Accepted for later: the result is to be confirmed under this request id.
    Accepted { request_id: String },
    /// Not confirmed yet: query again.
    NotYet,
    /// A part of the page is done, or cannot be done: the next step follows at once.
    Partly { next: Step, detail: String },
    /// Try again, and not before `after` if the receiver names a time.
    Retry {
        reason: FailureReason,
        detail: String,
        after: Option<Duration>,
    },
    /// Trying again cannot help.
    Permanent {
        reason: FailureReason,
        detail: String,
    },
}

/// Why an attempt failed, in the words of the `reason` label of `notifications_failed_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureReason {
    /// The receiver could not be reached, or the connection broke. If the receiver does not
    /// recognise a repeated page, and may have accepted this one, the reason is `Unconfirmed`, as
    /// it is for a time-out.
    Network,
    /// The receiver's certificate is not trusted.
    Tls,
    /// The attempt took longer than `delivery.timeout`.
    Timeout,
    /// 429.
    RateLimited,
    /// 5xx.
    ServerError,
    /// The credential is refused: 401, 403.
    Unauthorized,
    /// The request is refused: other 4xx.
    Rejected,
    /// A redirect, or a reply that makes no sense.
    UnexpectedReply,
    /// The page was accepted, or sent, and never confirmed.
    Unconfirmed,
    /// A template, a secret's file or the configuration is at fault: nothing was sent.
    Configuration,
    /// `delivery.give_up_after` has passed.
    GivenUp,
}

impl FailureReason {
    pub const ALL: [Self; 11] = [
        Self::Network,
        Self::Tls,
        Self::Timeout,
        Self::RateLimited,
        Self::ServerError,
        Self::Unauthorized,
        Self::Rejected,
        Self::UnexpectedReply,
        Self::Unconfirmed,
        Self::Configuration,
        Self::GivenUp,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::RateLimited => "rate_limited",
            Self::ServerError => "server_error",
            Self::Unauthorized => "unauthorized",
            Self::Rejected => "rejected",
            Self::UnexpectedReply => "unexpected_reply",
            Self::Unconfirmed => "unconfirmed",
            Self::Configuration => "configuration",
            Self::GivenUp => "given_up",
        }
    }
}

/// Returns the SHA-256 digest of `bytes` in lower-case hex.
pub fn sha256_hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(digest::digest(&digest::SHA256, bytes).as_ref())
}
