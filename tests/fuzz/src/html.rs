//! HTML: what the finder reads against the whole document's DOM, as scraper has it.

use alertbridge::extract::{Extracted, NoAlert};
use encoding_rs::WINDOWS_1252;
use scraper::{ElementRef, Html};
use serde_json::Value;

use super::mail;

/// The DOM is quadratic on nested tags: larger documents are checked for their bounds alone.
const MOST_FOR_THE_DOM: usize = 4 << 10;

/// A document as a mail's only part.
pub fn check(data: &[u8]) {
    let mut whole =
        b"From: no-reply@am.atlassian.com\r\nContent-Type: text/html; charset=utf-8\r\n\r\n"
            .to_vec();
    whole.extend_from_slice(data);
    let extraction = super::within_bounds(data.len(), 16 << 20, 256, || mail::extract(&whole));
    mail::sound(&extraction);
    if data.len() > MOST_FOR_THE_DOM {
        return;
    }
    let document = decoded(data);
    let seen = in_the_dom(&document);
    match extraction.found {
        // Nothing that a browser would see is passed over in silence.
        Extracted::NoAlert(NoAlert::NoPayload(_)) => {
            assert_eq!(seen, [], "passed over: {document:?}");
        }
        // Nothing is read that a browser would not see.
        Extracted::Json(json) => {
            assert!(!seen.is_empty(), "read what is hidden: {document:?}");
            for (kind, text) in seen {
                assert_eq!(kind, "application/json", "{document:?}");
                let text = text.trim_start_matches('\u{feff}').trim();
                assert_eq!(
                    serde_json::from_str::<Value>(text).ok().as_ref(),
                    Some(&json),
                    "{document:?}"
                );
            }
        }
        Extracted::Unreadable { .. } => {}
        other @ Extracted::NoAlert(NoAlert::OtherSender(_)) => panic!("{other:?}"),
    }
}

/// As it is read: bytes that are not UTF-8 are windows-1252.
fn decoded(data: &[u8]) -> String {
    data.utf8_chunks()
        .flat_map(|chunk| {
            let rest = WINDOWS_1252.decode_without_bom_handling(chunk.invalid()).0;
            [chunk.valid().to_owned(), rest.into_owned()]
        })
        .collect()
}

/// Type and text of the script elements with the id.
fn in_the_dom(document: &str) -> Vec<(String, String)> {
    let dom = Html::parse_document(document);
    let elements = dom.tree.root().descendants().filter_map(ElementRef::wrap);
    elements
        .filter(|element| {
            element.value().name() == "script" && element.attr("id") == Some("incident-data")
        })
        .map(|element| {
            let kind = element
                .attr("type")
                .unwrap_or_default()
                .split(';')
                .next()
                .unwrap_or_default();
            (kind.trim().to_ascii_lowercase(), element.text().collect())
        })
        .collect()
}
