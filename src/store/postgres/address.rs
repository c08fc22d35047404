//! The address of the database, in libpq's syntax:
//! `postgres://user:password@host:port/database?sslmode=verify-full`.

use std::{fmt, path::PathBuf, time::Duration};

use percent_encoding::percent_decode_str;
use tokio_postgres::{
    Config,
    config::{Host, SslMode},
};

use super::tls::Trust;

/// How long establishing a connection may take.
const CONNECT: Duration = Duration::from_secs(5);
/// The time after which a database that has silently disappeared is noticed: half of it idle, half
/// of it probing.
const GONE: Duration = Duration::from_secs(15);

/// A database address. It is printed without the password.
#[derive(Clone)]
pub struct Address {
    pub(super) config: Config,
    pub(super) trust: Trust,
}

/// What is wrong with an address, and how to fix it. It quotes nothing that may be part of a
/// password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misaddressed {
    pub what: String,
    pub mend: &'static str,
}

impl Misaddressed {
    fn new(what: impl Into<String>, mend: &'static str) -> Self {
        Self {
            what: what.into(),
            mend,
        }
    }
}

impl Address {
    /// Parses a URL. The parameters are libpq's: `sslmode` (its six values, `prefer` by default),
    /// `sslrootcert`, `host`, `connect_timeout`, `target_session_attrs` and others; `allow` is
    /// treated as `prefer`.
    pub fn parse(url: &str) -> Result<Self, Misaddressed> {
        let (place, query) = url.split_once('?').unwrap_or((url, ""));
        let authority = place.split_once("://").map_or(place, |(_, rest)| rest);

        if authority.matches('@').count() > 1 {
            return Err(Misaddressed::new(
                "the user name or the password contains an `@`",
                "write it as `%40`",
            ));
        }

        let (security, rest) = Security::parse(query);
        let (ssl_mode, trust) = security.demands()?;

        let address = if rest.is_empty() {
            place.to_owned()
        } else {
            format!("{place}?{}", rest.join("&"))
        };
        let mut config = address.parse::<Config>().map_err(|error| invalid(&error))?;

        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(Misaddressed::new(
                "it names no host",
                "write `postgres://user:password@host:5432/database`",
            ));
        }

        config.ssl_mode(ssl_mode);
        set_defaults(&mut config);

        Ok(Self { config, trust })
    }

    /// Returns whether traffic can be read or changed in transit, because it crosses a network
    /// without a verified certificate.
    pub fn is_exposed(&self) -> bool {
        let local = |host: &Host| match host {
            Host::Unix(_) => true,
            Host::Tcp(name) => matches!(name.as_str(), "localhost" | "127.0.0.1" | "::1"),
        };
        matches!(self.trust, Trust::Anybody) && !self.config.get_hosts().iter().all(local)
    }
}

/// The parameters of the address about TLS.
struct Security {
    mode: String,
    roots: Option<PathBuf>,
}

impl Security {
    /// Takes the parameters about TLS out of a query, and returns them and the other parameters.
    fn parse(query: &str) -> (Self, Vec<&str>) {
        let mut security = Self {
            mode: "prefer".to_owned(),
            roots: None,
        };
        let mut rest = Vec::new();

        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let value = || percent_decode_str(value).decode_utf8_lossy().into_owned();
            match name {
                "sslmode" => security.mode = value(),
                "sslrootcert" => {
                    security.roots = Some(value())
                        .filter(|file| file != "system")
                        .map(PathBuf::from);
                }
                _ => rest.push(parameter),
            }
        }

        (security, rest)
    }

    fn demands(self) -> Result<(SslMode, Trust), Misaddressed> {
        let Self { mode, roots } = self;
        Ok(match mode.as_str() {
            "disable" => (SslMode::Disable, Trust::Anybody),
            "allow" | "prefer" => (SslMode::Prefer, Trust::Anybody),
            // As in libpq, the certificate is checked against a root certificate if one is given.
            "require" if roots.is_none() => (SslMode::Require, Trust::Anybody),
            "require" | "verify-ca" => (SslMode::Require, Trust::Authority(roots)),
            "verify-full" => (SslMode::Require, Trust::Host(roots)),
            _ => {
                return Err(Misaddressed::new(
                    "its sslmode is not known",
                    "write one of disable, prefer, require, verify-ca, verify-full",
                ));
            }
        })
    }
}

fn invalid(error: &tokio_postgres::Error) -> Misaddressed {
    // The cause names a parameter, never its value.
    let cause =
        std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string);

    Misaddressed::new(
        format!("it is not a valid database address: {cause}"),
        "write `postgres://user:password@host:5432/database`, special characters of the password \
         as %XX",
    )
}

/// Sets the keep-alives in any case, and the time-outs and the application's name if the address
/// has none.
fn set_defaults(config: &mut Config) {
    config
        .keepalives_idle(GONE / 2)
        .keepalives_interval(GONE / 6)
        .keepalives_retries(3);

    if config.get_tcp_user_timeout().is_none() {
        config.tcp_user_timeout(GONE);
    }

    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECT);
    }

    if config.get_application_name().is_none() {
        config.application_name("alertbridge");
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts = self.config.get_hosts().iter().map(|host| match host {
            Host::Tcp(name) => name.clone(),
            Host::Unix(path) => path.display().to_string(),
        });

        let hosts = hosts.chain(self.config.get_hostaddrs().iter().map(ToString::to_string));
        let hosts = hosts.collect::<Vec<_>>().join(",");
        let database = self
            .config
            .get_dbname()
            .or(self.config.get_user())
            .unwrap_or_default();

        write!(f, "PostgreSQL database `{database}` at {hosts}")
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<Address, Misaddressed> {
        Address::parse(url)
    }

    #[test]
    fn an_address_is_read_as_libpq_reads_it_and_shown_without_its_password() {
        let address =
            parse("postgres://bridge:p%40ss@db.example.com:6432/alerts?sslmode=verify-full")
                .unwrap();
        assert_eq!(address.config.get_password(), Some(&b"p@ss"[..]));
        assert_eq!(address.config.get_ports(), [6432]);
        assert_eq!(address.trust, Trust::Host(None));
        for shown in [address.to_string(), format!("{address:?}")] {
            assert_eq!(shown, "PostgreSQL database `alerts` at db.example.com");
        }
        let socket = parse("postgresql:///alerts?host=/run/postgresql&user=bridge").unwrap();
        assert_eq!(
            socket.to_string(),
            "PostgreSQL database `alerts` at /run/postgresql"
        );
        assert!(!socket.is_exposed());
    }

    #[test]
    fn sslmode_means_what_it_means_to_libpq() {
        let of = |parameters: &str| {
            let address = parse(&format!("postgres://db/alerts?{parameters}")).unwrap();
            (
                address.config.get_ssl_mode(),
                address.trust.clone(),
                address.is_exposed(),
            )
        };
        let root = || Some(PathBuf::from("/ca.pem"));
        assert_eq!(of(""), (SslMode::Prefer, Trust::Anybody, true));
        assert_eq!(
            of("sslmode=disable"),
            (SslMode::Disable, Trust::Anybody, true)
        );
        assert_eq!(
            of("sslmode=require"),
            (SslMode::Require, Trust::Anybody, true)
        );
        assert_eq!(
            of("sslmode=require&sslrootcert=%2Fca.pem"),
            (SslMode::Require, Trust::Authority(root()), false)
        );
        assert_eq!(
            of("sslmode=verify-ca&sslrootcert=/ca.pem"),
            (SslMode::Require, Trust::Authority(root()), false)
        );
        assert_eq!(
            of("sslmode=verify-full&sslrootcert=system"),
            (SslMode::Require, Trust::Host(None), false)
        );
    }

    #[test]
    fn what_is_wrong_is_said_without_the_password() {
        for (url, expected) in [
            ("postgres://bridge:hun@ter2@db/alerts", "`@`"),
            (
                "postgres://bridge:hunter2@db/alerts?sslmode=hunter2",
                "sslmode",
            ),
            (
                "postgres://bridge:hunter2@db/alerts?colour=hunter2",
                "colour",
            ),
            ("postgres://bridge:hunter2@db:hunter2/alerts", "port"),
            ("postgres://bridge:hunter2@/alerts", "no host"),
        ] {
            let wrong = parse(url).unwrap_err();
            assert!(wrong.what.contains(expected), "{url}: {wrong:?}");
            assert!(!wrong.what.contains("ter2"), "{wrong:?}");
        }
    }
}
