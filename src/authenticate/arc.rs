//! Chains of forwarders' seals (RFC 8617), each of which says what its forwarder saw when the mail
//! reached it.
//!
//! Anybody can add to a chain and claim anything. So a chain counts only if it validates, if a
//! forwarder that is named (`trusted_arc_sealers`) sealed the very instance whose
//! ARC-Authentication-Results say dkim=pass for the domain, and if every later instance is a named
//! forwarder's too, so that nobody else touched the mail since.

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

/// The longest chain that is examined.
///
/// RFC 8617 allows 50, but each seal costs a look-up and a verification.
const INSTANCES: usize = 10;

struct Chain<'a> {
    seals: Vec<Header<'a, Seal>>,
    signatures: Vec<Header<'a, MessageSignature>>,
    results: Vec<Header<'a, Instance>>,
}

/// Looks for a seal that proves the mail.
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

    let last = chain.last_sealer();
    let first_named = chain.first_named(sealers);
    if first_named == chain.seals.len() {
        return Finding::Absent(format!(
            "ARC: the last seal is by {last}, which trusted_arc_sealers does not name"
        ));
    }

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
        DkimResult::Pass => Finding::Proven {
            domain: mail.domain.to_owned(),
            selector,
            how: chain.account(mail, witness),
        },
        result => Finding::Refuted(format!(
            "ARC: the chain, last sealed by {last}, does not validate: {result}"
        )),
    }
}

impl<'a> Chain<'a> {
    /// Parses the chain; `None` if the mail has none. The error says why it cannot be parsed.
    fn of(mail: &Mail<'a>) -> Result<Option<Self>, String> {
        let read = |error: mail_auth::Error| format!("the chain cannot be read: {error}");
        let mut chain = Self {
            seals: fields(mail, b"ARC-Seal", Seal::parse).map_err(read)?,
            signatures: fields(mail, b"ARC-Message-Signature", MessageSignature::parse)
                .map_err(read)?,
            results: fields(mail, b"ARC-Authentication-Results", Instance::parse).map_err(read)?,
        };

        if chain.is_empty() {
            return Ok(None);
        }
        if chain.seals.len() > INSTANCES {
            return Err(format!("the chain has more than {INSTANCES} instances"));
        }

        chain.seals.sort_by_key(|seal| seal.header.i);
        chain.signatures.sort_by_key(|signature| signature.header.i);
        chain.results.sort_by_key(|results| results.header.i);

        if !chain.is_whole() {
            return Err("the chain is incomplete".to_owned());
        }
        if let Some(odd) = chain.odd_tag() {
            return Err(format!("the chain breaks RFC 8617: {odd}"));
        }
        if !chain.names().all(|(name, _)| is_name(&name)) {
            return Err("the name of a key is not a valid DNS name".to_owned());
        }

        Ok(Some(chain))
    }

    fn is_empty(&self) -> bool {
        self.seals.is_empty() && self.signatures.is_empty() && self.results.is_empty()
    }

    /// Returns whether each instance, in order, has its three fields.
    fn is_whole(&self) -> bool {
        let instances = 1..=u32::try_from(self.seals.len()).unwrap_or(u32::MAX);
        let seals = self.seals.iter().map(|seal| seal.header.i);
        let signatures = self.signatures.iter().map(|signature| signature.header.i);
        let results = self.results.iter().map(|results| results.header.i);

        seals.eq(instances.clone()) && signatures.eq(instances.clone()) && results.eq(instances)
    }

    /// Returns what is wrong with the tags of a seal or a signature.
    fn odd_tag(&self) -> Option<String> {
        let seals = self.seals.iter().map(|seal| seal.value);
        let signatures = self.signatures.iter().map(|signature| signature.value);

        seals.chain(signatures).find_map(|value| {
            let tags = match Tags::read(value) {
                Ok(tags) => tags,
                Err(odd) => return Some(odd),
            };
            let names_none = tags.value("a").is_none_or(<[u8]>::is_empty);
            names_none.then(|| "a seal names no algorithm (a=)".to_owned())
        })
    }

    /// Returns the domain of the last seal.
    fn last_sealer(&self) -> String {
        let last = self.seals.last();
        last.map_or("nobody", |seal| seal.header.d.as_str())
            .to_owned()
    }

    /// Returns the index from which on all seals are by forwarders that are named.
    fn first_named(&self, sealers: &[String]) -> usize {
        self.seals
            .iter()
            .rposition(|seal| !is_named(&seal.header.d, sealers))
            .map_or(0, |place| place + 1)
    }

    /// Returns the DNS name and the domain of each seal's key, and finally of the last signature's.
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

    /// Looks up the keys that the chain needs.
    ///
    /// DNS failures only count at the named domains, which are queried first: a stranger chose the
    /// others.
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

    /// Returns the index of the latest instance from `first` on that says dkim=pass for the domain,
    /// and the signature's selector if the mail carries that signature.
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

    /// Returns why the chain would prove nothing even if it validated.
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
        let stranger = from_witness
            .iter()
            .find(|one| !is_named(&one.header.d, sealers));
        if let Some(stranger) = stranger {
            return Some(format!(
                "its signature {} is by {}, which trusted_arc_sealers does not name",
                stranger.header.i, stranger.header.d
            ));
        }

        let seals = self.seals.iter().map(|seal| seal.header.a);
        let signatures = from_witness.iter().map(|one| one.header.a);
        if seals
            .chain(signatures)
            .any(|algorithm| algorithm == Algorithm::RsaSha1)
        {
            return Some("it uses rsa-sha1, which can be forged (RFC 8301)".to_owned());
        }

        if let Some(gap) = gap(mail, from_witness, last.i) {
            return Some(gap);
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
                "the seal has no time and covers no readable Date: it could be a replay".to_owned(),
            ),
            sealed => freshness.of_seconds("the time it was sealed", sealed, arrived),
        }
    }

    /// Describes how a chain that validates proves the mail.
    fn account(&self, mail: &Mail<'_>, witness: usize) -> String {
        let by = &self.seals[witness].header;
        format!(
            "ARC: {} verified the signature of {} and sealed that (instance {} of {}); the chain \
             validates",
            by.d,
            mail.domain,
            by.i,
            self.seals.len()
        )
    }

    async fn verify(&mut self, mail: &Mail<'a>, dns: &Dns, keys: Keys) -> DkimResult {
        let mut to_verify = mail.to_verify();
        for signature in &mut self.signatures {
            // The time was checked before, against the clock of the mail's arrival. The whole body
            // counts, whatever `l=` says.
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

fn is_named(domain: &str, sealers: &[String]) -> bool {
    sealers
        .iter()
        .any(|sealer| sealer.eq_ignore_ascii_case(domain))
}

/// Returns what one of these signatures leaves open.
///
/// A forwarder signs the mail as it receives it, so whatever it leaves open may have been altered
/// before the next forwarder signed (RFC 8617, 5.2).
fn gap(mail: &Mail<'_>, signatures: &[Header<'_, MessageSignature>], last: u32) -> Option<String> {
    signatures.iter().find_map(|one| {
        // A mailing list behind an earlier forwarder may have written the List-Id.
        let known: &[&str] = if one.header.i == last {
            &[]
        } else {
            &["List-Id"]
        };
        let gap = mail.uncovered(&one.header.h, known)?;
        Some(format!(
            "its signature {} leaves it open: {gap}",
            one.header.i
        ))
    })
}

/// Parses the fields of a name. A field with white space before its colon is not a forwarder's.
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
