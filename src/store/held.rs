//! Pages that are held until a time, and what becomes of each when that comes.

use std::{fmt, sync::Arc};

use jiff::Timestamp;

use crate::{
    delivery::{DeliveryId, Notification, Target},
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

/// Why a page stays held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HeldOn {
    /// None is a mute.
    pub(super) silence: Option<SilenceId>,
    pub(super) until: Timestamp,
}

impl Held {
    /// What holds it on: the last silence that covers it, else the mutes of its routes. None where
    /// it is told now.
    pub(super) fn on(&self, silences: &[Silence], mutes: &Mutes, now: Timestamp) -> Option<HeldOn> {
        if let Some(silence) = last_to_cover(silences, &self.page.labels) {
            return Some(HeldOn {
                silence: Some(silence.id),
                until: silence.ends_at,
            });
        }

        let until = (mutes.0)(self, now).filter(|until| *until > now);
        until.map(|until| HeldOn {
            silence: None,
            until,
        })
    }
}

type Until = dyn Fn(&Held, Timestamp) -> Option<Timestamp> + Send + Sync;

/// Until when the mutes of now hold a page; nothing is muted by default.
#[derive(Clone)]
pub struct Mutes(Arc<Until>);

impl Mutes {
    pub fn new(
        until: impl Fn(&Held, Timestamp) -> Option<Timestamp> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(until))
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
