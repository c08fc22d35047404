//! Ports for servers that are told where to listen.

use std::{
    net::{TcpListener, UdpSocket},
    sync::{
        LazyLock,
        atomic::{AtomicU16, Ordering},
    },
};

/// A port that nobody listens on, over TCP or UDP. It is none of those the kernel gives out by
/// itself (from 32768 on): nobody else gets it before the server listens.
pub fn free_port() -> u16 {
    static NEXT: LazyLock<AtomicU16> =
        LazyLock::new(|| AtomicU16::new(fastrand::u16(10_000..30_000)));
    loop {
        let port = NEXT.fetch_add(1, Ordering::Relaxed);
        if TcpListener::bind(("127.0.0.1", port)).is_ok()
            && UdpSocket::bind(("127.0.0.1", port)).is_ok()
        {
            return port;
        }
    }
}
