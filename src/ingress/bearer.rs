//! Checks a bearer token (RFC 6750) in a time that does not reveal how much of it was right.

use aws_lc_rs::constant_time;
use axum::http::{HeaderMap, header::AUTHORIZATION};
use secrecy::ExposeSecret as _;

use crate::settings::{Secret, SecretError};

/// Returns whether a request holds the token. A token in a file is read at every request, so that
/// rotating it needs no reload.
pub fn holds(token: &Secret, headers: &HeaderMap) -> Result<bool, SecretError> {
    let token = token.read()?;
    let given = headers
        .get(AUTHORIZATION)
        .and_then(|value| bearer(value.as_bytes()));
    Ok(given.is_some_and(|given| {
        constant_time::verify_slices_are_equal(given, token.expose_secret().as_bytes()).is_ok()
    }))
}

/// Returns the token after the scheme, which may be written in any case (RFC 9110, 11.1).
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(7)?;
    scheme
        .eq_ignore_ascii_case(b"Bearer ")
        .then(|| token.trim_ascii())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn only_the_whole_token_lets_in() {
        let token = Secret::Inline("s3cret".to_owned().into());
        for (value, right) in [
            ("Bearer s3cret", true),
            ("bearer  s3cret ", true),
            ("BEARER s3cret", true),
            ("Bearer s3cre", false),
            ("Bearer s3crets", false),
            ("Bearer ", false),
            ("Basic s3cret", false),
            ("s3cret", false),
            ("", false),
        ] {
            let headers = HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_static(value))]);
            assert_eq!(holds(&token, &headers).unwrap(), right, "{value}");
        }
        assert!(!holds(&token, &HeaderMap::new()).unwrap());
    }
}
