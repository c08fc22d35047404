//! Labels with their values: what alert mails are made of, whatever they look like.

use std::collections::{HashMap, HashSet};

use serde::{Serialize, Serializer};
use unicode_normalization::UnicodeNormalization;

use line::{is_unseen, undressed, unquoted};
use lines::Run;

pub(super) mod line;
mod lines;

pub use line::LONGEST_LABEL;
pub(super) use lines::Lines;

/// How many pairs of a mail are kept.
pub(super) const MAX_PAIRS: usize = 2_000;

/// The pairs of a mail, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pairs {
    all: Vec<(String, String)>,
    /// By label as it is looked up.
    places: HashMap<String, Vec<usize>>,
    /// Where those begin that count only where none before gives a label a value: those of another
    /// version of the same text, those that it quotes, those that nobody sees.
    groups: Vec<usize>,
}

impl Pairs {
    /// Those of a text, line by line.
    pub fn of(text: &str) -> Self {
        Self::joined([Lines::of(text), Lines::default()], false)
    }

    /// Those of a text and then of HTML, which may be another version of it. What they quote comes
    /// behind all that they say themselves.
    pub(super) fn joined([text, html]: [Lines; 2], is_version: bool) -> Self {
        let mut pairs = Self::of_runs([text.said, html.said], is_version);
        pairs.add_behind(Self::of_runs([text.quoted, html.quoted], is_version));
        pairs
    }

    fn of_runs(runs: [Run; 2], is_version: bool) -> Self {
        let mut pairs = Self::default();
        let mut below = Vec::new();
        for (place, run) in runs.into_iter().enumerate() {
            let mut said = Vec::with_capacity(run.len());
            for entry in run.all {
                let label = entry.pair.0.clone();
                below.extend(entry.below.map(|value| (label, value)));
                said.push(entry.pair);
            }
            pairs.join(said, place > 0 && is_version);
        }
        pairs.settle(below);
        pairs
    }

    /// Gives labels that no line gives a value what stands below them. A line that is a pair by
    /// itself is certain, and one below a label may be anything.
    fn settle(&mut self, below: Vec<(String, String)>) {
        let is_open = |(label, _): &(String, String)| self.get(label).is_none_or(str::is_empty);
        let below: Vec<_> = below.into_iter().filter(is_open).collect();
        for (label, value) in below {
            let places = self.places.get(&looked_up(&label)).into_iter().flatten();
            let empty = places.copied().find(|place| {
                self.all
                    .get(*place)
                    .is_some_and(|(_, value)| value.is_empty())
            });
            let is_known = self.values(&label).any(|known| known == value);
            match empty.and_then(|place| self.all.get_mut(place)) {
                Some((_, empty)) => *empty = value,
                None if is_known => {}
                None => self.extend([(label, value)]),
            }
        }
    }

    /// The value of a label: the first that says something.
    pub fn get(&self, label: &str) -> Option<&str> {
        let mut values = self.values(label);
        let first = values.next()?;
        if first.is_empty() {
            return values.find(|value| !value.is_empty()).or(Some(first));
        }
        Some(first)
    }

    /// What may be meant by a label: its value, and the others that the same text gives it. The
    /// text and the HTML of a mail word one thing in two ways, and what is quoted or hidden is not
    /// meant where the mail itself says something.
    pub fn readings(&self, label: &str) -> Vec<&str> {
        let places = self.places.get(&looked_up(label));
        let said = places.into_iter().flatten().filter_map(|place| {
            let (_, value) = self.all.get(*place)?;
            (!value.is_empty()).then_some((*place, value.as_str()))
        });

        let mut readings: Vec<&str> = Vec::new();
        let mut first = None;
        for (place, value) in said {
            let group = self.groups.partition_point(|start| *start <= place);
            if *first.get_or_insert(group) == group && !readings.contains(&value) {
                readings.push(value);
            }
        }
        readings
    }

    /// Every value of a label, in order.
    pub fn values(&self, label: &str) -> impl Iterator<Item = &str> {
        let places = self.places.get(&looked_up(label));
        places
            .into_iter()
            .flatten()
            .filter_map(|place| self.all.get(*place))
            .map(|(_, value)| value.as_str())
    }

    /// Label and value of each, in the mail's order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.all
            .iter()
            .map(|(label, value)| (label.as_str(), value.as_str()))
    }

    pub fn len(&self) -> usize {
        self.all.len()
    }

    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Those that count where none of these gives a label a value.
    pub(super) fn add_behind(&mut self, more: Self) {
        self.join(more.all, true);
    }

    /// Those of another text follow, without what both say; whether they are a group of their own.
    fn join(&mut self, more: Vec<(String, String)>, is_group: bool) {
        if is_group && !more.is_empty() {
            self.groups.push(self.all.len());
        }
        let known: HashSet<(String, &str)> = self
            .iter()
            .map(|(label, value)| (looked_up(label), value))
            .collect();
        let news: Vec<_> = more
            .into_iter()
            .filter(|(label, value)| {
                known.is_empty() || !known.contains(&(looked_up(label), value.as_str()))
            })
            .collect();
        self.extend(news);
    }
}

impl Extend<(String, String)> for Pairs {
    fn extend<I: IntoIterator<Item = (String, String)>>(&mut self, pairs: I) {
        for (label, value) in pairs {
            if self.all.len() >= MAX_PAIRS {
                return;
            }
            let places = self.places.entry(looked_up(&label)).or_default();
            places.push(self.all.len());
            self.all.push((label, value));
        }
    }
}

/// A list of pairs: a label may be given more than once.
impl Serialize for Pairs {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(&self.all)
    }
}

/// A label as it is compared: in upper case, in which `ß` is `SS` as well, its accents composed
/// (NFC), and without what dresses it up.
fn looked_up(label: &str) -> String {
    let bare = undressed(unquoted(label).unwrap_or(label));
    let mut out = String::with_capacity(bare.len());
    for word in bare.split_whitespace() {
        if !out.is_empty() {
            out.push(' ');
        }
        let seen = word.chars().filter(|c| !is_unseen(*c));
        out.extend(seen.flat_map(char::to_uppercase));
    }
    if out.is_ascii() {
        return out;
    }
    out.nfc().collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_nobody_sees_in_a_label_is_not_looked_up() {
        let pairs = Pairs::of("Alert\u{200b} ID\u{200e}: 7\n");
        assert_eq!(pairs.get("alert id"), Some("7"));
        assert_eq!(pairs.get("\u{200f}Alert ID:"), Some("7"));
    }

    #[test]
    fn a_label_is_the_same_in_any_case_and_however_its_accents_are_written() {
        for (written, looked_up) in [
            ("Größe", "GRÖSSE"),
            ("GRÖSSE", "größe"),
            ("Große", "GROSSE"),
            ("Gro\u{308}ße", "Größe"),
            ("Größe", "GRO\u{308}SSE"),
            ("Κατάστασις", "ΚΑΤΆΣΤΑΣΙΣ"),
            ("État", "e\u{301}tat"),
            ("ＳＴＡＴＵＳ", "ｓｔａｔｕｓ"),
        ] {
            let pairs = Pairs::of(&format!("{written}: 5\n"));
            assert_eq!(pairs.get(looked_up), Some("5"), "{written} {looked_up}");
        }
    }

    #[test]
    fn the_first_that_says_something_wins() {
        let pairs = Pairs::of("Status:\nStatus: OPEN\n- status: CLOSED\nHost = a\n");
        assert_eq!(pairs.get("STATUS:"), Some("OPEN"));
        assert_eq!(pairs.get("* status"), Some("OPEN"));
        assert_eq!(pairs.get("host"), Some("a"));
        assert_eq!(pairs.get("other"), None);
        let all: Vec<_> = pairs.values("Status").collect();
        assert_eq!(all, ["", "OPEN", "CLOSED"]);
    }

    #[test]
    fn what_a_label_may_mean_is_what_one_text_says_of_it() {
        let text = || Pairs::of("Status:\nStatus: OPEN\nHost: a <http://a>\nStatus: OPEN\n");
        let html = || Pairs::of("Status: CLOSED\nHost: a\nHost: b\nTeam: x\nTeam: y\n");
        let mut two = text();
        two.join(html().all, true);
        assert_eq!(two.readings("status"), ["OPEN"]);
        assert_eq!(two.readings("host"), ["a <http://a>"]);
        assert_eq!(two.readings("team"), ["x", "y"]);
        assert_eq!(two.readings("other"), [""; 0]);
        let mut one = text();
        one.join(html().all, false);
        assert_eq!(one.readings("status"), ["OPEN", "CLOSED"]);
        assert_eq!(one.readings("host"), ["a <http://a>", "a", "b"]);
    }

    #[test]
    fn a_value_may_stand_on_the_line_below() {
        for text in [
            "Status:\n  OPEN\n",
            "Status:\n\nOPEN",
            "*Status:*\nOPEN",
            "**Status:**\nOPEN",
            "- Status:\n  OPEN",
            "【Status】\nOPEN",
            "ID:\n7\nStatus:\nOPEN\nHost:\nweb1",
            "Status:\n\nStatus: OPEN",
            "Status:\nthe state of it\n\nStatus: OPEN",
            "> Status:\n> OPEN",
        ] {
            let pairs = Pairs::of(text);
            assert_eq!(pairs.readings("Status"), ["OPEN"], "{text}");
        }
        for text in [
            "Status:",
            "Status:\n\n\nOPEN",
            "Status:\n- a\n- b",
            "Status:\n1. a\n2. b",
            "Status:\n-----\nOPEN",
            "Status:\nHost: a\nOPEN",
            "Status =\nOPEN",
            "Status:\n> OPEN",
        ] {
            assert_eq!(Pairs::of(text).get("Status"), Some(""), "{text}");
        }
        let times = Pairs::of("At:\n12:30\nLink:\nhttps://x.example/a\n");
        assert_eq!(times.get("At"), Some("12:30"));
        assert_eq!(times.get("Link"), Some("https://x.example/a"));
    }

    #[test]
    fn what_the_html_says_is_more_certain_than_the_line_below() {
        let text = Lines::of("Status:\nHost:\nOPEN\n");
        let html = Lines::of("Status: OPEN\nHost: web1\n");
        let pairs = Pairs::joined([text, html], true);
        assert_eq!(pairs.readings("Host"), ["web1"]);
    }

    #[test]
    fn what_is_quoted_is_read_where_the_mail_says_nothing_itself() {
        for mark in ["> ", ">", "| ", "> > ", ">> ", "\t> "] {
            let quoted = format!("{mark}ID: 7\n{mark}Status: OPEN\n");
            assert_eq!(Pairs::of(&quoted).get("Status"), Some("OPEN"), "{quoted}");
            let label = format!("{mark}Status");
            assert_eq!(Pairs::of(&quoted).get(&label), Some("OPEN"), "{quoted}");
            let below = format!("Status: CLOSED\n{quoted}");
            let above = format!("{quoted}Status: CLOSED\n");
            for text in [below, above] {
                let pairs = Pairs::of(&text);
                assert_eq!(pairs.readings("Status"), ["CLOSED"], "{text}");
                assert_eq!(pairs.readings("ID"), ["7"], "{text}");
            }
        }
    }

    proptest! {
        #[test]
        fn any_label_is_found_again(
            label in "[A-Za-z][A-Za-z0-9_./() -]{0,40}[A-Za-z0-9)]",
            value in "[^\\s\\pC][^\\pC]{0,40}",
        ) {
            let pairs = Pairs::of(&format!("{label}: {value}\n"));
            prop_assert_eq!(pairs.get(&label.to_uppercase()), Some(value.trim()));
        }

        #[test]
        fn no_line_is_too_odd(text in "\\PC{0,200}|[:=\t *•\n-]{0,200}") {
            for (label, value) in Pairs::of(&text).iter() {
                prop_assert!(!label.is_empty() && label.chars().count() <= LONGEST_LABEL);
                prop_assert_eq!(value, value.trim());
            }
        }
    }
}
