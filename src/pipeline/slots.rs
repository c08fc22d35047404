//! Room for what can be sent at once, taken while a mail is decided, in the store's transaction.

use std::sync::{Arc, mpsc};

use crate::{
    deliver::{Deliverer, Slot},
    store::{Decide, Memory},
};

/// The room that was taken, for each conclusion in turn.
pub(super) struct Slots(mpsc::Receiver<Vec<Slot>>);

impl Slots {
    /// What makes a conclusion take the room as well, and where the room is found then.
    pub(super) fn reserved(deliverer: &Arc<Deliverer>) -> (Self, impl Fn(Decide) -> Decide) {
        let deliverer = Arc::clone(deliverer);
        let (take, slots) = mpsc::channel();
        let reserve = move |conclude: Decide| -> Decide {
            let (deliverer, take) = (Arc::clone(&deliverer), take.clone());
            Box::new(move |memory: &Memory| {
                let mut decision = conclude(memory);
                // Where the one who asked has gone, the room is given back.
                let _ = take.send(deliverer.reserve(&mut decision.deliveries));
                decision
            })
        };

        (Self(slots), reserve)
    }

    /// The room of the next conclusion.
    pub(super) fn next(&self) -> Vec<Slot> {
        self.0.try_recv().unwrap_or_default()
    }
}
