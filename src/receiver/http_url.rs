//! The addresses of integrations: URLs of http and https.

use url::Url;

/// Parses an http or https address with a host; the error does not repeat it.
pub fn parse(text: &str) -> Result<Url, String> {
    if text.contains("{{") || text.contains("{%") {
        return Err("it holds a template, and an address cannot be one".to_owned());
    }

    let url = Url::parse(text.trim()).map_err(|error| {
        format!(
            "it is not a valid address: \
        {error}"
        )
    })?;
    match url.scheme() {
        "http" | "https" if url.has_host() => Ok(url),
        scheme => Err(format!(
            "it is an address of `{scheme}`, not of https or http"
        )),
    }
}
