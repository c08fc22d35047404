//! Webhooks: what every provider posts, with its proof and without.
//!
//! An input is a line, `PROVIDER PROOF CONTENT-TYPE`, and a body. The proof is `signed`, made here
//! as the provider makes it; `forged`, none or another's; or `flipped`, made for the body with one
//! bit the other way.

use std::{cell::LazyCell, collections::BTreeMap, sync::Arc};

use alertbridge::{
    clock::Clock,
    ingress::{
        Health, Ingress as _,
        webhook::{BasicAuth, Fetch, FetchError, HttpSettings, Provider, Settings, Webhooks},
    },
    settings::ByteSize,
};
use async_trait::async_trait;
use aws_lc_rs::{
    hmac,
    rand::SystemRandom,
    signature::{self, EcdsaKeyPair, KeyPair as _, RsaKeyPair},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{json, value::RawValue};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_util::sync::CancellationToken;

use super::Kept;

const TOPIC: &str = "arn:aws:sns:us-east-1:012345678912:alerts";
const SIGNED_AT: &str = "1800014400";
/// The one mail that Amazon's fixture is signed for.
const FIXTURE: &[u8] = include_bytes!("../../providers/mail.eml");
const CERTIFICATE: &[u8] = include_bytes!("../../providers/sns.pem");
const CERTIFICATE_KEY: &str = include_str!("../../providers/sns.key.pem");
const CERTIFICATE_URL: &str = "https://sns.us-east-1.amazonaws.com/\
    SimpleNotificationService-f3ecfb7224c7233fe7bb5f59f96de52f.pem";
const MAILGUN_KEY: &str = "key-of-the-check";

/// A connection, hyper's buffers, a form's parts and the JSON in JSON.
const MEMORY: (usize, usize) = (8 << 20, 64);

pub fn check(data: &[u8]) {
    let Some(request) = Request::read(data) else {
        return;
    };
    let answer = super::within_bounds(data.len(), MEMORY.0, MEMORY.1, || request.posted_twice());
    let [(first, stored), (again, stored_again)] = answer;
    for status in [first, again] {
        assert!(matches!(status, 200 | 202 | 400..=499 | 503), "{status}");
    }
    let (stored_once, once) = (
        stored.len(),
        matches!(request.provider, "mailgun" | "sendgrid" | "ses"),
    );
    assert!(
        stored_once <= 1 && (first < 300) >= (stored_once == 1),
        "{first}, and {stored_once} mails"
    );
    if once && stored_once == 1 {
        assert!(
            matches!(again, 401 | 403 | 406 | 409),
            "the same again: {again}"
        );
        assert!(stored_again.is_empty(), "taken twice");
    }
    for mail in &stored {
        assert!(!mail.is_empty());
        match (request.proof, request.provider) {
            ("signed", _) => assert!(
                request.holds(mail),
                "not what was posted: {}",
                mail.escape_ascii()
            ),
            // Only what a signature covers is the provider's.
            (_, "ses") if mail == FIXTURE => {}
            ("flipped", "ses") => assert!(request.holds(mail), "{}", mail.escape_ascii()),
            (proof, provider) => panic!("{provider}, {proof}, was taken: {}", mail.escape_ascii()),
        }
    }
}

/// A status, and the mails stored for it.
type Answer = (u16, Vec<Vec<u8>>);

#[derive(Clone)]
struct Request<'a> {
    provider: &'a str,
    proof: &'a str,
    content_type: &'a str,
    body: &'a [u8],
}

impl<'a> Request<'a> {
    fn read(data: &'a [u8]) -> Option<Self> {
        let end = memchr::memchr(b'\n', data)?;
        let line = std::str::from_utf8(&data[..end]).ok()?;
        let mut words = line.splitn(3, ' ');
        let (provider, proof, content_type) = (words.next()?, words.next()?, words.next()?);
        let known = [
            "raw",
            "mailgun",
            "sendgrid",
            "postmark",
            "ses",
            "cloudmailin",
        ]
        .contains(&provider)
            && ["signed", "forged", "flipped"].contains(&proof)
            && content_type.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        known.then_some(Self {
            provider,
            proof,
            content_type,
            body: &data[end + 1..],
        })
    }

    fn posted_twice(&self) -> [Answer; 2] {
        let (headers, body) = self.proved();
        let mut head = format!(
            "POST /ingress/{} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: \
             {}\r\ncontent-length: {}\r\n",
            self.provider,
            self.content_type,
            body.len()
        );
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        let request = [head.as_bytes(), b"\r\n", &body].concat();
        super::runtime().block_on(async {
            let kept = Kept::new();
            let http = HttpSettings {
                listen: "127.0.0.1:0".into(),
                max_body: ByteSize::from_mib(1),
            };
            let clock = Clock::from_fn(|| "2027-01-15T12:00:00Z".parse().unwrap());
            let webhooks = Webhooks::bind(&http, &doors(), clock)
                .unwrap()
                .with_fetch(Arc::new(Amazon));
            let (address, stop) = (webhooks.local_addr(), CancellationToken::new());
            let running = Box::new(webhooks).run(kept.clone(), Health::default(), stop.clone());
            let posting = async {
                let mut answers = [(0, Vec::new()), (0, Vec::new())];
                for answer in &mut answers {
                    let before = kept.mails().len();
                    answer.0 = post(address, &request).await;
                    answer.1 = kept
                        .mails()
                        .drain(before..)
                        .map(|mail| mail.raw.to_vec())
                        .collect();
                }
                stop.cancel();
                answers
            };
            tokio::join!(running, posting).1
        })
    }

    /// The headers and the body that the provider would send, or somebody in its place.
    fn proved(&self) -> (Vec<(&'static str, String)>, Vec<u8>) {
        let password = |password: &str| {
            vec![(
                "authorization",
                format!(
                    "Basic {}",
                    STANDARD.encode(format!("alertbridge:{password}"))
                ),
            )]
        };
        let body = self.body.to_vec();
        let (headers, mut body) = match (self.provider, self.proof) {
            ("raw", "signed") => (vec![("authorization", "Bearer the-token".to_owned())], body),
            ("raw", _) => (vec![("authorization", "Bearer the-tokem".to_owned())], body),
            ("postmark" | "cloudmailin", "signed") => (password("correct horse"), body),
            ("postmark" | "cloudmailin", _) => (password("correct hors"), body),
            ("sendgrid", proof) => (sendgrid(&body, proof != "forged"), body),
            ("mailgun", proof) => (Vec::new(), self.mailgun(proof == "signed")),
            ("ses", "forged") => (Vec::new(), body),
            _ => (Vec::new(), notification(&String::from_utf8_lossy(&body))),
        };
        if self.proof == "flipped" && !body.is_empty() {
            let at = body.len() * usize::from(self.body.first().copied().unwrap_or_default()) / 256;
            body[at] ^= 1;
        }
        (headers, body)
    }

    /// Timestamp, token and signature before the other fields.
    fn mailgun(&self, right: bool) -> Vec<u8> {
        let token = "2b90a03befc0b98ae2b641b0080850cada918a2d2f670e0141";
        let key = hmac::Key::new(
            hmac::HMAC_SHA256,
            if right {
                MAILGUN_KEY.as_bytes()
            } else {
                b"another"
            },
        );
        let tag = hmac::sign(&key, format!("{SIGNED_AT}{token}").as_bytes());
        let signature: String = tag
            .as_ref()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let fields = [
            ("timestamp", SIGNED_AT),
            ("token", token),
            ("signature", &signature),
        ];
        let mut body: String = if self.content_type.starts_with("multipart/") {
            let part = |(name, value)| {
                format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
            };
            fields.map(part).concat()
        } else {
            fields
                .map(|(name, value)| format!("{name}={value}&"))
                .concat()
        };
        let mut whole = std::mem::take(&mut body).into_bytes();
        whole.extend_from_slice(self.body);
        whole
    }

    /// Whether a mail is one that was posted, to the byte.
    fn holds(&self, mail: &[u8]) -> bool {
        let parts = |bytes: &[u8]| memchr::memmem::find(bytes, mail).is_some();
        match self.provider {
            "ses" => {
                let content = member(&String::from_utf8_lossy(self.body), "content");
                let content: String = content
                    .unwrap_or_default()
                    .split_ascii_whitespace()
                    .collect();
                STANDARD
                    .decode(content)
                    .is_ok_and(|content| content == mail)
            }
            "postmark" => member(&String::from_utf8_lossy(self.body), "RawEmail")
                .is_some_and(|raw| raw.as_bytes() == mail),
            "mailgun" if !self.content_type.starts_with("multipart/") => {
                parts(&percent_decoded(self.body))
            }
            _ => parts(self.body),
        }
    }
}

/// The text of a member of a JSON object. The others may be anything JSON's grammar has: they are
/// not looked at.
fn member(object: &str, name: &str) -> Option<String> {
    let members: BTreeMap<String, &RawValue> = serde_json::from_str(object).ok()?;
    serde_json::from_str(members.get(name)?.get()).ok()
}

fn percent_decoded(text: &[u8]) -> Vec<u8> {
    let digit = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
    let (mut decoded, mut at) = (Vec::new(), 0);
    while let Some(&byte) = text.get(at) {
        match (byte, digit(text.get(at + 1)), digit(text.get(at + 2))) {
            (b'%', Some(high), Some(low)) => {
                decoded.push(u8::try_from(high * 16 + low).unwrap());
                at += 2;
            }
            (b'+', ..) => decoded.push(b' '),
            _ => decoded.push(byte),
        }
        at += 1;
    }
    decoded
}

thread_local! {
    static SENDGRID: LazyCell<EcdsaKeyPair> =
        LazyCell::new(|| {
            EcdsaKeyPair::generate(&signature::ECDSA_P256_SHA256_ASN1_SIGNING).unwrap()
        });
    static SNS: LazyCell<RsaKeyPair> = LazyCell::new(|| {
        let der: String = CERTIFICATE_KEY.lines().filter(|line| !line.starts_with('-')).collect();
        RsaKeyPair::from_pkcs8(&STANDARD.decode(der).unwrap()).unwrap()
    });
}

/// SendGrid's headers for a body, or for another one.
fn sendgrid(body: &[u8], right: bool) -> Vec<(&'static str, String)> {
    let signed = [SIGNED_AT.as_bytes(), body, if right { b"" } else { b"\n" }].concat();
    let signature = SENDGRID.with(|key| key.sign(&SystemRandom::new(), &signed).unwrap());
    vec![
        (
            "x-twilio-email-event-webhook-signature",
            STANDARD.encode(signature),
        ),
        (
            "x-twilio-email-event-webhook-timestamp",
            SIGNED_AT.to_owned(),
        ),
    ]
}

/// A message as SNS signs it.
fn notification(message: &str) -> Vec<u8> {
    let (id, time) = (
        "165545c9-2a5c-472c-8df2-7ff2be2b3b1b",
        "2027-01-15T12:00:00.000Z",
    );
    let signed = format!(
        "Message\n{message}\nMessageId\n{id}\nTimestamp\n{time}\nTopicArn\n{TOPIC}\nType\n\
         Notification\n"
    );
    let signature = SNS.with(|key| {
        let mut signature = vec![0; key.public_modulus_len()];
        key.sign(
            &signature::RSA_PKCS1_SHA256,
            &SystemRandom::new(),
            signed.as_bytes(),
            &mut signature,
        )
        .unwrap();
        signature
    });
    let body = json!({
        "Type": "Notification", "MessageId": id, "TopicArn": TOPIC, "Message": message,
        "Timestamp": time,
        "SignatureVersion": "2", "Signature": STANDARD.encode(signature),
        "SigningCertURL": CERTIFICATE_URL,
    });
    body.to_string().into_bytes()
}

/// Amazon's host: it has the one certificate.
struct Amazon;

#[async_trait]
impl Fetch for Amazon {
    async fn get(&self, url: &str) -> Result<Vec<u8>, FetchError> {
        if url == CERTIFICATE_URL {
            Ok(CERTIFICATE.to_vec())
        } else {
            Err(FetchError::Status(404))
        }
    }
}

fn doors() -> Vec<Settings> {
    let basic = BasicAuth {
        username: "alertbridge".into(),
        password: Some("correct horse".into()),
        password_file: None,
    };
    let door = |name: &str, provider| Settings {
        name: name.into(),
        provider,
        ..Settings::default()
    };
    let public = SENDGRID.with(|key| {
        // What SendGrid shows is a SubjectPublicKeyInfo (RFC 5480): this is its beginning for
        // P-256.
        let head = b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\
            \x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\0";
        STANDARD.encode([&head[..], key.public_key().as_ref()].concat())
    });
    vec![
        Settings {
            token: Some("the-token".into()),
            ..door("raw", Provider::Raw)
        },
        Settings {
            signing_key: Some(MAILGUN_KEY.into()),
            ..door("mailgun", Provider::Mailgun)
        },
        Settings {
            signing_key: Some(public.as_str().into()),
            ..door("sendgrid", Provider::Sendgrid)
        },
        Settings {
            basic_auth: Some(basic.clone()),
            ..door("postmark", Provider::Postmark)
        },
        Settings {
            topic_arn: Some(TOPIC.into()),
            ..door("ses", Provider::Ses)
        },
        Settings {
            basic_auth: Some(basic),
            ..door("cloudmailin", Provider::Cloudmailin)
        },
    ]
}

/// Sends a request as it is; the status.
async fn post(address: std::net::SocketAddr, request: &[u8]) -> u16 {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // Thousands a second must not leave thousands of ports waiting.
    stream.set_zero_linger().unwrap();
    // It may answer before it has read everything.
    let _ = stream.write_all(request).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    let status = answer
        .get(9..12)
        .and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
    status.unwrap_or_else(|| panic!("no answer: {}", answer.escape_ascii()))
}
