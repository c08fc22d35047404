//! What an IMAP server sends: cut into answers, read, and shown to the client library, which
//! understands all of it, and the same by it.

use async_imap::imap_proto::{self, MailboxDatum, Response, ResponseCode};
use base64::{Engine as _, engine::general_purpose::STANDARD};

// The very files, so that nothing is public for a check's sake.
#[path = "../../../src/ingress/imap/answer.rs"]
#[expect(dead_code, reason = "what only a session needs")]
mod answer;
#[path = "../../../src/ingress/imap/fetched.rs"]
mod fetched;
#[path = "../../../src/ingress/imap/framing.rs"]
#[expect(dead_code, reason = "what only a session needs")]
mod framing;
#[path = "../../../src/ingress/imap/notation.rs"]
#[expect(dead_code, reason = "what only a session needs")]
mod notation;
#[path = "../../../src/ingress/imap/plain.rs"]
mod plain;

use answer::{Reply, Status};
use fetched::Fetched;

/// What a server may send in answer to one command, here.
const ALLOWANCE: u64 = 1 << 20;

/// The first byte says into how many bytes the rest is cut on its way.
pub fn check(data: &[u8]) {
    let Some((&cut, sent)) = data.split_first() else {
        return;
    };
    let whole = answers(sent, sent.len());
    assert_eq!(whole, answers(sent, usize::from(cut)), "in pieces of {cut}");
    super::within_bounds(data.len(), 4 << 20, 256, || {
        for answer in &whole.0 {
            shown(answer);
        }
    });
}

/// The whole answers that came, and why no more are read, if that is so.
fn answers(sent: &[u8], cut: usize) -> (Vec<Vec<framing::Piece>>, Option<framing::Breach>) {
    let mut framing = framing::Framing::default();
    framing.allow(ALLOWANCE);
    let mut answers = Vec::new();
    for piece in sent.chunks(cut.max(1)) {
        framing.room().extend_from_slice(piece);
        if let Err(breach) = framing.admit(piece.len()) {
            return (answers, Some(breach));
        }
        loop {
            match framing.next() {
                Ok(Some(answer)) => answers.push(answer),
                Ok(None) => break,
                Err(breach) => return (answers, Some(breach)),
            }
        }
    }
    (answers, None)
}

/// Shows an answer to the library's parser.
fn shown(answer: &[framing::Piece]) {
    let (Ok(reply), Ok(again)) = (Reply::read(answer), Reply::read(answer)) else {
        return;
    };
    let parts = plain::written(again);
    assert!(parts.iter().all(|part| !part.is_empty()), "{reply:?}");
    let written = parts.concat();
    let (mut rest, mut understood) = (&written[..], Vec::new());
    while !rest.is_empty() {
        let (behind, response) = Response::parse(rest)
            .unwrap_or_else(|error| panic!("{error:?}: {}", rest.escape_ascii()));
        understood.push(response);
        rest = behind;
    }
    assert!(means(&reply, &understood), "{reply:?}: {understood:?}");
}

/// Whether the library understands by its answers what we do by ours.
fn means(reply: &Reply, understood: &[Response<'_>]) -> bool {
    match (reply, understood) {
        (
            Reply::Done { tag, said },
            [
                Response::Done {
                    tag: theirs,
                    status,
                    ..
                },
            ],
        ) => *tag == theirs.0 && is(said.status, status),
        (Reply::Status(said), []) => {
            said.status != Status::Bye
                && said.uid_validity().is_none()
                && said.number("UIDNEXT").is_none()
        }
        (Reply::Status(said), [Response::Data { status, outcome }]) => {
            let code = match outcome.code {
                Some(ResponseCode::UidValidity(value)) => said.uid_validity() == Some(value),
                Some(ResponseCode::UidNext(value)) => said.number("UIDNEXT") == Some(value),
                _ => said.status == Status::Bye,
            };
            code && is(said.status, status)
        }
        (Reply::Continue(text), [Response::Continue(outcome)]) => {
            let decoded = |text: &str| STANDARD.decode(text.trim()).unwrap_or_default();
            decoded(text) == decoded(outcome.information.as_deref().unwrap_or_default())
        }
        (Reply::Search(uids), lines) => {
            let all = lines.iter().flat_map(|line| match line {
                Response::MailboxData(MailboxDatum::Search(uids)) => &uids[..],
                other => panic!("{other:?}"),
            });
            all.eq(uids)
        }
        (Reply::Exists(count), [Response::MailboxData(MailboxDatum::Exists(theirs))])
        | (Reply::Recent(count), [Response::MailboxData(MailboxDatum::Recent(theirs))]) => {
            count == theirs
        }
        (Reply::Fetch(fetched), []) => *fetched == Fetched::default(),
        (Reply::Fetch(fetched), [answer]) => plain::fetched(answer).is_some_and(|theirs| {
            let size = fetched.size.map(|size| size.min(u32::MAX.into()));
            (theirs.uid, theirs.size, theirs.arrived) == (fetched.uid, size, fetched.arrived)
                && (&theirs.body, &theirs.header, &theirs.part)
                    == (&fetched.body, &fetched.header, &fetched.part)
        }),
        (Reply::Capability(_) | Reply::Other, []) => true,
        _ => false,
    }
}

fn is(ours: Status, theirs: &imap_proto::Status) -> bool {
    matches!(
        (ours, theirs),
        (Status::Ok, imap_proto::Status::Ok)
            | (Status::No, imap_proto::Status::No)
            | (Status::Bad, imap_proto::Status::Bad)
            | (Status::Bye, imap_proto::Status::Bye)
            | (Status::Preauth, imap_proto::Status::PreAuth)
    )
}
