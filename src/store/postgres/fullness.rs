//! Knowledge of whether the server's disk is full. PostgreSQL does not report its free space, so
//! this is known only once a mail could not be stored.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::store::{Room, StoreError};

/// How long the remaining space is reserved for alerts after a mail could not be stored.
const KEPT_FOR_ALERTS: Duration = Duration::from_mins(1);

#[derive(Default)]
pub(super) struct Fullness(Mutex<Option<Instant>>);

impl Fullness {
    /// Notes the result of recording mail, and returns it.
    pub(super) fn note<T>(
        &self,
        recorded: Result<T, StoreError>,
        now: Instant,
    ) -> Result<T, StoreError> {
        if matches!(recorded, Err(StoreError::Full)) {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
        }
        recorded
    }

    /// Returns the room that is left: none for a while after a mail could not be stored, otherwise
    /// `None`, because nothing is known.
    pub(super) fn room(&self, now: Instant) -> Option<Room> {
        let full_at = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        full_at
            .filter(|full_at| now.duration_since(*full_at) < KEPT_FOR_ALERTS)
            .map(|_| Room::NONE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_for_alerts_for_a_while_after_a_mail_found_no_room() {
        let (fullness, now) = (Fullness::default(), Instant::now());
        let failed = StoreError::Failed("something else".into());
        assert!(fullness.note::<()>(Err(failed), now).is_err());
        assert_eq!(fullness.room(now), None);
        assert!(fullness.note::<()>(Err(StoreError::Full), now).is_err());
        assert!(fullness.room(now).is_some_and(Room::is_for_alerts_alone));
        assert!(fullness.note(Ok(()), now).is_ok());
        assert!(fullness.room(now).is_some(), "an alert found some");
        assert_eq!(fullness.room(now + KEPT_FOR_ALERTS), None);
    }
}
