//! The sender of a request, and what they may do.

use std::net::IpAddr;

use axum::{
    extract::FromRequestParts,
    http::{StatusCode, request::Parts},
};
use serde::Serialize;

use super::problem::Problem;
pub use crate::settings::users::Role;

/// The means by which the sender of a request is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Known {
    /// The request came over loopback, and no sign-in is configured.
    Loopback,
    /// A bearer token identifies the sender, which is a program.
    Token,
    /// A session, which a browser holds, identifies the sender.
    Session,
    /// A proxy that is trusted to do so names the sender.
    Proxy,
}

/// The sender of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Who {
    pub name: String,
    pub role: Role,
    pub known: Known,
    /// The address that the request came from.
    pub peer: IpAddr,
    /// The token that a form or a script of a page must send along with an action.
    pub csrf: String,
    /// Whether a browser sent the request.
    pub by_browser: bool,
    /// What they have just done and no page has reported yet.
    pub done: Option<String>,
}

impl Who {
    /// Returns the channel that is recorded for their actions: `page` or `api`.
    pub fn via(&self) -> &'static str {
        if self.by_browser { "page" } else { "api" }
    }

    /// Checks that they may act.
    pub fn may_act(&self) -> Result<(), Problem> {
        if self.role == Role::Operator {
            return Ok(());
        }
        Err(Problem::new(
            StatusCode::FORBIDDEN,
            format!(
                "only an operator can act: {} is a viewer, who can only look",
                self.name
            ),
        ))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Who {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts
            .extensions
            .get::<Self>()
            .cloned()
            .ok_or_else(|| Problem::new(StatusCode::UNAUTHORIZED, "the request is not signed in"))
    }
}

/// The sender of a request who may act.
pub struct Operator(pub Who);

impl<S: Send + Sync> FromRequestParts<S> for Operator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let who = Who::from_request_parts(parts, state).await?;
        who.may_act()?;
        Ok(Self(who))
    }
}
