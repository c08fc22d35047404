//! Templates of titles and texts. Home of minijinja.
//!
//! A template is compiled and tried on sample notifications when the configuration is loaded, so
//! that a misspelt label is found then and not during the incident. What it may use, in time and in
//! output, is bounded.

use std::{
    collections::BTreeSet,
    io::{self, Write},
    path::PathBuf,
};

use minijinja::{AutoEscape, Environment, Error, Output, UndefinedBehavior, Value};

use super::{
    RenderError,
    context::{self, context},
    sample, text,
};
use crate::{label, settings::Problem};

mod filters;

/// Instructions one rendering may take: a loop without end fails instead of holding up the page.
const FUEL: u64 = 100_000;

/// Bytes one rendering may give: more than any vendor's field takes (15,000 characters of at most 3
/// bytes). What is longer is cut there, as it would be anyway.
const LONGEST_OUTPUT: usize = 64 << 10;

/// Who reads the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Escape {
    /// Plain text.
    No,
    /// Slack's markup: what is filled in has `&`, `<` and `>` escaped, what the template itself
    /// says keeps them. So an operator can write a link or a mention, and an app called
    /// `<!channel>` wakes nobody.
    Slack,
    /// Discord's Markdown: the same, see [`escape_markdown`].
    Markdown,
}

impl Escape {
    /// What makes text of what is filled in.
    fn function(self) -> Option<fn(&str) -> String> {
        match self {
            Self::No => None,
            Self::Slack => Some(escape_slack),
            Self::Markdown => Some(escape_markdown),
        }
    }
}

/// The template files of the configuration, ready to be included or imported by name.
pub struct Shelf {
    environment: Environment<'static>,
}

/// A compiled template of one field.
pub struct Template {
    /// The field as the error names it.
    field: &'static str,
    environment: Environment<'static>,
}

/// The name under which a field's own template is compiled: what an error names beside its line.
const OWN: &str = "template";

impl Shelf {
    /// Reads and parses the files. A file goes by its own name, without its folder.
    pub fn load(files: &[PathBuf], problems: &mut Vec<Problem>) -> Self {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_fuel(Some(FUEL));
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        filters::add(&mut environment);

        let mut names = BTreeSet::new();
        for (index, path) in files.iter().enumerate() {
            let key = format!("templates[{index}]");
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
                problems.push(Problem::new(
                    key,
                    format!("`{}` is no file", path.display()),
                    "name a file",
                ));
                continue;
            };
            if !names.insert(name.to_owned()) {
                let what = format!(
                    "two template files are called `{name}`, and `include` goes by the name"
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

    /// Compiles the template of a field and tries it; `key` is its place in the configuration.
    pub fn compile(
        &self,
        key: &str,
        field: &'static str,
        source: &str,
        escape: Escape,
    ) -> Result<Template, Problem> {
        let wrong = |what: String| {
            Problem::new(
                key,
                what,
                "correct the template; `alertbridge check` tries it again",
            )
        };

        let mut environment = self.environment.clone();

        if let Some(escape) = escape.function() {
            environment.set_auto_escape_callback(|_| AutoEscape::Custom("markup".into()));
            environment.set_formatter(move |out, _, value| escaped(escape, out, value));
        }

        environment
            .add_template_owned(OWN, source.to_owned())
            .map_err(|error| {
                wrong(format!(
                    "the template cannot be read: {}",
                    described(&error)
                ))
            })?;

        let template = Template { field, environment };
        if let Some(unknown) = template.unknown_name() {
            return Err(Problem::new(
                key,
                format!("the template speaks of `{unknown}`, which is no label"),
                mend_name(&unknown),
            ));
        }

        for (which, notification) in sample::notifications() {
            let tried = sample::parcel(&notification, |parcel| template.render(&context(parcel)));
            tried.map_err(|error| wrong(format!("tried on {which}, {error}")))?;
        }

        Ok(template)
    }
}

impl Template {
    /// The text for a context made by [`context()`].
    pub fn render(&self, context: &Value) -> Result<String, RenderError> {
        self.rendered(context)
            .map_err(|error| RenderError::Template {
                field: self.field,
                message: described(&error),
            })
    }

    fn rendered(&self, context: &Value) -> Result<String, Error> {
        let mut out = Bounded::default();
        let done = self
            .environment
            .get_template(OWN)?
            .render_captured_to(context.clone(), &mut out);

        match done {
            Err(error) if !out.full => Err(error),
            _ => Ok(String::from_utf8_lossy(&out.bytes).into_owned()),
        }
    }

    /// A name the template uses that nothing will ever give a value, in whatever branch.
    fn unknown_name(&self) -> Option<String> {
        let template = self.environment.get_template(OWN).ok()?;
        let functions: BTreeSet<String> = self
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
                        !label::NAMES.contains(&label) && label != label::STAGE
                    }
                    (name, _) => {
                        !label::NAMES.contains(&name)
                            && !context::NAMES.contains(&name)
                            && !functions.contains(name)
                    }
                }
            })
            .collect();

        unknown.sort_unstable();

        unknown.into_iter().next()
    }
}

/// Whether a text is meant as a template: `{{ … }}` or `{% … %}`.
pub fn looks_like_template(text: &str) -> bool {
    [("{{", "}}"), ("{%", "%}")]
        .into_iter()
        .any(|(open, close)| text.find(open).is_some_and(|at| text[at..].contains(close)))
}

/// `&`, `<` and `>` and nothing else, as Slack asks.
pub fn escape_slack(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// A backslash before what Discord's Markdown gives a meaning: emphasis, code, spoilers, headings,
/// quotes, `<@mentions>`, and the parenthesis that would make a link of the bracket before it.
pub fn escape_markdown(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    // Another value, or the template, may have ended in a bracket.
    let mut before = ']';

    for c in text.chars() {
        if matches!(c, '\\' | '*' | '_' | '~' | '`' | '|' | '#' | '<' | '>')
            || (c == '(' && before == ']')
        {
            escaped.push('\\');
        }
        escaped.push(c);
        before = c;
    }

    escaped
}

fn escaped(escape: fn(&str) -> String, out: &mut Output<'_>, value: &Value) -> Result<(), Error> {
    let text = value.to_string();
    // What a macro or an include gives was escaped when its parts were filled in.
    let text = if value.is_safe() { text } else { escape(&text) };
    Ok(out.write_str(&text)?)
}

/// The label that was probably meant, or all of them.
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

/// An error in one short line, with its cause.
fn described(error: &Error) -> String {
    let mut line = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(deeper) = cause {
        line = format!("{line}: {deeper}");
        cause = deeper.source();
    }
    text::cut(&text::one_line(&line), 300)
}

/// Output up to [`LONGEST_OUTPUT`]; then it refuses, which ends the rendering.
#[derive(Default)]
struct Bounded {
    bytes: Vec<u8>,
    full: bool,
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = LONGEST_OUTPUT - self.bytes.len();
        if room == 0 && !bytes.is_empty() {
            self.full = true;
            return Err(io::Error::other("the output is too long"));
        }
        let taken = bytes.len().min(room);
        self.bytes.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
