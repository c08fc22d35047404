//! The transport of an integration's requests: time limit, proxy and certificates.

use std::{path::PathBuf, time::Duration};

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    credential::{Credential, Shape},
    site::Site,
};
use crate::settings::{self, Secret, SecretText};

/// The certificates of an integration's connections, in PEM files.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Tls {
    /// A file of certificates that are trusted besides the system's.
    pub ca_file: Option<PathBuf>,
    /// The file of the client's certificate, followed by its issuers. It is given together with
    /// `key_file`, or not at all.
    pub cert_file: Option<PathBuf>,
    /// The file of the private key of the client's certificate.
    pub key_file: Option<PathBuf>,
}

/// The configured transport of an integration's requests.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Transport {
    /// The time limit of a request, which replaces `delivery.timeout`.
    pub timeout: Option<Duration>,
    /// The address of the proxy, which replaces the environment's.
    pub proxy: Option<Credential>,
    pub tls: Tls,
}

/// The bounds of a time-out, in seconds.
const TIMEOUT: (u64, u64) = (1, 300);

impl Transport {
    pub(super) fn compile(
        timeout: Option<settings::Duration>,
        proxy_url: Option<&SecretText>,
        tls: Option<&Tls>,
        site: &mut Site<'_>,
    ) -> Self {
        let (least, most) = (
            settings::Duration::from_secs(TIMEOUT.0),
            settings::Duration::from_secs(TIMEOUT.1),
        );

        if let Some(timeout) = timeout.filter(|timeout| *timeout < least || *timeout > most) {
            let mend = format!("give a value from {least} to {most}");
            site.problem("timeout", format!("{timeout} is out of range"), mend);
        }

        let tls = tls.cloned().unwrap_or_default();
        for (given, twin, missing) in [
            (&tls.cert_file, &tls.key_file, "key_file"),
            (&tls.key_file, &tls.cert_file, "cert_file"),
        ] {
            if given.is_some() && twin.is_none() {
                let what = format!(
                    "a client certificate and its key go together, but `{missing}` is missing"
                );
                site.problem("tls", what, format!("add `{missing}`"));
            }
        }

        let proxy = proxy_url.and_then(|url| {
            if let Err((what, mend)) = check_proxy(url) {
                site.problem("proxy_url", what, mend);
                return None;
            }
            let secret = Secret::Inline(url.trim().to_owned().into());
            Some(Credential {
                name: "proxy_url",
                shape: Shape::Address,
                secret,
            })
        });

        Self {
            timeout: timeout.map(settings::Duration::as_std),
            proxy,
            tls,
        }
    }
}

/// Checks a proxy's address. The error says what is wrong with it and how to fix it, without
/// repeating anything of the address.
pub fn check_proxy(url: &str) -> Result<(), (String, &'static str)> {
    let mend = "write it like http://proxy.example.com:3128";
    let scheme = url
        .trim()
        .split("://")
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase();

    if scheme.starts_with("socks") {
        let what = format!(
            "its scheme is {}, and SOCKS proxies are not supported",
            scheme.to_ascii_uppercase()
        );
        return Err((what, "name an HTTP proxy: http://proxy.example.com:3128"));
    }

    super::http_url::parse(url)
        .map(|_| ())
        .map_err(|what| (what, mend))
}
