//! Describes what is wrong with an alert's JSON, in one line for people.

use jsonschema::{ValidationError, error::ValidationErrorKind};

/// The maximum number of violations that are listed.
const MAX_VIOLATIONS: usize = 5;

/// The maximum length of a pointer or a description, in characters.
const MAX_LENGTH: usize = 200;

/// Returns the JSON pointers of the violations, each with what is wrong there. Values are left out,
/// because they may be long.
pub(super) fn of<'a>(errors: impl Iterator<Item = ValidationError<'a>>) -> String {
    let mut errors = errors.map(|error| one(&error));
    let mut reason: Vec<String> = errors.by_ref().take(MAX_VIOLATIONS).collect();
    if errors.next().is_some() {
        reason.push("and more".to_owned());
    }
    reason.join("; ")
}

fn one(error: &ValidationError) -> String {
    let parent = error.instance_path().as_str();
    match error.kind() {
        ValidationErrorKind::Required { property } => cut(&format!(
            "{parent}/{}: is missing",
            property.as_str().unwrap_or_default()
        )),
        _ if parent.is_empty() => cut(&format!("the whole: {}", error.masked())),
        _ => format!("{}: {}", cut(parent), cut(&error.masked().to_string())),
    }
}

/// Returns the beginning of a text, with a mark if it is longer.
pub(super) fn cut(text: &str) -> String {
    match text.char_indices().nth(MAX_LENGTH) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
