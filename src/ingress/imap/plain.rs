//! Writes a server's answer as the client library is shown it: in the plainest form of RFC 3501,
//! whatever the server wrote. Pure.
//!
//! The library ends the connection on anything that it does not understand, and panics on some of
//! it. So it is shown what was requested and no more, and only in forms that it understands. Text
//! for people and lists of capabilities are not shown at all: [`super::wire::Heard`] keeps them as
//! they came.

use async_imap::imap_proto::{AttributeValue, MessageSection, Response, SectionPath};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;

use super::{
    answer::{Reply, Said, Status},
    fetched::Fetched,
    notation::{date_time, internal_date},
};

/// The most UIDs on one line, because the library parses an incomplete line again with every
/// packet.
const UIDS_ON_A_LINE: usize = 256;

/// Returns the answer in parts, none of which is empty; no parts if there is nothing to show.
pub(super) fn written(reply: Reply) -> Vec<Bytes> {
    let line = match reply {
        Reply::Done { tag, said } => format!("{tag} {}\r\n", word(said.status)),
        Reply::Status(said) => status(&said),
        Reply::Continue(challenge) => {
            let is_challenge = STANDARD.decode(challenge.trim()).is_ok();
            let challenge = if is_challenge { challenge.trim() } else { "" };
            format!("+ {challenge}\r\n")
        }
        Reply::Search(uids) => search(&uids),
        Reply::Exists(count) => format!("* {count} EXISTS\r\n"),
        Reply::Recent(count) => format!("* {count} RECENT\r\n"),
        Reply::Fetch(fetched) => return fetch(fetched),
        Reply::Capability(_) | Reply::Expunge | Reply::Other => String::new(),
    };
    parts([line.into()])
}

fn parts(parts: impl IntoIterator<Item = Bytes>) -> Vec<Bytes> {
    let mut parts: Vec<Bytes> = parts.into_iter().collect();
    parts.retain(|part| !part.is_empty());
    parts
}

fn word(status: Status) -> &'static str {
    match status {
        Status::Ok => "OK",
        Status::No => "NO",
        Status::Bad => "BAD",
        Status::Bye => "BYE",
        Status::Preauth => "PREAUTH",
    }
}

/// Writes a status about the folder, or the server's last one. Any other is left out, because the
/// library would take it for the end of a SASL login.
fn status(said: &Said) -> String {
    let codes = [
        ("UIDVALIDITY", said.uid_validity()),
        ("UIDNEXT", said.number("UIDNEXT")),
    ];
    let code = codes
        .into_iter()
        .find_map(|(name, value)| Some(format!(" [{name} {}]", value?)));
    match code {
        None if said.status != Status::Bye => String::new(),
        code => format!("* {}{}\r\n", word(said.status), code.unwrap_or_default()),
    }
}

fn search(uids: &[u32]) -> String {
    let mut lines = String::new();
    for uids in uids.chunks(UIDS_ON_A_LINE) {
        lines.push_str("* SEARCH");
        for uid in uids {
            lines.push(' ');
            lines.push_str(&uid.to_string());
        }
        lines.push_str("\r\n");
    }

    lines
}

/// Writes a FETCH. A mail is identified by its UID; the number before FETCH is not used.
fn fetch(fetched: Fetched) -> Vec<Bytes> {
    let Fetched {
        uid,
        size,
        arrived,
        body,
        header,
        part,
    } = fetched;

    let attributes = [
        uid.map(|uid| format!("UID {uid}")),
        // The library accepts no larger size.
        size.map(|size| format!("RFC822.SIZE {}", size.min(u32::MAX.into()))),
        arrived.map(|arrived| format!("INTERNALDATE \"{}\"", date_time(arrived))),
    ];

    let mut list: Vec<Bytes> = Vec::new();
    let mut separator = "* 1 FETCH (";

    for attribute in attributes.into_iter().flatten() {
        list.push(format!("{separator}{attribute}").into());
        separator = " ";
    }

    let contents = [
        ("BODY[]", body),
        ("BODY[HEADER]", header),
        ("BODY[]<0>", part),
    ];

    for (name, content) in contents {
        if let Some(content) = content {
            list.push(format!("{separator}{name} {{{}}}\r\n", content.len()).into());
            list.push(content);
            separator = " ";
        }
    }

    if !list.is_empty() {
        list.push(Bytes::from_static(b")\r\n"));
    }

    parts(list)
}

/// Returns what the library read of a FETCH; `None` for another answer.
pub(super) fn fetched(answer: &Response<'_>) -> Option<Fetched> {
    let Response::Fetch(_, attributes) = answer else {
        return None;
    };
    let mut fetched = Fetched::default();

    for attribute in attributes {
        match attribute {
            AttributeValue::Uid(uid) => fetched.uid = Some(*uid),
            AttributeValue::Rfc822Size(size) => fetched.size = Some(u64::from(*size)),
            AttributeValue::InternalDate(date) => fetched.arrived = internal_date(date),
            AttributeValue::BodySection {
                section,
                index,
                data: Some(data),
            } => {
                let content = Some(Bytes::copy_from_slice(data));
                match (section, index) {
                    (None, None) => fetched.body = content,
                    (None, Some(_)) => fetched.part = content,
                    (Some(SectionPath::Full(MessageSection::Header)), _) => {
                        fetched.header = content;
                    }
                    _ => {}
                }
            }
            _ => {}
        }
    }

    Some(fetched)
}
