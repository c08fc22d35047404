//! Three replicas over one PostgreSQL: killed at any point and at any time, cut off from the
//! database, they lose no mail, open no second alert, and leave no mailbox unread.
//!
//! Senders do as mail servers do: what one replica does not acknowledge goes to another. A sender
//! keeps to the order of an incident's mails as time does, where minutes lie between them: the next
//! goes out when the last is decided.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::SocketAddr,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use alertbridge::{delivery::sha256_hex, ingress::imap::Tls};
use futures_util::future::join_all;
use tempfile::TempDir;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use crate::{
    crash::{at_rest, audit},
    dovecot::Dovecot,
    e2e::{DOORS, Vendors},
    generator::{self, Generated, Outcome},
    harness::{Bridge, PATIENCE, client, run, smtp_try, tail},
    postgres::Database,
};

mod expected;
mod held;
mod order;
mod overtaken;
mod start;

pub const REPLICAS: usize = 3;

fn config(url: &str, vendors: &Vendors, folder: &Path) -> String {
    format!(
        "{}
ingress:
  http: {{ listen: '127.0.0.1:0' }}
  webhook: [{{ name: http }}]
  smtp: [{{ name: smtp, listen: '127.0.0.1:0', recipients: ['alerts@example.com'] }}]
route: {{ receiver: oncall, routes: [{{ receiver: jsm, continue: true }}, {{ receiver: oncall }}] }}
delivery: {{ timeout: 1s, backoff: {{ initial: 1s, max: 1s }} }}
{}",
        DOORS.replace("sqlite:alertbridge.db", url),
        vendors.receivers(folder)
    )
}

/// One of them: its folder, its process while it runs, and where it is reached then.
pub struct Replica {
    folder: TempDir,
    config: String,
    bridge: Mutex<Option<Bridge>>,
}

impl Replica {
    fn new(url: &str, vendors: &Vendors) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = config(url, vendors, folder.path());
        Self {
            folder,
            config,
            bridge: Mutex::new(None),
        }
    }

    /// Starts it, with a plan of where to crash.
    async fn start(self: &Arc<Self>, plan: &str) {
        let (replica, plan) = (Arc::clone(self), plan.to_owned());
        let started = tokio::task::spawn_blocking(move || {
            Bridge::start_with(
                replica.folder.path(),
                &replica.config,
                &[("ALERTBRIDGE_CRASH", plan.as_str())],
            )
        });
        *self.bridge.lock().unwrap() = Some(started.await.unwrap());
    }

    fn kill(&self) {
        self.bridge.lock().unwrap().take();
    }

    pub fn ended(&self) -> bool {
        self.bridge
            .lock()
            .unwrap()
            .as_mut()
            .is_none_or(Bridge::ended)
    }

    pub fn doors(&self) -> Option<(String, SocketAddr)> {
        self.bridge
            .lock()
            .unwrap()
            .as_ref()
            .map(|bridge| (bridge.http.clone(), bridge.smtp.unwrap()))
    }

    /// Its readiness, asked once.
    pub async fn ready(&self) -> (u16, String) {
        let admin = self.bridge.lock().unwrap().as_ref().unwrap().admin.clone();
        let reply = client()
            .get(format!("{admin}/-/ready"))
            .send()
            .await
            .unwrap();
        (reply.status().as_u16(), reply.text().await.unwrap())
    }

    pub fn log(&self) -> String {
        self.bridge
            .lock()
            .unwrap()
            .as_ref()
            .map_or_else(String::new, Bridge::log)
    }
}

/// The replicas, their vendors and their database.
pub struct Fleet {
    pub database: Arc<Database>,
    pub replicas: Vec<Arc<Replica>>,
    vendors: Vendors,
}

impl Fleet {
    /// `urls` says how each replica reaches the database.
    pub async fn start(database: Database, urls: [String; REPLICAS]) -> Self {
        let vendors = Vendors::start().await;
        let replicas: Vec<_> = urls
            .iter()
            .map(|url| Arc::new(Replica::new(url, &vendors)))
            .collect();
        // At once, over an empty database: one migrates.
        join_all(replicas.iter().map(|replica| replica.start(""))).await;
        Self {
            database: Arc::new(database),
            replicas,
            vendors,
        }
    }

    /// Sends the mails, a third of them to two replicas at once; returns the numbers HTTP
    /// acknowledged.
    pub fn send(&self, mails: &[Generated], seed: u64) -> JoinHandle<Vec<i64>> {
        self.send_released(mails, seed, &Arc::new(AtomicUsize::new(usize::MAX)))
    }

    /// Sends the mails likewise, each sender as many of its own as are released by then.
    pub fn send_released(
        &self,
        mails: &[Generated],
        seed: u64,
        released: &Arc<AtomicUsize>,
    ) -> JoinHandle<Vec<i64>> {
        const SENDERS: usize = 8;
        let mut shares = vec![Vec::new(); SENDERS];
        for mail in mails {
            let share = mail
                .truth
                .incident_id
                .as_ref()
                .map_or(0, |id| id.bytes().map(usize::from).sum::<usize>() % SENDERS);
            let mut eml = mail.eml.clone();
            // As it has to be over SMTP, so that it is the same through every door.
            if !eml.ends_with(b"\r\n") {
                eml.extend_from_slice(b"\r\n");
            }
            shares[share].push(eml);
        }
        let (replicas, database) = (self.replicas.clone(), Arc::clone(&self.database));
        let released = Arc::clone(released);
        tokio::spawn(async move {
            let senders = shares.into_iter().enumerate().map(|(number, mails)| {
                let rng = fastrand::Rng::with_seed(seed + number as u64);
                Sender {
                    replicas: &replicas,
                    database: &database,
                    released: &released,
                    rng,
                }
                .send(mails)
            });
            join_all(senders).await.concat()
        })
    }

    /// Waits until all is told, and holds everything that is promised.
    pub async fn audit(&self, mails: &[Generated], numbers: &[i64], crashes: usize) {
        let bridge = self.replicas[0].bridge.lock().unwrap().take().unwrap();
        at_rest(&bridge).await;
        audit(&self.vendors, &bridge, mails, numbers);
        // Without a key at the other end, a page may be seen once more for each crash, and no
        // oftener.
        let most = |seen: BTreeMap<String, usize>| seen.into_values().max().unwrap_or(0);
        let mut by_id = BTreeMap::new();
        for call in self.vendors.hook.history() {
            *by_id
                .entry(call.header("webhook-id").to_owned())
                .or_default() += 1;
        }
        assert!(most(by_id) <= 1 + crashes, "one webhook-id too often");
        let mut by_text = BTreeMap::new();
        for message in self.vendors.slack.messages() {
            *by_text.entry(message.to_string()).or_default() += 1;
        }
        assert!(most(by_text) <= 1 + crashes, "one Slack message too often");
        let opened =
            "SELECT count(*) FROM (SELECT 1 FROM mails WHERE outcome = 'opened' GROUP BY incident
                      HAVING count(*) > 1) AS twice";
        let twice: i64 = self
            .database
            .client()
            .await
            .query_one(opened, &[])
            .await
            .unwrap()
            .get(0);
        assert_eq!(twice, 0, "an incident opened twice");
    }
}

/// A mail server with a list of replicas to try.
struct Sender<'a> {
    replicas: &'a [Arc<Replica>],
    database: &'a Database,
    /// How many of its mails may be on their way by now.
    released: &'a AtomicUsize,
    rng: fastrand::Rng,
}

impl Sender<'_> {
    async fn send(mut self, mails: Vec<Vec<u8>>) -> Vec<i64> {
        let mut numbers = Vec::new();
        for (index, mail) in mails.into_iter().enumerate() {
            while self.released.load(Ordering::SeqCst) <= index {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            let [first, second] = [self.rng.fork(), self.rng.fork()];
            if self.rng.u8(..3) == 0 {
                let (one, two) = tokio::join!(
                    self.acknowledged(&mail, first),
                    self.acknowledged(&mail, second)
                );
                numbers.extend(one.into_iter().chain(two));
            } else {
                numbers.extend(self.acknowledged(&mail, first).await);
            }
            self.decided(&sha256_hex(&mail)).await;
        }
        numbers
    }

    /// Tries replicas until one takes it.
    async fn acknowledged(&self, mail: &[u8], mut rng: fastrand::Rng) -> Option<i64> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            assert!(Instant::now() < deadline, "nobody takes a mail");
            let Some((http, smtp)) = rng.choice(self.replicas).unwrap().doors() else {
                tokio::time::sleep(Duration::from_millis(10)).await;
                continue;
            };
            if rng.bool() {
                let mail = mail.to_vec();
                match tokio::task::spawn_blocking(move || smtp_try(smtp, &mail))
                    .await
                    .unwrap()
                {
                    Ok(()) => return None,
                    // Where it says anything at all, it says to come again.
                    Err(refused) if refused.kind() == std::io::ErrorKind::Other => {
                        let said = refused.to_string();
                        assert!(said.is_empty() || said.starts_with('4'), "{said}");
                    }
                    Err(_) => {}
                }
            } else {
                let request = client()
                    .post(http)
                    .header("content-type", "message/rfc822")
                    .body(mail.to_vec());
                if let Ok(reply) = request.send().await {
                    if reply.status() == 202 {
                        return reply
                            .json::<serde_json::Value>()
                            .await
                            .ok()
                            .and_then(|json| json["id"].as_i64());
                    }
                    assert_eq!(reply.status(), 503, "it is to come again");
                }
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn decided(&self, sha256: &str) {
        let deadline = Instant::now() + PATIENCE;
        let waiting = "SELECT count(*) FILTER (WHERE outcome = 'pending') AS pending, count(*) AS \
                       all FROM mails
                       WHERE sha256 = $1";
        let mut connection = self.database.try_client().await;
        loop {
            let found = match &connection {
                Ok(client) => client.query_one(waiting, &[&sha256]).await.ok(),
                Err(_) => None,
            };
            if let Some(found) = found {
                assert!(
                    found.get::<_, i64>("all") > 0,
                    "an acknowledged mail is gone"
                );
                if found.get::<_, i64>("pending") == 0 {
                    return;
                }
            } else {
                connection = self.database.try_client().await;
            }
            assert!(Instant::now() < deadline, "a mail is never decided");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// How long a round waits for its crash before each sender has one more mail.
const MORE: Duration = Duration::from_millis(400);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_killed_at_any_point_lose_no_mail_and_open_no_second_alert() {
    let begun = Instant::now();
    let database = Database::create().await;
    let urls = [database.url(), database.url(), database.url()];
    let fleet = Fleet::start(database, urls).await;
    let mails = generator::generate(4711, 400);
    let released = Arc::new(AtomicUsize::new(2));
    let sending = fleet.send_released(&mails, 1, &released);
    let mut rng = fastrand::Rng::with_seed(4711);
    let mut crashes = 0;
    // One dies between any two steps that matter, over and over; another at any time.
    for point in [
        "commit:3",
        "recorded:2",
        "decided:2",
        "claimed:2",
        "sent:1",
        "settled:2",
        "commit:9",
    ] {
        let [planned, killed] = [rng.usize(..REPLICAS), rng.usize(1..REPLICAS)];
        let (planned, killed) = (
            &fleet.replicas[planned],
            &fleet.replicas[(planned + killed) % REPLICAS],
        );
        planned.kill();
        planned.start(point).await;
        released.fetch_add(2, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(rng.u64(50..400))).await;
        killed.kill();
        crashes += 2;
        let deadline = Instant::now() + PATIENCE;
        let mut more = Instant::now();
        while !planned.ended() {
            assert!(
                Instant::now() < deadline,
                "{point} was not reached:\n{}",
                tail(&planned.log())
            );
            // Mails that the others take while this one starts bring it no nearer to its point.
            if Instant::now() > more {
                released.fetch_add(1, Ordering::SeqCst);
                more += MORE;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        crashes += 1;
        planned.kill();
        join_all([planned.start(""), killed.start("")]).await;
    }
    released.store(usize::MAX, Ordering::SeqCst);
    let numbers = tokio::time::timeout(2 * PATIENCE, sending)
        .await
        .expect("the senders hang")
        .unwrap();
    let sent = begun.elapsed();
    fleet.audit(&mails, &numbers, crashes).await;
    let repeats = fleet.vendors.hook.repeats().len();
    eprintln!(
        "{crashes} kills, {repeats} repeats at the webhook; sent in {sent:?}, at rest in {:?}",
        begun.elapsed()
    );
}

/// Between a replica and the database: cuts connections in mid-word, and now and then lets none
/// through.
struct Proxy {
    port: u16,
    cuts: Arc<AtomicUsize>,
    task: JoinHandle<()>,
    quiet: Arc<AtomicBool>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Proxy {
    async fn start(to: u16, seed: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (cuts, quiet) = (
            Arc::new(AtomicUsize::new(0)),
            Arc::new(AtomicBool::new(true)),
        );
        let (counted, calm) = (Arc::clone(&cuts), Arc::clone(&quiet));
        let task = tokio::spawn(async move {
            let mut rng = fastrand::Rng::with_seed(seed);
            let mut connections: Vec<JoinHandle<()>> = Vec::new();
            loop {
                // A busy machine decides nothing between two cuts: now and then it has the time.
                let pause = match rng.u8(..10) {
                    0 => 2000,
                    _ => rng.u64(50..400),
                };
                tokio::select! {
                    accepted = listener.accept() => {
                        let Ok((mut near, _)) = accepted else { continue };
                        connections.push(tokio::spawn(async move {
                            let Ok(mut far) = TcpStream::connect(("127.0.0.1",
                                to)).await else { return };
                            let _ = copy_bidirectional(&mut near, &mut far).await;
                        }));
                    }
                    () = tokio::time::sleep(Duration::from_millis(pause)) => {
                        connections.retain(|connection| !connection.is_finished());
                        if calm.load(Ordering::SeqCst) || connections.is_empty() {
                            continue;
                        }
                        let doomed = if rng.u8(..4) == 0 { connections.len() } else { 1 };
                        rng.shuffle(&mut connections);
                        for connection in connections.drain(..doomed) {
                            connection.abort();
                            counted.fetch_add(1, Ordering::SeqCst);
                        }
                    }
                }
            }
        });
        Self {
            port,
            cuts,
            task,
            quiet,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_cut_off_from_the_database_lose_no_mail_and_open_no_second_alert() {
    let begun = Instant::now();
    let database = Database::create().await;
    let proxies =
        join_all((0..REPLICAS as u64).map(|seed| Proxy::start(database.port(), seed))).await;
    let urls: Vec<_> = proxies
        .iter()
        .map(|proxy| database.url_through(proxy.port))
        .collect();
    let fleet = Fleet::start(database, urls.try_into().unwrap()).await;
    for proxy in &proxies {
        proxy.quiet.store(false, Ordering::SeqCst);
    }
    let mails = generator::generate(815, 100);
    let numbers = tokio::time::timeout(2 * PATIENCE, fleet.send(&mails, 2))
        .await
        .expect("the senders hang")
        .unwrap();
    for proxy in &proxies {
        proxy.quiet.store(true, Ordering::SeqCst);
    }
    let cuts: usize = proxies
        .iter()
        .map(|proxy| proxy.cuts.load(Ordering::SeqCst))
        .sum();
    let sent = begun.elapsed();
    assert!(cuts > 20, "{cuts} cuts are no trial");
    // A page is sent again only where it could not be recorded before its lease ended, in spite of
    // another try.
    fleet.audit(&mails, &numbers, 5).await;
    assert!(
        fleet.replicas[1..].iter().all(|replica| !replica.ended()),
        "a replica that is cut off goes on"
    );
    let repeats = fleet.vendors.hook.repeats().len();
    eprintln!(
        "{cuts} cuts, {repeats} repeats at the webhook; sent in {sent:?}, at rest in {:?}",
        begun.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_look_into_a_database_and_make_it_where_it_is_empty() {
    let database = Database::create().await;
    let folder = tempfile::tempdir().unwrap();
    let url = folder.path().join("url");
    fs::write(&url, database.url()).unwrap();
    let config = format!(
        "{}
ingress: {{ http: {{ listen: '127.0.0.1:0' }}, webhook: [{{ name: http }}] }}
route: {{ receiver: out }}
receivers: [{{ name: out, stdout_configs: [{{}}] }}]",
        DOORS.replace("url: 'sqlite:alertbridge.db'", "url_file: url")
    );
    fs::write(folder.path().join("alertbridge.yaml"), &config).unwrap();
    let command = |arguments: &[&str]| {
        let output = run(folder.path(), arguments);
        (
            output.status.code(),
            String::from_utf8(output.stdout).unwrap()
                + std::str::from_utf8(&output.stderr).unwrap(),
        )
    };
    let (status, said) = command(&["incidents", "list"]);
    assert!(
        status == Some(1) && said.contains("there is no store PostgreSQL database"),
        "{said}"
    );
    let (status, said) = command(&["store", "migrate"]);
    assert!(
        status == Some(0) && said.contains("created at schema version"),
        "{said}"
    );
    let (status, said) = command(&["store", "migrate"]);
    assert!(
        status == Some(0) && said.contains("at schema version") && said.contains("already"),
        "{said}"
    );
    let mail = generator::generate(1, 50)
        .into_iter()
        .find(|mail| mail.truth.outcome == Outcome::Opened)
        .unwrap();
    let bridge = Bridge::start(folder.path(), &config);
    assert_eq!(bridge.post(&mail.eml).await.unwrap(), 202);
    at_rest(&bridge).await;
    let incident = mail.truth.incident_id.unwrap();
    for arguments in [
        &["incidents", "show", &incident][..],
        &["mails", "show", "1"],
        &["replay", "--stored", "--json"],
    ] {
        let (status, said) = command(arguments);
        assert!(
            status == Some(0) && said.contains(&incident),
            "{arguments:?}: {said}"
        );
    }
    assert!(
        command(&["deliveries", "list", "--state", "delivered"])
            .1
            .contains("stdout")
    );
    assert!(bridge.stop().success());
    let newer = "INSERT INTO refinery_schema_history SELECT 999, name, applied_on, checksum FROM \
                 refinery_schema_history LIMIT 1";
    database.client().await.execute(newer, &[]).await.unwrap();
    let (status, said) = command(&["store", "migrate"]);
    assert!(
        status == Some(1)
            && said.contains("store.url: ")
            && said.contains("newer than this alertbridge"),
        "{said}"
    );
    fs::write(&url, database.url().replace("pass%20word", "hunter2")).unwrap();
    let (status, said) = command(&["serve"]);
    assert!(
        status == Some(1) && said.contains("28P01") && !said.contains("hunter2"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mailbox_moves_to_another_replica_when_its_reader_is_killed() {
    let database = Database::create().await;
    let dovecot = Dovecot::start();
    let mailbox = dovecot.settings(Tls::Implicit);
    let config = format!(
        "{}
ingress:
  imap: [{{ name: imap, host: localhost, port: {}, ca_file: '{}', username: {}, password_file: \
  '{}', backfill: 1d }}]
route: {{ receiver: out }}
receivers: [{{ name: out, stdout_configs: [{{}}] }}]",
        DOORS.replace("sqlite:alertbridge.db", &database.url()),
        mailbox.port.unwrap(),
        mailbox.ca_file.unwrap().display(),
        mailbox.username,
        mailbox.password_file.unwrap().display(),
    );
    let folders: Vec<_> = (0..REPLICAS)
        .map(|_| tempfile::tempdir().unwrap())
        .collect();
    let mut bridges: Vec<_> = folders
        .iter()
        .map(|folder| Bridge::start(folder.path(), &config))
        .collect();
    let mails: Vec<_> = generator::generate(3, 80)
        .into_iter()
        .filter(|mail| mail.truth.outcome == Outcome::Opened)
        .collect();
    let database = database.client().await;
    let stored = async |expected: usize| {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let row = database
                .query_one("SELECT count(*) FROM mails WHERE outcome = 'opened'", &[])
                .await
                .unwrap();
            let found = usize::try_from(row.get::<_, i64>(0)).unwrap();
            if found >= expected {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "{found} of {expected} mails were read"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let mut delivered = 0;
    while bridges.len() > 1 {
        for mail in &mails[delivered..delivered + 4] {
            dovecot.deliver(&mail.eml);
        }
        delivered += 4;
        stored(delivered).await;
        let readers: Vec<_> = (0..bridges.len())
            .filter(|n| bridges[*n].log().contains("the mailbox is read here"))
            .collect();
        assert_eq!(readers.len(), 1, "one reads");
        bridges.remove(readers[0]).kill();
        let killed = Instant::now();
        dovecot.deliver(&mails[delivered].eml);
        delivered += 1;
        stored(delivered).await;
        eprintln!("the mailbox moved within {:?}", killed.elapsed());
        assert!(
            killed.elapsed() < Duration::from_secs(20),
            "{:?}",
            killed.elapsed()
        );
    }
    let rows = database
        .query(
            "SELECT incident_id FROM mails JOIN incidents ON incidents.id = incident",
            &[],
        )
        .await;
    let found: Vec<String> = rows.unwrap().iter().map(|row| row.get(0)).collect();
    let distinct: BTreeSet<_> = found.iter().collect();
    assert_eq!(
        (found.len(), distinct.len()),
        (delivered, delivered),
        "each mail was read once"
    );
    // Who stops gives it back at once.
    let folder = tempfile::tempdir().unwrap();
    let last = bridges.pop().unwrap();
    let next = Bridge::start(folder.path(), &config);
    assert!(last.stop().success());
    let stopped = Instant::now();
    dovecot.deliver(&mails[delivered].eml);
    stored(delivered + 1).await;
    eprintln!(
        "after a stop the mailbox moved within {:?}",
        stopped.elapsed()
    );
    assert!(next.log().contains("the mailbox is read here"));
}
