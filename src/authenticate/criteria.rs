//! The criteria that one kind of mail must meet, and the judgement of a mail by them.

use std::{borrow::Cow, sync::Arc, time::Duration};

use jiff::SignedDuration;

use super::{
    NoResolver, Settings, arc, arrival, arrival::Host, dkim, dns::Dns, domain::is_registrable,
    freshness::Freshness, mail::Mail, questions::Questions,
};
use crate::message::{Authenticity, Evidence, Verdict, sender};

/// The time limit for judging a mail, beside its wait for [`Questions`].
///
/// If the mail is not proven by then, the verdict is [`Verdict::TempError`] if the domain is
/// unreachable.
const BOUND: Duration = Duration::from_secs(10);

/// The rules for one kind of mail.
pub(super) struct Criteria {
    pub(super) require: Vec<Evidence>,
    /// The domain that must prove the mail; `None` means that of its From.
    pub(super) domain: Option<String>,
    freshness: Freshness,
    sealers: Vec<String>,
    pub(super) dns: Arc<Dns>,
    /// The name servers that `dns` queries.
    servers: Vec<String>,
    /// The key of these settings in the configuration, for errors.
    key: String,
}

/// The finding from one kind of evidence. The sentences are for people and end without a full stop.
pub(super) enum Finding {
    Proven {
        domain: String,
        selector: Option<String>,
        how: String,
    },
    /// The evidence is present, and refuted.
    Refuted(String),
    /// There is no evidence, or none that counts.
    Absent(String),
    /// DNS does not answer for a configured domain.
    Trouble(String),
}

impl Criteria {
    /// Builds the criteria of these settings. They share a cache with those of `known` that have
    /// the same name servers.
    pub(super) fn new(
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

    /// Returns the verdict while nothing is required.
    pub(super) fn off(&self) -> Authenticity {
        let why = format!("authenticity is not checked: {}.require is empty", self.key);
        Authenticity::unproven(Verdict::Off, why)
    }

    /// Returns the domain that must vouch for a mail. The error says why there is none.
    pub(super) fn domain_of(&self, header: &[u8]) -> Result<Cow<'_, str>, String> {
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
                "its From has no single domain that could vouch for it: {}",
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

    pub(super) async fn judge(&self, mail: &Mail<'_>, hosts: &[&Host]) -> Authenticity {
        let questions = Questions::of(mail.message, &self.dns);
        let weighed = self.weigh(mail, hosts, &questions);
        if let Some(authenticity) = questions.within(BOUND, weighed).await {
            return authenticity;
        }

        let what = format!(
            "the evidence could not be looked up within {} s",
            BOUND.as_secs()
        );
        // A mail that names enough unreachable domains takes this long, so the sender's domain
        // itself decides.
        let verdict = if self.dns.reaches(mail.domain).await {
            Verdict::Fail
        } else {
            Verdict::TempError
        };
        Authenticity::unproven(verdict, what)
    }

    /// Examines one kind of evidence after the other, until one proves the mail.
    async fn weigh(
        &self,
        mail: &Mail<'_>,
        hosts: &[&Host],
        questions: &Questions<'_>,
    ) -> Authenticity {
        let mut said = Vec::new();
        let mut verdict = Verdict::None;

        for evidence in &self.require {
            let finding = match evidence {
                Evidence::Dkim => dkim::examine(mail, questions, &self.freshness).await,
                Evidence::AuthenticationResults => arrival::examine(mail, hosts, &self.freshness),
                Evidence::Arc => {
                    arc::examine(mail, &self.sealers, questions, &self.freshness).await
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

        // Whatever DNS says, the mail is too old to prove anything.
        if let Some(stale) = self
            .staleness(mail)
            .filter(|_| verdict == Verdict::TempError)
        {
            verdict = Verdict::Fail;
            said.push(stale);
        }

        Authenticity::unproven(verdict, said.join(". "))
    }

    /// Returns why, by its Date, the mail is not fresh. If the Date cannot be read, a signature's
    /// own time takes its place.
    fn staleness(&self, mail: &Mail<'_>) -> Option<String> {
        /// The largest offset of a zone east of Greenwich.
        const EASTERNMOST: SignedDuration = SignedDuration::from_hours(14);

        let arrived = mail.message.arrived_at;
        let date = match mail.date {
            None if mail.is_timed() => return None,
            // In an unknown zone, the stated hour may be up to this much later than the mail was
            // written.
            Some(date) if mail.zone_is_unknown => Some(date.min(arrived.max(date - EASTERNMOST))),
            date => date,
        };

        self.freshness.of_date(date, arrived)
    }

    /// Returns the verdict on a mail that evidence proves. It proves a mail once: a copy that is
    /// sent again later is not fresh.
    fn proven(
        &self,
        mail: &Mail<'_>,
        evidence: Evidence,
        domain: String,
        selector: Option<String>,
        how: String,
    ) -> Authenticity {
        let (verdict, detail) = match self.staleness(mail) {
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
