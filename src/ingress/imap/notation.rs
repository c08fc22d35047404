//! IMAP's notation for a time, a set of UIDs and a folder's name.

use base64::{
    Engine as _,
    engine::{GeneralPurpose, general_purpose::NO_PAD},
};
use jiff::Timestamp;

/// Parses `17-Jul-1996 02:44:25 -0700` (RFC 3501, date-time; days below ten begin with a space).
pub(super) fn internal_date(text: &str) -> Option<Timestamp> {
    Timestamp::strptime("%d-%b-%Y %H:%M:%S %z", text.trim()).ok()
}

/// Writes a time in IMAP's notation.
pub(super) fn date_time(time: Timestamp) -> String {
    time.strftime("%d-%b-%Y %H:%M:%S +0000").to_string()
}

/// Writes ascending UIDs as a sequence set: `1:3,7`.
pub(super) fn uid_set(uids: &[u32]) -> String {
    uids.chunk_by(|a, b| a.checked_add(1) == Some(*b))
        .map(|run| match run {
            [first, .., last] => format!("{first}:{last}"),
            [only] => only.to_string(),
            [] => String::new(),
        })
        .collect::<Vec<_>>()
        .join(",")
}

/// Returns the numbers of a sequence set, `1:3,7`; `None` if it is invalid or absurdly long.
pub(super) fn numbers(set: &str) -> Option<Vec<u32>> {
    const MOST: usize = 100_000;
    let mut numbers = Vec::new();
    for part in set.split(',') {
        let (first, last) = part.split_once(':').unwrap_or((part, part));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        let (first, last) = (first.min(last), first.max(last));
        if numbers.len() + (last - first) as usize >= MOST {
            return None;
        }
        numbers.extend(first..=last);
    }

    Some(numbers)
}

/// Writes a quoted string (RFC 9051, 4.3). Characters that it cannot contain are left out.
pub(super) fn plainly_quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars().filter(|c| !matches!(c, '\r' | '\n' | '\0')) {
        if matches!(c, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(c);
    }

    quoted.push('"');
    quoted
}

/// Writes a folder's name for `IMAP4rev1`: modified UTF-7 (RFC 3501, 5.1.3) in quotes.
pub(super) fn quoted(folder: &str) -> String {
    const MUTF7: GeneralPurpose = GeneralPurpose::new(&base64::alphabet::IMAP_MUTF7, NO_PAD);
    let mut name = String::from("\"");
    let is_plain = |c: &char| (' '..='~').contains(c);

    for run in folder
        .chars()
        .collect::<Vec<_>>()
        .chunk_by(|a, b| is_plain(a) == is_plain(b))
    {
        if run.first().is_some_and(is_plain) {
            for c in run {
                match c {
                    '&' => name.push_str("&-"),
                    '"' | '\\' => name.extend(['\\', *c]),
                    _ => name.push(*c),
                }
            }
        } else {
            let utf16: Vec<u8> = run
                .iter()
                .collect::<String>()
                .encode_utf16()
                .flat_map(u16::to_be_bytes)
                .collect();
            name.extend(["&", &MUTF7.encode(utf16), "-"]);
        }
    }

    name.push('"');

    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folders_name_is_written_in_modified_utf_7() {
        assert_eq!(quoted("INBOX"), "\"INBOX\"");
        assert_eq!(
            quoted("Alarme/Größe & \"Co\""),
            "\"Alarme/Gr&APYA3w-e &- \\\"Co\\\"\""
        );
        assert_eq!(quoted("台北"), "\"&U,BTFw-\"");
    }

    #[test]
    fn uids_are_written_as_ranges() {
        assert_eq!(uid_set(&[1, 2, 3, 7, 9, 10]), "1:3,7,9:10");
        assert_eq!(uid_set(&[u32::MAX]), u32::MAX.to_string());
        assert_eq!(uid_set(&[]), "");
    }

    #[test]
    fn an_internal_date_is_read_with_its_zone() {
        let expected: Timestamp = "1996-07-07T09:44:25Z".parse().unwrap();
        assert_eq!(internal_date(" 7-Jul-1996 02:44:25 -0700"), Some(expected));
        assert_eq!(internal_date("07-Jul-1996 02:44:25 -0700"), Some(expected));
        assert_eq!(internal_date("never"), None);
    }
}
