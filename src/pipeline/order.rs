//! Many decisions at once, begun in the order of their mails.

use futures_util::future::join_all;
use tokio::task::unconstrained;

/// Waits for all; each is first polled, which is when it hands its change in to the store, in the order given.
///
/// Tokio lets a task do so much at a time (128 operations), then keeps the rest waiting and wakes it from the last to the
/// first: of more than some sixty mails one would overtake another about the same incident.
pub async fn in_order<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    unconstrained(join_all(futures)).await
}

#[cfg(test)]
mod tests {
    use tokio::sync::{mpsc, oneshot};

    use super::*;

    #[tokio::test]
    async fn what_is_handed_in_at_once_arrives_in_order() {
        const MANY: usize = 1_000;
        let (handed_in, mut arrived) = mpsc::channel(MANY);
        let store = tokio::spawn(async move {
            let mut order = Vec::new();
            while let Some((number, done)) = arrived.recv().await {
                order.push(number);
                let _ = oneshot::Sender::send(done, ());
            }
            order
        });
        let one = |number| {
            let handed_in = handed_in.clone();
            async move {
                let (done, answer) = oneshot::channel();
                handed_in.send((number, done)).await.unwrap();
                answer.await.unwrap();
            }
        };
        in_order((0..MANY).map(one)).await;
        drop(handed_in);
        assert_eq!(store.await.unwrap(), (0..MANY).collect::<Vec<_>>());
    }
}
