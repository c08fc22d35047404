//! `alertbridge silences`: planned maintenance, as Alertmanager's `amtool silence` has it.

use std::io::{self, Write};

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{
    cli::{
        asker,
        plain::{self, plain},
        table,
    },
    label,
    settings::Duration,
    silence::{Plan, PlanError, Silence, SilenceId},
    store::Store,
};

/// How long a silence lasts where nobody says: amtool's hour.
const AN_HOUR: Duration = Duration::from_secs(3600);

/// What `silences add` is asked.
#[derive(Debug)]
pub struct Wanted<'a> {
    pub matchers: &'a [String],
    /// None: now.
    pub start: Option<Timestamp>,
    /// None: `duration` after the start.
    pub end: Option<Timestamp>,
    pub duration: Option<Duration>,
    pub comment: &'a str,
    /// None: whoever asks.
    pub author: Option<String>,
}

impl Wanted<'_> {
    pub fn plan(self, now: Timestamp) -> Result<Plan, PlanError> {
        let start = self.start.unwrap_or(now);
        let after = || {
            start
                .saturating_add(self.duration.unwrap_or(AN_HOUR).as_signed())
                .unwrap_or(Timestamp::MAX)
        };
        let end = self.end.unwrap_or_else(after);
        Plan::new(
            self.matchers,
            (start, end),
            &self.author.unwrap_or_else(asker::user),
            self.comment,
            now,
        )
    }
}

/// Adds one, and prints its number, for a script to expire it by; what a person should know goes to
/// `notes`.
pub async fn add(
    store: &dyn Store,
    plan: Plan,
    now: Timestamp,
    json: bool,
    out: &mut impl Write,
    notes: &mut impl Write,
) -> anyhow::Result<()> {
    for name in plan
        .label_names()
        .filter(|name| !label::NAMES.contains(&name.as_str()))
    {
        writeln!(
            notes,
            "note: no alert has a label `{}`; there are {}",
            plain(&name),
            label::NAMES.join(", ")
        )?;
    }
    let silence = store.add_silence(plan, now).await?;
    if json {
        return Ok(writeln!(out, "{}", plain::json(&object(&silence, now))?)?);
    }
    writeln!(out, "{}", silence.id)?;
    let Silence {
        id,
        starts_at,
        ends_at,
        ..
    } = silence;
    let matchers = silence.matchers.join(", ");
    Ok(writeln!(
        notes,
        "silence {id} from {starts_at:.0} until {ends_at:.0}: {{{}}}",
        plain(&matchers)
    )?)
}

/// Lists those that are active or yet to begin, or those that are over.
pub async fn list(
    store: &dyn Store,
    expired: bool,
    limit: u32,
    now: Timestamp,
    json: bool,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let silences = store.silences(expired, now, limit).await?;
    if json {
        let all: Vec<_> = silences
            .iter()
            .map(|silence| object(silence, now))
            .collect();
        return Ok(writeln!(out, "{}", plain::json(&all)?)?);
    }
    let rows = silences.into_iter().map(|silence| {
        vec![
            silence.id.to_string(),
            silence.state(now).as_str().to_owned(),
            silence.starts_at.strftime("%F %T").to_string(),
            silence.ends_at.strftime("%F %T").to_string(),
            silence.matchers.join(", "),
            silence.author,
            silence.comment,
        ]
    });
    let heading = [
        "ID",
        "STATE",
        "STARTS (UTC)",
        "ENDS (UTC)",
        "MATCHERS",
        "AUTHOR",
        "COMMENT",
    ];
    Ok(writeln!(out, "{}", table::of(&heading, rows))?)
}

/// Ends them now.
pub async fn expire(
    store: &dyn Store,
    ids: Vec<SilenceId>,
    now: Timestamp,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    store.expire_silences(ids.clone(), now).await?;
    ids.iter()
        .try_for_each(|id| writeln!(out, "silence {id} is expired"))
        .map_err(io::Error::into)
}

fn object(silence: &Silence, now: Timestamp) -> Value {
    let Silence {
        id,
        matchers,
        starts_at,
        ends_at,
        author,
        comment,
        created_at,
    } = silence;
    json!({
        "id": id,
        "state": silence.state(now).as_str(),
        "matchers": matchers,
        "starts_at": starts_at,
        "ends_at": ends_at,
        "author": author,
        "comment": comment,
        "created_at": created_at,
    })
}
