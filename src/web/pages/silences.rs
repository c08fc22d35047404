//! Silences: what is kept from being told, until when, and what another would keep.

use std::sync::Arc;

use axum::{
    Router,
    extract::{RawQuery, State},
    routing::get,
};
use jiff::Timestamp;
use serde::Serialize;

use super::{
    Answer, address,
    confirm::{Hidden, Question},
    deliveries::Tab,
    done,
    frame::View,
    incident_at,
    incidents::{Further, walk},
    once,
    when::{When, span},
    words::{Severity, label},
};
use crate::{
    delivery::sha256_hex,
    label::Labels,
    settings::Duration,
    silence::SilenceId,
    web::{
        Admin,
        ask::Path,
        form::{Fields, Posted},
        problem::Problem,
        views::silences::{self, NewSilence, Preview, Silence, SilenceQuery, SilenceState},
        who::Who,
    },
};

/// So many triggers of a preview are listed.
const LISTED: usize = 30;

pub fn router() -> Router<Arc<Admin>> {
    Router::new()
        .route("/silences", get(page))
        .route("/silences/new", get(new).post(make))
        .route("/silences/{id}", get(one))
        .route("/silences/{id}/expire", get(ask_expire).post(expire))
}

#[derive(Serialize)]
struct Row {
    id: SilenceId,
    kind: &'static str,
    words: String,
    comment: String,
    matchers: Vec<String>,
    author: String,
    starts: When,
    ends: When,
    can_expire: bool,
    again_href: String,
}

impl Row {
    fn new(silence: Silence, now: Timestamp) -> Self {
        let (kind, words) = match silence.state {
            SilenceState::Active => (
                "on",
                format!(
                    "holds for {} more",
                    span(silence.ends_at.duration_since(now))
                ),
            ),
            SilenceState::Pending => (
                "wait",
                format!("begins in {}", span(silence.starts_at.duration_since(now))),
            ),
            SilenceState::Expired => ("off", "over".to_owned()),
        };
        let again = [
            ("matchers", silence.matchers.join("\n")),
            ("comment", silence.comment.clone()),
        ];
        let again: Vec<_> = again
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        Self {
            id: silence.id,
            kind,
            words,
            again_href: address("/silences/new", &again),
            comment: silence.comment,
            matchers: silence.matchers,
            author: silence.author,
            starts: When::new(silence.starts_at, now),
            ends: When::new(silence.ends_at, now),
            can_expire: silence.state != SilenceState::Expired,
        }
    }
}

#[derive(Serialize)]
struct ListData {
    list: Listed,
}

#[derive(Serialize)]
struct Listed {
    tabs: Vec<Tab>,
    items: Vec<Row>,
    empty: &'static str,
    #[serde(flatten)]
    further: Further,
}

async fn page(State(admin): State<Arc<Admin>>, who: Who, RawQuery(query): RawQuery) -> Answer {
    let fields = Fields::from_query(&query.unwrap_or_default());
    let state = fields.get("state").unwrap_or("active");
    let query = SilenceQuery {
        state: (state != "all").then(|| state.to_owned()),
    };
    let mut walk = walk(&fields);
    // There are few that hold, among many that do not.
    walk.limit = if query.state.is_some() {
        Some(1000)
    } else {
        walk.limit
    };
    let found = silences::list(&admin, &query, &walk).await?;

    let now = admin.clock.now();
    let tab = |name, word: &str| Tab {
        name,
        href: address("/silences", &[("state", word)]),
        here: state == word,
    };
    let listed = Listed {
        tabs: vec![
            tab("Now", "active"),
            tab("To come", "pending"),
            tab("Over", "expired"),
            tab("All", "all"),
        ],
        empty: match state {
            "active" => "Nothing is silenced now.",
            "pending" => "No silence is planned.",
            _ => "There is no such silence.",
        },
        further: Further::new("/silences", &fields, found.next.as_deref()),
        items: found
            .items
            .into_iter()
            .map(|one| Row::new(one, now))
            .collect(),
    };
    let view = View::new(&admin, &who, "Silences", &fields);
    view.page("silences.html", ListData { list: listed }).await
}

#[derive(Serialize)]
struct OneData {
    silence: Row,
    preview: Option<Keeps>,
}

async fn one(
    State(admin): State<Arc<Admin>>,
    who: Who,
    Path(id): Path<SilenceId>,
    RawQuery(query): RawQuery,
) -> Answer {
    let fields = Fields::from_query(&query.unwrap_or_default());
    let silence = silences::show(&admin, id).await?;
    let now = admin.clock.now();
    let data = OneData {
        silence: Row::new(silence, now),
        preview: None,
    };
    let view = View::new(&admin, &who, "Silences", &fields);
    view.page("silence.html", data).await
}

/// What a silence would keep from people.
#[derive(Serialize)]
struct Keeps {
    open: Vec<Kept>,
    triggers: Vec<Kept>,
    count: String,
    rest: Option<String>,
    remarks: Vec<String>,
}

#[derive(Serialize)]
struct Kept {
    severity: Severity,
    href: String,
    title: String,
    at: When,
}

impl Kept {
    fn new(labels: &Labels, href: String, named: &str, at: When) -> Self {
        let title = ["title", "metric"]
            .iter()
            .find_map(|name| label(labels, name));
        let app = ["app_name", "app_key", "profile"]
            .iter()
            .find_map(|name| label(labels, name));
        Self {
            severity: Severity::new(label(labels, "severity").unwrap_or_default()),
            title: [title.or(Some(named)), app]
                .into_iter()
                .flatten()
                .collect::<Vec<_>>()
                .join(" · "),
            href,
            at,
        }
    }
}

impl Keeps {
    fn new(preview: &Preview, known: &[String], matchers: &[String], now: Timestamp) -> Self {
        let when = |at| When::new(at, now);
        let open = preview.incidents.iter().map(|one| {
            Kept::new(
                &one.labels,
                incident_at(&one.incident_id),
                &one.incident_id,
                when(one.opened_at),
            )
        });
        let number = preview.triggers.len();
        let plus = if preview.truncated { "+" } else { "" };
        let triggers = preview.triggers.iter().take(LISTED).map(|one| {
            let href = format!("/mails/{}", one.mail);
            let named = one.incident_id.as_deref().unwrap_or_default();
            Kept::new(&one.labels, href, named, when(one.arrived_at))
        });
        let named = matchers
            .iter()
            .filter_map(|text| crate::label::Matcher::parse(text).ok());
        let unknown = named.map(|matcher| matcher.name().to_owned());
        let unknown = unknown.filter(|name| !known.contains(name));

        Self {
            open: open.collect(),
            triggers: triggers.collect(),
            count: format!("{number}{plus}"),
            rest: (number > LISTED).then(|| format!("and {} more", number - LISTED)),
            remarks: unknown
                .map(|name| format!("no alert has a label {name}"))
                .collect(),
        }
    }
}

#[derive(Serialize)]
struct NewData {
    form: Form,
    preview: Option<Keeps>,
}

/// What stands in the form.
#[derive(Debug, Default, Serialize)]
struct Form {
    matchers: String,
    duration: String,
    start: String,
    comment: String,
    key: String,
    /// What the yes to a preview sends: exactly what was previewed.
    sent: Vec<Hidden>,
    sentence: String,
    error: Option<String>,
}

impl Form {
    fn of(fields: &Fields) -> Self {
        let or = |name: &str, usual: &str| fields.get(name).unwrap_or(usual).to_owned();
        let form = Self {
            matchers: fields.text("matchers"),
            duration: or("duration", "2h"),
            start: fields.text("start"),
            comment: fields.text("comment"),
            key: fields.get("key").map_or_else(once::key, ToOwned::to_owned),
            ..Self::default()
        };
        let from = match form.start.as_str() {
            "" => String::new(),
            start => format!(" from {start}"),
        };
        Self {
            sent: form.pairs().map(Hidden::from).into(),
            sentence: format!("For {}{from}: {}", form.duration, form.comment),
            ..form
        }
    }

    fn pairs(&self) -> [(&'static str, &str); 5] {
        [
            ("matchers", &self.matchers),
            ("duration", &self.duration),
            ("start", &self.start),
            ("comment", &self.comment),
            ("key", &self.key),
        ]
    }

    /// What is sent again makes nothing new; what was changed in between does.
    fn mark(&self) -> String {
        let all = self.pairs().map(|(_, value)| value).join("\0");
        sha256_hex(all.as_bytes())
    }

    /// The silence that is asked for.
    fn silence(&self, now: Timestamp) -> Result<NewSilence, Problem> {
        let wrong = |what: &str, error: &dyn std::fmt::Display| {
            Problem::unprocessable(format!("{what}: {error}"))
        };
        let lines = self
            .matchers
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty());
        let length: Duration = self
            .duration
            .trim()
            .parse()
            .map_err(|error| wrong("For how long", &error))?;
        let starts_at = match self.start.trim() {
            "" => None,
            start => Some(
                start
                    .parse::<Timestamp>()
                    .map_err(|error| wrong("From", &error))?,
            ),
        };
        let ends_at = starts_at.unwrap_or(now).saturating_add(length.as_signed());

        Ok(NewSilence {
            matchers: lines.map(ToOwned::to_owned).collect(),
            starts_at,
            ends_at: ends_at.ok(),
            author: None,
            comment: self.comment.clone(),
        })
    }
}

async fn new(State(admin): State<Arc<Admin>>, who: Who, RawQuery(query): RawQuery) -> Answer {
    who.may_act()?;
    let fields = Fields::from_query(&query.unwrap_or_default());
    let form = Form::of(&fields);
    // What looks like an incident is shown at once.
    let shown = if form.matchers.is_empty() {
        Ok(None)
    } else {
        keeps(&admin, &who, &form).await.map(Some)
    };
    form.show(&admin, &who, shown).await
}

async fn keeps(admin: &Admin, who: &Who, form: &Form) -> Result<Keeps, Problem> {
    let now = admin.clock.now();
    let silence = form.silence(now)?;
    let preview = silences::preview(admin, who, &silence).await?;
    Ok(Keeps::new(
        &preview,
        &admin.workbench.label_names(),
        &silence.matchers,
        now,
    ))
}

async fn make(State(admin): State<Arc<Admin>>, who: Who, posted: Posted) -> Answer {
    let form = Form::of(&posted.fields);
    let work = async {
        let silence = form.silence(admin.clock.now())?;
        let made = silences::add(&admin, &who, &silence).await?;
        Ok(format!("/silences/{}", made.id))
    };
    match once::only(&admin, &who, &form.mark(), work).await {
        Ok(path) => Ok(done(&path, "silenced")),
        Err(problem) => form.show(&admin, &who, Err(problem)).await,
    }
}

impl Form {
    /// Shows the form, with what it would keep or what is wrong with it.
    async fn show(
        mut self,
        admin: &Admin,
        who: &Who,
        shown: Result<Option<Keeps>, Problem>,
    ) -> Answer {
        let preview = shown.unwrap_or_else(|problem| {
            self.error = Some(problem.detail);
            None
        });
        let data = NewData {
            form: self,
            preview,
        };
        View::new(admin, who, "Silences", &Fields::default())
            .page("silence_new.html", data)
            .await
    }
}

async fn ask_expire(
    State(admin): State<Arc<Admin>>,
    who: Who,
    Path(id): Path<SilenceId>,
) -> Answer {
    let silence = silences::show(&admin, id).await?;
    Question {
        title: format!("End silence {id} now?"),
        lines: vec![
            format!("{} ({})", silence.comment, silence.matchers.join(", ")),
            "What it held and is still on is told at once.".to_owned(),
        ],
        action: format!("/silences/{id}/expire"),
        button: "End it",
        back: "/silences".to_owned(),
        ..Question::default()
    }
    .ask(&View::new(&admin, &who, "Silences", &Fields::default()))
    .await
}

async fn expire(State(admin): State<Arc<Admin>>, who: Who, Path(id): Path<SilenceId>) -> Answer {
    silences::expire(&admin, &who, id).await?;
    Ok(done(&format!("/silences/{id}"), "expired"))
}
