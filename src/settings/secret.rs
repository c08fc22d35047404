//! Credentials: what the configuration says of them, and what is read at every use.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use schemars::JsonSchema;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use super::Problem;

/// The text of a secret. Debug output shows `<secret>` in its place.
#[derive(Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct SecretText(String);

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

impl std::ops::Deref for SecretText {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl From<&str> for SecretText {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

/// A credential: its text, or the file from which it is read at every use, so that rotating it
/// needs no reload.
#[derive(Debug, Clone)]
pub enum Secret {
    Inline(SecretString),
    File(PathBuf),
}

impl Secret {
    /// Composes `X` and `X_file` of a settings struct at `key` (the path of the struct,
    /// `receivers[0].slack_configs[0]`).
    ///
    /// It is a problem if both are given or neither is. See [`Secret::optional`] for the case in
    /// which neither is needed.
    pub fn required(
        key: &str,
        name: &str,
        inline: Option<&str>,
        file: Option<&Path>,
    ) -> Result<Self, Problem> {
        Self::optional(key, name, inline, file)?.ok_or_else(|| {
            Problem::new(
                key,
                format!("neither `{name}_file` nor `{name}` is given"),
                format!("name the file that holds the secret: `{name}_file: /run/secrets/…`"),
            )
        })
    }

    /// Composes an optional secret like [`Secret::required`].
    pub fn optional(
        key: &str,
        name: &str,
        inline: Option<&str>,
        file: Option<&Path>,
    ) -> Result<Option<Self>, Problem> {
        match (inline, file) {
            (Some(_), Some(_)) => Err(Problem::new(
                format!("{key}.{name}"),
                format!("`{name}` and `{name}_file` exclude each other"),
                format!("keep `{name}_file`, drop `{name}`"),
            )),
            (Some(text), None) => Ok(Some(Self::Inline(text.trim().to_owned().into()))),
            (None, Some(path)) => Ok(Some(Self::File(path.to_owned()))),
            (None, None) => Ok(None),
        }
    }

    /// Reads the secret, without white space around it, and without the byte order mark that some
    /// editors put before it. The error names the file and never the content.
    pub fn read(&self) -> Result<SecretString, SecretError> {
        match self {
            Self::Inline(text) => Ok(text.clone()),
            Self::File(path) => {
                let text =
                    std::fs::read_to_string(path).map_err(|source| SecretError::Unreadable {
                        path: path.clone(),
                        source,
                    })?;
                match text.trim_start_matches('\u{feff}').trim() {
                    "" => Err(SecretError::Empty { path: path.clone() }),
                    trimmed => Ok(trimmed.to_owned().into()),
                }
            }
        }
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Inline(a), Self::Inline(b)) => a.expose_secret() == b.expose_secret(),
            (Self::File(a), Self::File(b)) => a == b,
            _ => false,
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    #[error("cannot read the file {}: {source}", path.display())]
    Unreadable {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("the file {} is empty", path.display())]
    Empty { path: PathBuf },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_given_once_or_the_mend_says_which_to_keep() {
        let file = Path::new("key");
        let both = Secret::required("admin", "token", Some("x"), Some(file)).unwrap_err();
        assert_eq!(
            (both.key.as_str(), both.mend.as_str()),
            ("admin.token", "keep `token_file`, drop `token`")
        );
        let neither = Secret::required("admin", "token", None, None).unwrap_err();
        assert_eq!(neither.key, "admin");
        assert_eq!(Secret::optional("admin", "token", None, None), Ok(None));
    }

    #[test]
    fn a_secrets_file_is_read_anew_and_trimmed_and_may_not_be_empty() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let secret = Secret::File(path.clone());
        assert!(matches!(secret.read(), Err(SecretError::Unreadable { .. })));
        for text in ["first\n", "  second  "] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(secret.read().unwrap().expose_secret(), text.trim());
        }
        std::fs::write(&path, " \n").unwrap();
        assert!(matches!(secret.read(), Err(SecretError::Empty { .. })));
    }

    #[test]
    fn no_debug_output_shows_a_secret() {
        let text = SecretText::from("hunter2");
        let secret = Secret::optional("admin", "token", Some(&text), None).unwrap();
        assert_eq!(&*text, "hunter2");
        assert_eq!(format!("{text:?}"), "<secret>");
        assert!(!format!("{secret:?}").contains("hunter2"));
    }
}
