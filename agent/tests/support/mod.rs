//! What end-to-end tests and benchmarks stand on: the real agent, the real Chromium, the real coturn.
#![allow(dead_code, missing_docs, clippy::unwrap_used)]

pub mod agent;
pub mod board;
pub mod browser;
pub mod own_network;
pub mod turn;

use std::{
    future::Future,
    net::{TcpListener, UdpSocket},
    path::PathBuf,
    time::{Duration, Instant},
};

/// A port that is free for TCP and UDP on loopback right now.
pub fn free_port() -> u16 {
    for _ in 0..64 {
        let tcp = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
        let port = tcp.local_addr().expect("bound").port();
        if UdpSocket::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no port is free for both TCP and UDP");
}

/// Asks until the answer is there or `within` is over; `what` is named in the failure.
pub async fn eventually<T, F>(what: &str, within: Duration, mut ask: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let deadline = Instant::now() + within;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < deadline, "not within {within:?}: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The real footage that `scripts/test` fetched: an MP4 with H.264.
pub fn footage() -> PathBuf {
    let path = std::env::var_os("P2PCAM_FOOTAGE")
        .expect("P2PCAM_FOOTAGE names no MP4 file: run the tests through scripts/test, which fetches one");
    PathBuf::from(path)
}

/// Looks for a program that the tests need.
pub fn require(program: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|dir| dir.join(program)).find(|file| file.is_file()).unwrap_or_else(
        || panic!("{program} is not installed: run the tests through scripts/test, which installs it"),
    )
}
