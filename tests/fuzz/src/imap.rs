//! What an IMAP server sends: the guard before the parser, and the parser behind it.

use std::{
    panic,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use async_imap::imap_proto::Response;
use nom::{Err, Needed};
use tokio::io::{AsyncRead as _, ReadBuf};

// The very file, so that nothing is public for a check's sake.
#[path = "../../../src/ingress/imap/guard.rs"]
#[expect(dead_code, reason = "what only a session needs")]
mod guard;

/// What a server may send in answer to one command, here.
const ALLOWANCE: u64 = 1 << 20;

/// The first byte says into how many bytes the rest is cut on its way.
pub fn check(data: &[u8]) {
    let Some((&cut, answer)) = data.split_first() else { return };
    let (whole, admitted) = through_the_guard(answer, answer.len());
    let (piecemeal, admitted_piecemeal) = through_the_guard(answer, usize::from(cut));
    assert_eq!(whole, piecemeal, "in pieces of {cut}");
    if whole.is_none() {
        assert_eq!(admitted, admitted_piecemeal);
    }
    super::within_bounds(data.len(), 1 << 20, 256, || parse(&admitted_piecemeal));
}

/// Why the guard stops the answer, if it does, and what it has let through by then.
fn through_the_guard(answer: &[u8], cut: usize) -> (Option<String>, Vec<u8>) {
    let mut guard = guard::Guard::new(answer);
    guard.allow(ALLOWANCE);
    let (mut admitted, mut room) = (Vec::new(), vec![0; cut.max(1)]);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        let mut piece = ReadBuf::new(&mut room);
        match Pin::new(&mut guard).poll_read(&mut context, &mut piece) {
            Poll::Ready(Ok(())) if piece.filled().is_empty() => return (None, admitted),
            Poll::Ready(Ok(())) => admitted.extend_from_slice(piece.filled()),
            Poll::Ready(Err(breach)) => return (Some(breach.to_string()), admitted),
            Poll::Pending => panic!("bytes in memory do not wait"),
        }
    }
}

/// As the library reads them: it sets aside what a literal announces, which must be no more than may come.
///
/// On some answers its parser panics. The ingress catches that, so that they end a connection and nothing else; here it
/// is told from a broken promise by what is returned.
fn parse(admitted: &[u8]) {
    let said = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let waits_for = panic::catch_unwind(|| most_waited_for(admitted)).unwrap_or_default();
    panic::set_hook(said);
    assert!(waits_for as u64 <= ALLOWANCE, "it waits for {waits_for} bytes");
}

fn most_waited_for(mut admitted: &[u8]) -> usize {
    while !admitted.is_empty() {
        match Response::parse(admitted) {
            Ok((rest, _)) => admitted = rest,
            Err(Err::Incomplete(Needed::Size(more))) => return more.get(),
            Err(_) => return 0,
        }
    }
    0
}
