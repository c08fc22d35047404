//! Decides whether a mail that is shorter than announced was truncated. Pure.
//!
//! The size alone does not prove it, because Exchange only estimates sizes. A truncated multipart
//! is detected where it is parsed.

use crate::message::header;

/// Returns whether a mail ends within its header, within its HTML, or within a group of Base64.
pub(super) fn is_cut(mail: &[u8]) -> bool {
    let Some(body) = body(mail) else {
        return true;
    };

    let encoding = header::first(
        &mail[..mail.len() - body.len()],
        b"Content-Transfer-Encoding",
    );
    if encoding.is_some_and(|encoding| encoding.trim_ascii().eq_ignore_ascii_case(b"base64")) {
        let signs = body.iter().filter(|byte| !byte.is_ascii_whitespace());
        return signs.count() % 4 != 0;
    }

    let html = without_soft_breaks(body);
    let has = |tag: &[u8]| memchr::memmem::find(&html, tag).is_some();
    let is_open = (has(b"<html") || has(b"<body")) && !has(b"</html") && !has(b"</body");

    // What is missing after the alert does not matter.
    let holds_alert = memchr::memmem::find(&html, b"incident-data")
        .is_some_and(|at| memchr::memmem::find(&html[at..], b"</script").is_some());

    is_open && !holds_alert
}

/// Returns what follows the header; `None` if the header does not end.
pub(super) fn body(mail: &[u8]) -> Option<&[u8]> {
    let at = |end: &[u8]| memchr::memmem::find(mail, end).map(|at| at + end.len());
    let end = at(b"\n\r\n").into_iter().chain(at(b"\n\n")).min()?;
    Some(&mail[end..])
}

/// Returns the text in lower case, without the soft line breaks that quoted-printable puts
/// anywhere.
fn without_soft_breaks(body: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(body.len());
    let mut rest = body;

    while let Some((&byte, after)) = rest.split_first() {
        rest = match after {
            [b'\r', b'\n', after @ ..] | [b'\n', after @ ..] if byte == b'=' => after,
            _ => {
                text.push(byte.to_ascii_lowercase());
                after
            }
        };
    }

    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const HTML: &str = "From: a@b.c\r\nContent-Type: text/html\r\n\r\n<HTML><body><p>x</p>\
                        <script id=\"incident-data\">{}</script></bo=\r\ndy></html>\r\n";

    #[test]
    fn html_is_cut_until_its_alert_or_its_end_is_there() {
        let whole_at = HTML.find("</script").unwrap() + "</script".len();
        let opens_at = HTML.find("<HTML").unwrap() + "<HTML".len();
        for end in 0..HTML.len() {
            let header_ends = end >= HTML.find("<HTML").unwrap();
            let expected = !header_ends || (opens_at..whole_at).contains(&end);
            assert_eq!(
                is_cut(&HTML.as_bytes()[..end]),
                expected,
                "{:?}",
                &HTML[..end]
            );
        }

        let other = HTML.replace("incident-data", "x");
        let closed_at = other.find("</bo=").unwrap() + "</bo=\r\ndy".len();
        assert!(is_cut(&other.as_bytes()[..closed_at - 1]));
        assert!(!is_cut(&other.as_bytes()[..closed_at]));
    }

    #[test]
    fn base64_is_cut_within_a_group_and_text_shows_nothing() {
        let mail = "Content-Transfer-Encoding: BASE64 \n\nPGh0bWw+\nPGI+";
        assert!(!is_cut(mail.as_bytes()));
        assert!(is_cut(&mail.as_bytes()[..mail.len() - 1]));
        assert!(!is_cut(b"From: a@b.c\n\nState: do"));
    }
}
