//! The vendor's own words: the text in the JSON of a refusal, whatever the shape of the JSON (RFC
//! 9457, Opsgenie's `errors`, and others).

use serde_json::Value;

/// The fields that contain a sentence for people, in the order in which they are quoted.
const FIELDS: [&str; 12] = [
    "code",
    "title",
    "message",
    "msg",
    "errmsg",
    "error",
    "error_description",
    "detail",
    "details",
    "reason",
    "description",
    "errors",
];
/// The depth below which values are not read.
const DEEPEST: usize = 5;
/// The largest number of sentences that are quoted.
const MOST: usize = 20;

/// Returns the text on one line; `None` if no field is known to be for people.
pub fn said(json: &Value) -> Option<String> {
    let mut sentences = Vec::new();
    match json {
        Value::Object(_) | Value::Array(_) => tell(json, 0, &mut sentences),
        _ => return None,
    }
    (!sentences.is_empty()).then(|| sentences.join("; "))
}

fn tell(json: &Value, depth: usize, sentences: &mut Vec<String>) {
    if depth > DEEPEST {
        return;
    }

    match json {
        Value::String(sentence) => add(sentence, sentences),
        Value::Array(items) => items
            .iter()
            .take(MOST)
            .for_each(|item| tell(item, depth + 1, sentences)),
        Value::Object(fields) => {
            for name in FIELDS {
                match (name, fields.get(name)) {
                    (_, None) => {}
                    ("errors" | "details", Some(Value::Object(each))) => {
                        list(each, depth + 1, sentences);
                    }
                    // A code beside a sentence names the error.
                    (_, Some(value)) => tell(value, depth + 1, sentences),
                }
            }
        }
        _ => {}
    }
}

/// Adds what is wrong with each of several fields.
fn list(fields: &serde_json::Map<String, Value>, depth: usize, sentences: &mut Vec<String>) {
    for (name, value) in fields.iter().take(MOST) {
        let mut inner = Vec::new();
        match value {
            Value::Number(_) | Value::Bool(_) => inner.push(value.to_string()),
            Value::Object(deeper) if depth < DEEPEST => {
                tell(value, depth + 1, &mut inner);
                if inner.is_empty() {
                    list(deeper, depth + 1, &mut inner);
                }
            }
            _ => tell(value, depth + 1, &mut inner),
        }
        if !inner.is_empty() {
            add(&format!("{name}: {}", inner.join(", ")), sentences);
        }
    }
}

fn add(sentence: &str, sentences: &mut Vec<String>) {
    let sentence = sentence.trim();
    if !sentence.is_empty()
        && sentences.len() < MOST
        && !sentences.iter().any(|known| known == sentence)
    {
        sentences.push(sentence.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::said;

    #[test]
    fn what_a_refusal_says_is_found_in_any_of_its_shapes() {
        for (json, expected) in [
            (r#"{"message":"too long","took":1}"#, "too long"),
            (
                r#"{"message":"Request body is not processable.",
                    "errors":{"message":"Message can not be empty."},"took":0.1}"#,
                "Request body is not processable.; message: Message can not be empty.",
            ),
            (
                r#"{"errors":["a is missing","b is none"]}"#,
                "a is missing; b is none",
            ),
            (
                r#"{"errors":[{"code":"E1","detail":"a is missing"}]}"#,
                "E1; a is missing",
            ),
            (
                r#"{"errors":{"a":["is missing","is short"],"b":{"c":"is none"}}}"#,
                "a: is missing, is short; b: c: is none",
            ),
            (
                r#"{"type":"about:blank","title":"Out of credit","status":403,
                    "detail":"It costs 50."}"#,
                "Out of credit; It costs 50.",
            ),
            (
                r#"{"error":"invalid_token","error_description":"It has expired."}"#,
                "invalid_token; It has expired.",
            ),
            (
                r#"{"error":{"code":403,"message":"m","status":"DENIED"}}"#,
                "m",
            ),
            (r#"{"error":"same","message":"same"}"#, "same"),
            (r#"{"reason":"r","description":"d"}"#, "r; d"),
            (
                r#"[{"message":"first"},{"message":"second"}]"#,
                "first; second",
            ),
        ] {
            assert_eq!(
                said(&serde_json::from_str(json).unwrap()).as_deref(),
                Some(expected),
                "{json}"
            );
        }
        for json in [
            "{}",
            "[]",
            "1",
            "null",
            r#"{"took":1}"#,
            r#"{"message":""}"#,
        ] {
            assert_eq!(said(&serde_json::from_str(json).unwrap()), None, "{json}");
        }
    }
}
