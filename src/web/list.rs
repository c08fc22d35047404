//! Lists of any length, served in pages.

use std::time::Duration;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use utoipa::{IntoParams, ToSchema};

use super::problem::Problem;
use crate::store::{Span, StoreError, Stretch};

/// The largest number of items on a page.
const LONGEST: u32 = 1000;
/// The number of items on a page, unless another is asked for.
const USUAL: u32 = 100;
/// How long to look for items to fill a page. If few items match a filter, the page ends early and
/// has a `next`.
const PATIENCE: Duration = Duration::from_millis(50);

/// A page of a list, the newest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct List<T> {
    pub items: Vec<T>,
    /// The `cursor` of the next page; null at the end of the list. A page that is short, or even
    /// empty, may still have a next page.
    #[schema(required)]
    pub next: Option<String>,
}

/// The page of a list to return.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct Walk {
    /// The maximum number of items on the page.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    pub limit: Option<u32>,
    /// The end of the previous page: its `next`.
    pub cursor: Option<String>,
}

impl Walk {
    /// Returns the position of this page in the list called `name`.
    fn span(&self, name: &str) -> Result<Span, Problem> {
        let limit = self.limit.unwrap_or(USUAL);
        if !(1..=LONGEST).contains(&limit) {
            return Err(Problem::bad(format!(
                "`limit` is {limit}: it must be from 1 to {LONGEST}"
            )));
        }

        let before = match self.cursor.as_deref().filter(|cursor| !cursor.is_empty()) {
            None => i64::MAX,
            Some(cursor) => place(name, cursor).ok_or_else(|| {
                Problem::bad(format!(
                    "`cursor` does not belong to the list of {name}: use `next` of the previous \
                     page"
                ))
            })?,
        };

        Ok(Span { before, limit })
    }
}

/// Encodes a position in a list as an opaque cursor.
fn cursor(name: &str, place: i64) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(format!("{name}:{place}"))
}

fn place(name: &str, cursor: &str) -> Option<i64> {
    let decoded = BASE64_URL_SAFE_NO_PAD.decode(cursor).ok()?;
    let text = String::from_utf8(decoded).ok()?;
    text.strip_prefix(name)?.strip_prefix(':')?.parse().ok()
}

/// Reads a page, stretch by stretch, until it is full, the list ends or the time is up.
pub async fn page<T, S>(
    name: &'static str,
    walk: &Walk,
    read: impl Fn(Span) -> S,
) -> Result<List<T>, Problem>
where
    S: Future<Output = Result<Stretch<T>, StoreError>>,
{
    let Span { mut before, limit } = walk.span(name)?;
    let begun = Instant::now();
    let mut items = Vec::new();

    loop {
        let left = limit - u32::try_from(items.len()).unwrap_or(limit);
        let stretch = read(Span {
            before,
            limit: left,
        })
        .await?;
        items.extend(stretch.items);

        let Some(next) = stretch.next else {
            return Ok(List { items, next: None });
        };
        if items.len() >= limit as usize || begun.elapsed() > PATIENCE {
            let next = Some(cursor(name, next));
            return Ok(List { items, next });
        }
        before = next;
    }
}

impl<T> List<T> {
    /// Returns the same list with each item changed.
    pub fn map<U>(self, change: impl FnMut(T) -> U) -> List<U> {
        List {
            items: self.items.into_iter().map(change).collect(),
            next: self.next,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_of_one_list_and_no_other() {
        let next = cursor("mails", 17);
        assert_eq!(place("mails", &next), Some(17));
        assert_eq!(place("mail", &next), None);
        assert_eq!(place("incidents", &next), None);
        assert_eq!(place("mails", "?"), None);
        assert_eq!(place("mails", "bWFpbHM6eA"), None);
    }

    #[tokio::test]
    async fn a_page_is_filled_from_stretches_and_says_where_it_goes_on() {
        // Of the numbers 1 to 100, scanned ten at a time, those that are divisible by 30.
        let read = async |span: Span| {
            let from = (span.before - 10).max(1);
            let fit: Vec<i64> = (from..span.before.min(101))
                .rev()
                .filter(|number| number % 30 == 0)
                .take(span.limit as usize)
                .collect();
            let full = fit.len() == span.limit as usize;
            let next = if full {
                fit.last().copied()
            } else {
                (from > 1).then_some(from)
            };
            Ok(Stretch { items: fit, next })
        };
        let mut walk = Walk {
            limit: Some(2),
            cursor: Some(cursor("numbers", 101)),
        };
        let first = page("numbers", &walk, read).await.unwrap();
        assert_eq!(first.items, [90, 60]);
        walk.cursor = first.next;
        let second = page("numbers", &walk, read).await.unwrap();
        assert_eq!((second.items, second.next), (vec![30], None));
        walk.limit = Some(1001);
        assert_eq!(page("numbers", &walk, read).await.unwrap_err().status, 400);
    }
}
