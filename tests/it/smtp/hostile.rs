//! Whatever a client sends, the server answers in SMTP, comes to an end, and stores nothing it should not.

use proptest::{collection::vec, prelude::*, sample::select};
use tokio::io::duplex;

use super::*;

/// What conversations are made of, and what breaks them.
const PIECES: [&[u8]; 40] = [
    b"EHLO c\r\n",
    b"HELO c\r\n",
    b"MAIL FROM:<>\r\n",
    b"MAIL FROM:<a@b.test> SIZE=9 BODY=8BITMIME SMTPUTF8\r\n",
    b"MAIL FROM:<a@b.test> SIZE=99999999999999999999\r\n",
    b"RCPT TO:<alerts@example.com>\r\n",
    b"RCPT TO:<alerts@example.com>\r\n",
    b"RCPT TO:<a@elsewhere.test>\r\n",
    b"RCPT TO:<@elsewhere.test:alerts@example.com>\r\n",
    b"RCPT TO:<\"a@elsewhere.test\"@example.com>\r\n",
    b"RCPT TO:<postmaster>\r\n",
    b"RCPT TO:<\"postmaster\">\r\n",
    b"DATA\r\n",
    b"DATA\r\n",
    b"BDAT 5\r\n",
    b"BDAT 12 LAST\r\n",
    b"BDAT 0 LAST\r\n",
    b"BDAT 99999999999999999999\r\n",
    b"BDAT 18446744073709551615 LAST\r\n",
    b"RSET\r\n",
    b"NOOP\r\n",
    b"STARTTLS\r\n",
    b"VRFY a\r\n",
    b"Subject: a\r\n",
    b"text\r\n",
    b"\r\n.\r\n",
    b".\r\n",
    b"..\r\n",
    b"\n.\n",
    b"\r.\r",
    b"\n.\r\n",
    b"\r\n.\n",
    b"\r",
    b"\n",
    b"\0",
    b"\"",
    b"\\",
    b"<",
    b"\xc3\xa4\xff",
    b"QUIT\r\n",
];

/// What the server says to `input`, which comes in `cut` bytes at a time, and what it stores of it.
async fn converse(input: Vec<u8>, cut: usize) -> (Vec<u8>, Vec<alertbridge::message::Message>) {
    let inbox = RecordingInbox::new();
    let settings = Settings { max_message_size: ByteSize::from_mib(1), ..settings(&["alerts@example.com"]) };
    let smtp = Smtp::bind("ingress.smtp[0]", &settings, Clock::system()).unwrap();
    let (client, server) = duplex(64 << 10);
    let (mut read, mut write) = tokio::io::split(client);
    let send = async move {
        for piece in input.chunks(cut) {
            if write.write_all(piece).await.is_err() {
                return;
            }
        }
        let _ = write.shutdown().await;
    };
    let mut heard = Vec::new();
    let hear = read.read_to_end(&mut heard);
    let serve = smtp.serve_one(server, "198.51.100.7:1".parse().unwrap(), inbox.clone());
    let all = timeout(PATIENCE, async { tokio::join!(send, hear, serve) });
    all.await.expect("the conversation ends").1.unwrap();
    (heard, inbox.stored())
}

fn assert_sound(heard: &[u8], stored: &[alertbridge::message::Message]) {
    let heard = str::from_utf8(heard).expect("replies are text");
    for line in heard.split_inclusive('\n') {
        let code = line.get(..3).is_some_and(|code| code.parse::<u16>().is_ok_and(|code| (200..600).contains(&code)));
        assert!(code && line.ends_with("\r\n") && matches!(line.as_bytes()[3], b' ' | b'-'), "{line:?}");
    }
    assert!(heard.matches("Stored\r\n").count() == stored.len(), "{heard}");
    for message in stored {
        let raw = &message.raw;
        for (at, &byte) in raw.iter().enumerate() {
            let whole = match byte {
                b'\r' => raw.get(at + 1) == Some(&b'\n'),
                b'\n' => at > 0 && raw[at - 1] == b'\r',
                _ => true,
            };
            assert!(whole, "{}", raw.escape_ascii());
        }
        let envelope = message.envelope.as_ref().unwrap();
        assert!(!envelope.rcpt_to.is_empty());
        for recipient in &envelope.rcpt_to {
            assert!(recipient == "alerts@example.com" || recipient == "postmaster", "{recipient}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn no_conversation_of_known_pieces_breaks_the_server(
        pieces in vec(select(&PIECES[..]), 0..60),
        cut in 1_usize..200,
    ) {
        // Most begin well, so that what follows is reached.
        let input = [PIECES[0], PIECES[2], PIECES[5]].into_iter().chain(pieces).collect::<Vec<_>>().concat();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (heard, stored) = runtime.block_on(converse(input, cut));
        assert_sound(&heard, &stored);
    }

    #[test]
    fn no_bytes_break_the_server(input in vec(any::<u8>(), 0..2000), cut in 1_usize..200) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (heard, stored) = runtime.block_on(converse(input, cut));
        assert_sound(&heard, &stored);
    }
}
