//! Checks HTTP basic authentication (RFC 7617), and compares in constant time.

use aws_lc_rs::constant_time;
use axum::http::{HeaderMap, header::AUTHORIZATION};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use secrecy::ExposeSecret as _;

use super::{
    answer::{Fault, Refusal},
    credential::Credential,
};

/// Admits a request with the right user name and password, and any request if another kind of proof
/// is required. A password in a file is read for every request, so that rotating it needs no
/// reload.
pub(super) fn check(credential: &Credential, headers: &HeaderMap) -> Result<(), Fault> {
    let Credential::BasicAuth { username, password } = credential else {
        return Ok(());
    };
    let wanted = [
        username.as_bytes(),
        b":",
        password.read()?.expose_secret().as_bytes(),
    ]
    .concat();

    let given = headers
        .get(AUTHORIZATION)
        .and_then(|value| basic(value.as_bytes()));

    match given {
        Some(given) if constant_time::verify_slices_are_equal(&given, &wanted).is_ok() => Ok(()),
        _ => Err(Refusal::WrongPassword.into()),
    }
}

/// Returns the credentials after the scheme, which is case-insensitive (RFC 9110, 11.1).
fn basic(value: &[u8]) -> Option<Vec<u8>> {
    let (scheme, encoded) = value.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"Basic ") {
        return None;
    }
    STANDARD.decode(encoded.trim_ascii()).ok()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;
    use crate::settings::Secret;

    #[test]
    fn only_the_right_name_with_the_right_password_gets_in() {
        let credential = Credential::BasicAuth {
            username: "bridge".into(),
            password: Secret::Inline("s3:cret".to_owned().into()),
        };
        for (given, right) in [
            ("bridge:s3:cret", true),
            ("bridge:s3:cre", false),
            ("bridge:s3:crets", false),
            ("Bridge:s3:cret", false),
            ("bridge", false),
            ("", false),
        ] {
            let value =
                HeaderValue::from_str(&format!("basic {}", STANDARD.encode(given))).unwrap();
            let headers = HeaderMap::from_iter([(AUTHORIZATION, value)]);
            assert_eq!(check(&credential, &headers).is_ok(), right, "{given}");
        }
        for value in [
            "Basic bridge:s3:cret",
            "Bearer YnJpZGdlOnMzOmNyZXQ=",
            "Basic",
        ] {
            let headers = HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_static(value))]);
            assert!(check(&credential, &headers).is_err(), "{value}");
        }
        assert!(check(&credential, &HeaderMap::new()).is_err());
    }
}
