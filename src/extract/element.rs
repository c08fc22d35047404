//! The search for the script element in an HTML document, in two passes.
//!
//! A DOM parser alone is quadratic on nested tags: 512 KiB of `<div>` keep html5ever busy for more
//! than 20 s. Therefore `lol_html`, which streams, finds where the script elements are. Then
//! scraper reads just those fragments and decides, because it decodes entities in the `id` and
//! knows HTML's rules for the text of a script. If a document's tags alone tell what is markup,
//! `plain` finds the elements at a lower cost.
//!
//! Inside svg and math other rules apply, which `lol_html` follows less closely than the DOM does:
//! it would take `<svg><svg><head><title>x <script </title><script id=…>` for one script. A
//! document with either is read by the DOM alone, and not at all if it is too large for that.
//!
//! What HTML hides is hidden here too: comments, textarea, title, style, noscript, iframe,
//! plaintext. An element in a blockquote or a template counts like any other: whoever may send
//! alerts may quote one, and leaving it out would drop an alert silently.

mod plain;

use std::{cell::RefCell, ops::Range, rc::Rc};

use lol_html::{element, html_content::Element};
use memchr::{memmem, memrchr};
use scraper::{ElementRef, Html};

use super::{
    ELEMENT_ID, ELEMENT_TYPE, MAX_PAYLOAD,
    markup::{Piece, Pieces},
    pass::{Enough, pass},
};

/// The largest number of script elements that are read, with the id or with one that could be it.
const MAX_CANDIDATES: usize = 16;

/// The longest start tag or end tag around a payload, in bytes.
const MAX_TAGS: usize = 4 << 10;

/// The largest document with svg or math, in bytes. Of this size, nested tags keep the DOM parser
/// busy for half a second at most.
const MAX_FOREIGN: usize = 64 << 10;

/// A script element with the id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// The text of the element, not yet parsed.
    Json(String),
    /// An element of another type, which is none of ours. The sentence names the type.
    Other { reason: String, text: String },
}

impl Found {
    pub fn text(&self) -> &[u8] {
        match self {
            Self::Json(text) | Self::Other { text, .. } => text.as_bytes(),
        }
    }
}

/// Returns the script elements with the id, in order. The error says what makes the document
/// unreadable.
pub(super) fn find(html: &str) -> Result<Vec<Found>, String> {
    if !has_tag(html, "script") {
        return Ok(Vec::new());
    }

    let plain = plain::candidates(html);
    if plain.is_none() && (has_tag(html, "svg") || has_tag(html, "math")) {
        if html.len() > MAX_FOREIGN {
            return Err(format!(
                "the mail's HTML has svg or math in it, and is larger than {} KiB",
                MAX_FOREIGN >> 10
            ));
        }
        return several(
            scripts(&Html::parse_document(html))
                .filter_map(read)
                .collect(),
        );
    }

    let mut found = Vec::new();
    for range in plain.map_or_else(|| candidates(html), Ok)? {
        if range.len() > MAX_PAYLOAD + MAX_TAGS {
            return Err(format!(
                "the element {ELEMENT_ID} is larger than {} KiB",
                MAX_PAYLOAD >> 10
            ));
        }
        let element = html.get(range).unwrap_or_default();
        if is_tag_long(element) {
            return Err(format!(
                "a tag of {ELEMENT_ID} is larger than {} KiB",
                MAX_TAGS >> 10
            ));
        }
        let fragment = Html::parse_fragment(element);
        found.extend(scripts(&fragment).next().and_then(read));
    }

    if found.is_empty() && ends_in_a_script_tag(html) {
        return Err(format!(
            "the mail's HTML ends within a tag of {ELEMENT_ID}: it looks cut off"
        ));
    }

    Ok(found)
}

/// Whether a start tag is so long that the DOM parser would take long: it compares each attribute
/// with all before it.
fn is_tag_long(element: &str) -> bool {
    let tag = Pieces::of(element).next();
    matches!(tag, Some(Piece::Start(_, attributes)) if attributes.len() > MAX_TAGS)
}

/// Whether the last tag names the element and is never closed.
fn ends_in_a_script_tag(html: &str) -> bool {
    let last = memrchr(b'<', html.as_bytes()).map_or("", |at| &html[at..]);
    has_tag(last, "script") && !last.contains('>') && last.contains(ELEMENT_ID)
}

/// Whether a text can contain a tag of this name at all.
fn has_tag(html: &str, name: &str) -> bool {
    tags(html.as_bytes(), name).next().is_some()
}

/// Returns the places where tags of this name can begin, in no order. Tags cannot be written in
/// entities.
fn tags(html: &[u8], name: &str) -> impl Iterator<Item = usize> {
    // Most tags begin with another letter, so that two searches for a pair of bytes cost less than
    // one that stops at each of them.
    let cases = [name.to_ascii_lowercase(), name.to_ascii_uppercase()];
    cases.into_iter().flat_map(move |name| {
        let begun = format!("<{name:.1}");
        memmem::find_iter(html, &begun)
            .into_owned()
            .filter(move |at| {
                html[at + 1..]
                    .get(..name.len())
                    .is_some_and(|found| found.eq_ignore_ascii_case(name.as_bytes()))
            })
    })
}

/// Returns the elements, unless there are too many.
fn several(found: Vec<Found>) -> Result<Vec<Found>, String> {
    if found.len() > MAX_CANDIDATES {
        Err(too_many())
    } else {
        Ok(found)
    }
}

fn too_many() -> String {
    format!("the mail has more than {MAX_CANDIDATES} elements {ELEMENT_ID}")
}

/// Whether an id is the one searched for, or could decode to it.
fn could_be_ours(id: &str) -> bool {
    id == ELEMENT_ID || id.contains('&')
}

/// Returns the ranges of the script elements whose id is, or could decode to, the one searched for.
/// Nothing is read behind the end of the last script.
fn candidates(html: &str) -> Result<Vec<Range<usize>>, String> {
    let document_end = html.len();
    let last = tags(html.as_bytes(), "script").max().unwrap_or_default();
    let ranges = Rc::new(RefCell::new(Vec::new()));
    let handler = {
        let ranges = Rc::clone(&ranges);
        move |element: &mut Element| {
            let id = element.get_attribute("id").unwrap_or_default();
            if !could_be_ours(&id) {
                return Ok(());
            }
            let start = element.source_location().bytes();
            let index = ranges.borrow().len();
            if index == MAX_CANDIDATES {
                return Err(too_many().into());
            }
            // Without an end tag, HTML takes everything up to the end of the document for the
            // script's text.
            let end = if element.can_have_content() {
                document_end
            } else {
                start.end
            };
            ranges.borrow_mut().push(start.start..end);
            if let Some(on_end) = element.end_tag_handlers() {
                let ranges = Rc::clone(&ranges);
                on_end.push(Box::new(move |end_tag| {
                    if let Some(range) = ranges.borrow_mut().get_mut(index) {
                        range.end = end_tag.source_location().bytes().end;
                    }
                    if start.start < last {
                        Ok(())
                    } else {
                        Err(Enough.into())
                    }
                }));
            }
            Ok(())
        }
    };

    pass(html, element!("script[id]", handler))?;

    Ok(ranges.take())
}

fn scripts(dom: &Html) -> impl Iterator<Item = ElementRef<'_>> {
    dom.tree
        .root()
        .descendants()
        .filter_map(ElementRef::wrap)
        .filter(|element| element.value().name() == "script")
}

/// Reads one element as a browser would; `None` if its id turns out to be another.
fn read(script: ElementRef<'_>) -> Option<Found> {
    if script.attr("id") != Some(ELEMENT_ID) {
        return None;
    }

    let text: String = script.text().collect();
    let kind = script.attr("type").unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();

    Some(if essence.eq_ignore_ascii_case(ELEMENT_TYPE) {
        Found::Json(text)
    } else {
        let kind: String = kind.chars().take(60).collect();
        Found::Other {
            reason: format!("the element {ELEMENT_ID} has the type {kind:?}, not {ELEMENT_TYPE}"),
            text,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Found {
        Found::Json(text.into())
    }

    #[test]
    fn the_element_is_found_however_it_is_written() {
        for html in [
            r#"<script type="application/json" id="incident-data">{}</script>"#,
            "<SCRIPT ID=incident-data TYPE='Application/JSON; charset=utf-8'>{}</SCRIPT >",
            r#"<p><script id="incident&#45;data" type="application/json">{}</script>"#,
            "<body><svg><circle/></svg><blockquote>\
             <script type=\" application/json \" id=\"incident-data\">{}</script>",
            "<template>\
             <script type=\"application/json\" id=\"incident-data\">{}</script></template>",
            "</html><script\n id=incident-data\n type=application/json>{}</script\n>",
            r#"<script type="application/json" id="incident-data" id="other">{}"#,
        ] {
            assert_eq!(find(html), Ok(vec![json("{}")]), "{html}");
        }
    }

    #[test]
    fn what_stands_behind_the_last_script_is_not_read() {
        let element = r#"<script type="application/json" id="incident-data">{}</script>"#;
        // This HTML can be read in two ways, and would be refused.
        let odd = "<select><title></select>";
        assert_eq!(find(&format!("{element}{odd}")), Ok(vec![json("{}")]));
        for html in [
            format!("{element}{odd}{element}"),
            format!("{element}{odd}<SCRIPT>"),
        ] {
            assert!(find(&html).unwrap_err().contains("two ways"), "{html}");
        }
        // The end tag only looks like one: HTML nests scripts in comments within scripts.
        let nested =
            "<script id=incident-data type=application/json><!--<script></script>--></script>";
        assert_eq!(find(nested), Ok(vec![json("<!--<script></script>-->")]));
    }

    #[test]
    fn what_html_hides_stays_hidden() {
        let element = r#"<script type="application/json" id="incident-data">{}</script>"#;
        for html in [
            format!("<!-- {element} -->"),
            format!("<!--[if mso]>{element}<![endif]-->"),
            format!("<textarea>{element}</textarea>"),
            format!("<title>{element}</title>"),
            format!("<style>{element}</style>"),
            format!("<noscript>{element}</noscript>"),
            format!("<iframe>{element}</iframe>"),
            format!("<plaintext>{element}"),
            format!("<a title='{element}'>x</a>"),
            "<script type='application/json' id='Incident-Data'>{}</script>".to_owned(),
            "<div type='application/json' id='incident-data'>{}</div>".to_owned(),
            "<script type='application/json' id='other' id='incident-data'>{}</script>".to_owned(),
            "&lt;script type='application/json' id='incident-data'>{}&lt;/script>".to_owned(),
        ] {
            assert_eq!(find(&html), Ok(vec![]), "{html}");
        }
    }

    #[test]
    fn svg_and_math_hide_nothing_that_a_browser_shows() {
        let script = r#"<script type="application/json" id="incident-data">{}</script>"#;
        for html in [
            format!("<svg><svg><head><title>x <script </title></>{script}"),
            format!("<svg><style>{script}</style></svg>"),
            format!("<math><mi><SVG><p>{script}"),
        ] {
            assert_eq!(find(&html), Ok(vec![json("{}")]), "{html}");
        }
        assert!(
            find(&format!("<svg>{}{script}", "x".repeat(MAX_FOREIGN)))
                .unwrap_err()
                .contains("svg or math")
        );
        assert!(
            find(&format!("<svg></svg>{}", script.repeat(17)))
                .unwrap_err()
                .contains("more than 16")
        );
    }

    #[test]
    fn html_that_ends_within_the_tag_is_unreadable() {
        let tag = r#"<p><script type="application/json" id="incident-data""#;
        assert!(find(tag).unwrap_err().contains("cut off"));
        assert_eq!(find(&format!("<!-- {tag} --><p")), Ok(vec![]));
    }

    #[test]
    fn another_type_is_told_apart() {
        let found = find("<script id=incident-data>{}</script>").unwrap();
        assert!(
            matches!(&found[..], [Found::Other { reason, .. }] if reason.contains("not \
                application/json"))
        );
    }

    #[test]
    fn several_elements_are_all_found_and_too_many_refused() {
        let element = r#"<script type="application/json" id="incident-data">1</script>"#;
        assert_eq!(find(&element.repeat(3)).unwrap().len(), 3);
        assert!(
            find(&element.repeat(17))
                .unwrap_err()
                .contains("more than 16")
        );
    }

    #[test]
    fn a_huge_element_is_refused_before_it_is_parsed() {
        let html = format!(
            "<script type=application/json id=incident-data>{}</script>",
            " ".repeat(MAX_PAYLOAD + MAX_TAGS)
        );
        assert!(find(&html).unwrap_err().contains("larger than 256 KiB"));
    }
}
