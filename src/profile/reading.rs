//! Mail → what it tells of, by a profile's recipe. Pure.

use std::{
    borrow::Cow,
    collections::{BTreeSet, HashMap},
};

use indexmap::IndexMap;
use jiff::{Timestamp, tz::TimeZone};
use regex::{Captures, Regex};
use serde_json::{Value, json};

use super::{
    Alert, Found,
    context::{Context, Groups, Item, Scope, add_groups, subject},
    fields::{Fields, LONGEST_KEY},
    items::{self, Each, NoItem, Piece, Pieces, unread, with_rest},
    json::Source,
    matching::Subjects,
    status::{Statuses, Verdict},
    trace::Trace,
};
use crate::{
    authenticate::Read,
    extract::{self, Contents, left_of, pairs::Pairs, subject::is_wanted_by},
    label::Labels,
    message::{Mended, header::first},
    template::{filters, written},
};

mod certain;

use certain::{Doubts, disagreement, is_certain};

/// The longest values of labels, in characters: what is longer is cut.
const LONGEST_LABEL: usize = 1_000;

/// How a profile's mail is read.
#[derive(Debug)]
pub(super) struct Recipe {
    /// The Subjects that the profile takes.
    pub subjects: Subjects,
    pub json: Option<Source>,
    pub subject: Option<Regex>,
    pub text: Option<Regex>,
    pub each: Option<Each>,
    pub fields: Fields,
    pub statuses: Statuses,
}

impl Recipe {
    pub fn own_labels(&self) -> impl Iterator<Item = &str> {
        self.fields.own()
    }

    /// The Subject as it is read: where the expression finds nothing in any, as it is matched.
    fn subject_of<'a>(&self, written: &'a str) -> &'a str {
        let regex = self.subject.as_ref();
        let finds = |subject: &str| regex.is_none_or(|regex| regex.is_match(subject));
        let read = self.subjects.read(written, finds);
        if finds(read) {
            return read;
        }
        self.subjects.read(written, |_| true)
    }

    /// The parts of the mail that those fields are made of which `decide`. The mail's Date is the
    /// time where no field gives one.
    pub fn reads(&self, decides: impl Fn(&str) -> bool) -> impl Iterator<Item = Read> {
        let of_subject = |second: Option<&str>| {
            let Some(regex) = &self.subject else {
                return false;
            };
            let is_whole = second.is_none_or(|second| filters::OF_MAPS.contains(&second));
            is_whole || names(regex).contains(second.unwrap_or_default())
        };

        let mut reads = BTreeSet::new();
        for name in self.fields.names().filter(|name| decides(name)) {
            let speaks_of = |wanted: &str| self.fields.speaks_of(name, |first, _| first == wanted);
            let of_groups = |first: &str, second: Option<&str>| first == "re" && of_subject(second);
            if speaks_of("subject") || self.fields.speaks_of(name, of_groups) {
                reads.insert(Read::Field("Subject".to_owned()));
            }
            if speaks_of("to") {
                reads.insert(Read::Field("To".to_owned()));
            }
            if speaks_of("date") {
                reads.insert(Read::Field("Date".to_owned()));
            }
            if speaks_of("header") {
                reads.extend(looked_up(name, self.fields.source(name)));
            }
            if self
                .fields
                .speaks_of(name, |first, second| self.is_of_body(first, second))
            {
                reads.insert(Read::Body);
            }
        }
        if self.fields.may_be_empty("time") {
            reads.insert(Read::Field("Date".to_owned()));
        }
        reads.into_iter()
    }

    /// Whether key or status is made of what stands in a mail's body, and may be damaged there.
    /// JSON that can be read is whole.
    fn is_keyed_by_body(&self, has_json: bool) -> bool {
        let may_be_damaged = |name: &str, second: Option<&str>| match name {
            "json" => !has_json,
            "item" => !(has_json && matches!(self.each, Some(Each::Json { .. }))),
            _ => self.is_of_body(name, second),
        };
        ["key", "status"]
            .iter()
            .any(|name| self.fields.speaks_of(name, may_be_damaged))
    }

    /// Whether what a template calls by this name stands in a mail's body.
    fn is_of_body(&self, name: &str, second: Option<&str>) -> bool {
        let has = |regex: &Option<Regex>, group: &str| {
            let regex = regex.as_ref();
            regex.is_some_and(|regex| regex.capture_names().flatten().any(|name| name == group))
        };
        match name {
            "re" => {
                let group = second.unwrap_or_default();
                self.text.is_some() && (has(&self.text, group) || !has(&self.subject, group))
            }
            "json" | "item" | "text" | "pairs" | "pairs_all" | "links" | "attachments" => true,
            _ => false,
        }
    }
}

/// The fields of the header that a template looks up by names that are written out; any other use
/// of the header is of names that are made.
fn looked_up(field: &str, source: &str) -> BTreeSet<Read> {
    const LOOK_UP: &str = concat!(
        r#"(?:(?<part>[.'"])\s*)?\bheader\b"#,
        r#"(?:\s*\[\s*(?:'(?<single>[\w-]+)'|"(?<double>[\w-]+)")\s*\]|\.(?<attribute>\w+))?"#,
    );
    let Ok(regex) = Regex::new(LOOK_UP) else {
        return BTreeSet::from([Read::Made(field.to_owned())]);
    };
    let read = |captures: Captures<'_>| {
        let name = ["single", "double", "attribute"]
            .into_iter()
            .find_map(|way| captures.name(way))
            .map(|name| name.as_str().to_owned())
            .filter(|name| !filters::OF_MAPS.contains(&name.as_str()));
        // An attribute of something else, or a text.
        let is_other = captures.name("part").is_some();
        (!is_other).then(|| name.map_or_else(|| Read::Made(field.to_owned()), Read::Field))
    };
    regex.captures_iter(source).filter_map(read).collect()
}

/// What a mail holds, as far as it is the same for all items.
struct Sheet {
    subject: String,
    contents: Contents,
    groups: Groups,
    json: Option<Value>,
    /// Why the JSON cannot be read.
    obstacle: Option<String>,
    context: Context,
}

impl Sheet {
    fn pieces(&self, recipe: &Recipe) -> Result<Pieces<'_>, NoItem> {
        let json = match &self.obstacle {
            Some(why) => Err(why.as_str()),
            None => Ok(self.json.as_ref()),
        };
        items::pieces(recipe.each.as_ref(), &self.contents, json)
    }
}

fn sheet(recipe: &Recipe, mail: &Mended<'_>) -> Sheet {
    sheet_of(
        recipe,
        mail.header(),
        Contents::of(mail.header(), mail.body()),
    )
}

fn sheet_of(recipe: &Recipe, header: &[u8], contents: Contents) -> Sheet {
    let written = first(header, b"Subject").map_or_else(String::new, subject);
    let read = recipe.subject_of(&written);

    let mut groups = Groups::new();
    if let Some(regex) = &recipe.subject {
        let as_written = || is_wanted_by(regex.as_str()).then(|| regex.captures(&written));
        let captures = regex.captures(read).or_else(|| as_written().flatten());
        add_groups(&mut groups, regex, captures.as_ref());
    }
    if let Some(regex) = &recipe.text {
        let captures = regex.captures(&contents.text);
        let captures = captures.or_else(|| regex.captures(&contents.aside));
        add_groups(&mut groups, regex, captures.as_ref());
    }

    let (json, obstacle) = match recipe.json.as_ref().map(|source| source.read(&contents)) {
        None => (None, None),
        Some(Ok(json)) => (json, None),
        Some(Err(why)) => (None, Some(why)),
    };

    let context = Context::of((header, read), &contents, &groups, json.as_ref());
    Sheet {
        subject: read.to_owned(),
        contents,
        groups,
        json,
        obstacle,
        context,
    }
}

pub(super) fn read(profile: &str, recipe: &Recipe, raw: &[u8]) -> Vec<Found> {
    let mail = Mended::of(raw);
    let sheet = sheet(recipe, &mail);
    let unparsed = |reason: &str, key: String, json: Value| Found::Unparsed {
        reason: format!("profile `{profile}`: {reason}"),
        key,
        json,
    };

    if let Some(damage) = &sheet.contents.damage
        && !is_certain(recipe, &sheet, &mail)
    {
        let reason = format!("{damage}, and what is left may be another incident's key or status");
        let key = key_of_mail(profile, recipe, &sheet, &mail);
        return vec![unparsed(&reason, key, Value::Null)];
    }

    let pieces = match sheet.pieces(recipe) {
        Ok(pieces) => pieces,
        Err(NoItem::Empty(reason)) => return vec![Found::Ignored { reason }],
        Err(NoItem::Missing(reason)) => {
            // A status that is of no interest is ignored, whatever else is missing.
            if let Some(reason) = ignored(recipe, &sheet.context.with(&Item::Mail)) {
                return vec![Found::Ignored { reason }];
            }
            let json = sheet.json.clone().unwrap_or_default();
            let key = key_of_mail(profile, recipe, &sheet, &mail);
            return vec![unparsed(&reason, key, json)];
        }
    };

    let odd = pieces.odd.clone();
    let doubts = odd
        .or_else(|| disagreement(recipe, &sheet, &mail))
        .map_or_else(|| Doubts::of(recipe, &sheet, &pieces.all), Doubts::OfMail);
    let doubts = match doubts {
        Doubts::OfItems(doubts) => doubts,
        Doubts::OfMail(reason) => {
            let key = key_of_mail(profile, recipe, &sheet, &mail);
            let json = sheet.json.clone().unwrap_or_default();
            return vec![unparsed(&reason, key, json)];
        }
    };

    let rest = pieces.rest;
    // Items that say the same are told apart by their count alone: the place among all of them
    // would make one that no digest can read another incident with each.
    let mut alike: HashMap<String, usize> = HashMap::new();
    let mut found: Vec<Found> = pieces
        .all
        .into_iter()
        .zip(doubts)
        .map(|(piece, doubt)| {
            let scope = sheet.context.with(&piece.item);
            let read = match doubt {
                Some(reason) => Err(reason),
                None => item(recipe, &sheet, &piece.item, &scope),
            };
            read.unwrap_or_else(|reason| {
                let reason = match (&recipe.json, &sheet.json, &sheet.obstacle) {
                    (Some(source), None, None) => {
                        format!("{reason}; the mail holds no JSON {source}")
                    }
                    _ => reason,
                };
                let reason = match &piece.item {
                    Item::Mail => with_rest(reason, sheet.contents.cut().as_deref()),
                    _ => reason,
                };
                let key = if let Item::Mail = &piece.item {
                    key_of_mail(profile, recipe, &sheet, &mail)
                } else {
                    let said = piece.said();
                    let count = alike.entry(said.clone()).or_default();
                    *count += 1;
                    let said = format!("{count}\0{said}");
                    key_of(profile, recipe, &sheet, &scope, said.as_bytes())
                };
                let json = incident(&sheet, &piece.item, &IndexMap::new());
                unparsed(&reason, key, json)
            })
        })
        .collect();

    if let Some(rest) = rest {
        let key = key_of_mail(profile, recipe, &sheet, &mail);
        found.push(unparsed(&unread(&rest), key, Value::Null));
    }
    found
}

/// The key of a mail that cannot be read: copies of the mail share it.
fn key_of_mail(profile: &str, recipe: &Recipe, sheet: &Sheet, mail: &Mended<'_>) -> String {
    let scope = sheet.context.with(&Item::Mail);
    let left = left_of(mail.whole(), mail.header(), mail.body());
    key_of(profile, recipe, sheet, &scope, left)
}

/// A key of what a mail says: its Subject, what the fields make of it, since they may look at any
/// field of the header, and the text that cannot be read. What else a header holds differs between
/// copies of one mail. Two profiles' mails never share a key.
fn key_of(
    profile: &str,
    recipe: &Recipe,
    sheet: &Sheet,
    scope: &Scope<'_>,
    evidence: &[u8],
) -> String {
    let traces = recipe.fields.traces(scope);
    let parts = [
        profile.as_bytes(),
        sheet.subject.as_bytes(),
        traces.as_bytes(),
        evidence,
    ];
    extract::key(parts.into_iter().flat_map(|part| [part, b"\0"]))
}

pub(super) fn doubtful(profile: &str, recipe: &Recipe, raw: &[u8], reason: &str) -> Found {
    let mail = Mended::of(raw);
    Found::Unparsed {
        reason: format!(
            "profile `{profile}`: programs would not agree whether this mail is from a sender of \
             `match.from`: {reason}"
        ),
        key: key_of_mail(profile, recipe, &sheet(recipe, &mail), &mail),
        json: Value::Null,
    }
}

/// The sentence where the status can be read, and is one that is ignored.
fn ignored(recipe: &Recipe, scope: &Scope<'_>) -> Option<String> {
    let status = recipe.fields.render("status", scope).ok()??;
    (recipe.statuses.verdict(&status) == Verdict::Ignored).then(|| ignored_status(&status))
}

fn ignored_status(status: &str) -> String {
    format!("its status `{status}` is one that the profile ignores")
}

/// One item; the error says why it cannot be read. The status is read first.
fn item(recipe: &Recipe, sheet: &Sheet, item: &Item, scope: &Scope<'_>) -> Result<Found, String> {
    let fields = &recipe.fields;
    let status =
        required(fields, "status", scope).map_err(|why| sheet.obstacle.clone().unwrap_or(why))?;
    let meaning = match recipe.statuses.verdict(&status) {
        Verdict::Alert(meaning) => meaning,
        Verdict::Ignored => {
            let reason = ignored_status(&status);
            return Ok(Found::Ignored { reason });
        }
        Verdict::Unparsed => {
            return Err(format!(
                "the status `{status}` is in no list of the profile's `status`"
            ));
        }
    };

    if let Some(why) = &sheet.obstacle {
        return Err(why.clone());
    }

    let key = required(fields, "key", scope)?;
    if key.len() > LONGEST_KEY {
        return Err(format!(
            "the field `key` is longer than {LONGEST_KEY} bytes: make it of less, or with the \
             filter `hash`"
        ));
    }

    let time = time(fields, scope)?;
    let mut made = IndexMap::from([
        ("key".to_owned(), key.clone()),
        ("status".to_owned(), status.clone()),
    ]);
    made.extend(time.map(|time| ("time".to_owned(), time.to_string())));
    let mut labels = Labels::from([(Cow::Borrowed("status"), status.clone())]);

    for name in ["title", "severity", "url", "summary"] {
        if let Some(value) = fields.render(name, scope)? {
            made.insert(name.to_owned(), value.clone());
            if !(name == "severity" && value.is_empty()) {
                labels.insert(Cow::Borrowed(name), short(name, &value));
            }
        }
    }
    for name in fields.own() {
        let value = fields.render(name, scope)?.unwrap_or_default();
        labels.insert(Cow::Owned(name.to_owned()), short(name, &value));
        made.insert(name.to_owned(), value);
    }

    Ok(Found::Alert(Box::new(Alert {
        key,
        status,
        meaning,
        time,
        labels,
        json: incident(sheet, item, &made),
    })))
}

fn required(fields: &Fields, name: &str, scope: &Scope<'_>) -> Result<String, String> {
    match fields.render(name, scope)? {
        Some(value) if !value.is_empty() => Ok(value),
        _ => Err(format!(
            "the field `{name}` is empty, made by `{}`",
            fields.source(name)
        )),
    }
}

/// An empty time is none: the mail's Date stands for it.
fn time(fields: &Fields, scope: &Scope<'_>) -> Result<Option<Timestamp>, String> {
    match fields.render("time", scope)? {
        Some(text) if !text.is_empty() => written::parse(&text, None, &TimeZone::UTC)
            .map(Some)
            .map_err(|why| {
                format!(
                    "the field `time`, made by `{}`, cannot be read: {why}",
                    fields.source("time")
                )
            }),
        _ => Ok(None),
    }
}

fn short(name: &str, value: &str) -> String {
    let longest = if name == "summary" {
        4 * LONGEST_LABEL
    } else {
        LONGEST_LABEL
    };
    value.chars().take(longest).collect()
}

/// What templates get as `incident`.
fn incident(sheet: &Sheet, item: &Item, fields: &IndexMap<String, String>) -> Value {
    let pairs = |pairs: &Pairs| -> Value {
        let mut object = serde_json::Map::new();
        for (label, _) in pairs.iter() {
            let value = pairs.get(label).unwrap_or_default();
            object.entry(label).or_insert_with(|| value.into());
        }
        object.into()
    };

    let mut whole = json!({ "fields": fields });
    match item {
        Item::Mail => {
            whole["pairs"] = pairs(&sheet.contents.pairs);
            if let Some(json) = &sheet.json {
                whole["json"] = json.clone();
            }
        }
        Item::Text { pairs: own, .. } => whole["pairs"] = pairs(own),
        Item::Json(json) => whole["json"] = json.clone(),
    }
    whole
}

pub(super) fn trace(recipe: &Recipe, raw: &[u8]) -> Trace {
    let sheet = sheet(recipe, &Mended::of(raw));
    let items = match sheet.pieces(recipe) {
        Ok(pieces) if recipe.each.is_some() => pieces
            .all
            .into_iter()
            .map(|piece| match piece.item {
                Item::Mail => Value::Null,
                Item::Json(json) => json,
                Item::Text {
                    groups,
                    pairs,
                    section,
                } => json!({ "groups": groups, "pairs": **pairs, "section": section }),
            })
            .collect(),
        _ => Vec::new(),
    };

    let whole = Trace::of_contents(sheet.contents);
    Trace {
        groups: sheet.groups,
        json: sheet.json.unwrap_or_default(),
        obstacle: sheet.obstacle.or(whole.obstacle),
        items,
        ..whole
    }
}

/// The named groups of an expression.
pub(super) fn names(regex: &Regex) -> BTreeSet<String> {
    regex
        .capture_names()
        .flatten()
        .map(ToOwned::to_owned)
        .collect()
}
