//! The header of a mail, and whether the mail is from a given sender.

use mail_parser::MessageParser;

/// The fields of a mail's header that the pages and the API show.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Head {
    /// The addresses in From.
    pub from: Vec<String>,
    pub subject: Option<String>,
    pub date: Option<String>,
}

impl Head {
    pub(super) fn of(raw: &[u8]) -> Self {
        let header = MessageParser::new()
            .with_minimal_headers()
            .with_date_headers()
            .parse_headers(raw);
        let Some(header) = header else {
            return Self::default();
        };

        let from = header.from().into_iter().flat_map(|from| from.iter());
        let from = from.filter_map(|one| one.address().map(ToOwned::to_owned));
        Self {
            from: from.collect(),
            subject: header.subject().map(ToOwned::to_owned),
            date: header.date().map(mail_parser::DateTime::to_rfc3339),
        }
    }
}

/// Decides whether an address in a mail's From is the one wanted, or is of the domain wanted,
/// ignoring case.
pub fn is_from(raw: &[u8], wanted: &str) -> bool {
    let Some(header) = MessageParser::new()
        .with_minimal_headers()
        .parse_headers(raw)
    else {
        return false;
    };

    header.from().is_some_and(|from| {
        let addresses = from.iter().filter_map(|one| one.address());
        addresses
            .into_iter()
            .any(|address| is_sender(address, wanted))
    })
}

pub(super) fn is_sender(address: &str, wanted: &str) -> bool {
    let (address, wanted) = (address.trim().to_lowercase(), wanted.trim().to_lowercase());
    if wanted.starts_with('@') {
        address.ends_with(&wanted)
    } else {
        address == wanted
    }
}

#[cfg(test)]
mod tests {
    use super::is_from;

    #[test]
    fn a_sender_is_an_address_or_a_domain_in_any_case_and_never_a_display_name() {
        let mail = b"From: \"spam@example.com\" <Eve@Mail.Example.ORG>\r\nSubject: x\r\n\r\n";
        for (wanted, fits) in [
            ("eve@mail.example.org", true),
            ("EVE@mail.example.org", true),
            ("@mail.example.org", true),
            ("@example.org", false),
            ("spam@example.com", false),
            ("ve@mail.example.org", false),
        ] {
            assert_eq!(is_from(mail, wanted), fits, "{wanted}");
        }
        assert!(!is_from(b"no header at all", "@example.org"));
    }
}
