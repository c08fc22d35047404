//! Visibility: which elements of a document are open, and how their attributes show or hide the
//! text in them.
//!
//! Inline styles are read as CSS defines them (<https://www.w3.org/TR/css-display-4/>), as far as
//! they hide text. Style sheets are not read, since many mail programs drop them. `mso-hide` hides
//! from Outlook alone what others show, and is ignored, as are the comments for Outlook.

use super::BLOCKS;
use crate::extract::markup::{Name, attribute};

/// The largest number of open elements that are tracked. Browsers nest 512.
const MAX_OPEN: usize = 1_000;

/// The largest number of open elements that are searched for the one that ends.
const MAX_LOOK: usize = 64;

/// Elements that have no end tag.
const VOID: [&str; 14] = [
    "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source",
    "track", "wbr",
];

/// Elements that bound the effect of end tags: an end tag within one ends nothing outside it, and
/// whatever is left open in one ends with it.
const FRAMES: [&str; 8] = [
    "table", "td", "th", "caption", "template", "noscript", "button", "object",
];

/// Elements that no mail program, or only some, shows.
const UNSEEN: [&str; 3] = ["template", "noscript", "datalist"];

/// The way in which text at a place of a document is shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sight {
    /// Whether there is a place for the text. No element within can restore it.
    pub has_place: bool,
    is_visible: bool,
    has_size: bool,
    pub is_preformatted: bool,
}

/// The words of a document that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    All,
    Seen,
    Unseen,
}

/// The elements that are open.
#[derive(Default)]
pub(super) struct Open(Vec<Element>);

struct Element {
    name: Name,
    sight: Sight,
    is_block: bool,
    is_frame: bool,
}

impl Default for Sight {
    fn default() -> Self {
        Self {
            has_place: true,
            is_visible: true,
            has_size: true,
            is_preformatted: false,
        }
    }
}

impl Sight {
    pub fn is_seen(self) -> bool {
        self.has_place && self.is_visible && self.has_size
    }

    /// Returns how text in an element within is shown.
    fn within(mut self, name: &str, attributes: &str) -> Self {
        self.is_preformatted |= name == "pre";
        self.has_place &= !UNSEEN.contains(&name);
        if attributes.len() < "hidden".len() {
            return self;
        }

        let style = attribute(attributes, "style").unwrap_or_default();
        let style = Style(style.to_ascii_lowercase());
        let display = style.of("display");
        self.has_place &= match display {
            Some(display) => display != "none",
            None => attribute(attributes, "hidden").is_none(),
        };
        if style.0.is_empty() {
            return self;
        }

        let is_box = BLOCKS.contains(&name) || display.is_some_and(|display| display != "inline");
        self.has_place &= !style.of("opacity").is_some_and(is_zero);
        self.has_place &= !(is_box && style.clips());
        match style.of("visibility") {
            Some("hidden" | "collapse") => self.is_visible = false,
            Some("visible" | "initial") => self.is_visible = true,
            _ => {}
        }
        if let Some(has_size) = style.sizes() {
            self.has_size = has_size;
        }
        match style.of("white-space") {
            Some("pre" | "pre-wrap" | "break-spaces") => self.is_preformatted = true,
            Some("normal" | "nowrap") => self.is_preformatted = false,
            _ => {}
        }
        self
    }
}

impl Which {
    pub fn reads(self, sight: Sight) -> bool {
        match self {
            Self::All => true,
            Self::Seen => sight.is_seen(),
            Self::Unseen => !sight.is_seen(),
        }
    }

    /// Whether an element takes its place among the words that are read. Hidden text stands in the
    /// same rows as text that is seen.
    pub fn lays_out(self, sight: Sight) -> bool {
        self != Self::Seen || sight.has_place
    }

    /// Returns what replaces words that are not read: hidden ones leave no gap.
    pub fn stand_in(self) -> &'static str {
        if self == Self::Seen { "" } else { " " }
    }
}

impl Open {
    /// Returns how text at this place is shown.
    pub fn sight(&self) -> Sight {
        self.0
            .last()
            .map_or_else(Sight::default, |element| element.sight)
    }

    /// Begins an element, and returns how text in it is shown.
    pub fn start(&mut self, name: Name, attributes: &str) -> Sight {
        let called = name.as_str();
        self.end_before(called);
        let sight = self.sight().within(called, attributes);
        if !VOID.contains(&called) && self.0.len() < MAX_OPEN {
            self.0.push(Element {
                name,
                sight,
                is_block: BLOCKS.contains(&called),
                is_frame: FRAMES.contains(&called),
            });
        }
        sight
    }

    /// Ends an element, and returns how text in it was shown.
    pub fn end(&mut self, name: Name) -> Sight {
        let called = name.as_str();
        // Text after the end of a body is shown in the body all the same.
        if matches!(called, "html" | "body") {
            return self.sight();
        }

        let is_of_table = matches!(
            called,
            "table" | "tbody" | "thead" | "tfoot" | "tr" | "td" | "th"
        );
        let is_inline = !is_of_table && !BLOCKS.contains(&called);
        let is_kept_in = |element: &Element| {
            if is_of_table {
                element.name.as_str() == "table"
            } else {
                element.is_frame || (is_inline && element.is_block)
            }
        };
        let sight = self.sight();
        self.close(|element| element.name == name, is_kept_in)
            .unwrap_or(sight)
    }

    /// Ends the elements that end because an element of this name begins (the HTML standard,
    /// 13.1.2.4).
    fn end_before(&mut self, name: &str) {
        let named = |element: &Element, names: &[&str]| names.contains(&element.name.as_str());
        match name {
            "li" => drop(self.close(
                |element| named(element, &["li"]),
                |element| element.is_frame || named(element, &["ul", "ol", "menu", "dir"]),
            )),
            "dt" | "dd" => drop(self.close(
                |element| named(element, &["dt", "dd"]),
                |element| element.is_frame || named(element, &["dl"]),
            )),
            "td" | "th" => drop(self.close(
                |element| named(element, &["td", "th"]),
                |element| named(element, &["table", "tr"]),
            )),
            "tr" => drop(self.close(
                |element| named(element, &["tr"]),
                |element| named(element, &["table"]),
            )),
            "tbody" | "thead" | "tfoot" => drop(self.close(
                |element| named(element, &["tbody", "thead", "tfoot"]),
                |element| named(element, &["table"]),
            )),
            _ => {}
        }
        if BLOCKS.contains(&name) {
            self.close(|element| named(element, &["p"]), |element| element.is_frame);
        }
    }

    /// Ends the last element that is meant, with everything in it, unless an element that keeps it
    /// open stands between. Returns how text in it was shown.
    fn close(
        &mut self,
        is_meant: impl Fn(&Element) -> bool,
        is_kept_in: impl Fn(&Element) -> bool,
    ) -> Option<Sight> {
        let mut place = self.0.len();
        for element in self.0.iter().rev().take(MAX_LOOK) {
            place -= 1;
            if is_meant(element) {
                let sight = element.sight;
                self.0.truncate(place);
                return Some(sight);
            }
            if is_kept_in(element) {
                return None;
            }
        }
        None
    }
}

/// A `style` attribute, in lower case.
struct Style(String);

impl Style {
    /// Returns the value of a property: the last, or the last that is important.
    fn of(&self, property: &str) -> Option<&str> {
        let mut found = None;
        for declaration in self.0.split(';') {
            let Some((name, value)) = declaration.split_once(':') else {
                continue;
            };
            if name.trim() != property {
                continue;
            }
            let (value, important) = match value.split_once('!') {
                Some((value, mark)) => (value, mark.trim() == "important"),
                None => (value, false),
            };
            if important || !matches!(found, Some((_, true))) {
                found = Some((value.trim(), important));
            }
        }
        found.map(|(value, _)| value)
    }

    /// Whether a box shows nothing of its content, because it clips and has no height or no width.
    fn clips(&self) -> bool {
        let cuts = |name| {
            self.of(name)
                .is_some_and(|how| matches!(how, "hidden" | "clip"))
        };
        ["overflow", "overflow-x", "overflow-y"]
            .into_iter()
            .any(cuts)
            && ["max-height", "height", "max-width", "width"]
                .into_iter()
                .any(|name| self.of(name).is_some_and(is_zero))
    }

    /// Whether letters have a size; `None` if the size is that of the surrounding text.
    fn sizes(&self) -> Option<bool> {
        let size = self.of("font-size").or_else(|| {
            let mut words = self.of("font")?.split_ascii_whitespace();
            let is_size = |word: &&str| word.starts_with(|c: char| c.is_ascii_digit() || c == '.');
            let size = words.find(is_size)?;
            size.split('/').next()
        })?;
        let is_relative = ["em", "%", "ex", "ch", "lh"]
            .iter()
            .any(|unit| size.ends_with(unit) && !size.ends_with("rem"));
        match size {
            size if is_zero(size) => Some(false),
            "inherit" | "unset" | "smaller" | "larger" => None,
            _ if is_relative => None,
            _ => Some(true),
        }
    }
}

/// Whether a value is zero, in whatever unit: `0`, `0px`, `0.0em`.
fn is_zero(value: &str) -> bool {
    let unit = |c: char| c.is_ascii_alphabetic() || c == '%';
    let number = value.trim_end_matches(unit);
    number.parse::<f32>().is_ok_and(|number| number == 0.0)
}
