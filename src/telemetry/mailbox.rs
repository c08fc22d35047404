//! What a mailbox does beside giving mail.

use metrics::counter;

/// This process reads a mailbox from now on.
pub fn mailbox_taken(ingress: &str) {
    tracing::info!(ingress, "the mailbox is read here");
}

/// Another replica reads a mailbox now, or none can tell this one that it still may.
pub fn mailbox_lost(ingress: &str) {
    tracing::warn!(ingress, "the mailbox is left to another replica");
}

/// A mailbox numbers its mails anew: it is read again, back to `global.max_age` and to where it was
/// begun.
pub fn mailbox_renumbered(ingress: &str, uid_validity: u32) {
    tracing::warn!(
        ingress,
        uid_validity,
        "the mailbox renumbered its mails (UIDVALIDITY changed): reading it again, as far back as \
         global.max_age and as where it was begun"
    );
}

/// A folder stands as it stood earlier: mail is to get UIDs that others had.
pub fn mailbox_put_back(ingress: &str, last_uid: u32, uid_next: u32) {
    tracing::warn!(
        ingress,
        last_uid,
        uid_next,
        "the mailbox was restored to an earlier state: reading it again"
    );
}

/// A folder announces more mails than it shows, whichever connection asks.
pub fn mail_never_shown(ingress: &str, mails: u32) {
    tracing::warn!(
        ingress,
        mails,
        "the mailbox says that it holds mail which it does not show: look whether an alert is \
         among it"
    );
}

/// An access token expired, and with it the session: another is begun with a new one.
pub fn session_ended_with_its_token(ingress: &str) {
    tracing::info!(
        ingress,
        "the session ended with its access token; a new one begins"
    );
}

/// The provider replaced a refresh token, and the new one is in memory alone.
pub fn refresh_token_not_kept(ingress: &str, reason: &str) {
    tracing::warn!(
        ingress,
        reason,
        "the new refresh token is not stored: after a restart the login may be refused"
    );
}

/// A mail is stored, but its server refused to mark, delete or move it: it stays in its folder.
pub fn mail_left_in_folder(ingress: &str, mails: usize, reason: &str) {
    tracing::warn!(
        ingress,
        mails,
        reason,
        "mail is stored, but stays in its folder as it was"
    );
}

/// A server failed to give a mail, time and again: somebody is told, and it is looked for at every
/// rescan.
pub fn mail_withheld(ingress: &str, uid: u32, reason: &str) {
    counter!("alertbridge_mails_withheld_total", "ingress" => ingress.to_owned()).increment(1);
    tracing::warn!(
        ingress,
        uid,
        reason,
        "the server does not return this mail: it is paged as unparsed and requested again"
    );
}

/// A mail was gone before it could be read.
pub fn mail_taken_away(ingress: &str, uid: u32) {
    counter!("alertbridge_mails_taken_away_total", "ingress" => ingress.to_owned()).increment(1);
    tracing::warn!(
        ingress,
        uid,
        "another mail program, or a rule, moved or deleted this mail before it could be read: it \
         is read if it comes back within a day"
    );
}

/// A mail that somebody was told of still ends the connection.
pub fn mail_withheld_still(ingress: &str, reason: &str) {
    tracing::info!(
        ingress,
        reason,
        "the server still does not return a mail; it is requested again"
    );
}

/// A mail that was told as withheld came.
pub fn mail_given_after_all(ingress: &str, uid: u32) {
    tracing::info!(
        ingress,
        uid,
        "the server returned a mail that it had withheld"
    );
}
