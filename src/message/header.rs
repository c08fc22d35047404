//! The raw header block, read before any parser sees it, so that what a lenient parser would repair
//! is seen as it is.

use jiff::{Timestamp, fmt::rfc2822};
use memchr::{memchr, memchr_iter, memchr2_iter, memchr3};

/// The maximum length of an alert's header block, in bytes. Long ARC chains reach 30 KiB.
const MAX_HEADER: usize = 256 << 10;

/// The maximum number of header fields of an alert.
const MAX_FIELDS: usize = 1_000;

/// The fields that decide who sent a mail and how it is read.
const DECIDING: [&[u8]; 5] = [
    b"From",
    b"Date",
    b"Content-Type",
    b"Content-Transfer-Encoding",
    b"Content-Disposition",
];

/// One header field.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Field<'a> {
    /// The name as written, without the colon. Obsolete white space before the colon (RFC 5322,
    /// 4.5) is kept.
    pub name: &'a [u8],
    /// The value, including folded lines and their line ends.
    pub value: &'a [u8],
}

impl Field<'_> {
    /// Returns whether the field has this name, in any case and with any white space before the
    /// colon.
    pub fn is(&self, name: &[u8]) -> bool {
        self.name.trim_ascii_end().eq_ignore_ascii_case(name)
    }

    /// Returns whether the field has this name, directly followed by the colon.
    pub fn is_plainly(&self, name: &[u8]) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }
}

/// The fields that a mail's sender writes, each once, and no server on the way.
pub(super) const OF_MAILS: [&[u8]; 7] = [
    b"From",
    b"To",
    b"Subject",
    b"Date",
    b"Message-ID",
    b"MIME-Version",
    b"Content-Type",
];

/// The maximum number of lines of a gateway's banner in a header.
const MAX_BANNER: usize = 16;

/// The largest number of places in a header that are tried as the beginning of a boundary. An
/// ordinary header has two: one behind the equals sign, and one behind the quote.
const MAX_BOUNDARIES: usize = 16;

/// The longest text between the name of a boundary's parameter and the boundary, in bytes.
const MAX_LEAD: usize = 32;

/// Splits an entity into its header block and its body at the first empty line; if there is none,
/// before the first line of HTML or the first boundary line.
pub fn split(entity: &[u8]) -> (&[u8], &[u8]) {
    split_unless(entity, |_, _| false)
}

/// Splits a mail like [`split`], except that a line of HTML that a gateway put into the header no
/// more ends the header than any other line that is not a field.
pub fn split_mail(mail: &[u8]) -> (&[u8], &[u8]) {
    let mut known = Known::default();
    split_unless(mail, |header, rest| known.goes_on(header, rest))
}

fn split_unless(entity: &[u8], mut goes_on: impl FnMut(&[u8], &[u8]) -> bool) -> (&[u8], &[u8]) {
    let mut boundaries = Boundaries::default();
    let mut start = 0;
    while start < entity.len() {
        let line = &entity[start..];
        let length = memchr(b'\n', line);
        match line[0] {
            b'\n' | b'\r'
                if length.is_some_and(|end| line[..end].iter().all(|byte| *byte == b'\r')) =>
            {
                return (&entity[..start], &line[length.unwrap_or_default() + 1..]);
            }
            b'<' if is_markup(line) && !goes_on(&entity[..start], line) => {
                return (&entity[..start], line);
            }
            b'-' if boundaries.has_line(line, &entity[..start]) => {
                return (&entity[..start], line);
            }
            _ => {}
        }
        start = length.map_or(entity.len(), |end| start + end + 1);
    }

    (entity, &[])
}

/// The fields of [`OF_MAILS`] that a header has. They are looked for once in each line, however
/// many lines of HTML the header has.
#[derive(Default)]
struct Known {
    there: [bool; OF_MAILS.len()],
    /// The place up to which the header was read.
    seen: usize,
}

impl Known {
    /// Returns whether the header continues after HTML: the next lines, before an empty one, have a
    /// field that a mail has once and that this header did not have yet.
    fn goes_on(&mut self, header: &[u8], rest: &[u8]) -> bool {
        let place = |field: Field<'_>| OF_MAILS.iter().position(|name| field.is(name));
        for place in fields(&header[self.seen..]).flatten().filter_map(place) {
            self.there[place] = true;
        }
        self.seen = header.len();

        let is_new = |line: &[u8]| {
            let mut places = fields(line).flatten().filter_map(place);
            places.any(|place| !self.there[place])
        };
        rest.split_inclusive(|byte| *byte == b'\n')
            .take(MAX_BANNER)
            .take_while(|line| !line.trim_ascii().is_empty())
            .any(is_new)
    }
}

/// Returns whether a line begins with a tag or a declaration of HTML. `<id@host>` is the rest of a
/// field that was folded wrongly.
fn is_markup(line: &[u8]) -> bool {
    matches!(line, [b'<', b'!' | b'a'..=b'z' | b'A'..=b'Z', ..])
        && memchr3(b'>', b'@', b'\n', line).is_some_and(|at| line[at] != b'@')
}

/// The boundaries that a header names. They are looked for once in each line, however many lines
/// look like that of a boundary.
#[derive(Default)]
struct Boundaries {
    /// The places at which a boundary may begin.
    begin: Vec<usize>,
    /// The place up to which the header was searched.
    seen: usize,
}

impl Boundaries {
    /// Returns whether a line is `--` followed by a boundary that the header before it names.
    fn has_line(&mut self, line: &[u8], header: &[u8]) -> bool {
        let line = line[..memchr(b'\n', line).unwrap_or(line.len())].trim_ascii_end();
        let boundary = line
            .strip_prefix(b"--")
            .filter(|boundary| !boundary.is_empty());

        boundary.is_some_and(|boundary| {
            self.search(header);
            let mut begin = self.begin.iter();
            begin.any(|at| header[*at..].starts_with(boundary))
        })
    }

    /// Notes each place of the header that follows an equals sign or a quote behind the name of the
    /// parameter (RFC 2046, 5.1.1; RFC 2231, 3).
    fn search(&mut self, header: &[u8]) {
        const NAME: &[u8] = b"boundary";

        for at in memchr2_iter(b'b', b'B', &header[self.seen..]) {
            let (name, behind) = match header[self.seen + at..].split_at_checked(NAME.len()) {
                Some(split) if self.begin.len() < MAX_BOUNDARIES => split,
                _ => break,
            };
            if !name.eq_ignore_ascii_case(NAME) {
                continue;
            }

            let leads = |byte: &u8| byte.is_ascii_whitespace() || b"=\"*0123456789".contains(byte);
            let lead = behind.iter().take(MAX_LEAD).take_while(|byte| leads(byte));
            let marks = lead.enumerate().filter(|(_, byte)| b"=\"".contains(byte));
            let behind_at = header.len() - behind.len();
            self.begin
                .extend(marks.map(|(mark, _)| behind_at + mark + 1));
        }
        self.seen = header.len();
    }
}

/// Splits a part of a multipart like [`split`], or before the first line that is not a field.
///
/// A byte order mark, or a line that a gateway put before the part's own fields, is skipped.
pub fn split_part(part: &[u8]) -> (&[u8], &[u8]) {
    let part = from_its_fields(part);
    let (header, body) = split(part);
    let mut end = 0;

    for line in fields(header) {
        match line {
            Ok(field) => end += field.name.len() + 1 + field.value.len(),
            Err(_) => return part.split_at(end),
        }
    }

    (header, body)
}

fn from_its_fields(part: &[u8]) -> &[u8] {
    let part = part.strip_prefix("\u{feff}".as_bytes()).unwrap_or(part);
    let end = memchr(b'\n', part).map_or(part.len(), |at| at + 1);
    let (line, rest) = part.split_at(end);
    let is_junk = !line.trim_ascii().is_empty() && fields(line).all(|line| line.is_err());
    let is_field = rest
        .get(..8)
        .is_some_and(|name| name.eq_ignore_ascii_case(b"Content-"));
    if is_junk && is_field { rest } else { part }
}

/// Returns the fields of a header block in order; lines outside any field are `Err`.
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
            Some(colon) if is_name(line[..colon].trim_ascii_end()) => Ok(Field {
                name: &line[..colon],
                value: &line[colon + 1..],
            }),
            _ => Err(line),
        })
    })
}

/// Returns the value of the first field with this name.
pub fn first<'a>(header: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    fields(header)
        .flatten()
        .find(|field| field.is(name))
        .map(|field| field.value)
}

/// Returns the value of a field that occurs exactly once.
pub fn only<'a>(header: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let mut values = fields(header)
        .flatten()
        .filter(|field| field.is(name))
        .map(|field| field.value);
    values.next().filter(|_| values.next().is_none())
}

/// Returns the mail's Date (RFC 5322, 3.3); `None` if it is missing, unreadable or repeated.
///
/// The weekday may be wrong, as some mailers' is.
pub fn date(header: &[u8]) -> Option<Timestamp> {
    let value = only(header, b"Date")?;
    rfc2822::DateTimeParser::new()
        .relaxed_weekday(true)
        .parse_timestamp(value.trim_ascii())
        .ok()
}

/// Returns whether the zone of the Date is a name other than those to which RFC 5322, 4.3 assigns
/// an offset. Such a zone is read as UTC, and says nothing.
pub fn has_unknown_zone(header: &[u8]) -> bool {
    const KNOWN: [&[u8]; 11] = [
        b"UT", b"GMT", b"UTC", b"EST", b"EDT", b"CST", b"CDT", b"MST", b"MDT", b"PST", b"PDT",
    ];

    let value = only(header, b"Date").unwrap_or_default();
    let value = value.split(|byte| *byte == b'(').next().unwrap_or_default();
    let zone = value
        .trim_ascii_end()
        .rsplit(u8::is_ascii_whitespace)
        .next();
    zone.is_some_and(|zone| {
        zone.len() > 1
            && zone.iter().all(u8::is_ascii_alphabetic)
            && !KNOWN.iter().any(|known| known.eq_ignore_ascii_case(zone))
    })
}

/// Checks that different programs read a header block in the same way. The error names the
/// deviation.
pub fn check(header: &[u8]) -> Result<(), String> {
    if header.len() > MAX_HEADER {
        return Err(format!(
            "the header is {} bytes long; at most {MAX_HEADER} are read",
            header.len()
        ));
    }

    if fields(header).nth(MAX_FIELDS).is_some() {
        return Err(format!("the header has more than {MAX_FIELDS} fields"));
    }

    if memchr_iter(b'\r', header).any(|at| is_bare(header, at)) && reads_in_two_ways(header) {
        return Err(
            "the header holds a carriage return without a line feed, where some programs begin a \
             line"
                .to_owned(),
        );
    }

    Ok(())
}

/// Returns whether the carriage return at `at` ends no line.
fn is_bare(header: &[u8], at: usize) -> bool {
    header.get(at + 1) != Some(&b'\n')
}

/// Returns whether it matters that some programs end a line at a bare carriage return, and others
/// do not.
fn reads_in_two_ways(header: &[u8]) -> bool {
    let mut cut = Vec::with_capacity(header.len() + 16);
    for (at, byte) in header.iter().enumerate() {
        cut.push(*byte);
        if *byte == b'\r' && is_bare(header, at) {
            cut.push(b'\n');
        }
    }
    split(&cut).0.len() < cut.len() || deciding(header) != deciding(&cut)
}

/// Returns the fields that decide who sent a mail and how it is read.
fn deciding(header: &[u8]) -> Vec<(Vec<u8>, &[u8])> {
    let decides = |field: &Field<'_>| DECIDING.iter().any(|name| field.is(name));
    fields(header)
        .flatten()
        .filter(decides)
        .map(|field| (field.name.to_ascii_lowercase(), field.value.trim_ascii()))
        .collect()
}

/// Returns whether a field's name is valid (RFC 5322, 2.2): printable ASCII without the colon.
fn is_name(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(u8::is_ascii_graphic)
}

#[cfg(test)]
mod tests;
