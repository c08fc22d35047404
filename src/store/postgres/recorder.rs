//! The recorder of mail, which records mails that wait at the same time together: one statement,
//! one commit.
//!
//! In measurements, this records two to five times as many mails as one statement for each.
//! Decisions are committed separately, as many at once as there are connections: each locks an
//! incident, and one that fails affects no other.

use std::{sync::Arc, time::Duration};

use tokio::sync::{Mutex, mpsc, oneshot};

use super::{connection::Database, record};
use crate::{
    crash,
    message::MailId,
    store::{StoreError, kept::Packed},
    vital::vital,
};

/// The number of statements in flight at the same time: while one waits for the disk, the next is
/// filled.
const FLIGHTS: usize = 3;
/// The number of mails from which a statement takes no more. It bounds the memory, and how long the
/// first mail waits for the last.
const MOST_MAILS: usize = 256;
const MOST_BYTES: usize = 8 << 20;

/// Mails whose recording a caller waits for.
struct Waiting {
    mails: Vec<Packed>,
    answer: oneshot::Sender<Result<Vec<MailId>, StoreError>>,
}

/// The queue of mails to record.
pub(super) struct Recorder(mpsc::Sender<Waiting>);

impl Recorder {
    /// Starts the tasks, which end when the recorder is dropped.
    pub(super) fn start(database: &Arc<Database>, holder: i64, hold: Duration) -> Self {
        let (sender, waiting) = mpsc::channel(1024);
        let waiting = Arc::new(Mutex::new(waiting));

        for _ in 0..FLIGHTS {
            let work = work(Arc::clone(&waiting), Arc::clone(database), holder, hold);
            tokio::spawn(vital("the recorder of mail", work));
        }

        Self(sender)
    }

    /// Returns the mails' numbers once they are stored.
    pub(super) async fn record(&self, mails: Vec<Packed>) -> Result<Vec<MailId>, StoreError> {
        let (answer, numbers) = oneshot::channel();
        let closed = || StoreError::Failed("the store has been closed".into());
        self.0
            .send(Waiting { mails, answer })
            .await
            .map_err(|_| closed())?;
        numbers.await.map_err(|_| closed())?
    }
}

async fn work(
    waiting: Arc<Mutex<mpsc::Receiver<Waiting>>>,
    database: Arc<Database>,
    holder: i64,
    hold: Duration,
) {
    while let Some(batch) = next(&waiting).await {
        let (mut mails, mut answers) = (Vec::new(), Vec::with_capacity(batch.len()));
        for mut one in batch {
            answers.push((one.mails.len(), one.answer));
            mails.append(&mut one.mails);
        }
        crash::point("commit");
        // All mails fail for the same reason: a connection or a disk, never the content of one
        // mail, which is only bytes to the database.
        let recorded = record::record(&database, holder, hold, &mails, None).await;
        let mut numbers = recorded.as_deref().unwrap_or_default().iter().copied();
        for (count, answer) in answers {
            let own = numbers.by_ref().take(count).collect();
            // The caller may be gone, but the mail is stored anyway.
            let _ = answer.send(recorded.as_ref().map(|_| own).map_err(Clone::clone));
        }
    }
}

/// Waits until something is queued, and returns everything that is then in the queue, up to the
/// limits. Returns `None` when the recorder is gone.
async fn next(waiting: &Mutex<mpsc::Receiver<Waiting>>) -> Option<Vec<Waiting>> {
    let mut waiting = waiting.lock().await;
    let mut batch = vec![waiting.recv().await?];
    let size = |one: &Waiting| one.mails.iter().map(|mail| mail.body.len()).sum::<usize>();
    let (mut mails, mut bytes) = (batch[0].mails.len(), size(&batch[0]));

    while mails < MOST_MAILS && bytes < MOST_BYTES {
        let Ok(one) = waiting.try_recv() else { break };
        mails += one.mails.len();
        bytes += size(&one);
        batch.push(one);
    }

    Some(batch)
}
