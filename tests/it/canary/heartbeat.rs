//! Whoever watches from outside, as healthchecks.io does: it counts the GETs of its address.

use super::*;

/// Ends with the test.
pub struct Heartbeat {
    address: SocketAddr,
    pings: Arc<std::sync::atomic::AtomicUsize>,
}

impl Heartbeat {
    pub fn start() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let heartbeat = Self {
            address: listener.local_addr().unwrap(),
            pings: Arc::default(),
        };
        let pings = Arc::clone(&heartbeat.pings);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { return };
                answer(&stream, &pings);
            }
        });
        heartbeat
    }

    pub fn url(&self) -> String {
        format!("http://{}/ping/a-secret", self.address)
    }

    pub fn count(&self) -> usize {
        self.pings.load(std::sync::atomic::Ordering::SeqCst)
    }
}

fn answer(stream: &TcpStream, pings: &std::sync::atomic::AtomicUsize) {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let first = lines.next().unwrap_or_default();
    let _head = lines.take_while(|line| !line.is_empty()).count();
    let status = if first == "GET /ping/a-secret HTTP/1.1" {
        pings.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        "200 OK"
    } else {
        "404 Not Found"
    };
    let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 2\r\nConnection: close\r\n\r\nOK");
    let _may_be_gone = (&mut &*stream).write_all(answer.as_bytes());
}
