//! What the configuration says of delivering, and the traffic that goes on under it. Replaced as a
//! whole by a reload; an attempt under way keeps the terms it began under.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::{Client, LEASE_MARGIN, traffic::Traffic};
use crate::{
    delivery::{Settings, Target},
    receiver::Receivers,
    store::Mutes,
};

/// By what pages are delivered.
pub struct Terms {
    pub(super) receivers: Arc<Receivers>,
    pub(super) settings: Settings,
    pub(super) external_url: Option<String>,
    pub(super) client: Client,
    /// What holds on to the pages that are held.
    pub(super) mutes: Mutes,
    /// Of every integration there is.
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

    /// The same, where pages are held while their routes are muted.
    #[must_use]
    pub fn under(self, mutes: Mutes) -> Self {
        Self { mutes, ..self }
    }

    /// Takes over what goes on at the integrations that stay. One whose receiver is written in
    /// another way is asked at once, by few: the change may be what mends it.
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

    /// How long one attempt at an integration may take.
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

    /// How long a delivery is leased for an attempt.
    pub(super) fn lease(&self) -> Duration {
        let longest = self.traffic.keys().map(|target| self.timeout(target)).max();
        longest
            .unwrap_or_default()
            .max(self.settings.timeout.as_std())
            + LEASE_MARGIN
    }
}
