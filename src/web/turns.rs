//! Bounds how much CPU-heavy work runs at a time.

use std::sync::Arc;

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::{JoinError, spawn_blocking},
};

/// A bound on concurrent work. A turn moves into the work and ends with it, so a client that hangs
/// up makes no room for another.
#[derive(Debug, Clone)]
pub struct Turns(Arc<Semaphore>);

/// The error of work that did not finish.
#[derive(Debug, thiserror::Error)]
pub enum Unfinished {
    #[error("the bridge is stopping")]
    Stopping,
    #[error("this program has a fault: {0}")]
    Fault(JoinError),
}

impl From<JoinError> for Unfinished {
    fn from(error: JoinError) -> Self {
        if error.is_cancelled() {
            Self::Stopping
        } else {
            Self::Fault(error)
        }
    }
}

impl Turns {
    pub fn new(at_once: usize) -> Self {
        Self(Arc::new(Semaphore::new(at_once)))
    }

    /// Waits for a turn, which is to be moved into the work.
    pub async fn turn(&self) -> Result<OwnedSemaphorePermit, Unfinished> {
        let turn = Arc::clone(&self.0).acquire_owned().await;
        turn.map_err(|_| Unfinished::Stopping)
    }

    /// Runs blocking work on its own thread, in a turn.
    pub async fn apart<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Unfinished> {
        let turn = self.turn().await?;
        let work = move || {
            let _turn = turn;
            work()
        };
        Ok(spawn_blocking(work).await?)
    }

    /// Runs asynchronous work in a task of its own, in a turn.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Unfinished> {
        let turn = self.turn().await?;
        let work = async move {
            let _turn = turn;
            work.await
        };
        Ok(tokio::spawn(work).await?)
    }
}

#[cfg(test)]
mod tests {
    use std::{pin::pin, sync::mpsc};

    use futures_util::poll;
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn whoever_hangs_up_makes_no_room_for_another() {
        let turns = Turns::new(1);
        let (end_work, ended) = mpsc::channel::<()>();
        let (begun, begins) = oneshot::channel();
        let asking = tokio::spawn({
            let turns = turns.clone();
            let work = move || {
                let _ = begun.send(());
                let _ = ended.recv();
            };
            async move { turns.apart(work).await }
        });
        begins.await.unwrap();
        asking.abort();
        assert!(asking.await.unwrap_err().is_cancelled());

        let mut next = pin!(turns.run(async { "done" }));
        assert!(poll!(next.as_mut()).is_pending(), "the work goes on");
        drop(end_work);
        assert_eq!(next.await.unwrap(), "done");
    }

    #[tokio::test]
    async fn the_same_holds_of_what_waits_for_others() {
        let turns = Turns::new(1);
        let (end_work, ended) = oneshot::channel::<()>();
        {
            let mut asking = pin!(turns.run(ended));
            assert!(poll!(asking.as_mut()).is_pending());
        }

        let mut next = pin!(turns.apart(|| "done"));
        assert!(poll!(next.as_mut()).is_pending(), "the work goes on");
        drop(end_work);
        assert_eq!(next.await.unwrap(), "done");
    }
}
