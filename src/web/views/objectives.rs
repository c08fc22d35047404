//! Objectives: what of each error budget is spent.

use std::collections::BTreeMap;

use axum::{
    http::header::{CONTENT_DISPOSITION, CONTENT_TYPE},
    response::{IntoResponse as _, Response},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    incident::Signal,
    label::Labels,
    objective::{Breach, Ladder, Settings, Span, breaches, measure, target},
    silence::Silence,
    store::{Browse, Desk, SaidRow, StoreError},
    web::{Admin, list::List, problem::Problem},
};

/// Which objectives, and when.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct ObjectiveQuery {
    /// Only those of this app.
    pub app: Option<String>,
    /// Only those of this SLI.
    pub sli: Option<String>,
    /// The end of the window; now, unless given.
    #[param(value_type = Option<String>, format = DateTime)]
    pub at: Option<Timestamp>,
}

/// How one app's SLI met its objective.
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
    /// The part of it that fell into announced maintenance.
    pub maintenance_seconds: i64,
    pub budget_seconds: f64,
    /// The part of the budget that is spent: 1 is all of it. Null where there is no budget.
    #[schema(required)]
    pub spent: Option<f64>,
    #[schema(required)]
    pub left: Option<f64>,
    /// What the breaches lead to.
    pub ladder: Ladder,
    /// Breaches that began in the window.
    pub recurrence_28d: u64,
    /// When it was breached, to be drawn.
    pub spans: Vec<Period>,
    /// The parts of these times that fell into announced maintenance.
    pub announced: Vec<Period>,
}

/// A time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Period {
    #[schema(value_type = String, format = DateTime)]
    pub from: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    pub to: Timestamp,
}

/// What is asked of a store to measure.
pub struct Measuring<'a> {
    pub browse: &'a dyn Browse,
    pub desk: &'a dyn Desk,
    pub settings: &'a [Settings],
    /// What a status means.
    pub signal: &'a (dyn Fn(&str) -> Signal + Send + Sync),
    pub now: Timestamp,
}

/// Measures every objective that alerts were about.
pub async fn list(admin: &Admin, query: &ObjectiveQuery) -> Result<List<Objective>, Problem> {
    let rules = admin.workbench.objectives();
    let signal = |status: &str| rules.statuses.signal(status);
    let measuring = Measuring {
        browse: &*admin.browse,
        desk: &*admin.desk,
        settings: &rules.settings,
        signal: &signal,
        now: admin.clock.now(),
    };
    Ok(List {
        items: measuring.measure(query).await?,
        next: None,
    })
}

impl Measuring<'_> {
    pub async fn measure(&self, query: &ObjectiveQuery) -> Result<Vec<Objective>, StoreError> {
        let at = query.at.unwrap_or(self.now);
        let longest = self.settings.iter().map(|one| one.window);
        let longest = longest.fold(target(&[], &Labels::new()).1, Ord::max);
        let since = at.saturating_sub(longest.as_signed());

        let said = self.browse.said(since.unwrap_or(Timestamp::MIN)).await?;
        let mut silences = self.desk.silences(true, self.now, u32::MAX).await?;
        silences.extend(self.desk.silences(false, self.now, u32::MAX).await?);

        let mut by_objective: BTreeMap<(String, String), (Labels, Vec<Breach>)> = BTreeMap::new();
        for incident in by_incident(said) {
            let label = |name: &str| incident.labels.get(name).cloned().unwrap_or_default();
            let key = (label("app_key"), label("sli"));
            let wanted = query.app.as_ref().is_none_or(|app| *app == key.0)
                && query.sli.as_ref().is_none_or(|sli| *sli == key.1);
            if key.0.is_empty() || !wanted {
                continue;
            }

            let maintenance = periods(&silences, &incident.labels);
            let said = incident.said.iter().filter(|heard| heard.time <= at);
            let said = said.map(|heard| (heard.time, self.is_on(&heard.status)));
            let found = breaches(said.collect(), &maintenance);
            let objective = by_objective.entry(key).or_default();
            objective.0 = incident.labels;
            objective.1.extend(found);
        }

        let measured = by_objective
            .into_iter()
            .map(|((app_key, sli), (labels, breaches))| {
                self.objective(app_key, sli, &labels, &breaches, at)
            });

        Ok(measured.collect())
    }

    fn is_on(&self, status: &str) -> bool {
        status != BY_HAND && (self.signal)(status) != Signal::Resolve
    }

    fn objective(
        &self,
        app_key: String,
        sli: String,
        labels: &Labels,
        breaches: &[Breach],
        at: Timestamp,
    ) -> Objective {
        let (slo, window) = target(self.settings, labels);
        let found = measure(breaches, slo, window, at);
        Objective {
            app_name: labels.get("app_name").cloned().unwrap_or_default(),
            app_key,
            sli,
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
}

/// The status of what a person has closed.
const BY_HAND: &str = "RESOLVED_BY_HAND";

impl From<Span> for Period {
    fn from(Span { from, to }: Span) -> Self {
        Self { from, to }
    }
}

/// An incident, and all that was said of it.
struct Told {
    labels: Labels,
    said: Vec<SaidRow>,
}

/// The rows come incident by incident.
fn by_incident(rows: Vec<SaidRow>) -> Vec<Told> {
    let mut incidents: Vec<(i64, Told)> = Vec::new();
    for mut row in rows {
        match incidents.last_mut() {
            Some((number, told)) if *number == row.incident => told.said.push(row),
            _ => {
                let labels = row.labels.take().unwrap_or_default();
                let told = Told {
                    labels,
                    said: Vec::new(),
                };
                incidents.push((row.incident, told));
                if let Some((_, told)) = incidents.last_mut() {
                    told.said.push(row);
                }
            }
        }
    }
    incidents.into_iter().map(|(_, told)| told).collect()
}

/// When silences that cover an alert were, or will be, active.
fn periods(silences: &[Silence], labels: &Labels) -> Vec<Span> {
    let covering = silences.iter().filter(|silence| silence.covers(labels));
    let span = |silence: &Silence| Span {
        from: silence.starts_at,
        to: silence.ends_at,
    };
    covering.map(span).collect()
}

/// The table as a file to keep.
pub fn file(objectives: &[Objective]) -> Response {
    let headers = [
        (CONTENT_TYPE, "text/csv; charset=utf-8"),
        (
            CONTENT_DISPOSITION,
            "attachment; filename=\"objectives.csv\"",
        ),
    ];
    (headers, csv(objectives)).into_response()
}

/// A table that spreadsheets read (RFC 4180).
pub fn csv(objectives: &[Objective]) -> String {
    let mut csv = String::from(
        "app_key,sli,slo,breaches,breach_seconds,maintenance_seconds,budget_seconds,spent,left,\
         ladder,recurrence_28d\r\n",
    );
    for one in objectives {
        let number = |value: Option<f64>| value.map_or_else(String::new, |value| value.to_string());
        let cells = [
            cell(&one.app_key),
            cell(&one.sli),
            one.slo.to_string(),
            one.breaches.to_string(),
            one.breach_seconds.to_string(),
            one.maintenance_seconds.to_string(),
            one.budget_seconds.to_string(),
            number(one.spent),
            number(one.left),
            one.ladder.as_str().to_owned(),
            one.recurrence_28d.to_string(),
        ];
        csv.push_str(&cells.join(","));
        csv.push_str("\r\n");
    }
    csv
}

/// A text as a cell. What a mail wrote is no formula.
fn cell(text: &str) -> String {
    let text = if text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        format!("'{text}")
    } else {
        text.to_owned()
    };
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::cell;

    #[test]
    fn what_a_mail_wrote_is_one_cell_and_no_formula() {
        assert_eq!(cell("com.example"), "com.example");
        assert_eq!(cell("a,\"b\""), "\"a,\"\"b\"\"\"");
        assert_eq!(cell("=1+1"), "'=1+1");
        assert_eq!(cell("@x,y"), "\"'@x,y\"");
    }
}
