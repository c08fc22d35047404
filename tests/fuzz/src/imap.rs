//! What an IMAP server sends: cut into answers, and read.

// The very files, so that nothing is public for a check's sake.
#[path = "../../../src/ingress/imap/answer.rs"]
#[expect(dead_code, reason = "what only a session needs")]
mod answer;
#[path = "../../../src/ingress/imap/framing.rs"]
#[expect(dead_code, reason = "what only a session needs")]
mod framing;
#[path = "../../../src/ingress/imap/notation.rs"]
#[expect(dead_code, reason = "what only a session needs")]
mod notation;

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
            let _read = answer::Reply::read(answer);
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
