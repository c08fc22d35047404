//! Parsing of JSON as far as it can be read: of a reply that is cut off, the beginning counts.

use std::{fmt, sync::LazyLock};

use regex::Regex;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// The text before JSON that keeps a page's script from reading it, such as `)]}'`, `while(1);`,
/// `throw 1; <no>`, `{}&&` and comments; or that hands it to a script, such as the `callback(` of
/// Express.
static BEFORE: LazyLock<Regex> = LazyLock::new(|| {
    #[expect(clippy::unwrap_used, reason = "a constant that a test compiles")]
    Regex::new(
        r#"(?x)^(?:\s | /\*.*?\*/ | \)\]\}',? | (?:while|for)\s*\([^()]*\)\s*;
            | throw\s[^;{]*;\s*(?:<[^<>{]*>)? | \{\}\s*&&
            | typeof\s+[\w$.]+\s*={2,3}\s*['"]function['"]\s*&& | [A-Za-z_$][\w$.]*\s*\()+"#,
    )
    .unwrap()
});

/// Returns a text without what precedes its JSON.
fn bare(text: &str) -> &str {
    let rest = BEFORE.find(text).map(|before| &text[before.end()..]);
    rest.filter(|rest| rest.starts_with(['{', '[']))
        .unwrap_or(text)
}

/// Parses the JSON of a text.
///
/// The text may be JSON; begin with several objects or arrays (NDJSON), which become a list; or be
/// JSON whose end is missing. Returns `None` if it is none of these.
pub fn read(text: &str) -> Option<Value> {
    let text = bare(text.trim_start_matches('\u{FEFF}').trim());
    let whole = serde_json::from_str(text).ok();
    if whole.is_some() || !text.starts_with(['{', '[']) {
        return whole;
    }

    let each = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    let mut each: Vec<Value> = each.map_while(Result::ok).collect();
    match each.len() {
        0 => beginning(text),
        1 => each.pop(),
        _ => Some(Value::Array(each)),
    }
}

fn beginning(text: &str) -> Option<Value> {
    // More digits of a number at the end may be missing.
    let text = text.trim_end_matches(|c: char| c.is_ascii_digit() || matches!(c, '.' | '-'));
    let mut value = Value::Null;
    let mut json = serde_json::Deserializer::from_str(text);
    let _ = Place(&mut value).deserialize(&mut json);
    let is_empty =
        value.as_object().is_some_and(Map::is_empty) || value.as_array().is_some_and(Vec::is_empty);
    (!is_empty).then_some(value)
}

/// The place into which a value is read, so that what was read stays there if the input breaks off.
struct Place<'a>(&'a mut Value);

impl<'de> DeserializeSeed<'de> for Place<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Place<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        *self.0 = value.into();
        Ok(())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        *self.0 = value.into();
        Ok(())
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        *self.0 = value.into();
        Ok(())
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        *self.0 = value.into();
        Ok(())
    }

    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        *self.0 = value.into();
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        *self.0 = Value::Array(Vec::new());
        let Value::Array(all) = self.0 else {
            return Ok(());
        };
        loop {
            let mut item = Value::Null;
            let read = items.next_element_seed(Place(&mut item));
            if matches!(read, Ok(None)) {
                return Ok(());
            }
            if read.is_ok() || !item.is_null() {
                all.push(item);
            }
            read?;
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        *self.0 = Value::Object(Map::new());
        let Value::Object(all) = self.0 else {
            return Ok(());
        };
        while let Some(name) = fields.next_key::<String>()? {
            let field = all.entry(name).or_insert(Value::Null);
            fields.next_value_seed(Place(field))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::read;

    /// Wherever a reply is cut, what is read is a part of the whole, and nothing that was complete
    /// is missing.
    #[test]
    fn what_is_cut_off_is_read_as_far_as_it_goes() {
        let whole =
            r#"{"ok":false,"data":{"id":4711,"list":[1,{"a":"b"}]},"error":"no such room"}"#;
        let parsed: Value = serde_json::from_str(whole).unwrap();
        for end in 1..=whole.len() {
            let cut = &whole[..end];
            let read = read(cut).unwrap_or_default();
            for pointer in [
                "/ok",
                "/data/id",
                "/data/list/0",
                "/data/list/1/a",
                "/error",
            ] {
                let value = read.pointer(pointer).unwrap_or(&Value::Null);
                let expected = parsed.pointer(pointer).unwrap();
                assert!(value.is_null() || value == expected, "{cut}: {value}");
            }
            assert_eq!(read["ok"] == false, end >= r#"{"ok":false"#.len(), "{cut}");
            let id = read.pointer("/data/id").is_some_and(Value::is_number);
            assert_eq!(id, end > r#"{"ok":false,"data":{"id":4711"#.len(), "{cut}");
        }
    }

    /// Tries whatever keeps scripts from reading the JSON, and whatever hands it to them, alone and
    /// together.
    #[test]
    fn json_is_read_behind_what_keeps_scripts_away() {
        let before = [
            "",
            ")]}'\n",
            ")]}',\n",
            "while(1);",
            "while (true) ;",
            "for(;;);",
            "for (;;) ; ",
            "throw 1; < don't be evil' >",
            "{}&& ",
            "/**/",
            "/* a */ ",
        ];
        let calls = [
            ("", ""),
            ("cb(", ");"),
            ("jQuery_1.on$ (", ")"),
            ("typeof cb === 'function' && cb(", ");\n"),
        ];
        for before in before {
            for (call, end) in calls {
                for json in [r#"{"a":[1]}"#, r#"[{"a":1}]"#] {
                    let text = format!("{before}{call}{json}{end}");
                    assert_eq!(read(&text), serde_json::from_str(json).ok(), "{text}");
                }
            }
        }
    }

    #[test]
    fn several_values_are_a_list_and_text_is_none() {
        assert_eq!(
            read("{\"a\":1}\n{\"a\":2}\n"),
            Some(json!([{"a": 1}, {"a": 2}]))
        );
        assert_eq!(read("\u{FEFF}{\"a\":1} and more"), Some(json!({"a": 1})));
        assert_eq!(read("{\"a\":1,}"), Some(json!({"a": 1})));
        assert_eq!(read("false"), Some(json!(false)));
        for text in [
            "",
            "[ERROR] no such room",
            "failed (no such room)",
            "while(1); no",
            "{ a }",
            "1 mail sent",
            "\"cut",
            "no",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
