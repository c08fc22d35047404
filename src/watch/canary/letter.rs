//! The canary's mail. Pure.

use jiff::fmt::rfc2822;

use crate::canary::{Canary, HEADER, Key, SUBJECT, SendVia};

/// Composes the mail of a canary for the mail server.
pub fn compose(canary: Canary, key: &Key, via: &SendVia) -> Vec<u8> {
    let token = key.token(canary);
    let (from, to) = (&via.from, &via.to);
    let domain = from.rsplit('@').next().unwrap_or("localhost");
    // Times since the epoch can be written in RFC 2822.
    let date = rfc2822::to_string(&canary.begun_at.to_zoned(jiff::tz::TimeZone::UTC));
    let date = date.unwrap_or_default();

    format!(
        "From: alertbridge <{from}>\r\n\
         To: <{to}>\r\n\
         Subject: {SUBJECT}{token}\r\n\
         Date: {date}\r\n\
         Message-ID: <canary.{token}@{domain}>\r\n\
         {HEADER}: {token}\r\n\
         Auto-Submitted: auto-generated\r\n\
         MIME-Version: 1.0\r\n\
         Content-Type: text/plain; charset=utf-8\r\n\
         \r\n\
         alertbridge sends this mail to itself, to check that mail still comes through.\r\n\
         Nobody needs to read it.\r\n",
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_is_what_is_recognised() {
        let key = Key::new(&[1; 32]);
        let canary = Canary {
            number: 12,
            begun_at: "2026-03-01T12:00:00Z".parse().unwrap(),
        };
        let via = SendVia {
            from: "bridge@example.com".into(),
            to: "alerts@example.com".into(),
            ..SendVia::default()
        };
        let letter = compose(canary, &key, &via);
        assert_eq!(key.recognise(&letter), Some(canary));
        let text = String::from_utf8(letter).unwrap();
        assert!(
            text.contains("\r\nDate: Sun, 1 Mar 2026 12:00:00 +0000\r\n"),
            "{text}"
        );
        // The longest line allowed by RFC 5322, 2.1.1.
        assert!(text.lines().all(|line| line.len() <= 998));
    }
}
