//! The heartbeat: an external service that is pinged when a canary came through, and notices when
//! no ping comes.

use std::time::Duration;

use secrecy::ExposeSecret as _;
use url::Url;

use crate::settings::Secret;

/// The time limit for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Pings the heartbeat with a GET of its address.
///
/// The user `GenieKey` in the address stands for the scheme of Opsgenie and JSM. The address is a
/// secret, and no error contains it.
pub async fn ping(url: &Secret) -> Result<(), String> {
    let text = url.read().map_err(|error| error.to_string())?;
    let (url, genie_key) = parse(text.expose_secret())?;

    let client = reqwest::Client::builder()
        .timeout(PATIENCE)
        .user_agent(concat!("alertbridge/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|_| "the client cannot be made".to_owned())?;
    let mut request = client.get(url);
    if let Some(key) = genie_key {
        request = request.header("authorization", format!("GenieKey {key}"));
    }

    let answer = request
        .send()
        .await
        .map_err(|error| error.without_url().to_string())?;
    let status = answer.status();
    if status.is_success() {
        Ok(())
    } else {
        Err(format!("it answers {status}"))
    }
}

/// Parses the address, and takes Opsgenie's key out of it.
fn parse(text: &str) -> Result<(Url, Option<String>), String> {
    let mut url = Url::parse(text.trim()).map_err(|_| "its address is not valid".to_owned())?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("its address is not http or https".to_owned());
    }
    if !url.username().eq_ignore_ascii_case("geniekey") {
        return Ok((url, None));
    }

    let key = url.password().map(|key| {
        percent_encoding::percent_decode_str(key)
            .decode_utf8_lossy()
            .into_owned()
    });
    let _of_http_neither_fails = url.set_username("").and_then(|()| url.set_password(None));
    Ok((url, key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opsgenies_key_goes_into_its_header_and_no_other_address_is_changed() {
        let (url, key) =
            parse("https://GenieKey:a%2Fb@api.opsgenie.com/v2/heartbeats/x/ping").unwrap();
        assert_eq!(
            url.as_str(),
            "https://api.opsgenie.com/v2/heartbeats/x/ping"
        );
        assert_eq!(key.as_deref(), Some("a/b"));
        let (url, key) = parse("https://hc-ping.com/uuid").unwrap();
        assert_eq!((url.as_str(), key), ("https://hc-ping.com/uuid", None));
        assert!(parse("file:///etc/passwd").is_err());
    }
}
