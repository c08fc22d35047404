//! The section `telemetry` of the configuration.

use std::path::PathBuf;

use schemars::JsonSchema;
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use url::Url;

use crate::settings::{Problem, Secret};

/// The collector to which traces are sent. Without an endpoint, no traces are sent.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The collector's address for OTLP over HTTP, such as `http://localhost:4318`, without the
    /// path of a signal: traces are posted to `/v1/traces` below it.
    pub otlp_endpoint: Option<String>,
    /// A file of headers that the collector requires, such as its key: `NAME: VALUE`, one on each
    /// line.
    pub headers_file: Option<PathBuf>,
}

impl Settings {
    /// Returns what is wrong with the settings; `key` is their path.
    pub fn check(&self, key: &str) -> Vec<Problem> {
        let without_endpoint =
            (self.headers_file.is_some() && self.otlp_endpoint.is_none()).then(|| {
                Problem::new(
                    format!("{key}.headers_file"),
                    "there is no collector to send the headers to",
                    "add `otlp_endpoint`, or drop the key",
                )
            });

        let endpoint = self.endpoint(key).err();
        endpoint.into_iter().chain(without_endpoint).collect()
    }

    /// Returns the address to which traces are posted.
    pub fn endpoint(&self, key: &str) -> Result<Option<Url>, Problem> {
        self.otlp_endpoint
            .as_deref()
            .map(|text| {
                posted_to(text).map_err(|(what, mend)| {
                    Problem::new(format!("{key}.otlp_endpoint"), what, mend)
                })
            })
            .transpose()
    }

    /// Returns the headers of the file. No error shows its content.
    pub fn headers(&self, key: &str) -> Result<Vec<(String, String)>, Problem> {
        let Some(path) = &self.headers_file else {
            return Ok(Vec::new());
        };

        let at = format!("{key}.headers_file");
        let text = Secret::File(path.clone()).read().map_err(|error| {
            let mend = "put the file there, readable by the user alertbridge runs as";
            Problem::new(&at, error.to_string(), mend)
        })?;

        let lines = text.expose_secret().lines().enumerate();
        lines
            .filter(|(_, line)| !line.trim().is_empty())
            .map(|(place, line)| {
                header(line).ok_or_else(|| {
                    let what = format!("line {} of {} is not a header", place + 1, path.display());
                    Problem::new(&at, what, "write `NAME: VALUE`, one to a line")
                })
            })
            .collect()
    }
}

fn header(line: &str) -> Option<(String, String)> {
    let (name, value) = line.split_once(':')?;
    let (name, value) = (name.trim(), value.trim());
    reqwest::header::HeaderName::from_bytes(name.as_bytes()).ok()?;
    reqwest::header::HeaderValue::from_str(value).ok()?;
    Some((name.to_owned(), value.to_owned()))
}

/// Returns the address for traces below a base endpoint (OpenTelemetry's protocol exporter,
/// "Endpoint URLs for OTLP/HTTP"), or what is wrong with it and the fix.
fn posted_to(text: &str) -> Result<Url, (String, &'static str)> {
    const MEND: &str = "write http://HOST:4318 or https://HOST";

    let mut url = Url::parse(text).map_err(|_| ("it is not a valid address".to_owned(), MEND))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err((
            format!("`{}` is neither http nor https", url.scheme()),
            MEND,
        ));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err((
            "it holds a user or a password".to_owned(),
            "put an `Authorization` header into `headers_file`",
        ));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(("it has a query or a fragment".to_owned(), MEND));
    }

    let base = url.path().trim_end_matches('/').to_owned();
    if base.ends_with("/v1/traces") {
        return Err((
            "it names the path of traces, which is added to it".to_owned(),
            "drop `/v1/traces`",
        ));
    }

    url.set_path(&format!("{base}/v1/traces"));
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_traces_is_added_to_a_base_and_what_is_no_base_is_refused() {
        for (base, url) in [
            ("http://localhost:4318", "http://localhost:4318/v1/traces"),
            ("http://localhost:4318/", "http://localhost:4318/v1/traces"),
            (
                "https://otlp.example.com/otlp",
                "https://otlp.example.com/otlp/v1/traces",
            ),
            (
                "https://otlp.example.com/otlp/",
                "https://otlp.example.com/otlp/v1/traces",
            ),
        ] {
            assert_eq!(posted_to(base).unwrap().as_str(), url);
        }

        for wrong in [
            "",
            "localhost:4318",
            "grpc://localhost:4317",
            "http://user:pass@localhost:4318",
            "http://localhost:4318/v1/traces",
            "http://localhost:4318/v1/traces/",
            "http://localhost:4318?key=x",
            "http://localhost:4318#x",
        ] {
            assert!(posted_to(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_header_is_a_name_and_a_value_and_no_error_shows_either() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("headers");
        let settings = Settings {
            headers_file: Some(path.clone()),
            ..Settings::default()
        };

        std::fs::write(&path, "Authorization: Basic aGk6dGhlcmU=\r\n\nx-key:a:b\n").unwrap();
        let expected = [("Authorization", "Basic aGk6dGhlcmU="), ("x-key", "a:b")];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(settings.headers("telemetry").unwrap(), expected);

        std::fs::write(&path, "x-key: a\nhunter2\n").unwrap();
        let problem = settings.headers("telemetry").unwrap_err();
        assert!(problem.what.starts_with("line 2 of "), "{problem}");
        assert!(!problem.to_string().contains("hunter2"), "{problem}");
    }
}
