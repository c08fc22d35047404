//! The deliveries that this process is sending, so that none is sent a second time beside the
//! first. The store leases them by the clock, and a clock that jumps forward ends every lease.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::time::Instant;

use crate::{delivery::DeliveryId, store::Claim};

/// A lease of a delivery, by which its attempt is settled.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lease {
    pub(super) number: i64,
    pub(super) ends: Instant,
}

/// The latest lease of each delivery that is being sent.
#[derive(Debug, Clone, Default)]
pub(super) struct Flights(Arc<Mutex<BTreeMap<DeliveryId, Lease>>>);

/// A delivery that is being sent, until this is dropped.
#[derive(Debug)]
pub(super) struct Flight {
    all: Flights,
    delivery: DeliveryId,
    first: Lease,
    has_landed: bool,
}

impl Flights {
    /// Notes that a claim is to be sent. Returns `None` if its delivery is being sent already: that
    /// attempt then holds the new lease.
    pub(super) fn begin(&self, claim: &Claim, ends: Instant) -> Option<Flight> {
        let number = claim.lease;
        let first = Lease { number, ends };
        let before = self.lock().insert(claim.id, first);
        before.is_none().then(|| Flight {
            all: self.clone(),
            delivery: claim.id,
            first,
            has_landed: false,
        })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<DeliveryId, Lease>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Flight {
    /// Returns the latest lease.
    pub(super) fn lease(&self) -> Lease {
        let found = self.all.lock().get(&self.delivery).copied();
        found.unwrap_or(self.first)
    }

    /// Ends the flight before its attempt is settled, because the next attempt may begin at once
    /// then. Returns the latest lease.
    pub(super) fn land(mut self) -> Lease {
        self.has_landed = true;
        let found = self.all.lock().remove(&self.delivery);
        found.unwrap_or(self.first)
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        if !self.has_landed {
            self.all.lock().remove(&self.delivery);
        }
    }
}
