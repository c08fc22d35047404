//! Does what `after` of the configuration says to a mail in its folder once it is stored.
//!
//! Nothing is lost if this fails: the failure is logged, and the mail stays in the folder as it is.
//! A refused move is tried again at later rescans (`scan/left.rs`); nothing else is repeated, not
//! even after a crash between the commit and this step.

use super::{After, Settings, fault::Fault, notation::uid_set, session::Session};
use crate::telemetry;

/// Marks, deletes or moves stored mails. The mails in `cut` have their content only in the folder,
/// so they are never deleted. Only a lost connection is an error; a refusal by the server is
/// logged. Returns false if the server refused to move the mails, so that it may do so later.
pub(super) async fn settle(
    session: &mut Session,
    settings: &Settings,
    whole: &[u32],
    cut: &[u32],
) -> Result<bool, Fault> {
    let mut both = [whole, cut].concat();
    both.sort_unstable();
    let mut may_move_later = false;

    let done = match &settings.after {
        After::Keep => Ok(()),
        After::Seen => flag(session, &both, "\\Seen").await,
        After::Delete => delete(session, whole).await,
        After::Move(folder) => {
            let there = transfer(session, &both, folder).await;
            may_move_later = there.is_err();
            match there {
                // What was copied is not copied again, even if it cannot be removed here.
                Ok(()) if !session.can.moving => delete(session, &both).await,
                other => other,
            }
        }
    };

    match done {
        Err(fault @ Fault::Answer { .. }) => {
            telemetry::mail_left_in_folder(&settings.name, both.len(), &fault.to_string());
            Ok(!may_move_later)
        }
        other => other.map(|()| true),
    }
}

async fn flag(session: &mut Session, uids: &[u32], flag: &str) -> Result<(), Fault> {
    if uids.is_empty() {
        return Ok(());
    }

    session
        .command(
            "STORE",
            &format!("UID STORE {} +FLAGS.SILENT ({flag})", uid_set(uids)),
        )
        .await
}

/// Deletes mails. Without UIDPLUS, they are only marked: a plain EXPUNGE would also remove mails
/// that others have marked.
async fn delete(session: &mut Session, uids: &[u32]) -> Result<(), Fault> {
    flag(session, uids, "\\Deleted").await?;
    if session.can.uidplus && !uids.is_empty() {
        session
            .command("EXPUNGE", &format!("UID EXPUNGE {}", uid_set(uids)))
            .await?;
    }
    Ok(())
}

/// Moves mails to a folder, or copies them if the server cannot move.
async fn transfer(session: &mut Session, uids: &[u32], folder: &str) -> Result<(), Fault> {
    if uids.is_empty() {
        return Ok(());
    }

    let verb = if session.can.moving { "MOVE" } else { "COPY" };
    let command = format!(
        "UID {verb} {} {}",
        uid_set(uids),
        session.folder_name(folder)
    );

    match session.command(verb, &command).await {
        Err(Fault::Answer {
            try_create: true, ..
        }) => {
            session
                .command("CREATE", &format!("CREATE {}", session.folder_name(folder)))
                .await?;
            session.command(verb, &command).await
        }
        other => other,
    }
}
