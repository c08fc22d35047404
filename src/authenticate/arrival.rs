//! Authentication-Results (RFC 8601): what the mailbox's host recorded when the mail arrived there.
//!
//! This is the evidence that is left where the host changes what is signed: Gmail rewrites a
//! Message-ID without `@`, and Exchange rebuilds the MIME structure for IMAP. But anybody can write
//! such a field. So it counts only
//!
//! - if the ingress names the host (`trusted_authserv_id`), and the **first**
//!   Authentication-Results is that host's;
//! - if it stands above every Received that is not that host's, so that it was not written before
//!   the mail got there;
//! - if it is written as hosts write it. With white space before its colon, or a byte order mark
//!   before its name, it is a sender's field, and one that hosts do not recognise;
//! - if the mail carries the very signature that is said to have passed (`header.d`, `header.i`,
//!   `header.s` and the beginning of `b=`), and that signature would count here: see
//!   [`Signature::fault`]. Anybody can add other signatures that fit the result as well, so every
//!   signature that may be meant must count;
//! - if the body is the one that was signed (`bh=`), where the host keeps the body. Exchange does
//!   not: it rebuilds the MIME structure. The signature must then cover the Content-Type, as
//!   nothing is left of the body to tell how it was to be read.
//!
//! The position alone cannot tell the host's field from a sender's. Hosts write theirs *below* the
//! Received they add (Gmail: `Received: by 2002:…`, then `Received: from … by mx.google.com`,
//! then Authentication-Results), and a field that the sender wrote lands there too. This is no risk
//! with a host that writes the field on every mail, and so is always first, or that removes those
//! in its name (RFC 8601, 5); name no other host. If such a host fails once, the last two
//! conditions still require of the forger a fresh signature of the domain, which he can only get on
//! an alert of that domain's own.

use std::net::IpAddr;

use super::{
    Finding,
    domain::{aligned, is_below},
    freshness::Freshness,
    mail::Mail,
    results::{self, MethodResult, Received, Results},
    signature::Signature,
};
use crate::message::header::Field;

/// The name that stands for Microsoft 365, which has many hosts that write no authserv-id.
const EXCHANGE: &str = "exchange";

/// The domains of Microsoft 365's hosts: those of the worldwide service, and those of the
/// government clouds and of China.
const OF_EXCHANGE: [&str; 7] = [
    "outlook.com",
    "outlook.office365.com",
    "exchangelabs.com",
    "office365.us",
    "partner.outlook.cn",
    "outlook.office.de",
    "protection.outlook.de",
];

/// A trusted host: `trusted_authserv_id`.
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

    /// Returns whether an Authentication-Results field claims to be this host's.
    fn wrote(&self, results: &Results) -> bool {
        match (self, &results.host) {
            (Self::Named(name), Some(host)) => host.eq_ignore_ascii_case(name),
            (Self::Exchange, None) => true,
            _ => false,
        }
    }

    /// Returns what happens to the body on its way through this host.
    fn body(&self) -> Body {
        match self {
            Self::Named(_) => Body::Kept,
            Self::Exchange => Body::Remade,
        }
    }

    /// Returns whether the host added this Received field: it accepted the mail, or passed it on
    /// internally (Gmail: by an address, from nobody).
    fn took(&self, received: &Received) -> bool {
        let Some(by) = &received.by else { return false };
        match self {
            Self::Named(name) => by == name || (!received.has_from && is_address(by)),
            Self::Exchange => OF_EXCHANGE.iter().any(|domain| is_below(by, domain)),
        }
    }
}

/// What the verifying host has done to the body since.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    Kept,
    /// The host rebuilt the MIME structure, or added to it.
    Remade,
    /// A forwarder rebuilt the MIME structure, or added to it. Its seal covers what it wrote
    /// itself.
    Forwarded,
}

impl Body {
    /// Returns the fields that the host writes itself, and no sender.
    fn own_fields(self) -> &'static [&'static str] {
        match self {
            Self::Kept | Self::Remade => &[],
            Self::Forwarded => &["List-Id"],
        }
    }
}

fn is_address(by: &str) -> bool {
    by.trim_start_matches('[')
        .trim_end_matches(']')
        .parse::<IpAddr>()
        .is_ok()
}

/// Examines what the host wrote; `hosts` are the trusted ones.
pub fn examine(mail: &Mail<'_>, hosts: &[&Host], freshness: &Freshness) -> Finding {
    let absent = |why: &str| Finding::Absent(format!("Authentication-Results: {why}"));
    if hosts.is_empty() {
        return absent("the ingress names no trusted_authserv_id");
    }

    let Some(place) = mail.fields.iter().position(is_results) else {
        return absent("the mail has none");
    };
    let results = match read(&mail.fields[place], mail) {
        Ok(results) => results,
        Err(why) => return absent(&format!("the first {why}")),
    };
    let Some(host) = hosts.iter().find(|host| host.wrote(&results)) else {
        let by = results.host.as_deref().unwrap_or("nobody it names");
        return absent(&format!(
            "the first is by {by}, not by the trusted_authserv_id"
        ));
    };

    let mut above = received(&mail.fields[..place]);
    if let Some(other) = above.find(|received| !host.took(received)) {
        let by = other.by.as_deref().unwrap_or("nobody it names");
        return absent(&format!(
            "the first is below a Received by {by}: it was there before the mail arrived"
        ));
    }

    let results = if of_domain(&results, mail.domain).next().is_some() {
        results
    } else {
        further(mail, host, place).unwrap_or(results)
    };

    let by = results.host.as_deref().unwrap_or(EXCHANGE);

    match passed(&results, mail, freshness, host.body()) {
        Ok(Some(signature)) => Finding::Proven {
            domain: signature.tags.d.clone(),
            selector: Some(signature.tags.s.clone()),
            how: format!(
                "Authentication-Results: {by} verified {} when the mail arrived there",
                signature.name()
            ),
        },
        Ok(None) => Finding::Refuted(format!(
            "Authentication-Results: by {by} a signature of {} passed that the mail does not \
             carry: a forgery",
            mail.domain
        )),
        Err(why) => Finding::Refuted(format!("Authentication-Results: by {by} {why}")),
    }
}

fn is_results(field: &Field<'_>) -> bool {
    field.is(b"Authentication-Results")
}

/// Parses an Authentication-Results field. The error says why the field says nothing, as the end of
/// a sentence.
fn read(field: &Field<'_>, mail: &Mail<'_>) -> Result<Results, &'static str> {
    if !field.is_plainly(b"Authentication-Results") || !mail.came_so(field) {
        return Err("has something before its name or its colon, which no host writes");
    }
    results::read(field.value).ok_or("cannot be read")
}

/// Returns the Received fields among these. One that is oddly written names nobody.
fn received(fields: &[Field<'_>]) -> impl Iterator<Item = Received> {
    let fields = fields.iter().filter(|field| field.is(b"Received"));
    fields.map(|field| {
        let read = field
            .is_plainly(b"Received")
            .then(|| Received::read(field.value));
        read.unwrap_or(Received {
            by: None,
            has_from: false,
        })
    })
}

/// Returns the host's first result for a signature of the domain in the fields after its first one.
///
/// These fields count as long as all are the host's and stand above every Received, and if the host
/// was the last to receive the mail. Exchange writes one field only.
fn further(mail: &Mail<'_>, host: &Host, first: usize) -> Option<Results> {
    let taken = mail.fields.iter().position(|field| field.is(b"Received"))?;
    let is_its_own = received(&mail.fields[taken..])
        .next()
        .is_some_and(|received| host.took(&received));
    if *host == Host::Exchange || !is_its_own {
        return None;
    }

    let behind = mail.fields.get(first + 1..taken)?;
    behind
        .iter()
        .filter(|field| is_results(field))
        .map_while(|field| {
            let results = read(field, mail).ok()?;
            host.wrote(&results).then_some(results)
        })
        .find(|results| of_domain(results, mail.domain).next().is_some())
}

/// Returns the results for signatures of a domain.
fn of_domain<'r>(results: &'r Results, domain: &str) -> impl Iterator<Item = &'r MethodResult> {
    results.all.iter().filter(move |result| {
        result.method == "dkim"
            && result
                .signer()
                .is_some_and(|signer| aligned(signer, domain))
    })
}

/// Returns the mail's signature that is said to have passed; `None` if the mail carries no such
/// signature.
///
/// Every signature that a pass can mean must count: one that proves nothing may be the one that
/// passed.
pub fn passed<'m, 'a>(
    results: &Results,
    mail: &'m Mail<'a>,
    freshness: &Freshness,
    body: Body,
) -> Result<Option<&'m Signature<'a>>, String> {
    let (passes, others): (Vec<_>, Vec<_>) =
        of_domain(results, mail.domain).partition(|result| result.result == "pass");

    if passes.is_empty() {
        let said = others
            .first()
            .map_or("nothing", |result| result.result.as_str());
        return Err(format!(
            "no signature of {} passed (dkim={said})",
            mail.domain
        ));
    }

    let mut fault = None;
    for pass in passes {
        if let Some(other) = others.iter().find(|other| may_be_the_same(pass, other)) {
            return Err(format!(
                "a signature of {} is said to be both pass and {}",
                mail.domain, other.result
            ));
        }
        if mail.more_signatures {
            return Err(format!(
                "a signature of {} passed that may be one of those that are not looked at, as they \
                 are too many or cannot be read",
                mail.domain
            ));
        }

        let mut meant = mail
            .signatures
            .iter()
            .filter(|signature| is_meant(pass, signature))
            .peekable();
        let Some(first) = meant.peek().copied() else {
            continue;
        };
        fault = meant.find_map(|signature| {
            let why = signature
                .fault(mail, freshness, body.own_fields())
                .or_else(|| body_fault(signature, mail, body))?;
            Some(format!("{}, which does not count: {why}", signature.name()))
        });
        if fault.is_none() {
            return Ok(Some(first));
        }
    }

    match fault {
        Some(weakest) => Err(format!("a signature passed that may be {weakest}")),
        None => Ok(None),
    }
}

/// Returns whether two results can be about one signature: they do not quote different ones.
fn may_be_the_same(one: &MethodResult, other: &MethodResult) -> bool {
    let quoted = one.property("header.b").zip(other.property("header.b"));
    quoted.is_none_or(|(one, other)| one == other)
}

/// Returns why a signature that was verified elsewhere does not prove the present body.
fn body_fault(signature: &Signature<'_>, mail: &Mail<'_>, body: Body) -> Option<String> {
    if signature.fits_body(mail) {
        return mail.body_fault().map(str::to_owned);
    }

    match body {
        _ if signature.is_partial() => {
            Some("it covers only the beginning of the body (l=)".to_owned())
        }
        Body::Kept => Some("it does not fit the body, which was altered since (bh=)".to_owned()),
        Body::Remade | Body::Forwarded => (!signature.covers("Content-Type")).then(|| {
            "it does not cover Content-Type, and the body was re-encoded since: it could have been \
             read in another way"
                .to_owned()
        }),
    }
}

/// Returns whether a result can be about this signature: nothing that it quotes differs.
fn is_meant(result: &MethodResult, signature: &Signature<'_>) -> bool {
    let tags = &signature.tags;
    let agrees = |name: &str, fits: &dyn Fn(&str) -> bool| result.property(name).is_none_or(fits);
    let identity = |quoted: &str| {
        let domain = quoted.rsplit_once('@').map_or(quoted, |(_, domain)| domain);
        domain.eq_ignore_ascii_case(signature.identity_domain())
    };

    agrees("header.d", &|domain| domain.eq_ignore_ascii_case(&tags.d))
        && agrees("header.i", &identity)
        && agrees("header.s", &|selector| {
            selector.eq_ignore_ascii_case(&tags.s)
        })
        && agrees("header.b", &|start| {
            !start.is_empty() && signature.base64().starts_with(start)
        })
}
