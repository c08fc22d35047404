//! Authentication-Results, by way of the judge: whatever a stranger writes, the host's word alone
//! counts.

use std::{cell::LazyCell, collections::BTreeMap};

use alertbridge::{
    authenticate::{Authenticator, Settings},
    message::{Authenticity, Evidence, Message, Verdict},
    settings,
};
use bytes::Bytes;
use jiff::Timestamp;

const HOST: &str = "mx.example.com";
/// Where the host took the mail in.
const TAKEN: &str = "Received: from mta.evil.example ([192.0.2.1]) by mx.example.com; Fri, 15 Jan \
                     2027 12:00:00 +0000\r\n";
/// A mail that would count, did the host but say so: it carries a fresh signature of the domain,
/// whoever made it.
const MAIL: &str = "\
    From: no-reply@am.atlassian.com\r\nDate: Fri, 15 Jan 2027 11:59:55 +0000\r\nSubject: x\r\n\
    DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=am.atlassian.com; s=k; \
    t=1800014395;\r\n\
    \th=From:Date:Subject:Content-Type:Content-Transfer-Encoding:MIME-Version:To:Message-ID:\
    Reply-To:Sender;\r\n\
    \tbh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=; b=QUJDREVGR0hJSktMTU5PUA==\r\n";
const PASSED: &str = "dkim=pass header.d=am.atlassian.com header.s=k header.b=QUJDREVG";

const MEMORY: (usize, usize) = (8 << 20, 256);

/// The stranger's words, in every place that he can write to.
pub fn check(data: &[u8]) {
    super::within_bounds(data.len(), MEMORY.0, MEMORY.1, || {
        let said = String::from_utf8_lossy(data);
        let words: String = said
            .chars()
            .filter(|c| !matches!(c, '\r' | '\n' | '\0'))
            .collect();
        let quoted: String = words.chars().flat_map(|c| escaped(c, "\"\\")).collect();
        let comment: String = words.chars().flat_map(|c| escaped(c, "()\\")).collect();
        // Quoted by the host, as SPF's sender is.
        never(&format!(
            "Authentication-Results: {HOST}; spf=pass ({comment}) smtp.mailfrom=\"{quoted}\"; \
             dkim=none\r\n{TAKEN}{MAIL}\r\n"
        ));
        // In fields of his own, below the host's.
        let value = words.trim_start();
        never(&format!(
            "Authentication-Results: {HOST}; dkim=fail header.d=am.atlassian.com\r\n{TAKEN}\
             Authentication-Results: {value}\r\nAuthentication-Results: {HOST}; \
             {PASSED}\r\n{MAIL}\r\n"
        ));
        // In all the header that comes after what another host added.
        let other = TAKEN.replace(HOST, "mx.elsewhere.example");
        let mut whole = format!("{other}{MAIL}").into_bytes();
        whole.extend_from_slice(data);
        never_of(&[&whole[..], b"\r\n\r\n"].concat());
        // Whatever it is, it is read to its end.
        let _ = judge(format!("Authentication-Results: {value}\r\n{TAKEN}{MAIL}\r\n").as_bytes());
    });
}

fn escaped(c: char, special: &str) -> impl Iterator<Item = char> {
    special.contains(c).then_some('\\').into_iter().chain([c])
}

fn never(mail: &str) {
    never_of(mail.as_bytes());
}

fn never_of(mail: &[u8]) {
    let judged = judge(mail);
    assert_ne!(
        judged.verdict,
        Verdict::Pass,
        "{judged:?}: {}",
        mail.escape_ascii()
    );
}

thread_local! {
    static JUDGE: LazyCell<(tokio::runtime::Runtime, Authenticator)> = LazyCell::new(|| {
        let settings = Settings { require: vec![Evidence::AuthenticationResults],
                                  ..Settings::default() };
        let (senders, day) = (["no-reply@am.atlassian.com".to_owned()],
                              settings::Duration::from_secs(86_400));
        let judge = Authenticator::new(&settings, &senders,
                                       BTreeMap::from([("mail", Some(HOST))]), day).unwrap();
        (super::runtime(), judge)
    });
}

/// The verdict on a mail.
pub fn judge(mail: &[u8]) -> Authenticity {
    let arrived_at: Timestamp = "2027-01-15T12:00:00Z".parse().unwrap();
    let raw = Bytes::copy_from_slice(mail);
    let message = Message {
        ingress: "mail".into(),
        arrived_at,
        raw,
        cut_from: None,
        withheld: None,
        envelope: None,
    };
    JUDGE.with(|judge| judge.0.block_on(judge.1.judge(&message)))
}

/// The mail that every other of these is like, with the host's word for it: it passes, so the
/// others could.
pub fn genuine() -> String {
    format!("Authentication-Results: {HOST}; {PASSED}\r\n{TAKEN}{MAIL}\r\n")
}
