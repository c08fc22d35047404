//! The real program under test: started in a folder of its own, talked to over sockets, killed at
//! will.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

/// The program as built.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_alertbridge");

/// How long a test waits for what must come.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// A running bridge. Killed when dropped.
pub struct Bridge {
    child: Child,
    pub http: String,
    pub smtp: Option<SocketAddr>,
    pub admin: String,
    stdout: Arc<Mutex<Vec<String>>>,
    stderr: Arc<Mutex<Vec<String>>>,
    config: PathBuf,
}

impl Bridge {
    /// Starts `serve` with the configuration in `folder`; it may run there again after a crash.
    pub fn start(folder: &Path, config: &str) -> Self {
        Self::start_with(folder, config, &[])
    }

    /// As `start`, with variables in the environment.
    pub fn start_with(folder: &Path, config: &str, environment: &[(&str, &str)]) -> Self {
        Self::start_under(&[], folder, config, environment)
    }

    /// As `start_with`, under a command that runs the one it is given.
    pub fn start_under(
        command: &[&str],
        folder: &Path,
        config: &str,
        environment: &[(&str, &str)],
    ) -> Self {
        Self::launch(command, folder, config, environment, "text")
    }

    /// As `start_with`, with its log as JSON.
    pub fn start_logging_json(folder: &Path, config: &str, environment: &[(&str, &str)]) -> Self {
        Self::launch(&[], folder, config, environment, "json")
    }

    fn launch(
        command: &[&str],
        folder: &Path,
        config: &str,
        environment: &[(&str, &str)],
        log_format: &str,
    ) -> Self {
        let file = folder.join("alertbridge.yaml");
        fs::write(&file, unless_judged(config)).unwrap();
        let words = [
            command,
            &[PROGRAM, "serve", "--log-format", log_format, "--config"],
        ]
        .concat();
        let mut child = Command::new(words[0])
            .args(&words[1..])
            .arg(&file)
            .current_dir(folder)
            .envs(environment.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = gather(child.stdout.take().unwrap());
        let stderr = gather(child.stderr.take().unwrap());
        let mut bridge = Self {
            child,
            http: String::new(),
            smtp: None,
            admin: String::new(),
            stdout,
            stderr,
            config: file,
        };
        bridge.learn_addresses();
        bridge
    }

    /// From what it greets with.
    fn learn_addresses(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        while self.admin.is_empty() {
            assert!(
                Instant::now() < deadline,
                "serve did not start:\n{}",
                self.log()
            );
            // It may greet, and come to its planned crash before anybody looks.
            let ended = self.child.try_wait().unwrap();
            if ended.is_some() {
                thread::sleep(Duration::from_millis(100));
            }
            for line in self.stderr.lock().unwrap().iter() {
                let mut words = line.split_whitespace();
                match (words.next(), words.next()) {
                    (Some("HTTP"), Some(url)) if self.http.is_empty() => self.http = url.to_owned(),
                    (Some("SMTP"), Some(address)) => self.smtp = Some(address.parse().unwrap()),
                    (Some("admin"), Some(url)) => {
                        self.admin = url.split("/-/").next().unwrap().to_owned();
                    }
                    _ => {}
                }
            }
            if let Some(status) = ended.filter(|_| self.admin.is_empty()) {
                panic!("serve ended at once, {status}:\n{}", self.log());
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// What it printed on standard output: the pages of stdout receivers.
    pub fn pages(&self) -> Vec<String> {
        self.stdout.lock().unwrap().clone()
    }

    /// The lines it printed that hold a word, once there are so many: what is delivered may still
    /// be on its way through the pipe.
    pub async fn printed(&self, word: &str, least: usize) -> Vec<String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut lines = self.pages();
            lines.retain(|line| line.contains(word));
            if lines.len() >= least {
                return lines;
            }
            assert!(
                Instant::now() < deadline,
                "{} of {least} lines with {word} were printed:\n{}",
                lines.len(),
                tail(&self.log())
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// All it said on standard error.
    pub fn log(&self) -> String {
        self.stderr.lock().unwrap().join("\n")
    }

    /// A file as it sees it, where it has a file system of its own.
    pub fn sees(&self, file: &Path) -> PathBuf {
        Path::new("/proc")
            .join(self.child.id().to_string())
            .join("root")
            .join(file.strip_prefix("/").unwrap())
    }

    /// What its readiness says, and the status.
    pub async fn ready(&self) -> (u16, String) {
        let reply = client()
            .get(format!("{}/-/ready", self.admin))
            .send()
            .await
            .unwrap();
        (reply.status().as_u16(), reply.text().await.unwrap())
    }

    /// The most memory it has had resident since its start, in bytes.
    pub fn peak_memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let peak = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .unwrap();
        peak.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
    }

    /// How many descriptors it has open.
    pub fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.child.id()))
            .unwrap()
            .count()
    }

    /// kill -9.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Sends it a signal: `TERM`, `INT`.
    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-s", name, &pid])
                .status()
                .unwrap()
                .success()
        );
    }

    /// SIGTERM, and its exit status.
    pub fn stop(mut self) -> std::process::ExitStatus {
        self.signal("TERM");
        self.end()
    }

    /// Waits for its end, and returns its exit status.
    pub fn end(&mut self) -> std::process::ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(
                Instant::now() < deadline,
                "it did not stop:\n{}",
                self.log()
            );
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Whether it has ended by itself.
    pub fn ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Another command on the same configuration.
    pub fn command(&self, arguments: &[&str]) -> Output {
        self.command_with(arguments, &[])
    }

    /// As `command`, with variables in the environment.
    pub fn command_with(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
        Command::new(PROGRAM)
            .args(arguments)
            .envs(environment.iter().copied())
            .arg("--config")
            .arg(&self.config)
            .current_dir(self.config.parent().unwrap())
            .output()
            .unwrap()
    }

    /// Posts a mail to the first webhook; the status.
    pub async fn post(&self, mail: &[u8]) -> reqwest::Result<u16> {
        let request = client()
            .post(&self.http)
            .header("content-type", "message/rfc822")
            .body(mail.to_vec());
        Ok(request.send().await?.status().as_u16())
    }

    /// A gauge or counter summed over its labels, those lines only that hold `having`.
    pub async fn metric(&self, name: &str, having: &str) -> f64 {
        let text = client()
            .get(format!("{}/metrics", self.admin))
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap();
        text.lines()
            .filter(|line| line.starts_with(name) && line.contains(having))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }

    /// Waits until the store holds so many mails: other than the counters it outlives a restart.
    pub async fn settled_in_store(&self, mails: usize) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let listed = self.command(&["mails", "list", "--limit", "100000", "--json"]);
            let found: Vec<serde_json::Value> = serde_json::from_slice(&listed.stdout).unwrap();
            if found.len() >= mails {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "{} of {mails} mails are stored:\n{}",
                found.len(),
                tail(&self.log())
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until every mail is decided and nothing is owed.
    pub async fn settled(&self, mails: u32) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let decided = self.metric("alertbridge_mails_total", "").await;
            let owed = self.metric("alertbridge_deliveries", "pending").await;
            if decided >= f64::from(mails) && owed == 0.0 {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "{decided} of {mails} mails decided, {owed} owed:\n{}",
                tail(&self.log())
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The configuration, which takes mail at its word unless it says what mail must prove: most tests
/// are of other things.
pub fn unless_judged(config: &str) -> String {
    if config.contains("authenticity:") {
        return config.to_owned();
    }
    assert!(
        !config.contains("\nalerts:"),
        "say there what mail must prove: `authenticity: {{ require: [] }}`"
    );
    format!("{config}\nalerts: {{ authenticity: {{ require: [] }} }}\n")
}

/// One mail over SMTP, as a mail server sends it; done once it is acknowledged.
pub fn smtp_try(address: SocketAddr, mail: &[u8]) -> std::io::Result<()> {
    smtp_over(&std::net::TcpStream::connect(address)?, mail)
}

/// The same over a connection.
pub fn smtp_over(mut stream: &std::net::TcpStream, mail: &[u8]) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut replies = BufReader::new(stream.try_clone()?);
    let mut say = |text: &[u8], expected: &str| {
        stream.write_all(text)?;
        loop {
            let mut line = String::new();
            replies.read_line(&mut line)?;
            if line.as_bytes().get(3) != Some(&b'-') {
                return if line.starts_with(expected) {
                    Ok(())
                } else {
                    Err(std::io::Error::other(line))
                };
            }
        }
    };
    say(b"", "220")?;
    say(b"EHLO mail.example.com\r\n", "250")?;
    say(b"MAIL FROM:<bounce@am.atlassian.com>\r\n", "250")?;
    say(b"RCPT TO:<alerts@example.com>\r\n", "250")?;
    say(b"DATA\r\n", "354")?;
    let mut data = Vec::with_capacity(mail.len() + 64);
    for line in mail.split_inclusive(|byte| *byte == b'\n') {
        if line.starts_with(b".") {
            data.push(b'.');
        }
        data.extend_from_slice(line);
    }
    if !data.ends_with(b"\r\n") {
        data.extend_from_slice(b"\r\n");
    }
    data.extend_from_slice(b".\r\n");
    say(&data, "250")?;
    let _gone = stream.write_all(b"QUIT\r\n");
    Ok(())
}

/// Says that a test is left out, past its captured output, so that it is seen.
pub fn skipped(why: &str) {
    let _ = std::io::stderr().write_all(format!("SKIPPED: {why}\n").as_bytes());
}

/// The last lines of a log.
pub fn tail(log: &str) -> String {
    let lines: Vec<_> = log.lines().collect();
    lines[lines.len().saturating_sub(30)..].join("\n")
}

/// Runs a command of the program without a server.
pub fn run(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(PROGRAM)
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap()
}

/// As `run`, with something on standard input.
pub fn run_with(folder: &Path, arguments: &[&str], input: &[u8]) -> Output {
    fed(
        Command::new(PROGRAM).args(arguments).current_dir(folder),
        input,
    )
}

/// Another program, with something on standard input.
pub fn piped(program: &str, arguments: &[&str], input: &[u8]) -> Output {
    fed(Command::new(program).args(arguments), input)
}

fn fed(command: &mut Command, input: &[u8]) -> Output {
    let piped = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = piped
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    // A program that reads none of it may close the pipe first.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

pub fn client() -> reqwest::Client {
    static CLIENT: std::sync::OnceLock<reqwest::Client> = std::sync::OnceLock::new();
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    // Each test has a runtime of its own; a pooled connection must not outlive it.
    CLIENT
        .get_or_init(|| {
            reqwest::Client::builder()
                .pool_max_idle_per_host(0)
                .build()
                .unwrap()
        })
        .clone()
}

fn gather(stream: impl std::io::Read + Send + 'static) -> Arc<Mutex<Vec<String>>> {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let gathered = Arc::clone(&lines);
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            gathered.lock().unwrap().push(line);
        }
    });
    lines
}
