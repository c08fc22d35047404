//! How one proves who one is, beyond LOGIN: SASL PLAIN (RFC 4616), OAUTHBEARER (RFC 7628) and XOAUTH2
//! (<https://developers.google.com/workspace/gmail/imap/xoauth2-protocol>).

use async_imap::{Authenticator, imap_proto::Capability};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use secrecy::{ExposeSecret as _, SecretString};

/// SASL PLAIN, for names and passwords beyond ASCII.
pub(super) struct Plain(String);

impl Plain {
    pub(super) fn new(username: &str, password: &str) -> Self {
        Self(format!("\0{username}\0{password}"))
    }
}

impl Authenticator for Plain {
    type Response = String;

    fn process(&mut self, _: &[u8]) -> String {
        std::mem::take(&mut self.0)
    }
}

/// The two ways to show an access token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mechanism {
    OauthBearer,
    Xoauth2,
}

/// What a server's CAPABILITY says of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Offer {
    /// The standard one where there is a choice.
    pub(super) mechanism: Option<Mechanism>,
    /// Whether the token may stand in the command itself (RFC 4959), which spares a round trip.
    initial_response: bool,
}

impl Offer {
    pub(super) fn read<'a>(capabilities: impl IntoIterator<Item = &'a Capability<'a>>) -> Self {
        let (mut bearer, mut xoauth2, mut initial_response) = (false, false, false);
        for capability in capabilities {
            match capability {
                Capability::Auth(name) if name.eq_ignore_ascii_case("OAUTHBEARER") => bearer = true,
                Capability::Auth(name) if name.eq_ignore_ascii_case("XOAUTH2") => xoauth2 = true,
                Capability::Atom(name) if name.eq_ignore_ascii_case("SASL-IR") => initial_response = true,
                _ => {}
            }
        }
        let mechanism = match (bearer, xoauth2) {
            (true, _) => Some(Mechanism::OauthBearer),
            (false, true) => Some(Mechanism::Xoauth2),
            (false, false) => None,
        };
        Self { mechanism, initial_response }
    }
}

/// A login with an access token, as the library carries it out.
pub(super) struct Bearer {
    mechanism: Mechanism,
    /// What is still to be said.
    response: Option<SecretString>,
    /// What AUTHENTICATE is followed by.
    pub(super) command: SecretString,
    /// The `status` of the server's error, which comes before its NO.
    pub(super) status: Option<String>,
}

impl Bearer {
    pub(super) fn new(
        mechanism: Mechanism,
        offer: Offer,
        at: (&str, u16),
        username: &str,
        token: &SecretString,
    ) -> Self {
        let token = token.expose_secret();
        let (name, response) = match mechanism {
            // The name stands in a GS2 header, whose `,` and `=` are escaped (RFC 5801, 4).
            Mechanism::OauthBearer => {
                let (host, port) = at;
                let name = username.replace('=', "=3D").replace(',', "=2C");
                let response = format!("n,a={name},\x01host={host}\x01port={port}\x01auth=Bearer {token}\x01\x01");
                ("OAUTHBEARER", response)
            }
            Mechanism::Xoauth2 => ("XOAUTH2", format!("user={username}\x01auth=Bearer {token}\x01\x01")),
        };
        let (command, response) = if offer.initial_response {
            (format!("{name} {}", STANDARD.encode(response)), None)
        } else {
            (name.to_owned(), Some(response.into()))
        };
        Self { mechanism, response, command: command.into(), status: None }
    }
}

impl Authenticator for &mut Bearer {
    type Response = SecretBytes;

    fn process(&mut self, challenge: &[u8]) -> SecretBytes {
        if let Some(response) = self.response.take() {
            return SecretBytes(response);
        }
        // It failed, and says why in JSON; the server waits for a last word before its NO. No more than `status` is read.
        let error = serde_json::from_slice::<serde_json::Value>(challenge).unwrap_or_default();
        let status = error.get("status").and_then(serde_json::Value::as_str).unwrap_or_default();
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
        self.status =
            (!status.is_empty() && status.len() <= 40 && status.chars().all(plain)).then(|| status.to_owned());
        SecretBytes(match self.mechanism {
            Mechanism::OauthBearer => "\x01".into(),
            Mechanism::Xoauth2 => SecretString::default(),
        })
    }
}

/// A response with a token in it.
pub(super) struct SecretBytes(SecretString);

impl AsRef<[u8]> for SecretBytes {
    fn as_ref(&self) -> &[u8] {
        self.0.expose_secret().as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(initial_response: bool) -> Offer {
        Offer { mechanism: None, initial_response }
    }

    #[test]
    fn the_standard_way_is_taken_where_there_is_a_choice() {
        let auth = |name: &'static str| Capability::Auth(name.into());
        let read = |all: &[Capability<'static>]| Offer::read(all).mechanism;
        assert_eq!(read(&[auth("XOAUTH2"), auth("oauthbearer")]), Some(Mechanism::OauthBearer));
        assert_eq!(read(&[auth("PLAIN"), auth("XOAUTH2")]), Some(Mechanism::Xoauth2));
        assert_eq!(read(&[auth("PLAIN"), Capability::Imap4rev1]), None);
        assert!(Offer::read(&[Capability::Atom("SASL-IR".into())]).initial_response);
    }

    #[test]
    fn the_token_stands_in_the_command_or_in_the_first_response() {
        let token = SecretString::from("t0ken");
        let bearer = |mechanism, offer| Bearer::new(mechanism, offer, ("h", 993), "a,b=c", &token);
        let at_once = bearer(Mechanism::Xoauth2, offer(true));
        let expected = format!("XOAUTH2 {}", STANDARD.encode("user=a,b=c\x01auth=Bearer t0ken\x01\x01"));
        assert_eq!(at_once.command.expose_secret(), expected);

        let mut later = bearer(Mechanism::OauthBearer, offer(false));
        assert_eq!(later.command.expose_secret(), "OAUTHBEARER");
        let expected = "n,a=a=2Cb=3Dc,\x01host=h\x01port=993\x01auth=Bearer t0ken\x01\x01";
        assert_eq!((&mut later).process(b"").as_ref(), expected.as_bytes());
    }

    #[test]
    fn an_error_is_answered_as_the_mechanism_wants_it_and_only_its_status_read() {
        let token = SecretString::from("t0ken");
        for (mechanism, last_word) in [(Mechanism::OauthBearer, b"\x01".as_slice()), (Mechanism::Xoauth2, b"")] {
            let mut bearer = Bearer::new(mechanism, offer(true), ("h", 993), "u", &token);
            let error = br#"{"status":"invalid_token","scope":"x"}"#;
            assert_eq!((&mut bearer).process(error).as_ref(), last_word);
            assert_eq!(bearer.status.as_deref(), Some("invalid_token"));
            let _ = (&mut bearer).process(br#"{"status":"Bearer t0ken"}"#);
            assert_eq!(bearer.status, None);
        }
    }
}
