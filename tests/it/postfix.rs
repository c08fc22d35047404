//! Mail from a real Postfix, as most mail servers are: a private one that sends everything to the
//! bridge's SMTP server.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::{SocketAddr, TcpStream},
    os::unix::fs::{PermissionsExt as _, chown},
    path::PathBuf,
    process::Command,
    sync::Arc,
};

use alertbridge::{
    clock::Clock,
    ingress::smtp::{Settings, Smtp, Tls},
};
use tempfile::TempDir;

use crate::{
    harness,
    inbox::{RecordingInbox, Running, eventually},
    port::free_port,
};

/// A running Postfix. Dropping it stops it.
pub struct Postfix {
    dir: TempDir,
    pub submission: SocketAddr,
}

impl Postfix {
    /// Sends mail for `example.com` to the one server in plain text, for `tls.example.com` to the
    /// other, by STARTTLS and not at all without. None where this is not root, whom alone Postfix
    /// obeys.
    fn start(plain: SocketAddr, encrypted: SocketAddr) -> Option<Self> {
        Self::with_transports(&format!(
            "{{ example.com = plain:[127.0.0.1]:{} }}, {{ tls.example.com = tls:[127.0.0.1]:{} }}",
            plain.port(),
            encrypted.port()
        ))
    }

    /// Sends mail where these entries of a table of transports say.
    pub fn with_transports(transports: &str) -> Option<Self> {
        Self::with(transports, "")
    }

    /// The same, with more settings.
    pub fn with(transports: &str, more: &str) -> Option<Self> {
        if uid(&["-u"]) != 0 {
            harness::skipped("mail from Postfix, which starts as root only");
            return None;
        }
        let dir = tempfile::Builder::new()
            .prefix("postfix-")
            .tempdir()
            .unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let postfix = Self {
            dir,
            submission: ([127, 0, 0, 1], free_port()).into(),
        };
        for folder in ["etc", "spool", "data"] {
            fs::create_dir(postfix.path(folder)).unwrap();
        }
        chown(postfix.path("data"), Some(uid(&["-u", "postfix"])), None).unwrap();
        let root = postfix.dir.path().display();
        let settings = format!(
            "
compatibility_level = 3.6
queue_directory = {root}/spool
data_directory = {root}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
maillog_file = {root}/log
maillog_file_prefixes = {root}
myhostname = client.example.net
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject
smtputf8_enable = yes
alias_maps =
transport_maps = inline:{{ {transports} }}
default_transport = discard
queue_run_delay = 1s
minimal_backoff_time = 1s
maximal_backoff_time = 2s
{more}
"
        );
        fs::write(postfix.path("etc/main.cf"), settings).unwrap();
        let services = format!(
            "
{} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
plain unix - - n - - smtp -o smtp_tls_security_level=none
lmtp unix - - n - - lmtp
tls unix - - n - - smtp -o smtp_tls_security_level=encrypt
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
",
            postfix.submission
        );
        fs::write(postfix.path("etc/master.cf"), services).unwrap();
        let started = postfix.control("start");
        assert!(
            started.status.success(),
            "{}\n{}",
            String::from_utf8_lossy(&started.stderr),
            postfix.log()
        );
        Some(postfix)
    }

    /// Mail goes by these entries from now on.
    pub fn reroute(&self, transports: &str) {
        let main = self.path("etc/main.cf");
        let settings = fs::read_to_string(&main).unwrap();
        let more = format!("transport_maps = inline:{{ {transports} }}\n");
        fs::write(self.path("etc/main.cf.before"), &settings).unwrap();
        // Of a setting that is given twice the last counts.
        fs::write(&main, settings + &more).unwrap();
        self.take_settings();
    }

    /// Mail goes as it did before [`Postfix::reroute`].
    pub fn reroute_back(&self) {
        fs::rename(self.path("etc/main.cf.before"), self.path("etc/main.cf")).unwrap();
        self.take_settings();
    }

    fn take_settings(&self) {
        // A reload leaves what runs to its old ways for a while.
        assert!(self.control("stop").status.success());
        assert!(self.control("start").status.success());
    }

    pub fn control(&self, what: &str) -> std::process::Output {
        let postfix = Command::new("/usr/sbin/postfix")
            .arg("-c")
            .arg(self.path("etc"))
            .arg(what)
            .output();
        postfix.expect("postfix cannot be run: install Debian's package postfix")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// Hands it a mail to send on.
    fn submit(&self, to: &str, mail: &str) {
        let stream = TcpStream::connect(self.submission).unwrap();
        let mut replies = BufReader::new(stream.try_clone().unwrap());
        let mail = format!("{mail}.\r\n");
        let to = format!("RCPT TO:<{to}>\r\n");
        for (said, expected) in [
            ("", "220"),
            ("EHLO client.example.net\r\n", "250"),
            (
                "MAIL FROM:<Bücherei@client.example.net> SMTPUTF8\r\n",
                "250",
            ),
            (&to, "250"),
            ("DATA\r\n", "354"),
            (&mail, "250"),
            ("QUIT\r\n", "221"),
        ] {
            (&stream).write_all(said.as_bytes()).unwrap();
            let mut line = String::new();
            while line.as_bytes().get(3) != Some(&b' ') {
                line.clear();
                assert!(
                    replies.read_line(&mut line).unwrap() > 0,
                    "it hung up after {said}:\n{}",
                    self.log()
                );
            }
            assert!(line.starts_with(expected), "{said}: {line}");
        }
    }

    /// Waits until its log tells this of the mail to a recipient.
    async fn tells(&self, to: &str, what: &str) {
        let told = || {
            self.log()
                .lines()
                .any(|line| line.contains(&format!("to=<{to}>")) && line.contains(what))
        };
        eventually(&format!("{to}: {what}"), || told() || panic_if_dead(self)).await;
    }
}

fn uid(arguments: &[&str]) -> u32 {
    let id = Command::new("id").args(arguments).output().unwrap();
    String::from_utf8(id.stdout)
        .unwrap()
        .trim()
        .parse()
        .expect("postfix is not here: install Debian's package postfix")
}

/// A log that says why nothing will come; never true.
fn panic_if_dead(postfix: &Postfix) -> bool {
    let log = postfix.log();
    assert!(!log.contains("fatal:"), "{log}");
    false
}

impl Drop for Postfix {
    fn drop(&mut self) {
        self.control("stop");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn postfix_delivers_comes_again_after_a_4xx_and_gives_up_after_a_5xx() {
    let folder = tempfile::tempdir().unwrap();
    let certificate = rcgen::generate_simple_self_signed(["mx.example.com".to_owned()]).unwrap();
    let (cert_file, key_file) = (
        folder.path().join("cert.pem"),
        folder.path().join("key.pem"),
    );
    fs::write(&cert_file, certificate.cert.pem()).unwrap();
    fs::write(&key_file, certificate.signing_key.serialize_pem()).unwrap();
    let settings = |recipients: &[&str]| Settings {
        name: "mx".into(),
        listen: "127.0.0.1:0".into(),
        hostname: Some("mx.example.com".into()),
        recipients: recipients
            .iter()
            .map(|&recipient| recipient.to_owned())
            .collect(),
        ..Settings::default()
    };
    let serve = |settings: &Settings, inbox: &Arc<RecordingInbox>| {
        let smtp = Smtp::bind("ingress.smtp[0]", settings, Clock::system()).unwrap();
        let address = smtp.local_addr();
        (Running::start(smtp, inbox), address)
    };
    // The first mail is put off, as where the disk is full.
    let (inbox, encrypted_inbox) = (RecordingInbox::refusing(1), RecordingInbox::new());
    let (running, address) = serve(
        &settings(&["alerts@example.com", "störung@example.com"]),
        &inbox,
    );
    let tls = Settings {
        tls: Some(Tls {
            cert_file,
            key_file,
            implicit: None,
        }),
        ..settings(&["@tls.example.com"])
    };
    let (encrypted, encrypted_address) = serve(&tls, &encrypted_inbox);
    let Some(postfix) = Postfix::start(address, encrypted_address) else {
        return;
    };

    let mail = |subject: &str| {
        format!("From: a@client.example.net\r\nSubject: {subject}\r\n\r\n..dot\r\n...\r\nend\r\n")
    };
    let text = |inbox: &RecordingInbox| {
        inbox
            .raw()
            .iter()
            .map(|raw| String::from_utf8_lossy(raw).into())
            .collect()
    };
    postfix.submit("alerts@example.com", &mail("put off"));
    postfix
        .tells(
            "alerts@example.com",
            "status=deferred (host 127.0.0.1[127.0.0.1] said: 451 4.3.0",
        )
        .await;
    postfix
        .tells("alerts@example.com", "status=sent (250 2.0.0 Stored)")
        .await;
    let stored: Vec<String> = text(&inbox);
    let [stored] = stored.as_slice() else {
        panic!("{stored:?}")
    };
    assert!(
        stored.contains("Subject: put off") && stored.ends_with("\r\n\r\n.dot\r\n..\r\nend\r\n"),
        "{stored}"
    );

    postfix.submit("störung@example.com", &mail("in UTF-8"));
    postfix
        .tells("störung@example.com", "status=sent (250 2.0.0 Stored)")
        .await;
    let envelope = inbox.stored()[1].envelope.clone().unwrap();
    assert_eq!(
        (envelope.mail_from.as_str(), envelope.rcpt_to),
        (
            "Bücherei@client.example.net",
            vec!["störung@example.com".to_owned()]
        )
    );

    postfix.submit("alerts@tls.example.com", &mail("encrypted"));
    postfix
        .tells("alerts@tls.example.com", "status=sent (250 2.0.0 Stored)")
        .await;
    let stored: Vec<String> = text(&encrypted_inbox);
    assert!(stored[0].contains("Subject: encrypted"), "{stored:?}");

    postfix.submit("nobody@example.com", &mail("to nobody"));
    postfix
        .tells(
            "nobody@example.com",
            "status=bounced (host 127.0.0.1[127.0.0.1] said: 550 5.1.1",
        )
        .await;
    eventually("the sender to be told", || {
        postfix.log().contains("sender non-delivery notification")
    })
    .await;
    assert_eq!(
        (inbox.stored().len(), encrypted_inbox.stored().len()),
        (2, 1)
    );

    drop(postfix);
    running.stop().await;
    encrypted.stop().await;
}
