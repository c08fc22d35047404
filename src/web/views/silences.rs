//! Silences: planned maintenance, and a preview of what it would keep from being told.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    incident::Phase,
    label::Labels,
    message::Outcome,
    silence::{Plan, Silence as Kept, SilenceId, State},
    store::{Browse, IncidentFilter, MailFilter, MailRow, Span},
    web::{
        Admin,
        ask::unfit,
        list::{List, Walk, page},
        problem::Problem,
        views::named::no_label,
        who::Who,
    },
};

/// A silence, as `silences list --json` prints it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Silence {
    pub id: SilenceId,
    pub state: SilenceState,
    pub matchers: Vec<String>,
    #[schema(value_type = String, format = DateTime)]
    pub starts_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    pub ends_at: Timestamp,
    pub author: String,
    pub comment: String,
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

/// The state of a silence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum SilenceState {
    Pending,
    Active,
    Expired,
}

impl From<State> for SilenceState {
    fn from(state: State) -> Self {
        match state {
            State::Pending => Self::Pending,
            State::Active => Self::Active,
            State::Expired => Self::Expired,
        }
    }
}

impl Silence {
    pub fn new(silence: Kept, now: Timestamp) -> Self {
        Self {
            id: silence.id,
            state: silence.state(now).into(),
            matchers: silence.matchers,
            starts_at: silence.starts_at,
            ends_at: silence.ends_at,
            author: silence.author,
            comment: silence.comment,
            created_at: silence.created_at,
        }
    }
}

impl From<Silence> for Kept {
    fn from(silence: Silence) -> Self {
        Self {
            id: silence.id,
            matchers: silence.matchers,
            starts_at: silence.starts_at,
            ends_at: silence.ends_at,
            author: silence.author,
            comment: silence.comment,
            created_at: silence.created_at,
        }
    }
}

impl From<Plan> for NewSilence {
    fn from(plan: Plan) -> Self {
        Self {
            matchers: plan.matchers,
            starts_at: Some(plan.starts_at),
            ends_at: Some(plan.ends_at),
            author: Some(plan.author),
            comment: plan.comment,
        }
    }
}

/// The filter of the list of silences.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct SilenceQuery {
    /// Only silences in this state: `pending`, `active` or `expired`.
    pub state: Option<String>,
}

/// A silence to add. An object that `silences list --json` prints is accepted as well.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct NewSilence {
    pub matchers: Vec<String>,
    /// The default is now.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub starts_at: Option<Timestamp>,
    /// The default is an hour after the start.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ends_at: Option<Timestamp>,
    /// The default is the name of the caller.
    #[serde(default)]
    pub author: Option<String>,
    #[serde(default)]
    pub comment: String,
}

/// The incidents and triggers that a silence would cover.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Preview {
    /// The open incidents that it covers.
    pub incidents: Vec<Covered>,
    /// The triggers of the last 28 days that it would have covered.
    pub triggers: Vec<CoveredTrigger>,
    /// Whether there are more than are listed, or the search did not reach the end of the 28 days.
    pub truncated: bool,
    /// The time from which on the triggers were searched.
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
    /// Probable mistakes, such as a matcher for a label that no alert has.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// An open incident that a silence would cover.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Covered {
    pub incident_id: String,
    pub severity: String,
    #[schema(value_type = String, format = DateTime)]
    pub opened_at: Timestamp,
    #[schema(value_type = BTreeMap<String, String>)]
    pub labels: Labels,
}

/// A trigger that a silence would have covered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CoveredTrigger {
    pub mail: i64,
    pub incident_id: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    pub arrived_at: Timestamp,
    pub outcome: Outcome,
    #[schema(value_type = BTreeMap<String, String>)]
    pub labels: Labels,
}

/// The period before the present in which a preview searches triggers.
pub const WINDOW: SignedDuration = SignedDuration::from_hours(28 * 24);
/// The maximum number of rows of each kind that a preview shows.
const SHOWN: usize = 1000;
/// How long a preview searches for each kind, unless it is to search everything.
pub const PATIENCE: Duration = Duration::from_millis(40);
/// How long a preview that is to search everything may take, which is no longer than anybody waits.
pub const ALL: Duration = Duration::from_secs(10);

/// Lists silences, the newest first.
pub async fn list(
    admin: &Admin,
    query: &SilenceQuery,
    walk: &Walk,
) -> Result<List<Silence>, Problem> {
    let state = match query.state.as_deref() {
        None | Some("") => None,
        Some("pending") => Some(SilenceState::Pending),
        Some("active") => Some(SilenceState::Active),
        Some("expired") => Some(SilenceState::Expired),
        Some(other) => {
            return Err(unfit("state", "pending, active or expired", other));
        }
    };

    let now = admin.clock.now();
    let mut found = page("silences", walk, |span| admin.browse.browse_silences(span))
        .await?
        .map(|silence| Silence::new(silence, now));
    found
        .items
        .retain(|silence| state.is_none_or(|state| silence.state == state));

    Ok(found)
}

/// Returns one silence.
pub async fn show(admin: &Admin, id: SilenceId) -> Result<Silence, Problem> {
    let found = admin.browse.silence(id).await?;
    let found = found.ok_or_else(|| Problem::not_found(format!("there is no silence {id}")))?;
    Ok(Silence::new(found, admin.clock.now()))
}

impl NewSilence {
    fn plan(&self, who: &Who, now: Timestamp) -> Result<Plan, Problem> {
        let starts_at = self.starts_at.unwrap_or(now);
        let an_hour_later = starts_at.saturating_add(SignedDuration::from_hours(1));
        let ends_at = self
            .ends_at
            .unwrap_or_else(|| an_hour_later.unwrap_or(Timestamp::MAX));
        let author = self.author.as_deref().filter(|author| !author.is_empty());

        Plan::new(
            &self.matchers,
            (starts_at, ends_at),
            author.unwrap_or(&who.name),
            &self.comment,
            now,
        )
        .map_err(|error| Problem::unprocessable(error.to_string()))
    }
}

/// Adds a silence.
pub async fn add(admin: &Admin, who: &Who, new: &NewSilence) -> Result<Silence, Problem> {
    let now = admin.clock.now();
    let plan = new.plan(who, now)?;
    let subject = format!("{{{}}}", new.matchers.join(", "));
    let silence = super::recorded(admin, who, "silences.add", subject, async {
        Ok(admin.desk.add_silence(plan, now).await?)
    })
    .await?;
    Ok(Silence::new(silence, now))
}

/// Ends a silence now.
pub async fn expire(admin: &Admin, who: &Who, id: SilenceId) -> Result<Silence, Problem> {
    super::recorded(admin, who, "silences.expire", id.to_string(), async {
        Ok(admin
            .desk
            .expire_silences(vec![id], admin.clock.now())
            .await?)
    })
    .await?;
    show(admin, id).await
}

/// Previews what a silence would keep from being told, and would have kept, as far as can be found
/// within `patience`.
pub async fn preview(
    admin: &Admin,
    who: &Who,
    new: &NewSilence,
    patience: Duration,
) -> Result<Preview, Problem> {
    let now = admin.clock.now();
    let comment = if new.comment.trim().is_empty() {
        "a preview".to_owned()
    } else {
        new.comment.clone()
    };
    let plan = NewSilence {
        comment,
        ..new.clone()
    }
    .plan(who, now)?;
    let known = admin.workbench.label_names();
    preview_of(&*admin.browse, (&plan, &known), now, patience).await
}

/// As [`preview`], over a store. `known` lists the labels that alerts have.
pub async fn preview_of(
    browse: &dyn Browse,
    (plan, known): (&Plan, &[String]),
    now: Timestamp,
    patience: Duration,
) -> Result<Preview, Problem> {
    let silence = plan.as_if_added(now);
    let since = now.saturating_sub(WINDOW).unwrap_or(Timestamp::MIN);
    let mut preview = Preview {
        incidents: Vec::new(),
        triggers: Vec::new(),
        truncated: false,
        since,
        warnings: plan
            .label_names()
            .filter_map(|name| no_label(&name, known))
            .collect(),
    };

    look_at_incidents(browse, &silence, patience, &mut preview).await?;
    look_at_triggers(browse, &silence, patience, &mut preview).await?;

    Ok(preview)
}

/// Adds the open incidents that a silence covers, as far as they are found within `patience`.
async fn look_at_incidents(
    browse: &dyn Browse,
    silence: &Kept,
    patience: Duration,
    preview: &mut Preview,
) -> Result<(), Problem> {
    let open = IncidentFilter {
        phase: Some(Phase::Firing),
        ..IncidentFilter::default()
    };

    let (mut span, begun) = (Span::first(1000), Instant::now());
    loop {
        let stretch = browse.browse_incidents(open.clone(), span).await?;
        for (_, row) in stretch.items {
            if silence.covers(&row.labels) {
                preview.incidents.push(Covered {
                    severity: row.labels.get("severity").cloned().unwrap_or_default(),
                    incident_id: row.incident_id,
                    opened_at: row.opened_at,
                    labels: row.labels,
                });
            }
        }

        let cut = preview.incidents.len() >= SHOWN || begun.elapsed() > patience;
        match stretch.next {
            Some(next) if !cut => span.before = next,
            next => {
                preview.truncated |= next.is_some();
                return Ok(());
            }
        }
    }
}

/// Adds the triggers since `preview.since` that a silence covers, as far as they are found within
/// `patience`.
async fn look_at_triggers(
    browse: &dyn Browse,
    silence: &Kept,
    patience: Duration,
    preview: &mut Preview,
) -> Result<(), Problem> {
    let since = preview.since;
    let is_covered = |row: &MailRow| {
        let firing = row
            .labels
            .get("state")
            .is_none_or(|state| state != "resolved");
        let told = firing && row.outcome.notifies();
        told && row.arrived_at >= since && silence.covers(&row.labels)
    };

    let (mut span, begun) = (Span::first(1000), Instant::now());
    loop {
        let stretch = browse.browse_mails(MailFilter::default(), span).await?;
        let last = stretch.items.last().map(|row| row.arrived_at);
        let old = last.is_some_and(|last| last < since);

        let covered = stretch.items.into_iter().filter(is_covered);
        preview.triggers.extend(covered.map(|row| CoveredTrigger {
            mail: row.id,
            incident_id: row.incident_id,
            arrived_at: row.arrived_at,
            outcome: row.outcome,
            labels: row.labels,
        }));

        let cut = preview.triggers.len() >= SHOWN || begun.elapsed() > patience;
        match stretch.next {
            Some(next) if !cut && !old => span.before = next,
            Some(_) if !old => {
                preview.truncated = true;
                preview.since = last.unwrap_or(since);
                return Ok(());
            }
            _ => return Ok(()),
        }
    }
}
