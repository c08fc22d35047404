//! Does what `after` of the configuration says to a mail in its folder once it is stored.
//!
//! Nothing is lost if this fails: the failure is logged and the step is not repeated, not even
//! after a crash between the commit and this step. The mail then stays in the folder as it is.

use super::{After, Settings, fault::Fault, notation::uid_set, session::Session};
use crate::telemetry;

/// Marks, deletes or moves stored mails. The mails in `cut` have their content only in the folder,
/// so they are never deleted. Only a lost connection is an error; a refusal by the server is
/// logged.
pub(super) async fn settle(
    session: &mut Session,
    settings: &Settings,
    whole: &[u32],
    cut: &[u32],
) -> Result<(), Fault> {
    let mut both = [whole, cut].concat();
    both.sort_unstable();

    let done = match &settings.after {
        After::Keep => Ok(()),
        After::Seen => flag(session, &both, "\\Seen").await,
        After::Delete => delete(session, whole).await,
        After::Move(folder) => relocate(session, &both, folder).await,
    };

    match done {
        Err(fault @ Fault::Answer { .. }) => {
            telemetry::mail_left_in_folder(&settings.name, both.len(), &fault.to_string());
            Ok(())
        }
        other => other,
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

async fn relocate(session: &mut Session, uids: &[u32], folder: &str) -> Result<(), Fault> {
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
            session.command(verb, &command).await?;
        }
        other => other?,
    }

    if session.can.moving {
        Ok(())
    } else {
        delete(session, uids).await
    }
}
