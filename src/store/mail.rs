//! Mails as they are read back from the store.

use jiff::{SignedDuration, Timestamp};

use crate::message::{Authenticity, MailId, Message, Release};

/// A mail as it was stored, including its bytes.
#[derive(Debug, Clone)]
pub struct StoredMail {
    pub id: MailId,
    pub message: Message,
    pub authenticity: Authenticity,
    /// How often its authenticity was checked again.
    pub checks: u32,
    /// Who released it from the quarantine, if anybody did.
    pub released: Option<Release>,
    /// When it was decided, which is when the quarantine took it if it is there.
    pub decided_at: Option<Timestamp>,
    /// When its body was dropped to free space, where it was. Of a mail over the size limit there
    /// never was one.
    pub cut_at: Option<Timestamp>,
}

/// The bytes that a batch of mails may have when read back, not counting its last mail.
pub(crate) const READ_BACK: u64 = 8 << 20;

/// No check of a mail's authenticity is later than this from now.
pub(super) const FARTHEST_CHECK: SignedDuration = SignedDuration::from_hours(1);
