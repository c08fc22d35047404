//! The points at which tests kill the program, which lie between any two steps that matter.
//!
//! Only builds with debug assertions have them. `ALERTBRIDGE_CRASH=sent:3` ends the process,
//! without any clean-up, when the point `sent` is reached for the third time, and
//! `recording,committed` does so at the first commit after a recording. `claiming!` panics at that
//! point instead.

/// Marks a point at which a test may end the process.
#[cfg(debug_assertions)]
pub(crate) fn point(name: &str) {
    use std::sync::{LazyLock, Mutex, PoisonError};

    /// The points still to be reached, the next one last, and how often each must be reached.
    static PLAN: LazyLock<Mutex<Vec<(String, u32)>>> = LazyLock::new(|| {
        let plan = std::env::var("ALERTBRIDGE_CRASH").unwrap_or_default();
        let steps = plan.split(',').rev().map(|step| {
            let (name, count) = step.split_once(':').unwrap_or((step, "1"));
            (name.to_owned(), count.parse().unwrap_or(1))
        });
        Mutex::new(steps.collect())
    });

    let mut plan = PLAN.lock().unwrap_or_else(PoisonError::into_inner);
    let next = plan
        .last_mut()
        .map(|(planned, left)| (planned.clone(), left));
    let Some((planned, left)) = next.filter(|(planned, _)| planned.trim_end_matches('!') == name)
    else {
        return;
    };
    *left = left.saturating_sub(1);
    if *left > 0 {
        return;
    }

    plan.pop();

    if plan.is_empty() {
        drop(plan);
        assert!(!planned.ends_with('!'), "planned at {name}");
        // During the pause, a step that should have waited for this one gets ahead of it and is
        // detected.
        std::thread::sleep(std::time::Duration::from_millis(20));
        std::process::abort();
    }
}

/// Does nothing in release builds.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub(crate) fn point(_: &str) {}
