//! The address of a webhook's request. The configuration alone determines the host; a value from an
//! alert fills in a single piece of the path or the query, and cannot redirect the request.

use secrecy::ExposeSecret as _;
use url::Url;

use crate::{
    receiver::{
        Credential, Keys, RenderError,
        credential::Shape,
        escape::Escape,
        http_url,
        page::Page,
        site::Site,
        template::{Extent, Occasion, Template, looks_like_template},
    },
    settings::Secret,
};

/// The shortest literal piece of a path, in bytes, that is taken for a credential.
const LONG_PIECE: usize = 16;

pub(super) struct Destination {
    /// The address as it is written. It may be a credential, or contain one.
    credential: Credential,
    template: Option<Template>,
}

impl Destination {
    /// Compiles an address. `place` is its place in the configuration, and `given` is what is
    /// written there.
    pub(super) fn compile(
        place: &'static str,
        given: &str,
        occasion: Occasion,
        site: &mut Site<'_>,
    ) -> Option<Self> {
        let text = given.trim();
        if !looks_like_template(text) {
            let credential = site.secret_if_any(place, Shape::Address, Some(text), None)?;
            return Some(Self::plain(credential));
        }

        let Some(origin) = literal_origin(text) else {
            site.problem(
                place,
                "its scheme or host holds a template, and an alert must not choose where it is \
                 sent",
                "write the host out; the path and the query may hold templates",
            );
            return None;
        };

        site.address(place, origin, false)?;
        site.leads_by(place, text);
        let template =
            site.template_of(place, place, text, Escape::Url, Extent::Field, occasion)?;

        Some(Self {
            credential: Credential {
                name: place,
                shape: Shape::Address,
                secret: Secret::Inline(text.to_owned().into()),
            },
            template: Some(template),
        })
    }

    /// Returns an address without a template, from a file or written out.
    pub(super) fn plain(credential: Credential) -> Self {
        Self {
            credential,
            template: None,
        }
    }

    pub(super) fn credential(&self) -> &Credential {
        &self.credential
    }

    pub(super) fn speaks_of(&self, name: &str) -> bool {
        self.template
            .as_ref()
            .is_some_and(|template| template.speaks_of(name))
    }

    /// Renders the address; for display, without anything that may be a credential.
    pub(super) fn render(&self, page: &Page<'_>, keys: &Keys) -> Result<String, RenderError> {
        let Some(template) = &self.template else {
            return Ok(self.shown_or_revealed(keys));
        };

        let text = template.render(&page.context())?;
        let leads_astray = || {
            let what = "values from the alert would make the address lead elsewhere";
            RenderError::Impossible(what.to_owned())
        };

        if Url::parse(&text).is_err() || has_dot_segment(&text) {
            return Err(leads_astray());
        }

        Ok(if keys.hidden() {
            self.without_credentials(&text)
        } else {
            text
        })
    }

    /// Returns the address; for display only its origin, because the path may be a credential.
    fn shown_or_revealed(&self, keys: &Keys) -> String {
        match &self.credential.secret {
            Secret::Inline(text) if keys.hidden() => http_url::parse(text.expose_secret())
                .map_or_else(
                    |_| "<secret>".into(),
                    |url| match url.origin().ascii_serialization() {
                        origin if url.path() == "/" && url.query().is_none() => {
                            format!("{origin}/")
                        }
                        origin => format!("{origin}/<secret>"),
                    },
                ),
            _ => keys.reveal(&self.credential).to_owned(),
        }
    }

    /// Returns the address for display. Values that were filled into the template are shown; of the
    /// template's own text, only short words are.
    fn without_credentials(&self, rendered: &str) -> String {
        let Secret::Inline(source) = &self.credential.secret else {
            return "<secret>".to_owned();
        };
        literals(source.expose_secret())
            .into_iter()
            .fold(rendered.to_owned(), |shown, literal| {
                shown.replace(literal, "<secret>")
            })
    }
}

/// Returns `https://host:port`, if no template begins before its end.
fn literal_origin(text: &str) -> Option<&str> {
    let begin = text.find("://")? + 3;
    let end = begin + text[begin..].find(['/', '?', '#'])?;
    let origin = &text[..end];
    (!origin.contains(['{', '}'])).then_some(origin)
}

/// Returns the literal pieces of an address that may be credentials: user and password, long pieces
/// of the path, and values of the query.
fn literals(source: &str) -> Vec<&str> {
    let Some((_, rest)) = source.split_once("://") else {
        return Vec::new();
    };
    let (authority, rest) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let is_literal = |piece: &&str| !piece.contains(['{', '}', '|', ' ', '\'', '"']);

    let user = authority.rsplit_once('@').map(|(user, _)| user);
    let pieces = path
        .split('/')
        .filter(is_literal)
        .filter(|piece| piece.len() >= LONG_PIECE);
    let values = query
        .split('&')
        .filter_map(|pair| pair.split_once('=').map(|(_, value)| value))
        .filter(is_literal)
        .filter(|value| value.len() > 4);

    user.into_iter().chain(pieces).chain(values).collect()
}

/// Whether a piece of the path is `.` or `..`, which a URL resolves to another path.
fn has_dot_segment(text: &str) -> bool {
    let path = text.split(['?', '#']).next().unwrap_or_default();
    path.split(['/', '\\']).any(|piece| {
        let plain = piece.to_ascii_lowercase().replace("%2e", ".");
        plain == "." || plain == ".."
    })
}

#[cfg(test)]
mod tests {
    use super::{has_dot_segment, literal_origin, literals};

    #[test]
    fn the_host_is_written_out() {
        for (text, origin) in [
            ("https://a.example/{{ x }}", Some("https://a.example")),
            (
                "https://a.example:8443?x={{ x }}",
                Some("https://a.example:8443"),
            ),
            ("https://{{ x }}/", None),
            ("https://a.example{{ x }}/", None),
            ("https://a.example", None),
            ("{{ x }}://a.example/", None),
            ("{% if x %}https://a.example/{% endif %}", None),
        ] {
            assert_eq!(literal_origin(text), origin, "{text}");
        }
    }

    #[test]
    fn a_way_up_is_seen_however_it_is_written() {
        for up in ["/..", "/a/../b", "/%2E%2e/b", "/./b?x", "/a/.."] {
            assert!(has_dot_segment(&format!("https://a.example{up}")), "{up}");
        }
        for down in ["/...", "/a..b", "/a?x=..", "/%252e%252e/b"] {
            assert!(
                !has_dot_segment(&format!("https://a.example{down}")),
                "{down}"
            );
        }
    }

    #[test]
    fn what_is_long_or_a_value_may_be_a_credential() {
        let source = "https://robot:pw@a.example/v1/0123456789abcdef01/{{ x \
                      }}/close?key=secret&y={{ y }}&z=on";
        assert_eq!(
            literals(source),
            ["robot:pw", "0123456789abcdef01", "secret"]
        );
    }
}
