//! The items of a mail: a single one if a profile has no `each`.

use std::sync::Arc;

use regex::{Captures, Regex};
use serde_json::Value;

use super::{
    MAX_ITEMS,
    context::{Groups, Item, Labels, add_groups},
};
use crate::extract::{Contents, pairs::Pairs};

/// The maximum number of section headings that are read.
const MAX_SECTIONS: usize = 1_000;

/// How far ahead a match is looked for, in bytes. The distance is doubled until the match stays the
/// same.
const AHEAD: usize = 8 << 10;

/// How the incidents of a mail that reports several are found.
#[derive(Debug)]
pub(super) enum Each {
    Text { item: Regex, section: Option<Regex> },
    Json { pointer: String },
}

/// One item, with its text.
pub(super) struct Piece<'a> {
    pub item: Item,
    pub text: &'a str,
}

/// The heading of a section, and how many items were found in it.
struct Heading {
    at: usize,
    groups: Groups,
    items: usize,
}

/// The items of a mail.
pub(super) struct Pieces<'a> {
    pub all: Vec<Piece<'a>>,
    /// Why there may be more items.
    pub rest: Option<String>,
    /// Why a heading may be none, or why something that looks like an item may be none.
    pub odd: Option<String>,
}

impl Piece<'_> {
    /// Returns what the item says, and the heading before it.
    pub fn said(&self) -> String {
        match &self.item {
            Item::Mail => String::new(),
            Item::Json(json) => json.to_string(),
            Item::Text { section, .. } => {
                let heading: Vec<&str> = section.values().map(String::as_str).collect();
                format!("{}\0{}", heading.join("\0"), self.text)
            }
        }
    }
}

/// Why a mail has no item.
pub(super) enum NoItem {
    /// The array is empty, and nothing is wrong.
    Empty(String),
    Missing(String),
}

/// Returns the items of a mail. `json` is its JSON, or why that cannot be read.
pub(super) fn pieces<'a>(
    each: Option<&Each>,
    contents: &'a Contents,
    json: Result<Option<&Value>, &str>,
) -> Result<Pieces<'a>, NoItem> {
    match each {
        None => Ok(Pieces {
            all: vec![Piece {
                item: Item::Mail,
                text: "",
            }],
            rest: None,
            odd: None,
        }),
        Some(Each::Text { item, section }) => {
            let mut found = in_text(&contents.text, item, section.as_ref());
            if found.all.is_empty() {
                found = in_text(&contents.aside, item, section.as_ref());
            }
            found.rest = found.rest.or_else(|| contents.cut.clone());
            if found.all.is_empty() {
                let reason = format!("`each.text` finds nothing in the text: `{}`", item.as_str());
                return Err(NoItem::Missing(with_rest(reason, found.rest.as_deref())));
            }
            Ok(found)
        }
        Some(Each::Json { pointer }) => in_json(json, pointer),
    }
}

fn in_json<'a>(json: Result<Option<&Value>, &str>, pointer: &str) -> Result<Pieces<'a>, NoItem> {
    let json = json.map_err(|why| NoItem::Missing(why.to_owned()))?;
    match json.and_then(|json| json.pointer(pointer)) {
        Some(Value::Array(items)) if items.is_empty() => Err(NoItem::Empty(format!(
            "the list at `{pointer}` of its JSON is empty"
        ))),
        Some(Value::Array(items)) => {
            let piece = |item: &Value| Piece {
                item: Item::Json(item.clone()),
                text: "",
            };
            Ok(Pieces {
                all: items.iter().take(MAX_ITEMS).map(piece).collect(),
                rest: (items.len() > MAX_ITEMS).then(too_many),
                odd: None,
            })
        }
        Some(_) => Err(NoItem::Missing(format!(
            "what `each.json` points to, `{pointer}`, is not a list"
        ))),
        None => Err(NoItem::Missing(format!(
            "`each.json` points to nothing: the mail has no JSON with a list at `{pointer}`"
        ))),
    }
}

fn too_many() -> String {
    format!("the mail reports more than {MAX_ITEMS} incidents")
}

/// Returns an item for each match, with the heading before it as its section.
///
/// After the last heading that is read, the section of an item is unknown.
fn in_text<'a>(text: &'a str, item: &Regex, section: Option<&Regex>) -> Pieces<'a> {
    let mut headings: Vec<Heading> = section
        .into_iter()
        .flat_map(|regex| {
            matches(regex, text)
                .take(MAX_SECTIONS + 1)
                .map(move |captures| {
                    let mut groups = Groups::new();
                    add_groups(&mut groups, regex, Some(&captures));
                    Heading {
                        at: captures.get_match().start(),
                        groups,
                        items: 0,
                    }
                })
        })
        .collect();

    let mut all = Vec::new();
    let mut rest = None;
    for captures in matches(item, text) {
        let whole = captures.get_match();
        if whole.is_empty() {
            continue;
        }
        let before = headings.partition_point(|heading| heading.at <= whole.start());
        if before > MAX_SECTIONS {
            rest = Some(format!(
                "the mail has more than {MAX_SECTIONS} headings of sections"
            ));
            break;
        }
        if all.len() == MAX_ITEMS {
            rest = Some(too_many());
            break;
        }

        let mut groups = Groups::new();
        add_groups(&mut groups, item, Some(&captures));
        let section = match headings[..before].last_mut() {
            Some(heading) => {
                heading.items += 1;
                heading.groups.clone()
            }
            None => Groups::new(),
        };
        all.push(Piece {
            text: whole.as_str(),
            item: Item::Text {
                groups,
                pairs: Arc::new(Labels::of(Pairs::of(whole.as_str()))),
                section,
            },
        });
    }
    // The items of the last section that was read were not counted to their end.
    let counted = headings.len() - usize::from(rest.is_some()).min(headings.len());
    let odd = headings[..counted].iter().find_map(miscounted);
    Pieces { all, rest, odd }
}

/// Returns what is wrong if a heading states another number of items, in a group named `count`,
/// than were found.
///
/// Words of an alert that look like a heading, or like an item, are thus noticed.
fn miscounted(heading: &Heading) -> Option<String> {
    let said = heading.groups.get("count")?;
    let is_right = said.parse() == Ok(heading.items);
    (!is_right).then(|| {
        format!(
            "a heading that `each.section` finds says that it has `{said}` items, but `each.text` \
             finds {} behind it: one of them may be words of an alert",
            heading.items
        )
    })
}

/// Returns the matches of an expression, each searched from the end of the one before.
fn matches<'a>(regex: &Regex, text: &'a str) -> impl Iterator<Item = Captures<'a>> {
    let mut from = 0;
    std::iter::from_fn(move || {
        let found = next_match(regex, text, from)?;
        let whole = found.get_match();
        from = whole.end();
        if whole.is_empty() {
            from += text[from..].chars().next().map_or(1, char::len_utf8);
        }
        Some(found)
    })
}

/// Returns the next match, however far away it is.
///
/// When one is found, only the text nearby is searched for a longer one. Otherwise each of many
/// short matches could cause the rest of the text to be searched.
fn next_match<'a>(regex: &Regex, text: &'a str, from: usize) -> Option<Captures<'a>> {
    let mut ahead = AHEAD;
    let mut shorter = None;
    while from <= text.len() {
        let end = text.floor_char_boundary(from + ahead);
        // Finding a match is fast and finding its groups is not, so the groups are found only once.
        let span = regex.find_at(&text[..end], from).map(|found| found.range());
        if end == text.len() || (span.is_some() && span == shorter) {
            return span.and_then(|_| regex.captures_at(&text[..end], from));
        }
        shorter = span;
        ahead *= 2;
    }
    None
}

/// Adds to a reason that not everything was read, if that is so.
pub(super) fn with_rest(reason: String, rest: Option<&str>) -> String {
    match rest {
        Some(rest) => format!("{reason}; {}", unread(rest)),
        None => reason,
    }
}

pub(super) fn unread(rest: &str) -> String {
    format!("{rest}, and the rest is not read")
}
