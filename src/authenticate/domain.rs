//! Relaxed alignment (RFC 7489, 3.1.1) of DNS names: whether a domain may speak for another.

/// Returns whether `signer` may speak for `domain`: it is the same, a sub-domain of it, or a
/// parent.
///
/// A parent only counts if it can be registered, by Mozilla's public suffix list (RFC 7489, 3.2):
/// otherwise a key for `com` would speak for all of it.
///
/// This is narrower than DMARC, which lets `other.atlassian.com` speak for `am.atlassian.com` as
/// well.
pub fn aligned(signer: &str, domain: &str) -> bool {
    is_name(signer)
        && (signer.eq_ignore_ascii_case(domain)
            || is_below(signer, domain)
            || (is_below(domain, signer) && is_registrable(signer)))
}

/// Returns whether `name` is a sub-domain of `above`.
pub fn is_below(name: &str, above: &str) -> bool {
    name.len()
        .checked_sub(above.len())
        .and_then(|split| name.split_at_checked(split))
        .is_some_and(|(labels, rest)| {
            labels.len() > 1 && labels.ends_with('.') && rest.eq_ignore_ascii_case(above)
        })
}

/// Returns whether the name is below a public suffix, and so belongs to somebody.
pub fn is_registrable(name: &str) -> bool {
    is_name(name) && psl::domain_str(&name.to_ascii_lowercase()).is_some()
}

/// Returns whether DNS can be queried for the name (RFC 1035, 2.3.1 and 2.3.4; underscores are
/// common).
///
/// A name that cannot be queried must not look like a failure of DNS.
pub fn is_name(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_speaks_for_itself_and_those_above_and_below_it() {
        let ours = "am.atlassian.com";
        for signer in [
            "am.atlassian.com",
            "AM.Atlassian.com",
            "mail.am.atlassian.com",
            "atlassian.com",
        ] {
            assert!(aligned(signer, ours), "{signer}");
        }
        for signer in [
            "com",
            "",
            ".",
            "evil.example",
            "xam.atlassian.com",
            "am.atlassian.com.evil.example",
            "other.atlassian.com",
            ".am.atlassian.com",
            "am.atlassian.com.",
            "a..am.atlassian.com",
            "am.atlassian.com\0",
        ] {
            assert!(!aligned(signer, ours), "{signer}");
        }
    }

    #[test]
    fn what_nobody_can_register_speaks_for_nobody() {
        assert!(!aligned("co.uk", "alerts.example.co.uk"));
        assert!(aligned("example.co.uk", "alerts.example.co.uk"));
        assert!(!aligned("github.io", "someone.github.io"));
    }

    #[test]
    fn names_fit_into_dns() {
        assert!(is_name("s1._domainkey.am.atlassian.com"));
        assert!(!is_name(&format!("{}.com", "a".repeat(64))));
        assert!(!is_name(&"a.".repeat(130)));
        for odd in [
            "a b.com",
            "-x.com",
            "x-.com",
            "",
            ".",
            "a..b",
            ".com",
            "com.",
            "a\0.com",
            "ä.com",
            "a.com\r\n",
        ] {
            assert!(!is_name(odd), "{odd:?}");
        }
        // Names that IDNA refuses are queried as they are.
        for plain in ["xn--zzzz.com", "ab--cd.com", "_x.com", "1.com"] {
            assert!(is_name(plain), "{plain}");
        }
    }
}
