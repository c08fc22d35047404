//! `ingress.smtp[]` of the configuration.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    certificate::{self, Tls},
    networks::Networks,
    recipients::Recipients,
};
use crate::settings::{ByteSize, Problem};

#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    pub name: String,
    pub listen: String,
    /// The name it greets with; the machine's where it is not given.
    pub hostname: Option<String>,
    /// The addresses it takes mail for, `@example.com` for a whole domain. May be empty on loopback
    /// only: then it takes all.
    pub recipients: Vec<String>,
    /// The server's certificate. Without one nothing is encrypted.
    pub tls: Option<Tls>,
    pub max_message_size: ByteSize,
    /// The networks clients may come from. Empty: from anywhere.
    pub allow_from: Vec<String>,
    /// The load balancers, whose connections begin with a PROXY header, version 2, that names the
    /// client.
    pub proxy_protocol: Vec<String>,
    /// The relay in front whose Authentication-Results count: its authserv-id, which must be the
    /// name it gives itself in Received as well, or `exchange` for Microsoft 365. Name only one
    /// that writes the field on every mail, or removes others'. Off loopback it needs `allow_from`:
    /// whoever else may send mail may write the field.
    pub trusted_authserv_id: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            name: String::new(),
            listen: "127.0.0.1:2525".into(),
            hostname: None,
            recipients: Vec::new(),
            tls: None,
            max_message_size: ByteSize::from_mib(10),
            allow_from: Vec::new(),
            proxy_protocol: Vec::new(),
            trusted_authserv_id: None,
        }
    }
}

impl Settings {
    /// What is wrong with them, as far as can be told before the address is bound; `key` is their
    /// path.
    pub fn check(&self, key: &str) -> Vec<Problem> {
        let recipients = Recipients::new(&self.recipients, &format!("{key}.recipients")).err();
        let networks = Networks::new(&self.allow_from, &format!("{key}.allow_from")).err();
        let balancers = Networks::new(&self.proxy_protocol, &format!("{key}.proxy_protocol")).err();
        let hostname = self.hostname(&format!("{key}.hostname")).err();
        [recipients, networks, balancers, hostname]
            .into_iter()
            .flatten()
            .collect()
    }

    /// What is wrong with the files they name.
    pub fn check_files(&self, key: &str) -> Option<Problem> {
        certificate::read(self.tls.as_ref()?, &format!("{key}.tls")).err()
    }

    /// What works and will not for long. Files that cannot be read are told by
    /// [`Settings::check_files`].
    pub fn warnings(&self, key: &str, now: Timestamp) -> Option<Problem> {
        certificate::warning(self.tls.as_ref()?, &format!("{key}.tls"), now)
    }

    /// Whether whoever reaches the listener can send mail to it.
    pub fn is_open(&self) -> bool {
        let admit_anybody = |list: &[String]| {
            Networks::new(list, "").map_or(true, |networks| networks.admit_anybody())
        };
        // A balancer says who the client is, and so does whoever may pose as one.
        let balanced_by_anybody =
            !self.proxy_protocol.is_empty() && admit_anybody(&self.proxy_protocol);
        admit_anybody(&self.allow_from) || balanced_by_anybody
    }

    /// Whether connections begin with TLS: RFC 8314 has port 465 for it.
    pub fn implicit_tls(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| {
            tls.implicit
                .unwrap_or_else(|| self.listen.ends_with(":465"))
        })
    }

    pub(super) fn hostname(&self, key: &str) -> Result<String, Problem> {
        let hostname = self.hostname.clone().unwrap_or_else(machine_name);
        if hostname.is_empty() || !hostname.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Problem::new(
                key,
                format!("`{}` is no host name", hostname.escape_debug()),
                "write the name in ASCII, without spaces: `hostname: mx.example.com`",
            ));
        }
        Ok(hostname)
    }
}

/// The machine's name, or `localhost` where it cannot be told.
fn machine_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map(|name| name.trim().to_owned())
        .ok()
        .filter(|name| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic()))
        .unwrap_or_else(|| "localhost".into())
}
