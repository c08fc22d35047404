//! Links as a gateway's protection rewrote them, and as they were. The gateway adds something else
//! to every mail, so no key that is made of such a link would be found again.
//!
//! A link is undone if it says itself where it led: one of Microsoft's Safe Links
//! (<https://learn.microsoft.com/defender-office-365/safe-links-about>) or of Proofpoint's URL
//! Defense
//! (<https://help.proofpoint.com/Threat_Insight_Dashboard/API_Documentation/URL_Decoder_API>).

use std::{borrow::Cow, sync::LazyLock};

use memchr::memmem;
use percent_encoding::percent_decode_str;
use regex::{Captures, Regex};
use url::Url;

/// A link in a text.
static LINK: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r#"https?://[^\s<>"]+"#).ok());

/// A text with the links that it had.
pub(super) fn undone(text: &str) -> Cow<'_, str> {
    let hosts = [&b"safelinks.protection."[..], b"urldefense."];
    if hosts
        .iter()
        .all(|host| memmem::find(text.as_bytes(), host).is_none())
    {
        return text.into();
    }

    let Some(links) = LINK.as_ref() else {
        return text.into();
    };
    links.replace_all(text, |link: &Captures<'_>| {
        original(&link[0]).unwrap_or_else(|| link[0].to_owned())
    })
}

/// Where a link led, if it was rewritten and says so.
pub(super) fn original(link: &str) -> Option<String> {
    let url = Url::parse(link).ok()?;
    let parameter = |wanted: &str| {
        let mut pairs = url.query_pairs();
        pairs.find_map(|(name, value)| (name == wanted).then(|| value.into_owned()))
    };
    let original = match (url.host_str()?, url.path()) {
        (host, _) if host.contains(".safelinks.protection.") => parameter("url"),
        ("urldefense.proofpoint.com", "/v1/url") => parameter("u"),
        ("urldefense.proofpoint.com", "/v2/url") => {
            let escaped = parameter("u")?.replace('-', "%").replace('_', "/");
            let decoded = percent_decode_str(&escaped).decode_utf8();
            decoded.ok().map(Cow::into_owned)
        }
        ("urldefense.com" | "urldefense.us", path) if path.starts_with("/v3/__") => {
            let (_, rest) = link.split_once("/v3/__")?;
            // A star stands for a character that follows in base64.
            let (link, _) = rest.split_once("__;")?;
            (!link.contains('*')).then(|| link.to_owned())
        }
        _ => None,
    };
    original.filter(|link| link.starts_with("http"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_that_was_rewritten_is_read_as_it_was() {
        for (rewritten, was) in [
            (
                "https://nam01.safelinks.protection.outlook.com/?url=https%3A%2F%2Fx.example%2FA-1\
                 %3Fa%3Db&data=05%7Caaa&reserved=0",
                "https://x.example/A-1?a=b",
            ),
            (
                "https://gcc02.safelinks.protection.office365.us/ap/x-59584e83/?url=http%3A%2F%2Fx",
                "http://x",
            ),
            (
                "https://urldefense.proofpoint.com/v2/url?u=https-3A__x.example_A-2D1-3Fa-3Db&d=DwMF",
                "https://x.example/A-1?a=b",
            ),
            (
                "https://urldefense.com/v3/__https://x.example/A-1?a=b__;!!abc!def$",
                "https://x.example/A-1?a=b",
            ),
        ] {
            assert_eq!(original(rewritten).as_deref(), Some(was), "{rewritten}");
            assert_eq!(
                undone(&format!("Alert ID: A-1<{rewritten}>\nState: up")),
                format!("Alert ID: A-1<{was}>\nState: up")
            );
        }
    }

    #[test]
    fn any_other_link_is_left_as_it_is() {
        for other in [
            "https://x.example/?url=https%3A%2F%2Fy",
            "https://safelinks.protection.example.com/?url=https%3A%2F%2Fy",
            "https://nam01.safelinks.protection.outlook.com/?data=05",
            "https://nam01.safelinks.protection.outlook.com/?url=javascript%3Aa",
            "https://urldefense.com/v3/__https://x.example/*a__;Iw!!abc$",
            "https://urldefense.com/v3/__https://x.example/a",
            "https://protect-eu.mimecast.com/s/abc",
        ] {
            assert_eq!(original(other), None, "{other}");
            let text = format!("See {other} and urldefense.com.");
            assert_eq!(undone(&text), text);
        }
    }
}
