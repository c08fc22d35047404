//! Each provider's request, as its documentation shows it, against the real listener: taken to the
//! byte, and refused with the status that the provider needs where anything about it is wrong.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use alertbridge::{
    clock::Clock,
    ingress::{
        listener::BindError,
        webhook::{BasicAuth, HttpSettings, Https, Provider, Settings, Webhooks},
    },
    settings::ByteSize,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::{SignedDuration, Timestamp};
use proptest::{prelude::*, test_runner::TestRunner};
use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};

use crate::{
    inbox::{PATIENCE, RecordingInbox, Running},
    sns::{Sns, envelope},
};

const TOPIC: &str = "arn:aws:sns:us-east-1:012345678912:alerts";
const FIXTURES: [&str; 6] = [
    "mailgun-multipart",
    "mailgun-urlencoded",
    "sendgrid",
    "postmark",
    "ses",
    "cloudmailin",
];

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/providers")
        .join(name)
}

fn mail() -> Vec<u8> {
    fs::read(path("mail.eml")).unwrap()
}

/// When the fixtures were signed.
fn signed_at() -> Timestamp {
    "2027-01-15T12:00:00Z".parse().unwrap()
}

fn provider(fixture: &str) -> &str {
    fixture.split('-').next().unwrap()
}

#[test]
fn every_provider_has_a_recorded_request() {
    let of_their_own = |one: &&Provider| **one != Provider::Raw;
    for one in Provider::ALL.iter().filter(of_their_own) {
        let mut recorded = FIXTURES.iter().map(|fixture| provider(fixture));
        assert!(recorded.any(|name| name == one.name()), "{one:?}");
    }
}

fn webhooks() -> Vec<Settings> {
    let basic = BasicAuth {
        username: "alertbridge".into(),
        password: Some("correct horse".into()),
        password_file: None,
    };
    let webhook = |name: &str, provider| Settings {
        name: name.into(),
        provider,
        ..Settings::default()
    };
    vec![
        Settings {
            signing_key: Some("key-0123456789abcdef0123456789abcdef".into()),
            path: Some("/ingress/mailgun/mime".into()),
            ..webhook("mailgun", Provider::Mailgun)
        },
        Settings {
            signing_key_file: Some(path("sendgrid.pub")),
            ..webhook("sendgrid", Provider::Sendgrid)
        },
        Settings {
            basic_auth: Some(basic.clone()),
            ..webhook("sendgrid-basic", Provider::Sendgrid)
        },
        Settings {
            basic_auth: Some(basic.clone()),
            ..webhook("postmark", Provider::Postmark)
        },
        Settings {
            topic_arn: Some(TOPIC.into()),
            ..webhook("ses", Provider::Ses)
        },
        Settings {
            basic_auth: Some(basic),
            ..webhook("cloudmailin", Provider::Cloudmailin)
        },
    ]
}

/// A request as it was recorded.
#[derive(Debug, Clone)]
struct Recorded {
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Recorded {
    fn read(fixture: &str) -> Self {
        let bytes = fs::read(path(&format!("{fixture}.http"))).unwrap();
        let end = bytes
            .windows(4)
            .position(|four| four == b"\r\n\r\n")
            .unwrap();
        let head = std::str::from_utf8(&bytes[..end]).unwrap();
        let mut lines = head.split("\r\n");
        let path = lines.next().unwrap().split(' ').nth(1).unwrap().to_owned();
        let headers = lines
            .map(|line| line.split_once(": ").unwrap())
            .filter(|(name, _)| *name != "Host");
        let headers = headers
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        Self {
            path,
            headers,
            body: bytes[end + 4..].to_vec(),
        }
    }

    fn without(mut self, header: &str) -> Self {
        let before = self.headers.len();
        self.headers
            .retain(|(name, _)| !name.eq_ignore_ascii_case(header));
        assert!(self.headers.len() < before, "{header} was not there");
        self
    }

    fn replaced(mut self, from: &str, to: &str) -> Self {
        let at = self
            .body
            .windows(from.len())
            .position(|part| part == from.as_bytes())
            .expect(from);
        self.body.splice(at..at + from.len(), to.bytes());
        self
    }
}

/// A running listener with all providers, a fake SNS, and a clock that the test sets.
struct Bridge {
    running: Running,
    address: String,
    client: Client,
    inbox: Arc<RecordingInbox>,
    now: Arc<Mutex<Timestamp>>,
    sns: Sns,
}

impl Bridge {
    async fn start() -> Self {
        Self::with(RecordingInbox::new(), ByteSize::from_mib(10)).await
    }

    async fn with(inbox: Arc<RecordingInbox>, max_body: ByteSize) -> Self {
        let sns = Sns::start().await;
        let now = Arc::new(Mutex::new(signed_at()));
        let read = now.clone();
        let clock = Clock::from_fn(move || *read.lock().unwrap());
        let http = HttpSettings {
            listen: "127.0.0.1:0".into(),
            max_body,
        };
        let fetch = Arc::new(Https::new(sns.trusted(Client::builder())).unwrap());
        let webhooks = Webhooks::bind(&http, &webhooks(), clock)
            .unwrap()
            .with_fetch(fetch);
        let address = webhooks.local_addr().to_string();
        let client = Client::builder()
            .no_proxy()
            .timeout(PATIENCE)
            .build()
            .unwrap();
        Self {
            running: Running::start(webhooks, &inbox),
            address,
            client,
            inbox,
            now,
            sns,
        }
    }

    async fn post(&self, recorded: &Recorded) -> Response {
        let mut request = self
            .client
            .post(format!("http://{}{}", self.address, recorded.path));
        for (name, value) in &recorded.headers {
            request = request.header(name, value);
        }
        request.body(recorded.body.clone()).send().await.unwrap()
    }

    async fn status(&self, recorded: &Recorded) -> u16 {
        self.post(recorded).await.status().as_u16()
    }

    fn wait(&self, time: SignedDuration) {
        *self.now.lock().unwrap() += time;
    }

    /// What the bridge tells people of requests without mail.
    fn kept_out(&self, ingress: &str) -> Option<&'static str> {
        let conditions = self.running.health.conditions();
        conditions.get(ingress)?.no_mail.map(|(why, _)| why)
    }

    /// What the bridge tells people of a mail that it refused for good.
    fn refused(&self, ingress: &str) -> Option<&'static str> {
        let conditions = self.running.health.conditions();
        conditions.get(ingress)?.refused.map(|(why, _)| why)
    }

    fn stored(&self) -> usize {
        self.inbox.stored().len()
    }
}

#[tokio::test]
async fn each_providers_request_is_taken_and_the_mail_is_the_same_to_the_byte() {
    for fixture in FIXTURES {
        let bridge = Bridge::start().await;
        let response = bridge.post(&Recorded::read(fixture)).await;
        // Mailgun and Postmark document that 200 alone is success.
        let expected = if matches!(provider(fixture), "mailgun" | "postmark") {
            200
        } else {
            202
        };
        assert_eq!(response.status(), expected, "{fixture}");
        assert_eq!(response.json::<Value>().await.unwrap(), json!({ "id": 1 }));
        assert_eq!(bridge.inbox.raw(), [mail()], "{fixture}");
        assert_eq!(bridge.inbox.stored()[0].ingress, provider(fixture));
        bridge.running.stop().await;
    }
}

#[tokio::test]
async fn a_signed_request_is_taken_once() {
    for (fixture, status) in [
        ("mailgun-multipart", 406),
        ("mailgun-urlencoded", 406),
        ("sendgrid", 409),
        ("ses", 409),
    ] {
        let bridge = Bridge::start().await;
        let recorded = Recorded::read(fixture);
        assert!(bridge.post(&recorded).await.status().is_success());
        assert_eq!(bridge.status(&recorded).await, status, "{fixture}");
        bridge.wait(SignedDuration::from_mins(59));
        assert_eq!(bridge.status(&recorded).await, status, "{fixture}");
        assert_eq!(bridge.stored(), 1, "{fixture}");
        bridge.running.stop().await;
    }
    // Without a signature there is nothing to tell a copy by: the stages after this know the alert
    // by its content.
    for (fixture, status) in [("postmark", 200), ("cloudmailin", 202)] {
        let bridge = Bridge::start().await;
        for stored in 1..=2 {
            assert_eq!(
                bridge.status(&Recorded::read(fixture)).await,
                status,
                "{fixture}"
            );
            assert_eq!(bridge.stored(), stored, "{fixture}");
            bridge.wait(SignedDuration::from_hours(1));
        }
        bridge.running.stop().await;
    }
    // The signature of Mailgun does not cover the mail: its token must count once all the same.
    let bridge = Bridge::start().await;
    let recorded = Recorded::read("mailgun-multipart");
    assert_eq!(bridge.status(&recorded).await, 200);
    assert_eq!(
        bridge
            .status(&recorded.replaced("anomaly", "another"))
            .await,
        406
    );
    assert_eq!(bridge.stored(), 1);
    bridge.running.stop().await;
}

#[tokio::test]
async fn a_signature_counts_while_its_provider_comes_again_and_no_longer() {
    let cases = [
        ("mailgun-multipart", 8, 9, 200, 401),
        ("sendgrid", 72, 73, 202, 401),
        ("ses", 1, 2, 202, 403),
    ];
    for (fixture, last_retry, too_late, taken, refused) in cases {
        for (hours, status) in [
            (0, taken),
            (last_retry, taken),
            (too_late, refused),
            (-1, refused),
        ] {
            let bridge = Bridge::start().await;
            bridge.wait(SignedDuration::from_hours(hours));
            let recorded = Recorded::read(fixture);
            let when = format!("{fixture} after {hours} h");
            assert_eq!(bridge.status(&recorded).await, status, "{when}");
            assert_eq!(bridge.stored(), usize::from(status == taken), "{when}");
            if status == taken {
                assert_ne!(bridge.status(&recorded).await, taken, "{when}, a copy");
                assert_eq!(bridge.stored(), 1, "{when}, a copy");
            }
            bridge.running.stop().await;
        }
    }
}

/// Posts what none of the providers posts, without a credential.
async fn wrong_type(bridge: &Bridge) {
    for fixture in FIXTURES {
        let mut recorded = Recorded::read(fixture);
        let proof_or_type = ["authorization", "content-type"];
        recorded
            .headers
            .retain(|(name, _)| !proof_or_type.contains(&name.to_ascii_lowercase().as_str()));
        recorded
            .headers
            .push(("Content-Type".into(), "image/png".into()));
        recorded.body = b"x".to_vec();
        assert!(!bridge.post(&recorded).await.status().is_success());
    }
}

#[tokio::test]
async fn a_flipped_bit_or_a_missing_credential_is_refused() {
    let bridge = Bridge::start().await;
    let read = Recorded::read;
    for (what, recorded, status) in [
        (
            "signature",
            read("mailgun-multipart").replaced("2b90a03b", "2b90a03c"),
            401,
        ),
        (
            "signature",
            read("mailgun-urlencoded").replaced("token=2b", "token=3b"),
            401,
        ),
        (
            "no signature",
            read("mailgun-multipart").replaced("\"signature\"", "\"signaturf\""),
            401,
        ),
        (
            "no timestamp",
            read("mailgun-urlencoded").replaced("timestamp=", "timestamq="),
            401,
        ),
        ("body", read("sendgrid").replaced("anomaly", "anomalz"), 401),
        (
            "no signature",
            read("sendgrid").without("X-Twilio-Email-Event-Webhook-Signature"),
            401,
        ),
        (
            "no timestamp",
            read("sendgrid").without("X-Twilio-Email-Event-Webhook-Timestamp"),
            401,
        ),
        (
            "no password",
            read("postmark").without("Authorization"),
            401,
        ),
        (
            "no password",
            read("cloudmailin").without("Authorization"),
            401,
        ),
        (
            "body",
            read("ses").replaced("Receipt Notification", "Receipt Notificatiom"),
            403,
        ),
        (
            "other id",
            read("ses").replaced("\"22b80b92", "\"22b80b93"),
            403,
        ),
        (
            "SHA-1",
            read("ses").replaced("\"SignatureVersion\": \"2\"", "\"SignatureVersion\": \"1\""),
            403,
        ),
        (
            "topic",
            read("ses").replaced("012345678912:alerts", "012345678912:others"),
            403,
        ),
        (
            "certificate",
            read("ses").replaced("-f3ecfb7224c7233fe7bb5f59f96de52f.pem", "-unknown.pem"),
            403,
        ),
    ] {
        let response = bridge.post(&recorded).await;
        assert_eq!(
            response.status().as_u16(),
            status,
            "{what}: {}",
            recorded.path
        );
        let said: Value = response.json().await.unwrap();
        assert!(said["error"].as_str().unwrap().ends_with('.'), "{said}");
    }
    for (fixture, path) in [
        ("cloudmailin", "cloudmailin"),
        ("postmark", "postmark"),
        ("sendgrid", "sendgrid-basic"),
    ] {
        let mut wrong = read(fixture);
        wrong.path = format!("/ingress/{path}");
        wrong.headers.retain(|(name, _)| name != "Authorization");
        // `d` for `e`: one bit.
        wrong.headers.push((
            "Authorization".into(),
            format!("Basic {}", STANDARD.encode("alertbridge:correct horsd")),
        ));
        let response = bridge.post(&wrong).await;
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{path}");
        assert_eq!(
            response.headers()["www-authenticate"],
            "Basic realm=\"alertbridge\""
        );
    }
    // A stranger can raise no alarm.
    wrong_type(&bridge).await;
    let conditions = bridge.running.health.conditions();
    let mut kept_out = conditions.values().filter_map(|its| its.no_mail);
    assert_eq!(kept_out.next(), None);
    assert_eq!(bridge.stored(), 0);
    bridge.running.stop().await;
}

#[tokio::test]
async fn a_certificate_from_elsewhere_is_never_asked_for() {
    let bridge = Bridge::start().await;
    let host = "https://sns.us-east-1.amazonaws.com/Simple";
    for forged in [
        "http://sns.us-east-1.amazonaws.com/Simple",
        "https://sns.us-east-1.amazonaws.com.evil.com/Simple",
        "https://sns.us-east-1.amazonaws.com@evil.com/Simple",
        "https://user@sns.us-east-1.amazonaws.com/Simple",
        "https://sns.us-east-1.amazonaws.com:444/Simple",
        "https://sns.us-east-1.amazonaws.com/bucket/Simple",
        "https://sns.eu-west-1.amazonaws.com/Simple",
    ] {
        assert_eq!(
            bridge
                .status(&Recorded::read("ses").replaced(host, forged))
                .await,
            403,
            "{forged}"
        );
    }
    assert!(bridge.sns.asked().is_empty(), "{:?}", bridge.sns.asked());
    assert_eq!(bridge.status(&Recorded::read("ses")).await, 202);
    assert_eq!(bridge.sns.asked().len(), 1);
    bridge.running.stop().await;
}

/// An SNS message of the test's own, signed as SNS does.
fn sns(kind: &str, topic: &str, message: &str, subscribe_url: Option<&str>) -> Recorded {
    let when = (
        "165545c9-2a5c-472c-8df2-7ff2be2b3b1b",
        "2027-01-15T12:00:00.000Z",
    );
    Recorded {
        body: envelope(kind, topic, when, message, subscribe_url),
        ..Recorded::read("ses")
    }
}

#[tokio::test]
async fn only_the_configured_topics_subscription_is_confirmed() {
    let bridge = Bridge::start().await;
    let url = |topic: &str| {
        format!(
            "https://sns.us-east-1.amazonaws.com/?Action=ConfirmSubscription\
             &TopicArn={topic}&Token=2336412f"
        )
    };
    let others = TOPIC.replace("alerts", "others");
    for (topic, url) in [
        (others.as_str(), url(&others)),
        (TOPIC, url(&others)),
        (
            TOPIC,
            url(TOPIC).replace("amazonaws.com", "amazonaws.com.evil.com"),
        ),
        (
            TOPIC,
            url(TOPIC).replace("ConfirmSubscription", "DeleteTopic"),
        ),
    ] {
        assert_eq!(
            bridge
                .status(&sns("SubscriptionConfirmation", topic, "m", Some(&url)))
                .await,
            403,
            "{url}"
        );
    }
    assert!(
        !bridge
            .sns
            .asked()
            .iter()
            .any(|asked| asked.contains("Action")),
        "{:?}",
        bridge.sns.asked()
    );
    let right = sns("SubscriptionConfirmation", TOPIC, "m", Some(&url(TOPIC)));
    assert_eq!(bridge.status(&right).await, 200);
    assert!(
        bridge
            .sns
            .asked()
            .iter()
            .any(|asked| asked.contains("ConfirmSubscription"))
    );
    assert_eq!(bridge.stored(), 0);
    bridge.running.stop().await;
}

#[tokio::test]
async fn a_subscription_that_ends_is_told_until_the_next_mail() {
    let bridge = Bridge::start().await;
    let url = "https://sns.us-east-1.amazonaws.com/?Action=ConfirmSubscription";
    let ended = |topic: &str| sns("UnsubscribeConfirmation", topic, "m", Some(url));

    // Whoever cannot sign ends nothing, nor does another topic.
    let forged = ended(TOPIC).replaced("\"Message\":\"m\"", "\"Message\":\"n\"");
    assert_eq!(bridge.status(&forged).await, 403);
    let others = ended(&TOPIC.replace("alerts", "others"));
    assert_eq!(bridge.status(&others).await, 403);
    assert_eq!(bridge.kept_out("ses"), None);

    assert_eq!(bridge.status(&ended(TOPIC)).await, 200);
    let told = bridge.kept_out("ses").unwrap();
    assert!(
        told.contains("subscribe its address to the topic again"),
        "{told}"
    );
    assert_eq!(bridge.status(&Recorded::read("ses")).await, 202);
    assert_eq!(bridge.kept_out("ses"), None);
    bridge.running.stop().await;
}

#[tokio::test]
async fn what_is_the_providers_but_no_mail_says_what_to_change_there() {
    let bridge = Bridge::start().await;
    let read = Recorded::read;
    let s3 =
        json!({ "receipt": { "action": { "type": "S3", "bucketName": "b", "objectKey": "k" } } })
            .to_string();
    let mut json_format = read("cloudmailin");
    json_format
        .headers
        .retain(|(name, _)| name != "Content-Type");
    json_format
        .headers
        .push(("Content-Type".into(), "application/json".into()));
    let mut not_utf8 = read("postmark");
    let at = not_utf8
        .body
        .windows(8)
        .position(|part| part == b"RawEmail")
        .unwrap();
    not_utf8.body[at + 20] = 0xff;
    for (recorded, status, word) in [
        (
            read("mailgun-multipart").replaced("\"body-mime\"", "\"body-mimf\""),
            422,
            "mime",
        ),
        (
            read("postmark").replaced("\"RawEmail\"", "\"RawEmial\""),
            422,
            "RawEmail",
        ),
        (not_utf8, 400, "provider"),
        // A 4xx would return the mail to Atlassian.
        (
            read("cloudmailin").replaced("\"message\"", "\"massage\""),
            503,
            "Raw",
        ),
        (json_format, 503, "content type"),
        (sns("Notification", TOPIC, &s3, None), 422, "S3"),
    ] {
        let response = bridge.post(&recorded).await;
        assert_eq!(response.status().as_u16(), status, "{}", recorded.path);
        let said: Value = response.json().await.unwrap();
        assert!(said["error"].as_str().unwrap().contains(word), "{said}");
        let ingress = recorded.path.split('/').nth(2).unwrap();
        assert!(bridge.kept_out(ingress).unwrap().contains(word), "{said}");
    }
    assert_eq!(bridge.stored(), 0);
    for fixture in FIXTURES {
        bridge.post(&read(fixture)).await;
        assert_eq!(bridge.kept_out(provider(fixture)), None);
    }
    bridge.running.stop().await;
}

#[tokio::test]
async fn sendgrid_may_prove_itself_by_a_password_instead() {
    let bridge = Bridge::start().await;
    let mut recorded = Recorded::read("sendgrid");
    recorded.path = "/ingress/sendgrid-basic".into();
    assert_eq!(
        bridge.status(&recorded).await,
        401,
        "the signature of nobody's key"
    );
    let password = format!("Basic {}", STANDARD.encode("alertbridge:correct horse"));
    recorded.headers.push(("Authorization".into(), password));
    assert_eq!(bridge.status(&recorded).await, 202);
    assert_eq!(
        bridge
            .status(&recorded.replaced("\"email\"", "\"emale\""))
            .await,
        503
    );
    assert_eq!(bridge.inbox.raw(), [mail()]);
    bridge.running.stop().await;
}

#[tokio::test]
async fn a_mail_that_cannot_be_stored_may_come_again() {
    for fixture in FIXTURES {
        let bridge = Bridge::with(RecordingInbox::refusing(1), ByteSize::from_mib(10)).await;
        let recorded = Recorded::read(fixture);
        assert_eq!(bridge.status(&recorded).await, 503, "{fixture}");
        assert!(
            bridge.post(&recorded).await.status().is_success(),
            "{fixture}: the retry was refused"
        );
        assert_eq!(bridge.stored(), 1);
        bridge.running.stop().await;
    }
}

#[tokio::test]
async fn an_oversized_request_is_refused() {
    let bridge = Bridge::with(RecordingInbox::new(), "500".parse().unwrap()).await;
    for fixture in FIXTURES {
        assert_eq!(
            bridge.status(&Recorded::read(fixture)).await,
            413,
            "{fixture}"
        );
        // A signature within the body is not looked at, so nothing proves the others.
        let is_proven = ["postmark", "cloudmailin"].contains(&fixture);
        let refused = bridge.refused(provider(fixture));
        assert_eq!(
            refused.is_some_and(|why| why.contains("max_body")),
            is_proven
        );
        assert_eq!(bridge.kept_out(provider(fixture)), None);
    }
    assert_eq!(bridge.stored(), 0);
    bridge.running.stop().await;
}

#[tokio::test]
async fn sns_that_cannot_be_reached_is_a_reason_to_come_again() {
    let bridge = Bridge::start().await;
    for status in [500, 503, 408, 425, 429] {
        bridge.sns.fail(status);
        let answer = bridge.status(&Recorded::read("ses")).await;
        assert_eq!(answer, 503, "after {status}");
    }
    bridge.sns.fail(403);
    assert_eq!(bridge.status(&Recorded::read("ses")).await, 403);
    bridge.sns.recover();
    assert_eq!(bridge.status(&Recorded::read("ses")).await, 202);
    bridge.running.stop().await;
}

#[test]
fn no_change_to_a_body_makes_a_panic_or_a_forged_mail() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let bridge = runtime.block_on(Bridge::start());
    let mut runner = TestRunner::new(ProptestConfig {
        cases: 600,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let change = (
        any::<prop::sample::Index>(),
        any::<prop::sample::Index>(),
        prop::collection::vec(any::<u8>(), 0..8),
    );
    let strategy = (
        prop::sample::select(FIXTURES.to_vec()),
        prop::collection::vec(change, 1..4),
    );
    let outcome = runner.run(&strategy, |(fixture, changes)| {
        let mut recorded = Recorded::read(fixture);
        for (from, to, bytes) in changes {
            let (from, to) = (
                from.index(recorded.body.len() + 1),
                to.index(recorded.body.len() + 1),
            );
            let (from, to) = (from.min(to), from.max(to).min(from.min(to) + 16));
            recorded.body.splice(from..to, bytes);
        }
        let before = bridge.stored();
        let status = runtime.block_on(bridge.status(&recorded));
        prop_assert!(status < 500 || status == 503, "{}: {}", fixture, status);
        // Where the signature covers the mail, only the mail itself gets through.
        if fixture == "sendgrid" || fixture == "ses" {
            for raw in &bridge.inbox.raw()[before..] {
                prop_assert!(*raw == mail());
            }
        }
        Ok(())
    });
    outcome.unwrap();
    runtime.block_on(bridge.running.stop());
}

#[tokio::test]
async fn a_credential_of_another_kind_or_none_is_a_problem_with_its_key() {
    let provider = |provider| Settings {
        name: "x".into(),
        provider,
        ..Settings::default()
    };
    for (settings, key) in [
        (provider(Provider::Mailgun), "ingress.webhook[0]"),
        (provider(Provider::Ses), "ingress.webhook[0]"),
        (
            Settings {
                token: Some("t".into()),
                ..provider(Provider::Postmark)
            },
            "ingress.webhook[0].token",
        ),
        (
            Settings {
                topic_arn: Some(TOPIC.into()),
                ..provider(Provider::Raw)
            },
            "ingress.webhook[0].topic_arn",
        ),
        (
            Settings {
                topic_arn: Some("alerts".into()),
                ..provider(Provider::Ses)
            },
            "ingress.webhook[0].topic_arn",
        ),
        (
            Settings {
                signing_key: Some("x".into()),
                ..provider(Provider::Sendgrid)
            },
            "ingress.webhook[0].signing_key",
        ),
        (
            Settings {
                signing_key: Some(" ".into()),
                ..provider(Provider::Mailgun)
            },
            "ingress.webhook[0].signing_key",
        ),
        (
            Settings {
                basic_auth: Some(BasicAuth::default()),
                ..provider(Provider::Cloudmailin)
            },
            "ingress.webhook[0].basic_auth.username",
        ),
    ] {
        let http = HttpSettings {
            listen: "127.0.0.1:0".into(),
            ..HttpSettings::default()
        };
        match Webhooks::bind(&http, std::slice::from_ref(&settings), Clock::system()) {
            Err(BindError::Settings(problem)) => assert_eq!(problem.key, key, "{problem:?}"),
            Err(other) => panic!("{key}: {other}"),
            Ok(_) => panic!("{key}: bound with {settings:?}"),
        }
    }
}
