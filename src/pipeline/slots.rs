//! Slots for deliveries that can be sent at once, reserved while a mail is decided, within the
//! store's transaction.

use std::sync::{Arc, mpsc};

use crate::{
    deliver::{Deliverer, Slot},
    store::{Decide, Memory},
};

/// The reserved slots, for each conclusion in turn.
pub(super) struct Slots(mpsc::Receiver<Vec<Slot>>);

impl Slots {
    /// Wraps a conclusion so that it also reserves slots, which can then be taken here.
    pub(super) fn reserved(deliverer: &Arc<Deliverer>) -> (Self, impl Fn(Decide) -> Decide) {
        let deliverer = Arc::clone(deliverer);
        let (take, slots) = mpsc::channel();
        let reserve = move |conclude: Decide| -> Decide {
            let (deliverer, take) = (Arc::clone(&deliverer), take.clone());
            Box::new(move |memory: &Memory| {
                let mut decision = conclude(memory);
                // If the caller is gone, the slots are returned.
                let _ = take.send(deliverer.reserve(&mut decision.deliveries));
                decision
            })
        };

        (Self(slots), reserve)
    }

    /// The slots of the next conclusion.
    pub(super) fn next(&self) -> Vec<Slot> {
        self.0.try_recv().unwrap_or_default()
    }
}
