//! Where tests let the program die: between any two steps that matter.
//!
//! Only builds with debug assertions have it; `ALERTBRIDGE_CRASH=sent:3` ends the process, without any clean-up, when
//! the point `sent` is reached for the third time.

/// A point in the flow.
#[cfg(debug_assertions)]
pub(crate) fn point(name: &str) {
    use std::sync::{
        LazyLock,
        atomic::{AtomicI64, Ordering},
    };

    static PLAN: LazyLock<Option<(String, AtomicI64)>> = LazyLock::new(|| {
        let plan = std::env::var("ALERTBRIDGE_CRASH").ok()?;
        let (name, count) = plan.split_once(':').unwrap_or((&plan, "1"));
        Some((name.to_owned(), AtomicI64::new(count.parse().ok()?)))
    });
    if let Some((planned, left)) = &*PLAN
        && planned == name
        && left.fetch_sub(1, Ordering::SeqCst) == 1
    {
        // A step that should have waited for this one gets ahead of it, and is caught at it.
        std::thread::sleep(std::time::Duration::from_millis(20));
        std::process::abort();
    }
}

/// Nothing, in what is shipped.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub(crate) fn point(_: &str) {}
