//! Mails as they are read back from the store.

use jiff::{SignedDuration, Timestamp};

use crate::message::{Authenticity, MailId, Message, Release};

/// A mail as it was stored, including its bytes.
#[derive(Debug, Clone)]
pub struct StoredMail {
    pub id: MailId,
    pub message: Message,
    pub authenticity: Authenticity,
    /// The number of times its authenticity was checked again.
    pub checks: u32,
    /// Who released it from the quarantine, if anybody did.
    pub released: Option<Release>,
    /// When it was decided. For a mail in the quarantine, that is when it was put there.
    pub decided_at: Option<Timestamp>,
    /// When its body was dropped to free space, if it was. A mail over the size limit never had a
    /// stored body.
    pub cut_at: Option<Timestamp>,
}

/// The number of bytes that a batch of mails may have when read back, not counting its last mail.
pub(crate) const READ_BACK: u64 = 8 << 20;

/// The latest time, from now, at which a mail's authenticity is checked again.
pub(super) const FARTHEST_CHECK: SignedDuration = SignedDuration::from_hours(1);
