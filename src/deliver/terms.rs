//! The delivery settings in force, and the traffic governed by them. A reload replaces them as a
//! whole; an attempt in flight keeps the terms under which it began.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::{Client, LEASE_MARGIN, traffic::Traffic};
use crate::{
    delivery::{Settings, Target},
    receiver::Receivers,
    store::Mutes,
};

/// The delivery settings in force.
pub struct Terms {
    pub(super) receivers: Arc<Receivers>,
    pub(super) settings: Settings,
    pub(super) external_url: Option<String>,
    pub(super) client: Client,
    /// The mutes that keep held pages held.
    pub(super) mutes: Mutes,
    /// The traffic of every integration.
    pub(super) traffic: BTreeMap<Target, Arc<Traffic>>,
}

impl Terms {
    pub fn new(
        receivers: Arc<Receivers>,
        settings: Settings,
        external_url: Option<String>,
        client: Client,
    ) -> Self {
        let integrations = receivers.integrations.iter();
        let traffic = integrations
            .map(|(target, receiver)| {
                (
                    target.clone(),
                    Arc::new(Traffic::new(receiver.rate_limit())),
                )
            })
            .collect();

        Self {
            receivers,
            settings,
            external_url,
            client,
            mutes: Mutes::default(),
            traffic,
        }
    }

    /// Returns the terms with these mutes, under which pages of muted routes are held.
    #[must_use]
    pub fn under(self, mutes: Mutes) -> Self {
        Self { mutes, ..self }
    }

    /// Takes over the traffic of integrations that stay.
    ///
    /// An integration whose receiver has changed is tried at once, because the change may be the
    /// fix, but with no more concurrent attempts than before.
    pub(super) fn take_over(&mut self, before: &Self) {
        for (target, traffic) in &mut self.traffic {
            let Some(going_on) = before.traffic.get(target) else {
                continue;
            };
            going_on.keep_pace_of(traffic);
            if self.receivers.written.get(&target.receiver)
                != before.receivers.written.get(&target.receiver)
            {
                going_on.open();
            }
            *traffic = Arc::clone(going_on);
        }
    }

    /// Returns the time limit for one attempt at an integration.
    pub(super) fn timeout(&self, target: &Target) -> Duration {
        let transport = self
            .receivers
            .integrations
            .get(target)
            .and_then(|receiver| receiver.transport());
        transport
            .and_then(|transport| transport.timeout)
            .unwrap_or(self.settings.timeout.as_std())
    }

    /// Returns how long a delivery is leased for an attempt.
    pub(super) fn lease(&self) -> Duration {
        let longest = self.traffic.keys().map(|target| self.timeout(target)).max();
        longest
            .unwrap_or_default()
            .max(self.settings.timeout.as_std())
            + LEASE_MARGIN
    }
}
