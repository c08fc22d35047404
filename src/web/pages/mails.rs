//! Mails: everything that arrived, and what waits in the quarantine.

use std::sync::Arc;

use axum::{
    Router,
    extract::{RawQuery, State},
    http::StatusCode,
    routing::get,
};
use jiff::Timestamp;
use serde::Serialize;

use super::{
    Answer, address,
    confirm::{Asked, Question},
    done,
    frame::View,
    incident_at,
    incidents::{Choice, Further, choices, walk},
    now::First,
    when::{When, with_clocks},
    words,
};
use crate::{
    label::title_of,
    message::{MailId, Outcome},
    web::{
        Admin,
        form::{Fields, Posted},
        list::Walk,
        problem::Problem,
        views::{
            conditions,
            mails::{self, DiscardFilter, Discarded, ListedMail, MailQuery},
            named::named,
        },
        who::Who,
    },
};

pub fn router() -> Router<Arc<Admin>> {
    Router::new()
        .route("/mails", get(page))
        .route("/mails/discard", get(ask_discard).post(discard))
}

/// The fields that the list accepts.
const FIELDS: [&str; 7] = [
    "q", "outcome", "profile", "ingress", "from", "canary", "cursor",
];

#[derive(Serialize)]
struct Data {
    list: Listed,
}

#[derive(Serialize)]
struct Listed {
    q: String,
    from: String,
    canaries: bool,
    outcomes: Vec<Choice>,
    profiles: Vec<Choice>,
    ingresses: Vec<Choice>,
    /// The address at which all listed mails are discarded, if they are in the quarantine.
    discard_href: Option<String>,
    items: Vec<Row>,
    first: Option<First>,
    #[serde(flatten)]
    further: Further,
}

#[derive(Serialize)]
struct Row {
    id: i64,
    kind: &'static str,
    outcome: &'static str,
    held: bool,
    title: String,
    /// The sender that the mail claims and its Subject, if somebody is to decide about it.
    from: Option<String>,
    subject: Option<String>,
    incident: Option<Incident>,
    reason: Option<String>,
    ingress: String,
    proof: String,
    size: String,
    at: When,
}

#[derive(Serialize)]
struct Incident {
    href: String,
    text: String,
}

impl Row {
    fn new(mail: ListedMail, called: Option<String>, now: Timestamp) -> Self {
        let ListedMail {
            row: mail,
            from,
            subject,
        } = mail;
        let from = from.map(|from| match from.as_slice() {
            [] => "nobody".to_owned(),
            from => from.join(", "),
        });
        let title = title_of(&mail.labels).map(ToOwned::to_owned);
        let title = title.or(called.filter(|subject| !subject.trim().is_empty()));
        Self {
            from,
            subject,
            title: title.unwrap_or_else(|| format!("Mail {}", mail.id)),
            kind: words::outcome(mail.outcome),
            outcome: mail.outcome.as_str(),
            held: mail.outcome == Outcome::Quarantined,
            incident: mail.incident_id.map(|id| Incident {
                href: incident_at(&id),
                text: named(&id).into_owned(),
            }),
            reason: (mail.reason.as_deref()).map(|why| with_clocks(why, mail.arrived_at, now)),
            ingress: mail.ingress,
            proof: words::proof(&mail.authenticity),
            size: words::size(mail.size),
            at: When::new(mail.arrived_at, now),
            id: mail.id,
        }
    }
}

async fn page(State(admin): State<Arc<Admin>>, who: Who, RawQuery(query): RawQuery) -> Answer {
    let fields = Fields::from_query(&query.unwrap_or_default());
    fields.only(&FIELDS)?;
    let query = query_of(&fields)?;
    let seen_at = admin.clock.now();
    let found = mails::list(&admin, &query, &walk(&fields)).await?;
    let lately = conditions::lately(&admin).await?;
    let ingresses = conditions::ingresses_by(&admin, &lately);

    // A mail whose labels give it no title is listed with its Subject.
    let nameless = found.items.iter().map(|mail| &mail.row);
    let nameless = nameless.filter(|row| title_of(&row.labels).is_none());
    let nameless = nameless.filter(|row| row.outcome != Outcome::Quarantined);
    let mut heads = mails::heads(&admin, nameless.map(|row| row.id).collect()).await?;
    let now = admin.clock.now();
    let first = lately.is_empty().then(|| First::of(&admin));

    let listed = Listed {
        q: fields.text("q"),
        from: fields.text("from"),
        canaries: fields.get("canary").is_some(),
        outcomes: choices(
            &fields,
            "outcome",
            Outcome::NOTABLE.map(|one| one.as_str().to_owned()),
        ),
        profiles: choices(&fields, "profile", admin.workbench.profiles()),
        ingresses: choices(
            &fields,
            "ingress",
            ingresses.items.into_iter().map(|one| one.name),
        ),
        discard_href: discard_href(&query, &found.items, seen_at),
        further: Further::new("/mails", &fields, found.next.as_deref()),
        items: found
            .items
            .into_iter()
            .map(|mail| {
                let head = heads.remove(&mail.row.id);
                Row::new(mail, head.and_then(|head| head.subject), now)
            })
            .collect(),
        first,
    };
    View::new(&admin, &who, "Mails", &fields)
        .page("mails.html", Data { list: listed })
        .await
}

fn query_of(fields: &Fields) -> Result<MailQuery, Problem> {
    let text = |name| fields.get(name).map(ToOwned::to_owned);
    Ok(MailQuery {
        outcome: fields.word("outcome")?,
        profile: text("profile"),
        ingress: text("ingress"),
        from: text("from"),
        q: text("q"),
        without_canaries: fields.get("canary").is_none(),
    })
}

/// Returns the address at which all mails of a list are discarded. It exists only for lists with a
/// filter that discards exactly what it lists.
fn discard_href(query: &MailQuery, listed: &[ListedMail], seen_at: Timestamp) -> Option<String> {
    let by_filter = query.outcome == Some(Outcome::Quarantined)
        && [&query.profile, &query.from, &query.q]
            .iter()
            .all(|more| more.is_none());
    let newest = listed.first().filter(|_| by_filter)?;

    let (up_to, seen_at) = (newest.row.id.to_string(), seen_at.to_string());
    let seen = [
        ("ingress", query.ingress.as_deref().unwrap_or_default()),
        ("up_to", &up_to),
        ("seen_at", &seen_at),
    ];
    Some(address("/mails/discard", &seen))
}

async fn ask_discard(
    State(admin): State<Arc<Admin>>,
    who: Who,
    RawQuery(query): RawQuery,
) -> Answer {
    let fields = Fields::from_query(&query.unwrap_or_default());
    fields.only(&["ingress", "up_to", "seen_at", "from", "older"])?;
    ask_which(&admin, &who, &fields, None).await
}

/// Asks which mails to discard, among those that came through `ingress` and had been seen. If the
/// question is asked again, the form shows the error and the earlier input.
async fn ask_which(admin: &Admin, who: &Who, fields: &Fields, error: Option<String>) -> Answer {
    let ingress = fields.get("ingress");
    let through = ingress.map(|name| format!(" that came through {name}"));
    let through = through.unwrap_or_default();
    let up_to = match fields.number("up_to")? {
        Some(up_to) => up_to,
        None => newest_held(admin).await?,
    };
    let seen_at = fields.get("seen_at").map(ToOwned::to_owned);
    let seen_at = seen_at.unwrap_or_else(|| admin.clock.now().to_string());
    let view = View::new(admin, who, "Mails", fields);
    let back = address("/mails", &[("outcome", Outcome::Quarantined.as_str())]);
    let mails = mails::count_up_to(admin, Outcome::Quarantined, ingress, up_to).await?;
    if mails == 0 {
        let title = format!("The quarantine has no mail{through}");
        let lines = vec!["There is nothing to discard.".to_owned()];
        return Question::moot(title, lines, back).ask(&view).await;
    }

    let mails = words::count(mails, "mail", "mails");
    Question {
        title: format!("Discard {mails} in the quarantine{through}?"),
        lines: vec![
            "Nobody is told of these mails. They stay stored as ignored, with the reason."
                .to_owned(),
            "Mails newer than those you looked at stay in the quarantine.".to_owned(),
            "To discard only some of them, give the sender or the age.".to_owned(),
        ],
        error,
        action: "/mails/discard".to_owned(),
        hidden: vec![
            ("ingress", ingress.unwrap_or_default()).into(),
            ("up_to", &*up_to.to_string()).into(),
            ("seen_at", &*seen_at).into(),
        ],
        asked: DISCARD_FIELDS
            .map(|field| Asked::new(field, fields.text(field.0)))
            .into(),
        button: "Discard them",
        danger: true,
        back,
    }
    .ask(&view)
    .await
}

/// Returns the newest mail in the quarantine. Mails that arrive after the question are not
/// discarded.
async fn newest_held(admin: &Admin) -> Result<MailId, Problem> {
    let query = MailQuery {
        outcome: Some(Outcome::Quarantined),
        ..MailQuery::default()
    };
    let one = Walk {
        limit: Some(1),
        cursor: None,
    };
    let newest = mails::list(admin, &query, &one).await?;
    Ok(newest.items.first().map_or(0, |mail| mail.row.id))
}

/// The other fields that choose the mails to discard: name, label and example.
const DISCARD_FIELDS: [(&str, &str, &str); 2] = [
    ("from", "Only from", "ann@example.com or @example.com"),
    ("older", "Only older than", "7d"),
];

async fn discard(State(admin): State<Arc<Admin>>, who: Who, posted: Posted) -> Answer {
    let fields = &posted.fields;
    let some = |name: &str| fields.get(name).map(ToOwned::to_owned);
    let filter = DiscardFilter {
        outcome: Some(Outcome::Quarantined),
        ingress: some("ingress"),
        from: some("from"),
        older: some("older"),
        up_to: fields.number("up_to")?,
        seen_at: fields.time("seen_at", admin.clock.now())?,
    };
    let gone = mails::discard_all(&admin, &who, &filter).await;
    let Discarded { discarded, newer } = match gone {
        Err(problem) if problem.status() == StatusCode::UNPROCESSABLE_ENTITY => {
            return ask_which(&admin, &who, fields, Some(problem.detail)).await;
        }
        gone => gone?,
    };
    let path = address("/mails", &[("outcome", Outcome::Quarantined.as_str())]);
    Ok(done(&path, words::discarded_all(discarded, newer)))
}
