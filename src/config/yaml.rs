//! YAML as a tree in which every key and value knows its line and column. Home of granit-parser.
//!
//! Bounded against hostile files: at most [`MAX_BYTES`], [`MAX_NODES`] after aliases, [`MAX_DEPTH`]
//! levels.

use std::collections::HashMap;

use granit_parser::{Event, Options, Parser, ScalarStyle, Span, options};

/// The longest file read.
pub const MAX_BYTES: usize = 1 << 20;
const MAX_NODES: usize = 100_000;
/// Two for each of the 64 levels that routes may have, and some.
const MAX_DEPTH: usize = 160;

/// A place in a file; line and column are counted from 1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    /// Which of the files: 0 is the configuration itself, the others are those that it includes.
    pub file: usize,
    pub line: usize,
    pub column: usize,
}

impl From<Span> for Mark {
    fn from(span: Span) -> Self {
        Self {
            file: 0,
            line: span.start.line().max(1),
            column: span.start.col() + 1,
        }
    }
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
    /// Without quotes: only then may it mean a number, true, false or nothing.
    pub plain: bool,
    /// As written, where `${NAME}` was expanded in it: what error messages show.
    pub written: Option<String>,
}

impl Scalar {
    /// Whether nothing is given: the null of YAML's core schema.
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

    /// Whether nothing is given.
    pub fn is_nothing(&self) -> bool {
        matches!(&self.value, Value::Scalar(scalar) if scalar.is_nothing())
    }

    /// How much an alias to it adds to the tree: nodes, and 64 bytes of text for one more.
    fn weight(&self) -> usize {
        1 + match &self.value {
            Value::Scalar(scalar) => scalar.text.len() / 64,
            Value::List(items) => items.iter().map(Self::weight).sum(),
            Value::Map(entries) => entries
                .iter()
                .map(|entry| entry.key.len() / 64 + entry.value.weight())
                .sum(),
        }
    }

    fn depth(&self) -> usize {
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

    /// Says of every key and value which file it stands in.
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

    /// Where the key path (`route.routes[0].receiver`) stands; where it is not written, the nearest
    /// ancestor that is.
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

    /// Takes the node at a path out of its list or map, so that the rest can be looked at without
    /// it. In a list nothing is left in its place, lest the paths of its siblings change.
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
                    // What cannot be cut from within goes as a whole.
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

/// Why a text is no tree. Never quotes the text, which may hold a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyntaxError {
    pub at: Mark,
    pub what: String,
    pub mend: &'static str,
}

/// Reads the one document of a file.
pub fn parse(text: &str) -> Result<Node, SyntaxError> {
    let start = Mark {
        file: 0,
        line: 1,
        column: 1,
    };

    if text.len() > MAX_BYTES {
        return Err(SyntaxError {
            at: start,
            what: format!("the file is longer than {} KiB", MAX_BYTES >> 10),
            mend: "a configuration is never that long: is it the right file?",
        });
    }

    let options: Options = options! { disallow_directives: true };
    let mut builder = Builder::default();

    for event in Parser::new_from_str_with_options(text, options) {
        let (event, span) = event.map_err(|error| SyntaxError {
            at: Mark {
                file: 0,
                line: error.marker().line().max(1),
                column: error.marker().col() + 1,
            },
            what: format!("this is not YAML: {}", error.info()),
            mend: "look at the indentation, quotes and brackets of this line and the one before",
        })?;
        builder.take(&event, span.into())?;
    }

    Ok(builder.root.unwrap_or_else(|| Node::nothing(start)))
}

/// A collection being read, its anchor (0: none) and, in a map, the key in hand.
type Open = (Node, usize, Option<(String, Mark)>);

#[derive(Default)]
struct Builder {
    /// The collections that are open, the innermost last.
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    root: Option<Node>,
    nodes: usize,
}

impl Builder {
    fn take(&mut self, event: &Event<'_>, at: Mark) -> Result<(), SyntaxError> {
        let refuse = |what: &str, mend| {
            Err(SyntaxError {
                at,
                what: what.to_owned(),
                mend,
            })
        };

        if event.tag().is_some() {
            return refuse(
                "YAML tags (`!name`) have no meaning here",
                "write the value without its tag",
            );
        }

        match event {
            Event::DocumentStart(..) if self.root.is_some() => refuse(
                "a second YAML document begins here",
                "keep one: drop everything from the `---` on",
            ),
            Event::Scalar(text, style, anchor, _) => {
                let plain = *style == ScalarStyle::Plain;
                let scalar = Scalar {
                    text: text.clone().into_owned(),
                    plain,
                    written: None,
                };
                self.place(
                    Node {
                        at,
                        value: Value::Scalar(scalar),
                    },
                    *anchor,
                )
            }
            Event::SequenceStart(_, anchor, _) => self.begin(
                Node {
                    at,
                    value: Value::List(Vec::new()),
                },
                *anchor,
            ),
            Event::MappingStart(_, anchor, _) => self.begin(
                Node {
                    at,
                    value: Value::Map(Vec::new()),
                },
                *anchor,
            ),
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some((node, anchor, _)) => self.place(node, anchor),
                None => Ok(()),
            },
            Event::Alias(anchor) => match self.anchors.get(anchor).cloned() {
                Some(mut node) => {
                    node.at = at;
                    self.nodes += node.weight();
                    if self.open.len() + node.depth() > MAX_DEPTH {
                        return refuse(
                            "this is nested too deep",
                            "flatten it to at most 160 levels",
                        );
                    }
                    self.place(node, 0)
                }
                None => refuse(
                    "this alias names an anchor that holds it",
                    "write the value out",
                ),
            },
            _ => Ok(()),
        }
    }

    fn begin(&mut self, node: Node, anchor: usize) -> Result<(), SyntaxError> {
        if self.open.len() >= MAX_DEPTH {
            return Err(SyntaxError {
                at: node.at,
                what: "this is nested too deep".into(),
                mend: "flatten it to at most 160 levels",
            });
        }

        self.open.push((node, anchor, None));
        Ok(())
    }

    /// Puts a finished node where it belongs: it is the key or value in hand, an item, or the
    /// whole.
    fn place(&mut self, node: Node, anchor: usize) -> Result<(), SyntaxError> {
        let at = node.at;
        let refuse = |what: &str, mend| {
            Err(SyntaxError {
                at,
                what: what.to_owned(),
                mend,
            })
        };

        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return refuse(
                "the file has too many values",
                "a configuration never has 100000: is it the right file?",
            );
        }

        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }

        match self.open.last_mut() {
            None => self.root = Some(node),
            Some((
                Node {
                    value: Value::List(items),
                    ..
                },
                ..,
            )) => items.push(node),
            Some((
                Node {
                    value: Value::Map(entries),
                    ..
                },
                _,
                key,
            )) => match (key.take(), node.value) {
                (Some((key, at)), value) => entries.push(Entry {
                    at,
                    key,
                    value: Node { at: node.at, value },
                }),
                (None, Value::Scalar(scalar)) => *key = Some((scalar.text, at)),
                (None, _) => {
                    return refuse("a list or map cannot be a key", "keys are plain words");
                }
            },
            Some(_) => {}
        }

        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str, path: &str) -> (usize, usize) {
        let Mark { line, column, .. } = parse(text).unwrap().locate(path);
        (line, column)
    }

    fn refused(text: &str) -> String {
        parse(text).map(|_| ()).unwrap_err().what
    }

    #[test]
    fn a_key_path_leads_to_its_line_and_column() {
        let text =
            "route:\n  receiver: a\n  routes:\n    - receiver: b\n      matchers: [x=y, z]\n";
        assert_eq!(at(text, "route.receiver"), (2, 3));
        assert_eq!(at(text, "route.routes[0].receiver"), (4, 7));
        assert_eq!(at(text, "route.routes[0].matchers[1]"), (5, 23));
    }

    #[test]
    fn a_key_that_is_not_written_leads_to_the_nearest_that_is() {
        let text = "route:\n  routes:\n    - continue: true\n";
        assert_eq!(at(text, "route.routes[0].receiver"), (3, 7));
        assert_eq!(at(text, "route.routes[7]"), (2, 3));
        assert_eq!(at(text, "receivers[0]"), (1, 1));
    }

    #[test]
    fn columns_count_characters() {
        assert_eq!(at("{ é: 1, ü: 2 }", "ü"), (1, 9));
    }

    #[test]
    fn depth_is_bounded() {
        assert!(parse(&("[".repeat(150) + &"]".repeat(150))).is_ok());
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        assert!(!refused(&deep).is_empty());
        let grown = (1..90).fold(String::from("a0: &a0 [1]\n"), |yaml, n| {
            yaml + &format!("a{n}: &a{n} [[*a{}]]\n", n - 1)
        });
        assert!(refused(&grown).contains("too deep"));
    }

    #[test]
    fn aliases_cannot_blow_the_tree_up() {
        let bomb = (1..9).fold(String::from("a0: &a0 [1]\n"), |yaml, n| {
            yaml + &format!(
                "a{n}: &a{n} [{}]\n",
                vec![format!("*a{}", n - 1); 10].join(", ")
            )
        });
        assert!(refused(&bomb).contains("too many"));
        let long = format!(
            "a: &a {}\nb: [{}]\n",
            "x".repeat(500_000),
            vec!["*a"; 20_000].join(", ")
        );
        assert!(refused(&long).contains("too many"));
    }

    #[test]
    fn a_file_is_never_longer_than_a_mebibyte() {
        assert!(refused(&"#".repeat(MAX_BYTES + 1)).contains("longer"));
    }
}
