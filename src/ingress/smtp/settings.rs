//! `ingress.smtp[]` of the configuration.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    certificate::{self, Tls},
    recipients::Recipients,
};
use crate::settings::{
    ByteSize, Problem, bounds,
    host::{self, is_address, is_domain},
    networks::Networks,
};

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
        let at = |name: &str| format!("{key}.{name}");
        let mut found: Vec<_> = host::listen(&at("listen"), &self.listen)
            .into_iter()
            .collect();
        found.extend(self.check_doors(key));
        found.extend(self.check_recipients(&at("recipients")));
        found.extend(Networks::new(&self.allow_from, &at("allow_from")).err());
        found.extend(Networks::new(&self.proxy_protocol, &at("proxy_protocol")).err());
        found.extend(self.hostname(&at("hostname")).err());
        found.extend(bounds::mail_size(
            &at("max_message_size"),
            self.max_message_size,
        ));

        found
    }

    /// What others than this machine may do to it, and must not.
    fn check_doors(&self, key: &str) -> Vec<Problem> {
        let mut found = Vec::new();
        if host::private(&self.listen) {
            return found;
        }

        if self.recipients.is_empty() {
            found.push(Problem::new(
                key,
                format!(
                    "it listens on {}, where others can reach it, and accepts mail for anybody",
                    self.listen
                ),
                "add `recipients: [alerts@example.com]`, or listen on 127.0.0.1",
            ));
        }

        // Whoever may send mail may write the field, and the signature that it speaks of.
        if let Some(id) = self.trusted_authserv_id.as_ref().filter(|_| self.is_open()) {
            found.push(Problem::new(
                format!("{key}.trusted_authserv_id"),
                format!(
                    "whoever reaches {} can write an Authentication-Results in the name of {id}",
                    self.listen
                ),
                "name the relay that may send here, `allow_from: [192.0.2.7]`, or listen on \
                 127.0.0.1, or drop the key",
            ));
        }

        found
    }

    fn check_recipients(&self, key: &str) -> Vec<Problem> {
        let mut found = Vec::new();
        for (place, recipient) in self.recipients.iter().enumerate() {
            // Letters beyond ASCII are compared as they are (RFC 6531): whether they make a name is
            // not judged here.
            let plain = recipient.replace(|c: char| !c.is_ascii() && c.is_alphanumeric(), "x");
            let whole_domain = plain.strip_prefix('@').is_some_and(is_domain);
            if !whole_domain && !is_address(&plain) {
                found.push(Problem::new(
                    format!("{key}[{place}]"),
                    format!("`{recipient}` is not a valid mail address"),
                    "write `alerts@example.com`, or `@example.com` for the whole domain",
                ));
            }
        }

        if found.is_empty() {
            found.extend(Recipients::new(&self.recipients, key).err());
        }

        found
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
                format!("`{}` is not a valid host name", hostname.escape_debug()),
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
