//! The DNS record of a key (RFC 6376, 3.6.1), and whether what the key verifies is proven.
//!
//! mail-auth parses the key, and leaves the record's restrictions on its use to the caller.

use mail_auth::common::{parse::TxtRecordParser as _, verify::DomainKey};

use super::tags::Tags;

/// The shortest RSA key that counts (RFC 8301), in bits.
const SHORTEST: usize = 1024;

/// Returns the key of the first record that contains one. The error describes the kind of key, as
/// part of a sentence.
pub fn read(records: &[Vec<u8>]) -> Result<DomainKey, String> {
    let mut unfit = None;
    for record in records {
        match key(record) {
            Ok(key) => return Ok(key),
            Err(why) => unfit = unfit.or(Some(why)),
        }
    }
    Err(unfit.unwrap_or_else(|| "a key that DNS does not have".to_owned()))
}

fn key(record: &[u8]) -> Result<DomainKey, String> {
    const UNREADABLE: &str = "a key that cannot be read";
    let tags = Tags::read(record).map_err(|_| UNREADABLE)?;
    let is_first = tags
        .first()
        .is_some_and(|first| first.eq_ignore_ascii_case(b"v"));

    if tags
        .value("v")
        .is_some_and(|version| version != b"DKIM1" || !is_first)
    {
        return Err("a key of another version than DKIM1".to_owned());
    }
    if tags.value("p").is_some_and(<[u8]>::is_empty) {
        return Err("a key that was revoked".to_owned());
    }

    if tags.lists("t", &["y"]) == Some(true) {
        return Err("a key whose domain is only testing (t=y)".to_owned());
    }

    if tags.lists("s", &["*", "email"]) == Some(false) {
        return Err("a key that is not for mail (s=)".to_owned());
    }

    if tags.lists("h", &["sha256"]) == Some(false) {
        return Err("a key that does not allow SHA-256 (h=)".to_owned());
    }

    let is_rsa = match tags.value("k") {
        None => true,
        Some(kind) if kind.eq_ignore_ascii_case(b"rsa") => true,
        Some(kind) if kind.eq_ignore_ascii_case(b"ed25519") => false,
        Some(_) => return Err("a key of an unknown kind (k=)".to_owned()),
    };

    let key = DomainKey::parse(record).map_err(|_| UNREADABLE)?;

    match key.p.public_key_bits() {
        0 => Err(UNREADABLE.to_owned()),
        bits if is_rsa && bits < SHORTEST => Err(format!(
            "a key of {bits} bits, which can be broken (RFC 8301)"
        )),
        _ => Ok(key),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key of RFC 8463, A.2.
    const ED25519: &str = "p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";

    fn says(tags: &str) -> Option<String> {
        read(&[tags.replace("p=E", ED25519).into_bytes()]).err()
    }

    #[test]
    fn a_key_is_for_mail_unless_it_says_otherwise() {
        for tags in [
            "v=DKIM1; k=ed25519; p=E",
            "k=ed25519; p=E;",
            "v=DKIM1; k=ed25519; p=E;;",
            "v=DKIM1; k=ed25519; p=E ; ; ",
            "v=DKIM1; k=ed25519; s=email; p=E",
            "v=DKIM1; k=ed25519; s=tlsrpt : email; p=E",
            "v=DKIM1; k=ed25519; s=*; t=s; h=sha1:sha256; n=note; g=; x-y=1; p=E"
                .replace("x-y=1; ", "")
                .as_str(),
            "v=DKIM1; k=ed25519; h=SHA256; p=E",
        ] {
            assert_eq!(says(tags), None, "{tags}");
        }
    }

    #[test]
    fn what_proves_nothing_is_refused_with_its_reason() {
        for (tags, why) in [
            ("v=DKIM1; k=ed25519; t=y; p=E", "t=y"),
            ("v=DKIM1; k=ed25519; t=s:y; p=E", "t=y"),
            ("v=DKIM1; k=ed25519; t= Y ; p=E", "t=y"),
            ("v=DKIM1; k=ed25519; s=tlsrpt; p=E", "s="),
            ("v=DKIM1; k=ed25519; s=; p=E", "s="),
            ("v=DKIM1; k=ed25519; h=sha1; p=E", "h="),
            ("v=DKIM1; k=ed25519; h=; p=E", "h="),
            ("v=DKIM1; k=dsa; p=E", "k="),
            ("v=DKIM1; k=; p=E", "k="),
            ("v=DKIM2; k=ed25519; p=E", "version"),
            ("v=dkim1; k=ed25519; p=E", "version"),
            ("k=ed25519; v=DKIM1; p=E", "version"),
            ("v=DKIM1; k=ed25519; p=", "revoked"),
            ("v=DKIM1; k=ed25519; p=E; p=E", "cannot be read"),
            ("v=DKIM1; k=ed25519; t=y; t=s; p=E", "cannot be read"),
            ("v=DKIM1; k=rsa; p=E", "cannot be read"),
            ("v=DKIM1; k=ed25519", "cannot be read"),
            ("v=spf1 -all", "version"),
            ("", "cannot be read"),
        ] {
            let said = says(tags).unwrap_or_else(|| panic!("{tags} passed"));
            assert!(said.contains(why), "{tags}: {said}");
        }
        assert!(read(&[]).is_err_and(|why| why.contains("does not have")));
    }

    #[test]
    fn what_is_no_key_stands_beside_one() {
        let good = format!("v=DKIM1; k=ed25519; {ED25519}").into_bytes();
        assert!(read(&[b"v=spf1 -all".to_vec(), good]).is_ok());
    }
}
