//! Whether key and status of a mail are certain: neither damaged on the way, nor to be read in two
//! ways.

use super::{Context, Each, Piece, Recipe, Sheet, Verdict, required, sheet_of, short};
use crate::{extract::Contents, message::Mended};

/// How many values of a label are tried.
const MAX_READINGS: usize = 8;

/// Whether transport damaged nothing that keys and statuses are made of: they are the same without
/// all that it damaged.
pub(super) fn is_certain(recipe: &Recipe, sheet: &Sheet, mail: &Mended<'_>) -> bool {
    let is_list = matches!(recipe.each, Some(Each::Text { .. }));
    if !is_list && !recipe.is_keyed_by_body(sheet.json.is_some()) {
        return true;
    }
    if sheet.contents.is_hidden {
        return false;
    }

    let sound = Contents::sound(mail.header(), mail.body());
    let sound = sheet_of(recipe, mail.header(), sound);
    // Items may be missing of a list that ends too early.
    let texts = |sheet: &Sheet| (sheet.contents.text.clone(), sheet.contents.aside.clone());
    if is_list && texts(&sound) != texts(sheet) {
        return false;
    }
    let told = outline(recipe, sheet, &sheet.context);
    told.is_some() && told == outline(recipe, &sound, &sound.context)
}

/// Why key or status may be another: a label they are made of has several values, such as one that
/// a gateway wrote above the alert, and by another of them the mail is of another incident, or does
/// something else to it. What cannot be read by another value is not meant by it.
pub(super) fn doubt(recipe: &Recipe, sheet: &Sheet, mail: &Mended<'_>) -> Option<String> {
    let speaks = |name: &str| recipe.fields.speaks_of(name, |first, _| first == "pairs");
    if !["key", "status"].into_iter().any(speaks) {
        return None;
    }

    let meant = |outline: Vec<(String, Option<String>)>| -> Vec<_> {
        let items = outline.into_iter();
        items
            .map(|(status, key)| (recipe.statuses.verdict(&status), key))
            .collect()
    };
    let read = |context: &Context| outline(recipe, sheet, context).map(meant);

    let told = read(&sheet.context)?;
    let labels = sheet.context.doubtful();
    let others = labels
        .iter()
        .map(|label| sheet.contents.pairs.readings(label).len());
    let others = others.max()?.min(MAX_READINGS);
    let differs = (1..others).any(|reading| {
        let (contents, json) = (&sheet.contents, sheet.json.as_ref());
        let context = Context::of(mail.header(), contents, &sheet.groups, json, reading);
        read(&context).is_some_and(|other| {
            let is_read = other
                .iter()
                .all(|(verdict, _)| *verdict != Verdict::Unparsed);
            is_read && other != told
        })
    });

    let label = labels.first().filter(|_| differs)?;
    let values = sheet.contents.pairs.readings(label);
    let value = |at: usize| short("", values.get(at).copied().unwrap_or_default());
    Some(format!(
        "the label `{label}` stands in the mail with different values, `{}` and `{}`, and key or \
         status depends on which is meant: where the first always is, write \
         `pairs_all['{label}'] | first`",
        value(0),
        value(1),
    ))
}

/// Status and key of every item; the key of one that is ignored may be missing. None where another
/// one is.
fn outline(
    recipe: &Recipe,
    sheet: &Sheet,
    context: &Context,
) -> Option<Vec<(String, Option<String>)>> {
    let pieces = sheet.pieces(recipe).ok()?;
    let one = |piece: &Piece<'_>| {
        let scope = context.with(&piece.item);
        let field = |name| required(&recipe.fields, name, &scope).ok();
        let status = field("status")?;
        match recipe.statuses.verdict(&status) {
            Verdict::Ignored => Some((status, None)),
            _ => Some((status, Some(field("key")?))),
        }
    };
    pieces.all.iter().map(one).collect()
}
