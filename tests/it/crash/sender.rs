//! Mail servers and providers: each sends its mails in order, each until it is acknowledged.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use crate::{
    dovecot::Dovecot,
    generator::Generated,
    harness::{Bridge, PATIENCE, client, smtp_try},
};

/// Where the bridge is reached now; none while it is down.
#[derive(Clone, Default)]
pub struct Doors(Arc<Mutex<Option<(String, SocketAddr)>>>);

impl Doors {
    pub fn open(&self, bridge: &Bridge) {
        *self.0.lock().unwrap() = Some((bridge.http.clone(), bridge.smtp.unwrap()));
    }

    pub fn shut(&self) {
        *self.0.lock().unwrap() = None;
    }

    fn now(&self) -> Option<(String, SocketAddr)> {
        self.0.lock().unwrap().clone()
    }
}

/// How a sender's mail comes in.
#[derive(Clone)]
enum Way {
    /// `message/rfc822` over HTTP.
    Raw,
    Smtp,
    /// A provider's webhook.
    Postmark,
    /// Into the mailbox, which the bridge reads.
    Imap(Arc<Dovecot>),
}

/// The user name and password that Postmark's URL holds.
pub const POSTMARK: (&str, &str) = ("postmark", "of-the-webhook");

pub struct Sender {
    mails: Vec<Generated>,
    way: Way,
    doors: Doors,
    /// How many of its mails may be on their way by now.
    released: Arc<AtomicUsize>,
}

/// The mails of one incident keep to one sender: servers have no order among them.
pub fn senders(
    mails: &[Generated],
    dovecot: &Arc<Dovecot>,
    doors: &Doors,
    released: &Arc<AtomicUsize>,
) -> Vec<tokio::task::JoinHandle<Vec<i64>>> {
    let mut shares: [Vec<Generated>; 4] = Default::default();
    for mail in mails {
        let share = mail
            .truth
            .incident_id
            .as_ref()
            .map_or(0, |id| id.bytes().map(usize::from).sum::<usize>() % 4);
        shares[share].push(mail.clone());
    }
    let ways = [
        Way::Raw,
        Way::Smtp,
        Way::Postmark,
        Way::Imap(Arc::clone(dovecot)),
    ];
    let senders = shares.into_iter().zip(ways).map(|(mails, way)| Sender {
        mails,
        way,
        doors: doors.clone(),
        released: Arc::clone(released),
    });
    senders.map(|sender| tokio::spawn(sender.run())).collect()
}

/// Waits for the senders; the numbers under which HTTP acknowledged.
pub async fn all(senders: Vec<tokio::task::JoinHandle<Vec<i64>>>) -> Vec<i64> {
    let mut numbers = Vec::new();
    for sender in senders {
        numbers.extend(
            tokio::time::timeout(PATIENCE, sender)
                .await
                .expect("a sender hangs")
                .unwrap(),
        );
    }
    numbers
}

impl Sender {
    async fn run(self) -> Vec<i64> {
        let mut numbers = Vec::new();
        for (index, mail) in self.mails.iter().enumerate() {
            while self.released.load(Ordering::SeqCst) <= index {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            while !self.acknowledged(&mail.eml, &mut numbers).await {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        numbers
    }

    async fn acknowledged(&self, mail: &[u8], numbers: &mut Vec<i64>) -> bool {
        if let Way::Imap(dovecot) = &self.way {
            dovecot.deliver(mail);
            return true;
        }
        let Some((http, smtp)) = self.doors.now() else {
            return false;
        };
        let request = match self.way {
            Way::Smtp => {
                let mail = mail.to_vec();
                return tokio::task::spawn_blocking(move || smtp_try(smtp, &mail))
                    .await
                    .unwrap()
                    .is_ok();
            }
            Way::Postmark => {
                let url = http.replace("/ingress/http", "/ingress/postmark");
                let inbound = serde_json::json!({ "MessageID": "1",
                                                  "RawEmail": String::from_utf8_lossy(mail) });
                client()
                    .post(url)
                    .basic_auth(POSTMARK.0, Some(POSTMARK.1))
                    .json(&inbound)
            }
            _ => client()
                .post(http)
                .header("content-type", "message/rfc822")
                .body(mail.to_vec()),
        };
        let Ok(reply) = request.send().await else {
            return false;
        };
        let accepted = reply.status().is_success();
        if let Ok(json) = reply.json::<serde_json::Value>().await {
            numbers.extend(json["id"].as_i64());
        }
        accepted
    }
}
