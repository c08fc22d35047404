//! Labels with their values, of which alert mails consist, whatever they look like.

use std::{
    collections::{HashMap, HashSet},
    ops::Range,
};

use serde::{Serialize, Serializer};
use unicode_normalization::UnicodeNormalization;

use line::{is_unseen, undressed, unquoted};

mod beyond;
pub(super) mod line;
mod lines;

use beyond::Beyond;
pub use line::LONGEST_LABEL;
pub(super) use lines::{Lines, Run};

/// The largest number of pairs of a mail that are kept.
pub(crate) const MAX_PAIRS: usize = 2_000;

/// The line below a label that stands alone, in the text (place 0) or in the HTML (place 1).
struct Below {
    place: usize,
    label: String,
    value: String,
}

/// The largest number of values that a label may mean. A caller that gets as many must doubt the
/// label.
pub(crate) const MAX_VALUES: usize = 80;

/// The pairs of a mail, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pairs {
    all: Vec<(String, String)>,
    /// The places of each label in `all`, by the label in the form in which it is looked up.
    places: HashMap<String, Vec<usize>>,
    /// The places at which later groups begin: another version of the same text, what the mail
    /// quotes, what nobody sees. A group counts only for a label to which no group before it gives
    /// a value.
    groups: Vec<usize>,
    /// The places of the HTML's own pairs, if the HTML is another version of the text.
    version: Range<usize>,
    /// The lines below labels that have a value elsewhere, by the label as it is looked up.
    below: HashMap<String, Vec<String>>,
    /// The labels and values that follow the last pair that is kept.
    beyond: Beyond,
}

impl Pairs {
    /// Returns the pairs of a text, line by line.
    pub fn of(text: &str) -> Self {
        Self::joined([Lines::of(text), Lines::default()], false)
    }

    /// Returns the pairs of a text and then of HTML, which may be another version of the text. The
    /// pairs that they quote come after all that they say themselves.
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
                let value = entry.below;
                below.extend(value.map(|value| Below {
                    place,
                    label,
                    value,
                }));
                said.push(entry.pair);
            }
            let is_version = place > 0 && is_version;
            let start = pairs.all.len();
            pairs.join(said, is_version);
            pairs.beyond.extend(run.beyond);
            if is_version {
                pairs.version = start..pairs.all.len();
            }
        }
        pairs.settle(below);
        pairs
    }

    /// Gives each label without a value the line below it.
    ///
    /// A line that is a pair by itself is certain, whereas a line below a label may be anything. If
    /// a label has a value elsewhere, the line below may still be meant, except in a text whose
    /// labels have values in the HTML alone.
    fn settle(&mut self, below: Vec<Below>) {
        let is_open = |one: &Below| self.get(&one.label).is_none_or(str::is_empty);
        let (open, closed): (Vec<_>, Vec<_>) = below.into_iter().partition(is_open);
        for Below {
            place,
            label,
            value,
        } in closed
        {
            let label = looked_up(&label);
            let start = self.version.start;
            let places = self.places.get(&label).into_iter().flatten();
            let is_of_text = |at: &usize| *at < start && !self.all[*at].1.is_empty();
            if place > 0 || self.version.is_empty() || places.copied().any(|at| is_of_text(&at)) {
                self.below.entry(label).or_default().push(value);
            }
        }
        for Below { label, value, .. } in open {
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

    /// Returns the value of a label: the first that is not empty.
    pub fn get(&self, label: &str) -> Option<&str> {
        let mut values = self.values(label);
        let first = values.next()?;
        if first.is_empty() {
            return values.find(|value| !value.is_empty()).or(Some(first));
        }
        Some(first)
    }

    /// Returns what a label may mean: its value, and the others that the mail gives it. There are
    /// at most [`MAX_VALUES`].
    ///
    /// The HTML may say in other words what the text says; such a value does not count. Neither
    /// does what is quoted or hidden, if the mail itself says something.
    pub fn readings(&self, label: &str) -> Vec<&str> {
        let places = self.places.get(&looked_up(label));
        let said = places.into_iter().flatten().filter_map(|place| {
            let (_, value) = self.all.get(*place)?;
            (!value.is_empty()).then_some((*place, value.as_str()))
        });

        let mut readings: Vec<&str> = Vec::new();
        let mut first = None;
        // The values of the text, as sets of words.
        let mut worded: Vec<HashSet<String>> = Vec::new();
        for (place, value) in said {
            let is_version = self.version.contains(&place);
            let is_of_text = place < self.version.start;
            let group = self.groups.partition_point(|start| *start <= place);
            let is_said = *first.get_or_insert(group) == group || is_version;
            if !is_said || readings.contains(&value) {
                continue;
            }
            if readings.len() == MAX_VALUES {
                return readings;
            }
            if is_version {
                let version = words(value);
                if worded.iter().any(|said| are_alike(said, &version)) {
                    continue;
                }
            }
            if is_of_text {
                worded.push(words(value));
            }
            readings.push(value);
        }
        let below = self.below.get(&looked_up(label)).into_iter().flatten();
        for value in below.filter(|_| first.is_some()) {
            if readings.len() < MAX_VALUES && !readings.contains(&value.as_str()) {
                readings.push(value);
            }
        }
        readings
    }

    /// Whether a label has a value after the last pair that is kept, and none of its kept values is
    /// the same.
    pub fn says_more_of(&self, label: &str) -> bool {
        self.beyond
            .says_more(&looked_up(label), || self.values(label))
    }

    /// Whether the mail has more pairs than are kept.
    pub fn is_cut(&self) -> bool {
        !self.beyond.is_empty()
    }

    /// Returns every value of a label, in order.
    pub fn values(&self, label: &str) -> impl Iterator<Item = &str> {
        let places = self.places.get(&looked_up(label));
        places
            .into_iter()
            .flatten()
            .filter_map(|place| self.all.get(*place))
            .map(|(_, value)| value.as_str())
    }

    /// Returns label and value of each pair, in the order of the mail.
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

    /// Adds pairs that count only for a label to which none of these gives a value.
    pub(super) fn add_behind(&mut self, more: Self) {
        self.join(more.all, true);
        self.beyond.extend(more.beyond);
    }

    /// Appends the pairs of another text, without those that both have. `is_group` says whether
    /// they are a group of their own.
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
                self.beyond.note(&label, &value);
                continue;
            }
            let places = self.places.entry(looked_up(&label)).or_default();
            places.push(self.all.len());
            self.all.push((label, value));
        }
    }
}

/// Serialises a list of pairs, because a label may be given more than once.
impl Serialize for Pairs {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(&self.all)
    }
}

/// Returns the words of a value, in lower case. An address after a name is a word of its own.
fn words(value: &str) -> HashSet<String> {
    let parts = |c: char| c.is_whitespace() || matches!(c, '<' | '>' | '(' | ')' | '[' | ']');
    value
        .split(parts)
        .map(|word| {
            word.trim_matches(|c: char| !c.is_alphanumeric())
                .to_lowercase()
        })
        .filter(|word| !word.is_empty())
        .collect()
}

/// Whether two values say the same in different words: all words of the one occur in the other.
fn are_alike(one: &HashSet<String>, other: &HashSet<String>) -> bool {
    !one.is_empty() && !other.is_empty() && (one.is_subset(other) || other.is_subset(one))
}

/// Returns a label as it is compared: in upper case (in which `ß` is `SS`), with its accents
/// composed (NFC), and without bullets, marks and unseen characters.
pub(crate) fn looked_up(label: &str) -> String {
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
    fn what_a_label_may_mean_is_what_text_and_html_say_of_it() {
        let text = || Pairs::of("Status:\nStatus: OPEN\nHost: a <http://a>\nStatus: OPEN\n");
        let html = || Pairs::of("Status: CLOSED\nHost: a\nHost: b\nTeam: x\nTeam: y\n");
        let lines = |pairs: &Pairs| {
            let line = |(label, value)| format!("{label}: {value}\n");
            Lines::of(&pairs.iter().map(line).collect::<String>())
        };
        let two = Pairs::joined([lines(&text()), lines(&html())], true);
        assert_eq!(two.get("status"), Some("OPEN"));
        assert_eq!(two.readings("status"), ["OPEN", "CLOSED"]);
        assert_eq!(two.readings("host"), ["a <http://a>", "b"]);
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
        let both = Pairs::of("Status:\nthe state of it\n\nStatus: OPEN");
        assert_eq!(both.get("Status"), Some("OPEN"));
        assert_eq!(both.readings("Status"), ["OPEN", "the state of it"]);
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
