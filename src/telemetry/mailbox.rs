//! Events of a mailbox besides the arrival of mail.

use jiff::Timestamp;
use metrics::counter;

/// Records that this process reads a mailbox from now on.
pub fn mailbox_taken(ingress: &str) {
    tracing::info!(ingress, "the mailbox is read here");
}

/// Records that another replica reads a mailbox now, or that this one can no longer confirm that it
/// may.
pub fn mailbox_lost(ingress: &str) {
    tracing::warn!(ingress, "the mailbox is left to another replica");
}

/// Records that a mailbox numbers its mails anew. It is read again, back to `global.max_age` and to
/// where reading began.
pub fn mailbox_renumbered(ingress: &str, uid_validity: u32) {
    tracing::warn!(
        ingress,
        uid_validity,
        "the mailbox renumbered its mails (UIDVALIDITY changed): reading it again, back to \
         global.max_age but not beyond its first connection"
    );
}

/// Records that a mailbox is read for the first time, and that the mail in it is left out if only
/// what is `coming` is read.
pub fn mailbox_begun(ingress: &str, mails: Option<u32>, coming: bool) {
    if coming {
        tracing::info!(
            ingress,
            mails,
            "first connection to this mailbox: the mail that it holds is not read, only what \
             arrives from now on; `backfill: 24h` reads the last day too if it is set before"
        );
    } else {
        tracing::info!(
            ingress,
            mails,
            "first connection to this mailbox: reading back by backfill"
        );
    }
}

/// Records that a mailbox is read for the first time that could not be looked at when it was first
/// to be read.
pub fn mailbox_begun_late(ingress: &str, mails: Option<u32>, from: Timestamp) {
    tracing::info!(
        ingress,
        mails,
        %from,
        "first connection to this mailbox, which could not be looked at before: reading what has \
         arrived since this ingress was first started, and back by backfill"
    );
}

/// Records that an ingress reads another mailbox than before, or the same one at another address.
pub fn mailbox_moved(ingress: &str) {
    tracing::warn!(
        ingress,
        "the host, port, user name or folder of this mailbox changed: looking through it again, \
         back to global.max_age but not beyond its first connection; stored mail becomes a \
         duplicate"
    );
}

/// Records that a folder was restored to an earlier state, so that new mail will get UIDs that
/// other mail had.
pub fn mailbox_put_back(ingress: &str, last_uid: u32, uid_next: u32) {
    tracing::warn!(
        ingress,
        last_uid,
        uid_next,
        "the mailbox was restored to an earlier state: reading it again"
    );
}

/// Records that a folder announces more mails than it shows, whichever connection asks.
pub fn mail_never_shown(ingress: &str, mails: u32) {
    tracing::warn!(
        ingress,
        mails,
        "the mailbox announces mail that it does not show: check whether an alert is among it"
    );
}

/// Records that an access token expired, and with it the session. Another session begins with a new
/// token.
pub fn session_ended_with_its_token(ingress: &str) {
    tracing::info!(
        ingress,
        "the session ended with its access token; a new one begins"
    );
}

/// Records that the provider replaced a refresh token and that the new one is only kept in memory.
pub fn refresh_token_not_kept(ingress: &str, reason: &str) {
    tracing::warn!(
        ingress,
        reason,
        "the new refresh token is not stored: after a restart the login may be refused"
    );
}

/// Records that a mail is stored but its server refused to mark, delete or move it, so that it
/// stays in its folder.
pub fn mail_left_in_folder(ingress: &str, mails: usize, reason: &str) {
    tracing::warn!(
        ingress,
        mails,
        reason,
        "mail is stored, but stays in its folder as it was"
    );
}

/// Records that a server repeatedly failed to return a mail. Somebody is told, and the mail is
/// requested again at every rescan.
pub fn mail_withheld(ingress: &str, uid: u32, reason: &str) {
    counter!("alertbridge_mails_withheld_total", "ingress" => ingress.to_owned()).increment(1);
    tracing::warn!(
        ingress,
        uid,
        reason,
        "the server does not return this mail: it is paged as unparsed and requested again"
    );
}

/// Records that a mail was gone before it could be read.
pub fn mail_taken_away(ingress: &str, uid: u32) {
    counter!("alertbridge_mails_taken_away_total", "ingress" => ingress.to_owned()).increment(1);
    tracing::warn!(
        ingress,
        uid,
        "another mail program, or a rule, moved or deleted this mail before it could be read: it \
         is read if it comes back within a day"
    );
}

/// Records that a mail that was reported as withheld still ends the connection.
pub fn mail_withheld_still(ingress: &str, reason: &str) {
    tracing::info!(
        ingress,
        reason,
        "the server still does not return a mail; it is requested again"
    );
}

/// Records that a mail that was reported as withheld arrived.
pub fn mail_given_after_all(ingress: &str, uid: u32) {
    tracing::info!(
        ingress,
        uid,
        "the server returned a mail that it had withheld"
    );
}
