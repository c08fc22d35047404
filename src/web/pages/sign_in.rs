//! Signing in.

use axum::{http::StatusCode, response::Response};
use serde::Serialize;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::frame;
use crate::web::{Admin, sign_in::Login};

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
    /// Whether nobody has to.
    is_open: bool,
    oidc_href: Option<String>,
    issuer: Option<String>,
}

/// The page of the form; `error` is why it is shown again.
pub fn page(admin: &Admin, status: StatusCode, next: &str, error: Option<&str>) -> Response {
    let login = admin.sign_in.login.as_ref();
    let provider = match login {
        Some(Login::Oidc(oidc)) => Some(oidc.host()),
        _ => None,
    };
    let back = utf8_percent_encode(next, NON_ALPHANUMERIC);
    let sign_in = SignIn {
        next,
        error,
        is_open: admin.sign_in.is_open(),
        password: matches!(login, Some(Login::Users(_))),
        oidc_href: provider
            .as_ref()
            .map(|_| format!("/sign-in/oidc?next={back}")),
        issuer: provider,
    };
    frame::bare(admin, status, "sign_in.html", Data { sign_in })
}
