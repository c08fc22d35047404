//! What is tried on the parsers, each a function of bytes that panics where a promise is broken.
//!
//! `targets/` hands them to cargo-fuzz; `tests/hostile` runs them over the corpora, and over inputs
//! of its own. Time and memory are promises too: [`within_bounds`] holds them against the input's
//! length.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use alertbridge::{
    ingress::{Inbox, Refused},
    message::{Bookmark, MailId, Message},
};
use async_trait::async_trait;
use peak_alloc::PeakAlloc;

pub mod html;
pub mod imap;
pub mod json;
pub mod mail;
pub mod profiles;
pub mod results;
pub mod smtp;
pub mod webhook;

/// What is allocated by this process, counted.
#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Generous: it runs unoptimised or instrumented, beside others. What it rules out takes minutes.
const TIME: Duration = Duration::from_secs(30);

/// Runs a check on an input of so many bytes, and holds it to its time and to `base` bytes of
/// memory, `factor` times the input's length added. Nothing else may allocate meanwhile.
pub fn within_bounds<T>(length: usize, base: usize, factor: usize, check: impl FnOnce() -> T) -> T {
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let begun = Instant::now();
    let result = check();
    let (took, grown) = (begun.elapsed(), MEMORY.peak_usage().saturating_sub(before));
    assert!(took < TIME, "{length} bytes took {took:?}");
    let most = base + factor * length;
    assert!(
        grown <= most,
        "{length} bytes took {grown} bytes of memory, more than {most}"
    );
    result
}

/// An inbox that keeps what it is given.
#[derive(Default)]
pub struct Kept(Mutex<Vec<Message>>);

impl Kept {
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    pub fn mails(&self) -> Vec<Message> {
        self.0.lock().unwrap().clone()
    }
}

#[async_trait]
impl Inbox for Kept {
    async fn accept(
        &self,
        mails: Vec<Message>,
        _: Option<Bookmark>,
    ) -> Result<Vec<MailId>, Refused> {
        let mut kept = self.0.lock().unwrap();
        let first = kept.len() + 1;
        kept.extend(mails);
        Ok((first..=kept.len())
            .map(|id| MailId::try_from(id).unwrap())
            .collect())
    }

    async fn bookmark(&self, _: &str) -> Result<Option<Bookmark>, Refused> {
        Ok(None)
    }
}

/// Everything runs in one thread: the same bytes take the same way.
pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}
