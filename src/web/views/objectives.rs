//! Objectives: how much of each error budget is spent.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::{sync::Mutex, task::spawn_blocking};
use utoipa::{IntoParams, ToSchema};

use crate::{
    label::Labels,
    objective::{Breach, Ladder, Span, measure, target},
    store::{Browse, Desk, StoreError},
    web::{Admin, list::List, problem::Problem, workbench::Objectives as Rules},
};

mod history;
mod sender;
mod table;

pub use history::History;
use history::Of;
pub use sender::{Recurring, Sender};
pub use table::{csv, file};

/// How far the cached history reaches beyond the windows that end now, so that looking back at a
/// window that ended last night is as quick.
const KEPT_FOR: SignedDuration = SignedDuration::from_hours(24);

/// The objectives to measure, and the end of the window.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct ObjectiveQuery {
    /// Only the objectives of this app.
    pub app: Option<String>,
    /// Only the objectives of this SLI.
    pub sli: Option<String>,
    /// The end of the window. The default is now.
    #[param(value_type = Option<String>, format = DateTime)]
    pub at: Option<Timestamp>,
}

/// The measurement of one SLI of an app against its objective.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Objective {
    pub app_key: String,
    pub app_name: String,
    pub sli: String,
    /// The objective, in percent.
    pub slo: f64,
    pub window_seconds: i64,
    pub breaches: u64,
    pub breach_seconds: i64,
    /// The part of `breach_seconds` that lies within announced maintenance.
    pub maintenance_seconds: i64,
    pub budget_seconds: f64,
    /// The fraction of the budget that is spent; 1 is all of it. Null if there is no budget and
    /// some time was spent.
    #[schema(required)]
    pub spent: Option<f64>,
    #[schema(required)]
    pub left: Option<f64>,
    /// The step of Atlassian's escalation to which the breaches lead.
    pub ladder: Ladder,
    /// The number of breaches that began in the window.
    pub recurrence_28d: u64,
    /// The periods in which the objective was breached, for drawing.
    pub spans: Vec<Period>,
    /// The parts of `spans` that lie within announced maintenance.
    pub announced: Vec<Period>,
}

/// A period of time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Period {
    #[schema(value_type = String, format = DateTime)]
    pub from: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    pub to: Timestamp,
}

/// Everything that is measured: by objective and by sender.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Measured {
    pub objectives: Vec<Objective>,
    pub senders: Vec<Sender>,
}

/// The sources for a measurement.
pub struct Measuring<'a> {
    pub browse: &'a dyn Browse,
    pub desk: &'a dyn Desk,
    pub rules: Rules,
    pub now: Timestamp,
}

/// Measures every objective that alerts were about.
pub async fn list(admin: &Admin, query: &ObjectiveQuery) -> Result<List<Objective>, Problem> {
    Ok(List {
        items: measured(admin, query).await?.objectives,
        next: None,
    })
}

/// Measures the incidents that were about no objective: how often and how long each sender's were
/// on.
pub async fn senders(admin: &Admin, query: &ObjectiveQuery) -> Result<List<Sender>, Problem> {
    Ok(List {
        items: measured(admin, query).await?.senders,
        next: None,
    })
}

/// Measures everything that alerts were about.
pub async fn measured(admin: &Admin, query: &ObjectiveQuery) -> Result<Measured, Problem> {
    let measuring = Measuring {
        browse: &*admin.browse,
        desk: &*admin.desk,
        rules: admin.workbench.objectives(),
        now: admin.clock.now(),
    };
    Ok(measuring.measure(&admin.history, query).await?)
}

impl Measuring<'_> {
    /// Brings the cached history up to date, and measures from it.
    pub async fn measure(
        self,
        kept: &Arc<Mutex<History>>,
        query: &ObjectiveQuery,
    ) -> Result<Measured, StoreError> {
        let at = query.at.unwrap_or(self.now);
        let a_while_ago = back(self.now, KEPT_FOR);
        // A time too long ago is read into a history of its own, which is not kept.
        let history = if at < a_while_ago {
            Arc::default()
        } else {
            Arc::clone(kept)
        };

        let windows = self.rules.settings.iter().map(|one| one.window);
        let longest = windows.fold(target(&[], &Labels::new()).1, Ord::max);
        let since = back(at.min(a_while_ago), longest.as_signed());
        let mut history = history.lock_owned().await;
        history
            .follow(
                self.browse,
                self.desk,
                &self.rules.statuses,
                (since, self.now),
            )
            .await?;

        // With many incidents this takes a while, during which other requests are served.
        let (rules, query) = (self.rules, query.clone());
        let measured = spawn_blocking(move || Measured::of(&history, &rules, &query, at));
        measured.await.map_err(|_| StoreError::Panicked)
    }
}

fn back(from: Timestamp, by: SignedDuration) -> Timestamp {
    from.saturating_sub(by).unwrap_or(Timestamp::MIN)
}

impl Measured {
    fn of(history: &History, rules: &Rules, query: &ObjectiveQuery, at: Timestamp) -> Self {
        let mut found = Self::default();
        for (series, incidents) in history.by_series() {
            match &series.of {
                Of::Objective { app_key, sli } if query.wants(app_key, sli) => {
                    let breaches = incidents.iter().flat_map(|told| told.breaches(at));
                    let breaches: Vec<_> = breaches.collect();
                    let one = objective((app_key, sli), &series.labels, &breaches, rules, at);
                    found.objectives.push(one);
                }
                Of::Objective { .. } => {}
                Of::Sender { profile } => {
                    found.senders.extend(Sender::of(profile, &incidents, at));
                }
            }
        }
        found
    }
}

fn objective(
    (app_key, sli): (&str, &str),
    labels: &Labels,
    breaches: &[Breach],
    rules: &Rules,
    at: Timestamp,
) -> Objective {
    let (slo, window) = target(&rules.settings, labels);
    let found = measure(breaches, slo, window, at);
    Objective {
        app_name: labels.get("app_name").cloned().unwrap_or_default(),
        app_key: app_key.to_owned(),
        sli: sli.to_owned(),
        slo: (slo * 1e8).round() / 1e6,
        window_seconds: window.as_signed().as_secs(),
        breaches: found.breaches,
        breach_seconds: found.breach_seconds,
        maintenance_seconds: found.maintenance_seconds,
        budget_seconds: found.budget_seconds,
        spent: found.spent,
        left: found.left,
        ladder: found.ladder,
        recurrence_28d: found.recurrence,
        spans: found.spans.into_iter().map(Period::from).collect(),
        announced: found.announced.into_iter().map(Period::from).collect(),
    }
}

impl ObjectiveQuery {
    fn wants(&self, app_key: &str, sli: &str) -> bool {
        self.app.as_ref().is_none_or(|app| app == app_key)
            && self.sli.as_ref().is_none_or(|wanted| wanted == sli)
    }
}

impl From<Span> for Period {
    fn from(Span { from, to }: Span) -> Self {
        Self { from, to }
    }
}
