//! The sign-in page.

use axum::{http::StatusCode, response::Response};
use serde::Serialize;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::frame;
use crate::web::{Admin, sign_in::Login};

#[derive(Serialize)]
struct Data<'a> {
    sign_in: Shown<'a>,
}

/// The form, and the text above it.
#[derive(Default, Serialize)]
pub struct SignIn<'a> {
    /// The path to which the sign-in leads.
    pub next: &'a str,
    /// The name that was entered.
    pub name: &'a str,
    /// The error for which the form is shown again.
    pub error: Option<&'a str>,
    /// What is said to somebody who did not come to sign in: their session has ended, or nothing
    /// was done.
    pub told: Option<&'a str>,
}

#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    form: &'a SignIn<'a>,
    password: bool,
    /// Whether nobody needs to sign in.
    is_open: bool,
    oidc_href: Option<String>,
    issuer: Option<String>,
}

impl SignIn<'_> {
    pub fn page(&self, admin: &Admin, status: StatusCode) -> Response {
        let login = admin.sign_in.login.as_ref();
        let provider = match login {
            Some(Login::Oidc(oidc)) => Some(oidc.host()),
            _ => None,
        };
        let back = utf8_percent_encode(self.next, NON_ALPHANUMERIC);
        let sign_in = Shown {
            form: self,
            is_open: admin.sign_in.is_open(),
            password: matches!(login, Some(Login::Users(_))),
            oidc_href: provider
                .as_ref()
                .map(|_| format!("/sign-in/oidc?next={back}")),
            issuer: provider,
        };
        frame::bare(admin, status, "sign_in.html", Data { sign_in })
    }
}
