//! 2. Is it really its sender's? Home of mail-auth and of DNS.
//!
//! Anybody can write a From, so a mail from a configured sender is asked for evidence, in this
//! order: its own DKIM signature ([`dkim`]), what the mailbox's host recorded when it arrived
//! ([`arrival`]), a chain of forwarders' seals ([`arc`]). Any one suffices that
//! `alerts.authenticity.require` names, and a mail that is older than `freshness` proves nothing:
//! whoever once received a genuine one could send it again.
//!
//! Mail that a profile takes is judged by that profile's settings. Mail of other senders is never
//! judged, as it is no alert. All is bounded: the header, the number
//! of signatures, the questions asked at once, and the time, which DNS may take all of. Trouble is
//! no excuse that a sender can make: see [`dns`].

use std::{borrow::Cow, collections::BTreeMap, sync::Arc, time::Duration};

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

/// The time limit for judging a mail. What is not known by then is [`Verdict::TempError`] if the
/// domain is unreachable.
const BOUND: Duration = Duration::from_secs(10);

/// Judges the authenticity of mail.
pub struct Authenticator {
    /// `alerts.from`.
    senders: Vec<String>,
    alerts: Criteria,
    /// The criteria for other senders' mail, of which `whose` selects one by the mail's header.
    others: Vec<Criteria>,
    whose: Whose,
    /// By ingress, the host whose Authentication-Results are trusted.
    hosts: BTreeMap<String, Option<Host>>,
    spf: Spf,
}

/// Selects the criteria for a mail: from its header to their index in the list.
pub type Whose = Box<dyn Fn(&[u8]) -> Option<usize> + Send + Sync>;

/// The rules for one kind of mail.
struct Criteria {
    require: Vec<Evidence>,
    /// The domain that must prove the mail; `None` means that of its From.
    domain: Option<String>,
    freshness: Freshness,
    sealers: Vec<String>,
    dns: Arc<Dns>,
    /// The name servers that `dns` queries.
    servers: Vec<String>,
    /// The key of these settings in the configuration, for errors.
    key: String,
}

/// The finding from one kind of evidence. The sentences are for people and end without a full stop.
enum Finding {
    Proven {
        domain: String,
        selector: Option<String>,
        how: String,
    },
    /// It is present, and refuted.
    Refuted(String),
    /// There is none, or none that counts.
    Absent(String),
    /// DNS does not answer for a configured domain.
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
        let domain = Some(settings.domain.to_ascii_lowercase());
        Ok(Self {
            senders: senders.to_vec(),
            alerts: Criteria::new(settings, domain, max_age, "alerts.authenticity", &[])?,
            others: Vec::new(),
            whose: Box::new(|_| None),
            hosts: trusted
                .into_iter()
                .map(|(ingress, host)| (ingress.to_owned(), host.map(Host::new)))
                .collect(),
            spf: Spf::new(),
        })
    }

    /// The same for other mail as well: `whose` selects the settings that judge a mail; each has
    /// its key and the domain that must vouch, which is `None` for that of the From.
    pub fn with_others(
        mut self,
        others: Vec<(String, Settings, Option<String>)>,
        max_age: crate::settings::Duration,
        whose: Whose,
    ) -> Result<Self, NoResolver> {
        for (key, settings, domain) in others {
            let known: Vec<_> = std::iter::once(&self.alerts).chain(&self.others).collect();
            let criteria = Criteria::new(&settings, domain, max_age, &key, &known)?;
            self.others.push(criteria);
        }

        Ok(Self { whose, ..self })
    }

    /// Judges a mail by its stored bytes, within ten seconds.
    pub async fn judge(&self, message: &Message) -> Authenticity {
        if self.alerts.require.is_empty() && self.others.is_empty() {
            return self.alerts.off();
        }

        let mended = Mended::of(&message.raw);
        let (header, body) = (mended.header(), mended.body());

        let criteria = match sender::check(header, &self.senders) {
            Ok(()) => &self.alerts,
            Err(odd) => match (self.whose)(header).and_then(|place| self.others.get(place)) {
                Some(criteria) => criteria,
                None if self.alerts.require.is_empty() => &self.alerts,
                None => {
                    return Authenticity::unproven(Verdict::None, format!("not checked: {odd}"));
                }
            },
        };
        if criteria.require.is_empty() {
            return criteria.off();
        }

        let domain = match criteria.domain_of(header) {
            Ok(domain) => domain,
            Err(why) => return Authenticity::unproven(Verdict::None, why),
        };

        let header = with_crlf(header);
        let mail = Mail::new(message, &header, body, &domain);
        let hosts = self.hosts(&message.ingress);
        let judged = criteria.judge(&mail, &hosts);

        let asked = async {
            match &message.envelope {
                Some(envelope) => self.spf.of(envelope, &criteria.dns).await,
                None => None,
            }
        };

        let (authenticity, spf) = tokio::join!(judged, asked);

        Authenticity {
            spf: spf.map(str::to_owned),
            ..authenticity
        }
    }

    /// Whether a name server answers for the sender's domain now; `None` if no mail is judged by
    /// DNS.
    pub async fn is_answered(&self) -> Option<bool> {
        let asks = [Evidence::Dkim, Evidence::Arc];
        if !self
            .alerts
            .require
            .iter()
            .any(|evidence| asks.contains(evidence))
        {
            return None;
        }
        Some(
            self.alerts
                .dns
                .reaches(self.alerts.domain.as_deref().unwrap_or_default())
                .await,
        )
    }

    /// The hosts whose Authentication-Results are trusted for mail that came this way. Mail without
    /// an ingress, such as a file that is tried, may have come any way.
    fn hosts(&self, ingress: &str) -> Vec<&Host> {
        match self.hosts.get(ingress) {
            Some(host) => host.iter().collect(),
            None => self.hosts.values().flatten().collect(),
        }
    }
}

impl Criteria {
    /// Criteria with the same name servers share a cache with those `known`.
    fn new(
        settings: &Settings,
        domain: Option<String>,
        max_age: crate::settings::Duration,
        key: &str,
        known: &[&Self],
    ) -> Result<Self, NoResolver> {
        let mut require = settings.require.clone();
        require.sort();
        require.dedup();

        let same = known
            .iter()
            .find(|other| other.servers == settings.dns && !other.require.is_empty());
        let dns = match same {
            // A check that is off needs no name servers.
            _ if require.is_empty() => Arc::new(Dns::none()?),
            Some(other) => Arc::clone(&other.dns),
            None => Arc::new(Dns::new(&settings.dns)?),
        };

        Ok(Self {
            require,
            domain,
            freshness: Freshness::new(settings.freshness.unwrap_or(max_age)),
            sealers: settings.trusted_arc_sealers.clone(),
            dns,
            servers: settings.dns.clone(),
            key: key.to_owned(),
        })
    }

    /// The verdict while nothing is required.
    fn off(&self) -> Authenticity {
        let why = format!("authenticity is not checked: {}.require is empty", self.key);
        Authenticity::unproven(Verdict::Off, why)
    }

    /// The domain that must vouch for a mail. The error says why there is none.
    fn domain_of(&self, header: &[u8]) -> Result<Cow<'_, str>, String> {
        if let Some(domain) = &self.domain {
            return Ok(Cow::Borrowed(domain));
        }

        let mend = || {
            format!(
                "name the domain that must vouch for it in {}.domain",
                self.key
            )
        };
        let domain = sender::domain(header).ok_or_else(|| {
            format!(
                "its From has no one domain that could vouch for it: {}",
                mend()
            )
        })?;
        if is_registrable(&domain) {
            Ok(Cow::Owned(domain))
        } else {
            Err(format!(
                "{domain}, the domain of its From, is not one that mail can be proven to come \
                 from: {}",
                mend()
            ))
        }
    }

    async fn judge(&self, mail: &Mail<'_>, hosts: &[&Host]) -> Authenticity {
        if let Ok(authenticity) = timeout(BOUND, self.weigh(mail, hosts)).await {
            return authenticity;
        }

        let what = format!(
            "what proves the mail could not be looked up within {} s",
            BOUND.as_secs()
        );
        // A mail that names enough unreachable domains takes this long.
        let verdict = if self.dns.reaches(mail.domain).await {
            Verdict::Fail
        } else {
            Verdict::TempError
        };
        Authenticity::unproven(verdict, what)
    }

    /// Examines one kind of evidence after the other, until one proves the mail.
    async fn weigh(&self, mail: &Mail<'_>, hosts: &[&Host]) -> Authenticity {
        let mut said = Vec::new();
        let mut verdict = Verdict::None;

        for evidence in &self.require {
            let finding = match evidence {
                Evidence::Dkim => dkim::examine(mail, &self.dns, &self.freshness).await,
                Evidence::AuthenticationResults => arrival::examine(mail, hosts, &self.freshness),
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

        // Whatever DNS says, it is too old to prove anything.
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

    /// Evidence proves a mail once: a copy that is sent again later is not fresh.
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

/// A header with the line ends of its signature: files often contain bare line feeds (RFC 6376,
/// 5.3).
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
