//! The section `alerts.authenticity` of the configuration.

use std::net::{IpAddr, SocketAddr};

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    domain::{is_name, is_registrable},
    unverified,
};
use crate::{
    message::Evidence,
    settings::{
        Duration, Problem,
        bounds::{self, YEAR},
    },
};

/// How mail must prove its sender.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The kinds of evidence that count; any one of them suffices. The default is all three. If
    /// empty, nothing is checked, and anybody who can write to an ingress can page and resolve.
    pub require: Vec<Evidence>,
    /// The domain that must vouch for the mail: this one, a sub-domain, or a parent domain that can
    /// be registered. The default is `am.atlassian.com`.
    pub domain: String,
    /// The name servers, as `IP` or `IP:PORT`; the default port is 53. If empty, the system's are
    /// used.
    pub dns: Vec<String>,
    /// The forwarders whose seals are trusted, each exactly as in `d=` of its ARC-Seal. A shared
    /// one, such as `google.com`, vouches for whatever any of its tenants forwards. If empty, no
    /// seal is trusted.
    pub trusted_arc_sealers: Vec<String>,
    /// How old a mail may be when it arrives, by its Date and by the time of its signature, from 0s
    /// to 3650d; 0s means no limit. The default is `global.max_age`.
    pub freshness: Option<Duration>,
    /// The limits on unproven mail.
    pub unverified: unverified::Settings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            require: vec![
                Evidence::Dkim,
                Evidence::AuthenticationResults,
                Evidence::Arc,
            ],
            domain: "am.atlassian.com".into(),
            dns: Vec::new(),
            trusted_arc_sealers: Vec::new(),
            freshness: None,
            unverified: unverified::Settings::default(),
        }
    }
}

impl Settings {
    /// Returns the problems of the settings; `key` is their path.
    pub fn check(&self, key: &str) -> Vec<Problem> {
        let mut found = Vec::new();
        if !is_registrable(&self.domain) {
            let what = format!("`{}` is not a domain that mail can come from", self.domain);
            found.push(Problem::new(
                format!("{key}.domain"),
                what,
                "write the sender's: `domain: am.atlassian.com`",
            ));
        }

        for (place, server) in self.dns.iter().enumerate() {
            if address(server).is_none() {
                let what = format!("`{server}` is not a valid name server address");
                let mend = "write an IP address, with its port where it is not 53: \
                            `127.0.0.1:5353`, `[::1]:5353`";
                found.push(Problem::new(format!("{key}.dns[{place}]"), what, mend));
            }
        }

        for (place, sealer) in self.trusted_arc_sealers.iter().enumerate() {
            if !is_name(sealer) || !sealer.contains('.') {
                let what = format!("`{sealer}` is not a valid domain");
                let mend = "write the `d=` of the forwarder's ARC-Seal: `google.com`";
                found.push(Problem::new(
                    format!("{key}.trusted_arc_sealers[{place}]"),
                    what,
                    mend,
                ));
            }
        }

        let freshness = self.freshness.and_then(|freshness| {
            bounds::duration(&format!("{key}.freshness"), freshness, 0, 10 * YEAR)
        });
        found.extend(freshness);

        found
    }
}

/// Parses a name server of `dns`. The default port is 53.
pub(super) fn address(server: &str) -> Option<SocketAddr> {
    let port_53 = || {
        server
            .parse::<IpAddr>()
            .ok()
            .map(|ip| SocketAddr::new(ip, 53))
    };
    server.parse().ok().or_else(port_53)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_server_is_an_address_with_or_without_its_port() {
        assert_eq!(
            address("127.0.0.1:5353"),
            Some("127.0.0.1:5353".parse().unwrap())
        );
        assert_eq!(address("9.9.9.9"), Some("9.9.9.9:53".parse().unwrap()));
        assert_eq!(address("[::1]:53"), Some("[::1]:53".parse().unwrap()));
        assert_eq!(address("::1"), Some("[::1]:53".parse().unwrap()));
        assert_eq!(address("dns.example.com"), None);
        assert_eq!(address(""), None);
    }

    #[test]
    fn what_nobody_can_register_is_no_domain_to_trust() {
        let keys = |settings: Settings| {
            settings
                .check("a")
                .into_iter()
                .map(|found| found.key)
                .collect::<Vec<_>>()
        };
        assert!(keys(Settings::default()).is_empty());
        assert_eq!(
            keys(Settings {
                domain: "com".into(),
                ..Settings::default()
            }),
            ["a.domain"]
        );
        assert_eq!(
            keys(Settings {
                domain: "co.uk".into(),
                ..Settings::default()
            }),
            ["a.domain"]
        );
        let odd = Settings {
            trusted_arc_sealers: vec!["google".into()],
            dns: vec!["x".into()],
            ..Settings::default()
        };
        assert_eq!(keys(odd), ["a.dns[0]", "a.trusted_arc_sealers[0]"]);
    }
}
