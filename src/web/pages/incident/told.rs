//! Who was told of an incident, and whether the page reached them.

use jiff::Timestamp;
use serde::Serialize;

use crate::{
    delivery::DeliveryState,
    store::DeliveryRow,
    web::{
        pages::{
            vendor,
            when::{When, is_endless},
            words,
        },
        views::incidents,
    },
};

#[derive(Serialize)]
pub struct Told {
    kind: &'static str,
    words: String,
    detail: String,
    at: Option<When>,
    vendor: Option<&'static str>,
    href: Option<String>,
}

impl Told {
    pub fn new<'a>(
        told: &incidents::Told,
        row: Option<&DeliveryRow>,
        all: impl Iterator<Item = &'a DeliveryRow>,
        now: Timestamp,
    ) -> Self {
        let (kind, words) = words::delivery(told.state, told.action, &told.receiver, told.failures);
        let by = words::integration(&told.integration);
        let delivered = told.state == DeliveryState::Delivered;
        let when = row.and_then(|row| {
            // For a delivery that is tried for the first time, the next time is only the end of the
            // claim.
            let is_put_off = row.state == DeliveryState::Held || row.failures > 0;
            if delivered {
                row.settled_at
            } else {
                row.next_at
                    .filter(|until| is_put_off && !is_endless(*until, row.created_at))
            }
        });

        // The link leads to the alert that the trigger created, whatever was told of it since.
        let its_lane = |row: &&DeliveryRow| {
            row.receiver == told.receiver
                && row.integration == told.integration
                && row.state == DeliveryState::Delivered
        };
        let receipts = all.filter(its_lane).filter_map(|row| row.detail.as_deref());
        let link = receipts
            .filter_map(|receipt| vendor::link(&told.integration, receipt))
            .last();
        let detail = match (&told.detail, delivered) {
            (Some(receipt), true) => format!("{by}, as {receipt}"),
            (Some(failure), false) => format!("{by}: {failure}"),
            (None, _) => by,
        };

        Self {
            kind,
            words,
            detail,
            at: when.map(|at| When::new(at, now)),
            vendor: link.as_ref().map(|(name, _)| *name),
            href: link.map(|(_, href)| href),
        }
    }
}
