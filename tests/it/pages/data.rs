//! A bridge, and real mails for it to show.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use serde_json::json;
use tempfile::TempDir;

use crate::harness::{Bridge, PROGRAM};

/// An alert mail in the making.
#[derive(Debug, Clone)]
pub struct Alert<'a> {
    pub incident: &'a str,
    pub status: &'a str,
    pub metric: &'a str,
    pub app: (&'a str, &'a str),
    pub value: f64,
    pub subject: &'a str,
    /// What stands in its HTML besides.
    pub html: &'a str,
    pub ago: SignedDuration,
}

impl<'a> Alert<'a> {
    pub fn new(incident: &'a str) -> Self {
        Self {
            incident,
            status: "ANOMALOUS",
            metric: "Jira Installation Callback Success Rate",
            app: ("com.example.calendar", "Calendar for Jira"),
            value: 60.0,
            subject: "Cloud Fortified alert",
            html: "",
            ago: SignedDuration::from_mins(10),
        }
    }

    pub fn mail(&self) -> Vec<u8> {
        #[expect(clippy::disallowed_methods, reason = "mail is dated now")]
        let time = Timestamp::now() - self.ago;
        let after = |seconds: i64| {
            let at = (time + SignedDuration::from_secs(seconds)).to_zoned(TimeZone::UTC);
            jiff::fmt::rfc2822::to_string(&at).unwrap()
        };
        let incident = json!({
            "appKey": self.app.0,
            "appDetails": { "name": self.app.1, "partnerName": "Beispiel GmbH" },
            "incidentId": self.incident, "incidentStatus": self.status,
            "time": format!("{time:.0}"),
            "metricName": self.metric, "metricUnit": "PERCENT", "measurementDurationSeconds": 86400,
            "sliValue": self.value, "sloValue": 99.0
        });
        let incident = incident.to_string().replace('<', "\\u003c");
        let html = format!(
            "<!DOCTYPE html><html><head><script type=\"application/json\" \
             id=\"incident-data\">{incident}</script>\
             </head><body><h1>Alert</h1>{}</body></html>",
            self.html
        );
        let subject = BASE64_STANDARD.encode(self.subject);
        let html = BASE64_STANDARD.encode(html);
        let html: Vec<_> = html
            .as_bytes()
            .chunks(76)
            .map(|line| str::from_utf8(line).unwrap())
            .collect();
        format!(
            "Received: from relay.example.net (relay.example.net [192.0.2.7])\r\n\
             \tby mx.example.com (Postfix) with ESMTPS id 4X; {}\r\n\
             Received: by relay.example.net; {}\r\n\
             From: Atlassian <no-reply@am.atlassian.com>\r\nTo: alerts@example.com\r\n\
             Subject: =?UTF-8?B?{subject}?=\r\nDate: {}\r\nMIME-Version: 1.0\r\n\
             Content-Type: multipart/alternative; boundary=\"b1\"\r\n\r\n\
             --b1\r\nContent-Type: text/plain; charset=UTF-8\r\n\r\n{} of {} is {}.\r\n\
             --b1\r\nContent-Type: text/html; charset=UTF-8\r\nContent-Transfer-Encoding: \
             base64\r\n\r\n\
             {}\r\n--b1--\r\n",
            after(7),
            after(1),
            after(0),
            self.metric,
            self.app.1,
            self.status,
            html.join("\r\n")
        )
        .into_bytes()
    }
}

/// A receiver that takes nothing until it is told to.
struct Refusing {
    address: SocketAddr,
    takes: Arc<AtomicBool>,
}

impl Refusing {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let takes = Arc::new(AtomicBool::new(false));
        let willing = Arc::clone(&takes);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                answer(&stream, willing.load(Ordering::SeqCst));
            }
        });
        Self { address, takes }
    }
}

fn answer(stream: &TcpStream, takes: bool) {
    let mut request = BufReader::new(stream);
    let (mut line, mut length) = (String::new(), 0);
    while request.read_line(&mut line).is_ok_and(|read| read > 2) {
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
        line.clear();
    }
    let _ = request.take(length).read_to_end(&mut Vec::new());
    let status = if takes {
        "204 No Content"
    } else {
        "400 Bad Request"
    };
    let mut stream = stream;
    let _ = write!(
        stream,
        "HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    );
}

/// A bridge, and what it tells.
pub struct Bed {
    pub bridge: Bridge,
    pub folder: TempDir,
    pub admin: String,
    refusing: Refusing,
}

impl Bed {
    /// It prints what is critical, and what is of the app `refused` goes where it is refused.
    pub fn new() -> Self {
        Self::with("admin: { listen: '127.0.0.1:0' }")
    }

    pub fn with(admin: &str) -> Self {
        let refusing = Refusing::start();
        let folder = tempfile::tempdir().unwrap();
        let config = format!(
            "
store: {{ url: 'sqlite:alertbridge.db' }}
{admin}
alerts:
  app_keys: [com.example.calendar, com.example.refused, com.example.appkey, \
  '\"><svg/onload=pwned()>']
  authenticity: {{ require: [] }}
ingress:
  http: {{ listen: '127.0.0.1:0' }}
  webhook: [{{ name: mail }}]
route:
  receiver: chat
  routes:
    - {{ matchers: ['severity=\"critical\"'], receiver: chat, continue: true }}
    - {{ matchers: ['app_key=\"com.example.refused\"'], receiver: refusing }}
receivers:
  - {{ name: chat, stdout_configs: [{{}}] }}
  - {{ name: refusing, webhook_configs: [{{ url: 'http://{}/hook' }}] }}
",
            refusing.address
        );
        let bridge = Bridge::start(folder.path(), &config);
        Self {
            admin: bridge.admin.clone(),
            folder,
            bridge,
            refusing,
        }
    }

    /// One of everything: open, over, refused, silenced, quarantined, not to be read, hostile.
    pub async fn with_everything() -> Self {
        let bed = Self::new();
        let minutes = SignedDuration::from_mins;
        let broke = Alert::new("BROKE");
        bed.send(&broke).await;
        bed.send(&Alert {
            value: 72.5,
            ago: minutes(5),
            ..broke.clone()
        })
        .await;
        let over = Alert {
            metric: "App Availability",
            ..Alert::new("OVER")
        };
        bed.send(&over).await;
        bed.send(&Alert {
            status: "OK",
            ago: minutes(2),
            ..over
        })
        .await;
        bed.send(&Alert::refused("REFUSED")).await;
        bed.send(&Alert {
            app: ("com.example.other", "Another's"),
            ..Alert::new("ANOTHERS")
        })
        .await;
        bed.send(&hostile()).await;
        let unread = String::from_utf8(Alert::new("UNREAD").mail()).unwrap();
        let unread = unread
            .replace("multipart/alternative", "multipart/nonsense")
            .replace("base64", "7bit");
        bed.post(unread.as_bytes()).await;
        let silence = [
            "silences",
            "add",
            "metric=Silent",
            "--comment",
            "the database moves",
        ];
        assert!(bed.bridge.command(&silence).status.success());
        bed.send(&Alert {
            metric: "Silent",
            ..Alert::new("SILENT")
        })
        .await;
        bed.bridge.settled(9).await;
        bed
    }

    pub fn at(&self, path: &str) -> String {
        format!("{}{path}", self.admin)
    }

    pub async fn send(&self, alert: &Alert<'_>) {
        self.post(&alert.mail()).await;
    }

    async fn post(&self, mail: &[u8]) {
        let before = self.bridge.metric("alertbridge_mails_total", "").await;
        assert_eq!(self.bridge.post(mail).await.unwrap(), 202);
        // In this order: numbers stand for mails in the tests.
        while self.bridge.metric("alertbridge_mails_total", "").await <= before {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }

    /// From now on nothing is refused.
    pub fn take_everything(&self) {
        self.refusing.takes.store(true, Ordering::SeqCst);
    }

    /// What somebody types into a shell who has the program.
    pub fn shell(&self, command: &str) {
        let path = Path::new(PROGRAM)
            .parent()
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        let path = format!("{path}:{}", std::env::var("PATH").unwrap());
        let ran = Command::new("sh")
            .args(["-c", command])
            .env("PATH", path)
            .current_dir(self.folder.path())
            .output()
            .unwrap();
        assert!(ran.status.success(), "{command}: {ran:?}");
    }
}

impl Alert<'_> {
    /// One whose page is refused.
    pub fn refused(incident: &str) -> Alert<'_> {
        Alert {
            app: ("com.example.refused", "Refused"),
            metric: "Webhook Delivery",
            ..Alert::new(incident)
        }
    }
}

/// Markup, marks of direction and line ends wherever a mail has room for them.
pub fn hostile() -> Alert<'static> {
    Alert {
        status: "ANOMALOUS",
        metric: "<b id=evil>bold</b>\u{202e}cirtem\u{200b}",
        app: (
            "\"><svg/onload=pwned()>",
            "<img src=x onerror=pwned()>\u{202e}gnp.exe\n</li>",
        ),
        subject: "<script>pwned()</script>\u{2066} subject",
        html: "<script>window.pwned = 1; parent.pwned = 1</script><img \
               src='https://evil.test/pixel.png'>\
               <link rel=stylesheet href='https://evil.test/style.css'>\
               <form action='https://evil.test/'><button>x</button></form>\
               <style>body { background: url(https://evil.test/background.png) }</style>\
               <meta http-equiv=refresh content='0;url=https://evil.test/refresh'>",
        ..Alert::new("HOSTILE\"><script>pwned()</script>")
    }
}
