//! Pages that are held until a time, and what becomes of each when that comes.

use std::{fmt, sync::Arc};

use jiff::Timestamp;

use crate::{
    delivery::{DeliveryId, NewDelivery, Notification, Target},
    silence::{Silence, SilenceId, last_to_cover},
};

/// A page that a mute or a silence held until now.
#[derive(Debug, Clone, PartialEq)]
pub struct Held {
    pub id: DeliveryId,
    pub target: Target,
    pub page: Notification,
    pub until: Timestamp,
}

/// What becomes of a held page now.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Turn {
    /// It is told.
    Told,
    /// It stays held: by a silence, or by the mutes of its routes.
    HeldOn {
        silence: Option<SilenceId>,
        until: Timestamp,
    },
    /// These are owed in its place, but for those who know of the incident.
    PassedOn(Vec<NewDelivery>),
}

impl Held {
    /// The last silence that covers it holds it on, else the mutes of its routes do.
    pub(super) fn turn(&self, silences: &[Silence], mutes: &Mutes, now: Timestamp) -> Turn {
        if let Some(silence) = last_to_cover(silences, &self.page.labels) {
            return Turn::HeldOn {
                silence: Some(silence.id),
                until: silence.ends_at,
            };
        }

        let others = (mutes.others)(self, now);
        if !others.is_empty() {
            return Turn::PassedOn(others);
        }
        match (mutes.until)(self, now).filter(|until| *until > now) {
            Some(until) => Turn::HeldOn {
                silence: None,
                until,
            },
            None => Turn::Told,
        }
    }
}

type Until = dyn Fn(&Held, Timestamp) -> Option<Timestamp> + Send + Sync;
type Others = dyn Fn(&Held, Timestamp) -> Vec<NewDelivery> + Send + Sync;

/// Until when the mutes of now hold a page, and to whom the routes of now lead it in place of its
/// receiver; nothing is muted by default, and no route leads elsewhere.
#[derive(Clone)]
pub struct Mutes {
    until: Arc<Until>,
    others: Arc<Others>,
}

impl Mutes {
    pub fn new(
        until: impl Fn(&Held, Timestamp) -> Option<Timestamp> + Send + Sync + 'static,
    ) -> Self {
        Self {
            until: Arc::new(until),
            others: Arc::new(|_, _| Vec::new()),
        }
    }

    /// The same, where routes lead to others.
    #[must_use]
    pub fn leading(
        self,
        others: impl Fn(&Held, Timestamp) -> Vec<NewDelivery> + Send + Sync + 'static,
    ) -> Self {
        Self {
            others: Arc::new(others),
            ..self
        }
    }
}

impl Default for Mutes {
    fn default() -> Self {
        Self::new(|_, _| None)
    }
}

impl fmt::Debug for Mutes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mutes")
    }
}

/// What is said of a held page that others are told in place of its receiver.
pub(super) const PASSED_ON: &str = "its routes lead to others now, who are told instead";
