//! Reads a mail into what it reports, by a profile's recipe. Pure.

use std::collections::HashMap;

use indexmap::IndexMap;
use serde_json::{Value, json};

use super::{
    Found,
    context::{Item, Scope},
    items::{NoItem, Piece, Pieces, unread, with_rest},
    trace::Trace,
};
use crate::{
    extract::{self, left_of},
    message::Mended,
};

mod certain;
mod item;
mod recipe;
mod sheet;

use certain::{Doubts, disagreement, is_certain};
use item::{ignored, incident};
pub(super) use recipe::{Recipe, names};
use sheet::Sheet;

pub(super) fn read(profile: &str, recipe: &Recipe, raw: &[u8]) -> Vec<Found> {
    Reading::of(profile, recipe, raw).found()
}

pub(super) fn doubtful(profile: &str, recipe: &Recipe, raw: &[u8], reason: &str) -> Found {
    let reason = format!(
        "programs would not agree whether this mail is from a sender of `match.from`: {reason}"
    );
    Reading::of(profile, recipe, raw).unparsed_mail(&reason, Value::Null)
}

/// One mail as it is read by one profile.
struct Reading<'a> {
    profile: &'a str,
    recipe: &'a Recipe,
    mail: Mended<'a>,
    sheet: Sheet,
}

impl<'a> Reading<'a> {
    fn of(profile: &'a str, recipe: &'a Recipe, raw: &'a [u8]) -> Self {
        let mail = Mended::of(raw);
        let sheet = Sheet::of_mail(recipe, &mail);
        Self {
            profile,
            recipe,
            mail,
            sheet,
        }
    }

    /// Returns what each item reports, followed by an unparsed finding for the rest if not all of
    /// the mail is read.
    fn found(&self) -> Vec<Found> {
        if let Some(reason) = self.damage() {
            return vec![self.unparsed_mail(&reason, Value::Null)];
        }

        let pieces = match self.sheet.pieces(self.recipe) {
            Ok(pieces) => pieces,
            Err(NoItem::Empty(reason)) => return vec![Found::Ignored { reason }],
            Err(NoItem::Missing(reason)) => return vec![self.without_item(&reason)],
        };
        let doubts = match self.doubts(&pieces) {
            Doubts::OfItems(doubts) => doubts,
            Doubts::OfMail(reason) => return vec![self.unparsed_mail(&reason, self.json())],
        };

        let mut alike = HashMap::new();
        let items = pieces.all.iter().zip(doubts);
        let mut found: Vec<Found> = items
            .map(|(piece, doubt)| self.item(piece, doubt, &mut alike))
            .collect();
        if let Some(rest) = &pieces.rest {
            found.push(self.unparsed_mail(&unread(rest), Value::Null));
        }
        found
    }

    /// Returns why nothing of the mail is read, if transport damaged what keys or statuses are made
    /// of.
    fn damage(&self) -> Option<String> {
        let damage = self.sheet.contents.damage.as_ref()?;
        (!is_certain(self.recipe, &self.sheet, &self.mail))
            .then(|| format!("{damage}, and what is left may be another incident's key or status"))
    }

    /// Returns what a mail without an item reports. A mail whose status is ignored is ignored,
    /// whatever else is missing.
    fn without_item(&self, reason: &str) -> Found {
        match ignored(self.recipe, &self.sheet.context.with(&Item::Mail)) {
            Some(reason) => Found::Ignored { reason },
            None => self.unparsed_mail(reason, self.json()),
        }
    }

    fn doubts(&self, pieces: &Pieces<'_>) -> Doubts {
        let of_mail = pieces.odd.clone();
        of_mail
            .or_else(|| disagreement(self.recipe, &self.sheet, &self.mail))
            .map_or_else(
                || Doubts::of(self.recipe, &self.sheet, &pieces.all),
                Doubts::OfMail,
            )
    }

    /// Returns what one item reports. `alike` counts the items that cannot be read, by what they
    /// say.
    fn item(
        &self,
        piece: &Piece<'_>,
        doubt: Option<String>,
        alike: &mut HashMap<String, usize>,
    ) -> Found {
        let scope = self.sheet.context.with(&piece.item);
        let read = match doubt {
            Some(reason) => Err(reason),
            None => item::read(self.recipe, &self.sheet, &piece.item, &scope),
        };

        read.unwrap_or_else(|reason| {
            let key = match &piece.item {
                Item::Mail => self.key_of_mail(),
                _ => self.key_of_item(piece, &scope, alike),
            };
            let json = incident(&self.sheet, &piece.item, &IndexMap::new());
            self.unparsed(&self.with_missing(&piece.item, reason), key, json)
        })
    }

    /// Extends the reason why an item cannot be read by what the mail lacks.
    fn with_missing(&self, item: &Item, reason: String) -> String {
        let sheet = &self.sheet;
        let reason = match (&self.recipe.json, &sheet.json, &sheet.obstacle) {
            (Some(source), None, None) => format!("{reason}; the mail holds no JSON {source}"),
            _ => reason,
        };

        match item {
            Item::Mail => with_rest(reason, sheet.contents.cut().as_deref()),
            _ => reason,
        }
    }

    fn json(&self) -> Value {
        self.sheet.json.clone().unwrap_or_default()
    }

    fn unparsed_mail(&self, reason: &str, json: Value) -> Found {
        self.unparsed(reason, self.key_of_mail(), json)
    }

    fn unparsed(&self, reason: &str, key: String, json: Value) -> Found {
        Found::Unparsed {
            reason: format!("profile `{}`: {reason}", self.profile),
            key,
            json,
        }
    }

    /// Returns the key of a mail that cannot be read. Copies of the mail share it.
    fn key_of_mail(&self) -> String {
        let scope = self.sheet.context.with(&Item::Mail);
        let mail = &self.mail;
        self.key_of(&scope, left_of(mail.whole(), mail.header(), mail.body()))
    }

    /// Returns the key of an item that cannot be read.
    ///
    /// Items that say the same are told apart by their count alone. With the position among all
    /// items instead, an item that cannot be read would be another incident in every digest.
    fn key_of_item(
        &self,
        piece: &Piece<'_>,
        scope: &Scope<'_>,
        alike: &mut HashMap<String, usize>,
    ) -> String {
        let said = piece.said();
        let count = alike.entry(said.clone()).or_default();
        *count += 1;
        self.key_of(scope, format!("{count}\0{said}").as_bytes())
    }

    /// Returns a key made from what a mail says: its Subject, the text that cannot be read, and
    /// what the fields make of the mail, since they may look up any field of the header.
    ///
    /// The rest of a header differs between copies of one mail. Mails of two profiles never share a
    /// key.
    fn key_of(&self, scope: &Scope<'_>, evidence: &[u8]) -> String {
        let traces = self.recipe.fields.traces(scope);
        let parts = [
            self.profile.as_bytes(),
            self.sheet.subject.as_bytes(),
            traces.as_bytes(),
            evidence,
        ];
        extract::key(parts.into_iter().flat_map(|part| [part, b"\0"]))
    }
}

pub(super) fn trace(recipe: &Recipe, raw: &[u8]) -> Trace {
    let sheet = Sheet::of_mail(recipe, &Mended::of(raw));
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
