//! The contents of a mail, to which a profile can refer: its text, its pairs, its attachments.

use std::{borrow::Cow, collections::HashSet, mem::take};

use mail_parser::parsers::MessageStream;
use serde::Serialize;

use super::{
    charset, flowed, json,
    markup::{self, Ending},
    mime::Kind,
    pairs::{Lines, MAX_PAIRS, Pairs, Run, line::unquoted},
    parts::{self, Damage, Part},
    rendered::{self, Rendered},
    rewritten,
    selected::{self, Selector},
    spaced,
    structured::Structured,
    words,
};
use crate::message::header::first;

/// The longest text of a mail that is read, in bytes; a longer one is cut.
const LONGEST_TEXT: usize = 512 << 10;

/// The largest amount of HTML of a mail that is read, in bytes.
const LONGEST_HTML: usize = 2 << 20;

/// The largest part of an attachment that is read, in bytes.
const LONGEST_ATTACHMENT: usize = 256 << 10;

const CUT_HTML: &str = "the mail's HTML ends before it is closed: it looks cut off";

/// The largest number of attachments that are read.
const MAX_ATTACHMENTS: usize = 32;

/// The contents of a mail.
#[derive(Debug, Clone, Default)]
pub struct Contents {
    /// The text/plain parts, and the HTML as text if the two do not say the same. Lines end in LF.
    pub text: String,
    /// The words that the text quotes, without their marks, and those that the HTML hides from its
    /// reader. They are read only if nothing that the mail says itself says as much.
    pub aside: String,
    /// The text/plain parts, and the HTML as text, if a mail has both in different words.
    pub versions: Option<[String; 2]>,
    /// The pairs from text and HTML.
    pub pairs: Pairs,
    /// The words and the target of each link in the HTML.
    pub links: Vec<(String, String)>,
    pub attachments: Vec<Attachment>,
    /// The reason why a part could not be read.
    pub obstacle: Option<String>,
    /// A sentence that says that the text is longer than the part that was read, if it is.
    pub cut: Option<String>,
    /// A sentence that says that transport damaged a part, if it did: text may be missing, or be
    /// another one.
    pub damage: Option<String>,
    /// Whether nothing of what the mail says could be read.
    pub is_hidden: bool,
    html: Vec<String>,
    /// The place in the text at which each HTML part stands.
    html_at: Vec<usize>,
    html_is_cut: bool,
}

/// An attachment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Attachment {
    /// The name; empty if it has none.
    pub name: String,
    #[serde(rename = "type")]
    pub kind: String,
    /// The text; empty if the attachment is no text.
    pub text: String,
    /// Whether the attachment is longer than `text`.
    #[serde(skip)]
    pub is_cut: bool,
}

/// The HTML parts of a mail, rendered.
#[derive(Default)]
struct Pages {
    /// What the mail's reader sees of them.
    seen: Rendered,
    hidden: Rendered,
    /// The text with the pages at the places where they stand in it.
    within: String,
    /// The place at which the text continues after the last page.
    behind: usize,
}

impl Contents {
    /// Reads a mail. It never fails, and takes time linear in the mail's size.
    pub fn of(header: &[u8], body: &[u8]) -> Self {
        Self::read(header, body, false)
    }

    /// Reads a mail without anything that transport damaged. Of a mail that only lacks its end,
    /// just the last line is left out.
    pub fn sound(header: &[u8], body: &[u8]) -> Self {
        Self::read(header, body, true)
    }

    fn read(header: &[u8], body: &[u8], sound: bool) -> Self {
        let parts = parts::of(header, body);
        let mut contents = Self {
            obstacle: parts.obstacle,
            ..Self::default()
        };

        for part in parts.all {
            contents.take(&part, sound);
        }

        let Pages {
            seen: mut pages,
            mut hidden,
            within,
            behind,
        } = contents.pages();

        let mut is_cut = cut(&mut contents.text, LONGEST_TEXT);
        let mut lines = Lines::of(&contents.text);
        let says_the_same = says_what(&contents.text, &pages.text);
        contents.versions = versions(&contents.text, &pages.text);

        if contents.text.trim().is_empty() {
            contents.text = pages.text;
            is_cut |= cut(&mut contents.text, LONGEST_TEXT) | pages.is_cut;
        } else if !contents.html.is_empty() && !says_the_same {
            contents.text = within + contents.text.get(behind..).unwrap_or_default();
            is_cut |= cut(&mut contents.text, LONGEST_TEXT) | pages.is_cut;
        }

        is_cut |= cut(&mut hidden.text, LONGEST_TEXT) | hidden.is_cut;
        if contents.text.trim().is_empty() {
            contents.text = take(&mut hidden.text);
        }
        contents.aside = if answers(&contents.text) {
            lines.quoted = Run::default();
            pages.pairs.quoted = Run::default();
            hidden.text
        } else {
            quoted(&contents.text) + &hidden.text
        };
        contents.cut =
            is_cut.then(|| format!("the mail has more than {} KiB of text", LONGEST_TEXT >> 10));

        contents.pairs = Pairs::joined([lines, pages.pairs], says_the_same);
        let unseen = Pairs::joined([hidden.pairs, Lines::default()], false);
        contents.pairs.add_behind(unseen);
        let of_hidden = hidden.links.into_iter();
        let of_hidden = of_hidden.filter(|(words, _)| !words.is_empty());
        contents.links = pages.links.into_iter().chain(of_hidden).collect();

        contents.is_hidden = parts.hidden.is_some() && contents.text.trim().is_empty();
        if contents.is_hidden {
            contents.damage = contents.damage.or(parts.hidden);
        }
        contents.obstacle = contents.obstacle.or_else(|| contents.damage.clone());
        contents
    }

    fn pages(&self) -> Pages {
        let mut pages = Pages {
            seen: Rendered {
                is_cut: self.html_is_cut,
                ..Rendered::default()
            },
            ..Pages::default()
        };
        for (html, at) in self.html.iter().zip(&self.html_at) {
            let longest = LONGEST_TEXT.saturating_sub(pages.seen.text.len());
            let [page, unseen] = rendered::render(html, longest);
            pages.within += self.text.get(pages.behind..*at).unwrap_or_default();
            pages.within += &page.text;
            pages.behind = *at;
            pages.seen.append(page);
            pages.hidden.append(unseen);
        }
        pages
    }

    fn take(&mut self, part: &Part<'_>, sound: bool) {
        let name = name(part);
        let is_html = matches!(part.kind, Kind::Html);
        let is_text = part.content.token == "text/plain" || matches!(part.kind, Kind::Unnamed);

        if part.inline && name.is_none() && (is_html || is_text) {
            let (text, damage) = part.read();
            if is_html || begins_as_html(&text) {
                let damage = of_html(&text, damage);
                let html = self.noted(text, damage, sound, markup::without_last_line);
                let room = LONGEST_HTML.saturating_sub(self.html.iter().map(String::len).sum());
                let mut html = html;
                self.html_is_cut |= cut(&mut html, room);
                self.html.push(html);
                self.html_at.push(self.text.len());
            } else {
                let text = self.noted(text, damage, sound, without_last_line);
                self.append(part, &text);
            }
            return;
        }

        // A named text that is shown with the mail is both text and attachment.
        if part.inline && is_text && part.content.token == "text/plain" {
            let (text, damage) = part.read();
            let text = self.noted(text, damage, sound, without_last_line);
            self.append(part, &text);
        }
        if self.attachments.len() < MAX_ATTACHMENTS {
            self.attachments.push(attachment(part, name));
        }
    }

    /// Notes the damage and returns the text, or only its sound part if that is asked for.
    fn noted(
        &mut self,
        text: String,
        damage: Option<Damage>,
        sound: bool,
        without_end: fn(&str) -> &str,
    ) -> String {
        let (why, kept) = match damage {
            None => return text,
            Some(Damage::Anywhere(why)) => (why, ""),
            Some(Damage::AtItsEnd(why)) => (why, without_end(&text)),
            Some(Damage::WithinALine(why)) => {
                let ended = text.rfind('\n').map_or(0, |at| at + 1);
                (why, &text[..ended])
            }
        };
        self.damage.get_or_insert(why);
        if sound { kept.to_owned() } else { text }
    }

    fn append(&mut self, part: &Part<'_>, text: &str) {
        let says = |name: &str, word: &str| {
            let value = part.content.first(name);
            value.is_some_and(|value| value.eq_ignore_ascii_case(word))
        };
        // Read one byte more than the limit, which shows that the text is too long.
        if self.text.len() <= LONGEST_TEXT {
            let plain = flowed::plain(text, says("format", "flowed"), says("delsp", "yes"));
            self.text
                .extend(rewritten::undone(&plain).chars().map(spaced));
        }
    }

    /// Returns the contents with `text` in place of all that the mail says.
    #[must_use]
    pub fn with_text(&self, text: &str) -> Self {
        Self {
            text: text.to_owned(),
            aside: String::new(),
            ..self.clone()
        }
    }

    /// Returns the sentence that says that the mail has more text or pairs than were read, if it
    /// has.
    pub fn cut(&self) -> Option<Cow<'_, str>> {
        let pairs = || format!("the mail has more than {MAX_PAIRS} pairs");
        let text = self.cut.as_deref().map(Cow::Borrowed);
        text.or_else(|| self.pairs.is_cut().then(|| Cow::Owned(pairs())))
    }

    /// Returns the texts of the elements that a selector finds in the HTML, in order.
    pub fn elements(&self, selector: &Selector) -> Result<Vec<String>, String> {
        let mut found = Vec::new();
        for html in &self.html {
            found.extend(selected::find(html, selector)?);
        }
        Ok(found)
    }
}

/// Parses JSON as alerts are read: a key that is given twice says two things, and is refused.
pub fn parse_json(text: &str) -> Result<serde_json::Value, String> {
    json::parse(text)
}

/// Returns a field of the header as a person reads it: unfolded and decoded, at most `longest`
/// characters.
pub fn decoded(value: &[u8], longest: usize) -> String {
    // Cut longer values before decoding them: RFC 2047 makes a text three times as long at most.
    let line = words::joined(value.get(..longest * 16).unwrap_or(value));
    let line = charset::decode_all(&line, None) + "\n";

    let mut stream = MessageStream::new(line.as_bytes());
    let text = stream.parse_unstructured().into_text().unwrap_or_default();

    let text: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { spaced(c) })
        .take(longest)
        .collect();
    text.trim().to_owned()
}

/// Returns the name of a file, from either field that may contain one.
fn name(part: &Part<'_>) -> Option<String> {
    first(part.header, b"Content-Disposition")
        .and_then(|value| Structured::parse(value).first("filename"))
        .or_else(|| part.content.first("name"))
        .map(|name| decoded(name.as_bytes(), 250))
        .filter(|name| !name.is_empty())
}

fn attachment(part: &Part<'_>, name: Option<String>) -> Attachment {
    let kind = match part.content.token.as_str() {
        "" => "application/octet-stream".to_owned(),
        token => token.to_owned(),
    };

    let bytes = part.bytes();
    let is_text =
        kind.starts_with("text/") || (!bytes.contains(&0) && std::str::from_utf8(&bytes).is_ok());
    let mut text = if is_text { part.text() } else { String::new() };
    let is_cut = cut(&mut text, LONGEST_ATTACHMENT);

    Attachment {
        name: name.unwrap_or_default(),
        kind,
        text,
        is_cut,
    }
}

/// Returns what may be missing of HTML. HTML itself shows whether it is whole.
fn of_html(html: &str, damage: Option<Damage>) -> Option<Damage> {
    match (damage, markup::ending(html)) {
        (Some(Damage::Anywhere(why)), _) => Some(Damage::Anywhere(why)),
        (_, Ending::Whole) => None,
        (_, Ending::Open) => Some(Damage::AtItsEnd(CUT_HTML.to_owned())),
        (_, Ending::Within) => Some(Damage::Anywhere(CUT_HTML.to_owned())),
    }
}

fn without_last_line(text: &str) -> &str {
    let last = text.trim_end().rfind('\n');
    &text[..last.map_or(0, |at| at + 1)]
}

/// Returns the lines of a text that are quoted, without the marks before them.
fn quoted(text: &str) -> String {
    let mut quoted = String::new();
    for line in text.lines().filter_map(unquoted) {
        quoted.push_str(line);
        quoted.push('\n');
    }
    quoted
}

/// Whether a text says something above what it quotes: it answers that, which is over, and is no
/// alert. A mail that quotes another as a whole passes it on.
///
/// In-Reply-To and References would say so too, but many signatures do not cover them, so that
/// anybody could take them away.
fn answers(text: &str) -> bool {
    let says = |line: &str| line.contains(char::is_alphanumeric);
    let mut own = text.lines().take_while(|line| unquoted(line).is_none());
    own.any(says)
}

/// Returns the text and the HTML of a mail that has both, unless they are the same words.
fn versions(text: &str, html: &str) -> Option<[String; 2]> {
    let is_blank = |text: &str| text.trim().is_empty();
    let differ = !is_blank(text) && !is_blank(html) && !words_of(text).eq(words_of(html));
    differ.then(|| [text, html].map(str::to_owned))
}

/// Whether a text says what the HTML says, judged by half of its words: a list's footer beside the
/// HTML does not replace the HTML. The subtype of the multipart does not decide, because many
/// signatures do not cover it, so that anybody could change it.
fn says_what(text: &str, html: &str) -> bool {
    // Most mails have only one of the two, and need no comparison.
    if html.is_empty() || text.trim().is_empty() {
        return html.is_empty();
    }

    let said: HashSet<&str> = words_of(text).collect();
    let (known, all) = words_of(html).fold((0, 0), |(known, all), word| {
        (known + usize::from(said.contains(word)), all + 1)
    });
    known * 2 >= all
}

fn words_of(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
}

fn begins_as_html(text: &str) -> bool {
    let text = text.trim_start();
    text.get(..5).is_some_and(|begun| {
        begun.eq_ignore_ascii_case("<html") || begun.eq_ignore_ascii_case("<!doc")
    })
}

/// Cuts a text that is longer, and returns whether it was.
fn cut(text: &mut String, longest: usize) -> bool {
    let is_longer = text.len() > longest;
    if is_longer {
        let mut end = longest;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
    }
    is_longer
}
