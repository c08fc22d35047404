//! Pages that are held until a time, and what becomes of each when that time comes.

use std::{fmt, sync::Arc};

use jiff::Timestamp;

use crate::{
    delivery::{DeliveryId, NewDelivery, Notification, Target},
    silence::{Silence, SilenceId, last_to_cover},
};

/// A page that a mute or a silence has held until now.
#[derive(Debug, Clone, PartialEq)]
pub struct Held {
    pub id: DeliveryId,
    pub target: Target,
    pub page: Notification,
    pub until: Timestamp,
}

/// What becomes of a held page whose time has come.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Turn {
    /// The page is told.
    Told,
    /// The page stays held: by a silence, or by the mutes of its routes.
    HeldOn {
        silence: Option<SilenceId>,
        until: Timestamp,
    },
    /// These deliveries are owed in its place, except to targets that already know of the incident.
    PassedOn(Vec<NewDelivery>),
}

impl Held {
    /// Decides what becomes of the page. The last silence that covers it holds it further,
    /// otherwise the mutes of its routes do.
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

/// The mutes and routes of the present configuration: until when the mutes hold a page, and to whom
/// the routes lead it in place of its receiver. By default nothing is muted and no route leads
/// elsewhere.
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

    /// Returns the same mutes, with routes that lead pages to other receivers.
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

/// The detail of a held page that was replaced by pages to other receivers.
pub(super) const PASSED_ON: &str = "its routes now lead to other receivers, which are told instead";
