//! What the mailbox's host recorded when the mail arrived there: its Authentication-Results (RFC 8601).
//!
//! It is the evidence that is left where the host changes what is signed: Gmail rewrites a Message-ID without `@`,
//! Exchange makes the MIME anew for IMAP. And it is a line that anybody can write. So it counts only
//!
//! - if the ingress names the host (`trusted_authserv_id`), and the **first** Authentication-Results is that host's;
//! - above every Received that is not that host's, so that it was not written before the mail got there;
//! - if the mail carries the very signature that is said to have passed (`header.d`, `header.i`, `header.s` and the
//!   beginning of `b=`), and that signature would count here: see [`Signature::fault`].
//!
//! The place alone cannot tell the host's line from a sender's. Hosts write theirs *below* the Received they add (Gmail:
//! `Received: by 2002:…`, then `Received: from … by mx.google.com`, then Authentication-Results), and that is where a
//! line lands that the sender wrote. A host that writes one on every mail, and so is always first, or that removes those
//! in its name (RFC 8601, 5), leaves no room for that; name no other. Against a host that fails once, the last condition
//! asks the forger for a signature of the domain that is fresh, and an alert of its own is all he can get one on.

use std::net::IpAddr;

use super::{
    Finding,
    domain::{aligned, is_below},
    freshness::Freshness,
    mail::Mail,
    results::{self, MethodResult, Received, Results},
    signature::Signature,
};

/// The name for Microsoft 365, whose hosts are many and write no authserv-id.
const EXCHANGE: &str = "exchange";

/// Where Microsoft 365's hosts are: the worldwide service, and those of the governments' and China's clouds.
const OF_EXCHANGE: [&str; 7] = [
    "outlook.com",
    "outlook.office365.com",
    "exchangelabs.com",
    "office365.us",
    "partner.outlook.cn",
    "outlook.office.de",
    "protection.outlook.de",
];

/// A host whose word counts: `trusted_authserv_id`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    Named(String),
    Exchange,
}

impl Host {
    pub fn new(trusted_authserv_id: &str) -> Self {
        match trusted_authserv_id {
            EXCHANGE => Self::Exchange,
            name => Self::Named(name.to_ascii_lowercase()),
        }
    }

    /// Whether it says so of itself.
    fn wrote(&self, results: &Results) -> bool {
        match (self, &results.host) {
            (Self::Named(name), Some(host)) => host.eq_ignore_ascii_case(name),
            (Self::Exchange, None) => true,
            _ => false,
        }
    }

    /// Whether a Received is one it adds: it took the mail, or handed it on within (Gmail: by an address, from nobody).
    fn took(&self, received: &Received) -> bool {
        let Some(by) = &received.by else { return false };
        match self {
            Self::Named(name) => by == name || (!received.has_from && is_address(by)),
            Self::Exchange => OF_EXCHANGE.iter().any(|domain| is_below(by, domain)),
        }
    }
}

fn is_address(by: &str) -> bool {
    by.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().is_ok()
}

/// Looks at the first Authentication-Results; `hosts` are those that count.
pub fn examine(mail: &Mail<'_>, hosts: &[&Host], freshness: &Freshness) -> Finding {
    let absent = |why: &str| Finding::Absent(format!("Authentication-Results: {why}"));
    if hosts.is_empty() {
        return absent("the ingress names no trusted_authserv_id");
    }
    let Some(place) = mail.fields.iter().position(|field| field.is(b"Authentication-Results")) else {
        return absent("the mail has none");
    };
    let Some(results) = results::read(mail.fields[place].value) else {
        return absent("the first cannot be read");
    };
    let Some(host) = hosts.iter().find(|host| host.wrote(&results)) else {
        let by = results.host.as_deref().unwrap_or("nobody it names");
        return absent(&format!("the first is by {by}, not by the trusted_authserv_id"));
    };
    let above = mail.fields[..place].iter().filter(|field| field.is(b"Received"));
    if let Some(other) = above.map(|field| Received::read(field.value)).find(|received| !host.took(received)) {
        let by = other.by.as_deref().unwrap_or("nobody it names");
        return absent(&format!("the first stands below a Received by {by}: it was there before the mail arrived"));
    }
    let by = results.host.as_deref().unwrap_or(EXCHANGE);
    match passed(&results, mail, freshness) {
        Ok(Some(signature)) => Finding::Proven {
            domain: signature.tags.d.clone(),
            selector: Some(signature.tags.s.clone()),
            how: format!("Authentication-Results: {by} verified {} when the mail arrived there", signature.name()),
        },
        Ok(None) => Finding::Refuted(format!(
            "Authentication-Results: by {by} a signature of {} passed that the mail does not carry: a forgery",
            mail.domain
        )),
        Err(why) => Finding::Refuted(format!("Authentication-Results: by {by} {why}")),
    }
}

/// The mail's signature that is said to have passed; none where it carries no such signature.
pub fn passed<'m, 'a>(
    results: &Results,
    mail: &'m Mail<'a>,
    freshness: &Freshness,
) -> Result<Option<&'m Signature<'a>>, String> {
    let ours = |result: &&MethodResult| {
        result.method == "dkim" && result.signer().is_some_and(|signer| aligned(signer, mail.domain))
    };
    let (passes, others): (Vec<_>, Vec<_>) =
        results.all.iter().filter(ours).partition(|result| result.result == "pass");
    if passes.is_empty() {
        let said = others.first().map_or("nothing", |result| result.result.as_str());
        return Err(format!("no signature of {} passed (dkim={said})", mail.domain));
    }
    let mut fault = None;
    for pass in passes {
        let quote = pass.property("header.b");
        let denied =
            |other: &&&MethodResult| other.property("header.b").is_none_or(|b| quote.is_none_or(|own| own == b));
        if let Some(other) = others.iter().find(denied) {
            return Err(format!("a signature of {} is said to be both pass and {}", mail.domain, other.result));
        }
        for signature in mail.signatures.iter().filter(|signature| is_meant(pass, signature)) {
            match signature.fault(mail, freshness).or_else(|| signature.partial_fault(mail)) {
                None => return Ok(Some(signature)),
                Some(why) => fault = Some(format!("{} passed, and does not count: {why}", signature.name())),
            }
        }
    }
    fault.map_or(Ok(None), Err)
}

/// Whether a result can be of this signature: nothing it quotes differs.
fn is_meant(result: &MethodResult, signature: &Signature<'_>) -> bool {
    let tags = &signature.tags;
    let agrees = |name: &str, fits: &dyn Fn(&str) -> bool| result.property(name).is_none_or(fits);
    let identity = |quoted: &str| {
        let domain = quoted.rsplit_once('@').map_or(quoted, |(_, domain)| domain);
        domain.eq_ignore_ascii_case(signature.identity_domain())
    };
    agrees("header.d", &|domain| domain.eq_ignore_ascii_case(&tags.d))
        && agrees("header.i", &identity)
        && agrees("header.s", &|selector| selector.eq_ignore_ascii_case(&tags.s))
        && agrees("header.b", &|start| !start.is_empty() && signature.base64().starts_with(start))
}
