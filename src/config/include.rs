//! The setting `include:`: a configuration in several files, which are merged into one tree before
//! the settings are read from it.
//!
//! Lists are joined: the configuration's own items come first, and the others follow file by file
//! in the order of their names. Maps are merged key by key. A key that two files give is a problem
//! that names both places, since no file overrides another.

use std::{
    collections::BTreeSet,
    fs,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use glob::{MatchOptions, glob_with};

use super::{
    ConfigErrors, Source, errors,
    values::{self, Environment},
    yaml::{self, Entry, Mark, Node, Value},
};
use crate::settings::Problem;

/// The maximum number of files that are read. A pattern that matches more was not meant that way.
const MAX_FILES: usize = 1000;

/// The characters that make a path a pattern.
const WILDCARDS: [char; 3] = ['*', '?', '['];

/// The matching of a shell: `*` matches neither `/` nor the hidden files that editors leave behind.
const AS_SHELLS_DO: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: true,
};

/// Problems, each with its place if its key path does not lead there.
type Found = Vec<(Option<Mark>, Problem)>;

/// The result of reading the included files.
pub struct Included {
    /// Every file of the configuration, in the order of [`Mark::file`]. The first is the
    /// configuration itself.
    pub sources: Vec<Source>,
    pub warnings: Vec<String>,
}

/// Merges the content of the files that the prepared `tree` includes into it.
///
/// A file that cannot be read or parsed is an error.
pub fn merge(
    tree: &mut Node,
    source: &Source,
    environment: Environment<'_>,
    found: &mut Found,
) -> Result<Included, ConfigErrors> {
    let mut included = Included {
        sources: vec![source.clone()],
        warnings: Vec::new(),
    };

    let paths = matching(&patterns(tree), source, found, &mut included.warnings);

    for path in paths {
        let source = Source::File(path);
        let file = included.sources.len();
        let mut more = parse(&source, &mut included.warnings)?;
        more.stamp(file);
        let problems = values::prepare(&mut more, environment, source.folder());
        found.extend(problems.into_iter().map(|(at, problem)| {
            (
                Some(at.unwrap_or_else(|| more.locate(&problem.key))),
                problem,
            )
        }));

        included.sources.push(source);
        let mut join = Join {
            sources: &included.sources,
            found,
        };
        join.file(tree, more);
    }

    Ok(included)
}

/// Returns the patterns of `include`, each with its key. A pattern that is not text is reported
/// when the settings are read.
fn patterns(tree: &Node) -> Vec<(String, String)> {
    let Value::Map(entries) = &tree.value else {
        return Vec::new();
    };
    let list = entries
        .iter()
        .find(|entry| entry.key == "include")
        .map(|entry| &entry.value.value);

    let Some(Value::List(items)) = list else {
        return Vec::new();
    };

    let texts = items
        .iter()
        .enumerate()
        .filter_map(|(index, item)| match &item.value {
            Value::Scalar(scalar) => Some((format!("include[{index}]"), scalar.text.clone())),
            _ => None,
        });

    texts.collect()
}

/// Returns the files that the patterns match, each once, and never the configuration itself.
fn matching(
    patterns: &[(String, String)],
    source: &Source,
    found: &mut Found,
    warnings: &mut Vec<String>,
) -> Vec<PathBuf> {
    let mut known = BTreeSet::new();
    if let Source::File(path) = source {
        known.insert(identity(path));
    }

    let mut paths = Vec::new();
    for (key, pattern) in patterns {
        let mut refuse = |what: String, mend: &str| {
            found.push((None, Problem::new(key.clone(), what, mend)));
        };
        let is_pattern = pattern.contains(WILDCARDS);
        let files = match files(pattern) {
            Ok(files) => files,
            Err((what, mend)) => {
                refuse(what, mend);
                continue;
            }
        };

        let before = paths.len();
        paths.extend(
            files
                .into_iter()
                .filter(|path| known.insert(identity(path))),
        );
        if paths.len() > MAX_FILES {
            let what = format!("`{pattern}` matches more than {MAX_FILES} files");
            refuse(what, "name the folder that holds the configuration alone");
            paths.clear();
            return paths;
        }
        if Path::new(pattern).is_dir() {
            refuse(
                format!("`{pattern}` is a folder, and none of its files would be read"),
                "name the files in it: `conf.d/*.yaml`",
            );
        } else if paths.len() == before && !is_pattern && !Path::new(pattern).exists() {
            refuse(
                format!("there is no file `{pattern}`"),
                "correct the path, or drop it",
            );
        } else if paths.len() == before && is_pattern {
            warnings.push(format!("{key}: no file matches `{pattern}`"));
        }
    }

    paths
}

/// Returns the files that a pattern matches, or what is wrong and how to mend it.
///
/// A folder that cannot be read is not an empty one: whatever it holds would go out of force.
fn files(pattern: &str) -> Result<Vec<PathBuf>, (String, &'static str)> {
    let unreadable = |path: &Path, error: &io::Error| {
        let what = format!("`{}` cannot be read: {error}", path.display());
        (what, "let this user read it, or drop the pattern")
    };

    // Below a folder that cannot be entered, nothing seems to exist.
    let folder = folder(pattern);
    if let Err(error) = fs::metadata(folder)
        && !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
    {
        return Err(unreadable(folder, &error));
    }

    let matched = glob_with(pattern, AS_SHELLS_DO).map_err(|error| {
        let what = format!("`{pattern}` is not a valid pattern: {}", error.msg);
        (what, "write it like `conf.d/*.yaml`")
    })?;

    let mut files = Vec::new();
    for path in matched {
        let path = path.map_err(|error| unreadable(error.path(), error.error()))?;
        if !path.is_dir() {
            files.push(path);
        }
    }
    Ok(files)
}

/// Returns the folder in which a pattern begins to match.
fn folder(pattern: &str) -> &Path {
    let wildcard = pattern.find(WILDCARDS).unwrap_or(pattern.len());
    let end = pattern[..wildcard].rfind('/').unwrap_or(0);
    Path::new(&pattern[..end])
}

/// Returns the identity of a file, whatever the path to it.
fn identity(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

/// Parses an included file. An empty one is not an error, because earlier versions accepted it, but
/// it is usually a file that was cut, and what it contained is no longer in force.
fn parse(source: &Source, warnings: &mut Vec<String>) -> Result<Node, ConfigErrors> {
    let Source::File(path) = source else {
        return Ok(Node::nothing(Mark::default()));
    };
    let text = errors::read_file(path)?;
    if text.trim_start_matches('\u{feff}').trim().is_empty() {
        warnings.push(format!(
            "include: {} is empty, so it configures nothing: restore its contents, or delete it",
            path.display()
        ));
    }
    yaml::parse(&text).map_err(|error| ConfigErrors::syntax(source, error))
}

/// Joins two trees.
struct Join<'a> {
    sources: &'a [Source],
    found: &'a mut Found,
}

impl Join<'_> {
    fn file(&mut self, tree: &mut Node, more: Node) {
        if more.is_nothing() {
            return;
        }

        let at = more.at;
        let Value::Map(mut entries) = more.value else {
            let what = "an included file must be a map of keys, like the main configuration file";
            let mend = "begin it with a key: `receivers:`, `route:`";
            self.found.push((Some(at), Problem::new("", what, mend)));
            return;
        };

        entries.retain(|entry| {
            let nested = entry.key == "include";
            if nested {
                let what = "an included file cannot include other files";
                let mend = "list all files in the `include` of the main configuration file";
                self.found
                    .push((Some(entry.at), Problem::new("include", what, mend)));
            }
            !nested
        });

        // A configuration that contains only comments is not a map yet.
        if tree.is_nothing() {
            tree.value = Value::Map(Vec::new());
        }

        self.node(
            tree,
            Node {
                at,
                value: Value::Map(entries),
            },
            "",
            at,
        );
    }

    /// Joins `more` into a node. `key_at` is the place of the key that contains `more`.
    fn node(&mut self, into: &mut Node, more: Node, path: &str, key_at: Mark) {
        if more.is_nothing() {
            return;
        }

        if into.is_nothing() {
            *into = more;
            return;
        }

        match (&mut into.value, more.value) {
            (Value::List(items), Value::List(more)) => items.extend(more),
            (Value::Map(entries), Value::Map(more)) => self.map(entries, more, path),
            _ => self.twice(path, into.at, key_at),
        }
    }

    fn map(&mut self, entries: &mut Vec<Entry>, more: Vec<Entry>, path: &str) {
        for entry in more {
            let dot = if path.is_empty() { "" } else { "." };
            let path = format!("{path}{dot}{}", entry.key);
            match entries.iter_mut().find(|known| known.key == entry.key) {
                Some(known) => self.node(&mut known.value, entry.value, &path, entry.at),
                None => entries.push(entry),
            }
        }
    }

    fn twice(&mut self, path: &str, first: Mark, second: Mark) {
        let file = self.sources.get(first.file).unwrap_or(&self.sources[0]);
        let name = path.rsplit('.').next().unwrap_or(path);
        let what = format!(
            "`{name}` is given a second time; it was first given in {file}:{}",
            first.line
        );
        self.found
            .push((Some(second), Problem::new(path, what, "keep one of them")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_is_warned_of_by_its_name_and_one_with_a_comment_is_not() {
        let folder = tempfile::tempdir().unwrap();
        for (number, (text, is_empty)) in [
            ("", true),
            ("\n", true),
            (" \t\r\n\n", true),
            ("\u{feff}\n", true),
            ("# nothing yet\n", false),
            ("routes: []\n", false),
        ]
        .into_iter()
        .enumerate()
        {
            let file = folder.path().join(format!("{number}.yaml"));
            fs::write(&file, text).unwrap();

            let mut warnings = Vec::new();
            assert!(
                parse(&Source::File(file), &mut warnings).is_ok(),
                "{text:?}"
            );

            let name = format!("{number}.yaml is empty");
            assert_eq!(
                warnings.iter().any(|warning| warning.contains(&name)),
                is_empty,
                "{text:?}: {warnings:?}"
            );
            assert_eq!(warnings.len(), usize::from(is_empty), "{text:?}");
        }
    }
}
