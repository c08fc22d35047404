//! The history of every incident, in a few bytes each. It is updated with what has changed since
//! the last look, because reading all incidents anew takes seconds if there are many.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};

use crate::{
    incident::{Phase, RESOLVED_BY_HAND, Signal, Statuses},
    label::{Labels, alert_name},
    objective::{Breach, Span, breaches},
    silence::Silence,
    store::{Browse, Course, Courses, Desk, StoreError},
};

/// How many incidents are read at a time.
const CHUNK: u32 = 2_000;
/// A decision made before the last look may have been committed after it, so every look reads the
/// changes of this span again.
const OVERLAP: SignedDuration = SignedDuration::from_secs(5);
/// The most by which the clocks of replicas may differ; in practice they differ by far less. After
/// a flood it takes a second to read the changes of such a span, so it is read again only once a
/// minute.
const CLOCKS_DIFFER: SignedDuration = SignedDuration::from_mins(5);
const LOOKED_BACK: SignedDuration = SignedDuration::from_mins(1);
/// How often outdated incidents are dropped.
const SWEEP: SignedDuration = SignedDuration::from_hours(1);

/// The history of all incidents since a time.
#[derive(Debug, Default)]
pub struct History {
    since: Timestamp,
    /// The time up to which it was read; `None` before the first look is done.
    read_to: Option<Timestamp>,
    /// When it was last read for changes by replicas whose clocks are behind.
    looked_back_at: Timestamp,
    swept_at: Timestamp,
    /// The statuses and silences on which the stored history depends.
    statuses: Statuses,
    silences: Vec<Silence>,
    series: Vec<Series>,
    places: HashMap<Of, usize>,
    incidents: HashMap<i64, Told>,
}

/// The key by which incidents are measured together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Of {
    Objective { app_key: String, sli: String },
    Sender { profile: String },
}

/// The incidents that are measured together.
#[derive(Debug)]
pub struct Series {
    pub of: Of,
    /// The labels of the newest incident in the series.
    pub labels: Labels,
    newest: i64,
}

/// The history of one incident.
#[derive(Debug)]
pub struct Told {
    series: usize,
    changed_at: Timestamp,
    /// The incident's name. It is not kept for an objective, because nothing asks for it there.
    pub name: Option<Box<Name>>,
    /// The times at which it was said to be on (`true`) or over (`false`).
    said: Box<[(Timestamp, bool)]>,
    /// The times at which silences that cover it were active, or will be.
    silenced: Box<[Span]>,
}

/// The id and the title of an incident.
#[derive(Debug)]
pub struct Name {
    pub id: String,
    pub title: String,
}

impl Told {
    /// Returns the times when the incident was on, as far as was known at `at`.
    pub fn breaches(&self, at: Timestamp) -> Vec<Breach> {
        let said = self.said.iter().filter(|(time, _)| *time <= at);
        breaches(said.copied().collect(), &self.silenced)
    }

    fn is_on(&self) -> bool {
        let last = self.said.iter().max_by_key(|(time, on)| (*time, !on));
        last.is_some_and(|(_, on)| *on)
    }
}

impl History {
    /// Returns each series with its incidents.
    pub fn by_series(&self) -> Vec<(&Series, Vec<&Told>)> {
        let mut found: Vec<_> = self.series.iter().map(|one| (one, Vec::new())).collect();
        for told in self.incidents.values() {
            if let Some((_, its)) = found.get_mut(told.series) {
                its.push(told);
            }
        }
        found.retain(|(_, its)| !its.is_empty());
        found.sort_by(|(one, _), (other, _)| one.of.cmp(&other.of));
        found
    }

    /// Reads what has changed since the last look. Reads everything if the stored history does not
    /// reach back far enough, or depends on statuses or silences that have changed.
    pub async fn follow(
        &mut self,
        browse: &dyn Browse,
        desk: &dyn Desk,
        statuses: &Statuses,
        (since, now): (Timestamp, Timestamp),
    ) -> Result<(), StoreError> {
        let mut silences = desk.silences(true, now, u32::MAX).await?;
        silences.extend(desk.silences(false, now, u32::MAX).await?);
        silences.sort_by_key(|silence| silence.id);

        let is_of_use = self.read_to.is_some()
            && self.since <= since
            && self.statuses == *statuses
            && self.silences == silences;
        if !is_of_use {
            *self = Self {
                since,
                looked_back_at: now,
                swept_at: now,
                statuses: statuses.clone(),
                silences,
                ..Self::default()
            };
            self.read(
                browse,
                Courses::Open {
                    before: since,
                    after: 0,
                },
            )
            .await?;
        }

        let looks_back = now.duration_since(self.looked_back_at).abs() >= LOOKED_BACK;
        if looks_back {
            self.looked_back_at = now;
        }
        let again = if looks_back { CLOCKS_DIFFER } else { OVERLAP };
        let from = self.read_to.map_or(since, |read_to| {
            let overlap = read_to.min(now).saturating_sub(again);
            overlap.unwrap_or(Timestamp::MIN)
        });
        let last = self
            .read(
                browse,
                Courses::Changed {
                    since: from,
                    after: 0,
                },
            )
            .await?;
        self.read_to = self.read_to.max(last).max(Some(from));
        self.sweep(since, now);

        Ok(())
    }

    /// Reads all chunks, and returns when the last incident in them changed.
    async fn read(
        &mut self,
        browse: &dyn Browse,
        mut of: Courses,
    ) -> Result<Option<Timestamp>, StoreError> {
        let mut last = None;
        loop {
            let chunk = browse.courses(of, CHUNK).await?;
            let is_full = chunk.len() == CHUNK as usize;
            if let Some(end) = chunk.last() {
                last = Some(end.changed_at);
                of = of.after(end);
            }
            for course in chunk {
                self.take(&course);
            }
            if !is_full {
                return Ok(last);
            }
        }
    }

    pub(super) fn take(&mut self, course: &Course) {
        let label = |name: &str| course.labels.get(name).cloned().unwrap_or_default();
        let of = match label("app_key") {
            app_key if app_key.is_empty() => Of::Sender {
                profile: label("profile"),
            },
            app_key => Of::Objective {
                app_key,
                sli: label("sli"),
            },
        };
        let name = matches!(of, Of::Sender { .. }).then(|| {
            Box::new(Name {
                id: course.incident_id.clone(),
                title: alert_name(&course.labels).to_owned(),
            })
        });
        let told = Told {
            series: self.place(of, course),
            changed_at: course.changed_at,
            name,
            silenced: self.silenced(&course.labels),
            said: self.said(course),
        };
        self.incidents.insert(course.number, told);
    }

    fn place(&mut self, of: Of, course: &Course) -> usize {
        let series = &mut self.series;
        let place = *self.places.entry(of.clone()).or_insert_with(|| {
            series.push(Series {
                of,
                labels: Labels::new(),
                newest: 0,
            });
            series.len() - 1
        });
        if let Some(one) = series.get_mut(place)
            && one.newest <= course.number
        {
            one.labels.clone_from(&course.labels);
            one.newest = course.number;
        }
        place
    }

    fn said(&self, course: &Course) -> Box<[(Timestamp, bool)]> {
        let is_on = |status: &str| {
            status != RESOLVED_BY_HAND && self.statuses.signal(status) != Signal::Resolve
        };
        let said = course.said.iter();
        let mut said: Vec<_> = said.map(|(time, status)| (*time, is_on(status))).collect();
        said.extend(&course.heard);

        // An incident may end without a mail, by its age or by a person. If nobody was to be told
        // of that, its last change is the best known time.
        let last = course.heard.iter().max_by_key(|(time, on)| (*time, !on));
        if course.phase == Phase::Resolved && last.is_some_and(|(_, on)| *on) {
            said.push((course.ended_at.unwrap_or(course.changed_at), false));
        }

        said.into_boxed_slice()
    }

    /// Returns the times at which silences that cover an alert were active, or will be.
    fn silenced(&self, labels: &Labels) -> Box<[Span]> {
        let covering = self.silences.iter().filter(|one| one.covers(labels));
        let span = |silence: &Silence| Span {
            from: silence.starts_at,
            to: silence.ends_at,
        };
        covering.map(span).collect()
    }

    fn sweep(&mut self, since: Timestamp, now: Timestamp) {
        if now.duration_since(self.swept_at) < SWEEP {
            return;
        }
        self.swept_at = now;
        self.since = since;
        self.incidents
            .retain(|_, told| told.changed_at >= since || told.is_on());
    }
}

impl Courses {
    /// Returns the query for the chunk after `last`.
    fn after(self, last: &Course) -> Self {
        match self {
            Self::Changed { .. } => Self::Changed {
                since: last.changed_at,
                after: last.number,
            },
            Self::Open { before, .. } => Self::Open {
                before,
                after: last.number,
            },
        }
    }
}
