//! An inbox that records: the boundary at which ingresses are tested.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use alertbridge::{
    ingress::{Health, Inbox, Ingress, Refused},
    message::{Bookmark, MailId, Message},
};
use async_trait::async_trait;
use tokio::{sync::Semaphore, task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;

/// Long enough for any machine; only a failure waits it out.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// Keeps what it accepts; refuses so many first; can be made to wait.
pub struct RecordingInbox {
    stored: Mutex<Vec<Message>>,
    refusals: AtomicUsize,
    entered: AtomicUsize,
    gate: Semaphore,
}

impl RecordingInbox {
    pub fn new() -> Arc<Self> {
        Self::refusing(0)
    }

    /// Refuses the first `refusals` mails.
    pub fn refusing(refusals: usize) -> Arc<Self> {
        Arc::new(Self {
            stored: Mutex::default(),
            refusals: refusals.into(),
            entered: 0.into(),
            gate: Semaphore::new(Semaphore::MAX_PERMITS),
        })
    }

    /// Answers nothing until [`RecordingInbox::open`].
    pub fn blocked() -> Arc<Self> {
        let inbox = Self::new();
        inbox.gate.forget_permits(Semaphore::MAX_PERMITS);
        inbox
    }

    pub fn open(&self) {
        self.gate.add_permits(1_000_000);
    }

    /// Waits until a mail is at the gate.
    pub async fn entered(&self) {
        eventually("a mail reaches the store", || {
            self.entered.load(Ordering::SeqCst) > 0
        })
        .await;
    }

    pub fn stored(&self) -> Vec<Message> {
        self.stored.lock().unwrap().clone()
    }

    pub fn raw(&self) -> Vec<Vec<u8>> {
        self.stored()
            .into_iter()
            .map(|message| message.raw.to_vec())
            .collect()
    }
}

#[async_trait]
impl Inbox for RecordingInbox {
    async fn accept(
        &self,
        mails: Vec<Message>,
        _: Option<Bookmark>,
    ) -> Result<Vec<MailId>, Refused> {
        self.entered.fetch_add(1, Ordering::SeqCst);
        self.gate.acquire().await.unwrap().forget();
        if self
            .refusals
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                left.checked_sub(1)
            })
            .is_ok()
        {
            return Err(Refused::Failed("the disk is full".into()));
        }
        let mut stored = self.stored.lock().unwrap();
        stored.extend(mails);
        Ok(vec![MailId::try_from(stored.len()).unwrap()])
    }

    async fn bookmark(&self, _: &str) -> Result<Option<Bookmark>, Refused> {
        Ok(None)
    }
}

/// A running ingress.
pub struct Running {
    pub health: Health,
    pub stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    pub fn start(ingress: impl Ingress + 'static, inbox: &Arc<RecordingInbox>) -> Self {
        let (health, stop) = (Health::default(), CancellationToken::new());
        let task = tokio::spawn(Box::new(ingress).run(inbox.clone(), health.clone(), stop.clone()));
        Self { health, stop, task }
    }

    /// Stops it and waits for its end.
    pub async fn stop(self) {
        self.stop.cancel();
        self.ended().await;
    }

    /// Waits for its end.
    pub async fn ended(self) {
        timeout(PATIENCE, self.task)
            .await
            .expect("the ingress ends")
            .expect("the ingress does not panic");
    }
}

/// Waits for a condition.
pub async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let waited = timeout(PATIENCE, async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    waited
        .await
        .unwrap_or_else(|_| panic!("{what}: not within {PATIENCE:?}"));
}
