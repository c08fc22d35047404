//! Prepares the tree before the settings are read from it: repeated keys are reported, merge keys
//! (`<<`) merged, `${NAME}` expanded in values, and file names made relative to the configuration's
//! folder.

use std::path::Path;

use super::yaml::{Mark, Node, Value};
use crate::settings::Problem;

/// Looks up an environment variable.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Prepares the tree. Each problem comes with its place if its key path does not lead there.
pub fn prepare(
    tree: &mut Node,
    environment: Environment<'_>,
    folder: &Path,
) -> Vec<(Option<Mark>, Problem)> {
    let mut pass = Pass {
        environment,
        folder,
        problems: Vec::new(),
    };
    pass.walk(tree, "", Role::Other);
    pass.problems
}

/// The use of a value, as far as it matters here.
#[derive(Clone, Copy, PartialEq)]
enum Role {
    File,
    Other,
    /// A value below `details` or `headers`, whose keys are the user's own.
    Details,
}

struct Pass<'a> {
    environment: Environment<'a>,
    folder: &'a Path,
    problems: Vec<(Option<Mark>, Problem)>,
}

impl Pass<'_> {
    fn walk(&mut self, node: &mut Node, path: &str, role: Role) {
        match &mut node.value {
            Value::List(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    self.walk(item, &format!("{path}[{index}]"), role);
                }
            }
            Value::Map(_) => self.map(node, path, role),
            Value::Scalar(scalar) => {
                match expand(&scalar.text, self.environment) {
                    Ok(None) => {}
                    Ok(Some(text)) => {
                        scalar.written = Some(std::mem::replace(&mut scalar.text, text));
                    }
                    Err(problem) => self.problems.push((
                        None,
                        Problem {
                            key: path.to_owned(),
                            ..problem
                        },
                    )),
                }
                if role == Role::File && !scalar.is_nothing() {
                    scalar.text = self
                        .folder
                        .join(&scalar.text)
                        .to_string_lossy()
                        .into_owned();
                }
            }
        }
    }

    fn map(&mut self, node: &mut Node, path: &str, role: Role) {
        let at = node.at;
        let Value::Map(entries) = &mut node.value else {
            return;
        };
        let mut seen: Vec<(String, Mark)> = Vec::new();
        entries.retain(|entry| {
            let Some((_, first)) = seen.iter().find(|(key, _)| *key == entry.key) else {
                seen.push((entry.key.clone(), entry.at));
                return true;
            };
            let problem = Problem::new(
                join(path, &entry.key),
                format!(
                    "`{}` is given a second time; it was first given in line {}",
                    entry.key, first.line
                ),
                "keep one of them",
            );
            self.problems.push((Some(entry.at), problem));
            false
        });

        if let Some(index) = entries.iter().position(|entry| entry.key == "<<") {
            let merged = entries.remove(index).value;
            let sources = match merged.value {
                Value::List(items) => items,
                _ => vec![merged],
            };
            for source in sources {
                let Value::Map(more) = source.value else {
                    let problem = Problem::new(
                        path,
                        "`<<` merges something that is not a map",
                        "merge a map",
                    );
                    self.problems.push((Some(at), problem));
                    continue;
                };
                for entry in more {
                    if !entries.iter().any(|own| own.key == entry.key) {
                        entries.push(entry);
                    }
                }
            }
        }

        for entry in entries {
            let inner = match entry.key.as_str() {
                _ if role == Role::Details => Role::Details,
                "details" | "headers" => Role::Details,
                "templates" | "include" => Role::File,
                "mail" if is_test_of_profile(path) => Role::File,
                key if key.ends_with("_file") => Role::File,
                _ => Role::Other,
            };
            self.walk(&mut entry.value, &join(path, &entry.key), inner);
        }
    }
}

/// Returns whether a path is `profiles[i].tests[j]`.
fn is_test_of_profile(path: &str) -> bool {
    path.starts_with("profiles[") && path.contains("].tests[")
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

/// Returns the text with every `${NAME}` expanded and every `$${` replaced by `${`; `None` if there
/// is nothing to do.
fn expand(text: &str, environment: Environment<'_>) -> Result<Option<String>, Problem> {
    if !text.contains("${") {
        return Ok(None);
    }

    let mut out = String::with_capacity(text.len());
    let mut rest = text;

    while let Some(at) = rest.find("${") {
        if let Some(before) = rest[..at].strip_suffix('$') {
            out.push_str(before);
            out.push_str("${");
            rest = &rest[at + 2..];
            continue;
        }
        out.push_str(&rest[..at]);
        let after = &rest[at + 2..];
        let name = after
            .split_once('}')
            .map(|(name, _)| name)
            .filter(|name| is_name(name))
            .ok_or_else(|| {
                Problem::new(
                    "",
                    "`${` does not begin the name of an environment variable",
                    "write `${NAME}`, or `$${` for a literal `${`",
                )
            })?;
        let value = environment(name).ok_or_else(|| {
            Problem::new(
                "",
                format!("the environment variable `{name}` is not set"),
                format!("set `{name}`, or write `$${{{name}}}` for the literal text"),
            )
        })?;
        out.push_str(&value);
        rest = &after[name.len() + 1..];
    }

    out.push_str(rest);

    Ok(Some(out))
}

/// Returns the values from the environment below `receivers`, each with its key path. They may all
/// be credentials.
pub fn given(tree: &Node, environment: Environment<'_>) -> Vec<(String, String)> {
    fn walk(
        node: &Node,
        path: &str,
        environment: Environment<'_>,
        given: &mut Vec<(String, String)>,
    ) {
        match &node.value {
            Value::Scalar(scalar) => {
                for piece in scalar
                    .written
                    .iter()
                    .flat_map(|text| text.split("${").skip(1))
                {
                    let name = piece.split('}').next().unwrap_or_default();
                    given.extend(environment(name).map(|value| (path.to_owned(), value)));
                }
            }
            Value::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    walk(item, &format!("{path}[{index}]"), environment, given);
                }
            }
            Value::Map(entries) => {
                for entry in entries {
                    walk(&entry.value, &join(path, &entry.key), environment, given);
                }
            }
        }
    }

    let mut found = Vec::new();
    if let Value::Map(entries) = &tree.value {
        for entry in entries.iter().filter(|entry| entry.key == "receivers") {
            walk(&entry.value, "receivers", environment, &mut found);
        }
    }
    found
}

fn is_name(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Returns every file that the tree names by a key ending in `_file`, with its key path.
pub fn files(tree: &Node) -> Vec<(String, String)> {
    fn walk(node: &Node, path: &str, found: &mut Vec<(String, String)>) {
        match &node.value {
            Value::Scalar(_) => {}
            Value::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    walk(item, &format!("{path}[{index}]"), found);
                }
            }
            Value::Map(entries) => {
                for entry in entries
                    .iter()
                    .filter(|entry| !["details", "headers"].contains(&entry.key.as_str()))
                {
                    let path = join(path, &entry.key);
                    match &entry.value.value {
                        Value::Scalar(scalar) if entry.key.ends_with("_file") => {
                            if !scalar.is_nothing() {
                                found.push((path, scalar.text.clone()));
                            }
                        }
                        _ => walk(&entry.value, &path, found),
                    }
                }
            }
        }
    }

    let mut found = Vec::new();
    walk(tree, "", &mut found);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(name: &str) -> Option<String> {
        (name == "HOST").then(|| "mail.example.com".to_owned())
    }

    #[test]
    fn variables_expand_wherever_they_stand_in_a_value() {
        assert_eq!(
            expand("imaps://${HOST}/x", &environment),
            Ok(Some("imaps://mail.example.com/x".into()))
        );
        assert_eq!(expand("no variable, $HOST neither", &environment), Ok(None));
    }

    #[test]
    fn two_dollars_keep_the_text_itself() {
        assert_eq!(expand("$${HOST}", &environment), Ok(Some("${HOST}".into())));
    }

    #[test]
    fn a_missing_variable_is_named() {
        let problem = expand("${PORT}", &environment).unwrap_err();
        assert!(problem.what.contains("`PORT` is not set"), "{problem:?}");
    }

    #[test]
    fn a_default_inside_the_braces_is_refused_rather_than_taken_for_a_name() {
        assert!(expand("${HOST:-x}", &environment).is_err());
        assert!(expand("${HOST", &environment).is_err());
    }
}
