//! The raw header block, read before any parser touches it: what a lenient parser would repair is seen as it is.

use jiff::{Timestamp, fmt::rfc2822};
use memchr::{memchr, memchr_iter};

/// The largest header block of an alert, in bytes. Long ARC chains reach 30 KiB.
const MAX_HEADER: usize = 256 << 10;

/// The most header fields of an alert.
const MAX_FIELDS: usize = 1_000;

/// One header field.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Field<'a> {
    /// As written, without the colon; obsolete white space before the colon (RFC 5322, 4.5) is kept.
    pub name: &'a [u8],
    /// Folded lines and their line ends included.
    pub value: &'a [u8],
}

impl Field<'_> {
    /// Whether it is called so, in any case and with any white space before the colon.
    pub fn is(&self, name: &[u8]) -> bool {
        self.name.trim_ascii_end().eq_ignore_ascii_case(name)
    }

    /// Whether it is called so, with the colon behind the name as everybody writes it.
    pub fn is_plainly(&self, name: &[u8]) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }
}

/// Splits an entity into its header block and its body at the first empty line.
pub fn split(entity: &[u8]) -> (&[u8], &[u8]) {
    let mut start = 0;
    while let Some(length) = memchr(b'\n', &entity[start..]) {
        let end = start + length + 1;
        if matches!(&entity[start..end], b"\n" | b"\r\n") {
            return (&entity[..start], &entity[end..]);
        }
        start = end;
    }
    (entity, &[])
}

/// The fields of a header block in order; lines that belong to none are `Err`.
pub fn fields(header: &[u8]) -> impl Iterator<Item = Result<Field<'_>, &[u8]>> {
    let mut rest = header;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let mut end = 0;
        loop {
            end += memchr(b'\n', &rest[end..]).map_or(rest.len() - end, |at| at + 1);
            if !matches!(rest.get(end), Some(b' ' | b'\t')) {
                break;
            }
        }
        let (line, after) = rest.split_at(end);
        rest = after;
        Some(match memchr(b':', line) {
            Some(colon) if is_name(line[..colon].trim_ascii_end()) => {
                Ok(Field { name: &line[..colon], value: &line[colon + 1..] })
            }
            _ => Err(line),
        })
    })
}

/// The value of the first field of a name.
pub fn first<'a>(header: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    fields(header).flatten().find(|field| field.is(name)).map(|field| field.value)
}

/// The value of a field that stands there exactly once.
pub fn only<'a>(header: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let mut values = fields(header).flatten().filter(|field| field.is(name)).map(|field| field.value);
    values.next().filter(|_| values.next().is_none())
}

/// The mail's Date (RFC 5322, 3.3), whose weekday may be wrong, as some mailers' is; none where it is missing, unreadable
/// or given twice.
pub fn date(header: &[u8]) -> Option<Timestamp> {
    let value = only(header, b"Date")?;
    rfc2822::DateTimeParser::new().relaxed_weekday(true).parse_timestamp(value.trim_ascii()).ok()
}

/// What makes different programs read a header block differently. The error says what is odd.
pub fn check(header: &[u8]) -> Result<(), String> {
    if header.len() > MAX_HEADER {
        return Err(format!("the header is {} bytes long; at most {MAX_HEADER} are read", header.len()));
    }
    if memchr(0, header).is_some() {
        return Err("the header holds a NUL".to_owned());
    }
    if memchr_iter(b'\r', header).any(|at| header.get(at + 1) != Some(&b'\n')) {
        return Err("the header holds a carriage return without a line feed".to_owned());
    }
    for (number, field) in fields(header).enumerate() {
        if number == MAX_FIELDS {
            return Err(format!("the header has more than {MAX_FIELDS} fields"));
        }
        // An mbox file's first line is the one line without a colon that is known and harmless.
        if field.is_err_and(|line| number > 0 || !line.starts_with(b"From ")) {
            return Err(format!("line {} of the header is no header field", number + 1));
        }
    }
    Ok(())
}

/// RFC 5322, 2.2: printable ASCII without the colon.
fn is_name(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(u8::is_ascii_graphic)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(header: &str) -> Vec<Result<String, String>> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        fields(header.as_bytes()).map(|field| field.map(|f| text(f.name)).map_err(text)).collect()
    }

    #[test]
    fn a_header_ends_at_the_first_empty_line_of_either_kind() {
        assert_eq!(split(b"A: 1\r\n\r\nbody"), (&b"A: 1\r\n"[..], &b"body"[..]));
        assert_eq!(split(b"A: 1\n\nbody\r\n\r\n"), (&b"A: 1\n"[..], &b"body\r\n\r\n"[..]));
        assert_eq!(split(b"\r\nbody"), (&b""[..], &b"body"[..]));
        assert_eq!(split(b"A: 1"), (&b"A: 1"[..], &b""[..]));
        assert_eq!(split(b""), (&b""[..], &b""[..]));
    }

    #[test]
    fn folded_lines_belong_to_their_field() {
        assert_eq!(names("A: 1\r\n 2\r\n\t3\r\nB : x\r\n"), [Ok("A".into()), Ok("B ".into())]);
        assert_eq!(first(b"A: 1\r\n 2\r\nB: x\r\n", b"a"), Some(&b" 1\r\n 2\r\n"[..]));
    }

    #[test]
    fn lines_without_a_name_are_no_fields() {
        assert_eq!(names("A: 1\nnonsense\n"), [Ok("A".into()), Err("nonsense\n".into())]);
        assert_eq!(names(" A: 1\n"), [Err(" A: 1\n".into())]);
        assert_eq!(names("Fr om: 1\n"), [Err("Fr om: 1\n".into())]);
    }

    #[test]
    fn only_a_field_given_once_is_the_only_one() {
        assert_eq!(only(b"A: 1\nB: 2\n", b"a"), Some(&b" 1\n"[..]));
        assert_eq!(only(b"A: 1\nB: 2\na : 3\n", b"a"), None);
    }

    #[test]
    fn what_parsers_read_differently_is_refused() {
        assert!(check(b"From: a\r\nTo: b\r\n").is_ok());
        assert!(check(b"From me Thu Mar 24\nTo: b\n").is_ok());
        assert!(check(b"From: x@evil\rFrom: y\r\n").unwrap_err().contains("carriage return"));
        assert!(check(b"From: a\0\r\n").unwrap_err().contains("NUL"));
        assert!(check(b"To: b\nFrom me\n").unwrap_err().contains("line 2"));
        assert!(check("A: b\n".repeat(1_001).as_bytes()).unwrap_err().contains("1000 fields"));
        assert!(check(format!("A: {}\n", "b".repeat(300_000)).as_bytes()).unwrap_err().contains("bytes long"));
    }
}
