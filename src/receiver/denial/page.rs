//! Web pages for people where the reply of an API was expected.

use std::sync::LazyLock;

use regex::Regex;

use super::failure::is_failure;
use crate::receiver::Reply;

/// The elements with which a page begins.
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

/// Whether a page asks for a password, as a sign-in in between does.
pub(super) fn is_sign_in(reply: &Reply) -> bool {
    const PASSWORD: [&str; 3] = ["type=\"password\"", "type='password'", "type=password"];
    let page = String::from_utf8_lossy(&reply.body).to_ascii_lowercase();
    is_web_page(reply) && PASSWORD.iter().any(|input| page.contains(input))
}

/// Whether markup, in lower case, begins with one of these elements, after a declaration and
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
    // Skip the prefix of a name: `<soap:Fault>`.
    let rest = match rest.split_once(':') {
        Some((space, rest)) if space.bytes().all(|byte| byte.is_ascii_alphanumeric()) => rest,
        _ => rest,
    };
    names.iter().any(|name| {
        let after = rest.strip_prefix(name);
        after.is_some_and(|after| !after.starts_with(|c: char| c.is_ascii_alphanumeric()))
    })
}

/// Returns the words by which a page, in lower case, says what it is: its title, or its first
/// heading if only the heading reports a failure.
pub(super) fn heading(page: &str) -> Option<&str> {
    let title = between(page, "title");
    let first = between(page, "h1").filter(|_| page.trim_start().starts_with('<'));
    let fails = |heading: &&str| is_failure(heading);
    title.filter(fails).or(first.filter(fails)).or(title)
}

/// Returns the text between the tags of the first such element.
fn between<'a>(page: &'a str, name: &str) -> Option<&'a str> {
    let (_, element) = page.split_once(&format!("<{name}"))?;
    let (_, within) = element.split_once('>')?;
    Some(within.split_once(&format!("</{name}>"))?.0.trim())
}

/// The beginnings of titles and headings of pages that stand in an endpoint's place: while the
/// endpoint is down, in front of it (a proxy's check, a sign-in), or where nothing is set up.
const ELSEWHERE: [&str; 23] = [
    "apache2 ",
    "are you human",
    "attention required",
    "be right back",
    "checking your browser",
    "down for ",
    "iis windows",
    "index of /",
    "it works!",
    "just a moment",
    "log in",
    "login",
    "maintenance",
    "one moment, please",
    "please wait",
    "scheduled maintenance",
    "sign in",
    "site maintenance",
    "temporarily down",
    "under maintenance",
    "we'll be back",
    "we will be back",
    "welcome to nginx",
];

/// Returns the sign by which a page, in lower case, is known to stand in an endpoint's place: its
/// title or heading, an error of a program that broke off, a redirection, or a script without which
/// it shows nothing.
pub(super) fn elsewhere(page: &str) -> Option<String> {
    #[expect(clippy::unwrap_used, reason = "a constant that a test compiles")]
    static REFRESH: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r#"<meta[^>]*http-equiv=["']?refresh"#).unwrap());

    if !page.trim_start().starts_with('<') {
        return None;
    }
    let named = ["title", "h1"].into_iter().find_map(|name| {
        let heading = between(page, name)?;
        ELSEWHERE
            .into_iter()
            .find(|begin| heading.starts_with(begin))
    });
    let broken_off = || {
        let mut faults = ["<b>fatal error</b>", "<b>parse error</b>"].into_iter();
        faults.find(|fault| page.contains(fault))
    };
    let leads_on = || REFRESH.is_match(page).then_some("refresh");
    let found = named.or_else(broken_off).or_else(leads_on);
    found
        .or_else(|| is_shell(page).then_some("script"))
        .map(ToOwned::to_owned)
}

/// Whether a page has a script and no words of its own.
fn is_shell(page: &str) -> bool {
    #[expect(clippy::unwrap_used, reason = "a constant that a test compiles")]
    static UNSEEN: LazyLock<Regex> = LazyLock::new(|| {
        let elements = ["head", "script", "style", "noscript"];
        let each = elements.map(|name| format!("<{name}\\b.*?</{name}>"));
        Regex::new(&format!("(?s){}|<!--.*?-->|<[^>]*>", each.join("|"))).unwrap()
    });
    page.contains("<script") && !UNSEEN.replace_all(page, "").contains(char::is_alphanumeric)
}
