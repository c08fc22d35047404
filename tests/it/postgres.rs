//! Private PostgreSQL servers on free loopback ports: one that all tests share, with a database for
//! each of them, and one of a test's own where it is stopped, or set up otherwise.
//!
//! They run as the package's user where the tests run as root, which PostgreSQL refuses to be. They
//! end with the tests, however those end: they are told by the closing of a pipe.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{
        Arc, LazyLock, Mutex,
        atomic::{AtomicU32, Ordering},
    },
};

use crate::port::free_port;
use alertbridge::store::postgres::{Address, Postgres};

mod dump;
mod full;
mod outage;
mod tls;

/// What a role of the tests logs in with.
pub const PASSWORD: &str = "pass word/@";
const PASSWORD_IN_URL: &str = "pass%20word%2F%40";

/// The server's programs, of Debian's newest version here.
pub fn programs() -> PathBuf {
    let mut found: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .map(|versions| {
            versions
                .map(|version| version.unwrap().path().join("bin"))
                .collect()
        })
        .unwrap_or_default();
    found.retain(|folder| folder.join("initdb").exists());
    found.sort();
    found
        .pop()
        .expect("PostgreSQL's server is not here: install Debian's package postgresql-15")
}

/// A server, running or stopped.
pub struct Server {
    folder: PathBuf,
    port: u16,
    keeper: Mutex<Keeper>,
}

/// Starts and stops it, word by word, and cleans up when its standard input ends.
struct Keeper {
    _child: Child,
    say: ChildStdin,
    hear: BufReader<ChildStdout>,
}

/// Lays the server out in `$1`, by the programs in `$2`.
const KEEPER: &str = r#"
set -e
cd "$1"
bin=$2
"$bin/initdb" -D data -U bridge --pwfile=password -A scram-sha-256 -E UTF8 --locale=C \
    --no-sync >initdb.log 2>&1 || {
    cat initdb.log >&2; exit 1; }
cat settings >>data/postgresql.conf
start() {
    "$bin/pg_ctl" -D data -s -w -l log start </dev/null >/dev/null || { cat log >&2; exit 1; }
}
stop() { "$bin/pg_ctl" -D data -s -w -m immediate stop; }
start
echo done
while read -r word; do
    "$word"
    echo done
done
stop || true
cd /
rm -rf "$1"
"#;

impl Server {
    /// Starts one, with settings of its own and files that lie beside them. It takes a second: not
    /// for a task's thread.
    pub fn start(settings: &str, files: &[(&str, &str)]) -> Arc<Self> {
        let folder = tempfile::Builder::new()
            .prefix("alertbridge-postgres-")
            .tempdir()
            .unwrap()
            .keep();
        let port = free_port();
        let settings = format!(
            "port = {port}
            unix_socket_directories = '{}'
            listen_addresses = '127.0.0.1'
            max_connections = 300
            fsync = off
            autovacuum_naptime = 5s
            {settings}\n",
            folder.display()
        );
        for (name, content) in files
            .iter()
            .chain(&[("settings", settings.as_str()), ("password", PASSWORD)])
        {
            write_private(&folder.join(name), content);
        }
        let root = fs::metadata("/proc/self")
            .is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
        let mut keeper = if root {
            assert!(
                Command::new("chown")
                    .args(["-R", "postgres:"])
                    .arg(&folder)
                    .status()
                    .unwrap()
                    .success()
            );
            let mut keeper = Command::new("setpriv");
            keeper.args([
                "--reuid=postgres",
                "--regid=postgres",
                "--init-groups",
                "sh",
                "-c",
            ]);
            keeper
        } else {
            let mut keeper = Command::new("sh");
            keeper.arg("-c");
            keeper
        };
        // In a group of its own: an interrupt at the terminal is for the tests, and reaches it
        // through them.
        std::os::unix::process::CommandExt::process_group(&mut keeper, 0);
        let mut child = keeper
            .args([KEEPER, "keeper"])
            .arg(&folder)
            .arg(programs())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (say, hear) = (
            child.stdin.take().unwrap(),
            BufReader::new(child.stdout.take().unwrap()),
        );
        let mut keeper = Keeper {
            _child: child,
            say,
            hear,
        };
        keeper.hear_done();
        Arc::new(Self {
            folder,
            port,
            keeper: Mutex::new(keeper),
        })
    }

    /// Where it keeps the files it was given.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// As if it had crashed: it says good-bye to nobody.
    pub async fn stop_at_once(self: &Arc<Self>) {
        self.tell("stop").await;
    }

    /// Done when it takes connections again.
    pub async fn start_again(self: &Arc<Self>) {
        self.tell("start").await;
    }

    async fn tell(self: &Arc<Self>, word: &'static str) {
        let server = Arc::clone(self);
        let told = tokio::task::spawn_blocking(move || {
            let mut keeper = server.keeper.lock().unwrap();
            writeln!(keeper.say, "{word}").unwrap();
            keeper.hear_done();
        });
        told.await.unwrap();
    }
}

impl Keeper {
    fn hear_done(&mut self) {
        let mut said = String::new();
        self.hear.read_line(&mut said).unwrap();
        assert_eq!(said, "done\n", "PostgreSQL does not start, or stop");
    }
}

/// As PostgreSQL wants its keys.
fn write_private(file: &Path, content: &str) {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut file = fs::File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file)
        .unwrap();
    file.write_all(content.as_bytes()).unwrap();
}

/// A database of a test's own.
pub struct Database {
    server: Arc<Server>,
    name: String,
}

impl Database {
    /// Makes an empty one.
    pub async fn create() -> Self {
        static SHARED: LazyLock<Arc<Server>> = LazyLock::new(|| Server::start("", &[]));
        // In the second it takes other tests go on.
        Self::create_in(
            tokio::task::spawn_blocking(|| Arc::clone(&SHARED))
                .await
                .unwrap(),
        )
        .await
    }

    /// The same in a server of the test's own.
    pub async fn create_in(server: Arc<Server>) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("test{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let own = Self { server, name };
        own.beside("postgres")
            .client()
            .await
            .batch_execute(&format!("CREATE DATABASE {}", own.name))
            .await
            .unwrap();
        own
    }

    /// Another in the same server, which is there or will be.
    pub fn beside(&self, name: &str) -> Self {
        Self {
            server: Arc::clone(&self.server),
            name: name.to_owned(),
        }
    }

    pub fn server(&self) -> &Arc<Server> {
        &self.server
    }

    /// How the bridge reaches it.
    pub fn url(&self) -> String {
        self.url_through(self.port())
    }

    /// The same, by another port of this machine.
    pub fn url_through(&self, port: u16) -> String {
        format!(
            "postgres://bridge:{PASSWORD_IN_URL}@127.0.0.1:{port}/{}",
            self.name
        )
    }

    /// The same without the password, for PostgreSQL's own tools.
    pub fn address(&self) -> String {
        format!("postgres://bridge@127.0.0.1:{}/{}", self.port(), self.name)
    }

    pub fn port(&self) -> u16 {
        self.server.port
    }

    pub async fn open(&self) -> Postgres {
        Postgres::open(&Address::parse(&self.url()).unwrap())
            .await
            .unwrap()
    }

    /// A connection of the test's own.
    pub async fn client(&self) -> tokio_postgres::Client {
        self.try_client().await.unwrap()
    }

    /// The same, where the server may be down.
    pub async fn try_client(&self) -> Result<tokio_postgres::Client, tokio_postgres::Error> {
        let mut config = tokio_postgres::Config::new();
        config
            .host("127.0.0.1")
            .port(self.port())
            .user("bridge")
            .password(PASSWORD)
            .dbname(&self.name);
        let (client, connection) = config.connect(tokio_postgres::NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }
}
