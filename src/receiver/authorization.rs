//! The `Authorization` header of a request: a token, or a user and a password.

use std::path::PathBuf;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Credential, Keys, credential::Shape, site::Site, template::looks_like_template};
use crate::settings::SecretText;

/// A user name and a password for HTTP basic authentication (`basic_auth` of an integration).
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BasicAuth {
    /// The user name, which must not contain a colon.
    pub username: String,
    /// The password.
    pub password: Option<SecretText>,
    /// A file that contains the password, in place of `password`. It is read at each attempt, so
    /// that rotating it needs no reload.
    pub password_file: Option<PathBuf>,
}

pub(super) enum Authorization {
    Bearer(Credential),
    Basic {
        username: String,
        password: Credential,
    },
}

impl Authorization {
    /// Compiles a bearer token or basic authentication; `None` if neither is given.
    pub(super) fn compile(
        (bearer, bearer_file): (Option<&SecretText>, Option<&PathBuf>),
        basic_auth: Option<&BasicAuth>,
        site: &mut Site<'_>,
    ) -> Option<Self> {
        let bearer = site.secret_if_any(
            "bearer",
            Shape::Key,
            bearer.map(|token| &**token),
            bearer_file.map(PathBuf::as_path),
        );

        let Some(BasicAuth {
            username,
            password,
            password_file,
        }) = basic_auth
        else {
            return bearer.map(Self::Bearer);
        };

        if bearer.is_some() {
            site.problem(
                "basic_auth",
                "a bearer token and basic authentication exclude each other",
                "keep one of them",
            );
        }

        if username.contains(':') || looks_like_template(username) {
            let mend = "write the user's name itself";
            site.problem(
                "basic_auth.username",
                "it holds a colon or a template, and a user name cannot",
                mend,
            );
        }

        site.leads_to("basic_auth.username", username);
        let mut inner = site.below("basic_auth");
        let password = inner.secret(
            "password",
            Shape::Password,
            password.as_deref(),
            password_file.as_deref(),
        )?;

        Some(Self::Basic {
            username: username.clone(),
            password: Credential {
                name: "basic_auth.password",
                ..password
            },
        })
    }

    pub(super) fn credential(&self) -> &Credential {
        match self {
            Self::Bearer(credential)
            | Self::Basic {
                password: credential,
                ..
            } => credential,
        }
    }

    pub(super) fn header(&self, keys: &Keys) -> String {
        match self {
            Self::Bearer(token) => format!("Bearer {}", keys.reveal(token)),
            Self::Basic { .. } if keys.hidden() => "Basic <secret>".to_owned(),
            Self::Basic { username, password } => {
                format!(
                    "Basic {}",
                    BASE64_STANDARD.encode(format!("{username}:{}", keys.reveal(password)))
                )
            }
        }
    }
}
