//! The fields of an address's query and of a posted form.

use std::{collections::BTreeMap, convert::Infallible, error::Error, fmt, str::FromStr};

use axum::{
    extract::{FromRequest, Request},
    http::{HeaderValue, StatusCode, header::CONTENT_TYPE},
};
use bytes::Bytes;
use jiff::Timestamp;
use serde::de::{self, DeserializeOwned, IntoDeserializer as _};

use super::{
    ask::{either, unfit, unknown},
    problem::Problem,
};
use crate::clock;

/// The fields of a form or of a query. An empty field counts as absent.
#[derive(Debug, Clone, Default)]
pub struct Fields(BTreeMap<String, String>);

impl Fields {
    pub fn from_query(query: &str) -> Self {
        Self::of(url::form_urlencoded::parse(query.as_bytes()))
    }

    fn of<K: Into<String>, V: Into<String>>(pairs: impl Iterator<Item = (K, V)>) -> Self {
        let pairs = pairs.map(|(name, value)| (name.into(), value.into()));
        Self(
            pairs
                .filter(|(_, value): &(String, String)| !value.trim().is_empty())
                .collect(),
        )
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub fn text(&self, name: &str) -> String {
        self.get(name).unwrap_or_default().to_owned()
    }

    /// Reads a field whose value is one of several words.
    pub fn word<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, Problem> {
        let Some(text) = self.get(name) else {
            return Ok(None);
        };
        let word: Result<T, NoWord> = T::deserialize(text.into_deserializer());
        word.map(Some)
            .map_err(|NoWord(words)| unfit(name, &either(words), text))
    }

    /// Reads a field whose value is a number.
    pub fn number<T: FromStr>(&self, name: &str) -> Result<Option<T>, Problem> {
        let Some(text) = self.get(name).map(str::trim) else {
            return Ok(None);
        };
        let number = text.parse().map(Some);
        number.map_err(|_| unfit(name, "a number", text))
    }

    /// Refuses any field that is not among `known`, because a filter that is not understood would
    /// show everything.
    ///
    /// Every page also accepts `done`, which tells it what was just done, and `live`, which tells
    /// its script not to follow changes.
    pub fn only(&self, known: &[&str]) -> Result<(), Problem> {
        let mut names = self.0.keys().map(String::as_str);
        let of_every_page = ["done", "live"];
        let stranger = names.find(|name| !of_every_page.contains(name) && !known.contains(name));
        stranger.map_or(Ok(()), |name| Err(unknown(name, known)))
    }

    /// Reads a field whose value is a time as people write it.
    pub fn time(&self, name: &str, now: Timestamp) -> Result<Option<Timestamp>, Problem> {
        let text = self.get(name).map(str::trim);
        text.map(|text| clock::read(text, now))
            .transpose()
            .map_err(|error| Problem::bad(format!("`{name}`: {error}")))
    }

    /// Returns these fields as a query string, with one of them set to another value.
    pub fn with(&self, name: &str, value: &str) -> String {
        let mut fields = self.0.clone();
        fields.insert(name.to_owned(), value.to_owned());
        let fields = fields.iter().filter(|(_, value)| !value.is_empty());
        url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish()
    }
}

/// The error of a text that is none of the expected words, and those words.
#[derive(Debug, Default)]
struct NoWord(&'static [&'static str]);

impl fmt::Display for NoWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&either(self.0))
    }
}

impl Error for NoWord {}

impl de::Error for NoWord {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self::default()
    }

    fn unknown_variant(_: &str, words: &'static [&'static str]) -> Self {
        Self(words)
    }
}

/// A posted form, which the gates have found to come from one of our own pages.
#[derive(Debug, Default)]
pub struct Posted {
    pub fields: Fields,
    files: BTreeMap<String, Bytes>,
}

impl Posted {
    /// Returns the content of the file that was chosen, or else the text that was pasted into a
    /// field.
    pub fn content(&self, file: &str, field: &str) -> Option<Bytes> {
        let pasted = || {
            self.fields
                .get(field)
                .map(|text| Bytes::from(text.to_owned()))
        };
        self.files.get(file).cloned().or_else(pasted)
    }
}

impl<S: Send + Sync> FromRequest<S> for Posted {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let kind = request.headers().get(CONTENT_TYPE).cloned();
        let body = Bytes::from_request(request, state)
            .await
            .map_err(|error| Problem::new(StatusCode::PAYLOAD_TOO_LARGE, error.body_text()))?;
        Self::read(kind.as_ref(), body).await
    }
}

impl Posted {
    /// Reads a form in either encoding that browsers send. A body of another type yields an empty
    /// form.
    pub async fn read(kind: Option<&HeaderValue>, body: Bytes) -> Result<Self, Problem> {
        let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if let Ok(boundary) = multer::parse_boundary(kind) {
            return multipart(body, boundary).await;
        }

        let is_form = kind.starts_with("application/x-www-form-urlencoded");
        let pairs = url::form_urlencoded::parse(if is_form { &body } else { b"" });
        Ok(Self {
            fields: Fields::of(pairs),
            ..Self::default()
        })
    }
}

/// Reads a form with files (`multipart/form-data`).
async fn multipart(body: Bytes, boundary: String) -> Result<Posted, Problem> {
    let bad = |error: multer::Error| Problem::bad(format!("the form cannot be read: {error}"));
    let stream = futures_util::stream::iter([Ok::<_, Infallible>(body)]);
    let mut parts = multer::Multipart::new(stream, boundary);
    let (mut pairs, mut files) = (Vec::new(), BTreeMap::new());

    while let Some(part) = parts.next_field().await.map_err(bad)? {
        let name = part.name().unwrap_or_default().to_owned();
        if part.file_name().is_some() {
            let bytes = part.bytes().await.map_err(bad)?;
            files.extend((!bytes.is_empty()).then_some((name, bytes)));
        } else {
            pairs.push((name, part.text().await.map_err(bad)?));
        }
    }

    Ok(Posted {
        fields: Fields::of(pairs.into_iter()),
        files,
    })
}
