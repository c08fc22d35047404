//! The content of a mail that is the same for all its items. Pure.

use serde_json::Value;

use super::recipe::Recipe;
use crate::{
    extract::{Contents, subject::is_wanted_by},
    message::{Mended, header::first},
    profile::{
        context::{Context, Groups, add_groups, subject},
        items::{self, NoItem, Pieces},
    },
};

/// The content of a mail.
pub(super) struct Sheet {
    pub subject: String,
    pub contents: Contents,
    pub groups: Groups,
    pub json: Option<Value>,
    /// Why the JSON cannot be read.
    pub obstacle: Option<String>,
    pub context: Context,
}

impl Sheet {
    pub fn of_mail(recipe: &Recipe, mail: &Mended<'_>) -> Self {
        let contents = Contents::of(mail.header(), mail.body());
        Self::of(recipe, mail.header(), contents)
    }

    pub fn of(recipe: &Recipe, header: &[u8], contents: Contents) -> Self {
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
        Self {
            subject: read.to_owned(),
            contents,
            groups,
            json,
            obstacle,
            context,
        }
    }

    pub fn pieces(&self, recipe: &Recipe) -> Result<Pieces<'_>, NoItem> {
        let json = match &self.obstacle {
            Some(why) => Err(why.as_str()),
            None => Ok(self.json.as_ref()),
        };
        items::pieces(recipe.each.as_ref(), &self.contents, json)
    }
}
