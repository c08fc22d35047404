//! One mail: its outcome and the reason, its path, and the mail itself.

use std::sync::Arc;

use axum::{
    Router,
    extract::{RawQuery, Request, State},
    http::header,
    response::{IntoResponse as _, Response},
    routing::get,
};
use jiff::Timestamp;
use mail_parser::{MessageParser, MimeHeaders as _};
use serde::Serialize;

use super::{
    Answer,
    confirm::Question,
    done, filtered,
    frame::View,
    hops::Hops,
    incident_at, list_before,
    plain::sentence,
    when::{When, clock, with_clocks},
    words::{self, Fact, Label, labels},
};
use crate::{
    label::title_of,
    message::{MailId, Outcome},
    store::{MailRow, StoredMail},
    web::{
        Admin,
        ask::Path,
        form::{Fields, Posted},
        problem::Problem,
        views::{
            mails::{self, Mail},
            named::named,
        },
        who::Who,
    },
};

/// The most bytes of a text that are shown. The raw mail has all of it.
const SHOWN: usize = 64 << 10;

/// The policy for the mail's own HTML, which may only be displayed. Its styles are inline.
const SANDBOX: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox; \
                       base-uri 'none'; form-action 'none'; frame-ancestors 'self'";

/// The list from which a question is asked.
const LIST: &str = "/mails";

pub fn router() -> Router<Arc<Admin>> {
    Router::new()
        .route("/mails/{id}", get(page))
        .route("/mails/{id}/raw", get(raw))
        .route("/mails/{id}/html", get(layout))
        .route("/mails/{id}/release", get(ask_release).post(release))
        .route("/mails/{id}/discard", get(ask_discard).post(discard))
}

/// The content of a mail.
#[derive(Debug, Serialize)]
pub struct Body {
    id: MailId,
    header: Vec<Fact>,
    text: Option<String>,
    html: bool,
    cut: Option<String>,
    attachments: Vec<String>,
}

impl Body {
    /// Reads a stored mail, or returns `None` if it is gone.
    pub async fn of(admin: &Admin, id: MailId) -> Result<Option<Self>, Problem> {
        let found = admin.desk.mail(id).await?;
        Ok(found.map(|(row, stored)| Self::new(&row, &stored)))
    }

    fn new(row: &MailRow, stored: &StoredMail) -> Self {
        let parsed = MessageParser::default().parse(&*stored.message.raw);
        let line = |name: &'static str| {
            let value = parsed.as_ref()?.header_raw(name)?.trim();
            let plain = match name {
                "Subject" => parsed.as_ref()?.subject().unwrap_or(value).to_owned(),
                _ => value.to_owned(),
            };
            (!plain.is_empty()).then(|| Fact::new(name, plain))
        };
        let text = parsed.as_ref().and_then(|mail| mail.body_text(0));
        let text = text
            .map(|text| cut(&text))
            .filter(|text| !text.trim().is_empty());
        let attachments = parsed.iter().flat_map(mail_parser::Message::attachments);
        let attachments = attachments.map(|part| {
            let name = part.attachment_name().unwrap_or("without a name");
            format!("{name}, {}", words::size(part.contents().len() as u64))
        });

        Self {
            id: row.id,
            header: ["From", "To", "Subject", "Date"]
                .into_iter()
                .filter_map(line)
                .collect(),
            html: parsed
                .as_ref()
                .is_some_and(|mail| mail.html_body_count() > 0 && is_html(mail)),
            attachments: attachments.take(20).collect(),
            cut: stored
                .message
                .cut_from
                .map(|size| format!("Only its header is kept: it had {}.", words::size(size))),
            text,
        }
    }
}

/// Decides whether the mail itself has an HTML part, rather than one that the parser made from its
/// text.
fn is_html(mail: &mail_parser::Message<'_>) -> bool {
    mail.html_bodies()
        .any(mail_parser::MessagePart::is_text_html)
}

fn cut(text: &str) -> String {
    let mut end = text.len().min(SHOWN);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let more = if end < text.len() {
        "\n… the rest is in the raw mail"
    } else {
        ""
    };
    format!("{}{more}", &text[..end])
}

#[derive(Serialize)]
struct Data {
    mail: Shown,
}

#[derive(Serialize)]
struct Shown {
    id: MailId,
    kind: &'static str,
    outcome: &'static str,
    held: bool,
    subject: Option<String>,
    reason: Option<String>,
    facts: Vec<Fact>,
    /// The alerts of a mail with several.
    items: Vec<Item>,
    hops: Option<Hops>,
    body: Body,
    labels: Vec<Label>,
}

/// The outcome of one alert of a mail with several.
#[derive(Serialize)]
struct Item {
    number: i64,
    kind: &'static str,
    outcome: &'static str,
    title: String,
    href: Option<String>,
    reason: Option<String>,
}

impl Item {
    fn new(row: &MailRow, now: Timestamp) -> Self {
        let id = row.incident_id.as_deref();
        let called = title_of(&row.labels).map(ToOwned::to_owned);
        let called = called.or_else(|| id.map(|id| named(id).into_owned()));
        Self {
            number: row.item.unwrap_or_default(),
            kind: words::outcome(row.outcome),
            outcome: row.outcome.as_str(),
            title: called.unwrap_or_else(|| "an alert".to_owned()),
            href: id.map(incident_at),
            reason: reason(row, now),
        }
    }
}

async fn page(
    State(admin): State<Arc<Admin>>,
    who: Who,
    Path(id): Path<MailId>,
    RawQuery(query): RawQuery,
) -> Answer {
    let fields = Fields::from_query(&query.unwrap_or_default());
    let mail = mails::show(&admin, id).await?;
    let stored = stored(&admin, id).await?;
    let now = admin.clock.now();
    let row = &mail.row;

    let shown = Shown {
        id,
        kind: words::outcome(row.outcome),
        outcome: row.outcome.as_str(),
        held: row.outcome == Outcome::Quarantined,
        subject: mail.subject.clone(),
        reason: reason(row, now),
        facts: facts(&mail, now),
        items: mail.items.iter().map(|row| Item::new(row, now)).collect(),
        hops: Hops::new(&stored.message.raw, (&row.ingress, row.arrived_at), now),
        body: Body::new(row, &stored),
        labels: labels(&row.labels),
    };
    let view = View::new(&admin, &who, "Mails", &fields);
    view.page("mail.html", Data { mail: shown }).await
}

fn facts(mail: &Mail, now: Timestamp) -> Vec<Fact> {
    let row = &mail.row;
    let proof = &row.authenticity;

    let mut facts = vec![Fact::time("Arrived", When::new(row.arrived_at, now))];
    facts.push(Fact::new("Through", &row.ingress));
    facts.push(Fact::new("Its sender", words::proof(proof)));
    if let Some(detail) = &proof.detail {
        facts.push(Fact::new("Evidence", detail));
    }
    if let Some(spf) = &proof.spf {
        facts.push(Fact::new("SPF", format!("{spf}, for the record")));
    }

    if let Some(id) = &row.incident_id {
        facts.push(Fact::link("Incident", named(id), incident_at(id)));
    }
    if let Some(release) = &row.released {
        facts.push(Fact::new("Released by", &release.by));
        facts.push(Fact::time("Released", When::new(release.at, now)));
    }
    if let Some(at) = row.check_at {
        facts.push(Fact::time("Checked again", When::new(at, now)));
    }

    if let Some(envelope) = &mail.envelope {
        let peer = envelope
            .peer
            .map_or_else(String::new, |peer| format!(" from {peer}"));
        let (from, helo) = (&envelope.mail_from, &envelope.helo);
        let said = format!("MAIL FROM <{from}>{peer}, {helo}");
        facts.push(Fact::new("SMTP", said));
    }
    facts.push(Fact::new("Size", words::size(row.size)));
    facts.push(Fact::new("SHA-256", &row.sha256));

    facts
}

async fn stored(admin: &Admin, id: MailId) -> Result<StoredMail, Problem> {
    let found = admin.desk.mail(id).await?;
    let missing = || Problem::not_found(format!("there is no mail {id}"));
    Ok(found.ok_or_else(missing)?.1)
}

/// Returns the raw mail as a download, because a browser that displayed it would display what a
/// stranger wrote.
async fn raw(State(admin): State<Arc<Admin>>, Path(id): Path<MailId>) -> Answer {
    let raw = mails::raw(&admin, id).await?;
    let name = format!("attachment; filename=\"mail-{id}.eml\"");
    let headers = [
        (header::CONTENT_TYPE, "message/rfc822".to_owned()),
        (header::CONTENT_DISPOSITION, name),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; sandbox".to_owned(),
        ),
    ];
    Ok((headers, raw).into_response())
}

/// Returns the sender's HTML, for a sandboxed frame.
async fn layout(
    State(admin): State<Arc<Admin>>,
    Path(id): Path<MailId>,
) -> Result<Response, Problem> {
    let stored = stored(&admin, id).await?;
    let parsed = MessageParser::default().parse(&*stored.message.raw);
    let html = parsed.as_ref().and_then(|mail| mail.body_html(0));
    let html = html.ok_or_else(|| Problem::not_found(format!("mail {id} is without HTML")))?;
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, SANDBOX),
        (header::X_FRAME_OPTIONS, "SAMEORIGIN"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    Ok((headers, html.into_owned()).into_response())
}

fn reason(row: &MailRow, now: Timestamp) -> Option<String> {
    let reason = row.reason.as_deref();
    reason.map(|why| with_clocks(why, row.arrived_at, now))
}

/// Creates the page that is shown in place of a question about a mail that is not in the
/// quarantine. It tells the mail's outcome.
fn moot(mail: &Mail, now: Timestamp) -> Question {
    let row = &mail.row;
    let title = format!("Mail {} is not in the quarantine", row.id);
    let became = match (row.outcome, reason(row, now)) {
        (Outcome::Pending, _) => "It is about to be decided.".to_owned(),
        (outcome, None) => format!("Its outcome: {outcome}."),
        (outcome, Some(why)) => sentence(&format!("its outcome: {outcome}, {why}")),
    };
    let released = row.released.as_ref().map(|release| {
        let at = clock(release.at, now);
        format!("It was released by {} at {at}.", release.by)
    });
    let lines = mail.subject.clone().into_iter().chain(released);
    let lines = lines.chain([became]).collect();
    Question::moot(title, lines, format!("/mails/{}", row.id))
}

async fn ask_release(State(admin): State<Arc<Admin>>, who: Who, Path(id): Path<MailId>) -> Answer {
    let mail = mails::show(&admin, id).await?;
    let (view, now) = (
        View::new(&admin, &who, "Mails", &Fields::default()),
        admin.clock.now(),
    );
    if mail.row.outcome != Outcome::Quarantined {
        return moot(&mail, now).ask(&view).await;
    }

    let subject = mail.subject.unwrap_or_default();
    let reason = reason(&mail.row, now).unwrap_or_else(|| "nothing proves it".to_owned());
    Question {
        title: format!("Release mail {id}?"),
        lines: vec![
            subject,
            sentence(&format!("reason it is held: {reason}")),
            "After release it counts as genuine: it may page people or resolve an incident."
                .to_owned(),
        ],
        action: format!("/mails/{id}/release"),
        button: "Release it",
        back: format!("/mails/{id}"),
        ..Question::default()
    }
    .ask(&view)
    .await
}

async fn release(State(admin): State<Arc<Admin>>, who: Who, Path(id): Path<MailId>) -> Answer {
    mails::release(&admin, &who, id).await?;
    Ok(done(&format!("/mails/{id}"), "released"))
}

/// Returns the list from which a question was asked if it was filtered; otherwise the mail's own
/// page.
fn back(list: String, id: MailId) -> String {
    if list == LIST {
        format!("{LIST}/{id}")
    } else {
        list
    }
}

async fn ask_discard(
    State(admin): State<Arc<Admin>>,
    who: Who,
    Path(id): Path<MailId>,
    request: Request,
) -> Answer {
    let back = back(list_before(&admin, &request, LIST), id);
    let mail = mails::show(&admin, id).await?;
    let view = View::new(&admin, &who, "Mails", &Fields::default());
    if mail.row.outcome != Outcome::Quarantined {
        return moot(&mail, admin.clock.now()).ask(&view).await;
    }

    Question {
        title: format!("Discard mail {id}?"),
        lines: vec![
            mail.subject.unwrap_or_default(),
            "Nobody is told of it. It stays stored as ignored.".to_owned(),
        ],
        action: format!("/mails/{id}/discard"),
        button: "Discard it",
        danger: true,
        hidden: vec![("back", &*back).into()],
        back,
        ..Question::default()
    }
    .ask(&view)
    .await
}

async fn discard(
    State(admin): State<Arc<Admin>>,
    who: Who,
    Path(id): Path<MailId>,
    posted: Posted,
) -> Answer {
    mails::discard(&admin, &who, id).await?;
    let back = back(filtered(posted.fields.get("back"), LIST), id);
    Ok(done(&back, "discarded"))
}
