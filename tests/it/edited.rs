//! The configuration is edited while incidents are open and pages are owed: whatever moves in it,
//! each pager gets what it is owed, and the end of what it was told, and no other does.

use std::{
    fs,
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use serde_json::Value;

use crate::{
    delivery::{delivery, listed, post, resolve, trigger},
    e2e::HOOK_SECRET,
    harness::{self, Bridge, PATIENCE, PROGRAM, tail},
    postgres::Database,
    vendors::{Fake, Hook},
};

/// Three pagers; the configuration knows the first two of them before it is edited.
struct Pagers([Fake<Hook>; 3]);

impl Pagers {
    async fn start() -> Self {
        Self([
            Hook::start(HOOK_SECRET).await,
            Hook::start(HOOK_SECRET).await,
            Hook::start(HOOK_SECRET).await,
        ])
    }

    /// The entry of a pager: `b` with its first key, `B` with another.
    fn entry(&self, name: char) -> String {
        let pager = &self.0[usize::from(name.to_ascii_lowercase() as u8 - b'a')];
        let key = u8::from(name.is_ascii_uppercase());
        format!("{{ url: '{}?key={key}', secret_file: hook }}", pager.url())
    }

    fn config(&self, store: &str, Receiver(name, entries): Receiver, mute: &str) -> String {
        let entries: Vec<_> = entries.chars().map(|entry| self.entry(entry)).collect();
        format!(
            "
store: {{ url: '{store}' }}
admin: {{ listen: '127.0.0.1:0' }}
ingress: {{ http: {{ listen: '127.0.0.1:0' }}, webhook: [{{ name: http }}] }}
delivery: {{ timeout: 1s, backoff: {{ initial: 1s, max: 2s }} }}
time_intervals: [{{ name: always, time_intervals: [{{ times: [{{ start_time: '00:00', \
             end_time: '24:00' }}] }}] }}]
route: {{ receiver: {name}, routes: [{{ receiver: {name}, matchers: ['incident_id=\"held\"']{mute} \
             }}] }}
receivers: [{{ name: {name}, webhook_configs: [{}] }}]
",
            entries.join(", ")
        )
    }

    /// What a pager was told, sorted, without the bridge's own alarms.
    fn told(&self, name: char) -> Vec<String> {
        let pages = self.0[usize::from(name as u8 - b'a')].pages();
        let pages = pages.iter().filter(|page| !page.key.starts_with("self:"));
        let mut told: Vec<_> = pages
            .map(|page| format!("{} {}", page.action, page.key))
            .collect();
        told.sort();
        told
    }

    async fn wait(&self, name: char, page: &str) {
        let pager = &self.0[usize::from(name as u8 - b'a')];
        let told = |_: &Fake<Hook>| self.told(name).iter().any(|told| told == page);
        pager.wait_until(&format!("{page} at {name}"), told).await;
    }
}

const MUTED: &str = ", mute_time_intervals: [always]";

/// A receiver, and its entries in order.
#[derive(Clone, Copy)]
struct Receiver(&'static str, &'static str);

const BEFORE: Receiver = Receiver("oncall", "ab");

/// What the receiver becomes, and who is in it no more.
const EDITS: [(&str, Receiver, &str); 7] = [
    ("swapped", Receiver("oncall", "ba"), ""),
    ("put before", Receiver("oncall", "cab"), ""),
    ("renamed", Receiver("sre", "ab"), ""),
    (
        "renamed, swapped and put before",
        Receiver("sre", "cba"),
        "",
    ),
    ("rotated", Receiver("oncall", "aB"), ""),
    ("rotated and put before", Receiver("oncall", "caB"), ""),
    ("removed", Receiver("oncall", "b"), "a"),
];

#[derive(Clone, Copy, PartialEq)]
enum Way {
    Restart,
    Reload,
    /// Killed as soon as the names are given, at the start or at the reload, and started again.
    KilledAtStart,
    KilledAtReload,
}

async fn reload(bridge: &Bridge) -> Result<String, reqwest::Error> {
    let reload = harness::client().post(format!("{}/-/reload", bridge.admin));
    let reply = reload.send().await?;
    let status = reply.status().as_u16();
    let said = reply.text().await?;
    assert_eq!(status, 200, "{said}");
    Ok(said)
}

/// Applies the edit; the bridge that follows, and what it says.
async fn edited(mut bridge: Bridge, folder: &Path, config: &str, way: Way) -> (Bridge, String) {
    let write = || {
        let config = harness::unless_judged(config);
        fs::write(folder.join("alertbridge.yaml"), config).unwrap();
    };
    match way {
        Way::Reload => {
            write();
            let said = reload(&bridge).await.unwrap();
            return (bridge, said);
        }
        Way::Restart => {
            assert!(bridge.stop().success());
        }
        Way::KilledAtReload => {
            write();
            reload(&bridge).await.unwrap_err();
            let deadline = Instant::now() + PATIENCE;
            while !bridge.ended() {
                assert!(Instant::now() < deadline, "{}", bridge.log());
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        Way::KilledAtStart => {
            bridge.kill();
            write();
            let started = std::process::Command::new(PROGRAM)
                .args(["serve"])
                .current_dir(folder)
                .env("ALERTBRIDGE_CRASH", "named")
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status();
            assert!(!started.unwrap().success());
        }
    }
    let bridge = Bridge::start(folder, config);
    let said = bridge.log();
    (bridge, said)
}

/// One edit, with an incident that both pagers were told of, one that the second is still owed, and
/// one that a mute holds for both.
async fn walk(store: &str, (what, after, gone): (&str, Receiver, &str), way: Way) {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("hook"), HOOK_SECRET).unwrap();
    let pagers = Pagers::start().await;
    let b = &pagers.0[1];

    let crash = if way == Way::KilledAtReload {
        "named:2"
    } else {
        ""
    };
    let before = pagers.config(store, BEFORE, MUTED);
    let bridge = Bridge::start_with(folder, &before, &[("ALERTBRIDGE_CRASH", crash)]);
    post(&bridge, &trigger("open")).await;
    pagers.wait('a', "trigger open:oncall").await;
    pagers.wait('b', "trigger open:oncall").await;
    post(&bridge, &trigger("held")).await;
    delivery(&bridge, "held", |row| row["state"] == "held").await;
    b.fail_next(10_000, 503, &[]);
    post(&bridge, &trigger("owed")).await;
    pagers.wait('a', "trigger owed:oncall").await;
    let failed = |row: &Value| row["state"] == "pending" && row["failures"].as_u64() > Some(0);
    delivery(&bridge, "a failed attempt", failed).await;

    let config = pagers.config(store, after, "");
    let (bridge, said) = edited(bridge, folder, &config, way).await;
    b.heal();

    let here = format!("{what}: {}", tail(&bridge.log()));
    let lost = "no longer has webhook/0 of the receiver `oncall`: the pages owed to it become dead \
                letters (1), and it will not be told of the resolve of the open incidents that it \
                was told of (2)";
    assert_eq!(said.contains(lost), gone == "a", "{said}\n{here}");
    assert_eq!(
        said.contains("no longer has"),
        gone == "a",
        "{said}\n{here}"
    );

    pagers.wait('b', "trigger owed:oncall").await;
    pagers.wait('b', "trigger held:oncall").await;
    if gone.is_empty() {
        pagers.wait('a', "trigger held:oncall").await;
    }
    for incident in ["open", "owed", "held"] {
        post(&bridge, &resolve(incident)).await;
        for pager in ['a', 'b']
            .into_iter()
            .filter(|pager| !gone.contains(*pager))
        {
            pagers
                .wait(pager, &format!("resolve {incident}:oncall"))
                .await;
        }
    }

    let all: Vec<_> = ["resolve", "trigger"]
        .into_iter()
        .flat_map(|action| ["held", "open", "owed"].map(|of| format!("{action} {of}:oncall")))
        .collect();
    assert_eq!(pagers.told('b'), all, "{here}");
    if gone.is_empty() {
        assert_eq!(pagers.told('a'), all, "{here}");
    } else {
        assert_eq!(pagers.told('a'), [&*all[4], &*all[5]], "{here}");
    }
    assert_eq!(pagers.told('c'), [""; 0], "{here}");
    for pager in &pagers.0 {
        assert_eq!(pager.violations(), [""; 0], "{here}");
        assert_eq!(pager.repeats(), [""; 0], "{here}");
    }

    // Each is called now as it was when it was told first.
    let rows = listed(&bridge, &["deliveries", "list", "--json"]);
    let of_a = |row: &&Value| row["integration"] == "webhook/0" && row["receiver"] == "oncall";
    assert_eq!(rows.iter().filter(of_a).count(), 6, "{what}: {rows:#?}");

    // A former name is nothing to look at once nothing hangs on it.
    let receivers = format!("{}/api/v1/receivers", bridge.admin);
    let receivers = harness::client().get(receivers).send().await.unwrap();
    let receivers: Value = receivers.json().await.unwrap();
    let receivers = receivers["items"].as_array().unwrap();
    let names: Vec<_> = receivers.iter().map(|one| &one["name"]).collect();
    if gone.is_empty() {
        assert_eq!(names, [after.0], "{here}");
    }
}

async fn over_sqlite(way: Way) {
    join_all(EDITS.map(|edit| walk("sqlite:alertbridge.db", edit, way))).await;
}

async fn over_postgres(way: Way) {
    let walks = EDITS.map(async |edit| {
        let database = Database::create().await;
        walk(&database.url(), edit, way).await;
    });
    join_all(walks).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_over_a_restart() {
    over_sqlite(Way::Restart).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_over_a_reload() {
    over_sqlite(Way::Reload).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_over_a_start_that_is_killed() {
    over_sqlite(Way::KilledAtStart).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_over_a_reload_that_is_killed() {
    over_sqlite(Way::KilledAtReload).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgresql_over_a_restart() {
    over_postgres(Way::Restart).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgresql_over_a_reload() {
    over_postgres(Way::Reload).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgresql_over_a_reload_that_is_killed() {
    over_postgres(Way::KilledAtReload).await;
}

/// Two pagers were told of an incident, and the second is told of no ends. Their entries are
/// swapped, and a person resolves the incident with the command.
async fn resolved_by_hand(store: &str) {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("hook"), HOOK_SECRET).unwrap();
    let pagers = Pagers::start().await;
    let config = |receiver| {
        let b = pagers.entry('b');
        let without_ends = b.replace(" }", ", send_resolved: false }");
        pagers
            .config(store, receiver, "")
            .replace(&b, &without_ends)
    };
    let bridge = Bridge::start(folder, &config(BEFORE));
    post(&bridge, &trigger("open")).await;
    pagers.wait('a', "trigger open:oncall").await;
    pagers.wait('b', "trigger open:oncall").await;

    let after = config(Receiver("oncall", "ba"));
    let (bridge, _) = edited(bridge, folder, &after, Way::Restart).await;
    let resolved = bridge.command(&["incidents", "resolve", "open"]);
    assert!(resolved.status.success(), "{resolved:?}");

    let rows = listed(&bridge, &["deliveries", "list", "--json"]);
    let ends = rows.iter().filter(|row| row["action"] == "resolve");
    let ends: Vec<_> = ends.map(|row| &row["integration"]).collect();
    assert_eq!(ends, ["webhook/0"], "{rows:#?}");
    pagers.wait('a', "resolve open:oncall").await;
    assert_eq!(pagers.told('b'), ["trigger open:oncall"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_incident_that_the_command_resolves_ends_at_the_pagers_that_are_told_of_ends() {
    resolved_by_hand("sqlite:alertbridge.db").await;
    let database = Database::create().await;
    resolved_by_hand(&database.url()).await;
}

/// The attempt began by the configuration of before, and ends by that of now.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_under_way_during_a_reload_reaches_its_pager_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("hook"), HOOK_SECRET).unwrap();
    let pagers = Pagers::start().await;
    let store = "sqlite:alertbridge.db";
    let bridge = Bridge::start(folder, &pagers.config(store, BEFORE, ""));
    let a = &pagers.0[0];
    a.hang(1);
    post(&bridge, &trigger("slow")).await;
    a.wait_until("the attempt", |a| !a.history().is_empty())
        .await;

    let after = pagers.config(store, Receiver("sre", "cba"), "");
    let (bridge, _) = edited(bridge, folder, &after, Way::Reload).await;
    pagers.wait('a', "trigger slow:oncall").await;
    post(&bridge, &resolve("slow")).await;
    for pager in ['a', 'b'] {
        pagers.wait(pager, "resolve slow:oncall").await;
        let all = ["resolve slow:oncall", "trigger slow:oncall"];
        assert_eq!(pagers.told(pager), all, "{}", tail(&bridge.log()));
    }
    assert_eq!(pagers.told('c'), [""; 0]);
}

/// One replica has the configuration of before, the other that of now, and either may send.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_that_are_reloaded_one_after_the_other_page_the_same_pagers() {
    let database = Database::create().await;
    let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
    for folder in &folders {
        fs::write(folder.path().join("hook"), HOOK_SECRET).unwrap();
    }
    let pagers = Pagers::start().await;
    let before = pagers.config(&database.url(), BEFORE, "");
    let after = pagers.config(&database.url(), Receiver("sre", "cba"), "");
    let old = Bridge::start(folders[0].path(), &before);
    post(&old, &trigger("first")).await;
    pagers.wait('a', "trigger first:oncall").await;
    pagers.wait('b', "trigger first:oncall").await;

    let new = Bridge::start(folders[1].path(), &after);
    post(&old, &trigger("second")).await;
    post(&new, &trigger("third")).await;
    pagers.wait('a', "trigger second:oncall").await;
    pagers.wait('c', "trigger third:sre").await;
    pagers.wait('a', "trigger third:sre").await;
    pagers.wait('b', "trigger third:sre").await;
    post(&new, &resolve("first")).await;
    post(&new, &resolve("second")).await;
    post(&old, &resolve("third")).await;

    // It starts again, by the configuration of before, and then by that of now.
    pagers.wait('a', "resolve third:sre").await;
    assert!(old.stop().success());
    let old = Bridge::start(folders[0].path(), &before);
    post(&old, &trigger("fourth")).await;
    pagers.wait('a', "trigger fourth:oncall").await;
    let (old, _) = edited(old, folders[0].path(), &after, Way::Restart).await;
    post(&old, &resolve("fourth")).await;

    for pager in ['a', 'b'] {
        for of in [
            "first:oncall",
            "fourth:oncall",
            "second:oncall",
            "third:sre",
        ] {
            pagers.wait(pager, &format!("trigger {of}")).await;
            pagers.wait(pager, &format!("resolve {of}")).await;
        }
        assert_eq!(pagers.told(pager).len(), 8, "{:?}", pagers.told(pager));
    }
    pagers.wait('c', "resolve third:sre").await;
    assert_eq!(pagers.told('c'), ["resolve third:sre", "trigger third:sre"]);
    for pager in &pagers.0 {
        assert_eq!(pager.violations(), [""; 0]);
    }
}
