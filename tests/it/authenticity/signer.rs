//! Mails signed by dkimpy (Debian's python3-dkim), kept running beside the tests.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{LazyLock, Mutex},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

/// An RSA key of so many bits: the private key in PEM, and the record of its public key.
pub struct Key {
    pub pem: String,
    pub record: String,
}

pub static KEY: LazyLock<Key> = LazyLock::new(|| Key::generate(2048));
/// Too short to count (RFC 8301).
pub static WEAK: LazyLock<Key> = LazyLock::new(|| Key::generate(768));

impl Key {
    fn generate(bits: u16) -> Self {
        let pem = openssl(&["genrsa", "-traditional", &bits.to_string()], b"");
        let public = openssl(&["rsa", "-pubout", "-outform", "DER"], &pem);
        let record = format!("v=DKIM1; k=rsa; p={}", BASE64_STANDARD.encode(public));
        Self {
            pem: String::from_utf8(pem).unwrap(),
            record,
        }
    }
}

fn openssl(arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut child = Command::new("openssl")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("openssl cannot be run");
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    output.stdout
}

/// Signs as `domain` by the selector `s1`; `more` is what differs: see sign.py.
pub fn signed(mail: &[u8], domain: &str, more: Value) -> Vec<u8> {
    let job = json!({ "mail": BASE64_STANDARD.encode(mail), "selector": "s1", "domain": domain,
                      "key": KEY.pem });
    Dkimpy::with(|dkimpy| dkimpy.run(&both(job, more)))
}

/// Seals as a forwarder, whose Authentication-Results must already stand in the mail under the name
/// `host`.
pub fn sealed(mail: &[u8], domain: &str, host: &str, more: Value) -> Vec<u8> {
    signed(mail, domain, both(json!({ "arc": host }), more))
}

fn both(job: Value, more: Value) -> Value {
    let (Value::Object(mut job), Value::Object(more)) = (job, more) else {
        panic!("a job is an object")
    };
    job.extend(more);
    Value::Object(job)
}

/// A dkimpy that takes a job a line. It ends with its standard input.
struct Dkimpy {
    _child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Dkimpy {
    fn with<T>(work: impl FnOnce(&mut Self) -> T) -> T {
        static ONE: Mutex<Option<Dkimpy>> = Mutex::new(None);
        let mut one = ONE.lock().unwrap();
        work(one.get_or_insert_with(Self::start))
    }

    fn start() -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/authenticity/sign.py");
        // Debian's own Python, which finds Debian's packages.
        let mut child = Command::new("/usr/bin/python3")
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 cannot be run");
        let (stdin, stdout) = (
            child.stdin.take().unwrap(),
            BufReader::new(child.stdout.take().unwrap()),
        );
        Self {
            _child: child,
            stdin,
            stdout,
        }
    }

    fn run(&mut self, job: &Value) -> Vec<u8> {
        writeln!(self.stdin, "{job}").unwrap();
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        let done: Value = serde_json::from_str(&line)
            .expect("dkimpy failed: are python3-dkim and python3-authres there?");
        BASE64_STANDARD
            .decode(done["mail"].as_str().unwrap())
            .unwrap()
    }
}
