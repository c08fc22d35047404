//! Mails with known truth, the same for the same seed: what a store of alerts looks like, and what
//! is to become of each mail when they arrive in order.
//!
//! Every incident opens with ANOMALOUS and most end with OK; a third of the mails repeat an earlier
//! one, a tenth cannot be read, some are no alerts. Used by the corpus test, the end-to-end tests
//! and `benches/parse.rs`.

use std::fmt::Write as _;

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use jiff::{Timestamp, ToSpan as _, fmt::rfc2822, tz::TimeZone};
use serde_json::{Value, json};

/// One mail.
#[derive(Debug, Clone)]
pub struct Generated {
    pub eml: Vec<u8>,
    pub truth: Truth,
}

/// What is to become of it, all mails before it having arrived.
#[derive(Debug, Clone, PartialEq)]
pub struct Truth {
    pub outcome: Outcome,
    /// None where the mail is no incident, or cannot be read.
    pub incident_id: Option<String>,
    /// `incidentStatus`; none where the mail is no incident, or cannot be read.
    pub status: Option<String>,
    /// The incident's `time`.
    pub time: Option<Timestamp>,
    pub app_name: Option<String>,
    /// The mail's Date, in the order of arrival.
    pub date: Timestamp,
}

/// The contract's outcomes, as far as mails alone decide them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    Opened,
    Resolved,
    Reopened,
    Duplicate,
    Stale,
    Unparsed,
    Ignored,
}

/// What the stages before the state machine can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    Incident,
    Unparsed,
    Ignored,
}

impl Outcome {
    pub fn class(self) -> Class {
        match self {
            Self::Unparsed => Class::Unparsed,
            Self::Ignored => Class::Ignored,
            _ => Class::Incident,
        }
    }

    /// The word of the contract.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Resolved => "resolved",
            Self::Reopened => "reopened",
            Self::Duplicate => "duplicate",
            Self::Stale => "stale",
            Self::Unparsed => "unparsed",
            Self::Ignored => "ignored",
        }
    }
}

/// An incident as told so far.
struct Told {
    id: String,
    app: usize,
    metric: usize,
    firing: bool,
    /// The newest time told.
    newest: Timestamp,
    /// Every status and time told.
    mails: Vec<(&'static str, Timestamp)>,
}

const APPS: [(&str, &str); 6] = [
    ("com.example.buecher", "Bücher für Jira"),
    ("com.example.rocket", "Rocket 🚀 Board"),
    ("jp.example.kanban", "かんばん"),
    ("com.example.plain", "Plain App"),
    ("com.example.markup", "R&D <Fast> \"Reports\""),
    ("ru.example.otchet", "Отчёты"),
];

const METRICS: [&str; 4] = [
    "Jira Installation Callback Success Rate",
    "Jira App Availability",
    "Confluence Iframe Load Success Rate",
    "Jira Webhook Delivery Success Rate",
];

/// `count` mails in order of arrival, dated half a minute apart from 2026-01-05.
pub fn generate(seed: u64, count: usize) -> Vec<Generated> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let start: Timestamp = "2026-01-05T08:00:00Z".parse().unwrap();
    let mut incidents: Vec<Told> = Vec::new();
    (0..count)
        .map(|number| {
            let date = start + (i64::try_from(number).unwrap() * 30).seconds();
            let mail = Mail { date, number };
            match rng.u32(..100) {
                0..10 => malformed(&mut rng, mail),
                10..13 => no_alert(&mut rng, mail),
                13..46 if !incidents.is_empty() => repeated(&mut rng, mail, &incidents),
                46..50 if !incidents.is_empty() => late(&mut rng, mail, &incidents),
                50..75 if !incidents.is_empty() => moved(&mut rng, mail, &mut incidents),
                _ => opened(&mut rng, mail, &mut incidents),
            }
        })
        .collect()
}

fn opened(rng: &mut fastrand::Rng, mail: Mail, incidents: &mut Vec<Told>) -> Generated {
    let time = mail.date - 10.seconds();
    let incident = Told {
        id: URL_SAFE_NO_PAD.encode(rng.u64(..).to_be_bytes()),
        app: rng.usize(..APPS.len()),
        metric: rng.usize(..METRICS.len()),
        firing: true,
        newest: time,
        mails: vec![("ANOMALOUS", time)],
    };
    let generated = alert(rng, mail, &incident, "ANOMALOUS", time, Outcome::Opened);
    incidents.push(incident);
    generated
}

/// The next transition of an incident: its resolve, or, one time in five of those resolved, its
/// return.
fn moved(rng: &mut fastrand::Rng, mail: Mail, incidents: &mut Vec<Told>) -> Generated {
    let time = mail.date - 10.seconds();
    let index = rng.usize(..incidents.len());
    let (status, outcome) = if incidents[index].firing {
        ("OK", Outcome::Resolved)
    } else if rng.u8(..5) == 0 {
        ("ANOMALOUS", Outcome::Reopened)
    } else {
        return opened(rng, mail, incidents);
    };
    let incident = &mut incidents[index];
    incident.firing = !incident.firing;
    incident.newest = time;
    incident.mails.push((status, time));
    alert(rng, mail, &incidents[index], status, time, outcome)
}

/// A mail told before, in another wrapping; or a reminder of the state the incident is in, half a
/// second later.
fn repeated(rng: &mut fastrand::Rng, mail: Mail, incidents: &[Told]) -> Generated {
    let incident = &incidents[rng.usize(..incidents.len())];
    let (status, time) = if rng.u8(..4) == 0 {
        (
            if incident.firing { "ANOMALOUS" } else { "OK" },
            incident.newest + 500.milliseconds(),
        )
    } else {
        incident.mails[rng.usize(..incident.mails.len())]
    };
    alert(rng, mail, incident, status, time, Outcome::Duplicate)
}

/// A transition that happened before the newest one told, and arrives after it.
fn late(rng: &mut fastrand::Rng, mail: Mail, incidents: &[Told]) -> Generated {
    let incident = &incidents[rng.usize(..incidents.len())];
    let status = if incident.firing { "OK" } else { "ANOMALOUS" };
    let time = incident.newest - 1_500.milliseconds();
    alert(rng, mail, incident, status, time, Outcome::Stale)
}

fn alert(
    rng: &mut fastrand::Rng,
    mail: Mail,
    incident: &Told,
    status: &'static str,
    time: Timestamp,
    outcome: Outcome,
) -> Generated {
    let (app_key, app_name) = APPS[incident.app];
    let mut json = payload(incident, status, time);
    if rng.u8(..10) == 0 {
        json["baseUrl"] = json!(format!("https://{app_key}.example.com"));
    }
    let text = if rng.bool() {
        json.to_string()
    } else {
        serde_json::to_string_pretty(&json).unwrap()
    };
    let text = text.replace('<', "\\u003c");
    let element = format!("<script type=\"application/json\" id=\"incident-data\">{text}</script>");
    let html = document(rng, &element);
    Generated {
        eml: mail.wrap(rng, GENUINE, &html),
        truth: Truth {
            outcome,
            incident_id: Some(incident.id.clone()),
            status: Some(status.to_owned()),
            time: Some(time),
            app_name: Some(app_name.to_owned()),
            date: mail.date,
        },
    }
}

fn payload(incident: &Told, status: &str, time: Timestamp) -> Value {
    let (app_key, app_name) = APPS[incident.app];
    json!({
        "appKey": app_key,
        "appDetails": { "name": app_name, "partnerName": "Beispiel GmbH" },
        "incidentId": incident.id,
        "incidentStatus": status,
        "time": time.to_string(),
        "metricName": METRICS[incident.metric],
        "metricUnit": "PERCENT",
        "measurementDurationSeconds": 900,
        "sliValue": if status == "OK" { 99.95 } else { 61.25 },
        "sloValue": 99.0,
    })
}

/// An alert that cannot be read; each under a number of its own, so that none is another's copy.
fn malformed(rng: &mut fastrand::Rng, mail: Mail) -> Generated {
    let number = mail.number;
    let whole = format!(
        "{{\"appKey\":\"com.example.broken\",\"incidentId\":\"broken-{number}\",\
         \"incidentStatus\":\"ANOMALOUS\",\
         \"metricName\":\"Jira App Availability\",\"time\":\"{}\"}}",
        mail.date
    );
    let script = |kind: &str, text: &str| {
        format!("<script type=\"{kind}\" id=\"incident-data\">{text}</script>")
    };
    let json = "application/json";
    let element = match rng.u8(..8) {
        0 => script(json, &whole[..whole.len() - rng.usize(1..40)]),
        1 => script("text/plain", &whole),
        2 => script(json, &whole.replace("\"time\"", "\"when\"")),
        3 => script(
            json,
            &whole.replace(&format!("\"broken-{number}\""), &number.to_string()),
        ),
        4 => script(json, &whole) + &script(json, &whole.replace("ANOMALOUS", "OK")),
        5 => script(
            json,
            &whole.replace("{\"appKey\"", "{\"appKey\":\"x\",\"appKey\""),
        ),
        6 => script(json, &format!("[{number}]")),
        _ => script(json, &whole.replace('"', "&quot;")),
    };
    let html = document(rng, &element);
    Generated {
        eml: mail.wrap(rng, GENUINE, &html),
        truth: mail.no_incident(Outcome::Unparsed),
    }
}

/// Another sender's mail, or the sender's mail without an alert.
fn no_alert(rng: &mut fastrand::Rng, mail: Mail) -> Generated {
    let element =
        "<script type=\"application/json\" id=\"incident-data\">{\"appKey\":\"forged\"}</script>";
    let (from, html) = match rng.u8(..4) {
        0 => (
            "no-reply@am.atlassian.com <x@evil.example>",
            document(rng, element),
        ),
        1 => (
            "\"no-reply@am.atlassian.com\" <x@evil.example>",
            document(rng, element),
        ),
        2 => (GENUINE, document(rng, &format!("<!-- {element} -->"))),
        _ => (
            GENUINE,
            document(rng, "<p>Your weekly report is ready.</p>"),
        ),
    };
    Generated {
        eml: mail.wrap(rng, from, &html),
        truth: mail.no_incident(Outcome::Ignored),
    }
}

/// 5 to 60 KB of the HTML marketing mail is made of, with the element in its midst.
fn document(rng: &mut fastrand::Rng, element: &str) -> String {
    const WORDS: [&str; 8] = [
        "objective",
        "Verfügbarkeit",
        "callback",
        "measured",
        "Störung",
        "incident",
        "—",
        "rate",
    ];
    let size = rng.usize(5_000..60_000);
    let at = rng.usize(500..size);
    let mut html = String::with_capacity(size + 2_000);
    html.push_str(
        "<!DOCTYPE html>\n<html><head><title>Cloud Fortified</title><style>td { color: \
                   #172b4d; }</style></head>\n<body>\n",
    );
    let mut placed = false;
    while html.len() < size {
        if !placed && html.len() >= at {
            html.push_str(element);
            placed = true;
        }
        html.push_str(
            "<table cellpadding=\"0\" style=\"width:100%;font-family:Arial\"><tr><td \
                       align=\"left\"><p>",
        );
        for _ in 0..rng.usize(4..20) {
            html.push_str(WORDS[rng.usize(..WORDS.len())]);
            html.push(' ');
        }
        html.push_str(
            "</p><a href=\"https://example.com/?a=1&amp;b=2\">more</a></td></tr></table>\n",
        );
    }
    if !placed {
        html.push_str(element);
    }
    html.push_str("</body></html>\n");
    html
}

const GENUINE: &str = "Atlassian <no-reply@am.atlassian.com>";

#[derive(Clone, Copy)]
struct Mail {
    date: Timestamp,
    number: usize,
}

impl Mail {
    fn no_incident(self, outcome: Outcome) -> Truth {
        Truth {
            outcome,
            incident_id: None,
            status: None,
            time: None,
            app_name: None,
            date: self.date,
        }
    }

    /// The HTML as a mail, in one of the encodings mail comes in.
    fn wrap(self, rng: &mut fastrand::Rng, from: &str, html: &str) -> Vec<u8> {
        let (encoding, body) = match rng.u8(..5) {
            0..3 => ("quoted-printable", quoted_printable(html)),
            3 => ("base64", base64_lines(html)),
            _ => ("8bit", html.replace('\n', "\r\n")),
        };
        let html_headers = format!(
            "Content-Type: text/html; charset=UTF-8\r\nContent-Transfer-Encoding: {encoding}\r\n"
        );
        let date = rfc2822::to_string(&self.date.to_zoned(TimeZone::UTC)).unwrap();
        let head = format!(
            "Received: from mx.example.com by mail.example.com; {date}\r\nFrom: {from}\r\nTo: \
             alerts@example.com\r\n\
             Subject: =?UTF-8?Q?Cloud_Fortified:_St=C3=B6rung_{}?=\r\nDate: {date}\r\nMessage-ID: \
             <{:016x}>\r\n\
             MIME-Version: 1.0\r\n",
            self.number, self.number
        );
        if rng.u8(..6) == 0 {
            return format!("{head}{html_headers}\r\n{body}").into_bytes();
        }
        format!(
            "{head}Content-Type: multipart/alternative;\r\n boundary=\"=_part_{n}\"\r\n\r\n\
             --=_part_{n}\r\nContent-Type: text/plain; charset=UTF-8\r\n\r\nCloud Fortified \
             alert\r\n\
             --=_part_{n}\r\n{html_headers}\r\n{body}\r\n--=_part_{n}--\r\n",
            n = self.number
        )
        .into_bytes()
    }
}

fn base64_lines(text: &str) -> String {
    let encoded = STANDARD.encode(text.replace('\n', "\r\n"));
    encoded
        .as_bytes()
        .chunks(76)
        .map(|line| std::str::from_utf8(line).unwrap())
        .collect::<Vec<_>>()
        .join("\r\n")
}

fn quoted_printable(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len() * 5 / 4);
    for line in text.split('\n') {
        let mut width = 0;
        for byte in line.bytes() {
            if width >= 73 {
                encoded.push_str("=\r\n");
                width = 0;
            }
            if matches!(byte, b' '..=b'<' | b'>'..=b'~') {
                encoded.push(char::from(byte));
                width += 1;
            } else {
                write!(encoded, "={byte:02X}").unwrap();
                width += 3;
            }
        }
        encoded.push_str("\r\n");
    }
    encoded
}
