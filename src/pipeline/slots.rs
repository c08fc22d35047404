//! Room for what can be sent at once, taken while a mail is decided, in the store's transaction.

use std::sync::Arc;

use tokio::sync::oneshot;

use crate::{
    deliver::{Deliverer, Slot},
    store::{Decide, Memory},
};

/// The room that was taken.
pub(super) struct Slots(oneshot::Receiver<Vec<Slot>>);

impl Slots {
    /// What makes a conclusion take the room as well, and where the room is found then.
    pub(super) fn reserved(deliverer: &Arc<Deliverer>) -> (Self, impl FnOnce(Decide) -> Decide) {
        let deliverer = Arc::clone(deliverer);
        let (take, slots) = oneshot::channel();
        let reserve = |conclude: Decide| -> Decide {
            Box::new(move |memory: &Memory| {
                let mut decision = conclude(memory);
                // Where the one who asked has gone, the room is given back.
                let _ = take.send(deliverer.reserve(&mut decision.deliveries));
                decision
            })
        };

        (Self(slots), reserve)
    }

    pub(super) fn taken(mut self) -> Vec<Slot> {
        self.0.try_recv().unwrap_or_default()
    }
}
