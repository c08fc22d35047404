//! A form that is sent twice makes one thing: a button that is pressed again, or a page that is
//! loaded again.

use crate::{
    store::{Answer, Answered},
    web::{Admin, problem::Problem, sign_in::cookie, who::Who},
};

/// What a form is known by when it comes again.
pub fn key() -> String {
    cookie::new_key().unwrap_or_default()
}

/// Does it the first time, and gives what came of that every time: where its result is.
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
                "this is being done already: look at the list in a moment",
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
