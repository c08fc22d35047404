//! An alert's delivery to one receiver: its content, states, verdicts, and retry times. Pure.

use std::time::Duration;

use aws_lc_rs::digest;
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

/// The store's number for a delivery, which increases in order of creation and orders lanes.
pub type DeliveryId = i64;

/// What a receiver is notified of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    Trigger,
    /// For receivers of the trigger: the incident is open, and has changed.
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

    /// What it is to a receiver: a change is a repeated trigger.
    pub fn told_as(self) -> &'static str {
        match self {
            Self::Trigger | Self::Change => "trigger",
            Self::Resolve => "resolve",
        }
    }
}

/// The content of a page as of the mail's decision; stored with the delivery.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Notification {
    pub action: Action,
    /// The incident's id, or the key made for an alert that has none.
    pub incident_id: String,
    pub labels: Labels,
    /// The extracted JSON; null if there is none.
    pub incident: Value,
    /// When the mail reached the team.
    pub arrived_at: Timestamp,
    /// When the detector saw it (`time` of the JSON).
    #[serde(default)]
    pub time: Option<Timestamp>,
    /// A sentence for what the labels do not say: why an alert could not be read, or what the
    /// bridge reports about itself.
    #[serde(default)]
    pub reason: Option<String>,
    /// The mail it came from.
    #[serde(default)]
    pub mail: Option<MailId>,
    /// Why it may not be genuine: such a page is marked.
    #[serde(default)]
    pub doubt: Option<Doubt>,
    /// For an incident that has changed: the previously announced severity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub was: Option<String>,
    /// Whether it is owed to its receiver wherever the routes lead: it says how an incident is now
    /// of which an earlier page was held for them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stays: bool,
}

impl Notification {
    /// Whether the severity rose since the last announcement.
    pub fn rose(&self) -> bool {
        let now = self.labels.get("severity").map_or("", String::as_str);
        self.was
            .as_deref()
            .is_some_and(|was| severity::rank(now) > severity::rank(was))
    }

    /// Its kind: `incident`, `unparsed`, `self` and so on. The bridge alone sets it, never a mail.
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
    /// The mark of a page, in its headline and beside its severity.
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
    /// The kind of the integration alone: `opsgenie` of `opsgenie/0`.
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
    /// Send it.
    #[default]
    Send,
    /// It was accepted for later (Opsgenie's 202): query its result.
    Confirm {
        /// The receiver's id of the request.
        request_id: String,
        /// When it was accepted.
        since: Timestamp,
        /// The step before.
        #[serde(default, skip_serializing_if = "Step::is_send")]
        of: Box<Step>,
    },
    /// The alert has its new priority: its message is next.
    Message,
    /// The trigger's message was edited, or cannot be: reply to it.
    Reply,
    /// The trigger's message is gone: send a new one.
    Apart,
    /// A resolve ends several alerts, each by its receipt: these are left, the next first. If none
    /// is, it begins with them all, as what an earlier version has left does.
    #[serde(alias = "earlier")]
    Ends {
        #[serde(default)]
        left: Vec<String>,
        #[serde(default)]
        refused: Vec<Refused>,
    },
    /// Some recipients have it: these do not.
    Rest { to: Vec<String> },
    /// It was sent so many times for a step, and nobody knows what became of it.
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

    /// What is to be done, however often that was tried.
    pub fn proper(&self) -> &Self {
        match self {
            Self::Unheard { of, .. } => of,
            step => step,
        }
    }

    /// The receipt of the alert to end, where there are several.
    pub fn end(&self) -> Option<&String> {
        match self.proper() {
            Self::Ends { left, .. } => left.first(),
            _ => None,
        }
    }

    /// The step at which a retry by a person begins. An alert that is ended is not ended again,
    /// because its vendor would refuse that.
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
    /// Done. The string is the receiver's id for it, if it returned one.
    Delivered { receipt: Option<String> },
    /// Accepted for later: to be confirmed under this request id.
    Accepted { request_id: String },
    /// Not confirmed yet: query again.
    NotYet,
    /// A part of it is done, or cannot be: the next follows at once.
    Partly { next: Step, detail: String },
    /// Try again, not before `after` where the receiver names a time.
    Retry {
        reason: FailureReason,
        detail: String,
        after: Option<Duration>,
    },
    /// No repetition can help.
    Permanent {
        reason: FailureReason,
        detail: String,
    },
}

/// Why an attempt failed, in the words of the `reason` label of `notifications_failed_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureReason {
    /// The receiver could not be reached, or the connection broke. Where it does not know a
    /// repeated page, and may have taken this one, that is `Unconfirmed`, as is a time-out.
    Network,
    /// Its certificate is not trusted.
    Tls,
    /// It took longer than `delivery.timeout`.
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
    /// It was accepted, or sent, and never confirmed.
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

/// SHA-256 in lower-case hex.
pub fn sha256_hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    digest::digest(&digest::SHA256, bytes).as_ref().iter().fold(
        String::with_capacity(64),
        |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        },
    )
}
