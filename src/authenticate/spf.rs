//! The SPF result of the SMTP client (RFC 7208), which is recorded with the mail and is never
//! evidence.
//!
//! SPF is about the envelope, which no reader sees, and a forwarder cannot satisfy it.

use std::{net::IpAddr, time::Duration};

use mail_auth::{SpfResult, spf::verify::SpfParameters};
use moka::sync::Cache;
use tokio::time::timeout;

use super::dns::Dns;
use crate::message::Envelope;

/// The time limit for SPF: a stranger's name servers must not delay the mail.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long a result is cached, and how many are. Caching pays because a mail server sends more
/// than one mail.
const KEPT_FOR: Duration = Duration::from_mins(1);
const KEPT: u64 = 1024;

/// The name of this host in a stranger's macros.
const OUR_NAME: &str = "alertbridge";

pub struct Spf(Cache<(IpAddr, String), SpfResult>);

impl Spf {
    pub fn new() -> Self {
        Self(
            Cache::builder()
                .max_capacity(KEPT)
                .time_to_live(KEPT_FOR)
                .build(),
        )
    }

    /// Returns the result in one word (RFC 7208, 2.6); `None` if the client's address is not known.
    pub async fn of(&self, envelope: &Envelope, dns: &Dns) -> Option<&'static str> {
        let peer = envelope.peer?.to_canonical();
        // With a null sender, the client's own name takes its place (RFC 7208, 2.4).
        let sender = if envelope.mail_from.is_empty() {
            &envelope.helo
        } else {
            &envelope.mail_from
        };

        let key = (
            peer,
            sender
                .rsplit_once('@')
                .map_or(sender.as_str(), |(_, domain)| domain)
                .to_ascii_lowercase(),
        );

        let result = if let Some(known) = self.0.get(&key) {
            known
        } else {
            let asked = if envelope.mail_from.is_empty() {
                SpfParameters::verify_ehlo(peer, &envelope.helo, OUR_NAME)
            } else {
                SpfParameters::verify_mail_from(peer, &envelope.helo, OUR_NAME, &envelope.mail_from)
            };
            let result = timeout(PATIENCE, dns.verify_spf(asked))
                .await
                .unwrap_or(SpfResult::TempError);
            self.0.insert(key, result);
            result
        };

        Some(match result {
            SpfResult::Pass => "pass",
            SpfResult::Fail => "fail",
            SpfResult::SoftFail => "softfail",
            SpfResult::Neutral => "neutral",
            SpfResult::TempError => "temperror",
            SpfResult::PermError => "permerror",
            SpfResult::None => "none",
        })
    }
}
