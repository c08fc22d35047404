//! The mails of a day and their senders: mail servers that try again until somebody takes a mail,
//! and a mailbox that one replica reads.
//!
//! The next mail of an incident is sent when the last one was acknowledged. Copies come late, and
//! forged mails come in between.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use jiff::Timestamp;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    view::View,
    weather::Trouble,
    world::{World, lock},
};
use crate::{
    clock::Clock,
    ingress::{Health, Inbox},
    message::{Authenticity, Bookmark, Evidence, Message, Verdict},
    store::Upkeep as _,
};

/// A mailbox, which one replica reads at a time.
#[derive(Default)]
pub(super) struct Mailbox {
    mails: Mutex<Vec<Message>>,
    /// The UID up to which mails were acknowledged.
    read: AtomicU32,
}

const NAME: &str = "mailbox";
/// The durations that `serve` uses.
const LEASE: Duration = Duration::from_secs(6);
const EVERY: Duration = Duration::from_secs(2);
/// The number of mails that are fetched at a time.
const BATCH: usize = 5;

impl Mailbox {
    /// Adds a mail to the mailbox, and returns its UID.
    fn deliver(&self, mail: Message) -> u32 {
        let mut mails = lock(&self.mails);
        mails.push(mail);
        u32::try_from(mails.len()).unwrap()
    }

    async fn acknowledged(&self, uid: u32) {
        while self.read.load(Ordering::SeqCst) < uid {
            sleep(Duration::from_secs(1)).await;
        }
    }

    /// Reads whenever it is this replica's turn, until `stop`.
    pub(super) async fn read(
        &self,
        world: &World,
        store: &View,
        inbox: &dyn Inbox,
        health: &Health,
        clock: &Clock,
        stop: &CancellationToken,
    ) {
        while !stop.is_cancelled() {
            match store.consume(NAME, LEASE).await {
                Ok(true) if world.is(Trouble::NoMailbox) => {
                    health.failed(NAME, "there is no connection", false);
                }
                Ok(true) => match self.fetch(world, inbox).await {
                    Ok(()) => health.succeeded(NAME, clock.now()),
                    Err(why) => health.failed(NAME, &why, false),
                },
                Ok(false) => health.elsewhere(NAME),
                Err(_) => {}
            }
            stop.run_until_cancelled(sleep(EVERY)).await;
        }
        // The mailbox is given up so that the next holder need not wait for the end of the lease.
        let _ = store.relinquish(NAME).await;
    }

    async fn fetch(&self, world: &World, inbox: &dyn Inbox) -> Result<(), String> {
        if self.read.load(Ordering::SeqCst) as usize == lock(&self.mails).len() {
            return Ok(());
        }
        let said = |refused: crate::ingress::Refused| refused.to_string();
        let bookmark = inbox.bookmark(NAME).await.map_err(said)?;
        let last = bookmark.map_or(0, |bookmark| bookmark.last_uid);
        world.pause(1..300).await;
        let new: Vec<_> = {
            let mails = lock(&self.mails);
            mails
                .iter()
                .skip(last as usize)
                .take(BATCH)
                .cloned()
                .collect()
        };
        if world.seldom(30) {
            return Err("the connection broke".into());
        }
        let up_to = last + u32::try_from(new.len()).unwrap();
        // There is nothing new if another replica had stored it, and died before it reported that.
        if !new.is_empty() {
            let bookmark = Bookmark::at(NAME, 1, up_to);
            inbox.accept(new, Some(bookmark)).await.map_err(said)?;
        }
        self.read.fetch_max(up_to, Ordering::SeqCst);
        Ok(())
    }
}

/// An incident as the senders of its mails know it.
pub(super) struct Told {
    pub(super) id: String,
    pub(super) app: &'static str,
    /// The actions that were acknowledged: `trigger` and `resolve`, in turn.
    pub(super) truth: Mutex<Vec<&'static str>>,
    /// Whether it stays open at the end of the day.
    stays: bool,
}

impl Told {
    pub(super) fn is_open(&self) -> bool {
        lock(&self.truth).last() == Some(&"trigger")
    }
}

/// The parts that take mails: the running replicas, and the mailbox.
pub(super) trait Doors: Send + Sync {
    fn mailbox(&self) -> &Mailbox;

    /// Returns a random replica, if it is running now.
    fn inbox(&self) -> Option<Arc<dyn Inbox>>;
}

/// The senders.
pub(super) struct Mails {
    world: Arc<World>,
    doors: Arc<dyn Doors>,
    pub(super) incidents: Vec<Arc<Told>>,
    /// The bytes of the mails that were acknowledged over SMTP.
    pub(super) acknowledged: Mutex<BTreeSet<Vec<u8>>>,
}

const APPS: [&str; 8] = [
    "com.example.plain",
    "com.example.plain",
    "com.example.plain",
    "com.example.team",
    "com.example.team",
    "com.example.muted",
    "com.example.silenced",
    "com.example.forged",
];

/// The way that a mail takes.
#[derive(Debug, Clone, Copy)]
enum Way {
    Smtp,
    Mailbox,
    Both,
}

impl Mails {
    pub(super) fn new(world: &Arc<World>, doors: Arc<dyn Doors>, incidents: usize) -> Arc<Self> {
        let incident = |number| {
            let (app, stays) = world.chance(|rng| (APPS[rng.usize(..APPS.len())], rng.u8(..4)));
            Arc::new(Told {
                id: format!("i{number}"),
                app,
                truth: Mutex::default(),
                stays: stays == 0 && app != "com.example.forged",
            })
        };
        let incidents = (0..incidents).map(incident).collect();
        Arc::new(Self {
            world: Arc::clone(world),
            doors,
            incidents,
            acknowledged: Mutex::default(),
        })
    }

    /// Sends the mails of all incidents for the whole day.
    pub(super) async fn send(self: &Arc<Self>) {
        let senders = TaskTracker::new();
        for incident in &self.incidents {
            let (mails, incident) = (Arc::clone(self), Arc::clone(incident));
            senders.spawn(async move { mails.send_of(&incident).await });
        }
        senders.close();
        senders.wait().await;
    }

    async fn send_of(&self, incident: &Told) {
        let left = self.world.ends() - Instant::now();
        let begins = self.world.chance(|rng| rng.u64(..left.as_secs()));
        sleep(Duration::from_secs(begins)).await;

        while Instant::now() < self.world.ends() {
            if incident.app == "com.example.forged" {
                if !incident.is_open() {
                    self.deliver(incident, "trigger", false).await;
                }
            } else {
                let next = if incident.is_open() {
                    "resolve"
                } else {
                    "trigger"
                };
                self.deliver(incident, next, true).await;
            }
            if !incident.stays && self.world.seldom(60) {
                // A forged mail closes nothing.
                let forged = Self::mail(incident, "OK", self.world.time(), false);
                self.over_smtp(forged).await;
            }
            // Most incidents last for minutes, some for seconds or hours.
            let most = self
                .world
                .chance(|rng| [20, 600, 1_800, 7_000][rng.usize(..4)]);
            let pause = self.world.chance(|rng| rng.u64(2..most));
            sleep(Duration::from_secs(pause)).await;
        }
    }

    /// Ends every open incident, except those that are to stay open.
    pub(super) async fn close(&self) {
        for incident in self.incidents.iter().filter(|one| !one.stays) {
            if incident.is_open() {
                self.deliver(incident, "resolve", true).await;
            }
        }
    }

    /// Sends the next mail of an incident until it is acknowledged.
    async fn deliver(&self, incident: &Told, action: &'static str, proven: bool) {
        let status = if action == "trigger" {
            "ANOMALOUS"
        } else {
            "OK"
        };
        let mail = Self::mail(incident, status, self.world.time(), proven);
        let way = self.world.chance(|rng| match rng.u8(..8) {
            0 => Way::Mailbox,
            1 | 2 => Way::Both,
            _ => Way::Smtp,
        });
        if matches!(way, Way::Both | Way::Mailbox) {
            let mailed = Message {
                ingress: NAME.into(),
                ..mail.clone()
            };
            let uid = self.doors.mailbox().deliver(mailed);
            if matches!(way, Way::Mailbox) {
                self.doors.mailbox().acknowledged(uid).await;
            }
        }
        if matches!(way, Way::Both | Way::Smtp) {
            self.over_smtp(mail.clone()).await;
        }
        self.world
            .note(&format!("{action} of {} is acknowledged", incident.id));
        lock(&incident.truth).push(action);

        if self.world.seldom(150) {
            // This copy stands for one that another mail server had kept.
            self.doors.mailbox().deliver(mail);
        }
    }

    /// Sends a mail as a mail server does: it tries whichever replica is there, until one takes the
    /// mail.
    async fn over_smtp(&self, mail: Message) {
        loop {
            if let Some(inbox) = self.doors.inbox() {
                let taken = mail.clone();
                let taken = tokio::spawn(async move { inbox.accept(vec![taken], None).await });
                if let Ok(Ok(Ok(_))) = timeout(Duration::from_mins(1), taken).await {
                    lock(&self.acknowledged).insert(mail.raw.to_vec());
                    return;
                }
            }
            self.world.pause(500..20_000).await;
        }
    }

    fn mail(incident: &Told, status: &str, time: Timestamp, proven: bool) -> Message {
        let (id, app) = (&incident.id, incident.app);
        let date = time.strftime("%a, %d %b %Y %H:%M:%S +0000");
        let raw = format!(
            "From: no-reply@am.atlassian.com\r\nSubject: x\r\nDate: {date}\r\nX-Incident: {id}\r\n\
             X-Proven: {proven}\r\nMIME-Version: 1.0\r\nContent-Type: text/html\r\n\r\n\
             <script type=\"application/json\" id=\"incident-data\">{{\"appKey\":\"{app}\",\
             \"incidentId\":\"{id}\",\"incidentStatus\":\"{status}\",\"metricName\":\"m\",\
             \"time\":\"{time}\"}}</script>\r\n"
        );
        Message {
            ingress: "smtp".into(),
            arrived_at: time,
            raw: raw.into(),
            cut_from: None,
            withheld: None,
            envelope: None,
        }
    }
}

/// Returns the authenticator's judgement of a mail: what its header says, if DNS answers.
pub(super) fn judged(world: &World, mail: &Message) -> Authenticity {
    let header = String::from_utf8_lossy(&mail.raw);
    let field = |name: &str| {
        let mut fields = header.lines().filter_map(|line| line.strip_prefix(name));
        fields.next().unwrap_or_default().to_owned()
    };
    if field("X-Proven: ") != "true" {
        return Authenticity::unproven(Verdict::None, "it has no signature");
    }
    if world.is(Trouble::NoDns) {
        world.doubt(&field("X-Incident: "));
        return Authenticity::unproven(Verdict::TempError, "DNS does not answer");
    }
    Authenticity {
        verdict: Verdict::Pass,
        evidence: Some(Evidence::Dkim),
        domain: Some("am.atlassian.com".into()),
        selector: None,
        spf: None,
        detail: None,
    }
}
