//! Templates of titles and texts. This is the only user of minijinja in receivers.
//!
//! A template is compiled and tried on sample notifications when the configuration is loaded, so
//! that a misspelt label is found then and not during the incident. Its time and its output are
//! bounded.

use std::{collections::BTreeSet, path::PathBuf};

use minijinja::{AutoEscape, Environment, Error, ErrorKind, Output, UndefinedBehavior, Value};

use super::{
    RenderError,
    context::{self, context},
    escape::{Escape, escape_url},
    sample, text,
};
use crate::{
    delivery::{Action, Notification},
    label,
    settings::Problem,
    template::{self, Bounded, described, filters},
};

/// The largest number of instructions in one rendering: an endless loop fails instead of delaying
/// the page.
const FUEL: u64 = 100_000;

/// The most bytes that rendering a field may yield: more than any vendor's limit (15,000 characters
/// of at most 3 bytes). Longer text is cut there, as it would be anyway.
const LONGEST_FIELD: usize = 64 << 10;

/// The most bytes that rendering a whole document may yield: more than the alert in a mail can
/// fill.
const LONGEST_WHOLE: usize = 16 << 20;

/// The extent to which a text is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// As much as a field takes: longer text is cut.
    Field,
    /// All of it: half a document is useless.
    Whole,
}

/// The occasion on which a text is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occasion {
    Any,
    /// The resolve of an incident, whose receipt is known.
    Resolve,
}

impl Occasion {
    /// Whether the occasion applies to this notification.
    pub(super) fn suits(self, notification: &Notification) -> bool {
        self == Self::Any || notification.action == Action::Resolve
    }
}

/// The template files of the configuration, to be included or imported by name.
pub struct Shelf {
    environment: Environment<'static>,
}

/// A compiled template of one field.
pub struct Template {
    /// The name of the field, for error messages.
    field: &'static str,
    environment: Environment<'static>,
    extent: Extent,
    /// Whether it uses variables that one profile's alerts have and another's lack.
    of_profiles: bool,
    /// Whether a variable that an alert lacks may read as empty. This is not so in an address.
    lenient: bool,
}

/// The variables of an incident of `profiles:` whose content depends on its mail.
const OF_PROFILES: [&str; 3] = ["incident.fields", "incident.pairs", "incident.json"];

/// The name under which a field's own template is compiled. An error contains it together with the
/// line.
const OWN: &str = "template";

impl Shelf {
    /// Reads and parses the template files. A file is known by its own name, without its folder.
    /// `own_labels` are labels that only some alerts have.
    pub fn load(
        files: &[PathBuf],
        own_labels: &BTreeSet<&str>,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let mut environment = template::environment(FUEL);
        environment.add_filter("cut", cut);
        for label in own_labels {
            // For the alert of another profile, the label reads as empty.
            environment.add_global((*label).to_owned(), "");
        }

        let mut names = BTreeSet::new();
        for (index, path) in files.iter().enumerate() {
            let key = format!("templates[{index}]");
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
                problems.push(Problem::new(
                    key,
                    format!("`{}` is not a file", path.display()),
                    "name a file",
                ));
                continue;
            };
            if !names.insert(name.to_owned()) {
                let what = format!(
                    "two template files are called `{name}`, but `include` finds files by their \
                     name"
                );
                problems.push(Problem::new(key, what, "rename one of them"));
                continue;
            }
            let added = std::fs::read_to_string(path)
                .map_err(|error| error.to_string())
                .and_then(|source| {
                    environment
                        .add_template_owned(name.to_owned(), source)
                        .map_err(|error| described(&error))
                });
            if let Err(error) = added {
                let what = format!(
                    "the template file {} cannot be used: {error}",
                    path.display()
                );
                problems.push(Problem::new(key, what, "correct the file or its path"));
            }
        }

        Self { environment }
    }

    /// Compiles the template of a field and tries it. `key` is its place in the configuration.
    pub fn compile(
        &self,
        key: &str,
        field: &'static str,
        source: &str,
        escape: Escape,
        extent: Extent,
        occasion: Occasion,
    ) -> Result<Template, Problem> {
        let wrong = |what: String| {
            Problem::new(
                key,
                what,
                "correct the template; `alertbridge check` tries it again",
            )
        };

        let mut environment = self.escaping(escape);
        environment
            .add_template_owned(OWN, source.to_owned())
            .map_err(|error| {
                wrong(format!(
                    "the template cannot be read: {}",
                    described(&error)
                ))
            })?;

        let mut template = Template {
            field,
            environment,
            extent,
            of_profiles: false,
            lenient: false,
        };
        template.of_profiles = template.speaks_of_profiles();
        template.lenient = template.of_profiles && escape != Escape::Url;

        if let Some(unknown) = template.unknown_name() {
            return Err(Problem::new(
                key,
                format!("the template uses `{unknown}`, which is not a label"),
                mend_name(&unknown),
            ));
        }

        match template.failed_sample(occasion) {
            Some(failure) => Err(wrong(failure)),
            None => Ok(template),
        }
    }

    /// Returns an environment in which values are escaped as they are filled in.
    fn escaping(&self, escape: Escape) -> Environment<'static> {
        let mut environment = self.environment.clone();

        if let Some(escape) = escape.function() {
            environment.set_auto_escape_callback(|_| AutoEscape::Custom("markup".into()));
            environment.set_formatter(move |out, _, value| escaped(escape, out, value));
        }
        if escape == Escape::Url {
            // Values are already encoded as they are filled in.
            environment.add_filter("urlencode", |text: String| text);
            environment
                .set_formatter(|out, _, value| Ok(out.write_str(&escape_url(&value.to_string()))?));
        }

        environment
    }
}

impl Template {
    /// Returns the text for a context made by [`context()`].
    pub fn render(&self, context: &Value) -> Result<String, RenderError> {
        self.rendered(context).map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &Error) -> RenderError {
        RenderError::Template {
            field: self.field,
            message: described(error),
        }
    }

    /// Tries the template on the sample notifications. Returns the first sample on which it fails,
    /// and why.
    fn failed_sample(&self, occasion: Occasion) -> Option<String> {
        let samples = sample::notifications().into_iter();
        for (which, notification) in samples.filter(|(_, sample)| occasion.suits(sample)) {
            let tried = sample::parcel(&notification, |parcel| self.rendered(&context(parcel)));
            match tried {
                // The content of a profile's mail is not known yet.
                Err(error) if self.of_profiles && is_undefined(&error) => {}
                Err(error) => return Some(format!("tried on {which}, {}", self.failed(&error))),
                Ok(_) => {}
            }
        }

        None
    }

    /// Whether the template uses a name, in any branch.
    pub fn speaks_of(&self, name: &str) -> bool {
        self.environment
            .get_template(OWN)
            .is_ok_and(|template| template.undeclared_variables(false).contains(name))
    }

    fn speaks_of_profiles(&self) -> bool {
        let names = |path: &str, name: &str| {
            let rest = path.strip_prefix(name);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        self.environment.get_template(OWN).is_ok_and(|template| {
            let paths = template.undeclared_variables(true);
            let mut paths = paths.iter();
            paths.any(|path| OF_PROFILES.iter().any(|name| names(path, name)))
        })
    }

    fn rendered(&self, context: &Value) -> Result<String, Error> {
        match self.rendered_in(&self.environment, context) {
            Err(error) if self.lenient && is_undefined(&error) => {
                let mut environment = self.environment.clone();
                environment.set_undefined_behavior(UndefinedBehavior::Chainable);
                self.rendered_in(&environment, context)
            }
            rendered => rendered,
        }
    }

    fn rendered_in(
        &self,
        environment: &Environment<'static>,
        context: &Value,
    ) -> Result<String, Error> {
        let mut out = Bounded::to(match self.extent {
            Extent::Field => LONGEST_FIELD,
            Extent::Whole => LONGEST_WHOLE,
        });
        let done = environment
            .get_template(OWN)?
            .render_captured_to(context.clone(), &mut out);

        match done {
            Err(error) if !out.is_full() || self.extent == Extent::Whole => Err(error),
            _ => Ok(out.into_text()),
        }
    }

    /// Returns a name that the template uses in any branch and that never has a value.
    fn unknown_name(&self) -> Option<String> {
        let template = self.environment.get_template(OWN).ok()?;
        let globals: BTreeSet<String> = self
            .environment
            .globals()
            .map(|(name, _)| name.to_owned())
            .collect();

        let mut unknown: Vec<String> = template
            .undeclared_variables(true)
            .into_iter()
            .filter(|path| {
                let mut parts = path.split('.');
                match (parts.next().unwrap_or_default(), parts.next()) {
                    ("labels", Some(label)) => {
                        !label::NAMES.contains(&label)
                            && label != label::STAGE
                            && !filters::OF_MAPS.contains(&label)
                            && !globals.contains(label)
                    }
                    (name, _) => {
                        !label::NAMES.contains(&name)
                            && !context::NAMES.contains(&name)
                            && !globals.contains(name)
                    }
                }
            })
            .collect();

        unknown.sort_unstable();

        unknown.into_iter().next()
    }
}

/// `headline | cut(255)`: cuts a text to at most that many characters, in the unit that vendors are
/// assumed to count, and never within a grapheme cluster.
fn cut(value: &Value, max: usize) -> String {
    text::cut(&value.to_string(), max)
}

/// Whether a text is meant as a template: `{{ … }}` or `{% … %}`.
pub fn looks_like_template(text: &str) -> bool {
    [("{{", "}}"), ("{%", "%}")]
        .into_iter()
        .any(|(open, close)| text.find(open).is_some_and(|at| text[at..].contains(close)))
}

fn is_undefined(error: &Error) -> bool {
    error.kind() == ErrorKind::UndefinedError
}

fn escaped(escape: fn(&str) -> String, out: &mut Output<'_>, value: &Value) -> Result<(), Error> {
    let text = value.to_string();
    // The result of a macro or an include was escaped when its parts were filled in.
    let text = if value.is_safe() { text } else { escape(&text) };
    Ok(out.write_str(&text)?)
}

/// Suggests the label that was probably meant, or lists all of them.
fn mend_name(unknown: &str) -> String {
    let last = unknown.rsplit('.').next().unwrap_or(unknown);
    let near = label::NAMES.iter().chain(&context::NAMES).find(|name| {
        let same = name
            .chars()
            .zip(last.chars())
            .take_while(|(a, b)| a == b)
            .count();
        let longest = name.len().max(last.len());
        same * 2 >= longest || name.replace('_', "") == last.to_lowercase()
    });

    match near {
        Some(near) => format!(
            "did you mean `{near}`? The labels are {}",
            label::NAMES.join(", ")
        ),
        None => format!("the labels are {}", label::NAMES.join(", ")),
    }
}
