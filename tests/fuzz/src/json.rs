//! The payload: strict JSON, then the schema.

use alertbridge::extract::Extracted;
use serde_json::Value;

use super::mail;

/// A payload in the script element of a mail.
pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    // What ends the script, or hides its end, is another target's affair; so is what HTML replaces.
    let lower = text.to_ascii_lowercase();
    if lower.contains("</script") || lower.contains("<!--") || text.contains(['\0', '\r']) {
        return;
    }
    let whole = format!(
        "From: no-reply@am.atlassian.com\r\nContent-Type: text/html; charset=utf-8\r\n\r\n\
         <script type=application/json id=incident-data>{text}</script>"
    );
    let extraction = super::within_bounds(data.len(), 16 << 20, 256, || {
        mail::extract(whole.as_bytes())
    });
    mail::sound(&extraction);
    let lenient = serde_json::from_str::<Value>(text.trim_start_matches('\u{feff}').trim());
    match (extraction.found, lenient) {
        (Extracted::Json(strict), Ok(lenient)) => {
            assert!(same(&strict, &lenient), "{strict} is {lenient}");
        }
        (Extracted::Json(strict), Err(error)) => panic!("{strict} was read of {text:?}: {error}"),
        (Extracted::Unreadable { reason, .. }, Ok(_)) => {
            let stricter = ["is given twice", "holds \\u0000", "256 KiB"]
                .iter()
                .any(|word| reason.contains(word));
            assert!(stricter, "{text:?} was not read: {reason}");
        }
        (Extracted::Unreadable { .. }, Err(_)) => {}
        (other, _) => panic!("{other:?}"),
    }
}

/// Whether both are the same, but for integers beyond 64 bits: one is their digits, the other is
/// rounded.
fn same(strict: &Value, lenient: &Value) -> bool {
    match (strict, lenient) {
        (Value::String(digits), Value::Number(rounded)) => {
            let is_integer = digits
                .trim_start_matches('-')
                .bytes()
                .all(|b| b.is_ascii_digit());
            let is_long = digits.parse::<i64>().is_err() && digits.parse::<u64>().is_err();
            is_integer && is_long && digits.parse::<f64>().ok() == rounded.as_f64()
        }
        (Value::Array(ones), Value::Array(others)) => {
            ones.len() == others.len() && ones.iter().zip(others).all(|(a, b)| same(a, b))
        }
        (Value::Object(ones), Value::Object(others)) => {
            ones.len() == others.len()
                && ones
                    .iter()
                    .all(|(key, a)| others.get(key).is_some_and(|b| same(a, b)))
        }
        (one, other) => one == other,
    }
}
