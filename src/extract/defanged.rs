//! Defanged HTML, in which the alert's element is no longer an element but still contains its
//! payload: filters rename it or its id, remove its tags, or show it as text.
//!
//! What a browser would never show or run is left alone, as it was meant to be: a comment, a title,
//! a script with an id of its own.

use memchr::memchr_iter;

use super::{
    ELEMENT_ID,
    markup::{Piece, Pieces, decode},
};
use crate::message::hidden::is_hidden;

/// The beginning of the comments into which `HTML::Defang` turns tags. It turns the content of a
/// script into another comment. <https://metacpan.org/pod/HTML::Defang>
const DEFANGED_TAG: &str = "<!--defang_script";

/// Elements whose content is text without markup. A script with another id is one of them.
const OPAQUE: [&str; 9] = [
    "!--", "title", "style", "textarea", "noscript", "iframe", "xmp", "noembed", "script",
];

/// Whether the HTML contains the payload of an alert.
pub(super) fn is_there(html: &[u8]) -> bool {
    // Filters insert no NUL; in HTML, a name with one is another name.
    if html.contains(&0) {
        return false;
    }
    let html = String::from_utf8_lossy(html);
    if html.contains(DEFANGED_TAG) {
        return is_payload(&html);
    }

    let left = without_opaque(&html);
    is_payload(&left) || is_payload(&shown(&left))
}

/// Whether a text mentions an incident as the payload does, whatever white space and invisible
/// characters stand within its words.
pub(super) fn is_payload(text: &str) -> bool {
    speaks_of(text, "incident", "Id") && speaks_of(text, "incident", "Status")
}

/// Whether a text contains a word of two halves. The second half begins with a capital, which is
/// rare in text, so the word is searched for around each such capital.
fn speaks_of(text: &str, first: &str, second: &str) -> bool {
    let is_shown = |c: &char| !is_hidden(*c) && !c.is_whitespace();
    let capital = second.as_bytes()[0];

    memchr_iter(capital, text.as_bytes()).any(|at| {
        let (before, behind) = text.split_at(at);
        let behind = behind.chars().filter(is_shown).take(second.len());
        let before = before.chars().rev().filter(is_shown).take(first.len());
        behind.eq(second.chars()) && before.eq(first.chars().rev())
    })
}

/// Returns what a reader sees of HTML, where tags and escapes separate no words.
fn shown(html: &str) -> String {
    let mut shown = String::with_capacity(html.len());
    for piece in Pieces::of(html) {
        if let Piece::Text(text) = piece {
            decode(text, |c| shown.push(c));
        }
    }
    shown
}

fn without_opaque(html: &str) -> String {
    let lower = html.to_ascii_lowercase();
    let mut left = String::with_capacity(html.len());
    let mut ends = Ends::of(&lower);
    let mut from = 0;

    while let Some(open) = lower[from..].find('<') {
        let at = from + open;
        let tag = &lower[at + 1..];
        left.push_str(&html[from..at]);
        if begins(tag, "plaintext") {
            return left;
        }

        let kind = OPAQUE.iter().position(|name| begins(tag, name));
        let end = kind.and_then(|kind| ends.end_of(kind, at));
        let ours = end.and_then(|end| our_tag(&html[at..end]));
        from = match (end, ours) {
            (_, Some(tag)) => {
                left.push_str(tag);
                at + tag.len()
            }
            (Some(end), None) => end,
            (None, None) => {
                left.push('<');
                at + 1
            }
        };
    }

    left.push_str(&html[from..]);
    left
}

/// The next end of each of the [`OPAQUE`] elements. Each end is searched for once, although many
/// elements may begin before it.
struct Ends<'a> {
    lower: &'a str,
    /// The places at which each end begins and ends; `None` if there is none any more.
    next: [Option<(usize, usize)>; OPAQUE.len()],
}

impl<'a> Ends<'a> {
    fn of(lower: &'a str) -> Self {
        Self {
            lower,
            next: [Some((0, 0)); OPAQUE.len()],
        }
    }

    /// Returns the end of an element that begins at a place. The places never go back.
    fn end_of(&mut self, kind: usize, at: usize) -> Option<usize> {
        let name = OPAQUE[kind];
        let from = at + if name == "!--" { 4 } else { 1 };
        let (begun, end) = self.next[kind]?;
        if begun >= from {
            return Some(end);
        }
        self.next[kind] = end_from(self.lower, from, name);
        self.next[kind].map(|(_, end)| end)
    }
}

fn begins(tag: &str, name: &str) -> bool {
    tag.strip_prefix(name).is_some_and(|rest| {
        name == "!--" || !rest.starts_with(|c: char| c.is_alphanumeric() || c == '-' || c == '_')
    })
}

/// Returns the places at which the first end of such an element from a place on begins and ends.
fn end_from(lower: &str, from: usize, name: &str) -> Option<(usize, usize)> {
    if name == "!--" {
        let close = from + lower[from..].find("-->")?;
        return Some((close, close + 3));
    }
    let close = from + lower[from..].find(&format!("</{name}"))?;
    Some((close, close + lower[close..].find('>')? + 1))
}

/// Returns the tag of an element that is a script with the alert's id, or what a filter made of
/// that: with an id that contains the alert's, or with none.
fn our_tag(element: &str) -> Option<&str> {
    let name = element.get(1..7).unwrap_or_default();
    if !name.eq_ignore_ascii_case("script") {
        return None;
    }

    let tag = element.split('>').next().unwrap_or_default();
    let seen: String = tag.chars().filter(|c| !is_hidden(*c)).collect();
    let has_id = seen
        .split_ascii_whitespace()
        .any(|attribute| attribute.to_ascii_lowercase().starts_with("id="));
    (seen.contains(ELEMENT_ID) || !has_id).then_some(tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAYLOAD: &str = "{\"incidentId\": 1, \"incidentStatus\": 2}";

    #[test]
    fn a_payload_is_there_however_it_is_left() {
        for (before, behind) in [
            ("", ""),
            ("<script>", "</script>"),
            ("<SCRIPT\ntype=x>", "</SCRIPT>"),
            ("<script id=incident-data>", ""),
            ("<script id=\"x_incident-data\">", "</script>"),
            ("<script><script id=x></script>", "</script>"),
            ("<title>x</title><title>y</title>", "<title>"),
            ("<style>x</style>", "<style>x</style>"),
            ("<script <script>", "</script>"),
        ] {
            let html = format!("{before}{PAYLOAD}{behind}");
            assert!(is_there(html.as_bytes()), "{html}");
        }
    }

    #[test]
    fn a_payload_that_no_browser_shows_is_not_there() {
        for (before, behind) in [
            ("<script id=x>", "</script>"),
            ("<script></script><script id=x>", "</script>"),
            ("<script><title>", "</title></script>"),
            ("<!--", "-->"),
            ("<title>", "</title>"),
            ("<title>x</title><title>", "</title>"),
            ("<plaintext>", ""),
            ("<!--x--><style><!--", "</style>"),
        ] {
            let html = format!("{before}{PAYLOAD}{behind}");
            assert!(!is_there(html.as_bytes()), "{html}");
        }
    }
}
