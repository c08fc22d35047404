//! Authentication-Results (RFC 8601): what the mailbox's host recorded when the mail arrived there.
//!
//! It is the evidence that is left where the host changes what is signed: Gmail rewrites a
//! Message-ID without `@`, Exchange makes the MIME anew for IMAP. And it is a line that anybody can
//! write. So it counts only
//!
//! - if the ingress names the host (`trusted_authserv_id`), and the **first**
//!   Authentication-Results is that host's;
//! - above every Received that is not that host's, so that it was not written before the mail got
//!   there;
//! - if it is written as hosts write it: with white space before its colon, or a byte order mark
//!   before its name, it is a sender's, and one that hosts do not know for what it is;
//! - if the mail carries the very signature that is said to have passed (`header.d`, `header.i`,
//!   `header.s` and the beginning of `b=`), and that signature would count here: see
//!   [`Signature::fault`]. Anybody can put others beside it that what is said fits as well, so all
//!   that may be meant must count;
//! - if the body is the one that was signed (`bh=`), where the host keeps it. Exchange does not: it
//!   makes the MIME anew. There the signature must cover the Content-Type, as nothing is left of
//!   the body to tell how it was to be read.
//!
//! The place alone cannot tell the host's line from a sender's. Hosts write theirs *below* the
//! Received they add (Gmail: `Received: by 2002:…`, then `Received: from … by mx.google.com`,
//! then Authentication-Results), and that is where a line lands that the sender wrote. A host that
//! writes one on every mail, and so is always first, or that removes those in its name (RFC 8601,
//! 5), leaves no room for that; name no other. Against a host that fails once, the last condition
//! asks the forger for a signature of the domain that is fresh, and an alert of its own is all he
//! can get one on.

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

/// The name for Microsoft 365, which has many hosts that write no authserv-id.
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

    /// Whether an Authentication-Results claims to be this host's.
    fn wrote(&self, results: &Results) -> bool {
        match (self, &results.host) {
            (Self::Named(name), Some(host)) => host.eq_ignore_ascii_case(name),
            (Self::Exchange, None) => true,
            _ => false,
        }
    }

    /// What happens to the body on its way through it.
    fn body(&self) -> Body {
        match self {
            Self::Named(_) => Body::Kept,
            Self::Exchange => Body::Remade,
        }
    }

    /// Whether a Received is one that it adds: it accepted the mail, or passed it on internally
    /// (Gmail: by an address, from nobody).
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
    /// The same, by a forwarder, whose seal covers what it wrote itself.
    Forwarded,
}

impl Body {
    /// The fields that are the host's own, and no sender's.
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

/// Reads an Authentication-Results. The error says why it says nothing, and goes on a sentence.
fn read(field: &Field<'_>, mail: &Mail<'_>) -> Result<Results, &'static str> {
    if !field.is_plainly(b"Authentication-Results") || !mail.came_so(field) {
        return Err("has something before its name or its colon, as no host writes it");
    }
    results::read(field.value).ok_or("cannot be read")
}

/// The Received among these fields. One that is written oddly names nobody.
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

/// Returns the host's first word on the domain's signature in the fields that follow its first one.
/// They count as long as all are the host's and stand above every Received, and if the host took
/// the mail last. Exchange writes one field only.
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

/// The mail's signature that is said to have passed; `None` if it carries no such signature. Of
/// those that a pass can mean, each must count: one that proves nothing may be the one that passed.
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

/// Whether two results can be about one signature: they do not quote two.
fn may_be_the_same(one: &MethodResult, other: &MethodResult) -> bool {
    let quoted = one.property("header.b").zip(other.property("header.b"));
    quoted.is_none_or(|(one, other)| one == other)
}

/// Why a signature that was verified elsewhere does not prove the present body.
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
            "it does not cover Content-Type, and the body was made anew since: it could have been \
             read otherwise"
                .to_owned()
        }),
    }
}

/// Whether a result can be about this signature: nothing that it quotes differs.
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
