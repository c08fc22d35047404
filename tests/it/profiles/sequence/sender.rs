//! The senders: each writes its starter's own mails anew, of another thing and at another time.

use std::fs;

use alertbridge::profile::starters::STARTERS;
use mail_parser::MessageParser;

use super::letter::{Letter, Transport};
use crate::profiles::folder;

/// One starter's sender.
#[derive(Clone, Copy)]
pub struct Sender {
    pub name: &'static str,
    /// The files of its opening mail, and of the one that says that it is over.
    pub on: &'static str,
    pub over: Option<&'static str>,
    /// What its mails call the thing, and the key that its profile makes of another name.
    pub id: &'static str,
    pub key: fn(&str) -> String,
    /// How bad it is in the opening mail, and in a milder one.
    pub severity: Option<(&'static str, &'static str)>,
    /// How the times in the mails are written, and how another is.
    pub time: Option<Written>,
    /// What no alert can lack, and what stands there once the vendor has changed its mails.
    pub lost: Option<(&'static str, &'static str)>,
}

/// Texts of a mail, and what stands in their place at another second.
pub type Written = (&'static [&'static str], fn(u32) -> String);

const PLAIN: Sender = Sender {
    name: "",
    on: "",
    over: None,
    id: "",
    key: |id| id.to_owned(),
    severity: None,
    time: None,
    lost: None,
};

pub static SENDERS: [Sender; STARTERS.len()] = [
    Sender {
        name: "forge-alert",
        on: "open",
        over: Some("closed"),
        id: "7f3c2a91-5d0e",
        severity: Some(("Critical", "Major")),
        lost: Some(("Alert ID", "Alert number")),
        ..PLAIN
    },
    Sender {
        name: "cloudwatch",
        on: "alarm",
        over: Some("ok"),
        id: "api-5xx",
        key: |id| format!("EU (Ireland)/{id}/123456789012"),
        time: Some((&["04:10:00 UTC", "04:25:00 UTC"], |second| {
            format!("04:10:{second:02} UTC")
        })),
        lost: Some(("State Change:", "Change of state:")),
        ..PLAIN
    },
    Sender {
        name: "alertmanager",
        on: "one",
        over: Some("resolved"),
        id: "HighLatency",
        key: |id| {
            hash(&format!(
                "alertname = {id}\ninstance = api-1:9100\njob = api\nseverity = critical"
            ))
        },
        lost: Some(("Labels", "Tags")),
        ..PLAIN
    },
    Sender {
        name: "grafana",
        on: "firing",
        over: Some("resolved"),
        id: "CPU load",
        key: |id| {
            hash(&format!(
                "alertname {id} grafana_folder Infra instance web-1 severity critical"
            ))
        },
        lost: Some(("Labels", "Tags")),
        ..PLAIN
    },
    Sender {
        name: "nagios",
        on: "problem",
        over: Some("recovery"),
        id: "web1",
        key: |id| format!("{id}/HTTP"),
        severity: Some(("CRITICAL", "WARNING")),
        lost: Some(("Host:", "Machine:")),
        ..PLAIN
    },
    Sender {
        name: "icinga",
        on: "problem",
        over: Some("recovery"),
        id: "web1",
        key: |id| format!("{id}/ping4"),
        severity: Some(("CRITICAL", "WARNING")),
        time: Some((
            &["2026-11-28 05:10:00 +0100", "2026-11-28 06:10:00 +0100"],
            |second| format!("2026-11-28 05:10:{second:02} +0100"),
        )),
        lost: Some(("When:", "On:")),
    },
    Sender {
        name: "zabbix",
        on: "problem",
        over: Some("resolved"),
        id: "48151",
        severity: Some(("High", "Average")),
        lost: Some(("Original problem ID", "Problem number")),
        ..PLAIN
    },
    Sender {
        name: "librenms",
        on: "alert",
        over: Some("recovered"),
        id: "sw1.example.com",
        key: |id| format!("{id}/Device Down"),
        severity: Some(("critical", "warning")),
        lost: Some(("Rule:", "Check:")),
        ..PLAIN
    },
    Sender {
        name: "healthchecks",
        on: "down",
        over: Some("up"),
        id: "nightly dump",
        key: |id| format!("Backups/{id}"),
        ..PLAIN
    },
    Sender {
        name: "uptime-kuma",
        on: "down",
        over: Some("up"),
        id: "Shop",
        ..PLAIN
    },
    Sender {
        name: "jenkins",
        on: "failure",
        over: Some("fixed"),
        id: "shop/main",
        lost: Some(("X-Jenkins-Result: FAILURE", "X-Jenkins-Result: BROKEN")),
        ..PLAIN
    },
    Sender {
        name: "github-actions",
        on: "failed",
        over: Some("succeeded"),
        id: "example/shop",
        key: |id| format!("{id}/CI/main"),
        lost: Some((": CI - main", " of CI on main")),
        ..PLAIN
    },
    Sender {
        name: "azure-monitor",
        on: "fired",
        over: Some("resolved"),
        id: "vm-07",
        key: |id| format!("{id}/CPU over 90"),
        severity: Some(("Sev1", "Sev3")),
        lost: Some(("Azure Monitor Alert", "Azure Alert")),
        ..PLAIN
    },
    Sender {
        name: "smartd",
        on: "pending",
        id: "nas1",
        key: |id| format!("{id}/dev/sda/CurrentPendingSector"),
        lost: Some(("Device: /dev", "Disk: /dev")),
        ..PLAIN
    },
];

fn hash(text: &str) -> String {
    alertbridge::delivery::sha256_hex(text.as_bytes())
}

impl Sender {
    /// What the incident of a thing is called.
    pub fn key(&self, id: &str) -> String {
        format!("{}:{}", self.name, (self.key)(id))
    }

    /// The address that its mails come from.
    pub fn address(&self) -> String {
        let from = self.read(self.on).from;
        let bare = from.rsplit('<').next().unwrap();
        bare.trim_end_matches('>').to_owned()
    }

    pub fn on(&self, id: &str, second: u32, worse: bool) -> Letter {
        let letter = self.of(self.read(self.on), id, second);
        match self.severity {
            Some((bad, mild)) if worse => letter.with(mild, bad),
            Some((bad, mild)) => letter.with(bad, mild),
            None => letter,
        }
    }

    pub fn over(&self, id: &str, second: u32) -> Option<Letter> {
        Some(self.of(self.read(self.over?), id, second))
    }

    pub fn lacking(&self, id: &str, second: u32) -> Letter {
        let (what, instead) = self.lost.unwrap();
        let whole = self.on(id, second, false);
        let lacking = whole.clone().with(what, instead);
        assert_ne!(whole, lacking, "{} never said {what}", self.name);
        lacking
    }

    /// The mail with another thing and another time in it.
    fn of(&self, letter: Letter, id: &str, second: u32) -> Letter {
        let letter = letter.with(self.id, id);
        let Some((written, other)) = self.time else {
            return letter;
        };
        written
            .iter()
            .fold(letter, |letter, time| letter.with(time, &other(second)))
    }

    fn read(&self, file: &str) -> Letter {
        let raw = fs::read(folder().join(self.name).join(format!("{file}.eml"))).unwrap();
        let mail = MessageParser::default().parse(&raw).unwrap();
        let own = mail
            .headers_raw()
            .filter(|(name, _)| name.starts_with("X-"));
        let own = own.map(|(name, value)| (name.to_owned(), value.trim().to_owned()));
        let header =
            |name: &'static str| mail.header_raw(name).unwrap_or_default().trim().to_owned();
        let is_html = mail.text_body.first() == mail.html_body.first()
            && header("Content-Type").starts_with("text/html");
        let body = if is_html {
            mail.body_html(0)
        } else {
            mail.body_text(0)
        };

        Letter {
            from: header("From"),
            subject: mail.subject().unwrap().to_owned(),
            fields: own.collect(),
            transport: if is_html {
                Transport::Html
            } else {
                Transport::Plain
            },
            body: body.unwrap().replace("\r\n", "\n"),
        }
    }
}
