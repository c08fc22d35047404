//! Signing in.

use axum::{http::StatusCode, response::Response};
use serde::Serialize;

use super::frame;
use crate::web::Admin;

#[derive(Serialize)]
struct Data<'a> {
    sign_in: SignIn<'a>,
}

#[derive(Serialize)]
struct SignIn<'a> {
    /// Where somebody wanted to go.
    next: &'a str,
    error: Option<&'a str>,
    password: bool,
    oidc_href: Option<String>,
    issuer: Option<String>,
}

/// The page of the form; `error` is why it is shown again.
pub fn page(admin: &Admin, status: StatusCode, next: &str, error: Option<&str>) -> Response {
    let sign_in = SignIn {
        next,
        error,
        password: true,
        oidc_href: None,
        issuer: None,
    };
    frame::bare(admin, status, "sign_in.html", Data { sign_in })
}
