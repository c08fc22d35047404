//! Reading of one line as a pair: a label with its value, whatever it looks like.

/// The longest label, in characters.
pub const LONGEST_LABEL: usize = 60;

/// The longest value that is kept, in bytes; a longer one is cut.
const LONGEST_VALUE: usize = 4 << 10;

/// The bullets that begin a line of a list, and belong to no label.
const BULLETS: [char; 14] = [
    '-', '*', '•', '·', '‣', '–', '▪', '■', '□', '●', '○', '◆', '◇', '・',
];

/// Returns the pair of a line: `Label: value`, `Label = value` and, if `tab` says so, label TAB
/// value. The first of these marks decides.
pub(in crate::extract) fn pair(line: &str, tab: bool) -> Option<(String, String)> {
    let line = line.trim_matches(is_blank);
    if let Some((label, value)) = bracketed(line).or_else(|| barred(line))
        && let Some(pair) = laid_out(label, value)
    {
        return Some(pair);
    }
    let (label, value) = split(line, tab)?;
    made(label, unemphasised(label, value))
}

/// Returns a value without the asterisks that end the emphasis which its label begins.
fn unemphasised<'a>(label: &str, value: &'a str) -> &'a str {
    let rest = match value.trim_start().strip_prefix('*') {
        Some(rest) if label.starts_with('*') => rest,
        _ => return value,
    };
    match rest.strip_prefix('*') {
        Some(rest) => rest,
        None if rest.is_empty() || rest.starts_with(' ') => rest,
        None => value,
    }
}

/// Returns the two cells of a table's row with bars between the cells: `| Label | value |`.
fn barred(line: &str) -> Option<(&str, &str)> {
    let cells = line.strip_prefix('|')?.strip_suffix('|')?;
    let (label, value) = cells.split_once('|')?;
    (!value.contains('|')).then_some((label, value))
}

/// Splits `【label】value`, as Japanese mails write it.
fn bracketed(line: &str) -> Option<(&str, &str)> {
    let line = line.trim_start_matches(|c: char| is_blank(c) || BULLETS.contains(&c));
    line.strip_prefix('【')?.split_once('】')
}

/// Returns the pair of a label and a value that stand in cells of their own.
pub(in crate::extract) fn laid_out(label: &str, value: &str) -> Option<(String, String)> {
    made(label, unmarked(value))
}

/// Returns a value without the mark before it, if a tab or a cell separates it from its label
/// anyway. `::1` is an address.
fn unmarked(value: &str) -> &str {
    let value = value.trim_start_matches(is_blank);
    let rest = value.strip_prefix([':', '：', '=']);
    rest.filter(|rest| !rest.starts_with([':', '=']))
        .unwrap_or(value)
}

/// Returns the pair of a label and a value that are known to be one.
fn made(label: &str, value: &str) -> Option<(String, String)> {
    let label = undressed(label);
    let said = label.chars().any(char::is_alphanumeric);
    if !said || label.chars().nth(LONGEST_LABEL).is_some() {
        return None;
    }

    let value = value.trim_matches(is_blank);
    Some((label.to_owned(), cut(value).trim_end().to_owned()))
}

/// Returns at most [`LONGEST_VALUE`] bytes of a value.
pub(super) fn cut(value: &str) -> &str {
    let mut end = value.len().min(LONGEST_VALUE);
    while !value.is_char_boundary(end) {
        end -= 1;
    }
    &value[..end]
}

/// Splits a line at the mark that makes it a pair. It reads no further than a label may reach.
fn split(line: &str, tab: bool) -> Option<(&str, &str)> {
    let bytes = line.as_bytes();
    for (count, (at, c)) in line.char_indices().enumerate() {
        // Leave room for bullets before the label.
        if count > LONGEST_LABEL + 8 {
            return None;
        }
        let next = bytes.get(at + 1);
        match c {
            // A web address and a time of day are no label with its value.
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

/// Whether an equals sign is part of `==`, `=>`, `>=` and the like.
fn compares(before: &str, next: Option<&u8>) -> bool {
    matches!(next, Some(b'=' | b'>' | b'~')) || before.ends_with(['=', '<', '>', '!'])
}

fn ends_in_digit(text: &str) -> bool {
    text.as_bytes().last().is_some_and(u8::is_ascii_digit)
}

/// Returns a label without bullets before it, and without a colon or leader dots after it.
pub(super) fn undressed(label: &str) -> &str {
    let label = label.trim_start_matches(|c: char| is_blank(c) || BULLETS.contains(&c));
    let label = label.trim_end_matches(|c: char| is_blank(c) || matches!(c, ':' | '：' | '*'));
    match label.trim_end_matches(['.', '…']) {
        led if label.len() - led.len() > 1 => led.trim_end_matches(is_blank),
        _ => label,
    }
}

/// Returns what a quoted line says, without the marks before it: `> `, `| `, and several of them if
/// the quoted mail quotes another.
pub(in crate::extract) fn unquoted(line: &str) -> Option<&str> {
    // A row of a table with bars between its cells is no quotation.
    if barred(line.trim_matches(is_blank)).is_some() {
        return None;
    }
    let mut rest = line.trim_start_matches(is_blank);
    let mut said = None;
    while let Some(marked) = rest.strip_prefix('>').or_else(|| {
        rest.strip_prefix('|')
            .filter(|rest| rest.starts_with(is_blank))
    }) {
        // Further indentation belongs to the quoted mail.
        rest = marked.strip_prefix(' ').unwrap_or(marked);
        said = Some(rest);
    }
    said
}

/// Whether a line below a label may be its value: it says something, and is neither a pair nor an
/// entry of a list.
pub(super) fn is_value(line: &str) -> bool {
    let line = line.trim_matches(is_blank);
    let is_listed = line
        .strip_prefix(BULLETS)
        .is_some_and(|rest| rest.starts_with(is_blank))
        || line
            .trim_start_matches(|c: char| c.is_ascii_digit())
            .strip_prefix(['.', ')'])
            .is_some_and(|rest| {
                line.starts_with(|c: char| c.is_ascii_digit()) && rest.starts_with(' ')
            });
    line.contains(char::is_alphanumeric) && !is_listed && pair(line, true).is_none()
}

/// Whether a line is a label alone, which announces its value.
pub(super) fn leads(line: &str) -> bool {
    let line = line.trim_matches(is_blank).trim_end_matches('*');
    line.ends_with([':', '：', '】']) && pair(line, true).is_some_and(|(_, value)| value.is_empty())
}

/// Whether a character is white space, or is not seen at all.
pub(super) fn is_blank(c: char) -> bool {
    c.is_whitespace() || is_unseen(c)
}

/// Whether a character is a mark between texts of both writing directions, or may break a word.
pub(super) fn is_unseen(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{2064}' | '\u{2066}'..='\u{2069}' | '\u{feff}'
    )
}

#[cfg(test)]
mod tests {
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
            ("*Status:*", "Status", ""),
            ("**Status:**", "Status", ""),
            ("*Status*: OPEN", "Status", "OPEN"),
            ("Status:", "Status", ""),
            ("| Status | OPEN |", "Status", "OPEN"),
            ("|Status:|OPEN|", "Status", "OPEN"),
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
}
