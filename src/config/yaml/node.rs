//! A value in a file with its place. It can be found, and cut out, by the path of its key.

/// A place in a file. Line and column are counted from 1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    /// The index of the file: 0 is the configuration itself, the others are those that it includes.
    pub file: usize,
    pub line: usize,
    pub column: usize,
}

#[derive(Clone)]
pub struct Node {
    pub at: Mark,
    pub value: Value,
}

#[derive(Clone)]
pub enum Value {
    Scalar(Scalar),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

#[derive(Clone)]
pub struct Scalar {
    pub text: String,
    /// Whether the text is written without quotes: only then may it mean a number, true, false or
    /// nothing.
    pub plain: bool,
    /// The text as written, if `${NAME}` was expanded in it. Error messages show this text.
    pub written: Option<String>,
}

impl Scalar {
    /// Returns whether nothing is given: the null of YAML's core schema.
    pub fn is_nothing(&self) -> bool {
        self.plain
            && self.written.is_none()
            && matches!(self.text.as_str(), "" | "~" | "null" | "Null" | "NULL")
    }
}

#[derive(Clone)]
pub struct Entry {
    pub at: Mark,
    pub key: String,
    pub value: Node,
}

impl Node {
    pub fn nothing(at: Mark) -> Self {
        Self {
            at,
            value: Value::Scalar(Scalar {
                text: String::new(),
                plain: true,
                written: None,
            }),
        }
    }

    /// Returns whether nothing is given.
    pub fn is_nothing(&self) -> bool {
        matches!(&self.value, Value::Scalar(scalar) if scalar.is_nothing())
    }

    /// Returns how much an alias to this node adds to the tree: its nodes, where every 64 bytes of
    /// text count as one more.
    pub(super) fn weight(&self) -> usize {
        1 + match &self.value {
            Value::Scalar(scalar) => scalar.text.len() / 64,
            Value::List(items) => items.iter().map(Self::weight).sum(),
            Value::Map(entries) => entries
                .iter()
                .map(|entry| entry.key.len() / 64 + entry.value.weight())
                .sum(),
        }
    }

    pub(super) fn depth(&self) -> usize {
        1 + match &self.value {
            Value::Scalar(_) => 0,
            Value::List(items) => items.iter().map(Self::depth).max().unwrap_or(0),
            Value::Map(entries) => entries
                .iter()
                .map(|entry| entry.value.depth())
                .max()
                .unwrap_or(0),
        }
    }

    /// Records for every key and value in which file it stands.
    pub fn stamp(&mut self, file: usize) {
        self.at.file = file;
        match &mut self.value {
            Value::Scalar(_) => {}
            Value::List(items) => items.iter_mut().for_each(|item| item.stamp(file)),
            Value::Map(entries) => {
                for entry in entries {
                    entry.at.file = file;
                    entry.value.stamp(file);
                }
            }
        }
    }

    /// Returns the place of a key path (`route.routes[0].receiver`), or, if it is not written, of
    /// the nearest ancestor that is.
    pub fn locate(&self, path: &str) -> Mark {
        self.find(path.trim_start_matches('.'), self.at)
    }

    fn find(&self, path: &str, here: Mark) -> Mark {
        if path.is_empty() {
            return here;
        }

        match &self.value {
            Value::List(items) => path
                .strip_prefix('[')
                .and_then(|rest| rest.split_once(']'))
                .and_then(|(index, rest)| Some((items.get(index.parse::<usize>().ok()?)?, rest)))
                .map_or(here, |(item, rest)| {
                    item.find(rest.trim_start_matches('.'), item.at)
                }),
            Value::Map(entries) => entries
                .iter()
                .filter_map(|entry| Some((entry, path.strip_prefix(entry.key.as_str())?)))
                .find(|(_, rest)| rest.is_empty() || rest.starts_with(['.', '[']))
                .map_or(here, |(entry, rest)| {
                    entry.value.find(rest.trim_start_matches('.'), entry.at)
                }),
            Value::Scalar(_) => here,
        }
    }

    /// Removes the node at a path from its map, so that the rest can be examined without it.
    /// Returns whether something was removed.
    ///
    /// An item of a list is not removed by itself, because the paths of its siblings would change:
    /// the whole list is removed.
    pub fn cut(&mut self, path: &str) -> bool {
        match &mut self.value {
            Value::List(items) => {
                let Some((index, rest)) =
                    path.strip_prefix('[').and_then(|rest| rest.split_once(']'))
                else {
                    return false;
                };
                let Some(item) = index
                    .parse()
                    .ok()
                    .and_then(|index: usize| items.get_mut(index))
                else {
                    return false;
                };
                item.cut(rest.trim_start_matches('.'))
            }
            Value::Map(entries) => {
                let found = entries.iter_mut().enumerate().find_map(|(index, entry)| {
                    let rest = path.strip_prefix(entry.key.as_str())?;
                    (rest.is_empty() || rest.starts_with(['.', '['])).then_some((index, rest))
                });
                match found {
                    Some((index, "")) => {
                        entries.remove(index);
                        true
                    }
                    // A value that cannot be cut from within is removed as a whole.
                    Some((index, rest)) => {
                        if !entries[index].value.cut(rest.trim_start_matches('.')) {
                            entries.remove(index);
                        }
                        true
                    }
                    None => false,
                }
            }
            Value::Scalar(_) => false,
        }
    }
}
