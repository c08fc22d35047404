//! Decides whether the key and the status of a mail are certain: neither damaged on the way nor
//! ambiguous.

use super::{
    item::{required, short},
    recipe::Recipe,
    sheet::Sheet,
};
use crate::{
    extract::{Contents, pairs::MAX_PAIRS},
    message::Mended,
    profile::{
        context::{Asked, Context, Item},
        items::{Each, Piece},
        status::Verdict,
    },
};

/// The number of further combinations of label values by which an item is read, besides the first.
const MAX_READINGS: usize = 64;

/// The total number of times that the items of a mail are read to try other combinations.
const MOST_READINGS: usize = 4_000;

/// Returns whether transport damaged nothing that keys and statuses are made of: they are the same
/// when everything damaged is left out.
pub(super) fn is_certain(recipe: &Recipe, sheet: &Sheet, mail: &Mended<'_>) -> bool {
    let is_list = matches!(recipe.each, Some(Each::Text { .. }));
    if !is_list && !recipe.is_keyed_by_body(sheet.json.is_some()) {
        return true;
    }
    if sheet.contents.is_hidden {
        return false;
    }

    let sound = Contents::sound(mail.header(), mail.body());
    let sound = Sheet::of(recipe, mail.header(), sound);
    // If a list ends too early, items may be missing.
    let texts = |sheet: &Sheet| (sheet.contents.text.clone(), sheet.contents.aside.clone());
    if is_list && texts(&sound) != texts(sheet) {
        return false;
    }
    let told = outline(recipe, sheet, &sheet.context);
    told.is_some() && told == outline(recipe, &sound, &sound.context)
}

/// Returns why the text and the HTML of one mail leave a doubt: by its text the mail does something
/// else than by its HTML, and each reader sees only one of them.
pub(super) fn disagreement(recipe: &Recipe, sheet: &Sheet, mail: &Mended<'_>) -> Option<String> {
    let versions = sheet.contents.versions.as_ref()?;
    let is_list = matches!(recipe.each, Some(Each::Text { .. }));
    if recipe.each.is_some() && !is_list || !recipe.is_keyed_by_body(sheet.json.is_some()) {
        return None;
    }

    let told = |text: &String| {
        let sheet = Sheet::of(recipe, mail.header(), sheet.contents.with_text(text));
        outline(recipe, &sheet, &sheet.context)
    };
    let [plain, html] = versions.each_ref().map(told);
    let (plain, html) = (plain?, html?);
    let verdict = |outline: &&Outline| recipe.statuses.verdict(&outline.0);
    plain.iter().find_map(|one| {
        // An item that is reported twice may have begun and ended.
        let is_same = |other: &&Outline| !is_list || other.1 == one.1;
        let meant: Vec<_> = html.iter().filter(is_same).collect();
        let is_other = |other: &&Outline| {
            let both = [verdict(&one), verdict(other)];
            both[0] != both[1] && !both.contains(&Verdict::Unparsed)
        };
        let other = meant.first().filter(|_| meant.iter().all(is_other))?;
        Some(format!(
            "the status is `{}` in the mail's text and `{}` in its HTML: it is not known which is \
             right",
            short("", &one.0),
            short("", &other.0)
        ))
    })
}

/// Why the key or the status may be another one.
///
/// A label that they are made of has several values, for example because a gateway wrote one above
/// the alert. With another of these values, the mail is about another incident, or does something
/// else to it. A value with which the mail cannot be read is not what it means.
pub(super) enum Doubts {
    /// A doubt about the mail, and so about every item.
    OfMail(String),
    /// The doubt about each item, caused by its own labels.
    OfItems(Vec<Option<String>>),
}

/// A doubt, and whether it is about a label of the mail.
struct Doubt {
    reason: String,
    of_mail: bool,
}

/// The status and the key of an item.
type Outline = (String, Option<String>);

/// What an item does, and to which incident.
type Outcome = (Verdict, Option<String>);

impl Doubts {
    pub fn of(recipe: &Recipe, sheet: &Sheet, pieces: &[Piece<'_>]) -> Self {
        let none = || Self::OfItems(vec![None; pieces.len()]);
        let speaks = |name: &str| recipe.fields.speaks_of(name, of_pairs);
        if !["key", "status"].into_iter().any(speaks) {
            return none();
        }

        // Most mails have no label twice and are read only once.
        let context = sheet.context.anew();
        let told: Vec<_> = pieces
            .iter()
            .map(|piece| outcome(recipe, &context, &piece.item))
            .collect();
        if context.asked().is_empty() {
            return none();
        }

        let context = sheet.context.anew();
        let mut left = MOST_READINGS;
        let mut doubts = Vec::with_capacity(pieces.len());
        for (piece, told) in pieces.iter().zip(told) {
            let doubt =
                told.and_then(|told| doubt(recipe, &context, &piece.item, &told, &mut left));
            match doubt {
                Some(doubt) if doubt.of_mail => return Self::OfMail(doubt.reason),
                doubt => doubts.push(doubt.map(|doubt| doubt.reason)),
            }
        }
        Self::OfItems(doubts)
    }
}

/// Returns whether a template that looks this up looks at labels.
fn of_pairs(first: &str, second: Option<&str>) -> bool {
    first == "pairs" || (first == "item" && second.is_none_or(|second| second == "pairs"))
}

/// Reads an item with every combination of the values of the labels that it is made of. `left` is
/// how often items of the mail may still be read.
fn doubt(
    recipe: &Recipe,
    context: &Context,
    item: &Item,
    told: &Outcome,
    left: &mut usize,
) -> Option<Doubt> {
    let mut places = Vec::new();
    for reading in 0.. {
        let read = context.read_by(places);
        let other = outcome(recipe, &read, item);
        let asked = read.asked();
        if let Some(cut) = asked.iter().find(|one| one.is_cut) {
            return Some(Doubt::beyond(cut));
        }
        let is_meant = |other: &Outcome| other.0 != Verdict::Unparsed && other != told;
        if other.as_ref().is_some_and(is_meant) {
            return Doubt::between(&asked);
        }

        places = next(&asked)?;
        if reading == MAX_READINGS || *left == 0 || read.is_spent() {
            return Some(Doubt::of_many(&asked));
        }
        *left -= 1;
    }
    None
}

/// Returns the next combination.
///
/// The last label with a further value gets that value. The labels after it get their first value
/// again, since they may have been looked up only because of the value before.
fn next(asked: &[Asked]) -> Option<Vec<usize>> {
    let has_another = |one: &Asked| one.given + 1 < one.values.len();
    let last = asked.iter().rposition(has_another)?;
    let mut places: Vec<usize> = asked[..=last].iter().map(|one| one.given).collect();
    places[last] += 1;
    Some(places)
}

impl Doubt {
    fn between(asked: &[Asked]) -> Option<Self> {
        let other = asked.iter().find(|one| one.given > 0)?;
        let label = &other.label;
        let value = |at: usize| short("", other.values.get(at).map_or("", String::as_str));
        let reason = format!(
            "the label `{label}` has different values in the mail, `{}` and `{}`, and key or \
             status depends on which is meant",
            value(0),
            value(other.given),
        );
        Some(Self::of(other, &reason))
    }

    fn beyond(cut: &Asked) -> Self {
        let reason = format!(
            "the mail has more than {MAX_PAIRS} pairs, and the label `{}`, which key or status \
             looks at, has another value behind them",
            cut.label
        );
        Self::of(cut, &reason)
    }

    fn of_many(asked: &[Asked]) -> Self {
        let labels: Vec<String> = asked.iter().map(|one| format!("`{}`", one.label)).collect();
        let reason = format!(
            "the labels that key and status look at have more than {MAX_READINGS} combinations of \
             values, {}",
            labels.join(", ")
        );
        let of_mail = asked.iter().any(|one| !one.of_item);
        Self { reason, of_mail }
    }

    fn of(one: &Asked, reason: &str) -> Self {
        let (label, of_mail) = (&one.label, !one.of_item);
        let mend = if of_mail {
            format!(": if the first is always meant, write `pairs_all['{label}'] | first`")
        } else {
            ": if one is always meant, name it as a group of `each.text`".to_owned()
        };
        let reason = format!("{reason}{mend}");
        Self { reason, of_mail }
    }
}

/// Returns the status and the key of every item; `None` if one cannot be read.
fn outline(recipe: &Recipe, sheet: &Sheet, context: &Context) -> Option<Vec<Outline>> {
    let pieces = sheet.pieces(recipe).ok()?;
    let one = |piece: &Piece<'_>| status_and_key(recipe, context, &piece.item);
    pieces.all.iter().map(one).collect()
}

fn outcome(recipe: &Recipe, context: &Context, item: &Item) -> Option<Outcome> {
    let (status, key) = status_and_key(recipe, context, item)?;
    Some((recipe.statuses.verdict(&status), key))
}

/// Returns the status and the key of an item. The key of an item that is ignored may be missing.
fn status_and_key(recipe: &Recipe, context: &Context, item: &Item) -> Option<Outline> {
    let scope = context.with(item);
    let field = |name| required(&recipe.fields, name, &scope).ok();
    let status = field("status")?;
    match recipe.statuses.verdict(&status) {
        Verdict::Ignored => Some((status, None)),
        _ => Some((status, Some(field("key")?))),
    }
}
