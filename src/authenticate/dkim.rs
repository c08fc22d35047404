//! The mail's own DKIM signature (RFC 6376), verified over the stored bytes.
//!
//! mail-auth does the cryptography. What it lets pass, and must not prove anything here, is refused before: see
//! [`Signature::fault`].

use mail_auth::{
    DkimResult, DnsError, Error,
    common::{
        crypto::{CryptoError, HashAlgorithm},
        headers::Header,
    },
    dkim::DkimError,
};

use super::{
    Finding,
    dns::Dns,
    freshness::Freshness,
    mail::Mail,
    signature::{Signature, key_name},
};

/// Looks for one signature of the domain that verifies.
pub async fn examine(mail: &Mail<'_>, dns: &Dns, freshness: &Freshness) -> Finding {
    if mail.signatures.is_empty() {
        let domain = mail.domain;
        return Finding::Absent(match mail.signed {
            0 => "DKIM: the mail is not signed".to_owned(),
            1 => format!("DKIM: the mail's one signature is not of {domain}, or cannot be read"),
            many => format!("DKIM: none of the mail's {many} signatures that can be read is of {domain}"),
        });
    }
    if let Some(fault) = mail.body_fault() {
        return Finding::Refuted(format!("DKIM: {fault}"));
    }
    let mut to_verify = mail.to_verify();
    let mut refuted = Vec::new();
    for signature in &mail.signatures {
        let (of, tags) = (signature.name(), &signature.tags);
        if let Some(fault) = signature.fault(mail, freshness) {
            refuted.push(format!("{of} does not count: {fault}"));
            continue;
        }
        // What was checked above is not checked again by another clock; and nobody is asked for what is of no use here.
        let lean = mail_auth::dkim::Signature { l: 0, x: 0, r: false, atps: None, ..tags.clone() };
        to_verify.body_hashes = vec![mail.body_hashes(tags.cb, HashAlgorithm::from(tags.a))];
        to_verify.dkim_headers = vec![Header::new(signature.field.name, signature.field.value, lean)];
        match dns.verify_dkim(&to_verify, &key_name(tags)).await {
            DkimResult::Pass => {
                let how = format!("DKIM: {of} verifies");
                return Finding::Proven { domain: tags.d.clone(), selector: Some(tags.s.clone()), how };
            }
            // The next key is at the same name servers.
            result if is_trouble(&result) => {
                return Finding::Trouble(format!("DKIM: the key of {of} cannot be looked up: {result}"));
            }
            result => refuted.push(format!("{of} {}", why(&result, signature, dns).await)),
        }
    }
    Finding::Refuted(format!("DKIM: {}", refuted.join("; ")))
}

/// Whether DNS was of no help, which says nothing of the mail.
pub fn is_trouble(result: &DkimResult) -> bool {
    match result {
        DkimResult::TempError(_) => true,
        DkimResult::PermError(Error::Dns(DnsError::RecordNotFound(code))) => !super::dns::means_nothing_there(*code),
        _ => false,
    }
}

/// Why a signature does not verify, for a sentence.
async fn why(result: &DkimResult, signature: &Signature<'_>, dns: &Dns) -> String {
    let error = match result {
        DkimResult::Neutral(error) | DkimResult::Fail(error) | DkimResult::PermError(error) => error,
        DkimResult::TempError(_) | DkimResult::Pass | DkimResult::None => return result.to_string(),
    };
    let name = key_name(&signature.tags);
    match error {
        Error::Dkim(DkimError::FailedBodyHashMatch) if signature.is_partial() => {
            "covers only the beginning of the body (l=), and more was added or altered".to_owned()
        }
        Error::Dkim(DkimError::FailedBodyHashMatch) => "does not fit: the body was altered".to_owned(),
        Error::Dkim(DkimError::RevokedPublicKey) => format!("is by a key that was revoked ({name})"),
        Error::Dkim(DkimError::FailedAuidMatch) => format!("is for {}, which is not of its domain", signature.tags.i),
        Error::Dns(DnsError::RecordNotFound(_)) => format!("is by a key that DNS does not have ({name})"),
        Error::Dns(DnsError::InvalidRecordType) | Error::ParseError | Error::Base64 => {
            format!("is by a key that cannot be read ({name})")
        }
        Error::Crypto(CryptoError::FailedVerification) => match dns.key_bits(&name).await {
            Some(bits) if bits < 1024 => format!("is by a key of {bits} bits, which can be broken (RFC 8301)"),
            _ => "does not fit: a field that is signed was altered".to_owned(),
        },
        error => format!("does not verify: {error}"),
    }
}
