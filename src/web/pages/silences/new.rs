//! A new silence. What it would keep is shown before it is added.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use serde::Serialize;

use super::{form::Form, keeps::Keeps};
use crate::web::{
    Admin,
    form::{Fields, Posted},
    pages::{Answer, done, frame::View, once},
    problem::Problem,
    views::silences::{self, ALL, PATIENCE},
    who::Who,
};

#[derive(Serialize)]
struct NewData {
    form: Form,
    preview: Option<Keeps>,
}

pub async fn new(State(admin): State<Arc<Admin>>, who: Who, RawQuery(query): RawQuery) -> Answer {
    who.may_act()?;
    let fields = Fields::from_query(&query.unwrap_or_default());
    let form = Form::of(&fields);
    // A form that comes with matchers, such as those for a similar incident, is previewed at once.
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
    let patience = if form.all { ALL } else { PATIENCE };
    let preview = silences::preview(admin, who, &silence, patience).await?;
    Ok(Keeps::new(&preview, form, now))
}

pub async fn make(State(admin): State<Arc<Admin>>, who: Who, posted: Posted) -> Answer {
    let form = Form::of(&posted.fields);
    let work = async {
        let silence = form.silence(admin.clock.now())?;
        let made = silences::add(&admin, &who, &silence).await?;
        Ok(format!("/silences/{}", made.id))
    };
    let made = once::only(&admin, &who, &form.mark(), work).await;
    let now = admin.clock.now();
    let starts_at = form.silence(now).ok().and_then(|silence| silence.starts_at);
    let said = match starts_at {
        Some(at) if at > now => "planned",
        _ => "silenced",
    };
    match made {
        Ok(path) => Ok(done(&path, said)),
        Err(problem) => form.show(&admin, &who, Err(problem)).await,
    }
}

impl Form {
    /// Shows the form, with a preview or an error.
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
