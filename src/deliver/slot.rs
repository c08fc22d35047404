//! Slots for pages that can be sent at once. Such a page needs no claim: a slot is reserved while
//! the page is decided, and the commit of the decision leases the delivery.

use std::sync::Arc;

use jiff::SignedDuration;
use tokio::{sync::Notify, time::Instant};
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::{Deliverer, Terms, traffic::Traffic};
use crate::{
    delivery::Target,
    store::{Decision, NewDelivery},
};

/// A slot for one attempt, reserved before its delivery is leased. It is given back on drop unless
/// the attempt has begun.
pub struct Slot {
    target: Target,
    terms: Arc<Terms>,
    traffic: Arc<Traffic>,
    bell: Arc<Notify>,
    lease_ends: Instant,
    begun: bool,
    /// Makes a soft stop wait for the slot.
    _under_way: TaskTrackerToken,
}

impl Drop for Slot {
    fn drop(&mut self) {
        if !self.begun {
            self.traffic.give_back();
            self.bell.notify_one();
        }
    }
}

impl Deliverer {
    /// Reserves slots for the deliveries that can be sent at once. The store leases these
    /// deliveries together with their decision. Deliveries that already wait go first. This
    /// function does not block.
    pub fn reserve(&self, deliveries: &mut [NewDelivery]) -> Vec<Slot> {
        let (now, terms) = (self.clock.now(), self.terms());
        let lease_ends = Instant::now() + terms.lease();
        let lease = SignedDuration::try_from(terms.lease()).unwrap_or(SignedDuration::MAX);
        let slot = |delivery: &mut NewDelivery| {
            let traffic = terms.traffic.get(&delivery.target)?;
            if delivery.held_until.is_some() || self.under_way.is_closed() || !traffic.reserve(now)
            {
                return None;
            }
            delivery.leased_until = now.checked_add(lease).ok();
            Some(Slot {
                target: delivery.target.clone(),
                terms: Arc::clone(&terms),
                traffic: Arc::clone(traffic),
                bell: Arc::clone(&self.bell),
                lease_ends,
                begun: false,
                _under_way: self.under_way.token(),
            })
        };

        deliveries.iter_mut().filter_map(slot).collect()
    }

    /// Begins the attempts that were leased with a decision, and wakes the loop for the decision's
    /// other deliveries.
    ///
    /// After a stop no attempt begins: the deliveries are sent when their lease has ended, or after
    /// the next start.
    pub fn begin(self: &Arc<Self>, decision: Decision, mut slots: Vec<Slot>) {
        if decision.deliveries.len() > decision.claims.len() {
            self.bell.notify_one();
        }

        for claim in decision
            .claims
            .into_iter()
            .filter(|_| !self.under_way.is_closed())
        {
            let Some(place) = slots.iter().position(|slot| slot.target == claim.target) else {
                continue;
            };
            let mut slot = slots.swap_remove(place);
            let Some(flight) = self.flights.begin(&claim, slot.lease_ends) else {
                continue;
            };
            slot.begun = true;
            self.under_way
                .spawn(Arc::clone(self).attempt(Arc::clone(&slot.terms), claim, flight));
        }
    }
}
