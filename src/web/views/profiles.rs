//! Profiles: a first draft from stored mails.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::mails;
use crate::{
    message::MailId,
    web::{Admin, problem::Problem, workbench::Draft},
};

/// The stored mails from which a profile is drafted.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DraftFrom {
    /// The mail that opens an alert.
    pub opening: MailId,
    /// The mail that says that the alert is over.
    #[serde(default)]
    pub closing: Option<MailId>,
}

/// Drafts a profile, and tries it on its mails. Stores nothing.
pub async fn draft(admin: &Admin, from: DraftFrom) -> Result<Draft, Problem> {
    let opening = mails::whole(admin, from.opening).await?;
    let closing = match from.closing {
        Some(closing) => Some(mails::whole(admin, closing).await?),
        None => None,
    };
    admin.workbench.draft(opening, closing).await
}
