//! Tables: tabs separate the cells of a row, and two cells are a pair.

use std::ops::Range;

use super::{Gap, Page, one_line};
use crate::extract::pairs::{MAX_PAIRS, line::laid_out};

/// The longest part of a cell that is kept to make a pair of, in bytes.
pub(super) const LONGEST_CELL: usize = 4 << 10;

/// The largest number of cells in a row that are searched for a label above its value.
const MAX_STACKS: usize = 64;

/// The value of a label that has none.
static NOTHING: Cell = Cell {
    text: String::new(),
    speaks: false,
    lines: 0,
    nests: 0,
    framed: false,
};

/// The depth to which tables may stand in tables; deeper ones are text.
const MAX_TABLES: usize = 32;

/// A table that is open.
#[derive(Default)]
pub(super) struct Table {
    /// The open row; `None` before the first row.
    row: Option<Row>,
    /// The number of cells in the previous rows that say something.
    speaking: usize,
    /// The last of these cells.
    last: Cell,
    /// The rows in which exactly two of several cells say something.
    spaced: Vec<Spaced>,
    /// Whether a row says more than two things, or two in other columns than the rows before. The
    /// columns of such a table are no labels and values.
    is_grid: bool,
}

/// A row with a label and a value among cells that only make room. The pair is certain only at the
/// end of its table, if all rows are like this.
struct Spaced {
    columns: [usize; 2],
    pair: (String, String),
    /// The range of the row's own pairs among those found so far.
    place: Range<usize>,
}

/// A row of an open table.
#[derive(Default)]
pub(super) struct Row {
    cells: Vec<Cell>,
    /// The place at which the row's pairs begin among those found so far.
    first_pair: usize,
}

#[derive(Default)]
pub(super) struct Cell {
    pub(super) text: String,
    /// Whether the cell says anything yet.
    pub(super) speaks: bool,
    pub(super) lines: usize,
    /// The number of tables in the cell that have more than one cell.
    pub(super) nests: usize,
    /// Whether the text of the cell stands in a table of a single cell.
    pub(super) framed: bool,
}

impl Row {
    /// Returns the labels with their values: two cells with nothing but a colon or an equals sign
    /// between them, or several such pairs whose labels all end in a colon.
    fn said(&self) -> Vec<[&Cell; 2]> {
        let said = match self.cells.as_slice() {
            [label, value] => vec![[label, value]],
            [label, between, value] if between.parts() => vec![[label, value]],
            cells => {
                let (pairs, rest) = cells.as_chunks::<2>();
                let are_labelled = rest.is_empty() && pairs.iter().all(|[label, _]| label.leads());
                if are_labelled {
                    let pairs = pairs
                        .iter()
                        .filter(|[label, _]| !label.text.trim().is_empty());
                    let pairs = pairs.map(|[label, value]| [label, value]);
                    pairs.take(MAX_PAIRS).collect()
                } else {
                    self.led().unwrap_or_default()
                }
            }
        };
        let lays_out = said.iter().flatten().any(|cell| cell.nests > 0);
        if lays_out { Vec::new() } else { said }
    }

    /// Returns the labels with their values, whatever empty cells stand between them. Each label
    /// ends in a colon, and its value is the next cell that is no label.
    fn led(&self) -> Option<Vec<[&Cell; 2]>> {
        // A label that has the row to itself may have its value in the next row.
        if self.cells.len() == 1 {
            return None;
        }
        let mut cells = self.cells.iter().filter(|cell| !cell.parts()).peekable();
        let mut led = Vec::new();
        while let Some(label) = cells.next() {
            if !label.leads() || led.len() == MAX_PAIRS {
                return None;
            }
            let value = cells.next_if(|cell| !cell.leads());
            led.push([label, value.unwrap_or(&NOTHING)]);
        }
        Some(led)
    }

    /// Returns the only two cells that say something, with their columns.
    fn two(&self) -> Option<[(usize, &Cell); 2]> {
        let mut said = self
            .cells
            .iter()
            .enumerate()
            .filter(|(_, cell)| !cell.parts());
        let two = [said.next()?, said.next()?];
        let is_all = said.next().is_none() && two.iter().all(|(_, cell)| cell.nests == 0);
        is_all.then_some(two)
    }
}

/// Whether a label and a value are each a single line.
fn are_lines(label: &Cell, value: &Cell) -> bool {
    let framed = label.framed || value.framed;
    !framed && label.lines <= 1 && value.text.trim().lines().count() <= 1
}

impl Cell {
    /// Whether the cell only separates a label from its value.
    fn parts(&self) -> bool {
        self.nests == 0 && matches!(self.text.trim(), "" | ":" | "=")
    }

    /// Whether the cell announces its value with a colon. An empty cell does too, because it only
    /// fills a row.
    fn leads(&self) -> bool {
        let text = self.text.trim();
        text.is_empty() || text.ends_with([':', '：'])
    }
}

impl Page {
    pub(super) fn cell(&mut self) -> Option<&mut Cell> {
        self.tables.last_mut()?.row.as_mut()?.cells.last_mut()
    }

    pub(super) fn table(&mut self) {
        if let Some(cell) = self.cell() {
            cell.nests += 1;
        }
        self.break_line();
        if self.tables.len() < MAX_TABLES {
            self.tables.push(Table::default());
        }
    }

    /// Ends a table. A table of one cell stands for that cell, however many frames surround it.
    pub(super) fn end_table(&mut self) {
        let Some(Table { speaking, last, .. }) = self.close_table() else {
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

    /// Closes the innermost table, whose rows have all ended.
    pub(super) fn close_table(&mut self) -> Option<Table> {
        let mut table = self.tables.pop()?;
        let spaced = std::mem::take(&mut table.spaced);
        if !table.is_grid {
            let pairs = spaced.into_iter().map(|row| (row.place, row.pair));
            self.pairs.said.replace(pairs);
        }
        Some(table)
    }

    pub(super) fn row(&mut self) {
        self.end_row();
        self.gap = Gap::Line;
        self.flush_line();
        let row = Row {
            cells: Vec::new(),
            first_pair: self.pairs.said.len(),
        };
        match self.tables.last_mut() {
            Some(open) => open.row = Some(row),
            None => self.tables.push(Table {
                row: Some(row),
                ..Table::default()
            }),
        }
    }

    pub(super) fn next_cell(&mut self) {
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

    /// Ends a row. Two cells are a pair; if each is a single line, the pair is all that the row
    /// says.
    pub(super) fn end_row(&mut self) {
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
        for cell in row
            .cells
            .iter()
            .take(MAX_STACKS)
            .filter(|cell| cell.nests == 0)
        {
            self.pairs.said.stacked(row.first_pair, &cell.text);
        }
        let said = row.said();
        if said.is_empty() {
            return self.spaced(row);
        }
        let made: Vec<_> = said
            .iter()
            .filter_map(|[label, value]| laid_out(&one_line(&label.text), &one_line(&value.text)))
            .collect();
        if made.len() == said.len() && said.iter().all(|[label, value]| are_lines(label, value)) {
            self.pairs.said.cut_back(row.first_pair);
        }
        for pair in made {
            self.pairs.said.push(pair);
        }
    }

    /// Keeps what a row may say until all rows of its table are known.
    fn spaced(&mut self, row: &Row) {
        let is_full = self.pairs.said.is_full();
        let to = self.pairs.said.len();
        let Some(table) = self.tables.last_mut() else {
            return;
        };
        let Some([(first, label), (second, value)]) = row.two() else {
            let said = row.cells.iter().filter(|cell| !cell.parts()).take(2);
            table.is_grid |= said.count() > 1;
            return;
        };

        let columns = [first, second];
        let is_other = |last: &Spaced| last.columns != columns;
        table.is_grid |= table.spaced.last().is_some_and(is_other);
        let pair = laid_out(&one_line(&label.text), &one_line(&value.text));
        let pair = pair.filter(|_| !table.is_grid);
        if let Some(pair) = pair {
            if is_full {
                return self.pairs.said.push(pair);
            }
            let is_line = are_lines(label, value);
            table.spaced.push(Spaced {
                columns,
                pair,
                place: if is_line { row.first_pair } else { to }..to,
            });
        }
    }
}
