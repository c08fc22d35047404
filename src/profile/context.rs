//! The names that a profile's templates may use.

use std::{
    cell::RefCell,
    collections::HashMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use indexmap::IndexMap;
use minijinja::{
    Error, ErrorKind, Value,
    value::{Enumerator, Object, Serde},
};
use regex::{Captures, Regex};

use crate::{
    extract::{
        Contents,
        contents::{Attachment, decoded},
    },
    message::header::{fields, first},
};

mod labels;

use labels::{All, Choices, One};
pub(super) use labels::{Asked, Labels};

/// The names, for the message to somebody who misspells one.
pub(super) const NAMES: [&str; 13] = [
    "from",
    "to",
    "subject",
    "date",
    "header",
    "text",
    "pairs",
    "pairs_all",
    "links",
    "re",
    "json",
    "attachments",
    "item",
];

/// The maximum length of a header field's value, in characters.
const LONGEST_FIELD: usize = 2_000;

/// The amount of text, in bytes, that the fields of one mail's items are given in all. A filter may
/// read all that it is given, again for every item.
const MOST_TEXT: usize = 4 << 20;

/// The named groups of an expression that took part in a match.
pub(super) type Groups = IndexMap<String, String>;

/// The text of a field, or why it could not be made.
pub(super) type Made = Result<Option<String>, String>;

/// The values that are the same for every item of a mail.
pub(super) struct Context {
    common: Arc<Common>,
    pairs: Arc<Labels>,
    choices: Arc<Choices>,
    made: RefCell<HashMap<String, Made>>,
}

/// The values that templates may use for one item.
pub(super) struct Scope<'a> {
    context: &'a Context,
    is_item: bool,
    value: Value,
}

/// One item.
pub(super) enum Item {
    /// The mail is its only item.
    Mail,
    Text {
        groups: Groups,
        pairs: Arc<Labels>,
        section: Groups,
    },
    Json(serde_json::Value),
}

impl Context {
    /// Builds the context of a mail. `read` is the Subject as the profile reads it;
    /// `header.subject` is as it is written.
    pub fn of(
        (header, read): (&[u8], &str),
        contents: &Contents,
        groups: &Groups,
        json: Option<&serde_json::Value>,
    ) -> Self {
        let field = |name: &[u8]| {
            let value = first(header, name).map_or_else(String::new, subject);
            Value::from(value)
        };
        let pairs = Arc::new(Labels::of(contents.pairs.clone()));
        let choices = Arc::new(Choices::default());

        let mut values = HashMap::from([
            ("from", field(b"From")),
            ("to", field(b"To")),
            ("subject", Value::from(read)),
            ("date", field(b"Date")),
            ("header", Value::from_object(Header(header.to_vec()))),
            ("text", Value::from(contents.text.as_str())),
            ("pairs", one(&pairs, &choices, false)),
            ("pairs_all", Value::from_object(All(Arc::clone(&pairs)))),
            ("links", Value::from_object(Links(contents.links.clone()))),
            ("re", of_groups(groups)),
            (
                "attachments",
                contents.attachments.iter().map(attachment).collect(),
            ),
        ]);
        values.extend(json.map(|json| ("json", Value::from(Serde(json)))));
        let attached = contents.attachments.iter().map(|one| one.text.len());
        let common = Common {
            values,
            text: contents.text.len(),
            attached: attached.sum(),
            left: Arc::new(AtomicUsize::new(MOST_TEXT)),
            is_spent: Arc::default(),
        };
        Self {
            common: Arc::new(common),
            pairs,
            choices,
            made: RefCell::default(),
        }
    }

    /// Returns the context of the same mail, read with other values of labels that may mean
    /// several: see [`Choices`].
    ///
    /// All readings of a mail share the allowance of text that may still be given.
    pub fn read_by(&self, places: Vec<usize>) -> Self {
        let choices = Arc::new(Choices::of(places));
        let mut common = (*self.common).clone();
        let pairs = one(&self.pairs, &choices, false);
        common.values.insert("pairs", pairs);
        Self {
            common: Arc::new(common),
            pairs: Arc::clone(&self.pairs),
            choices,
            made: RefCell::default(),
        }
    }

    /// Returns the context of the same mail with the full allowance of text.
    pub fn anew(&self) -> Self {
        let mut anew = self.read_by(Vec::new());
        if let Some(common) = Arc::get_mut(&mut anew.common) {
            common.left = Arc::new(AtomicUsize::new(MOST_TEXT));
            common.is_spent = Arc::default();
        }
        anew
    }

    /// Returns whether a field was refused a text, since the fields had read too much of it
    /// already.
    pub fn is_spent(&self) -> bool {
        self.common.is_spent.load(Ordering::Relaxed)
    }

    /// Returns the labels that were looked up and may have another value, in that order.
    pub fn asked(&self) -> Vec<Asked> {
        self.choices.asked()
    }

    /// Returns the scope of one item.
    pub fn with(&self, item: &Item) -> Scope<'_> {
        let item = match item {
            Item::Mail => None,
            Item::Json(json) => Some(Value::from(Serde(json))),
            Item::Text {
                groups,
                pairs,
                section,
            } => {
                let groups = groups
                    .iter()
                    .map(|(name, text)| (name.clone(), Value::from(text.as_str())));
                let own = [
                    ("pairs".to_owned(), one(pairs, &self.choices, true)),
                    ("section".to_owned(), of_groups(section)),
                ];
                Some(Value::from_pairs(groups.chain(own)))
            }
        };

        Scope {
            context: self,
            is_item: item.is_some(),
            value: Value::from_object(Names {
                common: Arc::clone(&self.common),
                item,
            }),
        }
    }
}

impl Scope<'_> {
    pub fn value(&self) -> Value {
        self.value.clone()
    }

    /// Returns a field that is the same for every item of the mail, which is made only once.
    pub fn once(&self, name: &str, work: impl FnOnce() -> Made) -> Made {
        if !self.is_item {
            return work();
        }
        if let Some(made) = self.context.made.borrow().get(name) {
            return made.clone();
        }
        let made = work();
        let mut all = self.context.made.borrow_mut();
        all.insert(name.to_owned(), made.clone());
        made
    }
}

fn one(pairs: &Arc<Labels>, choices: &Arc<Choices>, of_item: bool) -> Value {
    Value::from_object(One {
        pairs: Arc::clone(pairs),
        choices: Arc::clone(choices),
        of_item,
    })
}

/// The names that are the same for every item.
#[derive(Debug, Clone)]
struct Common {
    values: HashMap<&'static str, Value>,
    /// The length of the text, and that of all attachments together, in bytes.
    text: usize,
    attached: usize,
    /// The amount of text that may still be given, in bytes.
    left: Arc<AtomicUsize>,
    /// Whether more text was wanted.
    is_spent: Arc<AtomicBool>,
}

impl Common {
    /// Deducts the cost of a name from the remaining allowance.
    fn pay(&self, name: &str) -> Result<(), Error> {
        let cost = match name {
            "text" => self.text,
            "attachments" => self.attached,
            _ => return Ok(()),
        };
        let paid = |left: usize| left.checked_sub(cost);
        let order = Ordering::Relaxed;
        self.left.try_update(order, order, paid).map(drop).map_err(|_| {
            self.is_spent.store(true, order);
            let said = format!(
                "the fields of the mail's items have read `{name}` so often that it is more than \
                 {} MiB",
                MOST_TEXT >> 20
            );
            Error::new(ErrorKind::InvalidOperation, said)
        })
    }
}

/// All names, for one item.
#[derive(Debug)]
struct Names {
    common: Arc<Common>,
    item: Option<Value>,
}

impl Object for Names {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let name = key.as_str()?;
        if name == "item" {
            return self.item.clone();
        }
        let value = self.common.values.get(name)?;
        if self.item.is_some()
            && let Err(error) = self.common.pay(name)
        {
            return Some(Value::from(error));
        }
        Some(value.clone())
    }
}

/// Decodes a Subject, on one line.
pub(super) fn subject(value: &[u8]) -> String {
    decoded(value, LONGEST_FIELD)
}

/// Adds the named groups that took part in a match. A group that is known already stays as it is.
pub(super) fn add_groups(groups: &mut Groups, regex: &Regex, captures: Option<&Captures<'_>>) {
    let Some(captures) = captures else { return };
    for name in regex.capture_names().flatten() {
        if let Some(group) = captures.name(name)
            && !groups.contains_key(name)
        {
            groups.insert(name.to_owned(), group.as_str().to_owned());
        }
    }
}

fn of_groups(groups: &Groups) -> Value {
    Value::from_pairs(
        groups
            .iter()
            .map(|(name, text)| (name.clone(), Value::from(text.as_str()))),
    )
}

fn attachment(attachment: &Attachment) -> Value {
    Value::from_pairs([
        ("name", Value::from(attachment.name.as_str())),
        ("type", Value::from(attachment.kind.as_str())),
        ("text", Value::from(attachment.text.as_str())),
    ])
}

/// The header's fields by name, in any case. They are decoded when they are looked up.
struct Header(Vec<u8>);

impl fmt::Debug for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("header")
    }
}

impl Object for Header {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let value = first(&self.0, key.as_str()?.as_bytes())?;
        Some(Value::from(decoded(value, LONGEST_FIELD)))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        let names = fields(&self.0).flatten().map(|field| {
            let name = String::from_utf8_lossy(field.name.trim_ascii_end());
            name.to_ascii_lowercase()
        });
        let names: indexmap::IndexSet<String> = names.collect();
        Enumerator::Values(names.into_iter().map(Value::from).collect())
    }
}

/// The addresses that links lead to, by the words of the link in any case.
#[derive(Debug)]
struct Links(Vec<(String, String)>);

impl Object for Links {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let wanted = key.as_str()?.to_lowercase();
        let found = self
            .0
            .iter()
            .find(|(words, _)| words.to_lowercase() == wanted);
        found.map(|(_, href)| Value::from(href.as_str()))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        let words: indexmap::IndexSet<&str> =
            self.0.iter().map(|(words, _)| words.as_str()).collect();
        Enumerator::Values(words.into_iter().map(Value::from).collect())
    }
}
