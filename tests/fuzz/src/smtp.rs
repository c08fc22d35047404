//! SMTP: whole conversations with the server, by a stranger.

use std::time::Duration;

use alertbridge::{
    clock::Clock,
    ingress::smtp::{Settings, Smtp},
    message::Message,
    settings::ByteSize,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

use super::Kept;

/// A connection's buffers and a mail of the largest size, which is collected by doubling.
const MEMORY: usize = 8 << 20;

/// The first byte says into how many bytes the rest is cut on its way.
pub fn check(data: &[u8]) {
    let Some((&cut, input)) = data.split_first() else {
        return;
    };
    let (heard, stored) = super::within_bounds(data.len(), MEMORY, 64, || {
        converse(input, input.len().max(1))
    });
    sound(input, &heard, &stored);
    let (piecemeal, stored_piecemeal) = converse(input, usize::from(cut).max(1));
    assert_eq!(
        heard.escape_ascii().to_string(),
        piecemeal.escape_ascii().to_string(),
        "in pieces of {cut}"
    );
    assert_eq!(raw(&stored), raw(&stored_piecemeal), "in pieces of {cut}");
}

fn raw(mails: &[Message]) -> Vec<String> {
    mails
        .iter()
        .map(|mail| mail.raw.escape_ascii().to_string())
        .collect()
}

/// What the server says to `input`, which comes in `cut` bytes at a time, and what it stores of it.
fn converse(input: &[u8], cut: usize) -> (Vec<u8>, Vec<Message>) {
    let settings = Settings {
        name: "mx".into(),
        listen: "127.0.0.1:0".into(),
        hostname: Some("mx.example.com".into()),
        recipients: vec!["alerts@example.com".into()],
        max_message_size: ByteSize::from_mib(1),
        ..Settings::default()
    };
    let kept = Kept::new();
    super::runtime().block_on(async {
        let smtp = Smtp::bind("ingress.smtp[0]", &settings, Clock::system()).unwrap();
        let (client, server) = duplex(64 << 10);
        let (mut read, mut write) = tokio::io::split(client);
        let send = async move {
            for piece in input.chunks(cut) {
                // The server may have sent us away.
                if write.write_all(piece).await.is_err() {
                    return;
                }
            }
            let _ = write.shutdown().await;
        };
        let mut heard = Vec::new();
        let hear = read.read_to_end(&mut heard);
        let serve = smtp.serve_one(server, "198.51.100.7:1".parse().unwrap(), kept.clone());
        let all = tokio::time::timeout(Duration::from_secs(30), async {
            tokio::join!(send, hear, serve)
        });
        all.await.expect("the conversation ends").1.unwrap();
        (heard, kept.mails())
    })
}

/// Every reply is SMTP's, and every mail that was acknowledged is one that was sent to us, to its
/// true end.
fn sound(input: &[u8], heard: &[u8], stored: &[Message]) {
    let heard = std::str::from_utf8(heard).expect("replies are text");
    for line in heard.split_inclusive('\n') {
        let code = line.get(..3).is_some_and(|code| {
            code.parse::<u16>()
                .is_ok_and(|code| (200..600).contains(&code))
        });
        assert!(
            code && line.ends_with("\r\n") && matches!(line.as_bytes()[3], b' ' | b'-'),
            "{line:?}"
        );
        assert!(
            !line[..line.len() - 2].contains(char::is_control),
            "{line:?}"
        );
    }
    assert_eq!(heard.matches("Stored\r\n").count(), stored.len(), "{heard}");
    let in_chunks = input
        .to_ascii_uppercase()
        .windows(4)
        .any(|word| word == b"BDAT");
    for mail in stored {
        let raw = &mail.raw;
        let alone = |at: usize| match raw[at] {
            b'\r' => raw.get(at + 1) != Some(&b'\n'),
            b'\n' => at == 0 || raw[at - 1] != b'\r',
            _ => false,
        };
        assert!(
            !(0..raw.len()).any(alone),
            "a CR or LF alone: {}",
            raw.escape_ascii()
        );
        let envelope = mail.envelope.as_ref().unwrap();
        assert!(!envelope.rcpt_to.is_empty());
        for recipient in &envelope.rcpt_to {
            let recipient = recipient.to_ascii_lowercase();
            let ours = ["alerts@example.com", "postmaster", "postmaster@example.com"];
            assert!(ours.contains(&recipient.as_str()), "relayed to {recipient}");
        }
        if !in_chunks {
            let mut sent = b"\r\n".to_vec();
            for line in raw.split_inclusive(|byte| *byte == b'\n') {
                sent.extend(line.starts_with(b".").then_some(b'.'));
                sent.extend_from_slice(line);
            }
            sent.extend_from_slice(b".\r\n");
            // A dot before text may be there or not; with it is how senders write it, and it is
            // never kept.
            let whole = memchr::memmem::find(&undotted(input), &undotted(&sent)).is_some();
            assert!(
                whole,
                "stored, and never sent with its end: {}",
                raw.escape_ascii()
            );
        }
    }
}

/// Without the first dot of each line, but for lines of a dot alone.
fn undotted(bytes: &[u8]) -> Vec<u8> {
    let mut kept = Vec::with_capacity(bytes.len());
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let line = if line == b".\r\n" {
            line
        } else {
            line.strip_prefix(b".").unwrap_or(line)
        };
        kept.extend_from_slice(line);
    }
    kept
}
