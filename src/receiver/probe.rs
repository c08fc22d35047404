//! Probes: requests that an integration answers and that notify nobody. Pure: a probe is derived
//! from the request of a page.
//!
//! If a vendor documents a read that shows whether the credential is valid, that read is the probe.
//! Otherwise the probe is a GET of the root of the page's host, without the credential: there are
//! hooks that page somebody on a GET of their own address.

use url::Url;

use super::{Body, Reply, Request, status};

/// What the reply to a probe shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    /// The vendor accepts the credential.
    Known,
    /// Something replies; only a page would show whether it accepts the credential.
    Answers,
    /// Something replies that would accept no page.
    Refused(String),
}

/// Returns the probe for the destination of a page's request; `None` if pages are not sent over
/// HTTP.
pub fn request(kind: &str, page: Request) -> Option<Request> {
    let mut url = Url::parse(&page.url)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https"))?;

    let method = match kind {
        "opsgenie" | "jsm" => {
            // Ask for the status of a request that nobody made: the reply is 404 if the key is
            // valid.
            let path = format!(
                "{}/requests/00000000-0000-0000-0000-000000000000",
                url.path()
            );
            url.set_path(&path);
            url.set_query(None);
            "GET"
        }
        "slack" if is_bot(&url) => {
            let path = url.path().replace("/chat.postMessage", "/auth.test");
            url.set_path(&path);
            return Some(Request {
                method: "POST",
                url: url.into(),
                body: Body::Json(serde_json::json!({})),
                ..page
            });
        }
        "discord" => {
            url.set_query(None);
            "GET"
        }
        "alertmanager" => {
            let path = url.path().replace("/api/v2/alerts", "/api/v2/status");
            url.set_path(&path);
            "GET"
        }
        _ => {
            let _of_http_neither_fails = url.set_username("").and_then(|()| url.set_password(None));
            url.set_path("/");
            url.set_query(None);
            return Some(Request {
                method: "GET",
                url: url.into(),
                headers: Vec::new(),
                body: Body::Empty,
            });
        }
    };

    let is_of_the_body = |name: &str| name.to_ascii_lowercase().starts_with("content-");
    let headers = page
        .headers
        .into_iter()
        .filter(|(name, _)| !is_of_the_body(name))
        .collect();

    Some(Request {
        method,
        url: url.into(),
        headers,
        body: Body::Empty,
    })
}

/// Returns what a reply shows. `page` is the address of the page's own request.
pub fn judge(kind: &str, page: &str, reply: &Reply) -> Shown {
    let refused = || Shown::Refused(status::detail(reply));

    let is_bot = Url::parse(page).is_ok_and(|url| is_bot(&url));
    match (kind, reply.status) {
        ("opsgenie" | "jsm", 200..=299 | 404) | ("discord" | "alertmanager", 200..=299) => {
            Shown::Known
        }
        (_, 407 | 500..)
        | ("alertmanager", 401 | 403)
        | ("opsgenie" | "jsm", 401..=403)
        | ("discord", 401..=404) => refused(),
        ("slack", _) if is_bot => match serde_json::from_slice::<serde_json::Value>(&reply.body) {
            Ok(answer) if answer["ok"] == true => Shown::Known,
            // Compatible services implement only a part of the API.
            Ok(answer) if answer["error"] == "unknown_method" => Shown::Answers,
            _ => refused(),
        },
        _ => Shown::Answers,
    }
}

fn is_bot(url: &Url) -> bool {
    url.path().ends_with("/chat.postMessage")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(url: &str) -> Request {
        Request {
            method: "POST",
            url: url.into(),
            headers: vec![
                ("Authorization".into(), "GenieKey x".into()),
                ("Content-Type".into(), "application/json".into()),
            ],
            body: Body::Text("{}".into()),
        }
    }

    fn reply(status: u16, body: &str) -> Reply {
        Reply {
            status,
            body: body.into(),
            ..Reply::default()
        }
    }

    #[test]
    fn a_probe_carries_no_page() {
        for (kind, url, method, asked) in [
            (
                "opsgenie",
                "https://api.opsgenie.com/v2/alerts",
                "GET",
                "https://api.opsgenie.com/v2/alerts/requests/00000000-0000-0000-0000-000000000000",
            ),
            (
                "slack",
                "https://slack.com/api/chat.postMessage",
                "POST",
                "https://slack.com/api/auth.test",
            ),
            (
                "slack",
                "https://hooks.slack.com/services/T/B/x",
                "GET",
                "https://hooks.slack.com/",
            ),
            (
                "webhook",
                "https://user:word@maker.example.com/trigger/x?key=y",
                "GET",
                "https://maker.example.com/",
            ),
            (
                "discord",
                "https://discord.com/api/webhooks/1/x?wait=true",
                "GET",
                "https://discord.com/api/webhooks/1/x",
            ),
            (
                "pagerduty",
                "https://events.pagerduty.com/v2/enqueue",
                "GET",
                "https://events.pagerduty.com/",
            ),
            (
                "alertmanager",
                "http://127.0.0.1:9093/am/api/v2/alerts",
                "GET",
                "http://127.0.0.1:9093/am/api/v2/status",
            ),
        ] {
            let probe = request(kind, page(url)).unwrap();
            assert_eq!((probe.method, probe.url.as_str()), (method, asked));
            let is_empty = [Body::Empty, Body::Json(serde_json::json!({}))].contains(&probe.body);
            assert!(is_empty, "{:?}", probe.body);
        }
    }

    #[test]
    fn what_is_printed_or_mailed_is_not_probed() {
        assert_eq!(request("stdout", page("stdout")), None);
        assert_eq!(request("email", page("smtp://mail.example.com:587")), None);
    }

    #[test]
    fn an_answer_shows_the_credential_where_the_vendor_documents_a_read() {
        let genie = "https://api.opsgenie.com/v2/alerts";
        let bot = "https://slack.com/api/chat.postMessage";
        let hook = "https://example.com/hook";
        for (kind, url, status, body, shown) in [
            ("opsgenie", genie, 404, "", Some(Shown::Known)),
            ("opsgenie", genie, 401, "Could not authenticate", None),
            ("opsgenie", genie, 405, "", Some(Shown::Answers)),
            ("slack", bot, 200, r#"{"ok":true}"#, Some(Shown::Known)),
            ("slack", bot, 200, r#"{"ok":false,"error":"x"}"#, None),
            ("discord", hook, 404, "", None),
            ("discord", hook, 200, "{}", Some(Shown::Known)),
            ("webhook", hook, 405, "", Some(Shown::Answers)),
            ("webhook", hook, 401, "", Some(Shown::Answers)),
            ("webhook", hook, 407, "", None),
            ("teams", hook, 502, "", None),
        ] {
            let judged = judge(kind, url, &reply(status, body));
            match shown {
                Some(shown) => assert_eq!(judged, shown, "{kind} {status}"),
                None => assert!(matches!(judged, Shown::Refused(_)), "{kind} {status}"),
            }
        }
    }
}
