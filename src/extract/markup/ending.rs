//! The ending of a document, which shows whether the document is whole or was cut off on its way.

use super::{Piece, Pieces};

/// The way in which HTML ends.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::extract) enum Ending {
    /// It ends as it should, or as a fragment may.
    Whole,
    /// Everything that was begun is ended, except the document itself, as careless senders leave
    /// it.
    Open,
    /// It ends within a tag, or within an element that is always ended.
    Within,
}

/// Elements that HTML requires to be ended, and that contain what mails say.
const ENDED: [&str; 13] = [
    "table", "div", "ul", "ol", "dl", "pre", "a", "h1", "h2", "h3", "h4", "strong", "title",
];

/// Returns how a document ends, and so whether it looks cut off.
pub(in crate::extract) fn ending(html: &str) -> Ending {
    let mut depths = [0_i32; ENDED.len()];
    let (mut is_begun, mut is_ended) = (false, false);

    for piece in Pieces::of(html) {
        let (name, step) = match piece {
            Piece::Start(name, attributes) if !attributes.ends_with('/') => (name, 1),
            Piece::End(name) => (name, -1),
            _ => continue,
        };
        match name.as_str() {
            "html" | "body" if step > 0 => is_begun = true,
            "html" | "body" => is_ended = true,
            name => {
                if let Some(at) = ENDED.iter().position(|ended| *ended == name) {
                    depths[at] += step;
                }
            }
        }
    }

    let cut_tag = html.rsplit_once('<').is_some_and(|(_, tag)| {
        let begun = |byte: u8| byte.is_ascii_alphabetic() || matches!(byte, b'/' | b'!');
        !tag.contains('>') && tag.bytes().next().is_none_or(begun)
    });
    match () {
        () if is_ended => Ending::Whole,
        () if cut_tag || depths.iter().any(|depth| *depth > 0) => Ending::Within,
        () if is_begun => Ending::Open,
        () => Ending::Whole,
    }
}

/// Returns a document without its last line, as far as lines can be recognised without reading the
/// document. If the last line is ended, the document is returned as it is.
pub(in crate::extract) fn without_last_line(html: &str) -> &str {
    const BEGIN: [&str; 8] = ["<tr", "<p", "<div", "<li", "<br", "<h", "<dt", "<table"];

    let kept = html.trim_end();
    let is_ended = kept.ends_with('>') && kept.rfind("</") == kept.rfind('<');
    if is_ended {
        return html;
    }

    let lower = html.to_ascii_lowercase();
    let last = BEGIN.iter().filter_map(|tag| lower.rfind(tag)).max();
    &html[..last.unwrap_or_default()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_that_is_cut_anywhere_looks_so() {
        let html = "<html><body><h2>Alert</h2><div><table class=\"x\"><tr><td><strong>ID</strong>\
                    </td><td>7</td></tr></table></div><p>Regards<br/></p></body></html>";
        let body = html.find("<body>").unwrap() + 6;
        for end in body..html.find("</body>").unwrap() {
            assert_ne!(ending(&html[..end]), Ending::Whole, "{}", &html[..end]);
        }
        for whole in [
            html,
            &html.replace("</html>", ""),
            &html.replace("</div>", ""),
            "",
            "plain",
            "1 < 2",
            "<p>one<p>two<br>",
            "<table><tr><td>a</table>",
        ] {
            assert_eq!(ending(whole), Ending::Whole, "{whole}");
        }
        let careless = html.replace("</body></html>", "");
        assert_eq!(ending(&careless), Ending::Open);
        assert_eq!(without_last_line("<p>a<br>b<br >c"), "<p>a<br>b");
        assert_eq!(without_last_line("a"), "");
        for ended in ["<p>a<p>b</p>\n", "<div>a</div>"] {
            assert_eq!(without_last_line(ended), ended);
        }
    }
}
