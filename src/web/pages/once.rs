//! Makes a form act once, even if its button is pressed again or its page is reloaded.

use crate::{
    store::{Answer, Answered},
    web::{Admin, problem::Problem, sign_in::cookie, who::Who},
};

/// Generates the key by which a repeated form is recognised.
pub fn key() -> String {
    cookie::new_key().unwrap_or_default()
}

/// Runs `work` the first time, and returns the path of its result every time.
pub async fn only(
    admin: &Admin,
    who: &Who,
    key: &str,
    work: impl Future<Output = Result<String, Problem>>,
) -> Result<String, Problem> {
    let key = format!("page {} {key}", who.name);
    let asked = admin
        .ledger
        .answered(key.clone(), "form".to_owned(), admin.clock.now());
    match asked.await? {
        Answered::NotYet => {}
        Answered::Given(answer) => return Ok(answer.body),
        Answered::UnderWay | Answered::Another => {
            return Err(Problem::new(
                axum::http::StatusCode::CONFLICT,
                "this is already in progress: look at the list in a moment",
            ));
        }
    }

    let made = work.await;
    let answer = made.as_ref().ok().map(|path| Answer {
        status: 303,
        content_type: String::new(),
        body: path.clone(),
    });
    admin.ledger.keep_answer(key, answer).await?;

    made
}
