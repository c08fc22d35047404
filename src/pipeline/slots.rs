//! Slots for deliveries that can be sent at once. They are reserved while a mail is decided, within
//! the store's transaction.

use std::sync::{Arc, mpsc};

use crate::{
    deliver::{Deliverer, Slot},
    store::{Decide, Memory},
};

/// The reserved slots of each conclusion, in order.
pub(super) struct Slots(mpsc::Receiver<Vec<Slot>>);

impl Slots {
    /// Returns the slots and a wrapper that makes a conclusion reserve them as well.
    pub(super) fn reserved(deliverer: &Arc<Deliverer>) -> (Self, impl Fn(Decide) -> Decide) {
        let deliverer = Arc::clone(deliverer);
        let (take, slots) = mpsc::channel();
        let reserve = move |conclude: Decide| -> Decide {
            let (deliverer, take) = (Arc::clone(&deliverer), take.clone());
            Box::new(move |memory: &Memory| {
                let mut decision = conclude(memory);
                // If the receiver is gone, the slots are returned.
                let _ = take.send(deliverer.reserve(&mut decision.deliveries));
                decision
            })
        };

        (Self(slots), reserve)
    }

    /// Returns the slots of the next conclusion.
    pub(super) fn next(&self) -> Vec<Slot> {
        self.0.try_recv().unwrap_or_default()
    }
}
