//! A scripted IMAP server: a mailbox with state, which keeps to the protocol and holds its client
//! to it, and misbehaves where a test tells it to, mail by mail and so many times.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

pub const FOREVER: usize = usize::MAX;

/// How the server treats one mail.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Quirk {
    /// Nothing comes at all,
    Silent,
    /// or the literal stops halfway, and nothing comes any more.
    Hang,
    /// The literal stops halfway, and the connection ends.
    Cut,
    /// The literal stops halfway: a busy server says NO in its midst, and closes.
    BusyCut,
    /// The literal announces more bytes than come,
    Longer(usize),
    /// or fewer.
    Shorter(usize),
    /// Half of the mail comes, as if it were all.
    Truncated,
    /// RFC822.SIZE is left out,
    NoSize,
    /// or a guess.
    Size(u64),
    NoUid,
    DateNil,
    NoDate,
    Date(&'static str),
    BodyNil,
    Empty,
    LeftOut,
    /// NO, with these words.
    No(&'static str),
    /// It is removed when it is asked for.
    Vanish,
    /// A note comes in its place.
    StandIn,
    /// More attributes than were asked for.
    Also(&'static str),
    /// Bytes that are no IMAP.
    Garbage,
}

impl Quirk {
    /// Whether it shows in an answer with the body.
    fn is_the_bodys(self) -> bool {
        !matches!(
            self,
            Self::NoSize | Self::Size(_) | Self::DateNil | Self::NoDate | Self::Date(_)
        )
    }
}

/// A mail that arrives while a command is answered, and is announced in the answer alone.
#[derive(Debug)]
pub struct Amid {
    /// The words of the command.
    pub command: &'static str,
    /// Whether it arrives before the command is obeyed, or afterwards.
    pub is_first: bool,
    pub raw: Vec<u8>,
}

/// How many mails SEARCH finds.
#[derive(Debug, Clone, Copy)]
pub enum Finds {
    All,
    First(usize),
    Last(usize),
}

/// How the server treats IDLE, which it offers.
#[derive(Debug, Clone, Copy)]
pub enum Idles {
    Well,
    /// This is its answer.
    Not(&'static str),
    /// It says OK by itself after a while,
    For(Duration),
    /// or when it has announced a mail, and takes the DONE that follows for a command.
    UntilMail,
    /// It ends the connection.
    Ends,
}

#[derive(Debug)]
struct Kept {
    raw: Vec<u8>,
    quirks: Vec<(Quirk, usize)>,
}

/// What the server is, has and does.
#[derive(Debug)]
pub struct State {
    mails: BTreeMap<u32, Kept>,
    pub uid_validity: u32,
    /// What it says instead of `uid_validity`.
    pub told_uid_validity: Option<&'static str>,
    pub uid_next: u32,
    /// What it says instead of `uid_next`.
    pub told_uid_next: Option<u32>,
    pub greeting: String,
    pub capabilities: String,
    /// What logins are answered with, in order; OK when there is none left.
    pub logins: Vec<&'static str>,
    /// `NetEase`: no folder is opened for who has not said who it is.
    pub needs_id: bool,
    /// So many lines of chatter before every answer.
    pub storm: usize,
    /// It offers UIDPLUS and has none (Proton Mail Bridge).
    pub refuses_expunge: bool,
    /// It moves nothing: the target has no room.
    pub refuses_move: bool,
    /// SEARCH does not find the newest mail for so many times.
    pub stale_searches: usize,
    /// The same of SEARCH SINCE alone.
    pub stale_since: usize,
    pub amid: Option<Amid>,
    /// A command with these words ends the connection,
    pub closes_at: Option<&'static str>,
    /// and one with these is never answered.
    pub hangs_at: Option<&'static str>,
    /// A connection sees no mail that came after it was made.
    pub is_frozen: bool,
    /// SEARCH does not find these,
    pub unindexed: BTreeSet<u32>,
    /// and of the others so many.
    pub finds: Finds,
    pub idles: Idles,
    /// The greeting (""), or a command with these words, is answered after this time.
    pub slow_at: Option<(&'static str, Duration)>,
    /// Everything it was asked.
    pub commands: Vec<String>,
    /// What a client must not do.
    pub violations: Vec<String>,
    connections: usize,
}

impl State {
    /// How many mails it announces.
    fn exists(&self) -> usize {
        let hidden = if self.is_frozen {
            self.unindexed.len()
        } else {
            0
        };
        self.mails.len().saturating_sub(hidden)
    }

    fn add(&mut self, raw: &[u8], quirks: &[(Quirk, usize)]) -> u32 {
        let uid = self.uid_next;
        self.uid_next += 1;
        self.mails.insert(
            uid,
            Kept {
                raw: raw.to_vec(),
                quirks: quirks.to_vec(),
            },
        );
        uid
    }

    /// The mail arrives that is to arrive amid this command; its announcement.
    fn arrives_amid(&mut self, command: &str, is_first: bool) -> Option<String> {
        let mail = self
            .amid
            .take_if(|amid| amid.is_first == is_first && command.contains(amid.command))?;
        self.add(&mail.raw, &[]);
        Some(format!("* {} EXISTS\r\n", self.exists()))
    }

    /// Removes these mails; what is said of it.
    fn expunge(&mut self, uids: &BTreeSet<u32>) -> Vec<String> {
        let gone: Vec<u32> = self
            .mails
            .keys()
            .copied()
            .filter(|uid| uids.contains(uid))
            .collect();
        gone.iter()
            .map(|uid| {
                let number = self.mails.range(..=uid).count();
                self.mails.remove(uid);
                format!("* {number} EXPUNGE\r\n")
            })
            .collect()
    }
}

pub struct Mailbox {
    pub port: u16,
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Mailbox {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(Mutex::new(State {
            mails: BTreeMap::new(),
            uid_validity: 7,
            told_uid_validity: None,
            uid_next: 1,
            told_uid_next: None,
            greeting: "* OK hello".into(),
            capabilities: "IMAP4rev1 IDLE UIDPLUS MOVE".into(),
            logins: Vec::new(),
            needs_id: false,
            storm: 0,
            refuses_expunge: false,
            refuses_move: false,
            stale_searches: 0,
            stale_since: 0,
            amid: None,
            closes_at: None,
            hangs_at: None,
            is_frozen: false,
            unindexed: BTreeSet::new(),
            finds: Finds::All,
            idles: Idles::Well,
            slow_at: None,
            commands: Vec::new(),
            violations: Vec::new(),
            connections: 0,
        }));
        let shared = Arc::clone(&state);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(Connection::new(Arc::clone(&shared)).serve(stream));
            }
        });
        Self { port, state, task }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// A mail arrives; its UID.
    pub fn deliver(&self, raw: &[u8]) -> u32 {
        self.deliver_odd(raw, &[])
    }

    /// A mail arrives that is treated so, so many times each.
    pub fn deliver_odd(&self, raw: &[u8], quirks: &[(Quirk, usize)]) -> u32 {
        self.state().add(raw, quirks)
    }

    /// A mail is there again, under its UID.
    pub fn bring_back(&self, uid: u32, raw: &[u8]) {
        let kept = Kept {
            raw: raw.to_vec(),
            quirks: Vec::new(),
        };
        self.state().mails.insert(uid, kept);
    }

    /// The server is well again.
    pub fn heal(&self) {
        self.state()
            .mails
            .values_mut()
            .for_each(|mail| mail.quirks.clear());
    }

    /// Everything is removed; UIDs begin anew under the same UIDVALIDITY.
    pub fn put_back(&self) {
        self.restore(0);
    }

    /// Only the mails up to this UID are there; UIDs go on from it under the same UIDVALIDITY.
    pub fn restore(&self, last_uid: u32) {
        let mut state = self.state();
        state.mails.retain(|uid, _| *uid <= last_uid);
        state.uid_next = last_uid + 1;
    }

    /// Somebody removes a mail.
    pub fn remove(&self, uid: u32) {
        self.state().mails.remove(&uid);
    }

    pub fn asked(&self, what: &str) -> usize {
        self.state()
            .commands
            .iter()
            .filter(|command| command.contains(what))
            .count()
    }

    pub fn is_empty(&self) -> bool {
        self.state().mails.is_empty()
    }

    pub fn connections(&self) -> usize {
        self.state().connections
    }

    pub fn uids(&self) -> Vec<u32> {
        self.state().mails.keys().copied().collect()
    }

    #[track_caller]
    pub fn assert_kept_to_the_protocol(&self) {
        assert_eq!(self.state().violations, Vec::<String>::new());
    }
}

/// What follows an answer.
#[derive(Debug, Default, PartialEq)]
enum Then {
    #[default]
    Goes,
    Closes,
    Hangs,
}

struct Connection {
    state: Arc<Mutex<State>>,
    tags: BTreeSet<String>,
    logged_in: bool,
    introduced: bool,
    /// None, or whether the folder may be written to.
    selected: Option<bool>,
    /// How many mails it was told of last.
    told: usize,
}

impl Connection {
    fn new(state: Arc<Mutex<State>>) -> Self {
        let mut locked = state.lock().unwrap();
        locked.connections += 1;
        if locked.is_frozen {
            locked.unindexed.clear();
        }
        drop(locked);
        Self {
            state,
            tags: BTreeSet::new(),
            logged_in: false,
            introduced: false,
            selected: None,
            told: 0,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    async fn serve(mut self, stream: TcpStream) {
        let _ = stream.set_nodelay(true);
        let (reader, mut writer) = stream.into_split();
        let mut lines = BufReader::new(reader).lines();
        self.dawdles("").await;
        let greeting = format!("{}\r\n", self.lock().greeting);
        if writer.write_all(greeting.as_bytes()).await.is_err() || greeting.starts_with("* BYE") {
            return;
        }
        self.logged_in = greeting.starts_with("* PREAUTH");
        while let Ok(Some(line)) = lines.next_line().await {
            let (tag, command) = line.split_once(' ').unwrap_or((&line, ""));
            if !self.tags.insert(tag.to_owned())
                || !tag.bytes().all(|byte| byte.is_ascii_alphanumeric())
            {
                self.violation(&format!("the tag of {line}"));
            }
            self.dawdles(command).await;
            let idles = self.lock().idles;
            if let (Idles::Not(answer), "IDLE") = (idles, command) {
                self.lock().commands.push(command.to_owned());
                let answer = format!("{tag} {answer}\r\n");
                if writer.write_all(answer.as_bytes()).await.is_err() {
                    return;
                }
                continue;
            }
            if command == "IDLE" {
                self.lock().commands.push(command.to_owned());
                let began = Instant::now();
                if matches!(idles, Idles::Ends) {
                    return;
                }
                // What came since the last command is announced at once.
                let known = self.lock().exists().min(self.told);
                if writer.write_all(b"+ idling\r\n").await.is_err() {
                    return;
                }
                loop {
                    let changed = self.lock().exists() != known;
                    if changed {
                        let exists = self.lock().exists();
                        self.told = exists;
                        let exists = format!("* {exists} EXISTS\r\n");
                        if writer.write_all(exists.as_bytes()).await.is_err() {
                            return;
                        }
                    }
                    match idles {
                        Idles::For(time) if began.elapsed() >= time => break,
                        Idles::UntilMail if changed => break,
                        _ => {}
                    }
                    match tokio::time::timeout(Duration::from_millis(20), lines.next_line()).await {
                        Ok(Ok(Some(done))) if done == "DONE" => break,
                        Ok(Ok(Some(other))) => self.violation(&format!("{other} in IDLE")),
                        Ok(_) => return,
                        Err(_) => {}
                    }
                }
                if writer
                    .write_all(format!("{tag} OK done\r\n").as_bytes())
                    .await
                    .is_err()
                {
                    return;
                }
                continue;
            }
            if line == "DONE" {
                // It came after the IDLE's end.
                self.tags.remove("DONE");
                if writer.write_all(b"DONE BAD no command\r\n").await.is_err() {
                    return;
                }
                continue;
            }
            let (answer, then) = self.answer(tag, command);
            if writer.write_all(&answer).await.is_err() || then == Then::Closes {
                return;
            }
            if then == Then::Hangs {
                // Until the client has had enough.
                while let Ok(Some(_)) = lines.next_line().await {}
                return;
            }
        }
    }

    async fn dawdles(&self, command: &str) {
        let slow = self.lock().slow_at;
        if let Some((words, pause)) = slow
            && (words == command || (!words.is_empty() && command.contains(words)))
        {
            tokio::time::sleep(pause).await;
        }
    }

    fn violation(&self, what: &str) {
        self.lock().violations.push(what.to_owned());
    }

    fn answer(&mut self, tag: &str, command: &str) -> (Vec<u8>, Then) {
        let (verb, rest) = command.split_once(' ').unwrap_or((command, ""));
        let mut state = self.state.lock().unwrap();
        if verb != "LOGIN" {
            state.commands.push(command.to_owned());
        }
        let mut answer = Vec::new();
        if state.hangs_at.is_some_and(|words| command.contains(words)) {
            return (answer, Then::Hangs);
        }
        if state.closes_at.is_some_and(|words| command.contains(words)) {
            return (answer, Then::Closes);
        }
        for number in 0..state.storm {
            let line = [
                "* 1 EXISTS\r\n",
                "* 1 EXPUNGE\r\n",
                "* 2 FETCH (FLAGS (\\Seen $Junk(1)))\r\n",
            ][number % 3];
            answer.extend_from_slice(line.as_bytes());
        }
        let mut say = |text: &str| answer.extend_from_slice(text.as_bytes());
        let needs = |holds: bool, state: &mut State| {
            if !holds {
                state
                    .violations
                    .push(format!("{command}: not in this state"));
            }
        };
        let mut done = format!("{tag} OK done\r\n");
        if let Some(exists) = state.arrives_amid(command, true) {
            self.told = state.exists();
            say(&exists);
        }
        match verb {
            "CAPABILITY" => say(&format!("* CAPABILITY {}\r\n", state.capabilities)),
            "NOOP" => {
                self.told = state.exists();
                say(&format!("* {} EXISTS\r\n", self.told));
            }
            "LOGOUT" => {
                say("* BYE see you\r\n");
                answer.extend_from_slice(done.as_bytes());
                return (answer, Then::Closes);
            }
            "ID" => {
                if !rest.starts_with("(\"name\" \"") || !rest.ends_with("\")") {
                    state.violations.push(format!("ID {rest}"));
                }
                self.introduced = true;
                say("* ID NIL\r\n");
            }
            "LOGIN" => {
                needs(!self.logged_in, &mut state);
                if state.logins.is_empty() {
                    self.logged_in = true;
                } else {
                    done = format!("{tag} {}\r\n", state.logins.remove(0));
                    if done.contains("* BYE") {
                        return (
                            done.replace(&format!("{tag} "), "").into_bytes(),
                            Then::Closes,
                        );
                    }
                }
            }
            "SELECT" | "EXAMINE" => {
                needs(self.logged_in, &mut state);
                if state.needs_id && !self.introduced {
                    done = format!(
                        "{tag} NO {verb} Unsafe Login. Please contact kefu@188.com for help\r\n"
                    );
                } else {
                    self.selected = Some(verb == "SELECT");
                    self.told = state.exists();
                    let next = state.told_uid_next.unwrap_or(state.uid_next);
                    say(&format!(
                        "* FLAGS (\\Seen $Label(1) :-))\r\n* {} EXISTS\r\n* OK [UIDVALIDITY {}] \
                         ok\r\n* OK [UIDNEXT {next}]\u{fc}\r\n",
                        state.exists(),
                        state
                            .told_uid_validity
                            .map_or_else(|| state.uid_validity.to_string(), str::to_owned)
                    ));
                }
            }
            "UID" => {
                needs(self.selected.is_some(), &mut state);
                let (verb, rest) = rest.split_once(' ').unwrap_or((rest, ""));
                match verb {
                    "SEARCH" => {
                        self.told = state.exists();
                        say(&search(&mut state, tag, rest));
                    }
                    "FETCH" => {
                        let (fetched, ended) = fetch(&mut state, tag, rest);
                        answer.extend_from_slice(&fetched);
                        if let Some((last, then)) = ended {
                            answer.extend_from_slice(last.as_bytes());
                            return (answer, then);
                        }
                    }
                    "EXPUNGE" if state.refuses_expunge => {
                        done = format!("{tag} NO UID EXPUNGE\r\n");
                    }
                    "MOVE" if state.refuses_move => {
                        done = format!("{tag} NO [OVERQUOTA] no room\r\n");
                    }
                    "MOVE" | "EXPUNGE" => {
                        needs(self.selected == Some(true), &mut state);
                        let uids = set(rest.split(' ').next().unwrap(), u32::MAX);
                        let expunged = state.expunge(&uids);
                        self.told = self.told.saturating_sub(expunged.len());
                        say(&expunged.concat());
                    }
                    "STORE" | "COPY" => needs(self.selected == Some(true), &mut state),
                    _ => state.violations.push(command.to_owned()),
                }
            }
            _ => state.violations.push(command.to_owned()),
        }
        if let Some(exists) = state.arrives_amid(command, false) {
            self.told = state.exists();
            answer.extend_from_slice(exists.as_bytes());
        }
        answer.extend_from_slice(done.as_bytes());
        (answer, Then::Goes)
    }
}

/// The numbers of a set; `*` is `last`, and `n:*` always has it.
fn set(text: &str, last: u32) -> BTreeSet<u32> {
    let number = |text: &str| {
        if text == "*" {
            last
        } else {
            text.parse().expect("a number of a set")
        }
    };
    let mut numbers = BTreeSet::new();
    for part in text.split(',') {
        let (first, end) = part.split_once(':').unwrap_or((part, part));
        let (first, end) = (number(first), number(end));
        numbers.extend(first.min(end)..=first.max(end).min(first.min(end).saturating_add(100_000)));
    }
    numbers
}

/// Whether a set has this number in it.
fn is_in(text: &str, last: u32, number: u32) -> bool {
    let value = |text: &str| {
        if text == "*" {
            last
        } else {
            text.parse().expect("a number of a set")
        }
    };
    text.split(',').any(|part| {
        let (first, end) = part.split_once(':').unwrap_or((part, part));
        let (first, end) = (value(first), value(end));
        (first.min(end)..=first.max(end)).contains(&number)
    })
}

/// By UID, or by the mails' numbers and UID.
fn search(state: &mut State, tag: &str, rest: &str) -> String {
    let (mut numbers, mut sets, mut words) = ("1:*", Vec::new(), rest.split(' '));
    while let Some(word) = words.next() {
        match word {
            "UID" => sets.push(words.next().expect("a set of UIDs")),
            "SINCE" => drop(words.next().expect("a date")),
            word => numbers = word,
        }
    }
    let last = state.mails.keys().last().copied().unwrap_or(0);
    let count = u32::try_from(state.mails.len()).unwrap();
    let mut found: Vec<u32> = (1..)
        .zip(state.mails.keys())
        .filter(|(number, _)| is_in(numbers, count, *number))
        .map(|(_, uid)| *uid)
        .filter(|uid| sets.iter().all(|set| is_in(set, last.max(1), *uid)))
        .filter(|uid| !state.unindexed.contains(uid))
        .collect();
    let is_old = |uid: &u32| {
        let quirks = &state.mails[uid].quirks;
        quirks
            .iter()
            .any(|(quirk, _)| [LONG_AGO, EPOCH].contains(quirk))
    };
    let has_since = rest.contains(" SINCE ");
    if has_since {
        found.retain(|uid| !is_old(uid));
    }
    if state.stale_searches > 0 && found.last() == Some(&last) {
        state.stale_searches -= 1;
        found.pop();
    }
    if has_since && state.stale_since > 0 && found.last() == Some(&last) {
        state.stale_since -= 1;
        found.pop();
    }
    match state.finds {
        Finds::All => {}
        Finds::First(most) => found.truncate(most),
        Finds::Last(most) => drop(found.drain(..found.len().saturating_sub(most))),
    }
    if state.capabilities.contains("IMAP4rev1") {
        return format!(
            "* SEARCH{}\r\n",
            found
                .iter()
                .map(|uid| format!(" {uid}"))
                .collect::<String>()
        );
    }
    let all = found
        .iter()
        .map(u32::to_string)
        .collect::<Vec<_>>()
        .join(",");
    let all = if all.is_empty() {
        all
    } else {
        format!(" ALL {all}")
    };
    format!("* ESEARCH (TAG \"{tag}\") UID{all}\r\n")
}

/// What is said of each mail, and how it ends where it does not end well.
fn fetch(state: &mut State, tag: &str, rest: &str) -> (Vec<u8>, Option<(String, Then)>) {
    let (uids, items) = rest.split_once(' ').unwrap();
    if !items.starts_with("(UID") || !items.ends_with(')') {
        state.violations.push(format!("FETCH {rest}"));
    }
    let mut answer = Vec::new();
    for uid in set(uids, u32::MAX) {
        let sequence = state.mails.range(..=uid).count();
        let Some(kept) = state.mails.get_mut(&uid) else {
            continue;
        };
        let body = items.contains("BODY.PEEK");
        let quirk = kept
            .quirks
            .iter_mut()
            .find(|(quirk, left)| *left > 0 && (!quirk.is_the_bodys() || body));
        let quirk = quirk.map(|(quirk, left)| {
            *left = if *left == FOREVER { FOREVER } else { *left - 1 };
            *quirk
        });
        if quirk == Some(Quirk::Vanish) {
            state.mails.remove(&uid);
            continue;
        }
        let mut raw = kept.raw.clone();
        let size = raw.len() as u64;
        if quirk == Some(Quirk::StandIn) {
            raw = STAND_IN.replace('\n', "\r\n").into_bytes();
        }
        let fields = items.contains("[HEADER.FIELDS (DATE)]");
        if items.contains("[HEADER]") || fields {
            let end = raw
                .windows(4)
                .position(|bytes| bytes == b"\r\n\r\n")
                .map_or(raw.len(), |at| at + 4);
            raw.truncate(end);
        }
        if fields {
            let lines = raw.split_inclusive(|byte| *byte == b'\n');
            let asked = lines.filter(|line| line.starts_with(b"Date:") || *line == b"\r\n");
            raw = asked.flatten().copied().collect();
        }
        if let Some((_, partial)) = items.split_once("BODY.PEEK[]<") {
            let (start, length) = partial.trim_end_matches(">)").split_once('.').unwrap();
            let start = start.parse::<usize>().unwrap().min(raw.len());
            let end = (start + length.parse::<usize>().unwrap()).min(raw.len());
            raw = raw[start..end].to_vec();
        }
        let mut head = format!("* {sequence} FETCH (");
        let mut attributes = Vec::new();
        if let Some(Quirk::Also(also)) = quirk {
            attributes.push(also.to_owned());
        }
        if quirk != Some(Quirk::NoUid) {
            attributes.push(format!("UID {uid}"));
        }
        if items.contains("RFC822.SIZE") && quirk != Some(Quirk::NoSize) {
            let size = if let Some(Quirk::Size(size)) = quirk {
                size
            } else {
                size
            };
            attributes.push(format!("RFC822.SIZE {size}"));
        }
        if items.contains("INTERNALDATE") {
            let now = crate::delivery::now()
                .strftime("\"%d-%b-%Y %H:%M:%S +0000\"")
                .to_string();
            match quirk {
                Some(Quirk::NoDate) => {}
                Some(Quirk::DateNil) => attributes.push("INTERNALDATE NIL".into()),
                Some(Quirk::Date(date)) => attributes.push(format!("INTERNALDATE {date}")),
                _ => attributes.push(format!("INTERNALDATE {now}")),
            }
        }
        head.push_str(&attributes.join(" "));
        if !body {
            let _ = write!(head, ")\r\n");
            answer.extend_from_slice(head.as_bytes());
            continue;
        }
        let name = if items.contains("[HEADER]") {
            "BODY[HEADER]<0>".to_owned()
        } else if fields {
            "BODY[HEADER.FIELDS (DATE)]<0>".to_owned()
        } else if let Some((_, partial)) = items.split_once("BODY.PEEK[]<") {
            format!("BODY[]<{}>", partial.split('.').next().unwrap())
        } else {
            "BODY[]".to_owned()
        };
        let _ = write!(
            head,
            "{}{name} ",
            if attributes.is_empty() { "" } else { " " }
        );
        let mut literal = |head: &str, announced: usize, bytes: &[u8], end: &str| {
            answer.extend_from_slice(format!("{head}{{{announced}}}\r\n").as_bytes());
            answer.extend_from_slice(bytes);
            answer.extend_from_slice(end.as_bytes());
        };
        let half = raw.len() / 2;
        match quirk {
            Some(Quirk::LeftOut) => {}
            Some(Quirk::No(said)) => {
                return (answer, Some((format!("{tag} NO {said}\r\n"), Then::Goes)));
            }
            Some(Quirk::Garbage) => {
                return (
                    answer,
                    Some(("<html>502 Bad Gateway\r\n".into(), Then::Goes)),
                );
            }
            Some(Quirk::BodyNil) => answer.extend_from_slice(format!("{head}NIL)\r\n").as_bytes()),
            Some(Quirk::Empty) => literal(&head, 0, b"", ")\r\n"),
            Some(Quirk::Silent) => return (answer, Some((String::new(), Then::Hangs))),
            Some(Quirk::Hang) => {
                literal(&head, raw.len(), &raw[..half], "");
                return (answer, Some((String::new(), Then::Hangs)));
            }
            Some(Quirk::Cut) => {
                literal(&head, raw.len(), &raw[..half], "");
                return (answer, Some((String::new(), Then::Closes)));
            }
            Some(Quirk::BusyCut) => {
                literal(&head, raw.len(), &raw[..half], "");
                return (
                    answer,
                    Some((format!("\r\n{tag} NO [UNAVAILABLE] busy\r\n"), Then::Closes)),
                );
            }
            Some(Quirk::Longer(more)) => literal(&head, raw.len() + more, &raw, ")\r\n"),
            Some(Quirk::Shorter(less)) => {
                literal(&head, raw.len().saturating_sub(less), &raw, ")\r\n");
            }
            Some(Quirk::Truncated) => literal(&head, half, &raw[..half], ")\r\n"),
            _ => literal(&head, raw.len(), &raw, ")\r\n"),
        }
    }
    (answer, None)
}

/// A mail that SEARCH SINCE leaves out.
pub const LONG_AGO: Quirk = Quirk::Date("\"01-Feb-2001 00:00:00 +0000\"");

/// What a host without a clock says; SEARCH SINCE leaves it out, too.
pub const EPOCH: Quirk = Quirk::Date("\"01-Jan-1970 00:00:00 +0000\"");

/// What Exchange gives in place of a mail that it cannot convert.
pub const STAND_IN: &str = "MIME-Version: 1.0
From: Microsoft Exchange Server
To: On Call <alerts@example.com>
Subject: Retrieval using the IMAP4 protocol failed for the following
 message: 7
Content-Type: text/plain

The server couldn't retrieve the following message:

Subject: \"Cloud Fortified alert\"
From: \"Atlassian\" (\"no-reply@am.atlassian.com\")

The message hasn't been deleted.
";
