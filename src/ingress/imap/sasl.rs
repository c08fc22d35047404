//! Authentication beyond LOGIN: SASL PLAIN (RFC 4616), OAUTHBEARER (RFC 7628) and XOAUTH2
//! (<https://developers.google.com/workspace/gmail/imap/xoauth2-protocol>).

use async_imap::Authenticator;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use secrecy::{ExposeSecret as _, SecretString};

/// The two mechanisms for an access token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mechanism {
    OauthBearer,
    Xoauth2,
}

/// What a server's CAPABILITY says about these mechanisms.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Offer {
    /// The mechanism to use, which is the standard one if there is a choice.
    pub(super) mechanism: Option<Mechanism>,
    /// Whether the token may be part of the command itself (RFC 4959), which saves a round trip.
    initial_response: bool,
}

impl Offer {
    /// Reads the offer from the `abilities` of CAPABILITY, in upper case.
    pub(super) fn read(abilities: &[String]) -> Self {
        let has = |name: &str| abilities.iter().any(|ability| ability == name);
        let (bearer, xoauth2, initial_response) =
            (has("AUTH=OAUTHBEARER"), has("AUTH=XOAUTH2"), has("SASL-IR"));
        let mechanism = match (bearer, xoauth2) {
            (true, _) => Some(Mechanism::OauthBearer),
            (false, true) => Some(Mechanism::Xoauth2),
            (false, false) => None,
        };

        Self {
            mechanism,
            initial_response,
        }
    }
}

/// The state of a SASL login.
pub(super) struct Exchange {
    /// The mechanism for a token; `None` for a password, after which there is nothing more to send.
    mechanism: Option<Mechanism>,
    /// The response that is still to be sent.
    response: Option<SecretString>,
    /// The arguments of AUTHENTICATE.
    pub(super) command: SecretString,
    /// The `status` of the server's error, which comes before its NO.
    pub(super) status: Option<String>,
}

impl Exchange {
    /// Creates an exchange of SASL PLAIN, for names and passwords beyond ASCII.
    pub(super) fn plain(username: &str, password: &SecretString) -> Self {
        let response = format!("\0{username}\0{}", password.expose_secret());
        Self {
            mechanism: None,
            response: Some(response.into()),
            command: "PLAIN".into(),
            status: None,
        }
    }

    /// Creates an exchange that logs in with an access token.
    pub(super) fn bearer(
        mechanism: Mechanism,
        offer: Offer,
        at: (&str, u16),
        username: &str,
        token: &SecretString,
    ) -> Self {
        let token = token.expose_secret();
        let (name, response) = match mechanism {
            // The name is part of a GS2 header, in which `,` and `=` are escaped (RFC 5801, 4).
            Mechanism::OauthBearer => {
                let (host, port) = at;
                let name = username.replace('=', "=3D").replace(',', "=2C");
                let response = format!(
                    "n,a={name},\x01host={host}\x01port={port}\x01auth=Bearer {token}\x01\x01"
                );
                ("OAUTHBEARER", response)
            }
            Mechanism::Xoauth2 => (
                "XOAUTH2",
                format!("user={username}\x01auth=Bearer {token}\x01\x01"),
            ),
        };

        let (command, response) = if offer.initial_response {
            (format!("{name} {}", STANDARD.encode(response)), None)
        } else {
            (name.to_owned(), Some(response.into()))
        };

        Self {
            mechanism: Some(mechanism),
            response,
            command: command.into(),
            status: None,
        }
    }

    /// Returns the response to a challenge.
    pub(super) fn respond(&mut self, challenge: &[u8]) -> SecretString {
        if let Some(response) = self.response.take() {
            return response;
        }

        // The login failed, and the challenge says why in JSON; the server waits for a last
        // response before its NO. Only `status` is read.
        let error = serde_json::from_slice::<serde_json::Value>(challenge).unwrap_or_default();
        let status = error
            .get("status")
            .and_then(serde_json::Value::as_str)
            .unwrap_or_default();

        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
        self.status = (!status.is_empty() && status.len() <= 40 && status.chars().all(plain))
            .then(|| status.to_owned());

        match self.mechanism {
            Some(Mechanism::OauthBearer) => "\x01".into(),
            Some(Mechanism::Xoauth2) | None => SecretString::default(),
        }
    }

    /// Returns whether a server's words contain the token, in any of the forms in which it was
    /// sent.
    pub(super) fn is_repeated_in(&self, said: &str, token: &SecretString) -> bool {
        let sent = self.command.expose_secret();
        said.contains(token.expose_secret())
            || sent
                .split_once(' ')
                .is_some_and(|(_, encoded)| said.contains(encoded))
    }
}

/// The client library runs the exchange.
impl Authenticator for &mut Exchange {
    type Response = Spoken;

    fn process(&mut self, challenge: &[u8]) -> Spoken {
        Spoken(self.respond(challenge))
    }
}

/// A response with a secret in it.
pub(super) struct Spoken(SecretString);

impl AsRef<[u8]> for Spoken {
    fn as_ref(&self) -> &[u8] {
        self.0.expose_secret().as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(initial_response: bool) -> Offer {
        Offer {
            mechanism: None,
            initial_response,
        }
    }

    #[test]
    fn the_standard_way_is_taken_where_there_is_a_choice() {
        let read =
            |all: &[&str]| Offer::read(&all.iter().map(|&one| one.to_owned()).collect::<Vec<_>>());
        assert_eq!(
            read(&["AUTH=XOAUTH2", "AUTH=OAUTHBEARER"]).mechanism,
            Some(Mechanism::OauthBearer)
        );
        assert_eq!(
            read(&["AUTH=PLAIN", "AUTH=XOAUTH2"]).mechanism,
            Some(Mechanism::Xoauth2)
        );
        assert_eq!(read(&["AUTH=PLAIN", "IMAP4REV1"]).mechanism, None);
        assert!(read(&["SASL-IR"]).initial_response);
    }

    #[test]
    fn the_token_stands_in_the_command_or_in_the_first_response() {
        let token = SecretString::from("t0ken");
        let bearer =
            |mechanism, offer| Exchange::bearer(mechanism, offer, ("h", 993), "a,b=c", &token);
        let at_once = bearer(Mechanism::Xoauth2, offer(true));
        let expected = format!(
            "XOAUTH2 {}",
            STANDARD.encode("user=a,b=c\x01auth=Bearer t0ken\x01\x01")
        );
        assert_eq!(at_once.command.expose_secret(), expected);

        let mut later = bearer(Mechanism::OauthBearer, offer(false));
        assert_eq!(later.command.expose_secret(), "OAUTHBEARER");
        let expected = "n,a=a=2Cb=3Dc,\x01host=h\x01port=993\x01auth=Bearer t0ken\x01\x01";
        assert_eq!(later.respond(b"").expose_secret(), expected);
    }

    #[test]
    fn an_error_is_answered_as_the_mechanism_wants_it_and_only_its_status_read() {
        let token = SecretString::from("t0ken");
        for (mechanism, last_word) in [(Mechanism::OauthBearer, "\x01"), (Mechanism::Xoauth2, "")] {
            let mut bearer = Exchange::bearer(mechanism, offer(true), ("h", 993), "u", &token);
            let error = br#"{"status":"invalid_token","scope":"x"}"#;
            assert_eq!(bearer.respond(error).expose_secret(), last_word);
            assert_eq!(bearer.status.as_deref(), Some("invalid_token"));
            let _ = bearer.respond(br#"{"status":"Bearer t0ken"}"#);
            assert_eq!(bearer.status, None);
        }
    }
}
