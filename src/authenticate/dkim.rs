//! The mail's own DKIM signature (RFC 6376), verified over the stored bytes.
//!
//! mail-auth does the cryptography. What it accepts, but must not prove anything here, is refused
//! beforehand: see [`Signature::fault`] and [`super::key`].

use mail_auth::{
    DkimResult, Error,
    common::{
        crypto::{CryptoError, HashAlgorithm},
        headers::Header,
    },
    dkim::DkimError,
};

use super::{
    Finding,
    dns::{Dns, Keys, NoKey},
    freshness::Freshness,
    mail::Mail,
    questions::Questions,
    signature::{Signature, key_name},
};

/// Looks for a signature of the domain that verifies.
pub async fn examine(mail: &Mail<'_>, questions: &Questions<'_>, freshness: &Freshness) -> Finding {
    if mail.signatures.is_empty() {
        return none_of_domain(mail);
    }
    if let Some(fault) = mail.body_fault() {
        return Finding::Refuted(format!("DKIM: {fault}"));
    }

    let mut refuted = Vec::new();
    let mut trouble = None;
    let mut asked_on = false;
    for signature in &mail.signatures {
        // The key of a signature that proves nothing anyway is not queried.
        if let Some(flaw) = flaw(signature, mail, freshness) {
            refuted.push(flaw);
            continue;
        }

        let of = signature.name();
        let name = key_name(&signature.tags);
        // The key of a further signature may be on other name servers, by a CNAME. But each query
        // that stays unanswered takes its time, so only one more is made.
        if trouble.is_some() && !questions.dns.knows(&name, mail.domain) {
            if asked_on {
                continue;
            }
            asked_on = true;
        }

        let key = match questions.key(&name, mail.domain).await {
            Ok(key) => key,
            Err(NoKey::Unfit(why)) => {
                refuted.push(format!("{of} is by {why}"));
                continue;
            }
            Err(NoKey::Trouble(why)) => {
                trouble.get_or_insert(format!("the key of {of} cannot be looked up: {why}"));
                continue;
            }
        };
        let keys = Keys::from([(format!("{name}.").into(), key)]);
        match verify(mail, signature, questions.dns, keys).await {
            DkimResult::Pass => {
                return Finding::Proven {
                    domain: signature.tags.d.clone(),
                    selector: Some(signature.tags.s.clone()),
                    how: format!("DKIM: {of} verifies"),
                };
            }
            result => refuted.push(format!("{of} {}", why(&result, signature))),
        }
    }

    match trouble {
        Some(why) => Finding::Trouble(format!("DKIM: {why}")),
        None => Finding::Refuted(format!("DKIM: {}", refuted.join("; "))),
    }
}

/// Returns the finding for a mail without a readable signature of the domain.
fn none_of_domain(mail: &Mail<'_>) -> Finding {
    let domain = mail.domain;
    match (mail.signed, mail.unreadable) {
        (0, _) => Finding::Absent("DKIM: the mail is not signed".to_owned()),
        (1, 0) => Finding::Absent(format!("DKIM: the mail's one signature is not of {domain}")),
        (many, 0) => Finding::Absent(format!(
            "DKIM: none of the mail's {many} signatures is of {domain}"
        )),
        (_, _) => Finding::Refuted(format!(
            "DKIM: the mail has a signature that cannot be read, and none that can is of {domain}"
        )),
    }
}

/// Returns why a signature would prove nothing even if it verified.
fn flaw(signature: &Signature<'_>, mail: &Mail<'_>, freshness: &Freshness) -> Option<String> {
    let of = signature.name();
    if let Some(fault) = signature.fault(mail, freshness, &[]) {
        return Some(format!("{of} does not count: {fault}"));
    }
    (!signature.fits_body(mail)).then(|| format!("{of} {}", altered(signature)))
}

async fn verify(mail: &Mail<'_>, signature: &Signature<'_>, dns: &Dns, keys: Keys) -> DkimResult {
    let tags = &signature.tags;
    // Body length and expiry were checked before, and must not be checked again against another
    // clock. Reports to the signer are of no use here, so no address for them is queried.
    let lean = mail_auth::dkim::Signature {
        l: 0,
        x: 0,
        r: false,
        atps: None,
        ..tags.clone()
    };

    let mut to_verify = mail.to_verify();
    to_verify.body_hashes = vec![mail.body_hashes(tags.cb, HashAlgorithm::from(tags.a))];
    to_verify.dkim_headers = vec![Header::new(
        signature.field.name,
        signature.field.value,
        lean,
    )];

    dns.verify_dkim(&to_verify, keys).await
}

fn altered(signature: &Signature<'_>) -> &'static str {
    if signature.is_partial() {
        "covers only the beginning of the body (l=), and more was added or altered"
    } else {
        "does not fit: the body was altered"
    }
}

/// Returns why a signature does not verify, as part of a sentence.
fn why(result: &DkimResult, signature: &Signature<'_>) -> String {
    match result {
        DkimResult::Neutral(error) | DkimResult::Fail(error) | DkimResult::PermError(error) => {
            match error {
                Error::Dkim(DkimError::FailedAuidMatch) => {
                    format!(
                        "is for {}, which its key does not allow (t=s)",
                        signature.tags.i
                    )
                }
                Error::Crypto(CryptoError::FailedVerification) => {
                    "does not fit: a field that is signed was altered".to_owned()
                }
                error => format!("does not verify: {error}"),
            }
        }
        DkimResult::TempError(_) | DkimResult::Pass | DkimResult::None => result.to_string(),
    }
}
