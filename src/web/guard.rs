//! Checks that a request names this listener, and that a page that sends one is this listener's
//! own.
//!
//! A browser runs everybody's pages. A foreign name may point to this address ("DNS rebinding"),
//! and foreign scripts may send requests here. The browser reveals both in Host and Origin, which
//! no page can change, so both headers are checked on every route.

use std::net::{IpAddr, SocketAddr};

use axum::{
    extract::Request,
    http::{
        HeaderMap, HeaderValue, StatusCode, Version,
        header::{HOST, ORIGIN, REFERER},
        uri::{Authority, Uri},
    },
};

use super::{problem::Problem, sign_in::pages::own_path};

/// The names by which the listener is known, besides its own address.
#[derive(Debug, Clone, Default)]
pub struct Hosts {
    names: Vec<String>,
    /// Whether `external_url` is `https`, so that people arrive over TLS at whatever stands in
    /// front.
    is_https: bool,
}

/// The reason why a request is not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stranger {
    /// The request has no Host, an unreadable one, or more than one.
    NoHost,
    /// The request is for another host.
    Misdirected,
    /// A page of another origin sent the request.
    ForeignOrigin,
}

impl Stranger {
    pub(super) fn problem(self) -> Problem {
        let (status, detail) = match self {
            Self::NoHost => (
                StatusCode::BAD_REQUEST,
                "the request needs one Host header that names this listener",
            ),
            Self::Misdirected => (
                StatusCode::MISDIRECTED_REQUEST,
                "this listener does not know the name in Host: use its address, or add the name to \
                 admin.hosts",
            ),
            Self::ForeignOrigin => (
                StatusCode::FORBIDDEN,
                "the page that sent this is of another origin: add its name to admin.hosts",
            ),
        };
        Problem::new(status, detail)
    }
}

impl Hosts {
    /// Creates the set from `names` and the host of `external_url`.
    pub fn new(names: &[String], external_url: Option<&str>) -> Self {
        let external = external_url.and_then(|url| url.parse::<Uri>().ok());
        let host = external.as_ref().and_then(Uri::host).map(normal);
        Self {
            names: names.iter().map(|name| normal(name)).chain(host).collect(),
            is_https: external.is_some_and(|url| url.scheme_str() == Some("https")),
        }
    }

    /// Decides whether the cookies of a request travel over TLS alone.
    ///
    /// They do if people arrive by `https`, or if the request names or reaches anything but this
    /// machine. A browser accepts such cookies from its own machine as well.
    pub(super) fn are_secure(&self, here: IpAddr, headers: &HeaderMap) -> bool {
        let host = headers.get(HOST).and_then(authority);
        let name = host.as_ref().map(|host| normal(host.host()));
        let is_local = name.is_some_and(|name| {
            let address = name.parse::<IpAddr>();
            name == "localhost" || address.is_ok_and(|one| one.to_canonical().is_loopback())
        });
        self.is_https || !is_local || !here.to_canonical().is_loopback()
    }

    /// Checks a request that has reached the address `here`.
    pub(super) fn check(
        &self,
        here: SocketAddr,
        version: Version,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Result<(), Stranger> {
        let host = match (only(headers, HOST)?, uri.authority()) {
            // The request target takes precedence over the Host header (RFC 9112, 3.2.2).
            (_, Some(named)) => Some(named.clone()),
            (Some(host), None) => Some(authority(host).ok_or(Stranger::NoHost)?),
            (None, None) => None,
        };

        match &host {
            Some(host) if !self.names(here, host.host()) => return Err(Stranger::Misdirected),
            Some(_) => {}
            // Every browser sends Host; health checks over HTTP/1.0 do not.
            None if version == Version::HTTP_10 => {}
            None => return Err(Stranger::NoHost),
        }

        match only(headers, ORIGIN).map_err(|_| Stranger::ForeignOrigin)? {
            Some(origin) if !self.is_own(origin, host.as_ref()) => Err(Stranger::ForeignOrigin),
            _ => Ok(()),
        }
    }

    /// Returns the path and query of the page of this listener that a request came from, if its
    /// browser says so.
    pub(super) fn came_from(&self, request: &Request) -> Option<String> {
        let (uri, headers) = (request.uri(), request.headers());
        let host = uri.authority().cloned();
        let host = host.or_else(|| headers.get(HOST).and_then(authority));
        let referer = headers.get(REFERER)?;
        let page: Uri = referer.to_str().ok()?.parse().ok()?;
        let is_own = self.is_own(referer, host.as_ref());
        let path = page.path_and_query()?.as_str();
        (is_own && own_path(path) == path).then(|| path.to_owned())
    }

    /// Decides whether the listener is known by a name: the address that the request has reached,
    /// `localhost` if that is loopback, or one of the configured names.
    fn names(&self, here: SocketAddr, host: &str) -> bool {
        let host = normal(host);
        let here = here.ip().to_canonical();
        match host.parse::<IpAddr>().map(|address| address.to_canonical()) {
            Ok(address) if address == here || address.is_loopback() && here.is_loopback() => true,
            Err(_) if here.is_loopback() && host == "localhost" => true,
            _ => self.names.contains(&host),
        }
    }

    /// Decides whether a page is this listener's own: it has the same host and port, or one of the
    /// configured names, which may be a proxy's.
    fn is_own(&self, origin: &HeaderValue, host: Option<&Authority>) -> bool {
        let Some(origin) = origin
            .to_str()
            .ok()
            .and_then(|origin| origin.parse::<Uri>().ok())
        else {
            return false;
        };

        let (Some(scheme), Some(page)) = (origin.scheme_str(), origin.authority()) else {
            return false;
        };
        let port = |authority: &Authority| {
            authority
                .port_u16()
                .unwrap_or(if scheme == "https" { 443 } else { 80 })
        };

        let same = |host: &Authority| {
            normal(host.host()) == normal(page.host()) && port(host) == port(page)
        };

        matches!(scheme, "http" | "https")
            && (host.is_some_and(same) || self.names.contains(&normal(page.host())))
    }
}

/// Normalises a name for comparison: lower case, without the root's dot and an address's brackets.
fn normal(name: &str) -> String {
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

/// Returns the value of a header that may occur at most once.
fn only(
    headers: &HeaderMap,
    name: axum::http::HeaderName,
) -> Result<Option<&HeaderValue>, Stranger> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (value, None) => Ok(value),
        _ => Err(Stranger::NoHost),
    }
}

/// Parses a host with an optional port, and refuses user information before them.
fn authority(value: &HeaderValue) -> Option<Authority> {
    let authority: Authority = value.to_str().ok()?.parse().ok()?;
    let port = authority.as_str().strip_prefix(authority.host())?;
    (port.is_empty() || authority.port_u16().is_some()).then_some(authority)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOPBACK: &str = "127.0.0.1:8026";

    fn check(here: &str, host: Option<&str>, origin: Option<&str>) -> Result<(), Stranger> {
        let hosts = Hosts::new(
            &["Alerts.example.com".into()],
            Some("https://pages.example.com:8443/x"),
        );
        let host = host.map(|host| (HOST, HeaderValue::from_str(host).unwrap()));
        let origin = origin.map(|origin| (ORIGIN, HeaderValue::from_str(origin).unwrap()));
        let headers = host.into_iter().chain(origin).collect();
        hosts.check(
            here.parse().unwrap(),
            Version::HTTP_11,
            &Uri::from_static("/"),
            &headers,
        )
    }

    #[test]
    fn the_listener_answers_to_its_own_names_alone() {
        for (here, host, named) in [
            (LOOPBACK, "127.0.0.1:8026", true),
            (LOOPBACK, "127.0.0.1", true),
            (LOOPBACK, "localhost:8026", true),
            (LOOPBACK, "LOCALHOST.", true),
            (LOOPBACK, "localhost:9000", true),
            (LOOPBACK, "[::1]:8026", true),
            (LOOPBACK, "alerts.example.com", true),
            (LOOPBACK, "ALERTS.example.com.:443", true),
            (LOOPBACK, "pages.example.com", true),
            ("[::ffff:127.0.0.1]:8026", "127.0.0.1:8026", true),
            ("10.1.2.3:8026", "10.1.2.3:8026", true),
            ("[2001:db8::1]:8026", "[2001:DB8:0::1]:8026", true),
            (LOOPBACK, "evil.test", false),
            (LOOPBACK, "evil.test:8026", false),
            (LOOPBACK, "localhost.evil.test", false),
            (LOOPBACK, "127.0.0.1.nip.io", false),
            (LOOPBACK, "xlocalhost", false),
            (LOOPBACK, "example.com", false),
            (LOOPBACK, "x.alerts.example.com", false),
            (LOOPBACK, "10.1.2.3", false),
            (LOOPBACK, "2130706433", false),
            (LOOPBACK, "0.0.0.0:8026", false),
            ("10.1.2.3:8026", "localhost:8026", false),
            ("10.1.2.3:8026", "127.0.0.1:8026", false),
            ("10.1.2.3:8026", "10.1.2.4", false),
        ] {
            let expected = if named {
                Ok(())
            } else {
                Err(Stranger::Misdirected)
            };
            assert_eq!(check(here, Some(host), None), expected, "{host} at {here}");
        }
        for unreadable in [
            "",
            "a b",
            "x@127.0.0.1",
            "127.0.0.1:port",
            "127.0.0.1, evil.test",
        ] {
            assert_ne!(
                check(LOOPBACK, Some(unreadable), None),
                Ok(()),
                "{unreadable:?}"
            );
        }
        assert_eq!(check(LOOPBACK, None, None), Err(Stranger::NoHost));
    }

    #[test]
    fn a_page_is_answered_where_it_is_this_listeners_own() {
        for (host, origin, own) in [
            ("127.0.0.1:8026", "http://127.0.0.1:8026", true),
            ("localhost:8026", "http://localhost:8026", true),
            ("alerts.example.com", "https://alerts.example.com", true),
            ("127.0.0.1:8026", "https://alerts.example.com", true),
            ("127.0.0.1:8026", "https://pages.example.com:8443", true),
            ("127.0.0.1:8026", "http://127.0.0.1:3000", false),
            ("127.0.0.1:8026", "http://localhost:8026", false),
            ("127.0.0.1:8026", "http://evil.test", false),
            ("127.0.0.1:8026", "null", false),
            ("127.0.0.1:8026", "file://", false),
            (
                "127.0.0.1:8026",
                "chrome-extension://alerts.example.com",
                false,
            ),
            ("127.0.0.1:8026", "", false),
        ] {
            let expected = if own {
                Ok(())
            } else {
                Err(Stranger::ForeignOrigin)
            };
            assert_eq!(
                check(LOOPBACK, Some(host), Some(origin)),
                expected,
                "{origin} at {host}"
            );
        }
    }

    #[test]
    fn cookies_travel_in_the_clear_on_this_machine_alone() {
        let secure = |external, here: &str, host| {
            let headers = HeaderMap::from_iter([(HOST, HeaderValue::from_static(host))]);
            Hosts::new(&[], external).are_secure(here.parse().unwrap(), &headers)
        };
        for (external, here, host, expected) in [
            (None, "127.0.0.1", "127.0.0.1:8026", false),
            (None, "127.0.0.1", "LOCALHOST:8026", false),
            (None, "::1", "[::1]:8026", false),
            (None, "127.0.0.1", "alerts.example.com", true),
            (None, "192.0.2.7", "localhost", true),
            (None, "192.0.2.7", "192.0.2.7:8026", true),
            (
                Some("http://127.0.0.1:8026"),
                "127.0.0.1",
                "127.0.0.1",
                false,
            ),
            (
                Some("https://alerts.example.com"),
                "127.0.0.1",
                "localhost",
                true,
            ),
        ] {
            assert_eq!(secure(external, here, host), expected, "{host} at {here}");
        }
    }

    #[test]
    fn neither_a_second_host_nor_the_request_line_gets_around_it() {
        let check = |version, uri: &'static str, hosts: &[&'static str]| {
            let headers = hosts
                .iter()
                .map(|host| (HOST, HeaderValue::from_static(host)));
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                map.append(name, value);
            }
            Hosts::default().check(
                LOOPBACK.parse().unwrap(),
                version,
                &Uri::from_static(uri),
                &map,
            )
        };
        let (own, foreign) = ("127.0.0.1:8026", "evil.test");
        assert_eq!(
            check(Version::HTTP_11, "/", &[own, foreign]),
            Err(Stranger::NoHost)
        );
        assert_eq!(
            check(Version::HTTP_11, "/", &[own, own]),
            Err(Stranger::NoHost)
        );
        assert_eq!(
            check(Version::HTTP_11, "http://evil.test/", &[own]),
            Err(Stranger::Misdirected)
        );
        assert_eq!(
            check(Version::HTTP_11, "http://127.0.0.1:8026/", &[own]),
            Ok(())
        );
        assert_eq!(check(Version::HTTP_10, "/", &[]), Ok(()));
        assert_eq!(
            check(Version::HTTP_10, "/", &[foreign]),
            Err(Stranger::Misdirected)
        );
    }
}
