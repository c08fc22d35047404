//! The credentials of an integration: the name of each, and the form that it must have.

use super::http_url;
use crate::settings::Secret;

/// A credential: its name in the configuration, its shape, and its source.
#[derive(Debug, Clone, PartialEq)]
pub struct Credential {
    pub name: &'static str,
    pub shape: Shape,
    pub secret: Secret,
}

/// The form of a credential, as far as it can be checked without the vendor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A single word that goes into a header.
    Key,
    /// A single word for a header: the token of a Slack app's bot.
    BotToken,
    /// A routing key of PagerDuty.
    RoutingKey,
    /// An http or https address.
    Address,
    /// A signing secret for Standard Webhooks: `whsec_` and base64.
    Signing,
    /// Any text on one line.
    Password,
}

/// What is wrong with a credential, as the rest of a sentence about it, and how to fix it. It
/// repeats nothing of the credential.
pub type Fault = (String, &'static str);

/// The length of PagerDuty's keys.
const ROUTING_KEY: usize = 32;

/// The words that clients and documentation put before a key, and that are copied along with it.
const PREFIXES: [&str; 11] = [
    "genie key",
    "geniekey",
    "bearer",
    "basic",
    "token",
    "authorization",
    "api key",
    "api-key",
    "api_key",
    "apikey",
    "x-api-key",
];

impl Shape {
    /// Checks the form of a credential, from which white space around it has been removed.
    pub fn check(self, text: &str) -> Result<(), Fault> {
        let fault = |what: &str, mend| Err((what.to_owned(), mend));
        if text.starts_with('\u{FEFF}') {
            return fault(
                "begins with a byte order mark",
                "save it as UTF-8 without one",
            );
        }

        if text.contains(['\n', '\r']) {
            return fault("holds several lines", "keep the secret alone, on one line");
        }

        if text.chars().any(is_unseen) {
            return fault(
                "holds an invisible character",
                "copy it again, as plain text",
            );
        }

        if self == Self::Password {
            return Ok(());
        }

        if is_quoted(text) {
            return fault("is enclosed in quotes", "drop the quotes");
        }

        if is_assignment(text) {
            return fault(
                "is a line of an environment file",
                "keep only what follows the `=`",
            );
        }

        if text.contains("{{") {
            return fault(
                "holds a template, which a secret cannot be",
                "write the secret itself",
            );
        }

        match self {
            Self::Address => http_url::parse(text).map(|_| ()).map_err(|what| {
                let what = what.strip_prefix("it ").unwrap_or(&what).to_owned();
                (what, "write it like https://api.example.com")
            }),
            Self::Signing if super::signature::signing_key(text).is_none() => fault(
                "is not a signing secret",
                "write `whsec_` and its bytes in base64",
            ),
            Self::Signing | Self::Password => Ok(()),
            Self::Key | Self::BotToken | Self::RoutingKey => self.check_key(text),
        }
    }

    fn check_key(self, text: &str) -> Result<(), Fault> {
        let fault = |what: &str, mend| Err((what.to_owned(), mend));
        let lower = text.to_ascii_lowercase();

        let is_before = |prefix: &&str| {
            lower.strip_prefix(*prefix).is_some_and(|rest| {
                rest.starts_with([' ', ':', '=']) && !rest.trim_matches('=').is_empty()
            })
        };
        if PREFIXES.iter().any(is_before) {
            let word = text.split([' ', ':', '=']).next().unwrap_or_default();
            return Err((
                format!("begins with `{word}`"),
                "keep only what follows: alertbridge adds the rest",
            ));
        }

        if lower.starts_with("http://") || lower.starts_with("https://") {
            return fault("is an address, not a key", "copy the key itself");
        }

        if self == Self::RoutingKey && text.chars().count() != ROUTING_KEY {
            return fault(
                "is not a routing key, which has 32 characters",
                "copy the integration key",
            );
        }

        if self == Self::BotToken
            && (lower.starts_with("xapp-") || !text.bytes().all(|byte| byte.is_ascii_graphic()))
        {
            let what = "is not a bot token, which begins with xoxb- and has no spaces";
            return fault(what, "copy the Bot User OAuth Token");
        }

        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return fault(
                "holds white space or a character that no key has",
                "copy the key alone",
            );
        }

        Ok(())
    }
}

fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{00AD}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}')
        || matches!(c, '\u{2060}'..='\u{2069}' | '\u{FEFF}')
}

fn is_quoted(text: &str) -> bool {
    let quotes = [
        '"', '\'', '`', '\u{201C}', '\u{201D}', '\u{201E}', '\u{2018}', '\u{2019}',
    ];
    text.starts_with(quotes) || text.ends_with(quotes)
}

/// Whether a text is an assignment such as `OPSGENIE_API_KEY=…`, but not base64 that ends in `=`.
fn is_assignment(text: &str) -> bool {
    text.split_once('=').is_some_and(|(name, value)| {
        let name = name.strip_prefix("export ").unwrap_or(name).trim();
        let is_name = name.starts_with(|c: char| c.is_ascii_uppercase())
            && name
                .bytes()
                .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
        is_name && name.len() > 2 && !value.trim_matches('=').is_empty()
    })
}

#[cfg(test)]
mod tests {
    use super::Shape;

    #[test]
    fn what_was_copied_along_with_a_secret_is_named() {
        let key = "0123456789abcdef0123456789abcdef";
        for shape in [Shape::Key, Shape::BotToken, Shape::RoutingKey] {
            assert_eq!(shape.check(key), Ok(()));
            for (wrong, says) in [
                (format!("\u{FEFF}{key}"), "byte order mark"),
                (format!("{key}\n{key}"), "several lines"),
                (format!("{key}\r\n# the key"), "several lines"),
                (format!("\"{key}\""), "quotes"),
                (format!("'{key}'"), "quotes"),
                (format!("\u{201C}{key}\u{201D}"), "quotes"),
                (format!("GenieKey {key}"), "begins with `GenieKey`"),
                (format!("Bearer {key}"), "begins with `Bearer`"),
                (
                    format!("Authorization: {key}"),
                    "begins with `Authorization`",
                ),
                (format!("geniekey:{key}"), "begins with `geniekey`"),
                (format!("api_key={key}"), "begins with `api_key`"),
                (format!("X-Api-Key: {key}"), "begins with `X-Api-Key`"),
                (format!("API_KEY={key}"), "environment file"),
                (format!("{key}\u{200B}"), "invisible"),
                ("https://api.example.com/key".to_owned(), "an address"),
                ("{{ key }}".to_owned(), "template"),
            ] {
                let (what, mend) = shape.check(&wrong).unwrap_err();
                assert!(
                    what.contains(says) && !mend.is_empty(),
                    "{shape:?} {wrong:?}: {what}"
                );
                assert!(!what.contains(key), "{what}");
            }
        }
        for right in ["tokenised", "basic-1", "apikey==", "bearer"] {
            assert_eq!(Shape::Key.check(right), Ok(()), "{right}");
        }
        assert!(Shape::Key.check("two words").is_err());
        assert!(Shape::BotToken.check("xapp-1-A").is_err());
        assert!(Shape::RoutingKey.check("short").is_err());
        assert_eq!(Shape::Password.check("\"it's: {{ a }} pass=word\""), Ok(()));
        for wrong in [
            "\u{FEFF}https://a.example",
            "\"https://a.example\"",
            "URL=https://a.example",
            "a.example",
        ] {
            assert!(Shape::Address.check(wrong).is_err(), "{wrong}");
        }
        assert_eq!(
            Shape::Signing.check("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
            Ok(())
        );
        assert_eq!(
            Shape::Signing.check("QUJDREVGR0g="),
            Ok(()),
            "base64 that ends in = is no assignment"
        );
    }
}
