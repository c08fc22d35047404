//! Fetches mails, and tells complete mails from incomplete ones.

use bytes::Bytes;

use super::{Listed, Scan, batch::Fetched, cut::is_cut};
use crate::ingress::imap::{fault::Fault, session::HEADER_LIMIT};

/// The subject of the mail that Exchange returns in place of one that it cannot convert.
const STAND_IN: &[u8] = b"Retrieval using the IMAP4 protocol failed for the following";

impl Scan<'_> {
    /// Fetches these mails with one command. Mails that the server does not return become wanted.
    pub(super) async fn fetch(&mut self, batch: &[Listed]) -> Result<Fetched, Fault> {
        let (Some(first), Some(last)) = (batch.first(), batch.last()) else {
            return Ok(Fetched::default());
        };
        self.backlog.begin(first.uid, last.uid);

        let fetched = match batch {
            [only] => self.fetch_one(*only).await,
            many => self.fetch_many(many).await,
        };

        match fetched {
            Ok(fetched) => {
                self.backlog.end();
                Ok(Fetched {
                    last_uid: last.uid,
                    ..fetched
                })
            }
            Err(Fault::Answer { .. }) if batch.len() > 1 => {
                self.backlog.end();
                self.backlog.isolate(last.uid);
                Ok(Fetched {
                    one_by_one: true,
                    ..Fetched::default()
                })
            }
            Err(fault @ Fault::Answer { .. }) => {
                self.backlog.end();
                self.fail(first.uid, &fault.to_string(), fault.is_busy());
                Ok(Fetched::nothing_up_to(first.uid))
            }
            Err(fault) => Err(fault),
        }
    }

    async fn fetch_many(&mut self, batch: &[Listed]) -> Result<Fetched, Fault> {
        let uids: Vec<u32> = batch.iter().map(|mail| mail.uid).collect();
        let expected: u64 = batch.iter().filter_map(|mail| mail.size).sum();
        let mut bodies = self.session.bodies(&uids, 2 * expected, false).await?;
        let mut doubtful = Vec::new();
        let mut fetched = Fetched::default();

        for mail in batch {
            let Some(came) = bodies.remove(&mail.uid) else {
                self.fail(mail.uid, LEFT_OUT, false);
                continue;
            };
            let body = came.body.unwrap_or_default();
            if is_shorter(&body, mail.size) || is_stand_in(&body) {
                doubtful.push((*mail, body));
            } else {
                self.take(*mail, body, &mut fetched);
            }
        }

        self.confirm(doubtful, &mut fetched).await?;

        Ok(fetched)
    }

    /// Fetches one mail that needs care: of unknown size, over the limit, or one that failed
    /// before.
    async fn fetch_one(&mut self, mail: Listed) -> Result<Fetched, Fault> {
        let mut fetched = Fetched::default();
        if mail.size.is_none_or(|size| size > self.limit())
            && self.take_header(mail, &mut fetched).await?
        {
            return Ok(fetched);
        }

        let most = self
            .limit()
            .max(2 * mail.size.unwrap_or_default().min(self.limit()));
        let with_attributes = !self.backlog.ask_plainly(mail.uid);
        let mut bodies = self
            .session
            .bodies(&[mail.uid], most, with_attributes)
            .await?;

        let Some(came) = bodies.remove(&mail.uid) else {
            self.look_for(mail.uid).await?;
            return Ok(fetched);
        };

        let body = came.body.unwrap_or_default();

        // The size decides whether a mail that looks truncated was truncated.
        let size = match mail.size.or(came.size) {
            None if is_cut(&body) => {
                let mut again = self.session.bodies(&[mail.uid], most, true).await?;
                again.remove(&mail.uid).and_then(|came| came.size)
            }
            size => size,
        };

        let mail = Listed {
            uid: mail.uid,
            size,
            arrived: mail.arrived.or(came.arrived),
        };

        if is_shorter(&body, mail.size) || is_stand_in(&body) {
            self.confirm(vec![(mail, body)], &mut fetched).await?;
        } else {
            self.take(mail, body, &mut fetched);
        }

        Ok(fetched)
    }

    /// Takes only the header of a mail that is over the limit; returns false if the mail turns out
    /// not to be over it.
    async fn take_header(&mut self, mail: Listed, fetched: &mut Fetched) -> Result<bool, Fault> {
        let longer = match self.session.is_longer(mail.uid, self.limit()).await {
            Ok(longer) => longer,
            Err(Fault::Answer { .. }) => None,
            Err(fault) => return Err(fault),
        };

        // Without an answer, the announced size alone does not decide: the mail is requested again.
        if longer.is_none() && mail.size.is_some() && !self.backlog.is_wanted(mail.uid) {
            self.fail(mail.uid, LEFT_OUT, false);
            return Ok(true);
        }

        if !longer.unwrap_or(mail.size.is_some()) {
            return Ok(false);
        }

        match self.session.header(mail.uid).await? {
            Some(header) => self.take_cut(mail, &header, fetched),
            None => self.look_for(mail.uid).await?,
        }

        Ok(true)
    }

    /// Requests mails again that came shorter than announced, or that were replaced. Content that
    /// comes the same twice is what the server has: Exchange only estimates sizes.
    async fn confirm(
        &mut self,
        doubtful: Vec<(Listed, Bytes)>,
        fetched: &mut Fetched,
    ) -> Result<(), Fault> {
        if doubtful.is_empty() {
            return Ok(());
        }

        let uids: Vec<u32> = doubtful.iter().map(|(mail, _)| mail.uid).collect();
        let most = doubtful
            .iter()
            .map(|(mail, body)| mail.size.unwrap_or_default().max(body.len() as u64))
            .sum::<u64>();

        let mut again = self
            .session
            .bodies(&uids, 2 * most.min(self.limit() * uids.len() as u64), false)
            .await?;

        for (mail, body) in doubtful {
            let second = again.remove(&mail.uid).and_then(|came| came.body);
            match second {
                None => self.fail(mail.uid, LEFT_OUT, false),
                Some(second) if is_stand_in(&second) => {
                    self.fail(
                        mail.uid,
                        "the server cannot convert it and returns a note in its place",
                        false,
                    );
                    self.backlog.keep_stand_in(mail.uid, second);
                }
                Some(second)
                    if second == body && is_shorter(&second, mail.size) && is_cut(&second) =>
                {
                    self.fail(mail.uid, "the server returns it truncated", false);
                }
                Some(second) if second == body || !is_shorter(&second, mail.size) => {
                    self.take(mail, second, fetched);
                }
                Some(_) => self.fail(
                    mail.uid,
                    "the server returns it truncated, each time at another place",
                    false,
                ),
            }
        }

        Ok(())
    }

    /// Looks for a mail that did not come, because it may have been expunged in between.
    async fn look_for(&mut self, uid: u32) -> Result<(), Fault> {
        let present = self
            .session
            .search(&format!("UID {uid}"), None)
            .await?
            .contains(&uid);

        if present {
            self.fail(uid, LEFT_OUT, false);
        } else {
            self.backlog.miss(uid, self.imap.clock.now());
        }

        Ok(())
    }

    pub(super) fn fail(&mut self, uid: u32, why: &str, busy: bool) {
        self.backlog.fail(uid, why, busy, self.imap.clock.now());
    }

    fn take(&mut self, mail: Listed, body: Bytes, fetched: &mut Fetched) {
        self.backlog.was_given(mail.uid);
        if body.len() as u64 > self.limit() {
            let size = Some(body.len() as u64);
            self.take_cut(Listed { size, ..mail }, &header_of(&body), fetched);
        } else {
            fetched.push(mail.uid, self.message(mail, body));
        }
    }

    fn take_cut(&mut self, mail: Listed, header: &Bytes, fetched: &mut Fetched) {
        self.backlog.was_given(mail.uid);
        let mut message = self.message(mail, header.slice(..header.len().min(HEADER_LIMIT)));
        message.cut_from = Some(mail.size.unwrap_or_default().max(self.limit() + 1));
        fetched.push(mail.uid, message);
    }
}

const LEFT_OUT: &str = "the server leaves it out of its answer, or returns no content";

fn is_shorter(body: &Bytes, size: Option<u64>) -> bool {
    size.is_some_and(|size| (body.len() as u64) < size)
}

fn header_of(body: &Bytes) -> Bytes {
    let end = body
        .windows(4)
        .position(|bytes| bytes == b"\r\n\r\n")
        .map_or(body.len(), |at| at + 4);
    Bytes::copy_from_slice(&body[..end.min(HEADER_LIMIT)])
}

/// Returns whether a mail is Exchange's note about one that it cannot return. The header of the
/// note may be folded anywhere.
pub(super) fn is_stand_in(body: &Bytes) -> bool {
    let start = &body[..body.len().min(4096)];
    let mut unfolded = Vec::with_capacity(start.len());

    for byte in start.iter().copied() {
        match byte {
            b'\r' | b'\n' | b'\t' | b' ' => {
                if unfolded.last() != Some(&b' ') {
                    unfolded.push(b' ');
                }
            }
            byte => unfolded.push(byte),
        }
    }

    memchr::memmem::find(&unfolded, STAND_IN)
        .is_some_and(|at| unfolded[..at].ends_with(b"Subject: "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exchanges_note_is_told_from_a_mail_about_it() {
        let note = "From: Microsoft Exchange Server\r\nSubject: Retrieval using the IMAP4 protocol \
                    failed for the following\r\n message: 7\r\n\r\nx";
        assert!(is_stand_in(&Bytes::from_static(note.as_bytes())));
        let folded = note.replace("IMAP4 protocol", "IMAP4\r\n\tprotocol");
        assert!(is_stand_in(&folded.into()));
        let reply = note.replace("Subject: ", "Subject: Re: ");
        assert!(!is_stand_in(&reply.into()));
    }

    #[test]
    fn the_header_of_a_mail_ends_with_its_empty_line() {
        assert_eq!(
            header_of(&Bytes::from_static(b"A: b\r\n\r\nbody")),
            "A: b\r\n\r\n"
        );
        assert_eq!(
            header_of(&Bytes::from(vec![b'a'; 100_000])).len(),
            HEADER_LIMIT
        );
    }
}
