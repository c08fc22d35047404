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

/// An SMTP listener that accepts mail (`ingress.smtp[]`).
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The name of the ingress, which appears in metrics and labels. No other ingress may have it.
    pub name: String,
    /// The address and port on which the listener accepts connections. The default is
    /// `127.0.0.1:2525`.
    pub listen: String,
    /// The host name in the greeting, in ASCII. The default is the machine's name.
    pub hostname: Option<String>,
    /// The addresses for which mail is accepted; `@example.com` stands for a whole domain. The list
    /// may be empty only on loopback and without `proxy_protocol`: then mail for any address is
    /// accepted.
    pub recipients: Vec<String>,
    /// The server's certificate. Without it, connections are not encrypted.
    pub tls: Option<Tls>,
    /// The maximum size of a mail, from 64KiB to 256MiB. Larger mail is refused with 552. The
    /// default is 10MiB.
    pub max_message_size: ByteSize,
    /// The addresses or networks from which clients may connect, such as `192.0.2.7` or
    /// `10.0.0.0/8`. If empty, they may connect from anywhere.
    pub allow_from: Vec<String>,
    /// The addresses or networks of the load balancers in front. Each of their connections must
    /// begin with a PROXY header, version 2, which names the client.
    pub proxy_protocol: Vec<String>,
    /// The authserv-id of the relay in front whose Authentication-Results header (RFC 8601) is
    /// trusted, or `exchange` for Microsoft 365. It must also be the name of the relay in Received.
    /// Name only a relay that adds the header to every mail, or removes those of others. Off
    /// loopback, and behind a load balancer, it requires `allow_from`, because any other sender
    /// could write the header. By default no relay is trusted.
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
    /// Returns the problems that can be found before the address is bound; `key` is their path.
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

    /// Returns the problems of settings that let other machines do what they must not.
    fn check_doors(&self, key: &str) -> Vec<Problem> {
        let mut found = Vec::new();
        if self.is_private() {
            return found;
        }
        let (through, shut) = self.reached();

        if self.recipients.is_empty() {
            found.push(Problem::new(
                key,
                format!(
                    "it listens on {}, where others can reach it{through}, and accepts mail for \
                     anybody",
                    self.listen
                ),
                format!("add `recipients: [alerts@example.com]`, or {shut}"),
            ));
        }

        // Anybody who may send mail may write the header, and the signature that it mentions.
        if let Some(id) = self.trusted_authserv_id.as_ref().filter(|_| self.is_open()) {
            found.push(Problem::new(
                format!("{key}.trusted_authserv_id"),
                format!(
                    "anybody who reaches {}{through} can forge an Authentication-Results of {id}",
                    self.listen
                ),
                format!(
                    "name the relay that may send here, `allow_from: [192.0.2.7]`, or {shut}, or \
                     drop the key"
                ),
            ));
        }

        found
    }

    fn check_recipients(&self, key: &str) -> Vec<Problem> {
        let mut found = Vec::new();
        for (place, recipient) in self.recipients.iter().enumerate() {
            // Letters beyond ASCII are compared as they are (RFC 6531); whether they form a name is
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

    /// Returns the problems of the files that the settings name.
    pub fn check_files(&self, key: &str) -> Option<Problem> {
        certificate::read(self.tls.as_ref()?, &format!("{key}.tls")).err()
    }

    /// Returns a warning about what works now but not for long. [`Settings::check_files`] reports
    /// files that cannot be read.
    pub fn warnings(&self, key: &str, now: Timestamp) -> Option<Problem> {
        certificate::warning(self.tls.as_ref()?, &format!("{key}.tls"), now)
    }

    /// Returns whether only this machine can reach the listener. A load balancer brings others to
    /// it, wherever it listens.
    pub fn is_private(&self) -> bool {
        host::private(&self.listen) && self.proxy_protocol.is_empty()
    }

    /// Returns how others reach the listener, and what keeps them out, for messages.
    fn reached(&self) -> (&'static str, &'static str) {
        if host::private(&self.listen) {
            (
                " through the load balancer of `proxy_protocol`",
                "drop `proxy_protocol`",
            )
        } else {
            ("", "listen on 127.0.0.1")
        }
    }

    /// Returns whether anybody who reaches the listener can send mail to it.
    pub fn is_open(&self) -> bool {
        let admit_anybody = |list: &[String]| {
            Networks::new(list, "").map_or(true, |networks| networks.admit_anybody())
        };
        // A load balancer names the client, and so does anybody who may pose as one.
        let balanced_by_anybody =
            !self.proxy_protocol.is_empty() && admit_anybody(&self.proxy_protocol);
        admit_anybody(&self.allow_from) || balanced_by_anybody
    }

    /// Returns whether connections begin with TLS: RFC 8314 assigns port 465 to it.
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

/// Returns the machine's name, or `localhost` if it is unknown.
fn machine_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map(|name| name.trim().to_owned())
        .ok()
        .filter(|name| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic()))
        .unwrap_or_else(|| "localhost".into())
}
