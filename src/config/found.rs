//! Collects the problems of a configuration and reports each once: a problem with a key that one
//! step found is not reported again by the next.

use super::{within, yaml::Mark};
use crate::settings::Problem;

/// The problems, each with its place if its key path does not lead there.
pub(super) struct Found(pub(super) Vec<(Option<Mark>, Problem)>);

impl Found {
    pub(super) fn all(&mut self, problems: impl IntoIterator<Item = Problem>) {
        self.0
            .extend(problems.into_iter().map(|problem| (None, problem)));
    }

    /// Adds the problems of keys that have none yet.
    pub(super) fn news(&mut self, problems: Vec<Problem>) {
        let told: Vec<String> = self
            .0
            .iter()
            .map(|(_, problem)| problem.key.clone())
            .collect();
        // A missing key is not reported either if the base that `use` names was not found, since
        // the base may have it.
        let lacks_its_base = |key: &str| {
            let mut bases = told.iter().filter_map(|told| told.strip_suffix(".use"));
            bases.any(|of| within(key, of))
        };
        self.all(problems.into_iter().filter(|Problem { key, .. }| {
            key.is_empty() || !(told.contains(key) || lacks_its_base(key))
        }));
    }

    /// Returns what was made. If there are problems instead, adds those of keys that have none yet.
    pub(super) fn made<T>(&mut self, made: Result<T, Vec<Problem>>) -> Option<T> {
        made.map_err(|problems| self.news(problems)).ok()
    }

    /// Adds the problems of keys that have none yet, and neither have the keys around or below
    /// them.
    pub(super) fn apart(&mut self, problems: impl IntoIterator<Item = Problem>) {
        for problem in problems {
            let is_told = self.0.iter().any(|(_, told)| {
                within(&problem.key, &told.key) || within(&told.key, &problem.key)
            });
            if !is_told {
                self.all([problem]);
            }
        }
    }
}
