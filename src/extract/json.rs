//! Strict parsing of JSON. Of a key that is given twice, `serde_json` silently keeps the last
//! value, but an alert that says two things is no alert.

use std::{borrow::Cow, fmt, sync::LazyLock};

use regex::{Captures, Regex};
use serde::{
    Deserialize, Deserializer,
    de::{self, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number, Value};

/// The number of digits of the shortest integer that may not fit into 64 bits.
const SHORTEST_LONG: usize = 19;

/// Parses one JSON text. A byte order mark and white space around the text are tolerated.
///
/// The error says what is wrong and where. `serde_json` bounds the depth (127) and refuses numbers
/// beyond a double. An integer beyond 64 bits is read as text, see [`long_integers_as_text`].
pub(super) fn parse(text: &str) -> Result<Value, String> {
    let text = text.trim_start_matches('\u{feff}').trim();
    if text.is_empty() {
        return Err("the payload is empty".to_owned());
    }
    serde_json::from_str::<Strict>(&long_integers_as_text(text))
        .map(|Strict(value)| value)
        .map_err(|error| format!("the payload is not valid JSON: {error}"))
}

/// Puts each integer that does not fit into 64 bits into quotes. `serde_json` would round it to a
/// double, and two incidents whose ids differ in the last digits would become one.
fn long_integers_as_text(text: &str) -> Cow<'_, str> {
    #[expect(clippy::unwrap_used, reason = "a constant that a test compiles")]
    static TOKEN: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r#""(?:[^"\\]|\\.)*"|-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?"#).unwrap()
    });

    let mut runs = text.as_bytes().split(|byte| !byte.is_ascii_digit());
    // Leave invalid JSON alone: a quoted number where none may stand, such as in place of a key,
    // would make it valid.
    if runs.all(|run| run.len() < SHORTEST_LONG)
        || serde_json::from_str::<IgnoredAny>(text).is_err()
    {
        return text.into();
    }

    TOKEN.replace_all(text, |token: &Captures<'_>| {
        let token = &token[0];
        let digits = token.strip_prefix('-').unwrap_or(token);
        let is_integer = digits.bytes().all(|byte| byte.is_ascii_digit());
        let is_held = token.parse::<i64>().is_ok() || token.parse::<u64>().is_ok();
        if is_integer && !is_held && !digits.starts_with('0') {
            format!("\"{token}\"")
        } else {
            token.to_owned()
        }
    })
}

/// A JSON value without duplicate keys and without NULs.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Self)
    }
}

struct StrictVisitor;

/// Refuses a text with `\u0000`: Postgres accepts none in text, and no name has one.
fn without_nul<E: de::Error>(text: &str) -> Result<(), E> {
    if text.contains('\0') {
        Err(E::custom("a string holds \\u0000"))
    } else {
        Ok(())
    }
}

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value)
            .map(Value::Number)
            .ok_or_else(|| E::custom("a number is out of range"))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Value, E> {
        without_nul(text)?;
        Ok(text.into())
    }

    fn visit_string<E: de::Error>(self, text: String) -> Result<Value, E> {
        without_nul(&text)?;
        Ok(text.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(Strict(item)) = items.next_element()? {
            array.push(item);
        }
        Ok(array.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            without_nul(&key)?;
            if object.contains_key(&key) {
                let key: String = key.chars().take(60).collect();
                return Err(de::Error::custom(format_args!(
                    "the key {key:?} is given twice"
                )));
            }
            let Strict(value) = entries.next_value()?;
            object.insert(key, value);
        }

        Ok(object.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_read_as_serde_json_reads_it() {
        let text =
            r#" {"a":[1,-2,3.5,true,null,"\u00e4\n\\"],"b":{"c":{}},"":18446744073709551615} "#;
        assert_eq!(
            parse(text).unwrap(),
            serde_json::from_str::<Value>(text).unwrap()
        );
        assert_eq!(
            parse("\u{feff}\r\n{}\n").unwrap(),
            Value::Object(Map::new())
        );
    }

    #[test]
    fn what_is_ambiguous_or_unstorable_is_refused() {
        for (text, reason) in [
            ("", "empty"),
            ("{", "EOF"),
            ("{} {}", "trailing"),
            (r#"{"a":1,"a":1}"#, r#"the key "a" is given twice"#),
            (r#"{"x":{"a":1,"\u0061":2}}"#, "given twice"),
            (r#"{"a":"\u0000"}"#, "\\u0000"),
            (r#"{"a\u0000":1}"#, "\\u0000"),
            (r#"{"a":NaN}"#, "expected value"),
            (r#"{"a":1e400}"#, "out of range"),
            (r#"{"a":"\ud800"}"#, "not valid JSON"),
            ("{'a':1}", "key must be a string"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }

    #[test]
    fn no_integer_is_rounded() {
        for text in [
            "18446744073709551616",
            "-9223372036854775809",
            "340282366920938463463374607431768211455",
        ] {
            let read = parse(&format!(r#"{{"id": [{text}], "b": "\" {text}"}}"#)).unwrap();
            assert_eq!(read["id"][0], text);
            assert_eq!(read["b"], format!("\" {text}"));
        }
        // An integer that fits into 64 bits stays a number, and so does any number with a fraction.
        for text in [
            "18446744073709551615",
            "-9223372036854775808",
            "0.1234567890123456789012",
            "1234567890123456789012.5",
            "1234567890123456789012e-3",
        ] {
            let read = parse(&format!("[{text}]")).unwrap();
            assert_eq!(
                read,
                serde_json::from_str::<Value>(&format!("[{text}]")).unwrap()
            );
            assert!(read[0].is_number(), "{text}");
        }
        assert!(parse("[00000000000000000000001]").is_err());
    }

    #[test]
    fn depth_is_bounded() {
        assert!(
            parse(&"[".repeat(100_000))
                .unwrap_err()
                .contains("recursion limit")
        );
    }
}
