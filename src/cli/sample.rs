//! `alertbridge sample`: prints a mail like Atlassian's, to try things with.

use std::{
    fmt::Write as _,
    io::{self, Write as _},
    process::ExitCode,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use clap::Args;
use jiff::{Timestamp, fmt::rfc2822, tz::TimeZone};
use serde_json::json;

use crate::clock::Clock;

/// Print a mail like Atlassian's, dated now, to try things with
#[derive(Debug, Args)]
#[command(after_help = "\
The mail is not signed: a bridge that checks authenticity announces the trigger
as unverified and holds the resolve; `explain --trust` and `replay --trust`
treat both as genuine. A resolve needs the --incident of its trigger.

Exit status: 0 done, 2 wrong usage.

Examples:
  alertbridge sample | curl --data-binary @- \\
      -H 'Content-Type: message/rfc822' http://127.0.0.1:8025/ingress/mail
  alertbridge sample --status OK --incident inc-1 | alertbridge explain -")]
pub struct Sample {
    /// The status of the incident, such as OK for a resolve
    #[arg(long, value_name = "S", default_value = "ANOMALOUS")]
    pub status: String,
    /// The id of the incident [default: a new one]
    #[arg(long, value_name = "ID")]
    pub incident: Option<String>,
}

impl Sample {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let Self { status, incident } = self;
        let mail = mail(&status, incident.as_deref(), Clock::system().now());
        io::stdout().write_all(mail.as_bytes())?;
        Ok(ExitCode::SUCCESS)
    }
}

/// The longest line of quoted-printable, without its line end (RFC 2045, 6.7).
const MAX_LINE: usize = 76;

const BOUNDARY: &str = "----=_Part_alertbridge_sample";

/// Composes a mail (RFC 5322, CRLF) dated `now`. Like Atlassian's mails, it has text and
/// quoted-printable HTML as alternatives, a name in UTF-8, and a `Message-ID` without an `@`. Its
/// JSON is the published example's.
///
/// Without an id, the incident gets a new one of Atlassian's kind: 11 characters of base64url.
pub fn mail(status: &str, incident_id: Option<&str>, now: Timestamp) -> String {
    let fresh = URL_SAFE_NO_PAD.encode(fastrand::u64(..).to_be_bytes());
    let incident_id = incident_id.unwrap_or(&fresh);
    let date = rfc2822::to_string(&now.to_zoned(TimeZone::UTC)).unwrap_or_default();
    let time = format!("{now:.0}");
    let html = html(status, incident_id, &time);
    let text = format!(
        "Cloud Fortified alert\n\nJira Installation Callback Success Rate of Bücher für Jira is \
         {status}.\n\
         Measured: 60.0 PERCENT over 86400 s; objective: 99.0 PERCENT.\nTime: {time}\nIncident: \
         {incident_id}\n"
    );

    format!(
        "From: Atlassian <no-reply@am.atlassian.com>\r\n\
         To: on-call <alerts@example.com>\r\n\
         Subject: =?UTF-8?Q?Cloud_Fortified_alert:_B=C3=BCcher_f=C3=BCr_Jira?=\r\n\
         Date: {date}\r\n\
         Message-ID: <sample-{fresh}>\r\n\
         MIME-Version: 1.0\r\n\
         Content-Type: multipart/alternative; boundary=\"{BOUNDARY}\"\r\n\
         \r\n\
         --{BOUNDARY}\r\n\
         Content-Type: text/plain; charset=UTF-8\r\n\
         Content-Transfer-Encoding: quoted-printable\r\n\
         \r\n\
         {}\r\n\
         --{BOUNDARY}\r\n\
         Content-Type: text/html; charset=UTF-8\r\n\
         Content-Transfer-Encoding: quoted-printable\r\n\
         \r\n\
         {}\r\n\
         --{BOUNDARY}--\r\n",
        quoted_printable(&text),
        quoted_printable(&html),
    )
}

fn html(status: &str, incident_id: &str, time: &str) -> String {
    let incident = json!({
        "appKey": "com.example.appkey",
        "appDetails": { "name": "Bücher für Jira", "partnerName": "Beispiel GmbH" },
        "incidentId": incident_id,
        "incidentStatus": status,
        "time": time,
        "metricName": "Jira Installation Callback Success Rate",
        "metricUnit": "PERCENT",
        "measurementDurationSeconds": 86400,
        "sliValue": 60.0,
        "sloValue": 99.0,
    });

    // Within a script element, `</script` and `<!--` are special. JSON allows `<` to be escaped.
    let incident = incident.to_string().replace('<', "\\u003c");
    let status = status.replace('&', "&amp;").replace('<', "&lt;");
    format!(
        "<!DOCTYPE html>\n<html>\n<head>\n<meta charset=\"utf-8\">\n<title>Cloud Fortified \
         alert</title>\n\
         <script type=\"application/json\" \
         id=\"incident-data\">{incident}</script>\n</head>\n<body>\n\
         <h1>Cloud Fortified alert</h1>\n\
         <p>Jira Installation Callback Success Rate of <b>Bücher für Jira</b> is {status}.</p>\n\
         <table>\n<tr><td>Measured</td><td>60.0 PERCENT over 86400 s</td></tr>\n\
         <tr><td>Objective</td><td>99.0 \
         PERCENT</td></tr>\n<tr><td>Time</td><td>{time}</td></tr>\n</table>\n\
         </body>\n</html>\n"
    )
}

/// Encodes text as quoted-printable (RFC 2045, 6.7) with CRLF line ends.
fn quoted_printable(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len() * 2);
    for line in text.lines() {
        let mut width = 0;
        let end = line.trim_end().len();
        for (at, byte) in line.bytes().enumerate() {
            let literal = matches!(byte, b'!'..=b'<' | b'>'..=b'~') || (byte == b' ' && at < end);
            let length = if literal { 1 } else { 3 };
            if width + length >= MAX_LINE {
                encoded.push_str("=\r\n");
                width = 0;
            }
            // A dot alone on a line would end a mail in SMTP for senders that forget to stuff it.
            if literal && !(byte == b'.' && width == 0) {
                encoded.push(char::from(byte));
                width += 1;
            } else {
                let _ = write!(encoded, "={byte:02X}");
                width += 3;
            }
        }
        encoded.push_str("\r\n");
    }

    encoded
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        extract::{Extracted, Extractor},
        validate::{SliAlert, Validator},
    };

    fn read(mail: &str) -> SliAlert {
        let extraction =
            Extractor::new(&["no-reply@am.atlassian.com".into()]).extract(mail.as_bytes());
        assert_eq!(
            extraction.subject.as_deref(),
            Some("Cloud Fortified alert: Bücher für Jira")
        );
        assert_eq!(extraction.date, Some(now()));
        match extraction.found {
            Extracted::Json(json) => Validator::built_in().unwrap().check(json).unwrap().alert,
            other => panic!("{other:?}"),
        }
    }

    fn now() -> Timestamp {
        "2026-11-21T05:30:00Z".parse().unwrap()
    }

    #[test]
    fn a_sample_is_an_alert_dated_now() {
        let incident = read(&mail("ANOMALOUS", None, now()));
        assert_eq!(incident.status, "ANOMALOUS");
        assert_eq!(incident.time, now());
        assert_eq!(incident.incident_id.len(), 11);
        assert_eq!(incident.app_name.as_deref(), Some("Bücher für Jira"));
    }

    #[test]
    fn every_sample_is_a_new_incident_unless_its_id_is_given() {
        assert_ne!(
            read(&mail("OK", None, now())).incident_id,
            read(&mail("OK", None, now())).incident_id
        );
        for id in ["FOotlQrY5ZQ", "</script><!--", "ä\"\\&amp;= \u{1F600}"] {
            assert_eq!(read(&mail("OK", Some(id), now())).incident_id, id);
        }
    }

    #[test]
    fn a_sample_is_plain_ascii_in_short_lines_with_crlf() {
        let mail = mail("<b>", Some(&"ä.".repeat(100)), now());
        assert!(mail.is_ascii());
        assert!(
            mail.split("\r\n")
                .all(|line| line.len() <= 78 && !line.contains(['\r', '\n']) && line != ".")
        );
        assert_eq!(
            mail.lines()
                .filter(|line| line.starts_with("Message-ID:") && line.contains('@'))
                .count(),
            0
        );
    }
}
