//! YAML as a tree in which every key and value knows its line and column. Home of granit-parser.
//!
//! The tree is bounded against hostile files: at most [`MAX_BYTES`], [`MAX_NODES`] after aliases,
//! and [`MAX_DEPTH`] levels.

use std::collections::HashMap;

use granit_parser::{Event, Options, Parser, ScalarStyle, Span, options};

mod node;

pub use node::{Entry, Mark, Node, Scalar, Value};

/// The maximum length of a file, in bytes.
pub const MAX_BYTES: usize = 1 << 20;
const MAX_NODES: usize = 100_000;
/// The maximum depth: two levels for each of the 64 that routes may have, and some more.
const MAX_DEPTH: usize = 160;

impl From<Span> for Mark {
    fn from(span: Span) -> Self {
        Self {
            file: 0,
            line: span.start.line().max(1),
            column: span.start.col() + 1,
        }
    }
}

/// Why a text is not a valid file. Never quotes the text, which may hold a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyntaxError {
    pub at: Mark,
    pub what: String,
    pub mend: &'static str,
}

impl SyntaxError {
    fn new(at: Mark, what: &str, mend: &'static str) -> Self {
        Self {
            at,
            what: what.to_owned(),
            mend,
        }
    }

    fn too_deep(at: Mark) -> Self {
        Self::new(
            at,
            "this is nested too deep",
            "flatten it to at most 160 levels",
        )
    }
}

/// Parses the single document of a file.
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
            mend: mend(&error.info()),
        })?;
        builder.take(&event, span.into())?;
    }

    Ok(builder.root.unwrap_or_else(|| Node::nothing(start)))
}

/// Suggests a fix for a text that is not YAML.
fn mend(info: &str) -> &'static str {
    if info.contains("escape character") {
        "between double quotes a backslash begins an escape: write expressions between single \
         quotes, '…'"
    } else if info.starts_with("unexpected character") {
        "put quotes around a text that begins with a sign: \"@example.com\""
    } else {
        "look at the indentation, quotes and brackets of this line and the one before"
    }
}

/// A collection that is being read, its anchor (0: none) and, in a map, the current key.
type Open = (Node, usize, Option<(String, Mark)>);

#[derive(Default)]
struct Builder {
    /// The open collections, the innermost last.
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    root: Option<Node>,
    nodes: usize,
}

impl Builder {
    fn take(&mut self, event: &Event<'_>, at: Mark) -> Result<(), SyntaxError> {
        let refuse = |what, mend| Err(SyntaxError::new(at, what, mend));

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
                let value = Value::Scalar(Scalar {
                    text: text.clone().into_owned(),
                    plain: *style == ScalarStyle::Plain,
                    written: None,
                });
                self.place(Node { at, value }, *anchor)
            }
            Event::SequenceStart(_, anchor, _) => {
                let value = Value::List(Vec::new());
                self.begin(Node { at, value }, *anchor)
            }
            Event::MappingStart(_, anchor, _) => {
                let value = Value::Map(Vec::new());
                self.begin(Node { at, value }, *anchor)
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some((node, anchor, _)) => self.place(node, anchor),
                None => Ok(()),
            },
            Event::Alias(anchor) => match self.anchors.get(anchor).cloned() {
                Some(mut node) => {
                    node.at = at;
                    self.nodes += node.weight();
                    if self.open.len() + node.depth() > MAX_DEPTH {
                        return Err(SyntaxError::too_deep(at));
                    }
                    self.place(node, 0)
                }
                None => refuse(
                    "this alias refers to an anchor that contains it",
                    "write the value out",
                ),
            },
            _ => Ok(()),
        }
    }

    fn begin(&mut self, node: Node, anchor: usize) -> Result<(), SyntaxError> {
        if self.open.len() >= MAX_DEPTH {
            return Err(SyntaxError::too_deep(node.at));
        }

        self.open.push((node, anchor, None));
        Ok(())
    }

    /// Puts a finished node where it belongs: it is the current key or its value, an item, or the
    /// whole document.
    fn place(&mut self, node: Node, anchor: usize) -> Result<(), SyntaxError> {
        let at = node.at;
        let refuse = |what, mend| Err(SyntaxError::new(at, what, mend));

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
                    return refuse(
                        "a list or map cannot be a key",
                        "keys are plain words; put a template in quotes: \"{{ … }}\"",
                    );
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
