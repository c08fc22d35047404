//! The recipients for whom mail is accepted.

use std::collections::HashSet;

use crate::settings::Problem;

/// The local part of the person responsible for a mail server. Mail to it is accepted everywhere
/// (RFC 5321, 4.5.1), without a domain or at a configured one, and is treated like any other:
/// recorded, and an alert only if it is one.
pub(super) const POSTMASTER: &str = "postmaster";

/// The addresses and domains listed in `recipients:`, compared without regard to ASCII case and
/// otherwise byte by byte.
#[derive(Debug)]
pub(super) struct Recipients {
    /// Whether nothing is listed, so that everything is accepted. This is only sensible on
    /// loopback.
    any: bool,
    addresses: HashSet<String>,
    /// The domains that are accepted as a whole.
    domains: HashSet<String>,
    /// The domains of listed addresses, to tell an unknown mailbox from a foreign domain.
    known: HashSet<String>,
}

/// The answer to a recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    Listed,
    /// The domain is configured, but the mailbox is not.
    Unknown,
    /// The domain is not configured: accepting the mail would be relaying.
    Foreign,
}

impl Recipients {
    /// Reads the list; `key` is its path in the configuration.
    pub(super) fn new(list: &[String], key: &str) -> Result<Self, Problem> {
        let mut recipients = Self {
            any: list.is_empty(),
            addresses: HashSet::new(),
            domains: HashSet::new(),
            known: HashSet::new(),
        };

        for (index, entry) in list.iter().enumerate() {
            let entry = entry.to_ascii_lowercase();
            match entry.rsplit_once('@') {
                Some((_, domain)) if domain.is_empty() || entry.contains(char::is_whitespace) => {
                    return Err(unreadable(key, index, &entry));
                }
                Some(("", domain)) => recipients.domains.insert(domain.to_owned()),
                Some((_, domain)) => {
                    recipients.known.insert(domain.to_owned());
                    recipients.addresses.insert(entry)
                }
                None => return Err(unreadable(key, index, &entry)),
            };
        }

        Ok(recipients)
    }

    /// Returns whether everything is accepted.
    pub(super) fn takes_any(&self) -> bool {
        self.any
    }

    /// Returns the answer for `address`. The null address is not a recipient (RFC 5321, 4.1.1.3).
    pub(super) fn standing(&self, address: &str) -> Standing {
        // A domain may end with the dot of the root.
        let address = address.strip_suffix('.').unwrap_or(address);
        let address = address.to_ascii_lowercase();
        match address.rsplit_once('@') {
            None if address == POSTMASTER => Standing::Listed,
            None => Standing::Unknown,
            Some(_) if self.any || self.addresses.contains(&address) => Standing::Listed,
            Some((_, domain)) if self.domains.contains(domain) => Standing::Listed,
            Some((POSTMASTER, domain)) if self.known.contains(domain) => Standing::Listed,
            Some((_, domain)) if self.known.contains(domain) => Standing::Unknown,
            Some(_) => Standing::Foreign,
        }
    }
}

fn unreadable(key: &str, index: usize, entry: &str) -> Problem {
    Problem::new(
        format!("{key}[{index}]"),
        format!("`{entry}` is not a valid address"),
        "write an address, `alerts@example.com`, or a whole domain, `@example.com`",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipients(list: &[&str]) -> Recipients {
        let list: Vec<String> = list.iter().map(|&entry| entry.to_owned()).collect();
        Recipients::new(&list, "recipients").unwrap()
    }

    #[test]
    fn listed_addresses_and_domains_are_taken_in_any_case() {
        let list = recipients(&["Alerts@Example.com", "@ops.example.com"]);
        for (address, standing) in [
            ("alerts@example.com", Standing::Listed),
            ("ALERTS@EXAMPLE.COM", Standing::Listed),
            ("anyone@OPS.example.com", Standing::Listed),
            ("other@example.com", Standing::Unknown),
            ("alerts@sub.ops.example.com", Standing::Foreign),
            ("alerts@example.com.evil.test", Standing::Foreign),
            ("alerts@example.com@evil.test", Standing::Foreign),
            ("", Standing::Unknown),
            ("postmaster", Standing::Listed),
            ("Postmaster@Example.com", Standing::Listed),
            ("postmaster@elsewhere.test", Standing::Foreign),
            ("alerts", Standing::Unknown),
        ] {
            assert_eq!(list.standing(address), standing, "{address}");
        }
    }

    #[test]
    fn what_is_not_ascii_is_compared_exactly() {
        let list = recipients(&["Störung@Bücher.example"]);
        assert_eq!(list.standing("stÖrung@bücher.example"), Standing::Unknown);
        assert_eq!(list.standing("STörung@BüCHER.example"), Standing::Listed);
        assert_eq!(
            list.standing("störung@xn--bcher-kva.example"),
            Standing::Foreign
        );
    }

    #[test]
    fn an_empty_list_takes_every_address_but_the_null_one() {
        assert_eq!(recipients(&[]).standing("a@b"), Standing::Listed);
        assert_eq!(recipients(&[]).standing(""), Standing::Unknown);
    }

    #[test]
    fn what_is_no_address_is_refused_with_its_place() {
        for wrong in ["alerts", "alerts@", "@", "a b@example.com", ""] {
            let list = ["ok@example.com".to_owned(), wrong.to_owned()];
            assert_eq!(
                Recipients::new(&list, "recipients").unwrap_err().key,
                "recipients[1]",
                "{wrong}"
            );
        }
    }
}
