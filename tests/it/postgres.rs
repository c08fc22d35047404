//! A private PostgreSQL on a free loopback port, shared by all tests, a database for each of them.
//!
//! It runs as the package's user where the tests run as root, which PostgreSQL refuses to be. It ends with the tests,
//! however they end: it is told by the closing of a pipe.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{
        LazyLock,
        atomic::{AtomicU32, Ordering},
    },
};

use alertbridge::store::postgres::{Address, Postgres};

/// What a role of the tests logs in with.
pub const PASSWORD: &str = "pass word/@";
const PASSWORD_IN_URL: &str = "pass%20word%2F%40";

/// The servers programs, of Debian's newest version here.
fn programs() -> PathBuf {
    let mut found: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .map(|versions| versions.map(|version| version.unwrap().path().join("bin")).collect())
        .unwrap_or_default();
    found.retain(|folder| folder.join("initdb").exists());
    found.sort();
    found.pop().expect("PostgreSQL's server is not here: install Debian's package postgresql-15")
}

struct Cluster {
    port: u16,
    /// Ends when its standard input does.
    _keeper: Child,
}

/// Lays the cluster out in `$1`, serves it on port `$2`, and cleans up when its standard input ends.
const KEEPER: &str = r#"
set -e
cd "$1"
printf '%s' "$3" > password
"$4/initdb" -D data -U bridge --pwfile=password -A scram-sha-256 -E UTF8 --locale=C --no-sync >initdb.log 2>&1 || {
    cat initdb.log >&2; exit 1; }
"$4/postgres" -D data -p "$2" -k "$1" -c listen_addresses=127.0.0.1 -c fsync=off -c max_connections=300 \
    -c autovacuum_naptime=5s >postgres.log 2>&1 &
server=$!
until "$4/pg_isready" -q -h 127.0.0.1 -p "$2"; do
    kill -0 $server || { cat postgres.log >&2; exit 1; }
    sleep 0.05
done
echo ready
cat >/dev/null
kill -QUIT $server
wait $server || true
cd /
rm -rf "$1"
"#;

static CLUSTER: LazyLock<Cluster> = LazyLock::new(|| {
    let folder = tempfile::Builder::new().prefix("alertbridge-postgres-").tempdir().unwrap().keep();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let root = fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
    let mut keeper = if root {
        assert!(Command::new("chown").arg("postgres:").arg(&folder).status().unwrap().success());
        let mut keeper = Command::new("setpriv");
        keeper.args(["--reuid=postgres", "--regid=postgres", "--init-groups", "sh", "-c"]);
        keeper
    } else {
        let mut keeper = Command::new("sh");
        keeper.arg("-c");
        keeper
    };
    // In a group of its own: an interrupt at the terminal is for the tests, and reaches it through them.
    std::os::unix::process::CommandExt::process_group(&mut keeper, 0);
    let mut keeper = keeper
        .args([KEEPER, "keeper"])
        .arg(&folder)
        .args([&port.to_string(), PASSWORD])
        .arg(programs())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    BufReader::new(keeper.stdout.take().unwrap()).read_line(&mut said).unwrap();
    assert_eq!(said, "ready\n", "PostgreSQL does not start");
    Cluster { port, _keeper: keeper }
});

/// A database of a test's own.
pub struct Database {
    name: String,
}

impl Database {
    /// Makes an empty one.
    pub async fn create() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        // Starting the server takes a second, in which other tests go on.
        tokio::task::spawn_blocking(|| LazyLock::force(&CLUSTER)).await.unwrap();
        let name = format!("test{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        Self { name: "postgres".into() }
            .client()
            .await
            .batch_execute(&format!("CREATE DATABASE {name}"))
            .await
            .unwrap();
        Self { name }
    }

    /// How the bridge reaches it.
    pub fn url(&self) -> String {
        self.url_through(CLUSTER.port)
    }

    /// The same, by another port of this machine.
    pub fn url_through(&self, port: u16) -> String {
        format!("postgres://bridge:{PASSWORD_IN_URL}@127.0.0.1:{port}/{}", self.name)
    }

    pub fn port() -> u16 {
        CLUSTER.port
    }

    pub async fn open(&self) -> Postgres {
        Postgres::open(&Address::parse(&self.url()).unwrap()).await.unwrap()
    }

    /// A connection of the test's own.
    pub async fn client(&self) -> tokio_postgres::Client {
        let mut config = tokio_postgres::Config::new();
        config.host("127.0.0.1").port(CLUSTER.port).user("bridge").password(PASSWORD).dbname(&self.name);
        let (client, connection) = config.connect(tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    }
}
