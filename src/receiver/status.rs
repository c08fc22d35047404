//! The meaning of an HTTP status if a vendor documents nothing else, and the form in which a reply
//! is quoted.

use std::time::Duration;

use jiff::{
    Timestamp,
    civil::DateTime,
    fmt::rfc2822::{DateTimeParser, DateTimePrinter},
    tz::TimeZone,
};
use serde_json::Value;

use super::{Reply, said::said, text};
use crate::delivery::{FailureReason, Verdict};

/// The longest pause that a receiver can request, however wrong its `Retry-After` is, because pages
/// wait for it. One request in five minutes exceeds no limit.
pub const LONGEST_PAUSE: Duration = Duration::from_mins(5);

/// The longest part of a reply that is quoted, in UTF-16 code units.
const LONGEST_DETAIL: usize = 300;

/// Returns the verdict by the status alone. Any 2xx is a success, without a receipt.
///
/// 408, 425, 429 and 5xx are tried again, except 501 and 505, which no retry fixes; and so is 407,
/// which comes from a proxy in between, not from the receiver. Redirects are not followed: a page
/// goes where the configuration says.
pub fn verdict(reply: &Reply) -> Verdict {
    as_if(reply.status, reply)
}

/// Returns the verdict on a reply whose body says what its status should have been.
pub fn as_if(status: u16, reply: &Reply) -> Verdict {
    let detail = detail(reply);
    let reason = match status {
        200..=299 => return Verdict::Delivered { receipt: None },
        401 | 403 | 407 => FailureReason::Unauthorized,
        408 => FailureReason::Timeout,
        429 => FailureReason::RateLimited,
        400..=499 => FailureReason::Rejected,
        500..=599 => FailureReason::ServerError,
        _ => FailureReason::UnexpectedReply,
    };

    match status {
        501 | 505 => Verdict::Permanent { reason, detail },
        407 | 408 | 425 | 429 | 500..=599 => Verdict::Retry {
            reason,
            detail,
            after: retry_after(reply),
        },
        _ => Verdict::Permanent { reason, detail },
    }
}

/// Whether a status leaves open that the request was taken.
///
/// A gateway that got no reply from the server behind it, or none that it understood, may have
/// passed the request on: 502 and 504 (RFC 9110, 15.6.3 and 15.6.5), Cloudflare's 520, 522 and 524,
/// and 598 and 599 of other proxies. 408 comes after the body was sent. Cloudflare's 521 and 523
/// say that there was no connection, and 503 says that nobody was there to take the request.
pub fn may_be_taken(status: u16) -> bool {
    matches!(status, 408 | 502 | 504 | 520 | 522 | 524 | 598 | 599)
}

/// Returns the verdict on a success that does not look like one: a proxy's page, a changed API. It
/// is tried again, because nothing proves that the page arrived.
pub fn unexpected(reply: &Reply) -> Verdict {
    Verdict::Retry {
        reason: FailureReason::UnexpectedReply,
        detail: format!("the reply makes no sense: {}", detail(reply)),
        after: None,
    }
}

/// Reads `Retry-After` (RFC 9110, 10.2.3), up to [`LONGEST_PAUSE`].
///
/// It is a number of seconds or a date. A date is compared with the reply's own `Date`, so that
/// neither clock needs to be right; a reply without one is dated as it arrives. A proxy may have
/// added its own value (`6, 6`), and some servers name the unit (`6s`).
pub fn retry_after(reply: &Reply) -> Option<Duration> {
    let wanted = reply.headers.get("retry-after")?;
    let number = wanted.split(',').next().unwrap_or_default().trim();
    let number = ["seconds", "sec", "s"]
        .iter()
        .find_map(|unit| number.strip_suffix(unit))
        .unwrap_or(number);
    seconds(number).or_else(|| {
        let then = http_date(wanted)?;
        let now = http_date(reply.headers.get("date")?)?;
        Some(
            Duration::try_from(then.duration_since(now))
                .unwrap_or_default()
                .min(LONGEST_PAUSE),
        )
    })
}

/// Reads a number of seconds from a header, up to [`LONGEST_PAUSE`]. Fractions count, because some
/// servers send them.
pub fn seconds(text: &str) -> Option<Duration> {
    pause(text.trim().parse().ok()?)
}

/// Returns a pause of that many seconds, up to [`LONGEST_PAUSE`].
pub fn pause(seconds: f64) -> Option<Duration> {
    (seconds >= 0.0).then(|| Duration::from_secs_f64(seconds.min(LONGEST_PAUSE.as_secs_f64())))
}

/// Returns the reply with the time of its arrival as its `Date`, unless it says itself when it was
/// sent.
#[must_use]
pub fn dated(mut reply: Reply, now: Timestamp) -> Reply {
    let date = reply.headers.get("date");
    if date.and_then(|date| http_date(date)).is_none()
        && let Ok(now) = DateTimePrinter::new().timestamp_to_rfc9110_string(&now)
    {
        reply.headers.insert("date".to_owned(), now);
    }
    reply
}

/// Parses a date in one of the three forms that a recipient must accept (RFC 9110, 5.6.7).
fn http_date(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    let preferred = DateTimeParser::new().parse_timestamp(text).ok();
    preferred.or_else(|| {
        ["%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"]
            .iter()
            .find_map(|form| DateTime::strptime(form, text).ok())
            .and_then(|time| time.to_zoned(TimeZone::UTC).ok())
            .map(|time| time.timestamp())
    })
}

/// Describes the reply in one short line: its status and its text. The line may echo a credential:
/// scrub it before showing it.
pub fn detail(reply: &Reply) -> String {
    let body = String::from_utf8_lossy(&reply.body[..reply.body.len().min(8192)]);
    let json = serde_json::from_slice::<Value>(&reply.body).ok();
    let said = json
        .and_then(|json| said(&json))
        .unwrap_or_else(|| body.into_owned());
    quoted(reply.status, &said)
}

/// Formats a reply as `HTTP 400: what it said`, cleaned and cut.
pub fn quoted(status: u16, said: &str) -> String {
    let said = text::one_line(text::head(said, 8192));
    let line = if said.is_empty() {
        format!("HTTP {status}")
    } else {
        format!("HTTP {status}: {said}")
    };
    text::cut(&line, LONGEST_DETAIL)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;

    use super::{LONGEST_PAUSE, dated, detail, retry_after};
    use crate::receiver::Reply;

    fn reply(headers: &[(&str, &str)], body: &str) -> Reply {
        Reply {
            status: 503,
            headers: headers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            body: body.into(),
            ..Reply::default()
        }
    }

    #[test]
    fn retry_after_is_read_as_seconds_or_as_a_date() {
        assert_eq!(
            retry_after(&reply(&[("retry-after", "7")], "")),
            Some(Duration::from_secs(7))
        );
        let dated = [
            ("retry-after", "Sun, 06 Nov 1994 08:49:47 GMT"),
            ("date", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ];
        assert_eq!(
            retry_after(&reply(&dated, "")),
            Some(Duration::from_secs(10))
        );
        let past = [
            ("retry-after", "Sun, 06 Nov 1994 08:49:07 GMT"),
            ("date", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ];
        assert_eq!(retry_after(&reply(&past, "")), Some(Duration::ZERO));
    }

    /// Tries each form of a date, against each form of `Date` and against the clock.
    #[test]
    fn a_date_is_read_in_all_three_forms_and_a_reply_without_one_is_dated_on_arrival() {
        let at: Timestamp = "1994-11-06T08:49:37Z".parse().unwrap();
        let forms = |second: i8| {
            [
                format!("Sun, 06 Nov 1994 08:49:{second} GMT"),
                format!("Sunday, 06-Nov-94 08:49:{second} GMT"),
                format!("Sun Nov  6 08:49:{second} 1994"),
            ]
        };
        for then in forms(47) {
            for date in forms(37) {
                let dates = [("retry-after", then.as_str()), ("date", date.as_str())];
                let pause = retry_after(&dated(reply(&dates, ""), Timestamp::UNIX_EPOCH));
                assert_eq!(pause, Some(Duration::from_secs(10)), "{then} {date}");
            }
            for date in [None, Some(("date", "yesterday"))] {
                let headers: Vec<_> = [("retry-after", then.as_str())]
                    .into_iter()
                    .chain(date)
                    .collect();
                let pause = retry_after(&dated(reply(&headers, ""), at));
                assert_eq!(pause, Some(Duration::from_secs(10)), "{then} {date:?}");
            }
        }
        let later: Timestamp = "2026-11-29T18:00:00Z".parse().unwrap();
        let wanted = [("retry-after", "Sunday, 29-Nov-26 18:00:06 GMT")];
        assert_eq!(
            retry_after(&dated(reply(&wanted, ""), later)),
            Some(Duration::from_secs(6))
        );
    }

    #[test]
    fn a_number_that_is_given_twice_or_with_its_unit_is_read() {
        for wanted in [
            "6",
            "6, 6",
            "6,7",
            " 6 ",
            "6s",
            "6 s",
            "6 seconds",
            "6sec",
            "6.0",
        ] {
            assert_eq!(
                retry_after(&reply(&[("retry-after", wanted)], "")),
                Some(Duration::from_secs(6)),
                "{wanted}"
            );
        }
    }

    #[test]
    fn a_retry_after_that_is_absurd_is_bounded_or_ignored() {
        assert_eq!(
            retry_after(&reply(&[("retry-after", "99999999999")], "")),
            Some(LONGEST_PAUSE)
        );
        for wrong in [
            "",
            "-1",
            "soon",
            "NaN",
            "1e999x",
            "Sun, 06 Nov 1994 08:49:37 GMT",
        ] {
            assert_eq!(
                retry_after(&reply(&[("retry-after", wrong)], "")),
                None,
                "{wrong}"
            );
        }
        assert_eq!(
            retry_after(&reply(&[("retry-after", "inf")], "")),
            Some(LONGEST_PAUSE)
        );
    }

    #[test]
    fn a_reply_is_quoted_in_one_short_clean_line() {
        assert_eq!(
            detail(&reply(&[], "<h1>\r\n\u{1b}[31mbad\u{0}</h1>")),
            "HTTP 503: <h1> [31mbad</h1>"
        );
        assert_eq!(
            detail(&reply(&[], r#"{"message":"too long","took":1}"#)),
            "HTTP 503: too long"
        );
        assert_eq!(detail(&reply(&[], "")), "HTTP 503");
        assert_eq!(
            detail(&reply(&[], &"x".repeat(70_000))).chars().count(),
            300
        );
    }
}
