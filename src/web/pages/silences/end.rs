//! A silence ended before its time.

use std::sync::Arc;

use axum::extract::State;

use crate::{
    silence::SilenceId,
    web::{
        Admin,
        ask::Path,
        form::Fields,
        pages::{Answer, confirm::Question, done, frame::View},
        views::silences,
        who::Who,
    },
};

pub async fn ask_expire(
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

pub async fn expire(
    State(admin): State<Arc<Admin>>,
    who: Who,
    Path(id): Path<SilenceId>,
) -> Answer {
    silences::expire(&admin, &who, id).await?;
    Ok(done(&format!("/silences/{id}"), "expired"))
}
