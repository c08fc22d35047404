//! Trials, which store and send nothing.

use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use utoipa::IntoParams;

use crate::web::{
    Admin,
    problem::Problem,
    workbench::{Diff, Options, Reach},
};

/// The options for trying a mail.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct ExplainQuery {
    /// The time of arrival. The default is the mail's own Date.
    #[param(value_type = Option<String>, format = DateTime)]
    pub at: Option<Timestamp>,
    /// The ingress through which the mail is taken to have come.
    pub ingress: Option<String>,
    /// Whether the mail is taken to be genuine.
    pub trust: bool,
    /// The only profile to read the mail by, as if there were no other.
    pub profile: Option<String>,
}

/// The period of the stored mails to take through another configuration.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct DiffQuery {
    #[param(value_type = Option<String>, format = DateTime)]
    pub since: Option<Timestamp>,
    #[param(value_type = Option<String>, format = DateTime)]
    pub until: Option<Timestamp>,
}

/// Walks a mail through every stage. Returns an object for each alert in it.
pub async fn explain(admin: &Admin, mail: Bytes, options: Options) -> Result<Vec<Value>, Problem> {
    if mail.is_empty() {
        return Err(Problem::unprocessable(
            "the body is empty: send the mail as message/rfc822",
        ));
    }

    let ingress = options.ingress.as_deref();
    let known = admin.workbench.ingresses();
    if ingress.is_some_and(|ingress| known.iter().all(|(name, _)| name != ingress)) {
        return Err(Problem::unprocessable(
            "`ingress` names an ingress that is not configured",
        ));
    }

    let profile = options.profile.as_deref();
    let known = admin.workbench.profiles();
    if profile.is_some_and(|profile| known.iter().all(|name| name != profile)) {
        return Err(Problem::unprocessable(
            "`profile` names a profile that is not configured",
        ));
    }

    admin.workbench.explain(mail, options).await
}

/// Returns the receivers that a set of labels reaches.
pub fn reach(admin: &Admin, labels: BTreeMap<String, String>, at: Option<Timestamp>) -> Reach {
    let labels = labels.into_iter().map(|(name, value)| (name.into(), value));
    admin.workbench.reach(&labels.collect(), at)
}

/// Returns which pages another configuration would add, drop, move or change.
pub async fn diff(
    admin: &Admin,
    configuration: String,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
) -> Result<Diff, Problem> {
    admin.workbench.diff(configuration, since, until).await
}
