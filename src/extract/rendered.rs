//! HTML → the text that a reader sees, and the pairs that its tables and lists are.
//!
//! Block elements break lines, cells of a row are parted by tabs, and white space is one space, as
//! mail programs show it.

use std::iter::repeat_n;

use super::{
    markup::{Name, Piece, Pieces, attribute, decode},
    pairs::{self, LONGEST_LABEL, MAX_PAIRS, Pairs},
    spaced,
};

/// How much of a cell is kept to make a pair of, in bytes.
const LONGEST_CELL: usize = 4 << 10;

/// How deep tables may stand in tables: deeper ones are text.
const MAX_TABLES: usize = 32;

/// How many links are kept.
const MAX_LINKS: usize = 500;

/// Elements that begin and end a line.
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

/// What a document says.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Rendered {
    pub text: String,
    pub pairs: Pairs,
    /// Where links lead, by their words.
    pub links: Vec<(String, String)>,
    /// Whether the document says more.
    pub is_cut: bool,
}

/// What stands between two texts.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Gap {
    #[default]
    None,
    Space,
    Line,
    /// Between two cells of a row.
    Tab,
}

/// A table that is open.
#[derive(Default)]
struct Table {
    /// None before its first row.
    row: Option<Row>,
    /// How many cells of the rows before say something.
    speaking: usize,
    /// The last of them.
    last: Cell,
}

/// A row of a table that is open.
#[derive(Default)]
struct Row {
    cells: Vec<Cell>,
    /// Where its pairs begin among those found so far.
    first_pair: usize,
}

#[derive(Default)]
struct Cell {
    text: String,
    /// Whether it says anything yet.
    speaks: bool,
    lines: usize,
    /// How many tables it holds whose cells are more than one.
    nests: usize,
    /// What it says stands in a table of one cell.
    framed: bool,
}

impl Row {
    /// The labels with their values: two cells, with nothing but a colon between them, or several
    /// such pairs whose labels all end in one.
    fn said(&self) -> Vec<[&Cell; 2]> {
        let said = match self.cells.as_slice() {
            [label, value] => vec![[label, value]],
            [label, between, value] if between.parts() => vec![[label, value]],
            cells => {
                let (pairs, rest) = cells.as_chunks::<2>();
                let are_labelled = rest.is_empty() && pairs.iter().all(|[label, _]| label.leads());
                let pairs = pairs
                    .iter()
                    .filter(|[label, _]| are_labelled && !label.text.trim().is_empty());
                let pairs = pairs.map(|[label, value]| [label, value]);
                pairs.take(MAX_PAIRS).collect()
            }
        };
        let lays_out = said.iter().flatten().any(|cell| cell.nests > 0);
        if lays_out { Vec::new() } else { said }
    }
}

impl Cell {
    /// Whether it only keeps a label from its value.
    fn parts(&self) -> bool {
        self.nests == 0 && matches!(self.text.trim(), "" | ":" | "=")
    }

    /// Whether it says itself that its value follows; one that says nothing fills a row.
    fn leads(&self) -> bool {
        let text = self.text.trim();
        text.is_empty() || text.ends_with([':', '：'])
    }
}

/// Reads a document; `longest` bytes of text are enough.
pub(super) fn render(html: &str, longest: usize) -> Rendered {
    let mut page = Page {
        longest,
        ..Page::default()
    };

    for piece in Pieces::of(html) {
        if page.text.len() >= longest {
            page.is_cut = true;
            break;
        }
        match piece {
            Piece::Text(text) => page.words(text),
            Piece::Start(name, attributes) => page.start(name, attributes),
            Piece::End(name) => page.end(name),
        }
    }

    page.finish()
}

#[derive(Default)]
struct Page {
    text: String,
    longest: usize,
    is_cut: bool,
    gap: Gap,
    /// How many cells further it is that a gap between two leads: empty ones are cells too.
    tabs: usize,
    /// Where the line in hand begins.
    line: usize,
    preformatted: usize,
    pairs: Vec<(String, String)>,
    tables: Vec<Table>,
    /// The `dt` before: whether it is open, and its label.
    term: Option<(bool, String)>,
    /// Where its pairs begin among those found so far.
    term_pair: usize,
    description: Option<String>,
    links: Vec<(String, String)>,
    link: Option<(String, usize)>,
}

impl Page {
    fn words(&mut self, text: &str) {
        let preformatted = self.preformatted > 0;
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
                c => self.put(spaced(c)),
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

    /// The pair that the line in hand is; in a row of several cells each may be one.
    fn line_pairs(&mut self) {
        if self.pairs.len() >= MAX_PAIRS {
            return;
        }
        let line = &self.text[self.line..];
        let found: Vec<_> = line
            .split('\t')
            .filter_map(|cell| pairs::pair(cell, false))
            .collect();
        self.pairs.extend(found);
    }

    fn cell(&mut self) -> Option<&mut Cell> {
        self.tables.last_mut()?.row.as_mut()?.cells.last_mut()
    }

    /// What is said next begins a line.
    fn break_line(&mut self) {
        if self.gap != Gap::Tab {
            self.gap = Gap::Line;
        }
    }

    fn start(&mut self, name: Name, attributes: &str) {
        match name.as_str() {
            // It breaks no row before its cell says something.
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
                self.term_pair = self.pairs.len();
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
            "pre" => {
                self.preformatted += 1;
                self.break_line();
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
            "pre" => {
                self.preformatted = self.preformatted.saturating_sub(1);
                self.break_line();
            }
            block if BLOCKS.contains(&block) => self.break_line(),
            _ => {}
        }
    }

    fn table(&mut self) {
        if let Some(cell) = self.cell() {
            cell.nests += 1;
        }
        self.break_line();
        if self.tables.len() < MAX_TABLES {
            self.tables.push(Table::default());
        }
    }

    /// A table of one cell is that cell, however many frames stand around it.
    fn end_table(&mut self) {
        let Some(Table { speaking, last, .. }) = self.tables.pop() else {
            return;
        };
        if let Some(cell) = self.cell()
            && speaking <= 1
            && last.nests == 0
            && cell.text.len() < LONGEST_CELL
        {
            cell.nests = cell.nests.saturating_sub(1);
            cell.framed = true;
            cell.text += &last.text;
            cell.speaks |= last.speaks;
            cell.lines += last.lines;
        }
    }

    fn row(&mut self) {
        self.end_row();
        self.gap = Gap::Line;
        self.flush_line();
        let row = Row {
            cells: Vec::new(),
            first_pair: self.pairs.len(),
        };
        match self.tables.last_mut() {
            Some(open) => open.row = Some(row),
            None => self.tables.push(Table {
                row: Some(row),
                ..Table::default()
            }),
        }
    }

    fn next_cell(&mut self) {
        if self.tables.last().is_none_or(|table| table.row.is_none()) {
            self.row();
        }
        let Some(row) = self.tables.last_mut().and_then(|table| table.row.as_mut()) else {
            return;
        };
        if row.cells.is_empty() {
            self.gap = Gap::Line;
        } else {
            self.tabs = if self.gap == Gap::Tab {
                self.tabs + 1
            } else {
                1
            };
            self.gap = Gap::Tab;
        }
        row.cells.push(Cell::default());
    }

    /// A line that was begun before a row is not of its cells.
    fn flush_line(&mut self) {
        if !self.is_line_empty() {
            self.new_line();
        }
    }

    /// Two cells are a pair; where they are one and a line each, it is all that they say.
    fn end_row(&mut self) {
        let Some(row) = self.tables.last_mut().and_then(|table| table.row.take()) else {
            return;
        };
        self.flush_line();
        self.row_pairs(&row);

        let speaking = row
            .cells
            .into_iter()
            .filter(|cell| cell.speaks || cell.nests > 0);
        if let Some(table) = self.tables.last_mut() {
            for cell in speaking {
                table.speaking += 1;
                table.last = cell;
            }
        }
    }

    fn row_pairs(&mut self, row: &Row) {
        let said = row.said();
        if said.is_empty() || self.pairs.len() >= MAX_PAIRS {
            return;
        }
        let made: Vec<_> = said
            .iter()
            .filter_map(|[label, value]| {
                pairs::laid_out(&one_line(&label.text), &one_line(&value.text))
            })
            .collect();
        let is_a_line = |[label, value]: &[&Cell; 2]| {
            let framed = label.framed || value.framed;
            !framed && label.lines <= 1 && value.text.trim().lines().count() <= 1
        };
        if made.len() == said.len() && said.iter().all(is_a_line) {
            self.pairs.truncate(row.first_pair);
        }
        self.pairs.extend(made);
    }

    fn end_description(&mut self) {
        let Some(value) = self.description.take() else {
            return;
        };
        let Some((_, term)) = self.term.take() else {
            return;
        };
        self.flush_line();
        if self.pairs.len() >= MAX_PAIRS {
            return;
        }

        let term: String = term.chars().take(LONGEST_LABEL + 8).collect();
        if let Some(pair) = pairs::laid_out(&one_line(&term), &one_line(&value)) {
            self.pairs.truncate(self.term_pair);
            self.pairs.push(pair);
        }
    }

    fn end_link(&mut self) {
        let Some((href, start)) = self.link.take() else {
            return;
        };
        if self.links.len() < MAX_LINKS {
            let words = self.text.get(start..).unwrap_or_default();
            let words: String = one_line(words).chars().take(200).collect();
            self.links.push((words, href));
        }
    }

    fn finish(mut self) -> Rendered {
        while !self.tables.is_empty() {
            self.end_row();
            self.tables.pop();
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
            pairs: self.pairs.into_iter().collect(),
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
mod tests {
    use super::*;

    fn text(html: &str) -> String {
        render(html, 1 << 20).text
    }

    fn pairs(html: &str) -> Vec<(String, String)> {
        let rendered = render(html, 1 << 20);
        let pairs = rendered.pairs.iter();
        pairs
            .map(|(label, value)| (label.to_owned(), value.to_owned()))
            .collect()
    }

    #[test]
    fn a_document_is_the_text_that_a_reader_sees() {
        for (html, expected) in [
            ("<p>One</p><p>Two<br>Three</p>", "One\nTwo\nThree\n"),
            (
                "<div>One\n  two&nbsp;<b>three</b></div>four",
                "One two three\nfour\n",
            ),
            ("a<script>b</script><style>c</style>d<!-- e -->f", "adf\n"),
            (
                "<title>no</title>x &lt;&amp;&gt; &eacute;&#8364;",
                "x <&> é€\n",
            ),
            (
                "<table><tr><td>a<td>b</tr><tr><td><p>c</p></td><td><div>d</div></td></table>e",
                "a\tb\nc\td\ne\n",
            ),
            ("<ul><li>a<li>b</ul>", "a\nb\n"),
            ("<pre>a\n  b</pre>c", "a\n  b\nc\n"),
            ("a<br><br><br>b", "a\n\nb\n"),
            ("<span>a</span> <span>b</span><i>c</i>", "a bc\n"),
            ("", ""),
        ] {
            assert_eq!(text(html), expected, "{html}");
        }
    }

    #[test]
    fn tables_and_lists_are_pairs() {
        for html in [
            "<table><tr><td>Status</td><td>OPEN</td></tr></table>",
            "<TABLE><TR><TH>Status:<TD>OPEN</TABLE>",
            "<table><tr><td><p><b>Status:</b></p></td><td>\n <span>OPEN</span></td></tr>",
            "<dl><dt>Status<dd>OPEN</dl>",
            "<dl><dt>Status:</dt><dd><p>OPEN</p></dd></dl>",
            "<p>Status: OPEN</p>",
            "<p><b>Status</b>: OPEN</p>",
            "<ul><li>Status = OPEN</li></ul>",
            "<table><tr><td>Status: OPEN</td></tr></table>",
            "<table><tr><td>Status<td>:<td>OPEN</table>",
            "<table><tr><td><table><tr><td>Status</td></tr></table></td>\
             <td><table><tr><td></td><td><table><tr><td>OPEN</td></tr></table></td></tr></table>\
             </td></tr></table>",
            "<table><tr><td>Status<td>&nbsp;<td>OPEN</table>",
            "<table><tr><td><table><tr><td>Status</td><td>OPEN</td></tr></table></td></tr></table>",
        ] {
            assert_eq!(
                pairs(html),
                [("Status".to_owned(), "OPEN".to_owned())],
                "{html}"
            );
        }
    }

    #[test]
    fn what_a_value_says_is_no_pair_beside_its_own() {
        let html = "<table><tr><td>Message</td><td>Status: down</td></tr>\
                    <tr><td>Status</td><td>OPEN</td></tr></table>";
        let rendered = render(html, 1 << 20);
        assert_eq!(rendered.pairs.get("Status"), Some("OPEN"));
        assert_eq!(rendered.pairs.get("Message"), Some("Status: down"));
    }

    #[test]
    fn a_row_may_hold_several_pairs() {
        let html = "<table><tr><td>ID:<td>7<td>Status:<td>OPEN</tr>\
                    <tr><td>Host:<td>web1<td><td></tr></table>";
        let rendered = render(html, 1 << 20);
        for (label, value) in [("ID", "7"), ("Status", "OPEN"), ("Host", "web1")] {
            assert_eq!(rendered.pairs.get(label), Some(value), "{label}");
        }
        assert_eq!(rendered.pairs.len(), 3);

        let columns = "<table><tr><th>ID<th>Host<th>Status<th>Note</tr>\
                       <tr><td>7<td>web1<td>OPEN<td>x</table>";
        assert_eq!(pairs(columns), []);
    }

    #[test]
    fn an_empty_cell_keeps_its_column() {
        let empty = [
            "<td></td>",
            "<td>",
            "<td> \n </td>",
            "<th/>",
            "<td><img src=x></td>",
            "<td><br></td>",
            "<td><br/><br></td>",
            "<td><p></p></td>",
            "<td><div><span></span></div></td>",
            "<td>\u{200b}</td>",
        ];
        for cell in empty {
            for count in 0..4 {
                let between = cell.repeat(count);
                let tabs = "\t".repeat(count + 1);
                for row in [
                    format!("<tr><td>INC2</td>{between}<td>closed</td></tr>"),
                    format!("<tr><td><p>INC2</p>{between}<td><p>closed</p>{between}</tr>"),
                ] {
                    let html = format!("<table>{row}{row}</table>x");
                    let line = format!("INC2{tabs}closed\n");
                    assert_eq!(text(&html), format!("{line}{line}x\n"), "{html}");
                }
            }
        }
    }

    #[test]
    fn a_colon_may_stand_in_the_next_cell() {
        for (before, after) in [
            ("<table><tr><td>Status</td><td>", "</td></tr></table>"),
            ("<table><tr><td>Status:</td><td>", "</td></tr></table>"),
            ("<dl><dt>Status<dd>", "</dl>"),
        ] {
            for (value, expected) in [
                (": up", "up"),
                (":up", "up"),
                ("：up", "up"),
                ("= up", "up"),
                (":", ""),
                ("::1", "::1"),
                ("up: 5", "up: 5"),
            ] {
                let html = format!("{before}{value}{after}");
                let read = render(&html, 1 << 20).pairs;
                assert_eq!(read.get("Status"), Some(expected), "{html}");
            }
        }
    }

    #[test]
    fn a_frame_around_a_line_hides_no_pair() {
        let html = "<table><tr><td>Acme<td><table><tr><td>Status: OPEN</table></table>";
        assert_eq!(render(html, 1 << 20).pairs.get("Status"), Some("OPEN"));
    }

    #[test]
    fn a_table_that_only_lays_out_is_no_pair() {
        let html = "<table><tr><td>logo</td><td>Host: a<br>State: b</td></tr></table>";
        let rendered = render(html, 1 << 20);
        assert_eq!(rendered.pairs.get("Host"), Some("a"));
        assert_eq!(rendered.pairs.get("State"), Some("b"));
    }

    #[test]
    fn a_link_leads_somewhere() {
        let rendered = render(
            "<p>x <a href='https://e.x/?a=1&amp;b=2'>View\n it</a>",
            1 << 20,
        );
        assert_eq!(
            rendered.links,
            [("View it".to_owned(), "https://e.x/?a=1&b=2".to_owned())]
        );
    }
}
