//! Rendering of HTML: the text that a reader sees, and the pairs that its tables and lists contain.
//!
//! Block elements break lines, tabs separate the cells of a row, and a run of white space is one
//! space, as mail programs show it.

use std::iter::repeat_n;

use self::{
    sight::{Open, Which},
    table::{LONGEST_CELL, Table},
};
use super::{
    markup::{Name, Piece, Pieces, attribute, decode},
    pairs::{
        LONGEST_LABEL, Lines,
        line::{laid_out, pair},
    },
    rewritten, spaced,
};

mod sight;
mod table;

/// The largest number of links that are kept.
const MAX_LINKS: usize = 500;

/// The elements that begin and end a line.
const BLOCKS: [&str; 37] = [
    "address",
    "article",
    "aside",
    "blockquote",
    "body",
    "caption",
    "center",
    "dd",
    "details",
    "dialog",
    "dir",
    "div",
    "dl",
    "dt",
    "fieldset",
    "figcaption",
    "figure",
    "footer",
    "form",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "header",
    "hr",
    "li",
    "main",
    "menu",
    "nav",
    "ol",
    "p",
    "pre",
    "section",
    "summary",
    "ul",
];

/// The rendered content of a document.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Rendered {
    pub text: String,
    pub pairs: Lines,
    /// The words and the target of each link.
    pub links: Vec<(String, String)>,
    /// Whether the document says more than that.
    pub is_cut: bool,
}

impl Rendered {
    /// Appends what the document that follows says.
    pub fn append(&mut self, more: Self) {
        self.text += &more.text;
        self.pairs.append(more.pairs);
        self.links.extend(more.links);
        self.is_cut |= more.is_cut;
    }
}

/// The gap between two texts.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Gap {
    #[default]
    None,
    Space,
    Line,
    /// The gap between two cells of a row.
    Tab,
}

/// Reads a document: what a reader sees of it, and what is hidden from the reader, each up to
/// `longest` bytes of text. Hidden text may be meant for machines, so it is read, but never
/// together with what is seen.
pub(super) fn render(html: &str, longest: usize) -> [Rendered; 2] {
    let (seen, leaves_out) = page(html, longest, Which::Seen);
    let hidden = if leaves_out {
        page(html, longest, Which::Unseen).0
    } else {
        Rendered::default()
    };
    [seen, hidden]
}

/// Returns the whole text of a document, whether it is seen or not.
pub(super) fn text(html: &str, longest: usize) -> String {
    page(html, longest, Which::All).0.text
}

/// Reads some words of a document, and returns whether it has others.
fn page(html: &str, longest: usize, which: Which) -> (Rendered, bool) {
    let mut page = Page {
        longest,
        ..Page::default()
    };
    let mut open = Open::default();
    let mut leaves_out = false;

    for piece in Pieces::of(html) {
        if page.text.len() >= longest {
            page.is_cut = true;
            break;
        }
        match piece {
            Piece::Text(text) => {
                let sight = open.sight();
                if which.reads(sight) {
                    page.words(text, sight.is_preformatted);
                } else {
                    leaves_out |= !text.trim().is_empty();
                    page.words(which.stand_in(), false);
                }
            }
            Piece::Start(name, attributes) => {
                let sight = open.start(name, attributes);
                if which.lays_out(sight) {
                    page.start(name, attributes);
                }
            }
            Piece::End(name) => {
                let sight = open.end(name);
                if which.lays_out(sight) {
                    page.end(name);
                }
            }
        }
    }

    // Anything behind the end may be hidden.
    leaves_out |= page.is_cut;
    (page.finish(), leaves_out)
}

#[derive(Default)]
struct Page {
    text: String,
    longest: usize,
    is_cut: bool,
    gap: Gap,
    /// The number of cells by which the next gap between two cells advances: empty cells count too.
    tabs: usize,
    /// The place at which the current line begins.
    line: usize,
    /// Whether the current line has a tab that comes from its text.
    has_tab: bool,
    pairs: Lines,
    tables: Vec<Table>,
    /// The previous `dt`: whether it is open, and its label.
    term: Option<(bool, String)>,
    /// The place at which the pairs of the `dt` begin among those found so far.
    term_pair: usize,
    description: Option<String>,
    links: Vec<(String, String)>,
    link: Option<(String, usize)>,
}

impl Page {
    fn words(&mut self, text: &str, preformatted: bool) {
        let mut words = String::with_capacity(text.len().min(self.longest));
        decode(text, |c| words.push(c));

        for c in words.chars() {
            match c {
                '\n' | '\r' | '\t' | ' ' | '\u{c}' if !preformatted => {
                    if self.gap == Gap::None {
                        self.gap = Gap::Space;
                    }
                }
                '\n' => self.new_line(),
                '\0' | '\r' | '\u{ad}' | '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}' => {}
                c => {
                    self.put(spaced(c));
                    self.has_tab |= c == '\t';
                }
            }
        }
    }

    fn put(&mut self, c: char) {
        match self.gap {
            Gap::None => {}
            Gap::Space if self.is_line_empty() => {}
            Gap::Space => self.append(' '),
            Gap::Tab => {
                let room = self.longest.saturating_sub(self.text.len());
                self.text.extend(repeat_n('\t', self.tabs.min(room)));
            }
            Gap::Line => {
                if !self.is_line_empty() {
                    self.new_line();
                }
            }
        }
        self.gap = Gap::None;
        self.append(c);
    }

    fn append(&mut self, c: char) {
        self.text.push(c);
        if let Some(cell) = self.cell()
            && cell.text.len() < LONGEST_CELL
        {
            cell.text.push(c);
            cell.speaks |= !c.is_whitespace();
        }
        let kept = match (&mut self.term, &mut self.description) {
            (_, Some(description)) => Some(description),
            (Some((true, term)), None) => Some(term),
            _ => None,
        };
        if let Some(kept) = kept
            && kept.len() < LONGEST_CELL
        {
            kept.push(c);
        }
    }

    fn is_line_empty(&self) -> bool {
        self.text.len() == self.line
    }

    fn new_line(&mut self) {
        self.gap = Gap::None;
        self.line_pairs();
        self.text.push('\n');
        self.line = self.text.len();
        self.has_tab = false;
        if let Some(cell) = self.cell() {
            cell.lines += usize::from(cell.speaks);
            if cell.text.len() < LONGEST_CELL {
                cell.text.push('\n');
            }
        }
        for kept in [
            self.term.as_mut().map(|(_, term)| term),
            self.description.as_mut(),
        ]
        .into_iter()
        .flatten()
        {
            kept.push(' ');
        }
    }

    /// Reads the pair on the current line. In a row of several cells, each cell may be a pair.
    fn line_pairs(&mut self) {
        let line = &self.text[self.line..];
        if self.has_tab || !line.contains('\t') {
            return self.pairs.read(line, self.has_tab);
        }
        for found in line.split('\t').filter_map(|cell| pair(cell, false)) {
            self.pairs.said.push(found);
        }
    }

    /// Makes the next text begin a line.
    fn break_line(&mut self) {
        if self.gap != Gap::Tab {
            self.gap = Gap::Line;
        }
    }

    fn start(&mut self, name: Name, attributes: &str) {
        match name.as_str() {
            // A `br` breaks no row before its cell says something.
            "br" if self.gap == Gap::Tab => {}
            "br" => {
                // One empty line is enough.
                if self.gap == Gap::Line && !self.is_line_empty() {
                    self.new_line();
                }
                if !self.text.ends_with("\n\n") {
                    self.new_line();
                }
            }
            "table" => self.table(),
            "tr" => self.row(),
            "td" | "th" => self.next_cell(),
            "a" => self.link = attribute(attributes, "href").map(|href| (href, self.text.len())),
            "dt" => {
                self.break_line();
                self.end_description();
                self.flush_line();
                self.term_pair = self.pairs.said.len();
                self.term = Some((true, String::new()));
            }
            "dd" => {
                self.break_line();
                self.end_description();
                if let Some((open, _)) = &mut self.term {
                    *open = false;
                }
                self.description = Some(String::new());
            }
            block if BLOCKS.contains(&block) => self.break_line(),
            _ => {}
        }
    }

    fn end(&mut self, name: Name) {
        match name.as_str() {
            "table" => {
                self.end_row();
                self.end_table();
                self.break_line();
            }
            "tr" => {
                self.end_row();
                self.break_line();
            }
            "a" => self.end_link(),
            "dt" => {
                if let Some((open, _)) = &mut self.term {
                    *open = false;
                }
                self.break_line();
            }
            "dd" | "dl" => {
                self.end_description();
                self.break_line();
            }
            block if BLOCKS.contains(&block) => self.break_line(),
            _ => {}
        }
    }

    /// Ends a line that was begun before a row, because it does not belong to the row's cells.
    fn flush_line(&mut self) {
        if !self.is_line_empty() {
            self.new_line();
        }
    }

    fn end_description(&mut self) {
        let Some(value) = self.description.take() else {
            return;
        };
        let Some((_, term)) = self.term.take() else {
            return;
        };
        self.flush_line();
        let term: String = term.chars().take(LONGEST_LABEL + 8).collect();
        if let Some(pair) = laid_out(&one_line(&term), &one_line(&value)) {
            self.pairs.said.cut_back(self.term_pair);
            self.pairs.said.push(pair);
        }
    }

    fn end_link(&mut self) {
        let Some((href, start)) = self.link.take() else {
            return;
        };
        if self.links.len() < MAX_LINKS {
            let words = self.text.get(start..).unwrap_or_default();
            let words: String = one_line(words).chars().take(200).collect();
            let href = rewritten::original(&href).unwrap_or(href);
            self.links.push((words, href));
        }
    }

    fn finish(mut self) -> Rendered {
        while !self.tables.is_empty() {
            self.end_row();
            self.close_table();
        }
        self.end_description();
        self.flush_line();

        let mut text = String::with_capacity(self.text.len());
        for line in self.text.lines() {
            text.push_str(line.trim_end_matches([' ', '\t']));
            text.push('\n');
        }

        Rendered {
            text,
            pairs: self.pairs,
            links: self.links,
            is_cut: self.is_cut,
        }
    }
}

fn one_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ")
}

#[cfg(test)]
mod tests;
