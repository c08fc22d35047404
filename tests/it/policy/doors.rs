//! Every way in: raw HTTP, the providers' formats, SMTP, IMAP.

use alertbridge::ingress::webhook::Provider;
use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::*;
use crate::{dovecot::Dovecot, sns};

const MAILGUN_KEY: &str = "key-0123456789abcdef0123456789abcdef";
const TOPIC: &str = "arn:aws:sns:us-east-1:012345678912:alerts";
const BASIC: &str = "basic_auth: { username: alertbridge, password: 'correct horse' }";

/// What each takes a mail as.
pub const DOORS: [&str; 8] = [
    "http",
    "mailgun",
    "sendgrid",
    "postmark",
    "ses",
    "cloudmailin",
    "smtp",
    "imap",
];

#[test]
fn every_provider_is_a_door() {
    let of_their_own = |one: &&Provider| **one != Provider::Raw;
    for one in Provider::ALL.iter().filter(of_their_own) {
        assert!(DOORS.contains(&one.name()), "{one:?}");
    }
}

pub fn webhooks() -> String {
    format!(
        "  webhook:
    - {{ name: http }}
    - {{ name: mailgun, provider: mailgun, path: /ingress/mailgun/mime, signing_key: {MAILGUN_KEY} \
    }}
    - {{ name: sendgrid, provider: sendgrid, {BASIC} }}
    - {{ name: postmark, provider: postmark, {BASIC} }}
    - {{ name: ses, provider: ses, topic_arn: '{TOPIC}' }}
    - {{ name: cloudmailin, provider: cloudmailin, {BASIC} }}
"
    )
}

/// Sends a mail through a door; its provider vouches for the transport.
pub async fn send(bridge: &Bridge, dovecot: &Dovecot, door: &str, mail: &[u8]) {
    let url = bridge
        .http
        .replace("/ingress/http", &format!("/ingress/{door}"));
    let basic = format!("Basic {}", STANDARD.encode("alertbridge:correct horse"));
    let post = |kind: &str, body: Vec<u8>| {
        harness::client()
            .post(&url)
            .header("content-type", kind)
            .header("authorization", &basic)
            .body(body)
    };
    let request = match door {
        "smtp" => return over_smtp(bridge, mail).await,
        "imap" => return dovecot.deliver(mail),
        "http" => post("message/rfc822", mail.to_vec()),
        "mailgun" => {
            let (time, token) = (now().as_second(), format!("{:050x}", fastrand::u128(..)));
            let key = hmac::Key::new(hmac::HMAC_SHA256, MAILGUN_KEY.as_bytes());
            let signature = hmac::sign(&key, format!("{time}{token}").as_bytes());
            let signature: String = signature
                .as_ref()
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            let fields = [
                ("body-mime", str::from_utf8(mail).unwrap()),
                ("timestamp", &time.to_string()),
                ("token", &token),
                ("signature", &signature),
            ];
            let form: String = url::form_urlencoded::Serializer::new(String::new())
                .extend_pairs(fields)
                .finish();
            let url = format!("{url}/mime");
            harness::client()
                .post(url)
                .header("content-type", "application/x-www-form-urlencoded")
                .body(form)
        }
        "sendgrid" => post("multipart/form-data; boundary=xYzZY", form("email", mail)),
        "cloudmailin" => post("multipart/form-data; boundary=xYzZY", form("message", mail)),
        "ses" => {
            let (id, time) = (
                format!("{:032x}", fastrand::u128(..)),
                format!("{:.3}", now()),
            );
            let receipt = json!({ "action": { "type": "SNS", "encoding": "BASE64" } });
            let message =
                json!({ "receipt": receipt, "content": STANDARD.encode(mail) }).to_string();
            post(
                "text/plain",
                sns::envelope("Notification", TOPIC, (&id, &time), &message, None),
            )
        }
        "postmark" => post(
            "application/json",
            json!({ "RawEmail": str::from_utf8(mail).unwrap() })
                .to_string()
                .into(),
        ),
        _ => panic!("{door} is no door"),
    };
    let response = request.send().await.unwrap();
    assert!(
        response.status().is_success(),
        "{door}: {}: {}",
        response.status(),
        response.text().await.unwrap()
    );
}

fn form(field: &str, mail: &[u8]) -> Vec<u8> {
    let head = format!("--xYzZY\r\nContent-Disposition: form-data; name=\"{field}\"\r\n\r\n");
    [head.as_bytes(), mail, b"\r\n--xYzZY--\r\n"].concat()
}
