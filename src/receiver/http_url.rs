//! Parsing of the addresses of integrations: http and https URLs.

use url::Url;

/// Parses an http or https address with a host. The error does not repeat the address.
pub fn parse(text: &str) -> Result<Url, String> {
    if text.contains("{{") || text.contains("{%") {
        return Err("it holds a template, which an address cannot be".to_owned());
    }

    let url = Url::parse(text.trim()).map_err(|error| {
        format!(
            "it is not a valid address: \
        {error}"
        )
    })?;
    match url.scheme() {
        "http" | "https" if url.has_host() => Ok(url),
        scheme => Err(format!("its scheme is `{scheme}`, not https or http")),
    }
}
