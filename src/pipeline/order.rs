//! Runs many concurrent decisions, begun in the order of their mails.
//!
//! Decisions about one incident follow each other, and a mail about several incidents follows all
//! earlier ones about any of them.

use std::collections::{BTreeSet, HashMap};

use futures_util::future::join_all;
use tokio::task::unconstrained;

use super::Reading;
use crate::store::StoredMail;

/// A mail and its reading.
pub(super) type Mail = (Reading, StoredMail);

/// Mails that were read.
pub(super) type Read = Vec<Mail>;

/// Decides mails that are in order: those about one incident one after the other, all others
/// concurrently.
///
/// If a mail could not be decided, no later one about the same incident is decided either, because
/// it would overtake the first.
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

/// Groups the mails by common incidents, each group in order. A mail about no incident is a group
/// by itself.
fn incidents(mails: Read) -> Vec<Read> {
    let mut groups: Vec<Vec<(usize, Mail)>> = Vec::with_capacity(mails.len());
    let mut places: HashMap<String, usize> = HashMap::new();

    for (number, mail) in mails.into_iter().enumerate() {
        let known: BTreeSet<usize> = mail
            .0
            .incident_ids()
            .filter_map(|id| places.get(id).copied())
            .collect();

        // A mail about several incidents joins their groups.
        let place = known.first().copied().unwrap_or(groups.len());
        if place == groups.len() {
            groups.push(Vec::with_capacity(1));
        }
        for other in known.into_iter().skip(1) {
            let joined = std::mem::take(&mut groups[other]);
            groups[place].extend(joined);
            groups[place].sort_by_key(|(number, _)| *number);
            for known in places.values_mut().filter(|known| **known == other) {
                *known = place;
            }
        }

        for id in mail.0.incident_ids() {
            if places.get(id) != Some(&place) {
                places.insert(id.to_owned(), place);
            }
        }
        groups[place].push((number, mail));
    }

    groups
        .into_iter()
        .filter(|group| !group.is_empty())
        .map(|group| group.into_iter().map(|(_, mail)| mail).collect())
        .collect()
}

/// Waits for all futures. Each future hands its change to the store when it is first polled, which
/// happens in the given order.
///
/// Tokio lets a task do a limited amount of work at a time (128 operations), then suspends the
/// remaining futures and wakes them from the last to the first. Among more than about sixty mails,
/// one would therefore overtake another about the same incident.
pub async fn in_order<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    unconstrained(join_all(futures)).await
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use jiff::Timestamp;
    use serde_json::Value;
    use tokio::sync::{mpsc, oneshot};

    use super::*;
    use crate::{
        incident::{Incident, Series, Signal},
        label::Labels,
        message::{Authenticity, Message},
        pipeline::Finding,
    };

    fn about(incidents: &[&str], id: i64) -> Mail {
        let message = Message {
            ingress: "test".into(),
            arrived_at: Timestamp::UNIX_EPOCH,
            raw: bytes::Bytes::new(),
            cut_from: None,
            withheld: None,
            envelope: None,
        };
        let incident = |id: &&str| Finding::Incident {
            incident: Box::new(Incident {
                incident_id: (*id).to_owned(),
                status: "OK".into(),
                signal: Signal::Resolve,
                time: Timestamp::UNIX_EPOCH,
                by_date: false,
                labels: Labels::new(),
                series: Series::default(),
                app: None,
                json: Value::Null,
            }),
            unknown: Vec::new(),
        };
        let mut reading = Reading::unreadable(&message, "test");
        if !incidents.is_empty() {
            reading.findings = incidents.iter().map(incident).collect();
        }
        let mail = StoredMail {
            id,
            message,
            authenticity: Authenticity::off(),
            checks: 0,
            released: None,
            decided_at: None,
            cut_at: None,
        };
        (reading, mail)
    }

    #[test]
    fn a_mail_about_several_incidents_joins_what_came_before_about_them() {
        let mails: [(&[&str], i64); 7] = [
            (&["a"], 1),
            (&["b"], 2),
            (&["c"], 3),
            (&["b"], 4),
            (&["a", "b", "a"], 5),
            (&[], 6),
            (&["a", "d"], 7),
        ];
        let mails = mails.map(|(incidents, id)| about(incidents, id));
        let groups: Vec<Vec<_>> = incidents(mails.into())
            .into_iter()
            .map(|group| group.into_iter().map(|(_, mail)| mail.id).collect())
            .collect();
        assert_eq!(groups, [vec![1, 2, 4, 5, 7], vec![3], vec![6]]);
    }

    #[tokio::test]
    async fn where_a_mail_could_not_be_decided_none_about_its_incident_is() {
        let mails: [(&[&str], i64); 7] = [
            (&["a"], 1),
            (&["b"], 2),
            (&[], 3),
            (&["a"], 4),
            (&["b"], 5),
            (&[], 6),
            (&["a"], 7),
        ];
        let mails = mails.map(|(incidents, id)| about(incidents, id));
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
