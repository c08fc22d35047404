//! Links that a gateway's protection rewrote, and their originals. The gateway adds something
//! different to every mail, so a key made of such a link would never be found again.
//!
//! A link is restored if it contains its own target, as do those of Microsoft's Safe Links
//! (<https://learn.microsoft.com/defender-office-365/safe-links-about>), of Proofpoint's URL
//! Defense
//! (<https://help.proofpoint.com/Threat_Insight_Dashboard/API_Documentation/URL_Decoder_API>), and
//! of the others in [`PARAMETERS`]. The links of Mimecast and others are numbers that only their
//! gateway can look up: they stay.

use std::{borrow::Cow, sync::LazyLock};

use base64::{
    Engine as _,
    alphabet::URL_SAFE,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use memchr::memmem;
use percent_encoding::percent_decode_str;
use regex::{Captures, Regex};
use url::Url;

/// A link in a text.
static LINK: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r#"https?://[^\s<>"]+"#).ok());

/// The largest number of gateways that may have rewritten a link, one after the other.
const MAX_GATEWAYS: usize = 4;

/// Gateways whose links contain the previous link in a parameter, by an end of the host and a
/// beginning of the path: Safe Links, Barracuda, Symantec (Broadcom), Trellix, `EdgePilot`, Trend
/// Micro, and `FortiMail`, which answers under its owner's name.
const PARAMETERS: [(&str, &str, &str); 9] = [
    (".safelinks.protection.outlook.com", "/", "url"),
    (".safelinks.protection.office365.us", "/", "url"),
    (".safelinks.protection.partner.outlook.cn", "/", "url"),
    ("linkprotect.cudasvc.com", "/url", "a"),
    ("clicktime.symantec.com", "/", "u"),
    ("protect2.fireeye.com", "/", "u"),
    ("link.edgepilot.com", "/", "u"),
    (".trendmicro.com", "/wis/clicktime/v1/query", "url"),
    ("", "/fmlurlsvc/", "url"),
];

/// Texts of which every rewritten link contains one.
const TRACES: [&[u8]; 12] = [
    b"safelinks.protection.",
    b"urldefense.",
    b"linkprotect.cudasvc.com",
    b"clicktime.symantec.com",
    b"fireeye.com",
    b"link.edgepilot.com",
    b"/wis/clicktime/",
    b"/fmlurlsvc/",
    b"secure-web.cisco.com",
    b"protection.sophos.com",
    b"avanan.click",
    b"protect.checkpoint.com",
];

/// Returns a text with its original links.
pub(super) fn undone(text: &str) -> Cow<'_, str> {
    let has = |trace: &&[u8]| memmem::find(text.as_bytes(), trace).is_some();
    if !TRACES.iter().any(has) {
        return text.into();
    }

    let Some(links) = LINK.as_ref() else {
        return text.into();
    };
    links.replace_all(text, |link: &Captures<'_>| {
        original(&link[0]).unwrap_or_else(|| link[0].to_owned())
    })
}

/// Returns the original of a link, if the link was rewritten and contains it.
pub(super) fn original(link: &str) -> Option<String> {
    let mut original = before(link)?;
    for _ in 1..MAX_GATEWAYS {
        let Some(before) = before(&original) else {
            break;
        };
        original = before;
    }
    Some(original)
}

/// Returns the link as it was before the last gateway.
fn before(link: &str) -> Option<String> {
    let url = Url::parse(link).ok()?;
    let (host, path) = (url.host_str()?, url.path());
    let original = match host {
        "urldefense.proofpoint.com" | "urldefense.com" | "urldefense.us" => {
            of_proofpoint(link, &url)?
        }
        // The link follows the gateway's token, escaped.
        "secure-web.cisco.com" => unescaped(path.rsplit('/').next()?)?,
        "url.avanan.click" | "protect.checkpoint.com" => {
            let (_, rest) = link.split_once("/v2/")?;
            let (_, rest) = rest.split_once("___")?;
            with_two_slashes(rest.split_once("___.")?.0)
        }
        host if host.ends_with(".protection.sophos.com") => of_base64(&parameter(&url, "u")?)?,
        host => {
            let (_, _, name) = PARAMETERS.iter().find(|(end, begin, _)| {
                host.ends_with(end) && path.to_ascii_lowercase().starts_with(begin)
            })?;
            parameter(&url, name)?
        }
    };
    let is_link = original.starts_with("http://") || original.starts_with("https://");
    is_link.then_some(original)
}

/// Returns the original of a link in one of Proofpoint's three forms.
fn of_proofpoint(link: &str, url: &Url) -> Option<String> {
    match url.path() {
        "/v1/url" => Some(parameter(url, "u")?.replace("&amp;", "&")),
        "/v2/url" => {
            let escaped = parameter(url, "u")?.replace('-', "%").replace('_', "/");
            Some(unescaped(&escaped)?.replace("&amp;", "&"))
        }
        path if path.starts_with("/v3/__") => {
            let (_, rest) = link.split_once("/v3/__")?;
            let (written, rest) = rest.split_once("__;")?;
            let characters = of_base64(rest.split('!').next()?)?;
            Some(with_two_slashes(&with_characters(written, &characters)?))
        }
        _ => None,
    }
}

/// Returns a link with its unusual characters in the places of the stars: `*` stands for the next
/// one, `**A` for the next two, `**B` for three, along the alphabet of base64.
fn with_characters(written: &str, characters: &str) -> Option<String> {
    const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

    let mut left = characters.chars();
    let mut parts = written.split('*');
    let mut whole = parts.next()?.to_owned();
    while let Some(part) = parts.next() {
        // Nothing stands between the two stars of a run.
        let run = if part.is_empty() {
            parts.clone().next()
        } else {
            None
        };
        let run = run.and_then(|run| Some((ALPHABET.find(run.chars().next()?)?, &run[1..])));
        let (count, behind) = match run {
            Some((place, behind)) => {
                parts.next();
                (place + 2, behind)
            }
            None => (1, part),
        };
        for _ in 0..count {
            whole.push(left.next()?);
        }
        whole += behind;
    }
    left.next().is_none().then_some(whole)
}

/// Restores a link of which one slash was taken for a mistake: `https:/x.example`.
fn with_two_slashes(link: &str) -> String {
    match link.split_once(":/") {
        Some((scheme, rest)) if !rest.starts_with('/') => format!("{scheme}://{rest}"),
        _ => link.to_owned(),
    }
}

fn parameter(url: &Url, name: &str) -> Option<String> {
    // If the link was escaped twice in HTML, its ampersands still are.
    let mut pairs = url.query_pairs();
    pairs.find_map(|(key, value)| {
        let key = key.strip_prefix("amp;").unwrap_or(&key);
        key.eq_ignore_ascii_case(name).then(|| value.into_owned())
    })
}

fn unescaped(text: &str) -> Option<String> {
    let decoded = percent_decode_str(text).decode_utf8();
    decoded.ok().map(Cow::into_owned)
}

/// Decodes a text in base64, of either alphabet, padded or not.
fn of_base64(text: &str) -> Option<String> {
    let lenient = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    let text = text.replace('+', "-").replace('/', "_");
    let bytes = GeneralPurpose::new(&URL_SAFE, lenient).decode(text).ok()?;
    String::from_utf8(bytes).ok()
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
                "https://urldefense.proofpoint.com/v2/url?u=https-3A__x.example_A-2D1-3Fa-3Db\
                 &d=DwMF",
                "https://x.example/A-1?a=b",
            ),
            (
                "https://urldefense.proofpoint.com/v1/url?u=https%3A%2F%2Fx.example%2FA-1%3Fa%3Db\
                 %26amp%3Bc&k=ABC",
                "https://x.example/A-1?a=b&c",
            ),
            (
                "https://urldefense.com/v2/url?u=https-3A__x.example_A-5F1-26amp-3Bb&d=DwMF",
                "https://x.example/A_1&b",
            ),
            (
                "https://urldefense.com/v3/__https://x.example/a*L475__;Iw!!A3Ni8CS0y2Y!t1Ia-d$",
                "https://x.example/a#L475",
            ),
            (
                "https://urldefense.com/v3/__https://x.example/*a**Ab**B__;ISMjJCQk!!abc$",
                "https://x.example/!a##b$$$",
            ),
            (
                "https://urldefense.com/v3/__https://x.example/*/b__;w6k!!abc$",
                "https://x.example/é/b",
            ),
            (
                "https://urldefense.us/v3/__https:/x.example/a__;!!abc!def$",
                "https://x.example/a",
            ),
            (
                "https://linkprotect.cudasvc.com/url?a=https%3a%2f%2fx.example%2fA-1%3fa%3db&c=E,\
                 1,a&typo=1",
                "https://x.example/A-1?a=b",
            ),
            (
                "https://secure-web.cisco.com/1fCCd_Y-z/https%3A%2F%2Fx.example%2FA-1%3Fa%3Db",
                "https://x.example/A-1?a=b",
            ),
            (
                "https://ddec1-0-en-ctp.trendmicro.com:443/wis/clicktime/v1/query?url=https%3a%2f\
                 %2fx%2dy.example%2fA%2d1&umid=a589eb6b&auth=8d3c",
                "https://x-y.example/A-1",
            ),
            (
                "https://clicktime.symantec.com/15xVcH?h=QCYVzy=&u=https://x.example/A-1?a%3Db",
                "https://x.example/A-1?a=b",
            ),
            (
                "https://mail.x.org/fmlurlsvc/?fewReq=:B:JVE3PD49Nyt7&url=https%3a%2f\
                 %2fx.example%2fA",
                "https://x.example/A",
            ),
            (
                "https://protect2.fireeye.com/v1/url?k=d7c2&amp;q=1&amp;u=https%3A%2F%2F\
                 x.example%2F",
                "https://x.example/",
            ),
            (
                "https://link.edgepilot.com/s/8e5962e4/2Jj9?u=https://x.example/A%26b",
                "https://x.example/A&b",
            ),
            (
                "https://eu-central-1.protection.sophos.com/?d=x.example&u=aHR0cHM6Ly94LmV4YW1wbGUv\
                 YT9iPWM=&i=NjA5&t=MnQ4&h=b05e",
                "https://x.example/a?b=c",
            ),
            (
                "https://url.avanan.click/v2/r01/___https://x.example/a_b___.YXAzOnBlYWNl",
                "https://x.example/a_b",
            ),
            (
                "https://protect.checkpoint.com/v2/___https:/x.example/a___.YXAzOnBlYWNl",
                "https://x.example/a",
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
    fn a_link_is_undone_that_two_gateways_rewrote() {
        let link = "https://nam01.safelinks.protection.outlook.com/?url=https%3A%2F%2F\
                    urldefense.com%2Fv3%2F__https%3A%2F%2Fx.example%2Fa__%3B!!abc%24&data=05";
        assert_eq!(original(link).as_deref(), Some("https://x.example/a"));
    }

    #[test]
    fn any_other_link_is_left_as_it_is() {
        for other in [
            "https://x.example/?url=https%3A%2F%2Fy",
            "https://safelinks.protection.example.com/?url=https%3A%2F%2Fy",
            "https://nam01.safelinks.protection.outlook.com/?data=05",
            "https://nam01.safelinks.protection.outlook.com/?url=javascript%3Aa",
            "https://urldefense.com/v3/__https://x.example/**a__;Iw!!abc$",
            "https://urldefense.com/v3/__https://x.example/a__;Iw!!abc$",
            "https://urldefense.com/v3/__https://x.example/*__;_w!!abc$",
            "https://secure-web.cisco.com/1fCCd_Y-z",
            "https://x.trendmicro.com/?url=https%3A%2F%2Fy",
            "https://url.avanan.click/v2/r02/___mjjuxdd___.YXAz",
            "https://us-east-2.protection.sophos.com/?d=rb.gy&b=9902&q=4bPL",
            "https://urldefense.com/v3/__https://x.example/a",
            "https://protect-eu.mimecast.com/s/abc",
        ] {
            assert_eq!(original(other), None, "{other}");
            let text = format!("See {other} and urldefense.com.");
            assert_eq!(undone(&text), text);
        }
    }
}
