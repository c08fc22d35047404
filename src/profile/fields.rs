//! The fields: templates that turn what was found into text.

use std::{collections::BTreeSet, fmt};

use indexmap::IndexMap;
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior};

use super::context::{self, Made, Scope};
use crate::{
    label,
    settings::Problem,
    template::{self, Bounded, described, filters},
};

/// The number of instructions that one field may take.
const FUEL: u64 = 50_000;

/// The maximum length of a field, in bytes. Longer ones are cut.
const LONGEST: usize = 4 << 10;

/// The maximum length of a key, in bytes. A longer key is refused, since two keys could begin
/// alike.
pub(super) const LONGEST_KEY: usize = 1_000;

/// The fields with a predefined meaning.
pub(super) const KNOWN: [&str; 7] = [
    "key", "status", "time", "title", "severity", "url", "summary",
];

/// The names that a template may use. Any other is one that no mail can give a value.
pub(super) struct Speakable {
    pub groups: BTreeSet<String>,
    /// The names after `item.`; `None` if an item has whatever its JSON has.
    pub item: Option<BTreeSet<String>>,
    /// The named groups of a heading.
    pub section: BTreeSet<String>,
    pub json: bool,
    pub each: bool,
    /// Whether the fields may give the bridge's own labels.
    pub built_in: bool,
}

/// The compiled templates.
pub(super) struct Fields {
    environment: Environment<'static>,
    /// The same templates, in an environment where undefined values are empty.
    lenient: Environment<'static>,
    /// The names of the fields that differ for each item.
    of_items: BTreeSet<String>,
    /// The templates as they are written, in order.
    sources: IndexMap<String, String>,
}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.sources.fmt(f)
    }
}

impl Fields {
    pub fn compile(
        key: &str,
        settings: &IndexMap<String, String>,
        speakable: &Speakable,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let mut environment = template::environment(FUEL);
        // A null in JSON renders as nothing: two alerts without an id must not share a key.
        environment.set_formatter(|out, _, value| match value.as_str() {
            Some(text) => Ok(out.write_str(text)?),
            None if value.is_none() => Ok(()),
            None => Ok(out.write_str(&value.to_string())?),
        });

        for required in ["key", "status"] {
            if !settings.contains_key(required) {
                problems.push(Problem::new(
                    key,
                    format!("the field `{required}` is missing"),
                    if required == "key" {
                        "say what an alert and its end share: `key: \"{{ pairs['Host'] }}\"`"
                    } else {
                        "say whether it is on or over: `status: \"{{ pairs['Status'] }}\"`; if the \
                         mail does not say it, write a word of your own: `status: PROBLEM`"
                    },
                ));
            }
        }

        for (name, source) in settings {
            let at = format!("{key}.{name}");
            problems.extend(misnamed(&at, name).filter(|_| !speakable.built_in));
            if let Err(error) = environment.add_template_owned(name.clone(), source.clone()) {
                problems.push(Problem::new(
                    at,
                    format!("the template cannot be read: {}", described(&error)),
                    "correct the template; `alertbridge profiles test` tries it",
                ));
            }
        }

        let mut lenient = environment.clone();
        lenient.set_undefined_behavior(UndefinedBehavior::Chainable);
        for name in settings.keys() {
            let at = format!("{key}.{name}");
            problems.extend(mistaken(&at, name, &lenient, speakable));
        }

        let mut fields = Self {
            environment,
            lenient,
            of_items: BTreeSet::new(),
            sources: settings.clone(),
        };
        let of_items = |name: &&String| fields.speaks_of(name, |first, _| first == "item");
        fields.of_items = settings.keys().filter(of_items).cloned().collect();
        fields
    }

    /// Returns the names of the fields without a predefined meaning.
    pub fn own(&self) -> impl Iterator<Item = &str> {
        self.sources
            .keys()
            .map(String::as_str)
            .filter(|name| !KNOWN.contains(name))
    }

    /// Returns all names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.sources.keys().map(String::as_str)
    }

    /// Returns whether a field may be empty, judged by its template alone: it is missing, or
    /// renders to nothing without values.
    pub fn may_be_empty(&self, name: &str) -> bool {
        let Ok(template) = self.lenient.get_template(name) else {
            return true;
        };
        template.render(()).is_ok_and(|made| made.trim().is_empty())
    }

    /// Returns the text of a field, on one line except for `summary`; `None` if the profile has no
    /// such field.
    ///
    /// The error names the field and its expression.
    pub fn render(&self, name: &str, scope: &Scope<'_>) -> Made {
        let Some(source) = self.sources.get(name) else {
            return Ok(None);
        };
        if self.of_items.contains(name) {
            return self.make(name, source, scope);
        }
        scope.once(name, || self.make(name, source, scope))
    }

    fn make(&self, name: &str, source: &str, scope: &Scope<'_>) -> Made {
        let (made, done) = rendered(&self.environment, name, scope);
        done.map_err(|error| {
            format!(
                "the field `{name}` cannot be made by `{}`: {}",
                source.trim(),
                described(&error)
            )
        })?;

        Ok(Some(if name == "summary" {
            without_controls(made.trim(), true)
        } else {
            without_controls(made.trim(), false)
        }))
    }

    /// Returns what the fields make of a mail, as far as each can be made.
    ///
    /// This distinguishes mails that cannot be read by everything that the profile looks up. The
    /// time is excluded, since it differs in a repeat.
    pub fn traces(&self, scope: &Scope<'_>) -> String {
        let mut traces = String::new();
        for name in self.sources.keys().filter(|name| *name != "time") {
            let (made, _) = rendered(&self.lenient, name, scope);
            traces += &made;
            traces.push('\0');
        }
        traces
    }

    /// Returns whether a field refers to something, judged by the first two names of each path that
    /// it looks up.
    pub fn speaks_of(&self, name: &str, of: impl Fn(&str, Option<&str>) -> bool) -> bool {
        self.lenient.get_template(name).is_ok_and(|template| {
            template.undeclared_variables(true).iter().any(|path| {
                let mut names = path.split('.');
                of(names.next().unwrap_or_default(), names.next())
            })
        })
    }

    pub fn source(&self, name: &str) -> &str {
        self.sources.get(name).map_or("", |source| source.trim())
    }
}

/// Renders a template. Returns the text, and whether the template finished or filled the space that
/// is kept.
fn rendered(
    environment: &Environment<'static>,
    name: &str,
    scope: &Scope<'_>,
) -> (String, Result<(), Error>) {
    let mut out = Bounded::to(LONGEST);
    let done = environment
        .get_template(name)
        .and_then(|template| template.render_captured_to(scope.value(), &mut out));

    match done {
        Err(error) if !out.is_full() => (out.into_text(), Err(error)),
        _ => (out.into_text(), Ok(())),
    }
}

/// Turns line ends and tabs into spaces if the text is to have one line, and drops other control
/// characters.
fn without_controls(text: &str, lines: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' if lines => out.push('\n'),
            '\n' | '\t' => out.push(' '),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

/// Returns the problem with a name that a field cannot have.
fn misnamed(key: &str, name: &str) -> Option<Problem> {
    if KNOWN.contains(&name) {
        return None;
    }

    if label::NAMES.contains(&name) || matches!(name, "profile" | "alertname") {
        return Some(Problem::new(
            key,
            format!("`{name}` is a label that the bridge gives itself"),
            "give the field another name",
        ));
    }

    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let is_name = name.chars().all(plain)
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.len() <= 60;
    (!is_name).then(|| {
        Problem::new(
            key,
            format!("`{name}` cannot be the name of a label"),
            "use letters, digits and `_`, a letter first, and 60 of them at most",
        )
    })
}

/// Returns what is wrong with a template whatever the mail: a name that nothing gives a value, or a
/// filter that does not exist.
///
/// Undefined values are empty here, so a template that fails all the same fails for every mail.
fn mistaken(
    key: &str,
    name: &str,
    lenient: &Environment<'static>,
    speakable: &Speakable,
) -> Option<Problem> {
    let template = lenient.get_template(name).ok()?;
    let mut unknown: Vec<(String, &str)> = template
        .undeclared_variables(true)
        .into_iter()
        .filter(|path| lenient.globals().all(|(global, _)| global != path))
        .filter_map(|path| speakable.mend(&path).map(|mend| (path, mend)))
        .collect();
    unknown.sort();
    if let Some((path, mend)) = unknown.into_iter().next() {
        return Some(Problem::new(
            key,
            format!("the template uses `{path}`, which is not defined"),
            mend,
        ));
    }

    let error = template.render(()).err()?;
    let is_of_template = matches!(
        error.kind(),
        ErrorKind::UnknownFilter
            | ErrorKind::UnknownFunction
            | ErrorKind::UnknownTest
            | ErrorKind::SyntaxError
            | ErrorKind::TooManyArguments
            | ErrorKind::MissingArgument
    );
    is_of_template.then(|| {
        Problem::new(
            key,
            format!("the template cannot be used: {}", described(&error)),
            format!("correct it; the filters are Jinja's, {}", filters::OURS),
        )
    })
}

impl Speakable {
    /// Returns what to write instead of a name that nothing gives a value.
    fn mend(&self, path: &str) -> Option<&'static str> {
        let mut names = path.split('.');
        let (first, second) = (names.next().unwrap_or_default(), names.next());
        match (first, second) {
            ("item", Some("section"))
                if self.item.is_some()
                    && names.next().is_some_and(|group| {
                        !self.section.contains(group) && !filters::OF_MAPS.contains(&group)
                    }) =>
            {
                Some("name the group in `each.section`: `(?<name>…)`")
            }
            (first, _) if !context::NAMES.contains(&first) => Some(
                "a template may use from, to, subject, date, header, text, pairs, pairs_all, \
                 links, re, json, attachments and item",
            ),
            // A method call is written like a look-up: `re.get('host')`.
            ("item", Some(method)) if self.each && filters::OF_MAPS.contains(&method) => None,
            ("re", Some(method)) if filters::OF_MAPS.contains(&method) => None,
            ("re", Some(group)) if !self.groups.contains(group) => {
                Some("name the group in an expression of `regex`: `(?<name>…)`")
            }
            ("json", _) if !self.json => {
                Some("say where the JSON is: `json: { element: 'script#id' }`")
            }
            ("item", _) if !self.each => {
                Some("say what an item is: `each: { text: … }` or `each: { json: /alerts }`")
            }
            ("item", Some(group))
                if self.item.as_ref().is_some_and(|item| !item.contains(group)) =>
            {
                Some(
                    "name the group in `each.text`: `(?<name>…)`; an item also has `pairs` and \
                     `section`",
                )
            }
            _ => None,
        }
    }
}
