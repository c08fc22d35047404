//! The problems of a configuration, in a compiler's form: file, line, column, key, problem, and the
//! fix below.
//!
//! They never quote the file, which may contain secrets.

use std::{fmt, fs, io::Read as _, path::Path};

use serde::Serialize;

use super::{
    Source,
    yaml::{MAX_BYTES, Mark, Node, SyntaxError},
};
use crate::settings::Problem;

/// A single problem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Misconfigured {
    pub file: String,
    /// The line, from 1; 0 if the file could not be read at all.
    pub line: usize,
    /// The column, from 1, in characters.
    pub column: usize,
    /// The path of the key; empty for the file as a whole.
    pub key: String,
    pub problem: String,
    pub mend: String,
}

impl fmt::Display for Misconfigured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            file,
            line,
            column,
            key,
            problem,
            mend,
        } = self;

        f.write_str(file)?;
        if *line > 0 {
            write!(f, ":{line}:{column}")?;
        }

        if !key.is_empty() {
            write!(f, ": {key}")?;
        }

        write!(f, ": {problem}")?;

        let label = if mend.ends_with('?') { "" } else { "mend: " };

        write!(f, "\n  {label}{mend}")
    }
}

/// Everything that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors {
    /// The problems, in the files' order.
    pub problems: Vec<Misconfigured>,
    /// The warnings about settings that work but are unwise, as far as they are known.
    pub warnings: Vec<String>,
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.problems.iter().enumerate() {
            let newline = if index > 0 { "\n" } else { "" };
            write!(f, "{newline}{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

impl ConfigErrors {
    /// Builds the errors from what was found. `sources` are the files of the tree, in the order of
    /// [`Mark::file`].
    pub(super) fn new(
        sources: &[Source],
        tree: &Node,
        found: Vec<(Option<Mark>, Problem)>,
    ) -> Self {
        let place = |(at, problem): (Option<Mark>, Problem)| {
            (at.unwrap_or_else(|| tree.locate(&problem.key)), problem)
        };
        let mut placed: Vec<_> = found.into_iter().map(place).collect();
        placed.sort_by_key(|(at, _)| *at);

        let problems = placed
            .into_iter()
            .map(|(at, problem)| one(sources.get(at.file).unwrap_or(&sources[0]), at, problem))
            .collect();

        Self {
            problems,
            warnings: Vec::new(),
        }
    }

    pub(super) fn only(problem: Misconfigured) -> Self {
        Self {
            problems: vec![problem],
            warnings: Vec::new(),
        }
    }

    pub(super) fn syntax(source: &Source, error: SyntaxError) -> Self {
        Self::only(one(
            source,
            error.at,
            Problem::new("", error.what, error.mend),
        ))
    }
}

fn one(source: &Source, at: Mark, Problem { key, what, mend }: Problem) -> Misconfigured {
    Misconfigured {
        file: source.to_string(),
        line: at.line,
        column: at.column,
        key,
        problem: what,
        mend,
    }
}

/// Appends the file and the line to a warning, if the key with which it begins is written
/// somewhere.
pub(super) fn placed(warning: String, sources: &[Source], tree: &Node) -> String {
    let key = warning.split([':', ' ']).next().unwrap_or_default();
    let at = tree.locate(key);
    if at == tree.locate("") {
        return warning;
    }
    let source = sources.get(at.file).unwrap_or(&sources[0]);
    format!("{warning} ({source}:{})", at.line)
}

/// Reads the file, up to slightly more than its maximum length.
pub(super) fn read_file(path: &Path) -> Result<String, ConfigErrors> {
    let fail = |what: String, mend: &str| {
        let source = Source::File(path.to_owned());
        ConfigErrors::only(one(&source, Mark::default(), Problem::new("", what, mend)))
    };

    let unreadable = |error: std::io::Error| {
        fail(
            format!("cannot be read: {error}"),
            "name a file that exists and that this user may read",
        )
    };

    let file = fs::File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(MAX_BYTES as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;

    String::from_utf8(bytes).map_err(|_| fail("is not UTF-8 text".into(), "save it as UTF-8"))
}
