//! The recipe by which a profile's mail is read, and the parts of the mail that it looks at. Pure.

use std::collections::BTreeSet;

use regex::{Captures, Regex};

use crate::{
    authenticate::Read,
    profile::{fields::Fields, items::Each, json::Source, matching::Subjects, status::Statuses},
    template::filters,
};

/// The recipe by which a profile's mail is read.
#[derive(Debug)]
pub(in crate::profile) struct Recipe {
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

    /// Returns the Subject as it is read. If the expression finds nothing in any form of it, this
    /// is the form that the matchers see.
    pub fn subject_of<'a>(&self, written: &'a str) -> &'a str {
        let regex = self.subject.as_ref();
        let finds = |subject: &str| regex.is_none_or(|regex| regex.is_match(subject));
        let read = self.subjects.read(written, finds);
        if finds(read) {
            return read;
        }
        self.subjects.read(written, |_| true)
    }

    /// Returns the parts of the mail that the fields are made of for which `decides` holds. The
    /// mail's Date is the time if no field gives one.
    pub fn reads(&self, decides: impl Fn(&str) -> bool) -> impl Iterator<Item = Read> {
        let of_subject = |second: Option<&str>| {
            let Some(regex) = &self.subject else {
                return false;
            };
            let is_whole = second.is_none_or(|second| filters::OF_MAPS.contains(&second));
            is_whole || has_group(regex, second.unwrap_or_default())
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

    /// Returns whether the key or the status is made of something in a mail's body that may be
    /// damaged. JSON that can be read is intact.
    pub fn is_keyed_by_body(&self, has_json: bool) -> bool {
        let may_be_damaged = |name: &str, second: Option<&str>| match name {
            "json" => !has_json,
            "item" => !(has_json && matches!(self.each, Some(Each::Json { .. }))),
            _ => self.is_of_body(name, second),
        };
        ["key", "status"]
            .iter()
            .any(|name| self.fields.speaks_of(name, may_be_damaged))
    }

    /// Returns whether the value that a template looks up by this name comes from a mail's body.
    fn is_of_body(&self, name: &str, second: Option<&str>) -> bool {
        let has = |regex: &Option<Regex>, group: &str| {
            let regex = regex.as_ref();
            regex.is_some_and(|regex| has_group(regex, group))
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

/// Returns the fields of the header that a template looks up by literal names. Any other use of the
/// header counts as a look-up by names that the template makes.
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
        // This is an attribute of something else, or part of a string.
        let is_other = captures.name("part").is_some();
        (!is_other).then(|| name.map_or_else(|| Read::Made(field.to_owned()), Read::Field))
    };
    regex.captures_iter(source).filter_map(read).collect()
}

/// Returns the named groups of an expression.
pub(in crate::profile) fn names(regex: &Regex) -> BTreeSet<String> {
    regex
        .capture_names()
        .flatten()
        .map(ToOwned::to_owned)
        .collect()
}

fn has_group(regex: &Regex, group: &str) -> bool {
    regex.capture_names().flatten().any(|name| name == group)
}
