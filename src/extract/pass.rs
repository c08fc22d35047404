//! The streaming pass over an HTML document: linear in its size, in bounded memory.

use std::borrow::Cow;

use lol_html::{
    ElementContentHandlers, HtmlRewriter, MemorySettings, Selector, Settings,
    errors::RewritingError,
};

/// The memory that `lol_html` may use, in bytes: as much as half a megabyte of nothing but nested
/// tags needs.
const MAX_MEMORY: usize = 64 << 20;

/// The error by which a handler ends the pass when nothing more can be found.
#[derive(Debug, thiserror::Error)]
#[error("nothing more can be found")]
pub(super) struct Enough;

/// Passes the elements that a selector finds to their handler, in the order of the document, until
/// the handler has had [`Enough`]. The error says why the document is not read.
pub(super) fn pass<'h>(
    html: &str,
    handler: (Cow<'h, Selector>, ElementContentHandlers<'h>),
) -> Result<(), String> {
    let settings = Settings::new()
        .append_element_content_handler(handler)
        .with_memory_settings(MemorySettings::new().with_max_allowed_memory_usage(MAX_MEMORY));
    let mut pass = HtmlRewriter::new(settings, |_: &[u8]| {});

    let passed = pass.write(html.as_bytes()).and_then(|()| pass.end());
    passed.or_else(|error| match error {
        RewritingError::ContentHandlerError(end) if end.is::<Enough>() => Ok(()),
        RewritingError::MemoryLimitExceeded(_) => {
            Err("the mail's HTML nests too deep to be read".to_owned())
        }
        RewritingError::ParsingAmbiguity(_) => Err(
            "the mail's HTML can be read in two ways (a text element inside select or frameset)"
                .to_owned(),
        ),
        other => Err(other.to_string()),
    })
}
