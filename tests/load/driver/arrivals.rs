//! The webhooks' receiver: notes when each id came.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::{Router, body::Bytes, http::StatusCode};
use memchr::memmem;

pub struct Arrivals {
    find: String,
    /// Others are somebody else's.
    known: Option<HashSet<String>>,
    taken: Mutex<Taken>,
}

#[derive(Clone, Default)]
pub struct Taken {
    by_key: HashMap<String, VecDeque<Instant>>,
    count: usize,
}

impl Taken {
    /// The next arrival of a key: several mails of one id page in order.
    pub fn next_of(&mut self, key: &str) -> Option<Instant> {
        self.by_key.get_mut(key)?.pop_front()
    }

    /// Those nobody asked for.
    pub fn left(&self) -> usize {
        self.by_key.values().map(VecDeque::len).sum()
    }
}

impl Arrivals {
    pub fn new(find: &str, known: Option<HashSet<String>>) -> Self {
        Self {
            find: find.to_owned(),
            known,
            taken: Mutex::default(),
        }
    }

    pub fn taken(&self) -> Taken {
        self.taken.lock().unwrap().clone()
    }

    fn take(&self, body: &[u8]) {
        let now = Instant::now();
        let mut seen = HashSet::new();
        for at in memmem::find_iter(body, &self.find) {
            let rest = &body[at + self.find.len()..];
            let is_of_an_id =
                |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
            let end = rest
                .iter()
                .position(|byte| !is_of_an_id(byte))
                .unwrap_or(rest.len());
            let key = String::from_utf8_lossy(&rest[..end]).into_owned();
            if self.known.as_ref().is_none_or(|known| known.contains(&key)) {
                seen.insert(key);
            }
        }
        let mut taken = self.taken.lock().unwrap();
        for key in seen {
            taken.count += 1;
            taken.by_key.entry(key).or_default().push_back(now);
        }
    }

    /// Waits until so many came, or none comes any more.
    pub async fn complete(&self, expected: usize, patience: Duration) {
        let (mut last, mut moved) = (0, Instant::now());
        while last < expected && moved.elapsed() < patience {
            tokio::time::sleep(Duration::from_millis(10)).await;
            let count = self.taken.lock().unwrap().count;
            if count > last {
                (last, moved) = (count, Instant::now());
            }
        }
        // One too many would come now.
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

/// Answers every request with 202, whatever its path.
pub async fn listen(address: &str, arrivals: Arc<Arrivals>) {
    let listener = tokio::net::TcpListener::bind(address)
        .await
        .expect("--receive: cannot listen there");
    let app = Router::new().fallback(move |body: Bytes| async move {
        arrivals.take(&body);
        StatusCode::ACCEPTED
    });
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
}
