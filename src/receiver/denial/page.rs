//! A page for people where an answer was expected.

use crate::receiver::Reply;

/// The elements that a page begins with.
const PAGE: [&str; 9] = [
    "!doctype html",
    "html",
    "head",
    "body",
    "meta",
    "noscript",
    "script",
    "style",
    "title",
];

/// Whether a reply is a page for people, which no vendor's API sends.
pub(super) fn is_web_page(reply: &Reply) -> bool {
    let head = String::from_utf8_lossy(&reply.body[..reply.body.len().min(8192)]);
    let head = head.trim_start_matches('\u{FEFF}').to_ascii_lowercase();
    let is_html = reply.headers.get("content-type").is_some_and(|media_type| {
        media_type.to_ascii_lowercase().contains("html") && head.trim_start().starts_with('<')
    });
    is_html || is_element(&head, &PAGE)
}

/// Whether a page asks for a password, as a sign-in does that came in between.
pub(super) fn is_sign_in(reply: &Reply) -> bool {
    const PASSWORD: [&str; 3] = ["type=\"password\"", "type='password'", "type=password"];
    let page = String::from_utf8_lossy(&reply.body).to_ascii_lowercase();
    is_web_page(reply) && PASSWORD.iter().any(|input| page.contains(input))
}

/// Whether markup, in lower case, begins with one of these elements, behind a declaration and
/// comments.
pub(super) fn is_element(markup: &str, names: &[&str]) -> bool {
    let mut rest = markup.trim_start();
    for _ in 0..8 {
        let ends = [("<?", "?>"), ("<!--", "-->")];
        let after = ends.iter().find_map(|(begin, end)| {
            let (_, after) = rest.strip_prefix(begin)?.split_once(end)?;
            Some(after)
        });
        match after {
            Some(after) => rest = after.trim_start(),
            None => break,
        }
    }
    let Some(rest) = rest.strip_prefix('<') else {
        return false;
    };
    // `<soap:Fault>`.
    let rest = match rest.split_once(':') {
        Some((space, rest)) if space.bytes().all(|byte| byte.is_ascii_alphanumeric()) => rest,
        _ => rest,
    };
    names.iter().any(|name| {
        let after = rest.strip_prefix(name);
        after.is_some_and(|after| !after.starts_with(|c: char| c.is_ascii_alphanumeric()))
    })
}

/// The title of a page in lower case.
pub(super) fn title(page: &str) -> Option<&str> {
    let (_, title) = page.split_once("<title>")?;
    Some(title.split_once("</title>")?.0.trim())
}
