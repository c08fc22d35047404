//! How an attempt ended: everything that the third commit writes.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::delivery::{DeliveryId, NewDelivery, Notification, Step, Target};

/// How an attempt ended and what is next.
#[derive(Debug, Clone, PartialEq)]
pub struct Settlement {
    pub at: Timestamp,
    pub next: Next,
    /// For the timeline: what was tried and what came of it. None where nothing was tried (a
    /// receiver told us to wait).
    pub attempt: Option<Attempt>,
    /// Deliveries to the fallback, made in the same commit unless they were made before.
    pub fallback: Vec<NewDelivery>,
}

/// What a settlement came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// The lease was lost meanwhile: nothing is written.
    Lost,
    /// It is written, and nothing else may have become due by it.
    Last,
    /// It is written, and so may something else.
    Onward,
}

/// What becomes of a delivery after an attempt.
#[derive(Debug, Clone, PartialEq)]
pub enum Next {
    Delivered {
        receipt: Option<String>,
    },
    /// Stay pending: the step to take and when. `failures` as they stand after this attempt.
    Again {
        step: Step,
        at: Timestamp,
        failures: u32,
    },
    Dead {
        reason: String,
    },
}

/// One attempt, as the timeline shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Attempt {
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    pub took_ms: u64,
    /// `delivered`, `accepted`, `waiting`, `partly` or a failure's reason.
    pub result: String,
    /// A sentence without secrets.
    pub detail: String,
}

/// Makes the deliveries to a target's fallback receiver.
pub type Fallback = Arc<dyn Fn(&Target, &Notification) -> Vec<NewDelivery> + Send + Sync>;

/// A trigger that waited too long, and is told to the fallback as well.
#[derive(Debug, Clone, PartialEq)]
pub struct Escalated {
    pub delivery: DeliveryId,
    pub target: Target,
    pub notification: Notification,
}
