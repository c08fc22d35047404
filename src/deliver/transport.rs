//! The HTTP clients: one for each distinct transport, built when a configuration is loaded.

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use reqwest::{
    Certificate, ClientBuilder, Identity, NoProxy, Proxy,
    header::{ACCEPT_ENCODING, HeaderMap, HeaderValue},
    redirect::Policy,
};
use secrecy::ExposeSecret as _;

use super::smtp;
use crate::{
    delivery::Target,
    receiver::{
        Receivers,
        transport::{Tls, Transport, check_proxy},
    },
    settings::{Problem, Secret, cause::innermost},
};

/// A function that looks up an environment variable.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Hosts that are never requested through the environment's proxy.
const LOOPBACK: &str = "localhost,127.0.0.0/8,::1";

/// The longest time for making a connection, including its TLS handshake.
const LONGEST_CONNECT: Duration = Duration::from_secs(10);

/// The largest number of headers of a reply. A reply with more headers is not read.
const MOST_HEADERS: usize = 1000;

/// The way in which requests travel. Integrations with the same way share a client.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Way {
    timeout: Duration,
    proxy: Option<String>,
    tls: Tls,
}

/// The proxies that the environment variables name.
#[derive(Debug, Clone, Default)]
struct Surroundings {
    https: Option<String>,
    http: Option<String>,
    direct: String,
}

/// The client of each integration, and the parts of the proxies' addresses that must not be shown.
pub(super) struct Clients {
    pub(super) by_target: BTreeMap<Target, reqwest::Client>,
    pub(super) mail: BTreeMap<Target, smtp::Way>,
    pub(super) proxies: Vec<String>,
}

/// Builds the clients of all receivers. `timeout` applies to integrations without their own.
pub(super) fn clients(
    receivers: &Receivers,
    timeout: Duration,
    environment: Environment<'_>,
) -> Result<Clients, Vec<Problem>> {
    let mut problems = Vec::new();
    let surroundings = Surroundings::read(environment, &mut problems);
    let mut by_way: BTreeMap<Way, reqwest::Client> = BTreeMap::new();
    let (mut by_target, mut mail) = (BTreeMap::new(), BTreeMap::new());

    for (target, receiver) in &receivers.integrations {
        let Some(transport) = receiver.transport() else {
            continue;
        };
        let timeout = transport.timeout.unwrap_or(timeout);
        let key = receivers.place(target);

        if let Some(smarthost) = receiver.smarthost() {
            match smtp::Way::new(smarthost, &transport.tls, timeout, &key) {
                Ok(way) => drop(mail.insert(target.clone(), way)),
                Err(problem) => problems.push(problem),
            }
            continue;
        }

        let way = Way::new(transport, timeout);
        if let Some(client) = by_way.get(&way) {
            by_target.insert(target.clone(), client.clone());
            continue;
        }
        match way.client(&key, &format!("{key}.tls"), &surroundings) {
            Ok(client) => {
                by_target.insert(target.clone(), client.clone());
                by_way.insert(way, client);
            }
            Err(problem) => problems.push(problem),
        }
    }

    let proxies = surroundings
        .https
        .into_iter()
        .chain(surroundings.http)
        .collect();

    if problems.is_empty() {
        Ok(Clients {
            by_target,
            mail,
            proxies,
        })
    } else {
        Err(problems)
    }
}

/// Builds a client for requests other than pages, with the same proxies and the same bounds. `key`
/// is the place of `ca_file` and `proxy_url` in the configuration.
pub fn client_of(
    key: &str,
    timeout: Duration,
    proxy_url: Option<&str>,
    ca_file: Option<&Path>,
    environment: Environment<'_>,
) -> Result<reqwest::Client, Vec<Problem>> {
    let mut problems = Vec::new();
    if let Some(Err((what, mend))) = proxy_url.map(check_proxy) {
        problems.push(Problem::new(format!("{key}.proxy_url"), what, mend));
    }

    let surroundings = Surroundings::read(environment, &mut problems);
    if !problems.is_empty() {
        return Err(problems);
    }

    let way = Way {
        timeout,
        proxy: proxy_url.map(|url| url.trim().to_owned()),
        tls: Tls {
            ca_file: ca_file.map(Path::to_owned),
            ..Tls::default()
        },
    };
    way.client(key, key, &surroundings)
        .map_err(|problem| vec![problem])
}

impl Surroundings {
    /// Reads the variables as curl does: the lower-case spelling takes precedence, and an empty
    /// value means none.
    fn read(environment: Environment<'_>, problems: &mut Vec<Problem>) -> Self {
        let text = |name: &str| {
            [name.to_ascii_lowercase(), name.to_owned()]
                .into_iter()
                .filter_map(|name| environment(&name))
                .map(|text| text.trim().to_owned())
                .find(|text| !text.is_empty())
        };

        let mut proxy = |name: &str| {
            let url = text(name).or_else(|| text("ALL_PROXY"))?;
            let url = if url.contains("://") {
                url
            } else {
                format!("http://{url}")
            };
            match check_proxy(&url) {
                Ok(()) => Some(url),
                Err((what, mend)) => {
                    let what = format!(
                        "the environment variable {name} (or ALL_PROXY) cannot be used: \
                                 {what}"
                    );
                    problems.push(Problem::new("", what, mend));
                    None
                }
            }
        };

        let (https, http) = (proxy("HTTPS_PROXY"), proxy("HTTP_PROXY"));
        Self {
            https,
            http,
            direct: without_proxy(&text("NO_PROXY").unwrap_or_default()),
        }
    }

    fn proxies(&self) -> reqwest::Result<Vec<Proxy>> {
        let direct = || NoProxy::from_string(&self.direct);
        let https = self
            .https
            .as_ref()
            .map(|url| Ok(Proxy::https(url)?.no_proxy(direct())));

        let http = self
            .http
            .as_ref()
            .map(|url| Ok(Proxy::http(url)?.no_proxy(direct())));

        https.into_iter().chain(http).collect()
    }
}

/// Returns the hosts of `NO_PROXY` in the client's notation, together with loopback. The variable
/// is written in many ways: with spaces, with `*.` before a domain, with a port or a dot at the end
/// of one.
fn without_proxy(written: &str) -> String {
    let host = |one: &str| {
        let one = one.strip_prefix("*.").unwrap_or(one);
        let one = match one.rsplit_once(':') {
            Some((host, port))
                if port.bytes().all(|byte| byte.is_ascii_digit())
                    && (!host.contains(':') || host.ends_with(']')) =>
            {
                host
            }
            _ => one,
        };
        one.trim_start_matches('[')
            .trim_end_matches([']', '.'])
            .to_owned()
    };

    written
        .split([',', ';', ' ', '\t'])
        .map(host)
        .filter(|host| !host.is_empty())
        .chain([LOOPBACK.to_owned()])
        .collect::<Vec<_>>()
        .join(",")
}

impl Way {
    fn new(transport: &Transport, timeout: Duration) -> Self {
        let proxy = transport.proxy.as_ref();
        let proxy = proxy.and_then(|proxy| match &proxy.secret {
            Secret::Inline(url) => Some(url.expose_secret().to_owned()),
            Secret::File(_) => None,
        });

        Self {
            timeout,
            proxy,
            tls: transport.tls.clone(),
        }
    }

    /// Builds the client. `key` is the place of the first integration with this transport, and
    /// `tls_key` that of its certificates.
    fn client(
        &self,
        key: &str,
        tls_key: &str,
        surroundings: &Surroundings,
    ) -> Result<reqwest::Client, Problem> {
        // The error's own text may contain the proxy's address, which may contain a password.
        let unusable = |_| {
            Problem::new(
                format!("{key}.proxy_url"),
                "the proxy's address cannot be used",
                "write http://HOST:PORT",
            )
        };

        let proxies = match &self.proxy {
            Some(url) => vec![Proxy::all(url).map_err(unusable)?],
            None => surroundings.proxies().map_err(unusable)?,
        };

        let builder = reqwest::Client::builder()
            .timeout(self.timeout)
            // Shorter than the whole time-out, so that the error says whether there was a
            // connection.
            .connect_timeout((self.timeout * 9 / 10).min(LONGEST_CONNECT))
            .redirect(Policy::none())
            .retry(reqwest::retry::never())
            .pool_idle_timeout(Duration::from_secs(30))
            .tcp_nodelay(true)
            // Be lenient, because a receiver that took a page must not get it a second time for the
            // way it writes its headers; and ask for no compression, because the body is searched
            // for words.
            .http1_ignore_invalid_headers_in_responses(true)
            .http1_allow_spaces_after_header_name_in_responses(true)
            .http1_allow_obsolete_multiline_headers_in_responses(true)
            .http1_max_headers(MOST_HEADERS)
            .default_headers(HeaderMap::from_iter([(
                ACCEPT_ENCODING,
                HeaderValue::from_static("identity"),
            )]))
            .user_agent(concat!("alertbridge/", env!("CARGO_PKG_VERSION")))
            .no_proxy();

        let builder = proxies.into_iter().fold(builder, ClientBuilder::proxy);
        let builder = certified(builder, &self.tls, tls_key)?;

        builder.build().map_err(|error| {
            let what = format!(
                "the client cannot be made: {}",
                innermost(&error).unwrap_or_else(|| "it is not usable".to_owned())
            );
            Problem::new(
                tls_key,
                what,
                "give a certificate and the key that belongs to it",
            )
        })
    }
}

/// Adds the certificates of `tls` to the client. `key` is their place in the configuration.
fn certified(builder: ClientBuilder, tls: &Tls, key: &str) -> Result<ClientBuilder, Problem> {
    let wrong = |name: &str, path: &Path, what: &str| {
        let what = format!("{} {what}", path.display());
        Problem::new(
            format!("{key}.{name}"),
            what,
            "name a PEM file, readable by the user alertbridge runs as",
        )
    };

    let read = |name: &str, path: &Path| {
        fs::read(path).map_err(|error| wrong(name, path, &format!("cannot be read: {error}")))
    };
    let mut builder = builder;

    if let Some(path) = &tls.ca_file {
        let certificates =
            Certificate::from_pem_bundle(&read("ca_file", path)?).unwrap_or_default();
        if certificates.is_empty() {
            return Err(wrong("ca_file", path, "holds no certificate"));
        }
        builder = builder.tls_certs_merge(certificates);
    }

    if let (Some(certificate), Some(own_key)) = (&tls.cert_file, &tls.key_file) {
        let mut pem = read("cert_file", certificate)?;
        if Certificate::from_pem_bundle(&pem)
            .unwrap_or_default()
            .is_empty()
        {
            return Err(wrong("cert_file", certificate, "holds no certificate"));
        }
        pem.push(b'\n');
        pem.extend(read("key_file", own_key)?);
        let identity = Identity::from_pem(&pem);
        builder = builder
            .identity(identity.map_err(|_| wrong("key_file", own_key, "holds no private key"))?);
    }

    Ok(builder)
}

#[cfg(test)]
mod tests {
    use super::{LOOPBACK, Surroundings, without_proxy};

    #[test]
    fn who_is_asked_without_a_proxy_is_read_in_every_notation() {
        for (written, read) in [
            ("", ""),
            ("*", "*,"),
            ("a.example,.b.example", "a.example,.b.example,"),
            (
                "*.a.example; b.example. c.example:8443",
                "a.example,b.example,c.example,",
            ),
            ("10.0.0.0/8 [2001:db8::1]:80", "10.0.0.0/8,2001:db8::1,"),
            ("2001:db8::1,::1", "2001:db8::1,::1,"),
            (" , ,", ""),
        ] {
            assert_eq!(
                without_proxy(written),
                format!("{read}{LOOPBACK}"),
                "{written}"
            );
        }
    }

    #[test]
    fn a_proxy_that_is_empty_in_one_spelling_is_read_in_the_other() {
        for (given, proxy) in [
            (
                &[("https_proxy", ""), ("HTTPS_PROXY", "http://b:1")][..],
                Some("http://b:1"),
            ),
            (
                &[("https_proxy", "http://a:1"), ("HTTPS_PROXY", "http://b:1")],
                Some("http://a:1"),
            ),
            (
                &[
                    ("https_proxy", " "),
                    ("HTTPS_PROXY", ""),
                    ("all_proxy", "c:1"),
                ],
                Some("http://c:1"),
            ),
            (&[("https_proxy", "")], None),
        ] {
            let environment = |name: &str| {
                let found = given.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| (*value).to_owned())
            };
            let mut problems = Vec::new();
            let read = Surroundings::read(&environment, &mut problems);
            assert_eq!(read.https.as_deref(), proxy, "{given:?}");
            assert!(problems.is_empty(), "{problems:?}");
        }
    }
}
