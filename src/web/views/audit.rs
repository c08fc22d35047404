//! The audit: who did what.

use crate::{
    store::DeedRow,
    web::{
        Admin,
        list::{List, Walk, page},
        problem::Problem,
    },
};

/// Lists the recorded actions, the newest first.
pub async fn list(admin: &Admin, walk: &Walk) -> Result<List<DeedRow>, Problem> {
    page("audit", walk, |span| admin.ledger.browse_deeds(span)).await
}
