//! Pairs as the lines of a text give them, one after the other.

use std::ops::Range;

use super::{
    MAX_PAIRS,
    beyond::Beyond,
    line::{cut, is_blank, is_value, leads, pair, unquoted},
};

/// The largest number of empty lines between a label and its value: mail programs double line ends.
const MAX_EMPTY: usize = 1;

/// The pairs of a text: those that it says itself, and those of the mails that it quotes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::extract) struct Lines {
    pub said: Run,
    pub quoted: Run,
}

/// Pairs in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::extract) struct Run {
    pub(super) all: Vec<Entry>,
    /// The number of empty lines since the last pair, if that is a label without a value.
    alone: Option<usize>,
    /// The labels and values after the last pair that is kept.
    pub(super) beyond: Beyond,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub pair: (String, String),
    /// The line below, if the pair is a label without a value.
    pub below: Option<String>,
}

impl Lines {
    pub fn of(text: &str) -> Self {
        let mut lines = Self::default();
        for line in text.lines() {
            lines.read(line, true);
        }
        lines
    }

    /// Reads the next line. `tab` says whether a tab may separate a label from its value.
    pub fn read(&mut self, line: &str, tab: bool) {
        match unquoted(line) {
            Some(line) => {
                self.said.alone = None;
                self.quoted.read(line, tab);
            }
            None => self.said.read(line, tab),
        }
    }

    /// Appends the pairs of a text that follows.
    pub fn append(&mut self, more: Self) {
        self.said.append(more.said);
        self.quoted.append(more.quoted);
    }
}

impl Run {
    pub fn len(&self) -> usize {
        self.all.len()
    }

    pub fn is_full(&self) -> bool {
        self.all.len() >= MAX_PAIRS
    }

    pub fn push(&mut self, pair: (String, String)) {
        self.alone = None;
        if self.is_full() {
            self.beyond.note(&pair.0, &pair.1);
        } else {
            self.all.push(Entry { pair, below: None });
        }
    }

    fn append(&mut self, more: Self) {
        self.all.extend(more.all);
        self.beyond.extend(more.beyond);
    }

    /// Reads the pair of a line, or the value of the label above it.
    fn read(&mut self, line: &str, tab: bool) {
        if line.chars().all(is_blank) {
            let empty = self.alone.map(|empty| empty + 1);
            self.alone = empty.filter(|empty| *empty <= MAX_EMPTY);
            return;
        }

        let is_below = self.alone.take().is_some();
        if let Some(pair) = pair(line, tab) {
            let is_kept = !self.is_full();
            self.push(pair);
            self.alone = (is_kept && leads(line)).then_some(0);
        } else if is_below
            && is_value(line)
            && let Some(label) = self.all.last_mut()
        {
            label.below = Some(value(line));
        }
    }

    /// Reads a cell that consists of a label and one line below it. The pair of the label is among
    /// those from place `from` on.
    pub fn stacked(&mut self, from: usize, cell: &str) {
        let mut lines = cell.lines().filter(|line| !line.chars().all(is_blank));
        let (Some(label), Some(below), None) = (lines.next(), lines.next(), lines.next()) else {
            return;
        };
        if !leads(label) || !is_value(below) {
            return;
        }
        let Some(pair) = pair(label, false) else {
            return;
        };
        let mut entries = self.all.iter_mut().skip(from);
        if let Some(entry) = entries.find(|entry| entry.pair == pair && entry.below.is_none()) {
            entry.below = Some(value(below));
        }
    }

    /// Replaces the pairs in each of these ranges by the pair that is given with it. The ranges are
    /// in order. One pass does it, because there may be as many as rows in a mail.
    pub fn replace(&mut self, pairs: impl IntoIterator<Item = (Range<usize>, (String, String))>) {
        self.alone = None;
        let mut found = std::mem::take(&mut self.all).into_iter();
        let mut at = 0;
        for (place, pair) in pairs {
            self.all.extend(found.by_ref().take(place.start - at));
            found.by_ref().take(place.len()).for_each(drop);
            self.all.push(Entry { pair, below: None });
            at = place.end;
        }
        self.all.extend(found);

        let kept = self.all.len().min(MAX_PAIRS);
        for Entry { pair, .. } in self.all.drain(kept..) {
            self.beyond.note(&pair.0, &pair.1);
        }
    }

    /// Drops the pairs from a place on.
    pub fn cut_back(&mut self, from: usize) {
        self.alone = None;
        self.all.truncate(from);
    }
}

fn value(line: &str) -> String {
    cut(line.trim_matches(is_blank)).trim_end().to_owned()
}
