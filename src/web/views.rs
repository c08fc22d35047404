//! What people see and do, for the pages and the API alike: one function for each question or
//! action, and values that serialise.

pub mod audit;
pub mod conditions;
pub mod deliveries;
pub mod incidents;
pub mod mails;
pub mod named;
pub mod objectives;
pub mod profiles;
pub mod silences;
pub mod trials;

use super::{Admin, problem::Problem, who::Who};
use crate::store::Deed;

/// Performs an action on behalf of a user, and records it: nothing is done that is not in the
/// ledger.
pub(super) async fn recorded<T>(
    admin: &Admin,
    who: &Who,
    action: &str,
    subject: impl Into<String>,
    work: impl Future<Output = Result<T, Problem>>,
) -> Result<T, Problem> {
    who.may_act()?;
    let deed = admin
        .ledger
        .begin_deed(Deed {
            at: admin.clock.now(),
            by: who.name.clone(),
            via: who.via().to_owned(),
            action: action.to_owned(),
            subject: subject.into(),
        })
        .await?;

    let done = work.await;
    let outcome = match &done {
        Ok(_) => "done".to_owned(),
        Err(problem) => problem.detail.clone(),
    };
    admin.ledger.end_deed(deed, outcome).await?;

    done
}
