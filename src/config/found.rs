//! What is wrong with a configuration, told once: what one step found wrong with a key, the next
//! need not find again.

use super::{within, yaml::Mark};
use crate::settings::Problem;

/// Problems, with their places where those are not their keys'.
pub(super) struct Found(pub(super) Vec<(Option<Mark>, Problem)>);

impl Found {
    pub(super) fn all(&mut self, problems: impl IntoIterator<Item = Problem>) {
        self.0
            .extend(problems.into_iter().map(|problem| (None, problem)));
    }

    /// Those of keys of which nothing is told yet.
    pub(super) fn news(&mut self, problems: Vec<Problem>) {
        let told: Vec<String> = self
            .0
            .iter()
            .map(|(_, problem)| problem.key.clone())
            .collect();
        // What is missing is not told of either where the base that `use` names, which may have
        // it, was not found.
        let lacks_its_base = |key: &str| {
            let mut bases = told.iter().filter_map(|told| told.strip_suffix(".use"));
            bases.any(|of| within(key, of))
        };
        self.all(problems.into_iter().filter(|Problem { key, .. }| {
            key.is_empty() || !(told.contains(key) || lacks_its_base(key))
        }));
    }

    /// What was made, unless there are problems, of which the news is told.
    pub(super) fn made<T>(&mut self, made: Result<T, Vec<Problem>>) -> Option<T> {
        made.map_err(|problems| self.news(problems)).ok()
    }

    /// Those of keys of which nothing is told, nor of what they are in or what is in them.
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
