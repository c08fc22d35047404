//! The HTTP way in, with a real client against a real listener.

use std::{fs, sync::Arc, time::Duration};

use alertbridge::{
    clock::Clock,
    ingress::{
        listener::{BindError, Bounds},
        webhook::{HttpSettings, Limits, Settings, Webhooks},
    },
    settings::ByteSize,
};
use reqwest::{Client, Method, RequestBuilder, StatusCode, header::HeaderMap};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use crate::{
    harness,
    inbox::{PATIENCE, RecordingInbox, Running, eventually},
};

const MAIL: &str = "Subject: a\r\n\r\ntext\r\n";

fn http() -> HttpSettings {
    HttpSettings {
        listen: "127.0.0.1:0".into(),
        ..HttpSettings::default()
    }
}

fn webhook(name: &str) -> Settings {
    Settings {
        name: name.into(),
        ..Settings::default()
    }
}

fn with_token(name: &str, token: &str) -> Settings {
    Settings {
        token: Some(token.into()),
        ..webhook(name)
    }
}

fn limits() -> Limits {
    Limits {
        bounds: Bounds {
            grace: PATIENCE,
            ..Bounds::default()
        },
        ..Limits::default()
    }
}

/// A running listener and a client for it.
struct Server {
    running: Running,
    address: String,
    client: Client,
}

impl Server {
    fn start(webhooks: &[Settings], limits: Limits, inbox: &Arc<RecordingInbox>) -> Self {
        let webhooks = Webhooks::bind(&http(), webhooks, Clock::system())
            .unwrap()
            .with_limits(limits);
        let address = webhooks.local_addr().to_string();
        let client = Client::builder()
            .no_proxy()
            .timeout(PATIENCE)
            .build()
            .unwrap();
        Self {
            running: Running::start(webhooks, inbox),
            address,
            client,
        }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client
            .request(method, format!("http://{}{path}", self.address))
    }

    /// A POST of a mail to `/ingress/raw`.
    fn mail(&self) -> RequestBuilder {
        self.request(Method::POST, "/ingress/raw")
            .header("content-type", "message/rfc822")
            .body(MAIL)
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(&self.address).await.unwrap()
    }
}

/// Sends a request that must be refused with a sentence; gives the answer's headers.
async fn refused(request: RequestBuilder, status: StatusCode) -> HeaderMap {
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), status);
    let headers = response.headers().clone();
    assert_eq!(headers["content-type"], "application/json");
    let body: Value = response.json().await.unwrap();
    let sentence = body["error"].as_str().expect("an error in words");
    assert!(
        sentence.ends_with('.') && body.as_object().unwrap().len() == 1,
        "{body}"
    );
    headers
}

#[tokio::test]
async fn a_mail_is_stored_to_the_byte_and_answered_with_its_number() {
    let inbox = RecordingInbox::new();
    let server = Server::start(&[webhook("raw")], limits(), &inbox);
    let bytes: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    for (number, content_type) in [(1, "message/rfc822"), (2, "Message/RFC822; charset=utf-8")] {
        let request = server
            .request(Method::POST, "/ingress/raw?from=test")
            .header("content-type", content_type);
        let response = request.body(bytes.clone()).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::ACCEPTED);
        assert_eq!(
            response.json::<Value>().await.unwrap(),
            json!({ "id": number })
        );
    }
    server.running.stop().await;
    for message in inbox.stored() {
        assert!(message.raw == bytes, "the bytes differ");
        assert_eq!(
            (message.ingress.as_str(), message.cut_from, message.envelope),
            ("raw", None, None)
        );
    }
    assert_eq!(inbox.stored().len(), 2);
}

#[tokio::test]
async fn each_refusal_has_its_status_and_a_sentence() {
    let inbox = RecordingInbox::new();
    let server = Server::start(
        &[webhook("raw"), with_token("closed", "t0ken")],
        limits(),
        &inbox,
    );
    refused(
        server.request(Method::POST, "/ingress/other").body(MAIL),
        StatusCode::NOT_FOUND,
    )
    .await;
    let wrong_method = refused(
        server.request(Method::GET, "/ingress/raw"),
        StatusCode::METHOD_NOT_ALLOWED,
    )
    .await;
    assert_eq!(wrong_method["allow"], "POST");
    for content_type in ["text/plain", "message/rfc822x", "application/json"] {
        let request = server
            .request(Method::POST, "/ingress/raw")
            .header("content-type", content_type);
        refused(request.body(MAIL), StatusCode::UNSUPPORTED_MEDIA_TYPE).await;
    }
    refused(
        server.request(Method::POST, "/ingress/raw").body(MAIL),
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
    )
    .await;
    refused(
        server.mail().header("content-encoding", "gzip"),
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
    )
    .await;
    for coding in ["gzip, chunked", "gzip,chunked", "deflate, chunked"] {
        let answer = posted_as_is(&server.address, coding).await;
        assert!(answer.starts_with("HTTP/1.1 415 "), "{coding}: {answer}");
    }
    assert!(
        posted_as_is(&server.address, "Chunked")
            .await
            .starts_with("HTTP/1.1 202 ")
    );
    let plain = server
        .mail()
        .header("content-encoding", "identity")
        .send()
        .await
        .unwrap();
    assert_eq!(plain.status(), StatusCode::ACCEPTED);
    refused(server.mail().body(""), StatusCode::UNPROCESSABLE_ENTITY).await;
    refused(
        server.mail().header("origin", "https://evil.test"),
        StatusCode::FORBIDDEN,
    )
    .await;
    refused(
        server
            .mail()
            .header("origin", format!("http://{}", server.address)),
        StatusCode::FORBIDDEN,
    )
    .await;

    let closed = |authorization: Option<&str>| {
        let request = server
            .request(Method::POST, "/ingress/closed")
            .header("content-type", "message/rfc822");
        let request = request.body(MAIL);
        authorization
            .map(|value| request.try_clone().unwrap().header("authorization", value))
            .unwrap_or(request)
    };
    for wrong in [
        None,
        Some("Bearer wrong"),
        Some("Basic t0ken"),
        Some("Bearer"),
        Some("Bearer "),
    ] {
        let response = refused(closed(wrong), StatusCode::UNAUTHORIZED).await;
        assert_eq!(response["www-authenticate"], "Bearer");
    }
    assert_eq!(inbox.stored().len(), 2);
    let right = closed(Some("Bearer t0ken"))
        .header("origin", "https://worker.test")
        .send()
        .await
        .unwrap();
    assert_eq!(right.status(), StatusCode::ACCEPTED);
    server.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_curl_makes_of_a_mail_is_refused_with_the_mend() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mail.eml");
    fs::write(&file, "From: a@b.test\r\nSubject: a\r\n\r\ntext\r\n").unwrap();
    let inbox = RecordingInbox::new();
    let server = Server::start(&[webhook("raw")], limits(), &inbox);
    let url = format!("http://{}/ingress/raw", server.address);
    let curl = |arguments: &[&str]| {
        let file = arguments
            .iter()
            .map(|argument| argument.replace("FILE", file.to_str().unwrap()));
        let all: Vec<String> = file
            .chain(["-sw", " %{http_code}", &url].map(str::to_owned))
            .collect();
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        String::from_utf8(harness::piped("curl", &all, b"").stdout).unwrap()
    };
    let ours = "Content-Type: message/rfc822";
    for arguments in [
        &["-d", "@FILE"][..],
        &["--data-binary", "@FILE"],
        &["-d", "@FILE", "-H", ours],
        &["-F", "mail=@FILE"],
        &["--data-binary", "@FILE", "-H", "Content-Type:"],
        &["--data-binary", "@FILE", "-H", "Content-Type: text/plain"],
    ] {
        let said = curl(arguments);
        let mend = "--data-binary @file -H 'Content-Type: message/rfc822'";
        assert!(
            said.ends_with(" 415") && said.contains(mend),
            "{arguments:?}: {said}"
        );
    }
    assert!(inbox.stored().is_empty());
    let said = curl(&["--data-binary", "@FILE", "-H", ours]);
    assert!(said.ends_with(" 202"), "{said}");
    server.running.stop().await;
    assert_eq!(inbox.raw(), [fs::read(&file).unwrap()]);
}

#[tokio::test]
async fn a_body_of_the_limit_is_taken_and_a_byte_more_is_refused() {
    let inbox = RecordingInbox::new();
    let server = Server::start(&[webhook("raw")], limits(), &inbox);
    let limit = ByteSize::from_mib(10).as_usize();
    refused(
        server.mail().body(vec![b'x'; limit + 1]),
        StatusCode::PAYLOAD_TOO_LARGE,
    )
    .await;
    assert!(inbox.stored().is_empty());
    let taken = server.mail().body(vec![b'x'; limit]).send().await.unwrap();
    assert_eq!(taken.status(), StatusCode::ACCEPTED);

    // Without a declared length the limit is met while reading.
    let mut stream = server.connect().await;
    let head = "POST /ingress/raw HTTP/1.1\r\nhost: x\r\ncontent-type: \
                message/rfc822\r\ntransfer-encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let chunk = [b"100000\r\n".as_slice(), &vec![b'x'; 1 << 20], b"\r\n"].concat();
    for _ in 0..11 {
        stream.write_all(&chunk).await.unwrap();
    }
    stream.write_all(b"0\r\n\r\n").await.unwrap();
    assert!(answer(&mut stream).await.starts_with("HTTP/1.1 413 "));
    server.running.stop().await;
    assert_eq!(inbox.stored().len(), 1);
}

#[tokio::test]
async fn a_rotated_token_counts_at_once_and_an_unreadable_one_lets_nobody_in() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    fs::write(&file, "old\n").unwrap();
    let settings = Settings {
        token_file: Some(file.clone()),
        ..webhook("raw")
    };
    let bounds = Bounds {
        heartbeat: Duration::from_millis(5),
        ..limits().bounds
    };
    let server = Server::start(
        &[settings],
        Limits { bounds, ..limits() },
        &RecordingInbox::new(),
    );
    let status = async |token| {
        server
            .mail()
            .bearer_auth(token)
            .send()
            .await
            .unwrap()
            .status()
    };
    assert_eq!(status("old").await, StatusCode::ACCEPTED);
    fs::write(&file, "new").unwrap();
    assert_eq!(status("old").await, StatusCode::UNAUTHORIZED);
    assert_eq!(status("new").await, StatusCode::ACCEPTED);

    let failure = || server.running.health.conditions()["raw"].failure.clone();
    for content in [None, Some(" \n")] {
        content
            .map_or_else(
                || fs::remove_file(&file),
                |content| fs::write(&file, content),
            )
            .unwrap();
        let response = refused(
            server.mail().bearer_auth("new"),
            StatusCode::SERVICE_UNAVAILABLE,
        )
        .await;
        assert_eq!(response["retry-after"], "30");
        eventually("health tells of the token", || {
            failure().is_some_and(|text| text.contains("token"))
        })
        .await;
    }
    fs::write(&file, "new").unwrap();
    assert_eq!(status("new").await, StatusCode::ACCEPTED);
    eventually("health recovers", || failure().is_none()).await;
    server.running.stop().await;
}

#[tokio::test]
async fn a_mail_that_cannot_be_stored_is_to_be_sent_again() {
    let inbox = RecordingInbox::refusing(1);
    let server = Server::start(&[webhook("raw")], limits(), &inbox);
    let response = refused(server.mail(), StatusCode::SERVICE_UNAVAILABLE).await;
    assert_eq!(response["retry-after"], "30");
    assert_eq!(
        server.mail().send().await.unwrap().status(),
        StatusCode::ACCEPTED
    );
    server.running.stop().await;

    let server = Server::start(
        &[webhook("raw")],
        Limits {
            store: Duration::from_millis(20),
            ..limits()
        },
        &RecordingInbox::blocked(),
    );
    refused(server.mail(), StatusCode::SERVICE_UNAVAILABLE).await;
    server.running.stop().await;
}

#[tokio::test]
async fn a_stop_waits_for_the_mail_in_hand() {
    let inbox = RecordingInbox::blocked();
    let server = Server::start(&[webhook("raw")], limits(), &inbox);
    let idle = server.connect().await;
    let sent = tokio::spawn(server.mail().send());
    inbox.entered().await;
    server.running.stop.cancel();
    assert!(!sent.is_finished(), "acknowledged before it was stored");
    inbox.open();
    assert_eq!(sent.await.unwrap().unwrap().status(), StatusCode::ACCEPTED);
    server.running.ended().await;
    assert_eq!(inbox.raw(), [MAIL.as_bytes()]);
    drop(idle);
}

#[tokio::test]
async fn two_hundred_posts_at_once_are_all_stored_once() {
    let inbox = RecordingInbox::new();
    let server = Server::start(&[webhook("raw")], limits(), &inbox);
    let posts: Vec<_> = (0..200)
        .map(|i| tokio::spawn(server.mail().body(format!("Subject: {i}\r\n\r\n")).send()))
        .collect();
    for post in posts {
        assert_eq!(post.await.unwrap().unwrap().status(), StatusCode::ACCEPTED);
    }
    server.running.stop().await;
    let (mut stored, mut expected) = (inbox.raw(), Vec::new());
    expected.extend((0..200).map(|i| format!("Subject: {i}\r\n\r\n").into_bytes()));
    stored.sort();
    expected.sort();
    assert_eq!(stored, expected);
}

#[tokio::test]
async fn a_slow_client_is_not_waited_for() {
    let inbox = RecordingInbox::new();
    let short = Duration::from_millis(50);
    let server = Server::start(
        &[webhook("raw")],
        Limits {
            head: short,
            body: short,
            ..limits()
        },
        &inbox,
    );
    let mut head = server.connect().await;
    head.write_all(b"POST /ingress/raw HTTP/1.1\r\nhost:")
        .await
        .unwrap();
    assert!(
        !answer(&mut head).await.contains(" 202 "),
        "half a head was answered"
    );
    let mut body = server.connect().await;
    let start = "POST /ingress/raw HTTP/1.1\r\nhost: x\r\ncontent-type: \
                 message/rfc822\r\ncontent-length: 100\r\n\r\nhalf";
    body.write_all(start.as_bytes()).await.unwrap();
    assert!(answer(&mut body).await.starts_with("HTTP/1.1 408 "));
    let mut silent = server.connect().await;
    assert_eq!(answer(&mut silent).await, "");
    server.running.stop().await;
    assert!(inbox.stored().is_empty());
}

#[tokio::test]
async fn a_client_that_breaks_off_has_sent_nothing() {
    let inbox = RecordingInbox::new();
    let server = Server::start(&[webhook("raw")], limits(), &inbox);
    let mut stream = server.connect().await;
    let start = "POST /ingress/raw HTTP/1.1\r\nhost: x\r\ncontent-type: \
                 message/rfc822\r\ncontent-length: 100\r\n\r\nhalf";
    stream.write_all(start.as_bytes()).await.unwrap();
    drop(stream);
    server.running.stop().await;
    assert!(inbox.stored().is_empty());
}

#[tokio::test]
async fn one_connection_too_many_is_told_to_come_again() {
    let bounds = Bounds {
        connections: 1,
        ..limits().bounds
    };
    let server = Server::start(
        &[webhook("raw")],
        Limits { bounds, ..limits() },
        &RecordingInbox::new(),
    );
    let first = server.mail().send().await.unwrap();
    assert_eq!(first.status(), StatusCode::ACCEPTED);
    let mut second = server.connect().await;
    let answer = answer(&mut second).await;
    assert!(
        answer.starts_with("HTTP/1.1 503 ") && answer.ends_with("\"}"),
        "{answer}"
    );
    server.running.stop().await;
}

/// All that comes until the server closes.
async fn answer(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    // A reset ends it as well as a close does.
    let _ = timeout(PATIENCE, stream.read_to_end(&mut answer))
        .await
        .expect("an end in time");
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn an_unsafe_or_meaningless_setting_is_refused_with_its_key() {
    let path = |path: &str| Settings {
        path: Some(path.into()),
        ..webhook("raw")
    };
    for (listen, webhooks, key) in [
        (
            "0.0.0.0:0",
            vec![webhook("raw")],
            "ingress.webhook[0].token_file",
        ),
        (
            "127.0.0.1:0",
            vec![webhook("a"), with_token("raw", " ")],
            "ingress.webhook[1].token",
        ),
        (
            "127.0.0.1:0",
            vec![path("ingress")],
            "ingress.webhook[0].path",
        ),
        ("127.0.0.1:0", vec![path("/{x}")], "ingress.webhook[0].path"),
        (
            "127.0.0.1:0",
            vec![path("/a"), path("/a")],
            "ingress.webhook[1].path",
        ),
    ] {
        let http = HttpSettings {
            listen: listen.into(),
            ..HttpSettings::default()
        };
        match Webhooks::bind(&http, &webhooks, Clock::system()) {
            Err(BindError::Settings(problem)) => assert_eq!(problem.key, key),
            Err(other) => panic!("{key}: {other}"),
            Ok(_) => panic!("{key}: bound"),
        }
    }
    let everywhere = HttpSettings {
        listen: "0.0.0.0:0".into(),
        ..HttpSettings::default()
    };
    assert!(Webhooks::bind(&everywhere, &[with_token("raw", "t0ken")], Clock::system()).is_ok());
}

/// A chunked mail under a Transfer-Encoding of one's own, which no client library sends.
async fn posted_as_is(address: &str, coding: &str) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "POST /ingress/raw HTTP/1.1\r\nHost: {address}\r\nContent-Type: message/rfc822\r\n\
         Transfer-Encoding: {coding}\r\nConnection: close\r\n\r\n8\r\nA: b\r\n\r\n\r\n0\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}
