//! A private Dovecot on free loopback ports, with its own CA and one account, in a folder that goes
//! with it. It takes a password, or access tokens that it checks by itself (JSON Web Tokens,
//! HS256).
//!
//! Runs as root (everything then belongs to `nobody`) or as anybody else. Mail is delivered by
//! writing into the Maildir.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and runs by the machine's clock"
)]

use std::{
    fs,
    io::Read as _,
    net::TcpStream,
    os::unix::fs::{PermissionsExt as _, chown},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant, SystemTime},
};

use alertbridge::ingress::imap::{Settings, Tls};
use base64::Engine as _;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, KeyUsagePurpose};
use tempfile::TempDir;

use crate::port::free_port;

pub const USER: &str = "alerts";
pub const PASSWORD: &str = "s3cret \"pass\\word\"";
/// What the access tokens it takes are signed with.
pub const TOKEN_KEY: &[u8] = b"key-of-the-tokens-0123456789abcdef";

/// A running Dovecot. Dropping it stops it.
pub struct Dovecot {
    dir: TempDir,
    port: u16,
    tls_port: u16,
    master: Option<Child>,
    delivered: AtomicU32,
}

impl Dovecot {
    /// Starts one, with an empty INBOX.
    pub fn start() -> Self {
        Self::with_mechanisms("plain login")
    }

    /// The same, with these ways to log in: of `plain`, `login`, `xoauth2`, `oauthbearer`.
    pub fn with_mechanisms(mechanisms: &str) -> Self {
        Self::with(mechanisms, "")
    }

    /// The same as [`Dovecot::start`], which also takes mail over LMTP at the port given, up to a
    /// quota of a mebibyte.
    pub fn receiving(lmtp_port: u16) -> Self {
        let more = format!(
            "
protocols = imap lmtp
mail_plugins = quota
service lmtp {{
  chroot =
  inet_listener lmtp {{
    port = {lmtp_port}
  }}
}}
lmtp_save_to_detail_mailbox = no
plugin {{
  quota = maildir:User quota
  quota_rule = *:storage=1M
}}
"
        );
        Self::with("plain login", &more)
    }

    /// With more lines of configuration.
    fn with(mechanisms: &str, more: &str) -> Self {
        let version = Command::new("dovecot").arg("--version").output();
        let version =
            version.expect("dovecot cannot be run: install Debian's package dovecot-imapd");
        let version = String::from_utf8_lossy(&version.stdout).into_owned();
        assert!(
            version.starts_with("2.3."),
            "these tests write the configuration of Dovecot 2.3 (Debian 12); found {version}, \
             whose syntax differs"
        );
        let dir = tempfile::Builder::new()
            .prefix("dovecot-")
            .tempdir()
            .unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let [port, tls_port] = [free_port(), free_port()];
        let mut dovecot = Self {
            dir,
            port,
            tls_port,
            master: None,
            delivered: AtomicU32::new(0),
        };
        dovecot.lay_out(mechanisms, more);
        dovecot.start_again();
        dovecot
    }

    /// How an ingress reaches it.
    pub fn settings(&self, tls: Tls) -> Settings {
        Settings {
            name: "mailbox".into(),
            host: "localhost".into(),
            port: Some(if tls == Tls::Implicit {
                self.tls_port
            } else {
                self.port
            }),
            tls,
            ca_file: (tls != Tls::None).then(|| self.path("ca.pem")),
            username: USER.into(),
            password_file: Some(self.path("password")),
            ..Settings::default()
        }
    }

    /// What the ingress reads its password from.
    pub fn write_password(&self, password: &str) {
        fs::write(self.path("password"), password).unwrap();
    }

    /// Delivers a mail to the INBOX, as a mail server does: into `tmp`, then `new`.
    pub fn deliver(&self, mail: &[u8]) {
        self.deliver_dated(mail, SystemTime::now());
    }

    /// The same, with a time of arrival.
    pub fn deliver_dated(&self, mail: &[u8], arrived: SystemTime) {
        let number = self.delivered.fetch_add(1, Ordering::Relaxed);
        let name = format!("{:010}.M{number:06}.test", 1_700_000_000 + number);
        let (tmp, new) = (
            self.maildir().join("tmp").join(&name),
            self.maildir().join("new").join(&name),
        );
        fs::write(&tmp, mail).unwrap();
        fs::File::options()
            .write(true)
            .open(&tmp)
            .unwrap()
            .set_modified(arrived)
            .unwrap();
        fs::set_permissions(&tmp, fs::Permissions::from_mode(0o644)).unwrap();
        fs::rename(tmp, new).unwrap();
    }

    /// The names of the mails in a folder, flags included; empty for a folder that is not there.
    pub fn files(&self, folder: &str) -> Vec<String> {
        let folder = if folder == "INBOX" {
            self.maildir()
        } else {
            self.maildir().join(format!(".{folder}"))
        };
        ["new", "cur"]
            .iter()
            .filter_map(|part| fs::read_dir(folder.join(part)).ok())
            .flatten()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect()
    }

    /// Fills the mailbox up to its quota, or empties it.
    pub fn set_full(&self, full: bool) {
        let filler = self
            .maildir()
            .join("cur")
            .join("1600000000.filler.test:2,S");
        if full {
            fs::write(&filler, vec![b'x'; 2 << 20]).unwrap();
            fs::set_permissions(&filler, fs::Permissions::from_mode(0o644)).unwrap();
        } else {
            fs::remove_file(&filler).unwrap();
        }
        // What it has counted.
        let _may_not_be_there = fs::remove_file(self.maildir().join("maildirsize"));
    }

    /// Numbers the INBOX anew.
    pub fn change_uid_validity(&mut self, to: u32) {
        self.doveadm(&[
            "mailbox",
            "update",
            "-u",
            USER,
            "--uid-validity",
            &to.to_string(),
            "INBOX",
        ]);
    }

    /// Sends a signal to this Dovecot's processes of that name; how many there were.
    pub fn signal(&self, signal: &str, process: &str) -> usize {
        let master = self.master.as_ref().unwrap().id();
        let pids: Vec<String> = children_of(master)
            .into_iter()
            .filter(|(_, name)| name == process)
            .map(|c| c.0)
            .collect();
        for pid in &pids {
            let status = Command::new("sh")
                .args(["-c", &format!("kill -{signal} {pid}")])
                .status()
                .unwrap();
            assert!(status.success(), "kill -{signal} {pid}");
        }
        pids.len()
    }

    /// Stops the server; connections end.
    pub fn stop(&mut self) {
        let Some(mut master) = self.master.take() else {
            return;
        };
        let workers = children_of(master.id());
        let _gone = Command::new("sh")
            .args(["-c", &format!("kill -TERM {}", master.id())])
            .status();
        master.wait().unwrap();
        for (pid, _) in workers {
            // A stopped process does not notice its master's end.
            let _gone = Command::new("sh")
                .args(["-c", &format!("kill -KILL {pid} 2>/dev/null")])
                .status();
        }
    }

    pub fn start_again(&mut self) {
        let log = fs::File::create(self.path("stderr")).unwrap();
        let mut command = Command::new("dovecot");
        command
            .arg("-F")
            .arg("-c")
            .arg(self.path("dovecot.conf"))
            .stdin(Stdio::null())
            .stderr(log);
        self.master = Some(command.spawn().unwrap());
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) {
                stream
                    .set_read_timeout(Some(Duration::from_secs(5)))
                    .unwrap();
                if matches!(stream.read(&mut [0; 64]), Ok(read) if read > 0) {
                    return;
                }
            }
            if let Some(status) = self.master.as_mut().unwrap().try_wait().unwrap() {
                panic!("dovecot ended with {status}:\n{}", self.logs());
            }
            assert!(
                Instant::now() < deadline,
                "dovecot does not answer:\n{}",
                self.logs()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn doveadm(&self, arguments: &[&str]) {
        let output = Command::new("doveadm")
            .arg("-c")
            .arg(self.path("dovecot.conf"))
            .args(arguments)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "doveadm {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    fn logs(&self) -> String {
        ["stderr", "log"]
            .map(|name| fs::read_to_string(self.path(name)).unwrap_or_default())
            .join("\n")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn maildir(&self) -> PathBuf {
        self.path("mail").join(USER).join("Maildir")
    }

    fn lay_out(&self, mechanisms: &str, more: &str) {
        let owner = Owner::find();
        for part in ["run", "state", "mail", "mail/alerts", "mail/alerts/Maildir"] {
            owner.make(&self.path(part));
        }
        for part in ["tmp", "new", "cur"] {
            owner.make(&self.maildir().join(part));
        }
        self.write_certificates();
        self.write_password(PASSWORD);
        let Owner {
            name,
            group,
            uid,
            gid,
        } = &owner;
        let home = self.path("mail").join(USER);
        let account = format!(
            "{USER}:{{PLAIN}}{PASSWORD}:{uid}:{gid}::{}::\n",
            home.display()
        );
        fs::write(self.path("passwd"), account).unwrap();
        let (dir, port, tls_port) = (self.dir.path().display(), self.port, self.tls_port);
        let configuration = format!(
            "
base_dir = {dir}/run
state_dir = {dir}/state
log_path = {dir}/log
instance_name = alertbridge-test
protocols = imap
listen = 127.0.0.1
default_internal_user = {name}
default_internal_group = {group}
default_login_user = {name}
first_valid_uid = 0
last_valid_uid = 0
ssl = yes
ssl_cert = <{dir}/server.pem
ssl_key = <{dir}/server.key
auth_mechanisms = {mechanisms}
auth_failure_delay = 0
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%n {dir}/passwd
}}
userdb {{
  driver = passwd-file
  args = username_format=%n {dir}/passwd
}}
mail_location = maildir:~/Maildir
mailbox_idle_check_interval = 1 secs
mail_max_userip_connections = 50
namespace inbox {{
  inbox = yes
  separator = /
}}
service anvil {{
  chroot =
}}
service stats {{
  chroot =
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = {tls_port}
    ssl = yes
  }}
}}
"
        );
        let tokens = if mechanisms.contains("oauth") {
            self.take_tokens()
        } else {
            String::new()
        };
        fs::write(self.path("dovecot.conf"), configuration + &tokens + more).unwrap();
    }

    /// What lets it check access tokens; returns its part of the configuration.
    fn take_tokens(&self) -> String {
        let keys = self.path("keys/default/HS256");
        fs::create_dir_all(&keys).unwrap();
        fs::write(
            keys.join("default"),
            base64::engine::general_purpose::STANDARD.encode(TOKEN_KEY),
        )
        .unwrap();
        let dir = self.dir.path().display();
        let settings = format!(
            "
introspection_mode = local
local_validation_key_dict = fs:posix:prefix={dir}/keys/
username_attribute = sub
tokeninfo_url =
"
        );
        fs::write(self.path("oauth2.ext"), settings).unwrap();
        format!(
            "
passdb {{
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = {dir}/oauth2.ext
}}
"
        )
    }

    fn write_certificates(&self) {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let server = CertificateParams::new(vec!["localhost".to_owned()])
            .unwrap()
            .signed_by(&key, &authority)
            .unwrap();
        fs::write(self.path("ca.pem"), authority.pem()).unwrap();
        fs::write(self.path("server.pem"), server.pem()).unwrap();
        fs::write(self.path("server.key"), key.serialize_pem()).unwrap();
    }
}

impl Drop for Dovecot {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Whom the server's processes and the mail belong to.
struct Owner {
    name: String,
    group: String,
    uid: u32,
    gid: u32,
}

impl Owner {
    fn find() -> Self {
        let ask = |arguments: &[&str]| {
            let output = Command::new("id").args(arguments).output().unwrap();
            String::from_utf8(output.stdout).unwrap().trim().to_owned()
        };
        let name = if ask(&["-u"]) == "0" {
            "nobody".to_owned()
        } else {
            ask(&["-un"])
        };
        let number = |option| ask(&[option, &name]).parse().unwrap();
        Self {
            group: ask(&["-gn", &name]),
            uid: number("-u"),
            gid: number("-g"),
            name,
        }
    }

    fn make(&self, path: &Path) {
        fs::create_dir(path).unwrap();
        chown(path, Some(self.uid), Some(self.gid)).unwrap();
    }
}

/// Process numbers and names.
fn children_of(parent: u32) -> Vec<(String, String)> {
    let mut children = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        // `123 (name) S parent …`; the process may have gone meanwhile.
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else {
            continue;
        };
        let (Some(open), Some(close)) = (stat.find('('), stat.rfind(')')) else {
            continue;
        };
        if stat[close + 2..].split(' ').nth(1) == Some(parent.to_string().as_str()) {
            children.push((
                stat[..open].trim().to_owned(),
                stat[open + 1..close].to_owned(),
            ));
        }
    }
    children
}
