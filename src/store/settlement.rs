//! The end of an attempt: everything that the third commit writes.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::delivery::{DeliveryId, NewDelivery, Notification, Step, Target};

/// The result of an attempt, and what follows.
#[derive(Debug, Clone, PartialEq)]
pub struct Settlement {
    pub at: Timestamp,
    pub next: Next,
    /// The attempt for the timeline; `None` if none was made because the receiver told the bridge
    /// to wait.
    pub attempt: Option<Attempt>,
    /// Deliveries to the fallback, created in the same commit unless they exist already.
    pub fallback: Vec<NewDelivery>,
}

/// The effect of a settlement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// The lease was lost, and nothing is written.
    Lost,
    /// The settlement is written, and cannot have made another delivery due.
    Last,
    /// The settlement is written, and may have made another delivery due.
    Onward,
}

/// What becomes of a delivery after an attempt.
#[derive(Debug, Clone, PartialEq)]
pub enum Next {
    Delivered {
        receipt: Option<String>,
    },
    /// The delivery stays pending, with its next step and the time of it. `failures` counts this
    /// attempt.
    Again {
        step: Step,
        at: Timestamp,
        failures: u32,
    },
    /// The delivery is a dead letter. `retry` is its step if a person retries it.
    Dead {
        reason: String,
        retry: Step,
    },
}

/// One attempt, as the timeline shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Attempt {
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    pub took_ms: u64,
    /// `delivered`, `accepted`, `waiting`, `partly`, or the reason for a failure.
    pub result: String,
    /// A sentence about the result, without secrets.
    pub detail: String,
}

/// A function that creates the deliveries to the fallback receiver of a target.
pub type Fallback = Arc<dyn Fn(&Target, &Notification) -> Vec<NewDelivery> + Send + Sync>;

/// A trigger that waited too long, and is told to the fallback as well.
#[derive(Debug, Clone, PartialEq)]
pub struct Escalated {
    pub delivery: DeliveryId,
    pub target: Target,
    pub notification: Notification,
}
