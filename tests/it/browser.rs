//! A person's browser: Debian's Chromium without a window, driven over its pipe (the protocol of
//! its developers' tools). It notes whatever it complains of and whatever it asks for.

use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    io::{BufReader, Write as _},
    path::Path,
    process::{Command, Stdio},
    sync::{Arc, Condvar, Mutex, OnceLock},
    thread,
    time::Instant,
};

use serde_json::{Value, json};

use crate::harness::PATIENCE;

/// One for all tests: each page has a profile of its own in it. It ends with its pipe, which is
/// when the tests do.
struct Browser {
    to: Mutex<File>,
    said: Mutex<Said>,
    heard: Condvar,
}

/// What it has said.
#[derive(Default)]
struct Said {
    asked: i64,
    answers: BTreeMap<i64, Value>,
    /// By session.
    events: BTreeMap<String, Vec<Value>>,
    gone: bool,
}

/// How a page is looked at.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    pub width: u32,
    pub dark: bool,
    pub javascript: bool,
}

impl Default for Look {
    fn default() -> Self {
        Self {
            width: 1280,
            dark: false,
            javascript: true,
        }
    }
}

/// A tab of its own, in a profile of its own.
pub struct Tab {
    browser: Arc<Browser>,
    session: String,
    context: String,
    /// Whether its profile ends with it.
    owns: bool,
}

impl Browser {
    fn get() -> Arc<Self> {
        static BROWSER: OnceLock<Arc<Browser>> = OnceLock::new();
        Arc::clone(BROWSER.get_or_init(Self::start))
    }

    fn start() -> Arc<Self> {
        let folder = tempfile::Builder::new()
            .prefix("browser")
            .tempdir()
            .unwrap()
            .keep();
        let [to, from] = ["to", "from"].map(|name| folder.join(name));
        let made = Command::new("mkfifo").args([&to, &from]).status().unwrap();
        assert!(made.success());

        // It reads what it is told on descriptor 3, and answers on 4.
        let command = "chromium --headless=new --no-sandbox --disable-gpu --no-first-run \
                       --disable-background-networking --disable-component-update --disable-sync \
                       --disable-dev-shm-usage --hide-scrollbars --remote-debugging-pipe \
                       --user-data-dir=\"$0/profile\" about:blank 3<\"$0/to\" 4>\"$0/from\"; \
                       rm -rf \"$0\"";
        let mut child = Command::new("sh")
            .args(["-c", command])
            .arg(&folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // It ends with its pipe, and whoever reads there hears of it.
        thread::spawn(move || child.wait());

        let to = OpenOptions::new().write(true).open(to).unwrap();
        let from = BufReader::new(File::open(from).unwrap());
        let browser = Arc::new(Self {
            to: Mutex::new(to),
            said: Mutex::default(),
            heard: Condvar::new(),
        });
        let listening = Arc::clone(&browser);
        thread::spawn(move || listening.listen(from));
        browser
    }

    fn listen(&self, from: impl std::io::BufRead) {
        for message in from.split(0) {
            let Ok(message) = message else { break };
            let Ok(message) = serde_json::from_slice::<Value>(&message) else {
                continue;
            };
            let mut said = self.said.lock().unwrap();
            if let Some(id) = message["id"].as_i64() {
                said.answers.insert(id, message);
            } else {
                let session = message["sessionId"].as_str().unwrap_or_default().to_owned();
                said.events.entry(session).or_default().push(message);
            }
            drop(said);
            self.heard.notify_all();
        }
        self.said.lock().unwrap().gone = true;
        self.heard.notify_all();
    }

    fn ask(&self, session: Option<&str>, method: &str, params: &Value) -> Value {
        let id = {
            let mut said = self.said.lock().unwrap();
            said.asked += 1;
            said.asked
        };
        let mut message = json!({ "id": id, "method": method, "params": params });
        if let Some(session) = session {
            message["sessionId"] = json!(session);
        }
        let mut bytes = serde_json::to_vec(&message).unwrap();
        bytes.push(0);
        self.to.lock().unwrap().write_all(&bytes).unwrap();

        let answer = self.wait(&format!("{method} {params}"), |said| {
            said.answers.remove(&id)
        });
        assert!(answer["error"].is_null(), "{method} {params}: {answer}");
        answer["result"].clone()
    }

    fn wait<T>(&self, what: &str, found: impl Fn(&mut Said) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        let mut said = self.said.lock().unwrap();
        loop {
            if let Some(found) = found(&mut said) {
                return found;
            }
            assert!(!said.gone, "the browser is gone: {what}");
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "the browser does not come to it: {what}");
            said = self.heard.wait_timeout(said, left).unwrap().0;
        }
    }
}

impl Tab {
    /// Opens one.
    pub fn open(look: Look) -> Self {
        let browser = Browser::get();
        let context = browser.ask(None, "Target.createBrowserContext", &json!({}));
        let context = context["browserContextId"].as_str().unwrap().to_owned();
        Self::within(browser, context, look)
    }

    /// Opens another one in the same profile, before this one.
    pub fn beside(&self, look: Look) -> Self {
        let mut tab = Self::within(Arc::clone(&self.browser), self.context.clone(), look);
        tab.owns = false;
        tab
    }

    fn within(browser: Arc<Browser>, context: String, look: Look) -> Self {
        let target = json!({ "url": "about:blank", "browserContextId": context });
        let target = browser.ask(None, "Target.createTarget", &target);
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let session = browser.ask(None, "Target.attachToTarget", &attach);
        let tab = Self {
            session: session["sessionId"].as_str().unwrap().to_owned(),
            browser,
            context,
            owns: true,
        };

        for domain in ["Page", "Runtime", "Log", "Network", "DOM"] {
            tab.ask(&format!("{domain}.enable"), &json!({}));
        }
        tab.look(look);
        tab
    }

    /// Looks at it otherwise.
    pub fn look(&self, look: Look) {
        let metrics = json!({
            "width": look.width, "height": 900, "deviceScaleFactor": 1, "mobile": look.width < 600
        });
        self.ask("Emulation.setDeviceMetricsOverride", &metrics);
        let scheme = if look.dark { "dark" } else { "light" };
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.ask("Emulation.setEmulatedMedia", &features);
        let disabled = json!({ "value": !look.javascript });
        self.ask("Emulation.setScriptExecutionDisabled", &disabled);
    }

    fn ask(&self, method: &str, params: &Value) -> Value {
        self.browser.ask(Some(&self.session), method, params)
    }

    fn events<T>(&self, of: impl FnOnce(&[Value]) -> T) -> T {
        let said = self.browser.said.lock().unwrap();
        of(said.events.get(&self.session).map_or(&[], Vec::as_slice))
    }

    fn loads(said: &Said, session: &str) -> usize {
        let events = said.events.get(session).into_iter().flatten();
        events
            .filter(|event| event["method"] == "Page.loadEventFired")
            .count()
    }

    /// Does what leads to another page, and waits until that is there.
    pub fn leading(&self, what: &str, act: impl FnOnce()) {
        let before = Self::loads(&self.browser.said.lock().unwrap(), &self.session);
        act();
        self.browser.wait(what, |said| {
            (Self::loads(said, &self.session) > before).then_some(())
        });
    }

    /// Goes to an address.
    pub fn go(&self, url: &str) {
        self.leading(url, || {
            let gone = self.ask("Page.navigate", &json!({ "url": url }));
            assert!(gone["errorText"].is_null(), "{url}: {gone}");
        });
    }

    /// Goes back to the page before, which the browser may have kept as it was.
    pub fn back(&self) {
        let arrivals = |said: &Said| {
            let events = said.events.get(&self.session).into_iter().flatten();
            events
                .filter(|event| event["method"] == "Page.frameNavigated")
                .count()
        };
        let history = self.ask("Page.getNavigationHistory", &json!({}));
        let at = usize::try_from(history["currentIndex"].as_u64().unwrap()).unwrap();
        let entry = &history["entries"][at - 1]["id"];
        let before = arrivals(&self.browser.said.lock().unwrap());
        self.ask("Page.navigateToHistoryEntry", &json!({ "entryId": entry }));
        self.browser.wait("the page before", |said| {
            (arrivals(said) > before).then_some(())
        });
    }

    /// Looks at it again, after another.
    pub fn front(&self) {
        self.ask("Page.bringToFront", &json!({}));
    }

    /// What an expression comes to.
    pub fn eval(&self, expression: &str) -> Value {
        let params =
            json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let found = self.ask("Runtime.evaluate", &params);
        assert!(found["exceptionDetails"].is_null(), "{expression}: {found}");
        found["result"]["value"].clone()
    }

    /// What an expression comes to, a text.
    pub fn text(&self, expression: &str) -> String {
        self.eval(expression)
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    /// The page's own text, as a reader sees it.
    pub fn says(&self) -> String {
        self.text("document.querySelector('main').innerText")
    }

    /// Where it is.
    pub fn path(&self) -> String {
        self.text("location.pathname + location.search")
    }

    /// Waits until an expression is true: for what comes by itself.
    pub fn until(&self, expression: &str) {
        let deadline = Instant::now() + PATIENCE;
        while self.eval(expression) != json!(true) {
            assert!(
                Instant::now() < deadline,
                "{expression} never is: {}",
                self.says()
            );
            thread::sleep(std::time::Duration::from_millis(10));
        }
    }

    /// Presses and lets go of the mouse on an element, which must be there to be seen.
    pub fn press(&self, selector: &str) {
        let find = format!(
            "(() => {{ const e = document.querySelector({selector:?}); if (!e) return null; \
             e.scrollIntoView({{ block: 'center' }}); const r = e.getClientRects()[0]; \
             return r ? [r.x + r.width / 2, r.y + r.height / 2] : null; }})()"
        );
        let place = self.eval(&find);
        assert!(
            place.is_array(),
            "{selector} is not to be seen at {}: {}",
            self.path(),
            self.says()
        );
        for kind in ["mousePressed", "mouseReleased"] {
            let event = json!({
                "type": kind, "x": place[0], "y": place[1], "button": "left", "clickCount": 1
            });
            self.ask("Input.dispatchMouseEvent", &event);
        }
    }

    /// The same on what leads to another page.
    pub fn follow(&self, selector: &str) {
        self.leading(selector, || self.press(selector));
    }

    /// The same on a link or a button by what it says.
    pub fn choose(&self, words: &str) {
        let mark = format!(
            "(() => {{ for (const e of document.querySelectorAll('main a, main button')) \
             if (e.innerText.trim() === {words:?}) {{ e.id ||= 'chosen'; return '#' + \
             CSS.escape(e.id); }} return null; }})()"
        );
        let selector = self.eval(&mark);
        let selector = selector.as_str();
        let selector =
            selector.unwrap_or_else(|| panic!("nothing says {words:?}: {}", self.says()));
        self.follow(selector);
    }

    /// Writes into a field what it is to hold.
    pub fn fill(&self, selector: &str, text: &str) {
        self.eval(&format!(
            "(() => {{ const e = document.querySelector({selector:?}); e.focus(); e.select(); }})()"
        ));
        self.key("Delete");
        self.ask("Input.insertText", &json!({ "text": text }));
        let holds = self.text(&format!("document.querySelector({selector:?}).value"));
        assert_eq!(holds, text, "{selector}");
    }

    /// Presses a key.
    pub fn key(&self, key: &str) {
        let code = match key {
            "Tab" => 9,
            "Enter" => 13,
            "Escape" => 27,
            "Delete" => 46,
            _ => panic!("no key {key}"),
        };
        for kind in ["rawKeyDown", "char", "keyUp"] {
            let mut event = json!({
                "type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code
            });
            match (kind, key) {
                ("char", "Enter") => event["text"] = json!("\r"),
                ("char", _) => continue,
                _ => {}
            }
            self.ask("Input.dispatchKeyEvent", &event);
        }
    }

    /// Chooses a file for a field.
    pub fn choose_file(&self, selector: &str, file: &Path) {
        let root = self.ask("DOM.getDocument", &json!({}));
        let query = json!({ "nodeId": root["root"]["nodeId"], "selector": selector });
        let field = self.ask("DOM.querySelector", &query);
        let files = json!({ "nodeId": field["nodeId"], "files": [file] });
        self.ask("DOM.setFileInputFiles", &files);
    }

    /// Whatever it complained of: errors of scripts, what a policy forbade, what could not be
    /// loaded.
    pub fn complaints(&self) -> Vec<String> {
        self.events(|events| {
            let told = events.iter().filter_map(|event| {
                let params = &event["params"];
                match event["method"].as_str()? {
                    "Runtime.exceptionThrown" => Some(params["exceptionDetails"].to_string()),
                    "Runtime.consoleAPICalled" if params["type"] == "error" => {
                        Some(params["args"].to_string())
                    }
                    "Log.entryAdded" if params["entry"]["level"] == "error" => {
                        Some(params["entry"].to_string())
                    }
                    _ => None,
                }
            });
            told.collect()
        })
    }

    /// Every address it asked for, but for what a policy kept it from asking.
    pub fn requests(&self) -> Vec<String> {
        self.events(|events| {
            let kept = events.iter().filter(|event| {
                event["method"] == "Network.loadingFailed"
                    && !event["params"]["blockedReason"].is_null()
            });
            let kept: Vec<_> = kept.map(|event| &event["params"]["requestId"]).collect();
            let sent = events.iter().filter(|event| {
                event["method"] == "Network.requestWillBeSent"
                    && !kept.contains(&&event["params"]["requestId"])
            });
            sent.filter_map(|event| Some(event["params"]["request"]["url"].as_str()?.to_owned()))
                .collect()
        })
    }
}

impl Drop for Tab {
    fn drop(&mut self) {
        if self.owns && !thread::panicking() {
            let context = json!({ "browserContextId": self.context });
            self.browser
                .ask(None, "Target.disposeBrowserContext", &context);
        }
    }
}

impl Tab {
    /// It complained of nothing but the pages that are not to be found, and asked nobody else for
    /// anything.
    pub fn assert_quiet(&self, own: &str, not_found: &[&str]) {
        let expected = |complaint: &&String| {
            complaint.contains("404") && not_found.iter().any(|path| complaint.contains(path))
        };
        let complaints = self.complaints();
        let complaints: Vec<_> = complaints.iter().filter(|one| !expected(one)).collect();
        assert!(complaints.is_empty(), "{complaints:#?}");

        let own = format!("{own}/");
        let foreign = |url: &String| !url.starts_with(&own) && !url.starts_with("about:");
        let foreign: Vec<_> = self.requests().into_iter().filter(foreign).collect();
        assert!(foreign.is_empty(), "{foreign:?}");
    }
}
