//! What a profile's templates may speak of.

use std::{
    cell::RefCell,
    collections::{BTreeSet, HashMap},
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
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
        pairs::Pairs,
        subject::untagged,
    },
    message::header::{fields, first},
};

/// The names, for who misspells one.
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

/// The longest value of a header field, in characters.
const LONGEST_FIELD: usize = 2_000;

/// How much text the fields of one mail's items are given in all, in bytes: a filter may read all
/// that it is given, for every item again.
const MOST_TEXT: usize = 4 << 20;

/// The named groups of an expression that took part in a match.
pub(super) type Groups = IndexMap<String, String>;

/// What a field was made into, or why it could not be.
pub(super) type Made = Result<Option<String>, String>;

/// What is the same for every item of a mail.
pub(super) struct Context {
    common: Arc<Common>,
    pairs: Arc<One>,
    made: RefCell<HashMap<String, Made>>,
}

/// What templates may speak of for one item.
pub(super) struct Scope<'a> {
    context: &'a Context,
    is_item: bool,
    value: Value,
}

/// One item.
pub(super) enum Item {
    /// The mail is the only one.
    Mail,
    Text {
        groups: Groups,
        pairs: Pairs,
        section: Groups,
    },
    Json(serde_json::Value),
}

impl Context {
    /// `reading` says which value of a label is meant: 0 is the first of [`Pairs::readings`].
    pub fn of(
        header: &[u8],
        contents: &Contents,
        groups: &Groups,
        json: Option<&serde_json::Value>,
        reading: usize,
    ) -> Self {
        let field = |name: &[u8]| {
            let value = first(header, name).map_or_else(String::new, subject);
            Value::from(value)
        };
        let pairs = Arc::new(contents.pairs.clone());
        let one = Arc::new(One {
            pairs: Arc::clone(&pairs),
            reading,
            doubtful: Mutex::default(),
        });

        let mut values = HashMap::from([
            ("from", field(b"From")),
            ("to", field(b"To")),
            ("subject", Value::from(untagged_subject(header))),
            ("date", field(b"Date")),
            ("header", Value::from_object(Header(header.to_vec()))),
            ("text", Value::from(contents.text.as_str())),
            ("pairs", Value::from_dyn_object(Arc::clone(&one))),
            ("pairs_all", Value::from_object(All(pairs))),
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
            left: AtomicUsize::new(MOST_TEXT),
        };
        Self {
            common: Arc::new(common),
            pairs: one,
            made: RefCell::default(),
        }
    }

    /// The labels that were looked up and may mean several values.
    pub fn doubtful(&self) -> BTreeSet<String> {
        let doubtful = self.pairs.doubtful.lock();
        doubtful.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// With one item.
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
                    (
                        "pairs".to_owned(),
                        Value::from_object(One {
                            pairs: Arc::new(pairs.clone()),
                            reading: 0,
                            doubtful: Mutex::default(),
                        }),
                    ),
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

    /// A field that is the same for every item of the mail: made once.
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

/// The names that are the same for every item.
#[derive(Debug)]
struct Common {
    values: HashMap<&'static str, Value>,
    /// How long the text is, in bytes, and those of all attachments.
    text: usize,
    attached: usize,
    /// How much text may still be given.
    left: AtomicUsize,
}

impl Common {
    /// Takes what a name costs from what is left.
    fn pay(&self, name: &str) -> Result<(), Error> {
        let cost = match name {
            "text" => self.text,
            "attachments" => self.attached,
            _ => return Ok(()),
        };
        let paid = |left: usize| left.checked_sub(cost);
        let order = Ordering::Relaxed;
        self.left.try_update(order, order, paid).map(drop).map_err(|_| {
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

/// The Subject without the tags that gateways put in front of it; `header.subject` has them.
fn untagged_subject(header: &[u8]) -> String {
    let subject = first(header, b"Subject").map_or_else(String::new, subject);
    untagged(&subject).to_owned()
}

/// A Subject as it is read: decoded, on one line.
pub(super) fn subject(value: &[u8]) -> String {
    decoded(value, LONGEST_FIELD)
}

/// The named groups that took part in a match; what is known already stays.
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

/// The header's fields by name, in any case; decoded when they are asked for.
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

/// One value of each label.
#[derive(Debug)]
struct One {
    pairs: Arc<Pairs>,
    /// Which of those that may be meant; where there are fewer, the first.
    reading: usize,
    /// The labels that were looked up and may mean several.
    doubtful: Mutex<BTreeSet<String>>,
}

impl Object for One {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let label = key.as_str()?;
        let readings = self.pairs.readings(label);
        if readings.len() > 1 {
            let mut doubtful = self.doubtful.lock().unwrap_or_else(PoisonError::into_inner);
            doubtful.insert(label.to_owned());
        }
        let meant = readings.get(self.reading).copied();
        meant.or_else(|| self.pairs.get(label)).map(Value::from)
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        labels(&self.pairs)
    }
}

/// All values of each label.
#[derive(Debug)]
struct All(Arc<Pairs>);

impl Object for All {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let values: Vec<Value> = self.0.values(key.as_str()?).map(Value::from).collect();
        (!values.is_empty()).then(|| Value::from(values))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        labels(&self.0)
    }
}

fn labels(pairs: &Pairs) -> Enumerator {
    let labels: indexmap::IndexSet<&str> = pairs.iter().map(|(label, _)| label).collect();
    Enumerator::Values(labels.into_iter().map(Value::from).collect())
}

/// Where links lead, by their words in any case.
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
