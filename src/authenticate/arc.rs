//! A chain of forwarders' seals (RFC 8617): each says what it saw when the mail reached it.
//!
//! Anybody can add to a chain and say what he likes. So it counts only where it validates, a
//! forwarder that is named (`trusted_arc_sealers`) sealed the very instance whose
//! ARC-Authentication-Results say dkim=pass for the domain, and every later instance is a named
//! one's too: none else touched the mail since.

use mail_auth::{
    DkimResult,
    arc::{Results as Instance, Seal, Signature as MessageSignature},
    common::{
        crypto::{Algorithm, HashAlgorithm},
        headers::Header,
    },
};

use super::{
    Finding,
    arrival::{self, Body},
    dns::{Dns, Keys, NoKey},
    domain::is_name,
    freshness::Freshness,
    mail::Mail,
    questions::Questions,
    results,
    tags::Tags,
};
use crate::message::header::Field;

/// The longest chain that is examined; RFC 8617 allows 50, and each seal costs a look-up and a
/// verification.
const INSTANCES: usize = 10;

struct Chain<'a> {
    seals: Vec<Header<'a, Seal>>,
    signatures: Vec<Header<'a, MessageSignature>>,
    results: Vec<Header<'a, Instance>>,
}

/// Looks for a seal that counts.
pub async fn examine(
    mail: &Mail<'_>,
    sealers: &[String],
    questions: &Questions<'_>,
    freshness: &Freshness,
) -> Finding {
    let mut chain = match Chain::of(mail) {
        Ok(Some(chain)) => chain,
        Ok(None) => return Finding::Absent("ARC: the mail has no chain of seals".to_owned()),
        Err(why) => return Finding::Refuted(format!("ARC: {why}")),
    };

    let named = |seal: &Header<'_, Seal>| {
        sealers
            .iter()
            .any(|sealer| sealer.eq_ignore_ascii_case(&seal.header.d))
    };

    let first_named = chain
        .seals
        .iter()
        .rposition(|seal| !named(seal))
        .map_or(0, |place| place + 1);

    let Some(last) = chain
        .seals
        .last()
        .filter(|_| first_named < chain.seals.len())
    else {
        let last = chain
            .seals
            .last()
            .map_or("nobody", |seal| seal.header.d.as_str());
        return Finding::Absent(format!(
            "ARC: the last seal is by {last}, which trusted_arc_sealers does not name"
        ));
    };

    let last = last.header.d.clone();
    let (witness, selector) = match chain.witness(first_named, mail, freshness) {
        Ok(found) => found,
        Err(why) => return Finding::Refuted(format!("ARC: {why}")),
    };

    if let Some(fault) = chain.fault(mail, sealers, freshness, witness) {
        return Finding::Refuted(format!("ARC: {fault}"));
    }

    let keys = match chain.keys(first_named, questions).await {
        Ok(keys) => keys,
        Err(NoKey::Trouble(why)) => {
            return Finding::Trouble(format!("ARC: a key cannot be looked up: {why}"));
        }
        Err(NoKey::Unfit(why)) => {
            return Finding::Refuted(format!(
                "ARC: the chain, last sealed by {last}, does not validate: {why}"
            ));
        }
    };

    match chain.verify(mail, questions.dns, keys).await {
        DkimResult::Pass => {
            let by = &chain.seals[witness].header;
            let how = format!(
                "ARC: {} verified the signature of {} and sealed that (instance {} of {}); the \
                 chain validates",
                by.d,
                mail.domain,
                by.i,
                chain.seals.len()
            );
            Finding::Proven {
                domain: mail.domain.to_owned(),
                selector,
                how,
            }
        }
        result => Finding::Refuted(format!(
            "ARC: the chain, last sealed by {last}, does not validate: {result}"
        )),
    }
}

impl<'a> Chain<'a> {
    /// Parses the chain: `None` if the mail has none; the error says why it cannot be parsed.
    fn of(mail: &Mail<'a>) -> Result<Option<Self>, String> {
        let read = |error: mail_auth::Error| format!("the chain cannot be read: {error}");
        let mut chain = Self {
            seals: fields(mail, b"ARC-Seal", Seal::parse).map_err(read)?,
            signatures: fields(mail, b"ARC-Message-Signature", MessageSignature::parse)
                .map_err(read)?,
            results: fields(mail, b"ARC-Authentication-Results", Instance::parse).map_err(read)?,
        };

        let lengths = [
            chain.seals.len(),
            chain.signatures.len(),
            chain.results.len(),
        ];

        if lengths == [0; 3] {
            return Ok(None);
        }

        if lengths[0] > INSTANCES {
            return Err(format!("the chain has more than {INSTANCES} instances"));
        }

        chain.seals.sort_by_key(|seal| seal.header.i);
        chain.signatures.sort_by_key(|signature| signature.header.i);
        chain.results.sort_by_key(|results| results.header.i);

        let whole = lengths == [lengths[0]; 3]
            && (1..)
                .zip(&chain.seals)
                .all(|(instance, seal)| seal.header.i == instance)
            && (1..)
                .zip(&chain.signatures)
                .all(|(instance, signature)| signature.header.i == instance)
            && (1..)
                .zip(&chain.results)
                .all(|(instance, results)| results.header.i == instance);

        if !whole {
            return Err("the chain is not whole".to_owned());
        }

        for value in chain
            .seals
            .iter()
            .map(|seal| seal.value)
            .chain(chain.signatures.iter().map(|of| of.value))
        {
            let tags =
                Tags::read(value).map_err(|odd| format!("the chain breaks RFC 8617: {odd}"))?;
            if tags.value("a").is_none_or(<[u8]>::is_empty) {
                return Err("the chain breaks RFC 8617: a seal names no algorithm (a=)".to_owned());
            }
        }

        if !chain.names().all(|(name, _)| is_name(&name)) {
            return Err("DNS cannot be asked for the name of a key".to_owned());
        }

        Ok(Some(chain))
    }

    /// The DNS name and the domain of each seal's key, and finally of the last signature's.
    fn names(&self) -> impl Iterator<Item = (String, &str)> {
        let seals = self
            .seals
            .iter()
            .map(|seal| (&seal.header.s, &seal.header.d));

        let last = self
            .signatures
            .last()
            .map(|last| (&last.header.s, &last.header.d));

        seals
            .chain(last)
            .map(|(selector, domain)| (format!("{selector}._domainkey.{domain}"), domain.as_str()))
    }

    /// The keys that the chain needs. DNS failures only count at the named domains, which are asked
    /// first: a stranger chose the others.
    async fn keys(&self, first_named: usize, questions: &Questions<'_>) -> Result<Keys, NoKey> {
        let mut keys = Keys::new();

        for (name, domain) in self.names().skip(first_named) {
            let key = questions
                .key(&name, domain)
                .await
                .map_err(|why| match why {
                    NoKey::Unfit(why) => NoKey::Unfit(format!("a seal is by {why}")),
                    trouble @ NoKey::Trouble(_) => trouble,
                })?;
            keys.insert(format!("{name}.").into(), key);
        }

        for (name, _) in self.names().take(first_named) {
            let key = questions
                .strangers_key(&name)
                .await
                .map_err(|why| match why {
                    NoKey::Unfit(why) | NoKey::Trouble(why) => {
                        NoKey::Unfit(format!("a seal that is not named is by {why}"))
                    }
                })?;
            keys.insert(format!("{name}.").into(), key);
        }

        Ok(keys)
    }

    /// The latest instance from `first` on that says dkim=pass for the domain, and its selector if
    /// there is one.
    fn witness(
        &self,
        first: usize,
        mail: &Mail<'_>,
        freshness: &Freshness,
    ) -> Result<(usize, Option<String>), String> {
        let mut why = format!(
            "no forwarder that is named says dkim=pass for {}",
            mail.domain
        );

        for place in (first..self.results.len()).rev() {
            let Some(results) = results::read_arc(self.results[place].value) else {
                continue;
            };
            match arrival::passed(&results, mail, freshness, Body::Forwarded) {
                Ok(signature) => {
                    return Ok((place, signature.map(|signature| signature.tags.s.clone())));
                }
                Err(fault) => why = format!("{} sealed that {fault}", self.seals[place].header.d),
            }
        }

        Err(why)
    }

    /// Why the chain would prove nothing even if it validated.
    fn fault(
        &self,
        mail: &Mail<'_>,
        sealers: &[String],
        freshness: &Freshness,
        witness: usize,
    ) -> Option<String> {
        if let Some(fault) = mail.body_fault() {
            return Some(fault.to_owned());
        }

        let last = &self.signatures.last()?.header;
        let from_witness = &self.signatures[witness..];
        let named = |domain: &str| {
            sealers
                .iter()
                .any(|sealer| sealer.eq_ignore_ascii_case(domain))
        };
        if let Some(stranger) = from_witness.iter().find(|one| !named(&one.header.d)) {
            return Some(format!(
                "its signature {} is by {}, which trusted_arc_sealers does not name",
                stranger.header.i, stranger.header.d
            ));
        }

        let weak = self
            .seals
            .iter()
            .any(|seal| seal.header.a == Algorithm::RsaSha1);

        if weak
            || from_witness
                .iter()
                .any(|one| one.header.a == Algorithm::RsaSha1)
        {
            return Some("it uses rsa-sha1, which can be forged (RFC 8301)".to_owned());
        }

        // A forwarder signs the mail as it receives it, so whatever one signature leaves open may
        // have been altered before the next forwarder signed (RFC 8617, 5.2).
        for one in from_witness {
            // A list behind it may have written that one.
            let known: &[&str] = if one.header.i == last.i {
                &[]
            } else {
                &["List-Id"]
            };
            if let Some(gap) = mail.uncovered(&one.header.h, known) {
                return Some(format!(
                    "its signature {} leaves it open: {gap}",
                    one.header.i
                ));
            }
        }

        let arrived = mail.message.arrived_at;
        if last.x > 0 && i64::try_from(last.x).is_ok_and(|expiry| arrived.as_second() > expiry) {
            return Some(format!(
                "its last signature had expired when the mail arrived (x={})",
                last.x
            ));
        }

        let covers_date = || last.h.iter().any(|name| name.eq_ignore_ascii_case("Date"));
        match self.seals.get(witness)?.header.t {
            0 if freshness.is_unlimited() || (covers_date() && mail.date.is_some()) => None,
            0 => Some(
                "the seal says no time and covers no Date that can be read: it could be a replay"
                    .to_owned(),
            ),
            sealed => freshness.of_seconds("the time it was sealed", sealed, arrived),
        }
    }

    async fn verify(&mut self, mail: &Mail<'a>, dns: &Dns, keys: Keys) -> DkimResult {
        let mut to_verify = mail.to_verify();
        for signature in &mut self.signatures {
            // The time is checked above, by the clock of the mail; and the whole body counts,
            // whatever `l=` says.
            signature.header.x = 0;
            signature.header.l = 0;
        }

        to_verify.body_hashes = self
            .signatures
            .iter()
            .map(|signature| {
                mail.body_hashes(signature.header.cb, HashAlgorithm::from(signature.header.a))
            })
            .collect();

        to_verify.as_headers.clone_from(&self.seals);
        to_verify.ams_headers.clone_from(&self.signatures);
        to_verify.aar_headers.clone_from(&self.results);

        dns.verify_arc(&to_verify, keys).await
    }
}

/// A field with white space before its colon is not a forwarder's.
fn fields<'a, T>(
    mail: &Mail<'a>,
    name: &'static [u8],
    parse: impl Fn(&'a [u8]) -> mail_auth::Result<T>,
) -> mail_auth::Result<Vec<Header<'a, T>>> {
    let read = |field: Field<'a>| {
        if field.is_plainly(name) {
            Ok(Header::new(field.name, field.value, parse(field.value)?))
        } else {
            Err(mail_auth::Error::ParseError)
        }
    };
    mail.named(name).map(read).collect()
}
