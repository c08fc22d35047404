//! Labels with their values: what alert mails are made of, whatever they look like.

use std::collections::{HashMap, HashSet};

use serde::{Serialize, Serializer};
use unicode_normalization::UnicodeNormalization;

/// The longest label, in characters.
pub const LONGEST_LABEL: usize = 60;

/// The longest value that is kept, in bytes: what is longer is cut.
const LONGEST_VALUE: usize = 4 << 10;

/// How many pairs of a mail are kept.
pub(super) const MAX_PAIRS: usize = 2_000;

/// What leads a line of a list, and belongs to no label.
const BULLETS: [char; 14] = [
    '-', '*', '•', '·', '‣', '–', '▪', '■', '□', '●', '○', '◆', '◇', '・',
];

/// The pairs of a mail, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pairs {
    all: Vec<(String, String)>,
    /// By label as it is looked up.
    places: HashMap<String, Vec<usize>>,
    /// How many come before those of another version of the same text, where there is one.
    version: Option<usize>,
}

impl Pairs {
    /// Those of a text, line by line.
    pub fn of(text: &str) -> Self {
        let mut pairs = Self::default();
        for line in text.lines() {
            if pairs.all.len() >= MAX_PAIRS {
                break;
            }
            pairs.extend(pair(line, true));
        }
        pairs
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
    /// text and the HTML of a mail word one thing in two ways.
    pub fn readings(&self, label: &str) -> Vec<&str> {
        let places = self.places.get(&looked_up(label));
        let said = places.into_iter().flatten().filter_map(|place| {
            let (_, value) = self.all.get(*place)?;
            (!value.is_empty()).then_some((*place, value.as_str()))
        });

        let mut readings: Vec<&str> = Vec::new();
        let mut first = None;
        for (place, value) in said {
            let version = self.version.is_some_and(|version| place >= version);
            if *first.get_or_insert(version) == version && !readings.contains(&value) {
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

    /// Those of another text follow.
    pub(super) fn append(&mut self, more: Self) {
        self.extend(more.all);
    }

    /// Those of another text follow, without what both say; whether it is another version of this
    /// one.
    pub(super) fn join(&mut self, more: Self, is_version: bool) {
        self.version = is_version.then_some(self.all.len());
        let known: HashSet<(String, &str)> = self
            .iter()
            .map(|(label, value)| (looked_up(label), value))
            .collect();
        let news: Vec<_> = more
            .all
            .into_iter()
            .filter(|(label, value)| !known.contains(&(looked_up(label), value.as_str())))
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

impl FromIterator<(String, String)> for Pairs {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(pairs: I) -> Self {
        let mut all = Self::default();
        all.extend(pairs);
        all
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
    let bare = undressed(label);
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

/// A label without bullets before it, and without a colon or dots that lead to it behind.
fn undressed(label: &str) -> &str {
    let label = label.trim_start_matches(|c: char| is_blank(c) || BULLETS.contains(&c));
    let label = label.trim_end_matches(|c: char| is_blank(c) || matches!(c, ':' | '：' | '*'));
    match label.trim_end_matches(['.', '…']) {
        led if label.len() - led.len() > 1 => led.trim_end_matches(is_blank),
        _ => label,
    }
}

/// White space, and what nobody sees at all.
fn is_blank(c: char) -> bool {
    c.is_whitespace() || is_unseen(c)
}

/// The marks by which texts of both directions stand beside each other, and what may break a word.
fn is_unseen(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{2064}' | '\u{2066}'..='\u{2069}' | '\u{feff}'
    )
}

/// The pair of a line: `Label: value`, `Label = value`, and, where `tab` says so, label TAB value.
/// The first of these marks decides.
pub(super) fn pair(line: &str, tab: bool) -> Option<(String, String)> {
    let line = line.trim_matches(is_blank);
    if let Some((label, value)) = bracketed(line)
        && let Some(pair) = laid_out(label, value)
    {
        return Some(pair);
    }
    let (label, value) = split(line, tab)?;
    let emphasised = label.starts_with('*');
    let value = match value.trim_start().strip_prefix("**") {
        Some(rest) if emphasised => rest,
        _ => match value.trim_start().strip_prefix("* ") {
            Some(rest) if emphasised => rest,
            _ => value,
        },
    };

    made(label, value)
}

/// `【label】value`, as Japanese mails have it.
fn bracketed(line: &str) -> Option<(&str, &str)> {
    let line = line.trim_start_matches(|c: char| is_blank(c) || BULLETS.contains(&c));
    line.strip_prefix('【')?.split_once('】')
}

/// A pair of a label and a value that stand in cells of their own.
pub(super) fn laid_out(label: &str, value: &str) -> Option<(String, String)> {
    made(label, unmarked(value))
}

/// A value without the mark that stands before it though a tab or a cell parts it from its label;
/// `::1` is an address.
fn unmarked(value: &str) -> &str {
    let value = value.trim_start_matches(is_blank);
    let rest = value.strip_prefix([':', '：', '=']);
    rest.filter(|rest| !rest.starts_with([':', '=']))
        .unwrap_or(value)
}

/// A pair of a label and a value that are known to be such.
fn made(label: &str, value: &str) -> Option<(String, String)> {
    let label = undressed(label);
    let said = label.chars().any(char::is_alphanumeric);
    if !said || label.chars().nth(LONGEST_LABEL).is_some() {
        return None;
    }

    let value = value.trim_matches(is_blank);
    Some((label.to_owned(), cut(value).trim_end().to_owned()))
}

/// At most [`LONGEST_VALUE`] bytes of a value.
fn cut(value: &str) -> &str {
    let mut end = value.len().min(LONGEST_VALUE);
    while !value.is_char_boundary(end) {
        end -= 1;
    }
    &value[..end]
}

/// Splits a line at the mark that makes it a pair. Only as much is looked at as a label may take.
fn split(line: &str, tab: bool) -> Option<(&str, &str)> {
    let bytes = line.as_bytes();
    for (count, (at, c)) in line.char_indices().enumerate() {
        // Room for bullets before the label.
        if count > LONGEST_LABEL + 8 {
            return None;
        }
        let next = bytes.get(at + 1);
        match c {
            // An address of the web, and a time of the day, are no label with its value.
            ':' if next == Some(&b'/') && bytes.get(at + 2) == Some(&b'/') => return None,
            ':' if next.is_some_and(u8::is_ascii_digit) && ends_in_digit(&line[..at]) => {}
            ':' if line[at + 1..]
                .strip_prefix(':')
                .is_some_and(|rest| !rest.starts_with(|c| !is_blank(c))) =>
            {
                return Some((&line[..at], &line[at + 2..]));
            }
            ':' | '：' => return Some((&line[..at], &line[at + c.len_utf8()..])),
            '=' if !compares(&line[..at], next) => {
                return Some((&line[..at], &line[at + 1..]));
            }
            '\t' if tab => return Some((&line[..at], unmarked(&line[at + 1..]))),
            _ => {}
        }
    }

    None
}

/// Whether an equals sign is part of `==`, `=>`, `>=` and their like.
fn compares(before: &str, next: Option<&u8>) -> bool {
    matches!(next, Some(b'=' | b'>' | b'~')) || before.ends_with(['=', '<', '>', '!'])
}

fn ends_in_digit(text: &str) -> bool {
    text.as_bytes().last().is_some_and(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_pair_is_read_however_it_is_written() {
        for (line, label, value) in [
            ("Status: OPEN", "Status", "OPEN"),
            ("status:OPEN", "status", "OPEN"),
            ("Status = OPEN", "Status", "OPEN"),
            ("Status=OPEN", "Status", "OPEN"),
            ("Status\tOPEN", "Status", "OPEN"),
            ("Status:\t\tOPEN  ", "Status", "OPEN"),
            ("Status\t\t: OPEN", "Status", "OPEN"),
            ("Status\t:OPEN", "Status", "OPEN"),
            ("Status \t ： OPEN", "Status", "OPEN"),
            ("Status\t= OPEN", "Status", "OPEN"),
            ("Status:: OPEN", "Status", "OPEN"),
            ("Status::", "Status", ""),
            ("Address\t::1", "Address", "::1"),
            ("std::path: x", "std", ":path: x"),
            (
                "- State Change:        OK -> ALARM",
                "State Change",
                "OK -> ALARM",
            ),
            (" * Status : OPEN", "Status", "OPEN"),
            ("• Status: OPEN", "Status", "OPEN"),
            ("*Status:* OPEN", "Status", "OPEN"),
            ("**Status:** OPEN", "Status", "OPEN"),
            ("**Status**: OPEN", "Status", "OPEN"),
            ("Status:", "Status", ""),
            (
                "Link: https://example.com/?a=b",
                "Link",
                "https://example.com/?a=b",
            ),
            ("instance = host:9100", "instance", "host:9100"),
            (
                "Date/Time: Sat Nov 28 04:10:00",
                "Date/Time",
                "Sat Nov 28 04:10:00",
            ),
            ("Größe\u{a0}: 5", "Größe", "5"),
            ("Status........: OPEN", "Status", "OPEN"),
            ("Status ... : OPEN", "Status", "OPEN"),
            ("Ticket no.: 5", "Ticket no.", "5"),
            ("\u{200f}الحالة: \u{200f}معطل\u{200e}", "الحالة", "معطل"),
            (
                "\u{feff}Status\u{200b}: \u{2068}OPEN\u{2069}",
                "Status",
                "OPEN",
            ),
            ("状態：異常", "状態", "異常"),
            ("・状態：異常", "状態", "異常"),
            ("■ 状態: 異常", "状態", "異常"),
            ("● Status: OPEN", "Status", "OPEN"),
            ("【状態】異常", "状態", "異常"),
            ("■【状態】：異常", "状態", "異常"),
            ("【状態】", "状態", ""),
        ] {
            assert_eq!(
                pair(line, true),
                Some((label.to_owned(), value.to_owned())),
                "{line:?}"
            );
        }
        for line in [
            "",
            "no pair at all",
            "https://example.com/?a=b",
            "see https://example.com/",
            "at 12:30 it began",
            "---: x",
            ": x",
            "= x",
            "a == b",
            "a >= b",
            &format!("{}: x", "l".repeat(61)),
        ] {
            assert_eq!(pair(line, true), None, "{line:?}");
        }
    }

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
        two.join(html(), true);
        assert_eq!(two.readings("status"), ["OPEN"]);
        assert_eq!(two.readings("host"), ["a <http://a>"]);
        assert_eq!(two.readings("team"), ["x", "y"]);
        assert_eq!(two.readings("other"), [""; 0]);
        let mut one = text();
        one.join(html(), false);
        assert_eq!(one.readings("status"), ["OPEN", "CLOSED"]);
        assert_eq!(one.readings("host"), ["a <http://a>", "a", "b"]);
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
