//! The frame of every page: the navigation, whether the bridge works, and who is signed in.

use std::{borrow::Cow, sync::LazyLock};

use axum::{
    http::StatusCode,
    response::{Html, IntoResponse as _, Response},
};
use minijinja::{AutoEscape, Environment, Value, context, value::Serde};
use serde::Serialize;

use super::{asset, plain, trust::Trust, when::When, words};
use crate::{
    telemetry,
    web::{
        Admin,
        form::Fields,
        problem::Problem,
        who::{Known, Role, Who},
    },
};

/// Every page: its name, its address, and whether a phone shows it under `More`.
const PAGES: [(&str, &str, bool); 9] = [
    ("Now", "/", false),
    ("Incidents", "/incidents", false),
    ("Silences", "/silences", false),
    ("Deliveries", "/deliveries", true),
    ("Mails", "/mails", true),
    ("Objectives", "/objectives", true),
    ("Rules", "/rules", true),
    ("Profiles", "/profiles", true),
    ("Audit", "/audit", true),
];

macro_rules! templates {
    ($($name:literal)*) => {
        [$(($name, include_str!(concat!("../templates/", $name)))),*]
    };
}

const TEMPLATES: [(&str, &str); 22] = templates! {
    "audit.html" "base.html" "confirm.html" "deliveries.html" "draft.html" "drawings.html"
    "incident.html" "incidents.html" "mail.html" "mail_body.html" "mails.html" "now.html"
    "objectives.html" "parts.html" "problem.html" "profiles.html" "rules.html" "sign_in.html"
    "silence.html" "silence_keeps.html" "silence_new.html" "silences.html"
};

static ENVIRONMENT: LazyLock<Result<Environment<'static>, minijinja::Error>> =
    LazyLock::new(|| {
        let mut environment = Environment::new();
        environment.set_auto_escape_callback(|_| AutoEscape::Html);
        environment.set_formatter(plain::formatter);
        environment.add_filter("lines", plain::lines);
        environment.add_filter("exact", plain::exact);
        environment.add_filter("sentence", plain::sentence);
        for (name, source) in TEMPLATES {
            environment.add_template(name, source)?;
        }
        Ok(environment)
    });

/// The data of the frame.
#[derive(Serialize)]
struct Frame<'a> {
    assets: &'static asset::Addresses,
    pages: Vec<Page>,
    /// The name of the current page if it is under `More`.
    more: Option<&'static str>,
    trust: Option<&'a Trust>,
    who: Option<Reader<'a>>,
    can_act: bool,
    /// The token that a form sends along. No page of another origin can read it.
    csrf: &'a str,
    now: When,
    notice: Option<Notice>,
    version: &'static str,
}

#[derive(Serialize)]
struct Page {
    name: &'static str,
    href: &'static str,
    more: bool,
    here: bool,
}

#[derive(Serialize)]
struct Reader<'a> {
    name: &'a str,
    role: &'static str,
    sign_out: bool,
}

/// The notice of what has just been done.
#[derive(Debug, Clone, Serialize)]
pub struct Notice {
    pub text: Cow<'static, str>,
}

impl<T: Into<Cow<'static, str>>> From<T> for Notice {
    fn from(text: T) -> Self {
        Self { text: text.into() }
    }
}

/// A page as seen by a user.
pub struct View<'a> {
    pub admin: &'a Admin,
    pub who: &'a Who,
    /// The page's name in the navigation.
    pub here: &'static str,
    pub notice: Option<Notice>,
}

/// The notice for each word that names what was just done.
const NOTICES: [(&str, &str); 10] = [
    (
        "resolved",
        "The incident is resolved: whoever was told of it is told so.",
    ),
    ("again", "The pages that did not arrive are sent again."),
    ("retried", "The page is sent again."),
    ("discarded", "It is discarded."),
    ("released", "The mail is released and counts as genuine."),
    ("silenced", "The silence is active from the next mail on."),
    (
        "planned",
        "The silence is planned and becomes active at its start.",
    ),
    (
        "called-off",
        "The silence is cancelled: it has held nothing.",
    ),
    (
        "expired",
        "The silence has ended: held incidents that are still open page now.",
    ),
    ("nothing", "There was nothing left to do."),
];

fn notice(done: &str) -> Option<Notice> {
    let found = NOTICES.iter().find(|(word, _)| *word == done);
    found
        .map(|(_, text)| Notice::from(*text))
        .or_else(|| words::discarded(done).map(Notice::from))
}

impl<'a> View<'a> {
    /// Creates the view of a page whose query may say what was just done.
    ///
    /// The query is believed only if the browser's cookie says the same, which it does once: an
    /// address can be opened again, or be sent to others.
    pub fn new(admin: &'a Admin, who: &'a Who, here: &'static str, fields: &Fields) -> Self {
        let done = fields.get("done");
        let done = done.filter(|_| done == who.done.as_deref());
        Self {
            admin,
            who,
            here,
            notice: done.and_then(notice),
        }
    }

    /// Renders a page for somebody who is signed in.
    pub async fn page(&self, template: &str, data: impl Serialize) -> Result<Response, Problem> {
        let trust = Trust::of(self.admin).await?;
        Ok(self.with(&trust, template, data))
    }

    /// Like `page`, when it is already known whether the bridge works.
    pub fn with(&self, trust: &Trust, template: &str, data: impl Serialize) -> Response {
        let pages = PAGES.map(|(name, href, more)| Page {
            name,
            href,
            more,
            here: name == self.here,
        });
        let more = pages.iter().find(|page| page.more && page.here);
        let frame = Frame {
            assets: &asset::ADDRESSES,
            more: more.map(|page| page.name),
            pages: pages.into(),
            trust: Some(trust),
            who: Some(Reader {
                name: &self.who.name,
                role: self.who.role.as_str(),
                sign_out: self.who.known == Known::Session,
            }),
            can_act: self.who.role == Role::Operator,
            csrf: &self.who.csrf,
            now: now(self.admin),
            notice: self.notice.clone(),
            version: env!("CARGO_PKG_VERSION"),
        };
        render(StatusCode::OK, template, &frame, data)
    }
}

/// Renders a problem as a page.
pub async fn problem(
    admin: &Admin,
    who: Option<&Who>,
    problem: &Problem,
    back: Option<String>,
) -> Response {
    let status = problem.status();
    let (heading, detail) = (heading(status), &*problem.detail);
    let data = context! { problem => context! { heading, detail, back } };

    // Without the store, it is not known whether the bridge works.
    let known = match who {
        Some(who) => Trust::of(admin).await.ok().map(|trust| (who, trust)),
        None => None,
    };
    let Some((who, trust)) = known else {
        return bare(admin, status, "problem.html", data);
    };

    let mut response =
        View::new(admin, who, "", &Fields::default()).with(&trust, "problem.html", data);
    *response.status_mut() = status;
    response
}

/// Returns the heading for a problem.
fn heading(status: StatusCode) -> &'static str {
    match status {
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => "There is nothing here",
        StatusCode::UNAUTHORIZED => "You are not signed in",
        StatusCode::FORBIDDEN => "You are not allowed to do this",
        StatusCode::CONFLICT => "This cannot be done now",
        StatusCode::TOO_MANY_REQUESTS => "You have to wait a moment",
        status if status.is_client_error() => "This request cannot be answered",
        _ => "The bridge cannot answer now",
    }
}

/// Renders a page without navigation, for somebody who is not signed in.
pub fn bare(admin: &Admin, status: StatusCode, template: &str, data: impl Serialize) -> Response {
    let frame = Frame {
        assets: &asset::ADDRESSES,
        pages: Vec::new(),
        more: None,
        trust: None,
        who: None,
        can_act: false,
        csrf: "",
        now: now(admin),
        notice: None,
        version: env!("CARGO_PKG_VERSION"),
    };
    render(status, template, &frame, data)
}

fn now(admin: &Admin) -> When {
    let now = admin.clock.now();
    When::new(now, now)
}

fn render(status: StatusCode, template: &str, frame: &Frame<'_>, data: impl Serialize) -> Response {
    let made = ENVIRONMENT
        .as_ref()
        .map_err(ToString::to_string)
        .and_then(|environment| {
            environment
                .get_template(template)
                .and_then(|page| {
                    page.render(context! { frame => Serde(frame), ..Value::from(Serde(data)) })
                })
                .map_err(|error| format!("{error:#}"))
        });

    match made {
        Ok(text) => (status, Html(text)).into_response(),
        Err(error) => {
            telemetry::page_failed(template, &error);
            let text = "The page could not be made; the log says why.\n";
            (StatusCode::INTERNAL_SERVER_ERROR, text).into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_template_can_be_read() {
        assert!(ENVIRONMENT.is_ok(), "{:?}", ENVIRONMENT.as_ref().err());
    }
}
