//! The courses of incidents, from which objectives are measured.

use std::collections::HashMap;

use tokio_postgres::Row;

use super::{
    connection::Database,
    row::{at, json_at, time_at, word_at},
};
use crate::{
    label::Labels,
    store::{Course, Courses, StoreError, kept::micros},
};

const CHANGED: &str = "
SELECT id, incident_id, labels, phase, changed_at FROM incidents
WHERE kind = 'incident' AND changed_at >= $1 AND (changed_at > $1 OR id > $2)
ORDER BY changed_at, id LIMIT $3";

const OPEN: &str = "
SELECT id, incident_id, labels, phase, changed_at FROM incidents
WHERE kind = 'incident' AND phase = 'firing' AND changed_at < $1 AND id > $2 ORDER BY id LIMIT $3";

const SAID: &str = "SELECT incident, time, status FROM applied WHERE incident = ANY ($1)";

const HEARD: &str = r#"
SELECT incident, arrived_at, coalesce(strpos(labels, '"state":"resolved"'), 0) = 0 AS is_on
FROM mails
WHERE incident = ANY ($1) AND outcome IN
    ('opened', 'reopened', 'resolved', 'updated', 'changed', 'silenced', 'expired')
UNION ALL
SELECT mail_items.incident, arrived_at,
       coalesce(strpos(mail_items.labels, '"state":"resolved"'), 0) = 0
FROM mail_items JOIN mails ON mails.id = mail
WHERE mail_items.incident = ANY ($1) AND mail_items.outcome IN
    ('opened', 'reopened', 'resolved', 'updated', 'changed', 'silenced', 'expired')"#;

const ENDED: &str = "
SELECT deliveries.incident, min(created_at) AS ended_at
FROM deliveries JOIN incidents ON incidents.id = incident AND incidents.episode = deliveries.episode
WHERE incident = ANY ($1) AND action = 'resolve' GROUP BY 1";

pub(super) async fn courses(
    database: &Database,
    of: Courses,
    limit: u32,
) -> Result<Vec<Course>, StoreError> {
    let (statement, time, after) = match of {
        Courses::Changed { since, after } => (CHANGED, since, after),
        Courses::Open { before, after } => (OPEN, before, after),
    };
    let rows = database
        .query(statement, &[&micros(time), &after, &i64::from(limit)])
        .await?;
    let mut courses = rows.iter().map(course).collect::<Result<Vec<_>, _>>()?;

    let of_an_app = |course: &Course| {
        let app = course.labels.get("app_key");
        app.is_some_and(|app| !app.is_empty())
    };
    let numbers = |wanted: bool| {
        let found = courses.iter().filter(|one| of_an_app(one) == wanted);
        found.map(|one| one.number).collect::<Vec<_>>()
    };
    let (apps, others) = (numbers(true), numbers(false));
    let mut places: HashMap<i64, &mut Course> = courses
        .iter_mut()
        .map(|course| (course.number, course))
        .collect();

    for row in &ask(database, SAID, &apps).await? {
        if let Some(course) = places.get_mut(&at(row, "incident")?) {
            course
                .said
                .push((time_at(row, "time")?, at(row, "status")?));
        }
    }
    for row in &ask(database, HEARD, &others).await? {
        if let Some(course) = places.get_mut(&at(row, "incident")?) {
            let heard = (time_at(row, "arrived_at")?, at(row, "is_on")?);
            course.heard.push(heard);
        }
    }
    for row in &ask(database, ENDED, &others).await? {
        if let Some(course) = places.get_mut(&at(row, "incident")?) {
            course.ended_at = Some(time_at(row, "ended_at")?);
        }
    }

    Ok(courses)
}

/// Runs a query about incidents, or none at all if there are none to ask about.
async fn ask(
    database: &Database,
    statement: &'static str,
    incidents: &[i64],
) -> Result<Vec<Row>, StoreError> {
    if incidents.is_empty() {
        return Ok(Vec::new());
    }
    database.query(statement, &[&incidents]).await
}

fn course(row: &Row) -> Result<Course, StoreError> {
    Ok(Course {
        number: at(row, "id")?,
        incident_id: at(row, "incident_id")?,
        labels: json_at::<Labels>(row, "labels")?,
        phase: word_at(row, "phase")?,
        changed_at: time_at(row, "changed_at")?,
        said: Vec::new(),
        heard: Vec::new(),
        ended_at: None,
    })
}
