//! Ending a silence early.

use std::sync::Arc;

use axum::extract::State;

use crate::{
    silence::SilenceId,
    web::{
        Admin,
        ask::Path,
        form::Fields,
        pages::{Answer, confirm::Question, done, frame::View},
        views::silences::{self, SilenceState},
        who::Who,
    },
};

pub async fn ask_expire(
    State(admin): State<Arc<Admin>>,
    who: Who,
    Path(id): Path<SilenceId>,
) -> Answer {
    let view = View::new(&admin, &who, "Silences", &Fields::default());
    let silence = silences::show(&admin, id).await?;
    let what = format!("{} ({})", silence.comment, silence.matchers.join(", "));
    let (title, follows, button) = match silence.state {
        SilenceState::Active => (
            format!("End silence {id} now?"),
            "Held incidents that are still open page at once.",
            "End it",
        ),
        SilenceState::Pending => (
            format!("Cancel silence {id}?"),
            "It has not begun, and will never hold anything.",
            "Cancel it",
        ),
        SilenceState::Expired => {
            let title = format!("Silence {id} has already ended");
            let back = format!("/silences/{id}");
            return Question::moot(title, vec![what], back).ask(&view).await;
        }
    };
    Question {
        title,
        lines: vec![what, follows.to_owned()],
        action: format!("/silences/{id}/expire"),
        button,
        back: "/silences".to_owned(),
        ..Question::default()
    }
    .ask(&view)
    .await
}

pub async fn expire(
    State(admin): State<Arc<Admin>>,
    who: Who,
    Path(id): Path<SilenceId>,
) -> Answer {
    let before = silences::show(&admin, id).await?;
    silences::expire(&admin, &who, id).await?;
    let word = match before.state {
        SilenceState::Pending => "called-off",
        SilenceState::Active | SilenceState::Expired => "expired",
    };
    Ok(done(&format!("/silences/{id}"), word))
}
