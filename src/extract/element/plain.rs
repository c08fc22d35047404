//! The script elements of a plain document, in which tags alone tell what is markup.
//!
//! Nearly every mail is plain. Reading it here costs less than half of what the streaming parser
//! takes, because that keeps track of the open elements.

use std::ops::Range;

use memchr::memmem;

use super::{MAX_CANDIDATES, could_be_ours, has_tag};
use crate::extract::markup::{Piece, Pieces, written};

/// Returns the ranges of the script elements whose id is, or could decode to, the one searched for.
/// Returns `None` if tags alone do not tell.
pub(super) fn candidates(html: &str) -> Option<Vec<Range<usize>>> {
    let mut pieces = Pieces::of(html);
    let mut found = Vec::new();

    while let Some(piece) = pieces.next() {
        let Piece::Start(name, attributes) = piece else {
            continue;
        };
        match name.as_bytes() {
            b"script" => {}
            // Within these elements, HTML reads tags differently or skips them (the HTML standard,
            // 13.2.6).
            b"svg" | b"math" | b"select" | b"frameset" | b"noscript" | b"template"
            | b"plaintext" => return None,
            _ => continue,
        }

        let start = pieces.begun();
        let text = html.get(start..pieces.at())?;
        // In a comment within a script, another script may begin.
        let is_sure = memmem::find(text.as_bytes(), b"<!--").is_none();
        let is_closed = matches!(pieces.next(), Some(Piece::End(_)));
        if !is_sure || !is_closed {
            return None;
        }
        if written(attributes, "id").is_some_and(could_be_ours) {
            if found.len() == MAX_CANDIDATES {
                return None;
            }
            found.push(start..pieces.at());
            // Nothing is read behind the last script.
            if !has_tag(&html[pieces.at()..], "script") {
                break;
            }
        }
    }

    Some(found)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use scraper::Html;

    use super::*;
    use crate::extract::element::{self, Found};

    const ELEMENT: &str = "<script id=incident-data type=application/json>{}</script>";

    /// Pieces of documents that begin, end, hide and quote one another in every order.
    const PARTS: &[&str] = &[
        "<script id=incident-data type=application/json>",
        "<SCRIPT\tTYPE='application/json' ID=\"incident&#45;data\">",
        "<script id=other>",
        "<script id='incident-data' id=other/>",
        "</script>",
        "</script\n x='>'>",
        "</scripts>",
        "{\"a\": 1}",
        "<!--",
        "-->",
        "--!>",
        "<!-->",
        "<!--->",
        "<!doctype html>",
        "<?x ",
        "<![CDATA[",
        "]]>",
        "</",
        "</>",
        "</ ",
        "<",
        ">",
        "/>",
        "\"",
        "'",
        "=",
        " ",
        "\n",
        "é",
        "\0",
        "&lt;script id=incident-data>",
        "<p title=\"",
        "<p x=y=",
        "<p =",
        "<p x/=",
        "<a href=x?a&b>",
        "<title>",
        "</title>",
        "<style>",
        "</style>",
        "<textarea>",
        "</textarea >",
        "<iframe>",
        "</iframe>",
        "<noembed>",
        "</noembed>",
        "<noframes>",
        "</noframes>",
        "<xmp>",
        "</xmp/>",
        "<html>",
        "<head>",
        "</head>",
        "<body>",
        "</body>",
        "</html>",
        "<table>",
        "<tr><td>",
        "<colgroup>",
        "</table>",
        "<div>",
        "</div>",
        "<p>",
        "<br/>",
        "<select>",
        "</select>",
        "<noscript>",
        "</noscript>",
        "<template>",
        "</template>",
        "<frameset>",
        "<plaintext>",
        "<svg>",
        "</svg>",
        "<math>",
    ];

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        #[test]
        fn what_tags_alone_tell_is_what_a_browser_sees(
            before in proptest::collection::vec(proptest::sample::select(PARTS), 0..8),
            between in proptest::collection::vec(proptest::sample::select(PARTS), 0..4),
        ) {
            let html = [&before.concat(), ELEMENT, &between.concat(), ELEMENT].concat();
            let Some(plain) = candidates(&html) else { return Ok(()) };

            // Nothing is read behind the last script.
            let end = plain.last().map_or(html.len(), |last| last.end);
            let read = if has_tag(&html[end..], "script") { &*html } else { &html[..end] };
            let seen = element::scripts(&Html::parse_document(read))
                .filter_map(element::read)
                .collect::<Vec<_>>();
            let found = plain
                .into_iter()
                .filter_map(|range| {
                    let fragment = Html::parse_fragment(&html[range]);
                    element::scripts(&fragment).next().and_then(element::read)
                })
                .collect::<Vec<Found>>();
            // In the tree an element may have moved in front of the table that it stands in.
            let in_any_order = |mut found: Vec<Found>| {
                found.sort_by_key(|found| format!("{found:?}"));
                found
            };
            prop_assert_eq!(in_any_order(found), in_any_order(seen), "{}", html);
        }
    }

    #[test]
    fn what_tags_alone_do_not_tell_has_no_answer() {
        let script = "<script id=incident-data>{}</script>";
        let html = format!("<p>{script}");
        let whole = candidates(&html).unwrap().pop().unwrap();
        assert_eq!(html[whole], *script);
        assert_eq!(
            candidates(&format!("<!-- <svg> -->{script}"))
                .unwrap()
                .len(),
            1
        );
        for html in [
            format!("<svg>{script}"),
            format!("<SELECT>{script}"),
            format!("<noscript>{script}</noscript>"),
            "<script id=incident-data>{}".to_owned(),
            "<script id=incident-data>{}</script".to_owned(),
            "<script id=incident-data><!--<script></script>--></script>".to_owned(),
            script.repeat(MAX_CANDIDATES + 1),
        ] {
            assert_eq!(candidates(&html), None, "{html}");
        }
    }
}
