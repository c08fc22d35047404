//! The elements of an HTML document that a CSS selector matches, found in one streaming pass.

use std::{cell::RefCell, ops::Range, rc::Rc};

use lol_html::{element, html_content::Element};

use super::{MAX_PAYLOAD, markup::decode, pass::pass, rendered};

/// The largest number of elements that are read.
const MAX_ELEMENTS: usize = 16;

/// A CSS selector that can be matched while the document streams: `script#incident-data`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selector {
    written: String,
    /// The selector for the streaming pass.
    streamed: String,
    /// The id, if the selector matches an element by it. The document may write the id in entities,
    /// which the pass does not decode.
    id: Option<String>,
}

impl Selector {
    /// Parses a selector. The error says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        text.parse::<lol_html::Selector>()
            .map_err(|error| error.to_string())?;

        let is_name = |name: &str| {
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
            name.chars().all(plain)
        };
        let by_id = text
            .trim()
            .split_once('#')
            .filter(|(tag, id)| is_name(tag) && is_name(id));
        Ok(Self {
            written: text.to_owned(),
            streamed: by_id.map_or_else(|| text.to_owned(), |(tag, _)| format!("{tag}[id]")),
            id: by_id.map(|(_, id)| id.to_owned()),
        })
    }
}

/// Returns the texts of the elements that were found. The error says what makes the document
/// unreadable.
pub(super) fn find(html: &str, selector: &Selector) -> Result<Vec<String>, String> {
    let mut found = Vec::new();
    for (is_script, inside) in inside(html, selector)? {
        if inside.len() > MAX_PAYLOAD {
            return Err(format!(
                "the element {} is larger than {} KiB",
                selector.written,
                MAX_PAYLOAD >> 10
            ));
        }
        let inside = html.get(inside).unwrap_or_default();
        found.push(if is_script {
            // The HTML standard reads a NUL in a script in this way.
            inside.replace('\0', "\u{fffd}")
        } else {
            rendered::text(inside, MAX_PAYLOAD)
        });
    }
    Ok(found)
}

/// Returns the ranges of the elements' contents, and whether the elements are scripts.
fn inside(html: &str, selector: &Selector) -> Result<Vec<(bool, Range<usize>)>, String> {
    let document_end = html.len();
    let wanted = selector.id.clone();
    let ranges = Rc::new(RefCell::new(Vec::new()));
    let handler = {
        let ranges = Rc::clone(&ranges);
        move |element: &mut Element| {
            if let Some(wanted) = &wanted {
                let written = element.get_attribute("id").unwrap_or_default();
                let mut id = String::new();
                decode(&written, |c| id.push(c));
                if id != *wanted {
                    return Ok(());
                }
            }
            let index = ranges.borrow().len();
            if index == MAX_ELEMENTS {
                return Err(format!("the mail has more than {MAX_ELEMENTS} such elements").into());
            }
            let start = element.source_location().bytes().end;
            let is_script = element.tag_name() == "script";
            ranges.borrow_mut().push((is_script, start..document_end));
            if let Some(on_end) = element.end_tag_handlers() {
                let ranges = Rc::clone(&ranges);
                on_end.push(Box::new(move |end_tag| {
                    if let Some((_, range)) = ranges.borrow_mut().get_mut(index) {
                        range.end = end_tag.source_location().bytes().start;
                    }
                    Ok(())
                }));
            }
            Ok(())
        }
    };

    pass(html, element!(selector.streamed, handler))?;

    Ok(ranges.take())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(html: &str, selector: &str) -> Vec<String> {
        find(html, &Selector::parse(selector).unwrap()).unwrap()
    }

    #[test]
    fn the_text_of_an_element_is_found() {
        let html = "<p>x</p><script id=a type='application/json'>{\"a\": \"&amp;<b>\"}</script>\
                    <pre class=\"j k\" id=b>{&quot;a&quot;:\n 1}</pre>";
        assert_eq!(found(html, "script#a"), ["{\"a\": \"&amp;<b>\"}"]);
        assert_eq!(found(html, "pre.j"), ["{\"a\": 1}\n"]);
        assert_eq!(found(html, "script#b"), Vec::<String>::new());
        assert_eq!(found("<script id=&#97;>1</script>", "script#a"), ["1"]);
        assert!(Selector::parse("script##").is_err());
    }
}
