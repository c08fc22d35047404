//! `ingress.imap` of the configuration.

use std::path::PathBuf;

use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{oauth::Oauth2, trust::is_fingerprint};
use crate::settings::{ByteSize, Duration, Problem, Secret, SecretText};

/// A mailbox that is read over IMAP (`ingress.imap[]`).
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The name of the ingress, which appears in metrics and labels. No other ingress may have it.
    pub name: String,
    /// The host name of the IMAP server, such as `imap.example.com`.
    pub host: String,
    /// The port of the IMAP server. The default is 993 with implicit TLS, and otherwise 143.
    pub port: Option<u16>,
    /// How the connection is encrypted. The default is `implicit`.
    pub tls: Tls,
    /// A file of PEM certificates that are trusted besides the system's, also for the token server:
    /// those of a certificate authority, or the server's own if it is self-signed (Proton Mail
    /// Bridge).
    pub ca_file: Option<PathBuf>,
    /// The SHA-256 fingerprint of the server's certificate in hex, with or without colons. Only
    /// that certificate is accepted, whatever its name and issuer.
    /// `openssl x509 -noout -fingerprint -sha256 -in server.pem` prints it.
    pub tls_fingerprint: Option<String>,
    /// The user name of the account.
    pub username: String,
    /// The password of the account. It is required unless there is a `password_file` or `oauth2`.
    pub password: Option<SecretText>,
    /// A file that contains the password, in place of `password`. It is read at each use.
    pub password_file: Option<PathBuf>,
    /// OAuth 2.0 access tokens, which are used in place of a password.
    pub oauth2: Option<Oauth2>,
    /// The folder that is read. The default is `INBOX`.
    pub folder: String,
    /// Whether to wait for new mail with IDLE (RFC 2177) if the server supports it. Without IDLE,
    /// the folder is polled every `rescan_interval`, and at least once a minute. The default is
    /// `true`.
    pub idle: bool,
    /// How often the folder is read again by UID, also while IDLE is in use; at least 1s. The
    /// default is 5m.
    pub rescan_interval: Duration,
    /// How far back the first connection reads. 0s, the default, means that only mail that arrives
    /// from then on is read. If it succeeds only later, both count from the first start. If the
    /// host, port, user name or folder of a mailbox changes under the same `name`, what arrived
    /// meanwhile is read.
    pub backfill: Duration,
    /// The maximum size of a mail that is read whole. Of larger mail only the header is read; if it
    /// is a sender's, it is paged as an alert that could not be read. The default is 10MiB.
    pub max_message_size: ByteSize,
    /// What happens to a mail in the mailbox once it is stored. The default is `keep`.
    pub after: After,
    /// The authserv-id of the host whose Authentication-Results header (RFC 8601) is trusted, such
    /// as `mx.google.com` for Gmail, or `exchange` for Microsoft 365. It must also be the name of
    /// the host in Received. Name only a host that adds the header to every mail, or removes those
    /// of others. By default no host is trusted.
    pub trusted_authserv_id: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            name: String::new(),
            host: String::new(),
            port: None,
            tls: Tls::Implicit,
            ca_file: None,
            tls_fingerprint: None,
            username: String::new(),
            password: None,
            password_file: None,
            oauth2: None,
            folder: "INBOX".into(),
            idle: true,
            rescan_interval: Duration::from_secs(300),
            backfill: Duration::from_secs(0),
            max_message_size: ByteSize::from_mib(10),
            after: After::Keep,
            trusted_authserv_id: None,
        }
    }
}

/// How the connection to the IMAP server is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Tls {
    /// The connection begins with TLS.
    Implicit,
    /// The connection changes to TLS by STARTTLS.
    Starttls,
    /// The connection is not encrypted. This is sensible only on loopback.
    None,
}

/// What happens to a mail in the mailbox once it is stored. It is done once: a mail that was stored
/// just before a crash may stay where it is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum After {
    /// The mail stays as it is: the folder is opened read-only.
    Keep,
    /// The mail is marked as seen.
    Seen,
    /// The mail is removed if the server has UIDPLUS (RFC 4315), and otherwise only marked as
    /// deleted. Mail larger than `max_message_size` stays.
    Delete,
    /// The mail is moved to this folder, which is created if it does not exist:
    /// `{ move: Processed }`.
    Move(String),
}

impl Settings {
    /// Returns the certificates of `ca_file`; empty if it is not given. `key` is the path of the
    /// settings.
    pub fn authorities(&self, key: &str) -> Result<Vec<CertificateDer<'static>>, Problem> {
        let Some(path) = &self.ca_file else {
            return Ok(Vec::new());
        };
        let unusable = |what| {
            Problem::new(
                format!("{key}.ca_file"),
                what,
                "name a file of PEM certificates (BEGIN CERTIFICATE)",
            )
        };

        let all = CertificateDer::pem_file_iter(path)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| unusable(format!("cannot read {}: {error}", path.display())))?;

        if all.is_empty() {
            Err(unusable(format!("{} holds no certificate", path.display())))
        } else {
            Ok(all)
        }
    }

    /// Returns the problems of the settings; `key` is their own path (`ingress.imap[0]`). Names are
    /// checked by `ingress::Settings::check`, for all ingresses.
    pub fn check(&self, key: &str) -> Vec<Problem> {
        let at = |name: &str| format!("{key}.{name}");
        let mut problems = Vec::new();
        let mut require = |name: &str, value: &str, example: &str| {
            if value.trim().is_empty() {
                let what = format!("`{name}` is missing");
                problems.push(Problem::new(
                    at(name),
                    what,
                    format!("add it: `{name}: {example}`"),
                ));
            }
        };

        require("host", &self.host, "imap.example.com");
        require("username", &self.username, "alerts@example.com");
        require("folder", &self.folder, "INBOX");
        if let After::Move(folder) = &self.after {
            require("after.move", folder, "Processed");
            if folder_key(folder) == folder_key(&self.folder) {
                problems.push(Problem::new(
                    at("after.move"),
                    format!("mail would be moved from `{folder}` to itself"),
                    "name another folder",
                ));
            }
        }

        problems.extend(self.check_credential(key));
        problems.extend(self.check_fingerprint(key));

        if self.port == Some(0) {
            problems.push(Problem::new(
                at("port"),
                "0 is not a valid port",
                "drop the key for the usual one, 993 or 143",
            ));
        }

        if self.rescan_interval < Duration::from_secs(1) {
            problems.push(Problem::new(
                at("rescan_interval"),
                "it is shorter than a second",
                "write 5m",
            ));
        }

        if self.max_message_size.bytes() == 0 {
            problems.push(Problem::new(
                at("max_message_size"),
                "no mail is that small",
                "write 10MiB",
            ));
        }

        problems
    }

    fn check_credential(&self, key: &str) -> Vec<Problem> {
        let oauth2_key = format!("{key}.oauth2");
        match &self.oauth2 {
            Some(_) if self.password.is_some() || self.password_file.is_some() => {
                vec![Problem::new(
                    oauth2_key,
                    "a password and `oauth2` exclude each other",
                    "keep `oauth2`, drop the password",
                )]
            }
            Some(oauth2) => oauth2.check(&oauth2_key),
            None => self.secret(key).err().into_iter().collect(),
        }
    }

    fn check_fingerprint(&self, key: &str) -> Option<Problem> {
        let (what, mend) = match &self.tls_fingerprint {
            Some(_) if self.tls == Tls::None => (
                "without TLS there is no certificate",
                "drop it, or set `tls: implicit` or `tls: starttls`",
            ),
            Some(text) if !is_fingerprint(text) => (
                "it is not a valid SHA-256 in hex",
                "write what `openssl x509 -noout -fingerprint -sha256 -in server.pem` prints \
                 behind the `=`",
            ),
            _ => return None,
        };
        Some(Problem::new(format!("{key}.tls_fingerprint"), what, mend))
    }

    /// Returns the problems of settings that work but are unwise.
    pub fn warnings(&self, key: &str) -> Vec<Problem> {
        let loopback = self.host == "localhost"
            || self
                .host
                .parse::<std::net::IpAddr>()
                .is_ok_and(|address| address.is_loopback());

        let mut warnings = Vec::new();

        if self.tls == Tls::None && !loopback {
            let secret = if self.oauth2.is_some() {
                "access token"
            } else {
                "password"
            };
            warnings.push(Problem::new(
                format!("{key}.tls"),
                format!("the {secret} goes to {} unencrypted", self.host),
                "set `tls: implicit` or `tls: starttls`",
            ));
        }

        if let Some(oauth2) = &self.oauth2 {
            warnings.extend(oauth2.warnings(&format!("{key}.oauth2")));
        }

        warnings
    }

    /// Returns the name of the mailbox in its bookmark. No two ingresses may share one.
    pub fn mailbox(&self) -> String {
        self.mailbox_of(folder_key(&self.folder))
    }

    /// Returns the name that an earlier version gave the mailbox: it took the folder as written.
    pub(super) fn mailbox_as_written(&self) -> String {
        self.mailbox_of(&self.folder)
    }

    fn mailbox_of(&self, folder: &str) -> String {
        format!(
            "imap://{}@{}:{}/{folder}",
            self.username,
            self.host,
            self.port(),
        )
    }

    pub(super) fn port(&self) -> u16 {
        self.port
            .unwrap_or(if self.tls == Tls::Implicit { 993 } else { 143 })
    }

    pub(super) fn secret(&self, key: &str) -> Result<Secret, Problem> {
        Secret::required(
            key,
            "password",
            self.password.as_deref(),
            self.password_file.as_deref(),
        )
    }
}

/// Returns a folder's name as it is compared: INBOX is the same in any case (RFC 9051, 5.1).
fn folder_key(folder: &str) -> &str {
    const INBOX: &str = "INBOX";
    if folder.eq_ignore_ascii_case(INBOX) {
        INBOX
    } else {
        folder
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Settings {
        Settings {
            name: "alerts".into(),
            host: "imap.example.com".into(),
            username: "alerts".into(),
            password_file: Some("/run/secrets/imap".into()),
            ..Settings::default()
        }
    }

    #[test]
    fn good_settings_have_no_problems() {
        assert_eq!(good().check("ingress.imap[0]"), []);
        assert_eq!(good().warnings("ingress.imap[0]"), []);
    }

    #[test]
    fn every_problem_names_its_key() {
        type Spoil = fn(&mut Settings);
        let spoilt: [(&str, Spoil); 12] = [
            ("tls_fingerprint", |s| {
                s.tls_fingerprint = Some("SHA256:abc".into());
            }),
            ("tls_fingerprint", |s| {
                s.tls = Tls::None;
                s.tls_fingerprint = Some("ab".repeat(32));
            }),
            ("host", |s| s.host.clear()),
            ("username", |s| s.username.clear()),
            ("folder", |s| s.folder.clear()),
            ("port", |s| s.port = Some(0)),
            ("password", |s| s.password = Some("x".into())),
            ("", |s| s.password_file = None),
            ("rescan_interval", |s| {
                s.rescan_interval = Duration::from_secs(0);
            }),
            ("max_message_size", |s| {
                s.max_message_size = ByteSize::from_mib(0);
            }),
            ("after.move", |s| s.after = After::Move(String::new())),
            ("after.move", |s| s.after = After::Move("INBOX".into())),
        ];
        for (name, spoil) in spoilt {
            let mut settings = good();
            spoil(&mut settings);
            let keys: Vec<String> = settings
                .check("k")
                .into_iter()
                .map(|problem| problem.key)
                .collect();
            let expected = if name.is_empty() {
                "k".to_owned()
            } else {
                format!("k.{name}")
            };
            assert_eq!(keys, [expected]);
        }
    }

    #[test]
    fn inbox_is_one_mailbox_in_any_case_and_other_folders_are_not() {
        let mailbox = |folder: &str| {
            let folder = folder.to_owned();
            Settings { folder, ..good() }.mailbox()
        };
        for same in ["INBOX", "inbox", "Inbox", "iNbOx"] {
            assert_eq!(mailbox(same), mailbox("INBOX"));
        }
        for other in ["INBOX/a", "inbox/a", "Alerts", "alerts", "INBOXES"] {
            assert!(mailbox(other).ends_with(&format!("/{other}")));
        }
    }

    #[test]
    fn a_password_in_the_clear_is_warned_of_except_on_loopback() {
        let mut settings = Settings {
            tls: Tls::None,
            ..good()
        };
        assert_eq!(settings.warnings("k").len(), 1);
        settings.host = "127.0.0.1".into();
        assert_eq!(settings.warnings("k"), []);
    }
}
