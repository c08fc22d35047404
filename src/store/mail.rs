//! Mails as they are read back from the store.

use jiff::SignedDuration;

use crate::message::{Authenticity, MailId, Message, Release};

/// A mail as it was stored, bytes included.
#[derive(Debug, Clone)]
pub struct StoredMail {
    pub id: MailId,
    pub message: Message,
    pub authenticity: Authenticity,
    /// How often its authenticity was checked again.
    pub checks: u32,
    /// Who let it act, where it was in the quarantine.
    pub released: Option<Release>,
}

/// Mails read back at a time have so many bytes, the last of them not counted.
pub(crate) const READ_BACK: u64 = 8 << 20;

/// No check of a mail's authenticity is put off further.
pub(super) const FARTHEST_CHECK: SignedDuration = SignedDuration::from_hours(1);
