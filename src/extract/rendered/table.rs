//! Tables: cells of a row are parted by tabs, and two cells are a pair.

use super::{Gap, Page, one_line};
use crate::extract::pairs::{self, MAX_PAIRS};

/// How much of a cell is kept to make a pair of, in bytes.
pub(super) const LONGEST_CELL: usize = 4 << 10;

/// How deep tables may stand in tables: deeper ones are text.
const MAX_TABLES: usize = 32;

/// A table that is open.
#[derive(Default)]
pub(super) struct Table {
    /// None before its first row.
    row: Option<Row>,
    /// How many cells of the rows before say something.
    speaking: usize,
    /// The last of them.
    last: Cell,
}

/// A row of a table that is open.
#[derive(Default)]
pub(super) struct Row {
    cells: Vec<Cell>,
    /// Where its pairs begin among those found so far.
    first_pair: usize,
}

#[derive(Default)]
pub(super) struct Cell {
    pub(super) text: String,
    /// Whether it says anything yet.
    pub(super) speaks: bool,
    pub(super) lines: usize,
    /// How many tables it holds whose cells are more than one.
    pub(super) nests: usize,
    /// What it says stands in a table of one cell.
    pub(super) framed: bool,
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

    /// A table of one cell is that cell, however many frames stand around it.
    pub(super) fn end_table(&mut self) {
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

    pub(super) fn row(&mut self) {
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

    /// Two cells are a pair; where they are one and a line each, it is all that they say.
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

    pub(super) fn row_pairs(&mut self, row: &Row) {
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
}
