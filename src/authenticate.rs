//! 2. Is it really Atlassian? Home of mail-auth and of DNS.
//!
//! Anybody can write a From, so a mail from a configured sender is asked for evidence, in this
//! order: its own DKIM signature ([`dkim`]), what the mailbox's host recorded when it arrived
//! ([`arrival`]), a chain of forwarders' seals ([`arc`]). Any one suffices that
//! `alerts.authenticity.require` names, and a mail that is older than `freshness` proves nothing:
//! whoever once received a genuine one could send it again.
//!
//! Mail of other senders is never judged, as it is no alert. All is bounded: the header, the number
//! of signatures, the questions asked at once, and the time, which DNS may take all of. Trouble is
//! no excuse that a sender can make: see [`dns`].

use std::{borrow::Cow, collections::BTreeMap, time::Duration};

use tokio::time::timeout;

use crate::message::{Authenticity, Evidence, Mended, Message, Verdict, sender};

mod arc;
mod arrival;
mod cover;
mod dkim;
mod dns;
mod domain;
mod freshness;
mod key;
mod mail;
mod reading;
mod results;
mod settings;
mod signature;
mod spf;
mod tags;
pub mod unverified;

pub use dns::NoResolver;
pub use domain::is_registrable;
pub use settings::Settings;

use arrival::Host;
use dns::Dns;
use freshness::Freshness;
use mail::Mail;
use spf::Spf;

/// How long judging a mail may take. What is not known by then is [`Verdict::TempError`] if the
/// domain is out of reach.
const BOUND: Duration = Duration::from_secs(10);

/// Judges where mail is from.
pub struct Authenticator {
    require: Vec<Evidence>,
    /// `alerts.from`.
    senders: Vec<String>,
    domain: String,
    freshness: Freshness,
    sealers: Vec<String>,
    /// By ingress, the host whose Authentication-Results count.
    hosts: BTreeMap<String, Option<Host>>,
    dns: Dns,
    spf: Spf,
}

/// What one kind of evidence came to. The sentences are for people and end without a full stop.
enum Finding {
    Proven {
        domain: String,
        selector: Option<String>,
        how: String,
    },
    /// It is there, and it is refuted.
    Refuted(String),
    /// There is none, or none that counts.
    Absent(String),
    /// DNS does not answer for a domain that is configured.
    Trouble(String),
}

impl Authenticator {
    /// `senders` are those of `alerts.from`; `trusted` are all ingresses by name, with their
    /// `trusted_authserv_id`; `max_age` is the default of `freshness`.
    pub fn new<'a>(
        settings: &Settings,
        senders: &[String],
        trusted: impl IntoIterator<Item = (&'a str, Option<&'a str>)>,
        max_age: crate::settings::Duration,
    ) -> Result<Self, NoResolver> {
        let mut require = settings.require.clone();
        require.sort();
        require.dedup();
        Ok(Self {
            senders: senders.to_vec(),
            domain: settings.domain.to_ascii_lowercase(),
            freshness: Freshness::new(settings.freshness.unwrap_or(max_age)),
            sealers: settings.trusted_arc_sealers.clone(),
            hosts: trusted
                .into_iter()
                .map(|(ingress, host)| (ingress.to_owned(), host.map(Host::new)))
                .collect(),
            spf: Spf::new(),
            // A check that is off needs no name servers.
            dns: if require.is_empty() {
                Dns::none()?
            } else {
                Dns::new(&settings.dns)?
            },
            require,
        })
    }

    /// Whether a name server answers for the sender's domain now; none where no mail is judged by
    /// what stands in DNS.
    pub async fn is_answered(&self) -> Option<bool> {
        let asks = [Evidence::Dkim, Evidence::Arc];
        if !self.require.iter().any(|evidence| asks.contains(evidence)) {
            return None;
        }
        Some(self.dns.reaches(&self.domain).await)
    }

    /// Judges a mail by its stored bytes, within ten seconds.
    pub async fn judge(&self, message: &Message) -> Authenticity {
        if self.require.is_empty() {
            return Authenticity::off();
        }

        let mended = Mended::of(&message.raw);
        let (header, body) = (mended.header(), mended.body());

        if let Err(odd) = sender::check(header, &self.senders) {
            return Authenticity::unproven(Verdict::None, format!("not checked: {odd}"));
        }

        let header = with_crlf(header);
        let mail = Mail::new(message, &header, body, &self.domain);
        let judged = async {
            if let Ok(authenticity) = timeout(BOUND, self.weigh(&mail)).await {
                return authenticity;
            }
            let what = format!(
                "what proves the mail could not be looked up within {} s",
                BOUND.as_secs()
            );
            // Whoever names enough that nobody answers for takes so long.
            let verdict = if self.dns.reaches(&self.domain).await {
                Verdict::Fail
            } else {
                Verdict::TempError
            };
            Authenticity::unproven(verdict, what)
        };

        let asked = async {
            match &message.envelope {
                Some(envelope) => self.spf.of(envelope, &self.dns).await,
                None => None,
            }
        };

        let (authenticity, spf) = tokio::join!(judged, asked);

        Authenticity {
            spf: spf.map(str::to_owned),
            ..authenticity
        }
    }

    /// The hosts whose Authentication-Results count for mail that came this way. Mail from nowhere,
    /// a file that is tried out, may have come any way.
    fn hosts(&self, ingress: &str) -> Vec<&Host> {
        match self.hosts.get(ingress) {
            Some(host) => host.iter().collect(),
            None => self.hosts.values().flatten().collect(),
        }
    }

    /// Looks at one kind of evidence after the other, until one proves the mail.
    async fn weigh(&self, mail: &Mail<'_>) -> Authenticity {
        let mut said = Vec::new();
        let mut verdict = Verdict::None;

        for evidence in &self.require {
            let finding = match evidence {
                Evidence::Dkim => dkim::examine(mail, &self.dns, &self.freshness).await,
                Evidence::AuthenticationResults => {
                    arrival::examine(mail, &self.hosts(&mail.message.ingress), &self.freshness)
                }
                Evidence::Arc => {
                    arc::examine(mail, &self.sealers, &self.dns, &self.freshness).await
                }
            };
            let (of_this, sentence) = match finding {
                Finding::Proven {
                    domain,
                    selector,
                    how,
                } => {
                    return self.proven(mail, *evidence, domain, selector, how);
                }
                Finding::Refuted(why) => (Verdict::Fail, why),
                Finding::Absent(why) => (Verdict::None, why),
                Finding::Trouble(why) => (Verdict::TempError, why),
            };
            said.push(sentence);
            verdict = match (verdict, of_this) {
                (Verdict::TempError, _) | (_, Verdict::TempError) => Verdict::TempError,
                (Verdict::Fail, _) | (_, Verdict::Fail) => Verdict::Fail,
                _ => Verdict::None,
            };
        }

        // Whatever DNS will say, it is too old to prove anything.
        if let Some(stale) = self
            .freshness
            .of_date(mail.date, mail.message.arrived_at)
            .filter(|_| verdict == Verdict::TempError)
        {
            verdict = Verdict::Fail;
            said.push(stale);
        }

        Authenticity::unproven(verdict, said.join(". "))
    }

    /// What proves a mail proves it once: a copy sent again later is not fresh.
    fn proven(
        &self,
        mail: &Mail<'_>,
        evidence: Evidence,
        domain: String,
        selector: Option<String>,
        how: String,
    ) -> Authenticity {
        let (verdict, detail) = match self.freshness.of_date(mail.date, mail.message.arrived_at) {
            None => (Verdict::Pass, how),
            Some(stale) => (Verdict::Fail, format!("{how}. But {stale}")),
        };

        Authenticity {
            verdict,
            evidence: Some(evidence),
            domain: Some(domain),
            selector,
            spf: None,
            detail: Some(detail),
        }
    }
}

/// A header whose lines end as they were signed: files often hold bare line feeds (RFC 6376, 5.3).
fn with_crlf(header: &[u8]) -> Cow<'_, [u8]> {
    let bare = |at: usize| at == 0 || header[at - 1] != b'\r';
    if !memchr::memchr_iter(b'\n', header).any(bare) {
        return Cow::Borrowed(header);
    }

    let mut mended = Vec::with_capacity(header.len() + header.len() / 32);
    for (at, byte) in header.iter().enumerate() {
        if *byte == b'\n' && bare(at) {
            mended.push(b'\r');
        }
        mended.push(*byte);
    }

    Cow::Owned(mended)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_of_a_file_is_read_with_the_line_ends_of_mail() {
        assert_eq!(
            &*with_crlf(b"A: 1\n 2\nB: 3\r\n"),
            b"A: 1\r\n 2\r\nB: 3\r\n"
        );
        assert!(matches!(with_crlf(b"A: 1\r\nB: 2\r\n"), Cow::Borrowed(_)));
        assert_eq!(&*with_crlf(b"\n"), b"\r\n");
    }
}
