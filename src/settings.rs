//! The vocabulary of the configuration: durations, sizes, secrets, and a problem with its fix.

use std::{
    borrow::Cow,
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

pub mod bounds;
pub mod host;
pub mod networks;
pub mod oidc;
pub mod users;

/// A length of time, written as Alertmanager does: `30s`, `5m`, `1h30m`, `90d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Duration(std::time::Duration);

impl Duration {
    pub const fn from_secs(seconds: u64) -> Self {
        Self(std::time::Duration::from_secs(seconds))
    }

    pub const fn as_std(self) -> std::time::Duration {
        self.0
    }

    pub const fn is_zero(self) -> bool {
        self.0.is_zero()
    }

    /// The sum of both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// The same as a span that can be added to a [`jiff::Timestamp`].
    pub fn as_signed(self) -> jiff::SignedDuration {
        jiff::SignedDuration::try_from(self.0).unwrap_or(jiff::SignedDuration::MAX)
    }
}

const UNITS: [(&str, u64); 7] = [
    ("y", 365 * 86_400_000),
    ("w", 7 * 86_400_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

impl FromStr for Duration {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{text}` is not a valid duration: write it like 30s, 5m, 1h30m or \
                                90d"
            )
        };
        if text == "0" {
            return Ok(Self::from_secs(0));
        }

        let mut rest = text;
        let mut millis = 0_u64;

        if rest.is_empty() {
            return Err(wrong());
        }

        while !rest.is_empty() {
            let digits = rest
                .find(|c: char| !c.is_ascii_digit())
                .filter(|at| *at > 0)
                .ok_or_else(wrong)?;
            let number: u64 = rest[..digits].parse().map_err(|_| wrong())?;
            rest = &rest[digits..];
            let letters = rest
                .find(|c: char| c.is_ascii_digit())
                .unwrap_or(rest.len());
            let unit = UNITS
                .iter()
                .find(|(name, _)| *name == &rest[..letters])
                .ok_or_else(wrong)?
                .1;
            millis = number
                .checked_mul(unit)
                .and_then(|part| millis.checked_add(part))
                .ok_or_else(wrong)?;
            rest = &rest[letters..];
        }

        Ok(Self(std::time::Duration::from_millis(millis)))
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut millis = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        if millis == 0 {
            return f.write_str("0s");
        }

        // Years and weeks are parsed, but printed as days: `1y3w` would have to be calculated.
        for (name, unit) in &UNITS[2..] {
            if millis >= *unit {
                write!(f, "{}{name}", millis / unit)?;
                millis %= unit;
            }
        }

        Ok(())
    }
}

/// A number of bytes, written `10MiB`, `512KiB`, `1GiB`, `10MB` or as a plain number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(u64);

impl ByteSize {
    pub const fn from_mib(mib: u64) -> Self {
        Self(mib << 20)
    }

    pub const fn bytes(self) -> u64 {
        self.0
    }

    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl FromStr for ByteSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a valid size: write it like 10MiB, 512KiB or 1GiB");
        let digits = text
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len());
        let number: u64 = text[..digits].parse().map_err(|_| wrong())?;
        let unit = match text[digits..].trim() {
            "" | "B" => 1,
            "KiB" | "K" => 1 << 10,
            "MiB" | "M" => 1 << 20,
            "GiB" | "G" => 1 << 30,
            "KB" | "kB" => 1_000,
            "MB" => 1_000_000,
            "GB" => 1_000_000_000,
            _ => return Err(wrong()),
        };

        number.checked_mul(unit).map(Self).ok_or_else(wrong)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, shift) in [("GiB", 30), ("MiB", 20), ("KiB", 10)] {
            if self.0 > 0 && self.0.trailing_zeros() >= shift {
                return write!(f, "{}{name}", self.0 >> shift);
            }
        }
        write!(f, "{}", self.0)
    }
}

macro_rules! as_text {
    ($type:ty, $name:literal, $about:literal, $pattern:literal) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = Cow::<str>::deserialize(deserializer)?;
                text.parse().map_err(de::Error::custom)
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": ["string", "integer"], "description": $about,
                               "pattern": $pattern })
            }
        }
    };
}

as_text!(
    Duration,
    "Duration",
    "A length of time: 30s, 5m, 1h30m, 90d.",
    "^(0|([0-9]+(y|w|d|h|m|s|ms))+)$"
);
as_text!(
    ByteSize,
    "ByteSize",
    "A number of bytes: 10MiB, 512KiB, 1GiB.",
    "^[0-9]+ ?([KMG]i?B?|kB|B)?$"
);

/// A switch that is on unless the configuration turns it off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline)]
pub struct DefaultOn(bool);

impl DefaultOn {
    pub const fn is_on(self) -> bool {
        self.0
    }
}

impl Default for DefaultOn {
    fn default() -> Self {
        Self(true)
    }
}

/// A credential in a settings struct: text that `{:?}` does not show.
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
    /// Both or neither is a problem; see [`Secret::optional`] where neither is fine.
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

    /// Like [`Secret::required`], for an optional secret.
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

    /// Reads the secret, trimmed. The error names the file and never the content.
    pub fn read(&self) -> Result<SecretString, SecretError> {
        match self {
            Self::Inline(text) => Ok(text.clone()),
            Self::File(path) => {
                let text =
                    std::fs::read_to_string(path).map_err(|source| SecretError::Unreadable {
                        path: path.clone(),
                        source,
                    })?;
                match text.trim() {
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
    #[error("cannot read the secret's file {}: {source}", path.display())]
    Unreadable {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("the secret's file {} is empty", path.display())]
    Empty { path: PathBuf },
}

/// A problem of the configuration, and how to fix it. It never contains a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The path of the key: `route.routes[1].matchers[0]`.
    pub key: String,
    /// What is wrong, as a sentence without its full stop.
    pub what: String,
    /// How to fix it.
    pub mend: String,
}

/// On one line, for warnings.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.key, self.what, self.mend)
    }
}

impl Problem {
    pub fn new(key: impl Into<String>, what: impl Into<String>, mend: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            what: what.into(),
            mend: mend.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_alertmanager_writes_them() {
        for (text, seconds) in [
            ("0", 0),
            ("0s", 0),
            ("30s", 30),
            ("5m", 300),
            ("1h30m", 5400),
            ("90d", 7_776_000),
        ] {
            assert_eq!(text.parse(), Ok(Duration::from_secs(seconds)), "{text}");
        }
        assert_eq!("1w".parse::<Duration>(), "7d".parse());
        assert_eq!("1y".parse::<Duration>(), "365d".parse());
        assert_eq!(
            "1500ms".parse::<Duration>().unwrap().as_std(),
            std::time::Duration::from_millis(1500)
        );
    }

    #[test]
    fn what_is_no_duration_is_refused_with_the_way_to_write_one() {
        for text in [
            "",
            "5",
            "m",
            "5 m",
            "-5m",
            "1.5h",
            "5M",
            "99999999999999999999d",
            "9999999999999y",
        ] {
            let error = text.parse::<Duration>().unwrap_err();
            assert!(
                error.ends_with("is not a valid duration: write it like 30s, 5m, 1h30m or 90d"),
                "{error}"
            );
        }
    }

    #[test]
    fn durations_survive_being_written_and_read() {
        for text in ["0s", "1ms", "30s", "1m30s", "1h1ms", "90d", "365d1s"] {
            assert_eq!(text.parse::<Duration>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn sizes_survive_being_written_and_read() {
        for text in ["0", "1", "1000", "512KiB", "10MiB", "1GiB", "1025KiB"] {
            assert_eq!(text.parse::<ByteSize>().unwrap().to_string(), text);
        }
        assert_eq!("10 MB".parse::<ByteSize>().unwrap().bytes(), 10_000_000);
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in [
            "",
            "MiB",
            "-1",
            "1.5MiB",
            "10MiBs",
            "99999999999999999999",
            "99999999999999GiB",
        ] {
            assert!(text.parse::<ByteSize>().is_err(), "{text}");
        }
    }

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
