//! Signing in: finds out who sent a request, and begins and ends people's sessions.
//!
//! Programs hold the bearer token. People are known by a password (`users_file`), by an identity
//! provider, or by a proxy in front. If none of these is configured, which only loopback allows,
//! everybody on this machine is an operator. A session is kept in the store, so that it survives a
//! restart and every replica knows it; the browser holds its only key.

use std::{net::IpAddr, path::PathBuf};

use argon2::{
    Argon2,
    password_hash::{PasswordVerifier as _, phc::PasswordHash},
};
use aws_lc_rs::{constant_time, hmac};
use axum::http::{HeaderMap, HeaderName, StatusCode, header::AUTHORIZATION};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use jiff::SignedDuration;

use super::{
    Admin,
    problem::Problem,
    turns::Turns,
    who::{Known, Role, Who},
};
use crate::{
    delivery::sha256_hex,
    ingress::bearer,
    settings::{
        Secret,
        networks::Networks,
        users::{self, User},
    },
    store::Session,
};

mod attempts;
pub(super) mod cookie;
pub mod oidc;
pub(super) mod pages;

use attempts::{Attempts, By};
use oidc::Oidc;

/// How long a session lasts.
const SESSION: SignedDuration = SignedDuration::from_hours(12);
/// How many passwords are checked at a time: each check takes memory and a core.
const CHECKED_AT_ONCE: usize = 2;
/// The hash against which the password of an unknown user is checked, so that it takes as long.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5IHNpZ25zIGlu\
                      $u0xZ1yKsuYmO0BRGWTUtK0q4lB4sBJJ0jDHrS6JQmUY";

/// The ways to sign in, and the state that limits attempts.
pub struct SignIn {
    /// The bearer token of programs.
    pub token: Option<Secret>,
    /// How people sign in.
    pub login: Option<Login>,
    attempts: Attempts,
    checking: Turns,
}

/// How people sign in (`admin.login`).
#[derive(Debug)]
pub enum Login {
    /// With a password from `users_file`.
    Users(PathBuf),
    /// With an identity provider.
    Oidc(Box<Oidc>),
    /// Through a proxy that is trusted to name the user.
    Proxy { header: HeaderName, from: Networks },
}

impl SignIn {
    pub fn new(token: Option<Secret>, login: Option<Login>) -> Self {
        Self {
            token,
            login,
            attempts: Attempts::default(),
            checking: Turns::new(CHECKED_AT_ONCE),
        }
    }

    /// Decides whether a request bears the token of programs.
    pub(super) fn has_token(&self, headers: &HeaderMap) -> bool {
        let token = self.token.as_ref();
        token.is_some_and(|token| bearer::holds(token, headers).unwrap_or(false))
    }

    /// Decides whether everybody on this machine may do everything: no way to sign in is
    /// configured, which only loopback allows.
    pub(super) fn is_open(&self) -> bool {
        self.token.is_none() && self.login.is_none()
    }
}

/// The reason why the sender of a request is unknown.
#[derive(Debug)]
pub enum Unknown {
    /// The request bears no credential.
    Nobody,
    /// The credential is wrong, or has expired.
    Wrong(String),
    /// There were too many wrong attempts; the next may come after this many seconds.
    TooMany(u64),
    /// The sender cannot be determined now.
    Unable(String),
}

impl Unknown {
    pub fn problem(&self) -> Problem {
        match self {
            Self::Nobody => Problem::new(
                StatusCode::UNAUTHORIZED,
                "sign in, or send the bearer token of admin.token_file",
            ),
            Self::Wrong(why) => Problem::new(StatusCode::UNAUTHORIZED, why.clone()),
            Self::TooMany(seconds) => Problem::new(
                StatusCode::TOO_MANY_REQUESTS,
                format!("there were too many failed attempts: try again in {seconds} s"),
            ),
            Self::Unable(why) => Problem::new(StatusCode::SERVICE_UNAVAILABLE, why.clone()),
        }
    }
}

/// The parts of a request that identify its sender.
pub struct Bearing<'a> {
    pub headers: &'a HeaderMap,
    pub peer: IpAddr,
    /// Whether the cookies of the request travel over TLS alone.
    pub secure: bool,
}

/// Determines who sent a request.
pub async fn identify(admin: &Admin, bearing: &Bearing<'_>) -> Result<Who, Unknown> {
    let Bearing {
        headers,
        peer,
        secure,
    } = *bearing;
    let by_browser = ["origin", "sec-fetch-site"]
        .iter()
        .any(|name| headers.contains_key(*name));
    let who = |name: &str, role, known, csrf: String| Who {
        name: name.to_owned(),
        role,
        known,
        peer,
        csrf,
        // The holder of the token is a program, even if it passes on a browser's headers.
        by_browser: by_browser && known != Known::Token,
        done: None,
    };

    if headers.contains_key(AUTHORIZATION) && !admin.sign_in.is_open() {
        by_token(admin, headers, peer)?;
        return Ok(who("token", Role::Operator, Known::Token, String::new()));
    }

    let csrf = || cookie::csrf(headers, secure).map(|held| cookie::token_of(&held));
    if let Some(Login::Proxy { header, from }) = &admin.sign_in.login
        && from.name(peer)
        && let Some(name) = proxied(headers, header)?
    {
        let csrf = csrf().unwrap_or_default();
        return Ok(who(&name, Role::Operator, Known::Proxy, csrf));
    }

    if let Some(key) = cookie::session(headers, secure) {
        let session = by_session(admin, &key).await?;
        let role = session.role.parse().map_err(Unknown::Unable)?;
        return Ok(who(
            &session.name,
            role,
            Known::Session,
            cookie::token_of(&key),
        ));
    }

    if admin.sign_in.is_open() {
        let csrf = csrf().unwrap_or_default();
        return Ok(who("local", Role::Operator, Known::Loopback, csrf));
    }

    Err(Unknown::Nobody)
}

fn by_token(admin: &Admin, headers: &HeaderMap, peer: IpAddr) -> Result<(), Unknown> {
    let Some(token) = &admin.sign_in.token else {
        return Err(Unknown::Wrong(
            "no token is configured: give one in admin.token_file".to_owned(),
        ));
    };

    let now = admin.clock.now();
    let attempts = &admin.sign_in.attempts;
    match bearer::holds(token, headers) {
        // The right token is let in, however many wrong attempts others made from the same address.
        Ok(true) => Ok(()),
        Ok(false) => {
            if let Some(seconds) = attempts.pause(By::Address(peer), now) {
                return Err(Unknown::TooMany(seconds));
            }
            attempts.failed(By::Address(peer), now);
            Err(Unknown::Wrong(
                "this is not the bearer token of admin.token_file".to_owned(),
            ))
        }
        Err(error) => Err(Unknown::Unable(error.to_string())),
    }
}

/// Returns the user that the proxy names, who is an operator. More than one such header is refused.
fn proxied(headers: &HeaderMap, header: &HeaderName) -> Result<Option<String>, Unknown> {
    let mut values = headers.get_all(header).iter();
    let name = match (values.next(), values.next()) {
        (None, _) => return Ok(None),
        (Some(value), None) => value.to_str().unwrap_or_default().trim(),
        (Some(_), Some(_)) => {
            let why = format!("the request has more than one {header} header");
            return Err(Unknown::Wrong(why));
        }
    };

    if name.is_empty() {
        return Err(Unknown::Wrong(format!("the {header} header is empty")));
    }

    Ok(Some(name.to_owned()))
}

async fn by_session(admin: &Admin, key: &str) -> Result<Session, Unknown> {
    let id = sha256_hex(key.as_bytes());
    let unable = |error: &dyn std::fmt::Display| Unknown::Unable(error.to_string());
    let over = || Unknown::Wrong("the session has ended: sign in again".to_owned());

    let found = admin.ledger.session(id.clone(), admin.clock.now()).await;
    let session = found.map_err(|error| unable(&error))?.ok_or_else(over)?;

    // A session ends when the user's password or role changes, or the way to sign in.
    let still_good = match (&admin.sign_in.login, session.how.as_str()) {
        (Some(Login::Users(path)), "users_file") => {
            let users = users::read(path).map_err(|error| unable(&error))?;
            let user = users.iter().find(|user| user.name == session.name);
            user.is_some_and(|user| stamp(user) == session.stamp)
        }
        (Some(Login::Oidc(oidc)), "oidc") => oidc.stamp() == session.stamp,
        _ => false,
    };
    if still_good {
        return Ok(session);
    }

    let ended = admin.ledger.end_session(id).await;
    ended.map_err(|error| unable(&error))?;
    Err(over())
}

/// Returns a hash that changes with a user's password and role.
fn stamp(user: &User) -> String {
    sha256_hex(format!("{}:{}", user.role.as_str(), user.hash).as_bytes())
}

/// Returns the mark of a browser in which a user has signed in. It is invalid once the password
/// changes.
fn mark(user: &User) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, user.hash.as_bytes());
    BASE64_URL_SAFE_NO_PAD.encode(hmac::sign(&key, b"known"))
}

/// Begins a session by name and password.
///
/// `known` is the mark that the browser held before. Returns the session's key, which the browser
/// is to hold, and the mark by which it is known from then on.
pub async fn by_password(
    admin: &Admin,
    peer: IpAddr,
    (name, password): (&str, &str),
    known: Option<&str>,
) -> Result<(String, String), Unknown> {
    let Some(Login::Users(path)) = &admin.sign_in.login else {
        return Err(Unknown::Wrong(
            "nobody can sign in with a password here: admin.login has no users_file".to_owned(),
        ));
    };

    let users = users::read(path)
        .map_err(|error| Unknown::Unable(format!("admin.login.users_file: {error}")))?;
    let user = users.into_iter().find(|user| user.name == name);
    let hash = user.as_ref().map_or(NOBODY, |user| &user.hash).to_owned();

    let mark = user.as_ref().map(mark).unwrap_or_default();
    let is_known = |held: &str| {
        let same = constant_time::verify_slices_are_equal(held.as_bytes(), mark.as_bytes());
        same.is_ok()
    };
    let by = match known.filter(|held| is_known(held)) {
        Some(held) => By::Browser(held),
        None => By::Name(peer, name),
    };
    let (now, attempts) = (admin.clock.now(), &admin.sign_in.attempts);
    if let Some(seconds) = attempts.pause(by, now) {
        return Err(Unknown::TooMany(seconds));
    }

    // The attempt counts as failed before its result is known, so that many attempts at once gain
    // nothing over attempts in sequence.
    attempts.failed(by, now);
    let right = is_right(admin, password.to_owned(), hash).await?;
    let Some(user) = user.filter(|_| right) else {
        return Err(Unknown::Wrong(
            "the name or the password is wrong".to_owned(),
        ));
    };
    attempts.succeeded(by);

    let role = user.role.as_str();
    let key = begin(admin, &user.name, role, "users_file", stamp(&user)).await?;
    Ok((key, mark))
}

async fn is_right(admin: &Admin, password: String, hash: String) -> Result<bool, Unknown> {
    let check = move || {
        PasswordHash::new(&hash).is_ok_and(|hash| {
            Argon2::default()
                .verify_password(password.as_bytes(), &hash)
                .is_ok()
        })
    };
    let checked = admin.sign_in.checking.apart(check).await;
    checked.map_err(|why| Unknown::Unable(format!("the password could not be checked: {why}")))
}

/// Begins a session under a new key, whatever the browser held before.
async fn begin(
    admin: &Admin,
    name: &str,
    role: &str,
    how: &str,
    stamp: String,
) -> Result<String, Unknown> {
    let unable = |what: &str| Unknown::Unable(format!("the session could not be started: {what}"));
    let key = cookie::new_key().map_err(|_| unable("there is no randomness"))?;
    let now = admin.clock.now();
    let session = Session {
        id: sha256_hex(key.as_bytes()),
        name: name.to_owned(),
        role: role.to_owned(),
        how: how.to_owned(),
        stamp,
        begun_at: now,
        ends_at: now.saturating_add(SESSION).unwrap_or(now),
    };

    let begun = admin.ledger.begin_session(session).await;
    begun.map_err(|error| unable(&error.to_string()))?;

    Ok(key)
}

/// Ends the session that a browser holds.
pub async fn end(admin: &Admin, headers: &HeaderMap, secure: bool) -> Result<(), Problem> {
    if let Some(key) = cookie::session(headers, secure) {
        admin.ledger.end_session(sha256_hex(key.as_bytes())).await?;
    }
    Ok(())
}
