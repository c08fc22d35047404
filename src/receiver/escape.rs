//! Escaping that keeps whatever an alert says plain text in a vendor's markup.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// The characters that a path segment or a value of a query may contain unencoded (RFC 3986, 2.3).
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The markup that the text is escaped for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Escape {
    /// Plain text, which needs no escaping.
    No,
    /// Slack's markup: `&`, `<` and `>` are escaped in values, but not in the template itself. An
    /// operator can write a link or a mention, whereas an app called `<!channel>` notifies nobody.
    Slack,
    /// Discord's Markdown, likewise in values only; see [`escape_markdown`].
    Markdown,
    /// Text between the quotes of JSON: a value that is filled in stays between them. The result of
    /// `tojson` has quotes of its own, and is left as it is.
    Json,
    /// An address: a value is a single piece of it, and changes neither the host nor the path.
    Url,
}

impl Escape {
    /// Returns the function that escapes values.
    pub(super) fn function(self) -> Option<fn(&str) -> String> {
        match self {
            Self::No => None,
            Self::Slack => Some(escape_slack),
            Self::Markdown => Some(escape_markdown),
            Self::Json => Some(escape_json),
            Self::Url => Some(escape_url),
        }
    }
}

/// Escapes `&`, `<` and `>` and nothing else, as Slack requires.
pub fn escape_slack(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// Puts a backslash before every character with a meaning in Discord's Markdown: emphasis, code,
/// spoilers, headings, quotes, `<@mentions>`, and the parenthesis that would turn the bracket
/// before it into a link.
pub fn escape_markdown(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    // Another value, or the template, may have ended in a bracket.
    let mut before = ']';

    for c in text.chars() {
        if matches!(c, '\\' | '*' | '_' | '~' | '`' | '|' | '#' | '<' | '>')
            || (c == '(' && before == ']')
        {
            escaped.push('\\');
        }
        escaped.push(c);
        before = c;
    }

    escaped
}

/// Escapes quotes, backslashes and control characters as JSON does.
pub fn escape_json(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted
        .get(1..quoted.len() - 1)
        .unwrap_or_default()
        .to_owned()
}

/// Percent-encodes every byte except those that have no meaning in an address.
pub fn escape_url(text: &str) -> String {
    utf8_percent_encode(text, UNRESERVED).to_string()
}
