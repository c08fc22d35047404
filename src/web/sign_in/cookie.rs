//! The cookies of a browser: the key of its session, and a secret that tells our pages from others.
//!
//! Over TLS, their names begin with `__Host-`: a browser then takes them from this host alone, and
//! no neighbouring host under the same domain can plant one.

use axum::http::{HeaderMap, HeaderValue, header::COOKIE};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};

use crate::delivery::sha256_hex;

const SESSION: &str = "alertbridge_session";
const CSRF: &str = "alertbridge_csrf";
const TICKET: &str = "alertbridge_oidc";
const KNOWN: &str = "alertbridge_known";
const DONE: &str = "alertbridge_done";
/// The length of a key: 32 bytes in base64.
const LENGTH: usize = 43;

/// Generates a random key that nobody can guess.
pub fn new_key() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    Ok(BASE64_URL_SAFE_NO_PAD.encode(bytes))
}

/// Returns the key of the session that a request bears.
pub fn session(headers: &HeaderMap, secure: bool) -> Option<String> {
    key(headers, SESSION, secure)
}

/// Returns the secret of a browser that has no session.
pub fn csrf(headers: &HeaderMap, secure: bool) -> Option<String> {
    key(headers, CSRF, secure)
}

/// Returns the key of a sign-in that is under way at an identity provider.
pub fn ticket(headers: &HeaderMap, secure: bool) -> Option<String> {
    key(headers, TICKET, secure)
}

/// Returns the mark of a browser in which somebody has signed in before.
pub fn known(headers: &HeaderMap, secure: bool) -> Option<String> {
    key(headers, KNOWN, secure)
}

/// Returns the word for what was just done and has not been reported yet.
pub fn done(headers: &HeaderMap, secure: bool) -> Option<String> {
    held(headers, DONE, secure)
}

/// Returns a cookie that is a key. A value of another length is not ours.
fn key(headers: &HeaderMap, name: &str, secure: bool) -> Option<String> {
    held(headers, name, secure).filter(|key| key.len() == LENGTH)
}

/// Returns a cookie's value. The name without the prefix counts only where `__Host-` is not
/// possible.
fn held(headers: &HeaderMap, name: &str, secure: bool) -> Option<String> {
    let bare = || only(headers, name).filter(|_| !secure);
    only(headers, &named(name, true)).or_else(bare)
}

/// Returns the value under a name, or `None` if the name occurs twice.
fn only(headers: &HeaderMap, name: &str) -> Option<String> {
    let mut values = headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|header| header.to_str().ok())
        .flat_map(|header| header.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(cookie, _)| *cookie == name)
        .map(|(_, value)| value);
    match (values.next(), values.next()) {
        (Some(value), None) => Some(value.to_owned()),
        _ => None,
    }
}

/// Derives the token that a page sends along with an action. It proves that the page could read
/// what we wrote, and does not reveal the key.
pub fn token_of(key: &str) -> String {
    sha256_hex(format!("csrf:{key}").as_bytes())
}

/// Returns a `Set-Cookie` value that gives a browser the key of a session.
pub fn give_session(key: &str, secure: bool) -> HeaderValue {
    set(SESSION, key, secure, "")
}

/// Returns a `Set-Cookie` value that removes the key of a session.
pub fn take_session(secure: bool) -> HeaderValue {
    set(SESSION, "", secure, "; Max-Age=0")
}

/// Returns a `Set-Cookie` value that gives a browser without a session its secret.
pub fn give_csrf(key: &str, secure: bool) -> HeaderValue {
    set(CSRF, key, secure, "")
}

/// Returns a `Set-Cookie` value that gives a browser the key of a sign-in, for as long as a sign-in
/// may take.
///
/// The cookie is `SameSite=Lax`, because the provider is another site and leads the browser back
/// here.
pub fn give_ticket(key: &str, secure: bool) -> HeaderValue {
    set(TICKET, key, secure, "; Max-Age=600")
}

/// Returns a `Set-Cookie` value that removes the key of a sign-in.
pub fn take_ticket(secure: bool) -> HeaderValue {
    set(TICKET, "", secure, "; Max-Age=0")
}

/// Returns a `Set-Cookie` value that gives a browser its mark, for 90 days.
pub fn give_known(mark: &str, secure: bool) -> HeaderValue {
    set(KNOWN, mark, secure, "; Max-Age=7776000")
}

/// Returns a `Set-Cookie` value that gives a browser the word for what was done, until the next
/// page reports it.
pub fn give_done(word: &str, secure: bool) -> HeaderValue {
    set(DONE, word, secure, "; Max-Age=60")
}

/// Returns a `Set-Cookie` value that removes the word for what was done.
pub fn take_done(secure: bool) -> HeaderValue {
    set(DONE, "", secure, "; Max-Age=0")
}

fn named(name: &str, secure: bool) -> String {
    let prefix = if secure { "__Host-" } else { "" };
    format!("{prefix}{name}")
}

fn set(name: &str, value: &str, secure: bool, more: &str) -> HeaderValue {
    let name = named(name, secure);
    let secure = if secure { "; Secure" } else { "" };
    let cookie = format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax{secure}{more}");
    // Names and keys are plain ASCII.
    HeaderValue::try_from(cookie).unwrap_or(HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bearing(cookie: &str) -> HeaderMap {
        [(COOKIE, HeaderValue::try_from(cookie).unwrap())]
            .into_iter()
            .collect()
    }

    #[test]
    fn a_key_is_held_once_and_read_whole() {
        let key = new_key().unwrap();
        assert_eq!(key.len(), LENGTH);
        let bears = |cookie: String| session(&bearing(&cookie), false);
        assert_eq!(
            bears(format!("a=b; {SESSION}={key}; c=d")),
            Some(key.clone())
        );
        assert_eq!(bears(format!("{SESSION}={key}; {SESSION}={key}")), None);
        assert_eq!(bears(format!("{SESSION}={}", &key[1..])), None);
        assert_eq!(bears(format!("x{SESSION}={key}")), None);
    }

    #[test]
    fn over_tls_nobody_elses_cookie_counts() {
        let (own, planted) = (new_key().unwrap(), new_key().unwrap());
        let both = format!("{SESSION}={planted}; __Host-{SESSION}={own}");
        for secure in [true, false] {
            assert_eq!(session(&bearing(&both), secure), Some(own.clone()));
        }
        let bare = bearing(&format!("{SESSION}={planted}"));
        assert_eq!(session(&bare, true), None);
        assert_eq!(session(&bare, false), Some(planted));
    }

    #[test]
    fn no_script_reads_it_and_no_other_site_sends_it() {
        let given = give_session("key", true);
        let given = given.to_str().unwrap();
        for attribute in ["HttpOnly", "SameSite=Lax", "Secure", "Path=/"] {
            assert!(given.split("; ").any(|part| part == attribute), "{given}");
        }
        // The prefix requires Secure, this path, and no Domain.
        assert!(given.starts_with("__Host-alertbridge_session=key;"));
        assert!(!given.contains("Domain"), "{given}");

        let given = give_session("key", false);
        let given = given.to_str().unwrap();
        assert!(given.starts_with("alertbridge_session=key;"), "{given}");
        assert!(!given.contains("Secure"), "{given}");
    }
}
