//! Connects to a host by its name: tries all its addresses, in parallel (RFC 8305, happy eyeballs).

use std::{io, net::SocketAddr, time::Duration};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use tokio::{
    net::{TcpStream, lookup_host},
    time::sleep,
};

use super::fault::system_reason;

/// The head start of an address before the next one is tried in parallel.
const HEAD_START: Duration = Duration::from_millis(250);
/// The most addresses of one name that are tried.
const MOST_ADDRESSES: usize = 16;

/// Connects to the address that answers first; `avoid` is tried last, because it led nowhere the
/// last time.
pub(super) async fn connect(
    host: &str,
    port: u16,
    avoid: Option<SocketAddr>,
) -> Result<TcpStream, String> {
    let found = lookup_host((host, port)).await;
    let found =
        found.map_err(|error| format!("its name has no address: {}", system_reason(&error)))?;
    let addresses = in_turn(found.collect(), avoid);
    if addresses.is_empty() {
        return Err("its name has no address".into());
    }
    race(&addresses).await
}

/// Orders addresses: IPv6 and IPv4 alternately, beginning with the family that the resolver
/// returned first, and `avoid` last.
fn in_turn(found: Vec<SocketAddr>, avoid: Option<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_v6 = found.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) = found
        .into_iter()
        .partition(|address| address.is_ipv6() == first_is_v6);
    let mut ordered = Vec::new();
    let (mut first, mut second) = (first.into_iter(), second.into_iter());

    loop {
        let before = ordered.len();
        ordered.extend(first.next().into_iter().chain(second.next()));
        if ordered.len() == before {
            break;
        }
    }

    ordered.dedup();

    // The sort is stable: all others keep their order.
    ordered.sort_by_key(|address| Some(*address) == avoid);
    ordered.truncate(MOST_ADDRESSES);

    ordered
}

async fn race(addresses: &[SocketAddr]) -> Result<TcpStream, String> {
    let mut waiting = addresses.iter().copied();
    let mut attempts = FuturesUnordered::new();
    let mut reasons = Vec::new();

    loop {
        if let Some(address) = waiting.next() {
            attempts.push(async move {
                TcpStream::connect(address)
                    .await
                    .map_err(|error| (address, error))
            });
        }
        // A refused connection lets the next one start at once.
        let next_may_start = async {
            if waiting.len() == 0 {
                std::future::pending::<()>().await;
            } else {
                sleep(HEAD_START).await;
            }
        };
        tokio::select! {
            outcome = attempts.next() => match outcome {
                Some(Ok(stream)) => return Ok(stream),
                Some(Err((address, error))) => reasons.push(reason(address, &error)),
                None => return Err(reasons.join("; ")),
            },
            () = next_may_start => {}
        }
    }
}

fn reason(address: SocketAddr, error: &io::Error) -> String {
    format!("{address}: {}", system_reason(error))
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    fn addresses(text: &[&str]) -> Vec<SocketAddr> {
        text.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn the_families_take_turns_and_what_led_nowhere_is_tried_last() {
        let found = addresses(&["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1", "1.1.1.2:1"]);
        let expected = addresses(&["[::1]:1", "1.1.1.1:1", "[::2]:1", "1.1.1.2:1", "[::3]:1"]);
        assert_eq!(in_turn(found.clone(), None), expected);
        let avoided = in_turn(found, Some(expected[0]));
        assert_eq!((avoided[0], avoided[4]), (expected[1], expected[0]));
        assert!(in_turn(Vec::new(), None).is_empty());
    }

    #[tokio::test]
    async fn an_address_that_refuses_or_never_answers_does_not_keep_from_the_next() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let open = listener.local_addr().unwrap();
        let gone = TcpListener::bind("127.0.0.1:0")
            .await
            .unwrap()
            .local_addr()
            .unwrap();
        // A listener whose queue is full leaves a SYN without an answer.
        let deaf = tokio::net::TcpSocket::new_v4().unwrap();
        deaf.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let deaf = deaf.listen(1).unwrap();
        let silent = deaf.local_addr().unwrap();
        let mut queued = Vec::new();
        while let Ok(Ok(stream)) =
            tokio::time::timeout(HEAD_START, TcpStream::connect(silent)).await
        {
            queued.push(stream);
        }

        let connected = race(&[gone, silent, open]).await.unwrap();
        assert_eq!(connected.peer_addr().unwrap(), open);
        let refused = race(&[gone]).await.unwrap_err();
        assert_eq!(refused, format!("{gone}: Connection refused"));
    }
}
