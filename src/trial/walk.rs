//! Runs the stages concurrently: each works on other mails than the next, and waits if that one is
//! behind. Memory is therefore bounded, however many mails there are.

use std::{pin::pin, sync::Arc};

use anyhow::Context as _;
use futures_util::{
    Stream, StreamExt as _, TryStreamExt as _,
    stream::{self, BoxStream},
};
use tokio::{sync::mpsc, task::JoinHandle};

use crate::trial::{Decided, Specimen, Trial};

/// The number of batches in a stage at a time, and of finished ones before the next stage.
const AHEAD: usize = 2;

/// A stream of mails, in batches.
pub type Batches<T> = BoxStream<'static, anyhow::Result<Vec<T>>>;

/// Reads mails and finally passes them to `tell`, both concurrently. In between, they are decided
/// in order.
pub fn walk<T: Send + 'static>(
    trial: &Arc<Trial>,
    batches: Batches<Specimen>,
    tell: fn(&Trial, Decided) -> T,
) -> Batches<T> {
    let read = with(trial, |trial, batch| {
        let read = tokio::spawn(async move { trial.read(batch).await });
        async { read.await.context("reading mail failed")? }
    });

    let decide = with(
        trial,
        |trial, batch| async move { trial.decide(batch).await },
    );

    let told = with(trial, move |trial, batch: Vec<Decided>| {
        let told = move || {
            batch
                .into_iter()
                .map(|decided| tell(&trial, decided))
                .collect()
        };
        let told = tokio::task::spawn_blocking(told);
        async { told.await.context("rendering the pages failed") }
    });

    let read = ahead(batches.map_ok(read).try_buffered(AHEAD));
    let decided = ahead(read.and_then(decide));

    decided.map_ok(told).try_buffered(AHEAD).boxed()
}

/// Judges the mails' authenticity once, for all walks over them.
pub fn judged(trial: &Arc<Trial>, batches: Batches<Specimen>) -> Batches<Specimen> {
    let judge = with(trial, |trial, batch| {
        let judged = tokio::spawn(async move { trial.judge(batch).await });
        async { judged.await.context("judging mail failed") }
    });
    ahead(batches.map_ok(judge).try_buffered(AHEAD))
}

/// Returns the same batches for two concurrent walks, the faster of which waits for the other. Only
/// the first one gets a failure.
pub fn twice<T: Clone + Send + Sync + 'static>(
    mut batches: Batches<T>,
) -> (Batches<T>, Batches<T>) {
    let (to_one, one) = mpsc::channel(AHEAD);
    let (to_other, other) = mpsc::channel(AHEAD);
    let running = tokio::spawn(async move {
        while let Some(batch) = batches.next().await {
            let copy = batch.as_ref().ok().cloned();
            // The receiver is gone if the replay has failed.
            if to_one.send(batch).await.is_err() {
                break;
            }
            let Some(copy) = copy else { break };
            if to_other.send(Ok(copy)).await.is_err() {
                break;
            }
        }
    });

    (received(one, Some(running)), received(other, None))
}

fn with<I, O, S: Fn(Arc<Trial>, I) -> O>(
    trial: &Arc<Trial>,
    step: S,
) -> impl Fn(I) -> O + use<I, O, S> {
    let trial = Arc::clone(trial);
    move |batch| step(Arc::clone(&trial), batch)
}

/// Lets a stage continue while the next one works.
pub fn ahead<T: Send + 'static>(
    stage: impl Stream<Item = anyhow::Result<T>> + Send + 'static,
) -> BoxStream<'static, anyhow::Result<T>> {
    let (done, taken) = mpsc::channel(AHEAD);
    let running = tokio::spawn(async move {
        let mut stage = pin!(stage);
        // The receiver is gone if the replay has failed.
        while let Some(item) = stage.next().await
            && done.send(item).await.is_ok()
        {}
    });

    received(taken, Some(running))
}

/// Returns the output of a stage, and an error if the stage panicked before it reached its end.
fn received<T: Send + 'static>(
    taken: mpsc::Receiver<anyhow::Result<T>>,
    running: Option<JoinHandle<()>>,
) -> BoxStream<'static, anyhow::Result<T>> {
    let taken = stream::unfold(taken, async |mut taken| Some((taken.recv().await?, taken)));
    let ended = stream::iter(running).then(|running| running);
    let failed = ended.filter_map(async |ended| ended.context("a stage failed").err().map(Err));
    taken.chain(failed).boxed()
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[tokio::test]
    async fn two_get_the_same_batches_and_who_is_behind_loses_none() {
        let (ahead, behind) = twice(stream::iter((0..100).map(|n| Ok(vec![n]))).boxed());
        let ahead = tokio::spawn(ahead.try_collect::<Vec<_>>());
        let behind = behind.then(async |batch| {
            tokio::task::yield_now().await;
            batch
        });
        let expected: Vec<_> = (0..100).map(|n| vec![n]).collect();
        assert_eq!(
            pin!(behind).try_collect::<Vec<_>>().await.unwrap(),
            expected
        );
        assert_eq!(ahead.await.unwrap().unwrap(), expected);
    }

    #[tokio::test]
    async fn a_failure_ends_both_and_is_told_to_the_first() {
        let (first, other) =
            twice(stream::iter([Ok(vec![1]), Err(anyhow!("unreadable")), Ok(vec![2])]).boxed());
        let (first, other) =
            tokio::join!(first.try_collect::<Vec<_>>(), other.try_collect::<Vec<_>>());
        assert_eq!(first.unwrap_err().to_string(), "unreadable");
        assert_eq!(other.unwrap(), [[1]]);
    }

    #[tokio::test]
    async fn a_stage_that_panics_has_not_come_to_its_end() {
        let panics = stream::iter([1, 2]).map(|n| if n == 1 { Ok(n) } else { panic!("a fault") });
        let (first, _other) = twice(panics.map_ok(|n| vec![n]).boxed());
        assert_eq!(
            first.try_collect::<Vec<_>>().await.unwrap_err().to_string(),
            "a stage failed"
        );
    }
}
