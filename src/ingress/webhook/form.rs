//! Reads the fields of a posted form byte for byte: `multipart/form-data` (RFC 7578) and
//! `application/x-www-form-urlencoded`.

use std::{borrow::Cow, convert::Infallible};

use axum::{
    body::Bytes,
    http::{HeaderMap, header::CONTENT_TYPE},
};
use multer::Multipart;
use percent_encoding::percent_decode;

use super::{answer::Refusal, protocol::Posted};

pub(super) const MULTIPART: &str = "multipart/form-data";
pub(super) const URLENCODED: &str = "application/x-www-form-urlencoded";

/// The most fields of a form. Providers post about twenty, plus one for each attachment.
const MAX_FIELDS: usize = 1000;

/// Returns the values of the named fields. A named field that comes twice makes the form
/// unreadable, because it is unclear which one is meant.
pub(super) async fn fields<const N: usize>(
    headers: &HeaderMap,
    body: Bytes,
    names: [&str; N],
) -> Result<[Option<Bytes>; N], Refusal> {
    let content_type = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();

    let mut found = [const { None }; N];
    let mut take =
        |name: &[u8], value: Bytes| match names.iter().position(|wanted| wanted.as_bytes() == name)
        {
            Some(place) => match found[place].replace(value) {
                None => Ok(()),
                Some(_) => Err(Refusal::Unreadable),
            },
            None => Ok(()),
        };

    if let Ok(boundary) = multer::parse_boundary(content_type) {
        let whole = futures_util::stream::once(async { Ok::<_, Infallible>(body) });
        let mut form = Multipart::new(whole, boundary);
        let mut count = 0;
        while let Some(field) = form.next_field().await.map_err(|_| Refusal::Unreadable)? {
            count += 1;
            if count > MAX_FIELDS {
                return Err(Refusal::Unreadable);
            }
            let name = field.name().unwrap_or_default().to_owned();
            take(
                name.as_bytes(),
                field.bytes().await.map_err(|_| Refusal::Unreadable)?,
            )?;
        }
    } else if content_type
        .split(';')
        .next()
        .is_some_and(|essence| essence.trim().eq_ignore_ascii_case(URLENCODED))
    {
        for pair in body
            .split(|byte| *byte == b'&')
            .filter(|pair| !pair.is_empty())
            .take(MAX_FIELDS)
        {
            let (name, value) = match memchr::memchr(b'=', pair) {
                Some(at) => (&pair[..at], &pair[at + 1..]),
                None => (pair, &[][..]),
            };
            take(&decoded(name), decoded(value).into())?;
        }
    } else {
        return Err(Refusal::Unreadable);
    }

    Ok(found)
}

/// Returns the mail in the field `name`. If it is missing, `mend` says what to change at the
/// provider.
pub(super) async fn mail(
    posted: Posted<'_>,
    name: &str,
    mend: &'static str,
) -> Result<Bytes, Refusal> {
    let [mail] = fields(posted.headers, posted.body, [name]).await?;
    present(mail, mend)
}

/// Returns a field that is present and not empty, or a refusal with the text `mend`.
pub(super) fn present(mail: Option<Bytes>, mend: &'static str) -> Result<Bytes, Refusal> {
    mail.filter(|mail| !mail.is_empty())
        .ok_or(Refusal::NoMail(mend))
}

/// Returns the decoded bytes as they are, because a mail need not be UTF-8.
fn decoded(encoded: &[u8]) -> Vec<u8> {
    let spaced: Vec<u8> = encoded
        .iter()
        .map(|byte| if *byte == b'+' { b' ' } else { *byte })
        .collect();
    Cow::from(percent_decode(&spaced)).into_owned()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    async fn read(content_type: &'static str, body: &[u8]) -> Result<[Option<Bytes>; 2], Refusal> {
        let headers =
            HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(content_type))]);
        fields(&headers, body.to_vec().into(), ["a", "mail"]).await
    }

    #[tokio::test]
    async fn both_kinds_of_form_give_the_bytes_as_they_were() {
        let coded = read(URLENCODED, b"x=1&mail=%FF+%2b%00%0d%0a&a")
            .await
            .unwrap();
        assert_eq!(
            coded,
            [
                Some(Bytes::new()),
                Some(Bytes::from_static(b"\xff +\0\r\n"))
            ]
        );
        let body = b"--b\r\nContent-Disposition: form-data; \
                     name=\"mail\"\r\n\r\n\xff\r\n--cc\0\r\n\r\n--b--\r\n";
        let parts = read("multipart/form-data; boundary=b", body).await;
        assert_eq!(
            parts,
            Ok([None, Some(Bytes::from_static(b"\xff\r\n--cc\0\r\n"))])
        );
    }

    #[tokio::test]
    async fn a_form_that_is_cut_off_or_ambiguous_is_not_read() {
        let cut = b"--b\r\nContent-Disposition: form-data; name=\"mail\"\r\n\r\nhalf a mail";
        assert_eq!(
            read("multipart/form-data; boundary=b", cut).await,
            Err(Refusal::Unreadable)
        );
        assert_eq!(
            read(URLENCODED, b"mail=1&mail=2").await,
            Err(Refusal::Unreadable)
        );
        assert_eq!(
            read("multipart/form-data", cut).await,
            Err(Refusal::Unreadable)
        );
        assert_eq!(
            read("application/json", b"{}").await,
            Err(Refusal::Unreadable)
        );
    }
}
