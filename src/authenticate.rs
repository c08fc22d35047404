//! Stage 2: decides whether a mail is really its sender's. Home of mail-auth and of DNS.
//!
//! Anybody can write a From, so a mail from a configured sender must show evidence. It is looked
//! for in this order: the mail's own DKIM signature ([`dkim`]), what the mailbox's host recorded
//! when the mail arrived ([`arrival`]), and a chain of forwarders' seals ([`arc`]). Any one that
//! `alerts.authenticity.require` names suffices. A mail that is older than `freshness` proves
//! nothing: whoever once received a genuine one could send it again.
//!
//! Mail that a profile takes is judged by that profile's settings. Mail of other senders is never
//! judged, as it is no alert. Everything is bounded: the header, the number of signatures, the
//! concurrent DNS queries, and the time, all of which DNS may take. A sender cannot use DNS trouble
//! of his own making as an excuse: see [`dns`].

use std::{borrow::Cow, collections::BTreeMap};

use crate::message::{Authenticity, Evidence, Mended, Message, Verdict, sender};

mod arc;
mod arrival;
mod body;
mod cover;
mod criteria;
mod dkim;
mod dns;
mod domain;
mod freshness;
mod key;
mod mail;
mod places;
mod questions;
mod read;
mod reading;
mod results;
mod settings;
mod signature;
mod spf;
mod tags;
pub mod unverified;

pub use dns::NoResolver;
pub use domain::is_registrable;
pub use read::Read;
pub use settings::Settings;

use arrival::Host;
use criteria::{Criteria, Finding};
use mail::Mail;
use spf::Spf;

/// Judges the authenticity of mail.
pub struct Authenticator {
    /// The senders of alerts: `alerts.from`.
    senders: Vec<String>,
    alerts: Criteria,
    /// The criteria for other senders' mail, of which `whose` selects one by the mail's header.
    others: Vec<Criteria>,
    whose: Whose,
    /// The host whose Authentication-Results are trusted, by ingress.
    hosts: BTreeMap<String, Option<Host>>,
    spf: Spf,
    /// A judgement that a test substitutes.
    #[cfg(test)]
    in_place: Option<InPlace>,
}

/// A judgement that a test supplies.
#[cfg(test)]
type InPlace = Box<dyn Fn(&Message) -> Authenticity + Send + Sync>;

/// Selects the criteria for a mail.
///
/// Given the header, it returns the index of the criteria in the list and the parts of the mail
/// that are read.
pub type Whose = Box<dyn Fn(&[u8]) -> Option<(usize, Vec<Read>)> + Send + Sync>;

impl Authenticator {
    /// Builds the authenticator of alerts.
    ///
    /// `senders` are those of `alerts.from`; `trusted` lists all ingresses by name, with their
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
            #[cfg(test)]
            in_place: None,
            hosts: trusted
                .into_iter()
                .map(|(ingress, host)| (ingress.to_owned(), host.map(Host::new)))
                .collect(),
            spf: Spf::new(),
        })
    }

    /// Builds an authenticator that judges as the test says and queries nobody.
    #[cfg(test)]
    pub(crate) fn in_place(
        judge: impl Fn(&Message) -> Authenticity + Send + Sync + 'static,
    ) -> Self {
        let settings = Settings {
            require: Vec::new(),
            ..Settings::default()
        };
        let nobody = Self::new(&settings, &[], [], crate::settings::Duration::from_secs(0));
        Self {
            in_place: Some(Box::new(judge)),
            ..nobody.unwrap()
        }
    }

    /// Adds the criteria for other mail.
    ///
    /// `whose` selects the criteria that judge a mail. Each of `others` has the key of its
    /// settings, the settings, and the domain that must vouch for the mail; `None` means the domain
    /// of the From.
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

    /// Judges a mail by its stored bytes.
    ///
    /// Examining the evidence takes at most ten seconds, beside the wait for places that
    /// `Questions` bounds by itself.
    pub async fn judge(&self, message: &Message) -> Authenticity {
        #[cfg(test)]
        if let Some(judge) = &self.in_place {
            return judge(message);
        }

        if self.alerts.require.is_empty() && self.others.is_empty() {
            return self.alerts.off();
        }

        let mended = Mended::of(&message.raw);
        let (header, body) = (mended.header(), mended.body());

        let of_others = |header: &[u8]| {
            let (place, reads) = (self.whose)(header)?;
            Some((self.others.get(place)?, reads))
        };
        let (criteria, reads) = match sender::check(header, &self.senders) {
            Ok(()) => (&self.alerts, Vec::new()),
            Err(odd) => match of_others(header) {
                Some(found) => found,
                None if self.alerts.require.is_empty() => (&self.alerts, Vec::new()),
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
        let mail = Mail::new(message, &header, body, &domain, reads);
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

    /// Returns whether a name server answers for the sender's domain now; `None` if no mail is
    /// judged by DNS.
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

    /// Returns the hosts whose Authentication-Results are trusted for mail that came by this
    /// ingress.
    ///
    /// Mail without a known ingress, such as a file that is tried, may have come by any of them.
    fn hosts(&self, ingress: &str) -> Vec<&Host> {
        match self.hosts.get(ingress) {
            Some(host) => host.iter().collect(),
            None => self.hosts.values().flatten().collect(),
        }
    }
}

/// Returns a header with the line ends over which it was signed: files often contain bare line
/// feeds (RFC 6376, 5.3).
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
