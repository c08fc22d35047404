//! Many decisions at once, begun in the order of their mails; those about one incident follow each
//! other.

use std::collections::HashMap;

use futures_util::future::join_all;
use tokio::task::unconstrained;

use super::Reading;
use crate::store::StoredMail;

/// Mails, and what they say.
pub(super) type Read = Vec<(Reading, StoredMail)>;

/// Decides mails that are in order: those about one incident one after the other, all others at
/// once. Where one could not be decided, none about the same incident is: it would overtake it.
pub(super) async fn by_incident<E, F: Future<Output = Result<(), E>>>(
    mails: Read,
    decide: impl Fn((Reading, StoredMail)) -> F,
) -> Result<(), E> {
    let one_after_another = async |mails: Read| {
        for mail in mails {
            decide(mail).await?;
        }
        Ok(())
    };

    in_order(incidents(mails).into_iter().map(one_after_another))
        .await
        .into_iter()
        .collect()
}

/// The mails of each incident, in their order; every other mail by itself.
fn incidents(mails: Read) -> Vec<Read> {
    let mut incidents: Vec<Read> = Vec::with_capacity(mails.len());
    let mut places = HashMap::new();

    for (reading, mail) in mails {
        let next = incidents.len();
        let place = reading
            .incident_id()
            .map_or(next, |id| *places.entry(id.to_owned()).or_insert(next));
        if place == next {
            incidents.push(Vec::with_capacity(1));
        }
        incidents[place].push((reading, mail));
    }

    incidents
}

/// Waits for all; each is first polled, which is when it hands its change in to the store, in the
/// order given.
///
/// Tokio lets a task do so much at a time (128 operations), then keeps the rest waiting and wakes
/// it from the last to the first: of more than some sixty mails one would overtake another about
/// the same incident.
pub async fn in_order<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    unconstrained(join_all(futures)).await
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tokio::sync::{mpsc, oneshot};

    use super::*;
    use crate::{
        message::{Authenticity, Message},
        pipeline::Finding,
    };

    fn about(incident: Option<&str>, id: i64) -> (Reading, StoredMail) {
        let raw = bytes::Bytes::new();
        let arrived_at = jiff::Timestamp::UNIX_EPOCH;
        let message = Message {
            ingress: "test".into(),
            arrived_at,
            raw,
            cut_from: None,
            withheld: None,
            envelope: None,
        };
        let authenticity = Authenticity::off();
        let mut reading = Reading::unreadable(&message, "test");
        if let Some(incident) = incident {
            let json = serde_json::json!({
                "appKey": "a", "incidentId": incident, "incidentStatus": "OK", "metricName": "m",
                "time": "2026-03-01T12:00:00Z",
            });
            let incident = Box::new(
                crate::validate::Validator::built_in()
                    .unwrap()
                    .check(json)
                    .unwrap()
                    .incident,
            );
            reading.finding = Finding::Incident {
                incident,
                unknown: Vec::new(),
            };
        }
        (
            reading,
            StoredMail {
                id,
                message,
                authenticity,
                checks: 0,
                released: None,
            },
        )
    }

    #[tokio::test]
    async fn where_a_mail_could_not_be_decided_none_about_its_incident_is() {
        let mails = [
            (Some("a"), 1),
            (Some("b"), 2),
            (None, 3),
            (Some("a"), 4),
            (Some("b"), 5),
            (None, 6),
            (Some("a"), 7),
        ];
        let mails = mails.map(|(incident, id)| about(incident, id));
        let begun = Mutex::new(Vec::new());
        let decided = by_incident(mails.into(), |(_, mail)| {
            let begun = &begun;
            async move {
                begun.lock().unwrap().push(mail.id);
                if mail.id == 4 || mail.id == 3 {
                    Err(mail.id)
                } else {
                    Ok(())
                }
            }
        });
        assert!(decided.await.is_err());
        let mut begun = begun.into_inner().unwrap();
        begun.sort_unstable();
        assert_eq!(begun, [1, 2, 3, 4, 5, 6], "7 would overtake 4");
    }

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
