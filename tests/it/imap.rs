//! The IMAP ingress against a real Dovecot, and against servers no Dovecot would be.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and runs by the machine's clock"
)]

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant, SystemTime},
};

use alertbridge::{
    clock::Clock,
    ingress::{
        Condition, Health, Inbox, Ingress as _, Refused,
        imap::{After, Imap, Settings, Timeouts, Tls},
    },
    message::{Bookmark, MailId, Message},
    settings,
};
use async_trait::async_trait;
use jiff::SignedDuration;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpListener,
    sync::Notify,
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use crate::{
    dovecot::{Dovecot, PASSWORD, USER},
    inbox::eventually,
};

const DAY: u64 = 86_400;

// ---- An inbox that remembers ----

#[derive(Default)]
pub struct Recorder(Mutex<Recorded>);

#[derive(Default)]
struct Recorded {
    mails: Vec<Message>,
    /// Mails in each commit.
    commits: Vec<usize>,
    bookmarks: BTreeMap<String, Bookmark>,
    full: bool,
    refusals: usize,
}

#[async_trait]
impl Inbox for Recorder {
    async fn accept(
        &self,
        mails: Vec<Message>,
        bookmark: Option<Bookmark>,
    ) -> Result<Vec<MailId>, Refused> {
        let mut state = self.0.lock().unwrap();
        if state.full {
            state.refusals += 1;
            return Err(Refused::Failed("the disk is full".into()));
        }
        let first = state.mails.len();
        state.commits.push(mails.len());
        state.mails.extend(mails);
        if let Some(mut bookmark) = bookmark {
            let known = state.bookmarks.remove(&bookmark.mailbox);
            if let Some(known) = known
                .filter(|known| known.uid_validity == bookmark.uid_validity && !bookmark.rewound)
            {
                let added: Vec<u32> = bookmark.wanted.iter().map(|wanted| wanted.uid).collect();
                bookmark.wanted.extend(
                    known
                        .wanted
                        .into_iter()
                        .filter(|wanted| !added.contains(&wanted.uid)),
                );
            }
            let given = std::mem::take(&mut bookmark.given);
            bookmark
                .wanted
                .retain(|wanted| !given.contains(&wanted.uid));
            state.bookmarks.insert(bookmark.mailbox.clone(), bookmark);
        }
        Ok((first..state.mails.len())
            .map(|id| MailId::try_from(id).unwrap())
            .collect())
    }

    async fn bookmark(&self, mailbox: &str) -> Result<Option<Bookmark>, Refused> {
        Ok(self.0.lock().unwrap().bookmarks.get(mailbox).cloned())
    }
}

impl Recorder {
    pub fn bodies(&self) -> Vec<Vec<u8>> {
        self.0
            .lock()
            .unwrap()
            .mails
            .iter()
            .map(|mail| mail.raw.to_vec())
            .collect()
    }

    pub fn mails(&self) -> Vec<Message> {
        self.0.lock().unwrap().mails.clone()
    }

    fn count(&self) -> usize {
        self.0.lock().unwrap().mails.len()
    }

    fn last_uid(&self) -> Option<u32> {
        self.0
            .lock()
            .unwrap()
            .bookmarks
            .values()
            .next()
            .map(|bookmark| bookmark.last_uid)
    }

    /// As if everything had been stored so long before.
    pub fn was_written_before(&self, time: SignedDuration) {
        let mut state = self.0.lock().unwrap();
        for bookmark in state.bookmarks.values_mut() {
            bookmark.starts_at = bookmark.starts_at.map(|starts_at| starts_at - time);
        }
    }

    pub fn set_full(&self, full: bool) {
        self.0.lock().unwrap().full = full;
    }
}

// ---- A running ingress ----

pub struct Running {
    pub inbox: Arc<Recorder>,
    health: Health,
    pub reloaded: Arc<Notify>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    pub fn start(settings: &Settings) -> Self {
        Self::resume(settings, Arc::default())
    }

    fn resume(settings: &Settings, inbox: Arc<Recorder>) -> Self {
        let millis = Duration::from_millis;
        Self::with(
            settings,
            inbox,
            Timeouts {
                command: millis(3000),
                stall: millis(500),
                retry: (millis(20), millis(200)),
                retry_login: (millis(20), millis(200)),
                ..Timeouts::default()
            },
        )
    }

    pub fn with(settings: &Settings, inbox: Arc<Recorder>, timeouts: Timeouts) -> Self {
        let max_age = settings::Duration::from_secs(DAY);
        let reloaded = Arc::new(Notify::new());
        let imap = Imap::new(settings, Clock::system(), max_age)
            .unwrap()
            .with_timeouts(timeouts)
            .with_reloads(Arc::clone(&reloaded));
        let (health, stop) = (Health::default(), CancellationToken::new());
        let task = tokio::spawn(Box::new(imap).run(inbox.clone(), health.clone(), stop.clone()));
        Self {
            inbox,
            health,
            reloaded,
            stop,
            task,
        }
    }

    pub fn condition(&self) -> Condition {
        self.health
            .conditions()
            .remove("mailbox")
            .unwrap_or_default()
    }

    pub async fn is_well(&self) {
        eventually("a completed scan", || {
            let condition = self.condition();
            condition.last_success.is_some() && condition.failure.is_none()
        })
        .await;
    }

    pub async fn has(&self, mails: usize) {
        eventually(&format!("{mails} mails"), || self.inbox.count() >= mails).await;
        assert_eq!(self.inbox.count(), mails);
    }

    pub async fn fails_with(&self, words: &str) -> Condition {
        eventually(&format!("a failure with `{words}`"), || {
            self.condition()
                .failure
                .is_some_and(|failure| failure.contains(words))
        })
        .await;
        self.condition()
    }

    pub async fn end(self) -> Arc<Recorder> {
        self.stop.cancel();
        tokio::time::timeout(Duration::from_secs(10), self.task)
            .await
            .expect("it does not stop")
            .unwrap();
        self.inbox
    }
}

pub fn mail(number: usize) -> Vec<u8> {
    format!("From: no-reply@am.atlassian.com\r\nSubject: alert {number}\r\n\r\nbody {number}\r\n")
        .into_bytes()
}

// ---- Dovecot ----

#[tokio::test]
async fn a_mail_arrives_by_idle_within_seconds_and_byte_by_byte() {
    let dovecot = Dovecot::start();
    let running = Running::start(&dovecot.settings(Tls::None));
    running.is_well().await;
    let odd = b"From: a\r\nSubject: =?x?\xff\r\n\r\n{500000000}\r\n((((\r\n.\r\n* BYE\r\n)\r\na1 \
          OK\r\n\xfe\r\n"
        .to_vec();
    let sent = Instant::now();
    dovecot.deliver(&odd);
    running.has(1).await;
    assert!(
        sent.elapsed() < Duration::from_secs(4),
        "{:?}",
        sent.elapsed()
    );
    assert_eq!(running.inbox.bodies(), [odd]);
    let inbox = running.end().await;
    let state = inbox.0.lock().unwrap();
    assert_eq!(
        (state.mails[0].ingress.as_str(), state.mails[0].cut_from),
        ("mailbox", None)
    );
    assert!(
        dovecot
            .files("INBOX")
            .iter()
            .all(|name| !name.contains('S')),
        "`keep` changes nothing"
    );
}

#[tokio::test]
async fn mail_comes_over_starttls_and_implicit_tls_with_a_ca_of_ones_own() {
    let dovecot = Dovecot::start();
    for tls in [Tls::Starttls, Tls::Implicit] {
        let running = Running::start(&dovecot.settings(tls));
        running.is_well().await;
        dovecot.deliver(&mail(1));
        running.has(1).await;
        running.end().await;
    }
}

#[tokio::test]
async fn a_server_with_a_certificate_nobody_trusted_signed_is_refused() {
    let dovecot = Dovecot::start();
    for tls in [Tls::Starttls, Tls::Implicit] {
        let running = Running::start(&Settings {
            ca_file: None,
            ..dovecot.settings(tls)
        });
        let condition = running
            .fails_with("name its CA's certificate in `ca_file`")
            .await;
        assert_eq!(
            (condition.last_success, condition.login_refused),
            (None, false)
        );
        running.end().await;
    }
    let running = Running::start(&Settings {
        host: "127.0.0.1".into(),
        ..dovecot.settings(Tls::Implicit)
    });
    running.fails_with("certificate is for another name").await;
    running.end().await;
}

#[tokio::test]
async fn a_refused_login_is_told_and_mended_by_the_passwords_file_alone() {
    let dovecot = Dovecot::start();
    dovecot.write_password("wrong-password");
    let running = Running::start(&dovecot.settings(Tls::None));
    let condition = running
        .fails_with("the server refused the login of alerts")
        .await;
    assert!(condition.login_refused);
    assert!(!condition.failure.unwrap().contains("wrong-password"));
    dovecot.write_password(PASSWORD);
    running.is_well().await;
    assert!(!running.condition().login_refused);
    running.end().await;
}

#[tokio::test]
async fn a_connection_killed_in_mid_idle_is_made_again_and_no_mail_is_missed() {
    let dovecot = Dovecot::start();
    let running = Running::start(&dovecot.settings(Tls::Implicit));
    running.is_well().await;
    for (count, (signal, process)) in [("TERM", "imap"), ("KILL", "imap"), ("KILL", "imap-login")]
        .iter()
        .enumerate()
    {
        eventually(process, || dovecot.signal(signal, process) > 0).await;
        dovecot.deliver(&mail(count));
        running.has(count + 1).await;
    }
    running.is_well().await;
    running.end().await;
}

#[tokio::test]
async fn a_server_that_falls_silent_in_mid_idle_is_left() {
    let dovecot = Dovecot::start();
    let millis = Duration::from_millis;
    let timeouts = Timeouts {
        command: millis(500),
        idle: millis(500),
        retry: (millis(20), millis(100)),
        ..Timeouts::default()
    };
    let running = Running::with(&dovecot.settings(Tls::None), Arc::default(), timeouts);
    running.is_well().await;
    eventually("a process to stop", || dovecot.signal("STOP", "imap") > 0).await;
    dovecot.deliver(&mail(1));
    running.has(1).await;
    running.is_well().await;
    running.end().await;
}

#[tokio::test]
async fn a_thousand_mails_that_came_while_it_was_down_are_fetched_once_each() {
    let mut dovecot = Dovecot::start();
    let settings = dovecot.settings(Tls::None);
    let running = Running::start(&settings);
    running.is_well().await;
    dovecot.stop();
    running.fails_with("").await;
    let inbox = running.end().await;
    for number in 0..1000 {
        dovecot.deliver(&mail(number));
    }
    dovecot.start_again();
    let running = Running::resume(&settings, inbox);
    running.has(1000).await;
    running.is_well().await;
    let inbox = running.end().await;
    let mut expected: Vec<_> = (0..1000).map(mail).collect();
    let mut bodies = inbox.bodies();
    expected.sort();
    bodies.sort();
    assert_eq!(bodies, expected);
    let commits = inbox.0.lock().unwrap().commits.clone();
    assert!(
        commits.iter().all(|mails| *mails <= 64) && commits.len() < 30,
        "{commits:?}"
    );
}

#[tokio::test]
async fn after_a_change_of_uidvalidity_the_folder_is_read_again_as_far_back_as_max_age() {
    let mut dovecot = Dovecot::start();
    let settings = Settings {
        backfill: settings::Duration::from_secs(30 * DAY),
        ..dovecot.settings(Tls::None)
    };
    dovecot.deliver_dated(&mail(1), SystemTime::now() - Duration::from_secs(3 * DAY));
    dovecot.deliver(&mail(2));
    let running = Running::start(&settings);
    running.has(2).await;
    running.is_well().await;
    let inbox = running.end().await;

    dovecot.change_uid_validity(4_000_000_000);
    dovecot.deliver(&mail(3));
    let running = Running::resume(&settings, inbox);
    running.has(4).await;
    running.is_well().await;
    assert_eq!(running.inbox.bodies()[2..], [mail(2), mail(3)]);
    dovecot.deliver(&mail(4));
    running.has(5).await;
    let inbox = running.end().await;
    let bookmark = inbox
        .0
        .lock()
        .unwrap()
        .bookmarks
        .values()
        .next()
        .cloned()
        .unwrap();
    assert_eq!(bookmark.uid_validity, 4_000_000_000);
}

/// An edit of where the mailbox is, with what a Recorder has afterwards: it keeps every copy.
#[tokio::test]
async fn an_edit_of_a_mailboxs_address_loses_no_mail_and_begins_where_it_was_begun() {
    type Edit = fn(&mut Settings, &Dovecot);
    let edits: [(Edit, usize); 4] = [
        (|settings, _| settings.host = "127.0.0.1".into(), 1),
        (
            |settings, dovecot| *settings = dovecot.settings(Tls::Implicit),
            1,
        ),
        (
            |settings, _| {
                settings.host = "127.0.0.1".into();
                settings.backfill = settings::Duration::from_secs(DAY / 24);
            },
            1,
        ),
        (|settings, _| settings.folder = "inbox".into(), 0),
    ];

    for (edit, copies) in edits {
        let dovecot = Dovecot::start();
        let settings = dovecot.settings(Tls::None);
        let mut edited = settings.clone();
        edit(&mut edited, &dovecot);

        dovecot.deliver_dated(&mail(0), SystemTime::now() - Duration::from_secs(DAY / 2));
        let running = Running::start(&settings);
        running.is_well().await;
        dovecot.deliver(&mail(1));
        running.has(1).await;
        running.is_well().await;
        let inbox = running.end().await;

        dovecot.deliver(&mail(2));
        let running = Running::resume(&edited, inbox);
        running.has(2 + copies).await;
        running.is_well().await;
        dovecot.deliver(&mail(3));
        running.has(3 + copies).await;
        let inbox = running.end().await;
        let mut expected = vec![mail(1), mail(1), mail(2), mail(3)];
        expected.drain(copies..1);
        assert_eq!(inbox.bodies(), expected, "{edited:?}");

        // What other ingresses read is none of this one's.
        let renamed = Settings {
            name: "another".into(),
            host: "127.0.0.1".into(),
            ..settings
        };
        let running = Running::resume(&renamed, inbox);
        eventually("a completed scan", || {
            let conditions = running.health.conditions();
            let condition = conditions.get("another");
            condition.is_some_and(|one| one.last_success.is_some())
        })
        .await;
        running.has(3 + copies).await;
        running.end().await;
    }
}

/// An earlier version took the folder's name as written, and remembered no ingress' name.
#[tokio::test]
async fn a_bookmark_of_inbox_in_another_spelling_is_followed() {
    let dovecot = Dovecot::start();
    let settings = Settings {
        folder: "Inbox".into(),
        ..dovecot.settings(Tls::None)
    };
    let running = Running::start(&settings);
    running.is_well().await;
    let inbox = running.end().await;
    {
        let mut state = inbox.0.lock().unwrap();
        let bookmark = state.bookmarks.remove(&settings.mailbox()).unwrap();
        let mailbox = settings.mailbox().replace("/INBOX", "/Inbox");
        let known = Bookmark {
            mailbox: mailbox.clone(),
            ..bookmark
        };
        state.bookmarks = BTreeMap::from([(mailbox, known)]);
    }

    dovecot.deliver(&mail(1));
    let running = Running::resume(&settings, inbox);
    running.has(1).await;
    assert_eq!(running.end().await.bodies(), [mail(1)]);
}

#[tokio::test]
async fn of_a_mail_over_the_limit_only_the_header_is_taken() {
    let dovecot = Dovecot::start();
    let settings = Settings {
        max_message_size: "10KiB".parse().unwrap(),
        ..dovecot.settings(Tls::None)
    };
    let running = Running::start(&settings);
    running.is_well().await;
    let mut huge = b"Subject: huge\r\n\r\n".to_vec();
    huge.extend_from_slice(&b"0123456789abcd\r\n".repeat(1000));
    dovecot.deliver(&huge);
    dovecot.deliver(&mail(1));
    running.has(2).await;
    let inbox = running.end().await;
    let state = inbox.0.lock().unwrap();
    let taken: Vec<_> = state
        .mails
        .iter()
        .map(|mail| (mail.raw.to_vec(), mail.cut_from))
        .collect();
    assert!(
        taken.contains(&(b"Subject: huge\r\n\r\n".to_vec(), Some(huge.len() as u64))),
        "{taken:?}"
    );
    assert!(taken.contains(&(mail(1), None)));
}

#[tokio::test]
async fn a_stored_mail_is_marked_moved_or_deleted_as_configured() {
    let dovecot = Dovecot::start();
    let with = |after| Settings {
        after,
        ..dovecot.settings(Tls::None)
    };

    let running = Running::start(&with(After::Seen));
    running.is_well().await;
    dovecot.deliver(&mail(1));
    eventually(
        "the mail to be seen",
        || matches!(&dovecot.files("INBOX")[..], [name] if name.ends_with(",S")),
    )
    .await;
    running.end().await;

    let running = Running::start(&with(After::Move("Erledigt/Größe".into())));
    running.is_well().await;
    dovecot.deliver(&mail(2));
    eventually("the mail to be moved", || {
        dovecot.files("Erledigt.Gr&APYA3w-e").len() == 1
    })
    .await;
    eventually("the mail to leave the INBOX", || {
        dovecot.files("INBOX").len() == 1
    })
    .await;
    running.end().await;

    let running = Running::start(&with(After::Delete));
    running.is_well().await;
    dovecot.deliver(&mail(3));
    running.has(1).await;
    eventually("the mail to be deleted", || {
        dovecot.files("INBOX").len() == 1
    })
    .await;
    running.end().await;
}

#[tokio::test]
async fn the_first_connect_starts_at_now_unless_backfill_says_otherwise() {
    let dovecot = Dovecot::start();
    let ago = |seconds| SystemTime::now() - Duration::from_secs(seconds);
    dovecot.deliver_dated(&mail(1), ago(3 * DAY));
    dovecot.deliver_dated(&mail(2), ago(3600));
    let settings = dovecot.settings(Tls::None);
    let running = Running::start(&settings);
    running.is_well().await;
    let inbox = running.end().await;
    assert_eq!(
        (inbox.count(), inbox.last_uid()),
        (0, Some(2)),
        "the bookmark is stored though nothing came"
    );

    dovecot.deliver(&mail(3));
    let running = Running::resume(&settings, inbox);
    running.has(1).await;
    assert_eq!(running.inbox.bodies(), [mail(3)]);
    running.end().await;

    let settings = Settings {
        backfill: settings::Duration::from_secs(2 * 3600),
        ..settings
    };
    let running = Running::start(&settings);
    running.is_well().await;
    assert_eq!(running.inbox.bodies(), [mail(2), mail(3)]);
    running.end().await;
}

#[tokio::test]
async fn a_mail_that_was_written_now_is_read_though_it_is_filed_under_1980() {
    let dovecot = Dovecot::start();
    let dated = |number: usize, written: &str| {
        [format!("Date: {written}\r\n").as_bytes(), &mail(number)].concat()
    };
    let now = crate::delivery::now().strftime("%a, %d %b %Y %H:%M:%S +0000");
    let clockless = SystemTime::UNIX_EPOCH + Duration::from_secs(10 * 366 * DAY);
    let (old, new) = (
        dated(1, "Tue, 1 Jan 1980 00:00:00 +0000"),
        dated(2, &now.to_string()),
    );
    dovecot.deliver_dated(&old, clockless);
    dovecot.deliver_dated(&new, clockless);
    let settings = Settings {
        backfill: settings::Duration::from_secs(DAY),
        ..dovecot.settings(Tls::None)
    };
    let running = Running::start(&settings);
    running.is_well().await;
    assert_eq!(running.inbox.bodies(), [new]);
    running.end().await;
}

#[tokio::test]
async fn while_the_store_refuses_nothing_in_the_folder_is_touched() {
    let dovecot = Dovecot::start();
    let running = Running::start(&Settings {
        after: After::Delete,
        ..dovecot.settings(Tls::None)
    });
    running.is_well().await;
    running.inbox.set_full(true);
    dovecot.deliver(&mail(1));
    let condition = running.fails_with("the disk is full").await;
    assert!(!condition.login_refused);
    eventually("ten refusals", || {
        running.inbox.0.lock().unwrap().refusals >= 10
    })
    .await;
    assert_eq!(
        (running.inbox.last_uid(), dovecot.files("INBOX").len()),
        (Some(0), 1)
    );
    running.inbox.set_full(false);
    running.has(1).await;
    assert_eq!(
        running.inbox.bodies(),
        [mail(1)],
        "whole, however often it was tried"
    );
    eventually("the mail to be deleted", || {
        dovecot.files("INBOX").is_empty()
    })
    .await;
    running.end().await;
}

// ---- Servers no Dovecot would be ----

/// What a fake answers to one command, `tag` and all.
type Answers = Arc<dyn Fn(&str, &str) -> Option<String> + Send + Sync>;

struct Fake {
    port: u16,
    commands: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Where an answer ends, and the connection with it.
const DIES: &str = "<dies>";

impl Fake {
    /// A server with the mails 1 to 3; `odd` answers first, where it wants to.
    async fn start(
        greeting: &'static str,
        abilities: &'static str,
        odd: impl Fn(&str, &str) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let commands = Arc::<Mutex<Vec<String>>>::default();
        let (log, answers): (_, Answers) = (commands.clone(), Arc::new(odd));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (log, answers) = (log.clone(), answers.clone());
                tokio::spawn(async move {
                    let (reader, mut writer) = stream.into_split();
                    let mut lines = BufReader::new(reader).lines();
                    let mut pending = format!("{greeting}\r\n");
                    loop {
                        let (said, dies) = pending
                            .split_once(DIES)
                            .map_or((pending.as_str(), false), |cut| (cut.0, true));
                        if writer.write_all(said.as_bytes()).await.is_err() || dies {
                            return;
                        }
                        let Ok(Some(line)) = lines.next_line().await else {
                            return;
                        };
                        let (tag, command) = line.split_once(' ').unwrap_or((&line, ""));
                        if !command.starts_with("LOGIN") {
                            log.lock().unwrap().push(command.to_owned());
                        }
                        let odd = answers(tag, command);
                        pending = odd.unwrap_or_else(|| {
                            format!("{}{tag} OK done\r\n", honest(command, abilities))
                        });
                    }
                });
            }
        });
        Self {
            port,
            commands,
            task,
        }
    }

    fn settings(&self) -> Settings {
        Settings {
            name: "mailbox".into(),
            host: "127.0.0.1".into(),
            port: Some(self.port),
            tls: Tls::None,
            username: USER.into(),
            password: Some("secret".into()),
            backfill: settings::Duration::from_secs(DAY),
            rescan_interval: settings::Duration::from_secs(1),
            ..Settings::default()
        }
    }

    fn commands(&self) -> Vec<String> {
        self.commands.lock().unwrap().clone()
    }
}

fn honest(command: &str, abilities: &str) -> String {
    let now = jiff::Timestamp::now().strftime("%d-%b-%Y %H:%M:%S +0000");
    let each =
        |one: &dyn Fn(u32) -> String| asked(command).into_iter().map(one).collect::<String>();
    match command {
        "CAPABILITY" => format!("* CAPABILITY IMAP4rev1 {abilities}\r\n"),
        _ if command.starts_with("SELECT") || command.starts_with("EXAMINE") => {
            "* 3 EXISTS\r\n* OK [UIDVALIDITY 7] ok\r\n* OK [UIDNEXT 4] ok\r\n".into()
        }
        _ if command.starts_with("UID SEARCH") => {
            format!("* SEARCH{}\r\n", each(&|uid| format!(" {uid}")))
        }
        _ if command.contains("RFC822.SIZE") => each(&|uid| {
            format!(
                "* {uid} FETCH (UID {uid} RFC822.SIZE {} INTERNALDATE \"{now}\")\r\n",
                mail(uid as usize).len()
            )
        }),
        _ if command.contains("BODY.PEEK[]") => each(&|uid| {
            let mail = String::from_utf8(mail(uid as usize)).unwrap();
            format!(
                "* {uid} FETCH (UID {uid} BODY[] {{{}}}\r\n{mail})\r\n",
                mail.len()
            )
        }),
        _ if command.contains("BODY.PEEK[HEADER]") => each(&|uid| {
            let header = format!("Subject: {uid}\r\n\r\n");
            format!(
                "* {uid} FETCH (UID {uid} BODY[HEADER]<0> {{{}}}\r\n{header})\r\n",
                header.len()
            )
        }),
        _ => String::new(),
    }
}

/// The UIDs from 1 to 3 in a command's set; `n:*` always has the last.
fn asked(command: &str) -> Vec<u32> {
    let words: Vec<&str> = command.split(' ').collect();
    let set = if words.get(1) == Some(&"SEARCH") {
        words[3]
    } else {
        words[2]
    };
    let mut uids = std::collections::BTreeSet::new();
    for part in set.split(',') {
        let (first, last) = part.split_once(':').unwrap_or((part, part));
        if last == "*" {
            uids.insert(3);
        }
        let first: u32 = first.parse().unwrap();
        uids.extend(first..=last.parse().unwrap_or(3));
    }
    uids.into_iter()
        .filter(|uid| (1..=3).contains(uid))
        .collect()
}

#[tokio::test]
async fn without_idle_the_folder_is_polled() {
    let fake = Fake::start("* OK hello", "", |_, _| None).await;
    let running = Running::start(&fake.settings());
    running.has(3).await;
    eventually("two polls", || {
        fake.commands()
            .iter()
            .filter(|command| *command == "NOOP")
            .count()
            >= 2
    })
    .await;
    running.is_well().await;
    assert_eq!(
        running.inbox.count(),
        3,
        "the last mail, which `n:*` always has, is not stored again"
    );
    running.end().await;
    assert!(!fake.commands().iter().any(|command| command == "IDLE"));
}

#[tokio::test]
async fn without_move_and_uidplus_a_mail_is_copied_and_marked_and_never_expunged() {
    for (abilities, expected) in [
        ("MOVE UIDPLUS", vec!["UID MOVE 1:3 \"Done\""]),
        (
            "UIDPLUS",
            vec![
                "UID COPY 1:3 \"Done\"",
                "UID STORE 1:3 +FLAGS.SILENT (\\Deleted)",
                "UID EXPUNGE 1:3",
            ],
        ),
        (
            "",
            vec![
                "UID COPY 1:3 \"Done\"",
                "UID STORE 1:3 +FLAGS.SILENT (\\Deleted)",
            ],
        ),
    ] {
        let fake = Fake::start("* OK hello", abilities, |_, _| None).await;
        let running = Running::start(&Settings {
            after: After::Move("Done".into()),
            ..fake.settings()
        });
        running.has(3).await;
        running.is_well().await;
        running.end().await;
        let commands = fake.commands();
        let touched: Vec<_> = commands
            .iter()
            .filter(|command| {
                ["MOVE", "COPY", "STORE", "EXPUNGE"]
                    .iter()
                    .any(|verb| command.contains(verb))
            })
            .collect();
        assert_eq!(touched, expected, "{abilities}");
    }
}

#[tokio::test]
async fn one_mail_the_server_cannot_give_does_not_block_the_others() {
    type Break = fn(&str, &str) -> Option<String>;
    let no: Break = |tag, _| Some(format!("{tag} NO [EXPUNGEISSUED] broken mail\r\n"));
    let left_out: Break = |tag, _| Some(format!("{tag} OK done\r\n"));
    let nonsense: Break = |_, _| Some("* 2 FETCH (UID 2 BODY[] {900000000}\r\n".into());
    let no_text: Break = |tag, _| {
        Some(format!(
            "* 2 FETCH (UID 2 INTERNALDATE NIL)\r\n{tag} OK [X]\u{e9}\r\n"
        ))
    };
    for (broken, header_too) in [
        (no, false),
        (no, true),
        (left_out, false),
        (nonsense, true),
        (no_text, false),
    ] {
        let fake = Fake::start("* OK hello", "", move |tag, command| {
            let body = command.contains("BODY.PEEK[]") && asked(command).contains(&2);
            let header = header_too && command.starts_with("UID FETCH 2 (UID BODY.PEEK[HEADER]");
            if body || header {
                broken(tag, command)
            } else {
                None
            }
        })
        .await;
        let running = Running::start(&fake.settings());
        running.has(3).await;
        running.is_well().await;
        let inbox = running.end().await;
        let header = if header_too { "" } else { "Subject: 2\r\n\r\n" };
        assert_eq!(inbox.bodies(), [mail(1), header.into(), mail(3)]);
        assert!(
            inbox.mails()[1]
                .withheld
                .as_deref()
                .is_some_and(|reason| reason.contains("UID 2 of INBOX"))
        );
    }
}

#[tokio::test]
async fn a_server_that_dies_in_mid_literal_is_asked_again_and_each_mail_is_stored_whole_and_once() {
    let deaths = Arc::new(Mutex::new(0));
    let seen = deaths.clone();
    let fake = Fake::start("* OK hello", "", move |_, command| {
        let mut deaths = seen.lock().unwrap();
        if !command.contains("BODY.PEEK[]") || *deaths == 3 {
            return None;
        }
        *deaths += 1;
        let whole = honest(command, "");
        Some(format!("{}{DIES}", &whole[..whole.len() * *deaths / 4]))
    })
    .await;
    let running = Running::start(&fake.settings());
    running.has(3).await;
    running.is_well().await;
    let inbox = running.end().await;
    assert_eq!(inbox.bodies(), [mail(1), mail(2), mail(3)]);
    assert_eq!(*deaths.lock().unwrap(), 3);
}

#[tokio::test]
async fn a_busy_server_never_makes_a_mail_unreadable() {
    let tries = Arc::new(Mutex::new(0));
    let seen = tries.clone();
    let fake = Fake::start("* OK hello", "", move |tag, command| {
        if !command.contains("BODY.PEEK[]") {
            return None;
        }
        let mut tries = seen.lock().unwrap();
        *tries += 1;
        (*tries < 12).then(|| format!("{tag} NO [UNAVAILABLE] later\r\n"))
    })
    .await;
    let running = Running::start(&fake.settings());
    running.has(3).await;
    let inbox = running.end().await;
    let mut bodies = inbox.bodies();
    bodies.sort();
    assert_eq!(bodies, [mail(1), mail(2), mail(3)]);
    assert!(*tries.lock().unwrap() >= 12);
}

#[tokio::test]
async fn hostile_answers_end_the_connection_at_once_and_it_tries_again() {
    type Attack = fn() -> String;
    let attacks: [(&str, &str, Attack); 6] = [
        ("CAPABILITY", "far more bytes than were asked for", || {
            "* 1 FETCH (BODY[] {500000000}\r\n".into()
        }),
        ("CAPABILITY", "a line longer", || {
            format!("* 1 FETCH (BODYSTRUCTURE {}", "(".repeat(300_000))
        }),
        ("UID SEARCH", "a line longer", || {
            format!("* SEARCH{}", " 4000000000".repeat(100_000))
        }),
        ("UID SEARCH", "far more bytes", || {
            "* 1 EXISTS\r\n".repeat(1_000_000)
        }),
        ("UID SEARCH", "another length than it announced", || {
            "* 2 FETCH (UID 2 BODY[] {1}\r\nxx\r\n".into()
        }),
        ("UID SEARCH", "an answer that is not IMAP", || {
            "confidential text of a mail\r\n".into()
        }),
    ];
    for (victim, words, attack) in attacks {
        let fake = Fake::start("* OK hello", "", move |_, command| {
            command.starts_with(victim).then(attack)
        })
        .await;
        let started = Instant::now();
        let running = Running::start(&fake.settings());
        let condition = running.fails_with(words).await;
        assert!(
            started.elapsed() < Duration::from_secs(10),
            "{words}: {:?}",
            started.elapsed()
        );
        assert!(!condition.failure.unwrap().contains("confidential"));
        eventually("another try", || {
            fake.commands()
                .iter()
                .filter(|c| c.starts_with(victim))
                .count()
                >= 3
        })
        .await;
        running.end().await;
    }
}

#[tokio::test]
async fn an_endless_or_missing_greeting_is_left() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let endless = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            while stream.write_all(&[b'x'; 4096]).await.is_ok() {}
        }
    });
    let fake = Fake::start("* BYE too many connections", "", |_, _| None).await;
    let running = Running::start(&Settings {
        port: Some(port),
        ..fake.settings()
    });
    running.fails_with("a line longer than 256 KiB").await;
    running.end().await;
    endless.abort();

    let running = Running::start(&fake.settings());
    running.fails_with("too many connections").await;
    running.end().await;
}

#[tokio::test]
async fn a_password_is_not_sent_where_the_server_wants_none_in_the_clear() {
    let fake = Fake::start(
        "* OK [CAPABILITY IMAP4rev1 LOGINDISABLED] hello",
        "",
        |_, _| None,
    )
    .await;
    let running = Running::start(&fake.settings());
    let condition = running.fails_with("accepts no password without TLS").await;
    assert!(condition.login_refused);
    running.end().await;
    assert!(fake.commands().is_empty());
}

#[tokio::test]
async fn a_servers_error_that_repeats_the_password_is_not_repeated() {
    let fake = Fake::start("* OK hello", "", |tag, command| {
        command
            .starts_with("LOGIN")
            .then(|| format!("{tag} BAD what is {command}?\r\n"))
    })
    .await;
    let running = Running::start(&fake.settings());
    let condition = running.fails_with("refused the login").await;
    assert!(!condition.failure.unwrap().contains("secret"));
    running.end().await;
}
