//! Whatever a mailbox answers, the client library understands it as we do; and what its largest
//! mail costs in memory.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    sync::Arc,
    thread,
    time::Duration,
};

use alertbridge::{
    clock::Clock,
    ingress::{
        Health, Ingress as _,
        imap::{Imap, Settings, Tls},
    },
    settings::{self, ByteSize},
};
use proptest::{collection::vec, prelude::*, sample::select};
use tokio_util::sync::CancellationToken;

use super::{alone, checks};

/// How answers begin, as servers write them and as none should,
const BEGINNINGS: [&str; 22] = [
    "* 3 FETCH (",
    "* 3 FETCH (UID 9 ",
    "* 3 fetch  (UID  4294967295 ",
    "* 3 FETCH (FLAGS (\\Seen :-() UID 9 ",
    "* SEARCH ",
    "* SEARCH",
    "* ESEARCH (TAG \"A1\") UID ALL ",
    "* OK ",
    "* OK [UIDVALIDITY 17]",
    "* OK [uidnext 4294967296]",
    "* OK [UIDNEXT 5]\u{e9}",
    "* NO [UIDNEXT +5] ",
    "* BYE ",
    "* PREAUTH [CAPABILITY IMAP4rev2 AUTH=\u{fc}] ",
    "* CAPABILITY ",
    "* 4294967295 ",
    "* 5 EXISTS",
    "* +5 RECENT",
    "+ ",
    "+",
    "A0001 NO [TRYCREATE]\u{ac}",
    "A0001 OK [",
];

/// what stands in them, and beside what was asked for,
const INSIDES: [&str; 32] = [
    "RFC822.SIZE 99999999999 ",
    "RFC822.SIZE NIL ",
    "INTERNALDATE NIL ",
    "INTERNALDATE \"17-Jul-1996 02:44:25 -0700\" ",
    "INTERNALDATE \" 7-Jul-0001 00:00:00 +1400\" ",
    "INTERNALDATE \"31-Dec-9999 23:59:59 -2359\" ",
    "INTERNALDATE \"01-Jan--005 00:00:00 +0000\" ",
    "INTERNALDATE \"never\\\" ",
    "BODY[] {5}\r\nhello ",
    "BODY[] {7}\r\n)\r\n{9} \u{0} ",
    "BODY[] {0}\r\n ",
    "BODY[] NIL ",
    "BODY[]<10485760> {1}\r\nx ",
    "BODY[]<5> \"\" ",
    "BODY[HEADER]<0> {4}\r\na: b ",
    "BODY[HEADER.FIELDS (FROM)] {2}\r\nab ",
    "BODY[] \"quoted \\\" \u{fc}\" ",
    "UID 0 ",
    "UID 9 ",
    "FLAGS (\\Seen $Junk(1) [Gmail]/All) ",
    "X-A (B (C \"d)\")) ",
    "MODSEQ (7) ",
    "1 2 7",
    " 4294967296",
    "1:3,7",
    "1:100000000",
    "IMAP4rev12 AUTH= ",
    "IMAP4REV1 ID",
    "dXNlcg==",
    "idling",
    "\u{0}",
    "\r",
];

/// and how they end.
const ENDS: [&str; 6] = [")\r\n", " )\r\n", "\r\n", " \r\n", "] \u{e9}\r\n", "\n"];

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None,
                                        ..ProptestConfig::default() })]

    #[test]
    fn whatever_a_mailbox_answers_the_library_understands_it_as_we_do(
        cut in any::<u8>(),
        answers in vec((select(&BEGINNINGS[..]), vec(select(&INSIDES[..]), 0..6),
                        select(&ENDS[..])), 1..5),
    ) {
        let _alone = alone();
        let sent: String = answers
            .into_iter()
            .map(|(begins, insides, ends)| [begins, &insides.concat(), ends].concat())
            .collect();
        checks::imap::check(&[&[cut], sent.as_bytes()].concat());
    }
}

/// Speaks to one client, of a folder with this mail.
fn serve(stream: TcpStream, mail: &[u8]) -> Option<()> {
    let mut lines = BufReader::new(stream.try_clone().ok()?).lines();
    let mut writer = stream;
    writer.write_all(b"* OK hello\r\n").ok()?;
    loop {
        let line = lines.next()?.ok()?;
        let (tag, command) = line.split_once(' ')?;
        match command.split(' ').next()? {
            "CAPABILITY" => writer.write_all(b"* CAPABILITY IMAP4rev1\r\n").ok()?,
            "EXAMINE" => writer
                .write_all(b"* 1 EXISTS\r\n* OK [UIDVALIDITY 7] ok\r\n* OK [UIDNEXT 2] ok\r\n")
                .ok()?,
            "UID" if command.contains("SEARCH") => writer.write_all(b"* SEARCH 1\r\n").ok()?,
            "UID" if command.contains("BODY") => {
                write!(writer, "* 1 FETCH (UID 1 BODY[] {{{}}}\r\n", mail.len()).ok()?;
                writer.write_all(mail).ok()?;
                writer.write_all(b")\r\n").ok()?;
            }
            "UID" => {
                write!(writer, "* 1 FETCH (UID 1 RFC822.SIZE {})\r\n", mail.len()).ok()?;
            }
            _ => {}
        }
        write!(writer, "{tag} OK done\r\n").ok()?;
    }
}

#[test]
fn a_mail_is_held_twice_while_it_comes_and_once_when_it_has() {
    let _alone = alone();
    let mail = [b"Subject: a\r\n\r\n".to_vec(), vec![b'x'; 25 << 20]].concat();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let settings = Settings {
        name: "mailbox".into(),
        host: "127.0.0.1".into(),
        port: Some(listener.local_addr().unwrap().port()),
        tls: Tls::None,
        username: "alerts".into(),
        password: Some("secret".into()),
        backfill: settings::Duration::from_secs(86_400),
        max_message_size: ByteSize::from_mib(32),
        ..Settings::default()
    };
    let sent = mail.clone();
    thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        serve(stream, &sent)
    });
    let inbox = checks::Kept::new();
    let stop = CancellationToken::new();
    let no_limit = settings::Duration::from_secs(0);
    let imap = Imap::new(&settings, Clock::system(), no_limit).unwrap();
    let run = Box::new(imap).run(Arc::clone(&inbox) as _, Health::default(), stop.clone());
    checks::within_bounds(2 * mail.len(), 2 << 20, 1, || {
        checks::runtime().block_on(async {
            let came = async {
                while inbox.mails().is_empty() {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                stop.cancel();
            };
            tokio::join!(run, came);
        });
    });
    assert!(inbox.mails()[0].raw == mail, "the mail as it was sent");
}
