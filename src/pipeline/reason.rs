//! The wording of reasons, which tell people why a mail got its outcome. Pure.

use crate::{
    message::{Release, Verdict},
    store::StoredMail,
};

/// Joins two reasons.
pub(super) fn and(first: &str, second: Option<&str>) -> String {
    second.map_or_else(|| first.to_owned(), |second| format!("{first}; {second}"))
}

pub(super) fn checked_again(mail: &StoredMail) -> String {
    let verdict = match mail.authenticity.verdict {
        Verdict::Pass | Verdict::Off => "genuine",
        Verdict::Fail | Verdict::None => "not proven to be genuine",
        Verdict::TempError => "still cannot be checked",
    };

    let detail = mail
        .authenticity
        .detail
        .as_deref()
        .map(|detail| format!(" ({detail})"))
        .unwrap_or_default();

    format!("announced before it could be checked; checked again: {verdict}{detail}")
}

pub(super) fn let_through(release: &Release) -> String {
    format!(
        "released from the quarantine by {} at {:.0}",
        release.by, release.at
    )
}
