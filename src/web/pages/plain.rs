//! Makes text safe to show on a page.
//!
//! Every text that a template prints passes through here, whoever wrote it: markup is escaped, and
//! characters that are invisible or change the direction of writing are shown as escapes.

use minijinja::{Error, Output, State, Value, escape_formatter};

use crate::message::hidden::is_hidden;

/// Formats a value for a template. A missing value prints nothing.
pub fn formatter(
    out: &mut Output<'_>,
    state: &mut State<'_, '_>,
    value: &Value,
) -> Result<(), Error> {
    if value.is_none() || value.is_undefined() {
        return Ok(());
    }

    match value.as_str().filter(|_| !value.is_safe()) {
        Some(text) if text.contains(is_hidden) => {
            escape_formatter(out, state, &Value::from(told(text, |_| false)))
        }
        _ => escape_formatter(out, state, value),
    }
}

/// Formats text of several lines for `<pre>` and `<textarea>`: line ends and tabs stay.
pub fn lines(text: Option<&str>) -> Value {
    let text = text.unwrap_or_default().replace("\r\n", "\n");
    let told = told(&text, |c| matches!(c, '\n' | '\t'));
    Value::from_safe_string(escaped(&told))
}

/// Turns an error or a reason into a sentence: it begins with a capital letter, and ends with a
/// full stop. A first word that is not a plain word, such as an address, a domain or a vendor's id,
/// stays as it is.
pub fn sentence(text: &str) -> String {
    let word = text.split_whitespace().next().unwrap_or_default();
    let word = word.trim_end_matches(|c: char| c.is_ascii_punctuation());
    let is_word = word.chars().all(char::is_alphabetic);
    let mut chars = text.chars();
    let begin = |c: char| {
        if is_word {
            c.to_uppercase().collect()
        } else {
            c.to_string()
        }
    };
    let first = chars.next().map(begin).unwrap_or_default();
    let end = if text.ends_with(|c: char| c.is_alphanumeric() || "`)\"'".contains(c)) {
        "."
    } else {
        ""
    };
    first + chars.as_str() + end
}

/// Formats text that is sent back unchanged and not shown: a hidden field.
pub fn exact(text: &str) -> Value {
    Value::from_safe_string(escaped(text))
}

/// Returns the text with hidden characters escaped: `\u{202e}`.
fn told(text: &str, stays: impl Fn(char) -> bool) -> String {
    text.chars()
        .fold(String::with_capacity(text.len() + 16), |mut told, c| {
            if is_hidden(c) && !stays(c) {
                told.extend(c.escape_default());
            } else {
                told.push(c);
            }
            told
        })
}

fn escaped(text: &str) -> String {
    text.chars()
        .fold(String::with_capacity(text.len() + 16), |mut safe, c| {
            match c {
                '&' => safe.push_str("&amp;"),
                '<' => safe.push_str("&lt;"),
                '>' => safe.push_str("&gt;"),
                '"' => safe.push_str("&#34;"),
                '\'' => safe.push_str("&#39;"),
                _ => safe.push(c),
            }
            safe
        })
}

#[cfg(test)]
mod tests {
    use minijinja::{AutoEscape, Environment, context};
    use proptest::prelude::*;

    use super::*;

    fn shown(text: &str) -> String {
        let mut environment = Environment::new();
        environment.set_auto_escape_callback(|_| AutoEscape::Html);
        environment.set_formatter(formatter);
        environment.add_filter("lines", lines);
        environment
            .render_str(
                "<p title=\"{{ text }}\">{{ text }}</p><pre>{{ text|lines }}</pre>",
                context! { text },
            )
            .unwrap()
    }

    #[test]
    fn markup_and_what_is_not_seen_are_shown_as_what_they_are() {
        let page = shown("<b onclick='x'>\u{202e}gnp.exe\n\"&");
        assert_eq!(
            page,
            "<p title=\"&lt;b onclick=&#x27;x&#x27;&gt;\\u{202e}gnp.exe\\n&quot;&amp;\">\
             &lt;b onclick=&#x27;x&#x27;&gt;\\u{202e}gnp.exe\\n&quot;&amp;</p>\
             <pre>&lt;b onclick=&#39;x&#39;&gt;\\u{202e}gnp.exe\n&#34;&amp;</pre>"
        );
        assert_eq!(shown("").len(), "<p title=\"\"></p><pre></pre>".len());
    }

    #[test]
    fn what_is_said_is_a_sentence() {
        for (said, sentence) in [
            ("there is no mail 99", "There is no mail 99."),
            ("`state` is unknown", "`state` is unknown."),
            ("It is tried at once.", "It is tried at once."),
            ("öffnet (zu)", "Öffnet (zu)."),
            ("ann@example.com wrote it", "ann@example.com wrote it."),
            ("example.com: no key", "example.com: no key."),
            ("r4nd0m-receipt", "r4nd0m-receipt."),
            ("why?", "Why?"),
            ("", ""),
        ] {
            assert_eq!(super::sentence(said), sentence);
        }
    }

    proptest! {
        #[test]
        fn no_text_leaves_its_place(text in any::<String>()) {
            let page = shown(&text);
            prop_assert_eq!(page.matches('<').count(), 4);
            prop_assert_eq!(page.matches('"').count(), 2);
            prop_assert!(!page.contains(|c| is_hidden(c) && !matches!(c, '\n' | '\t')));
        }
    }
}
