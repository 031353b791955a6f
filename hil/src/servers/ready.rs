//! Waits until a server that was started answers.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use tokio::time::{sleep, timeout};

use super::ServerError;
use crate::process::Program;

/// How often it is asked whether it is there.
const PAUSE: Duration = Duration::from_millis(20);
/// Longest wait for one answer of a server on this machine.
const ANSWER: Duration = Duration::from_millis(500);
/// Lines of its log in a message.
pub(super) const TAIL: usize = 12;

/// Asks until there is an answer.
///
/// # Errors
/// The server ended, or the patience did.
pub(super) async fn ready<A: Future<Output = bool>>(
    program: &mut Program,
    what: &'static str,
    address: SocketAddr,
    patience: Duration,
    mut answers: impl FnMut() -> A,
) -> Result<(), ServerError> {
    let deadline = Instant::now() + patience;
    while !timeout(ANSWER, answers()).await.unwrap_or(false) {
        if let Some(ended) = program.ended_early() {
            return Err(ended.into());
        }
        if Instant::now() >= deadline {
            let tail = program.log_tail(TAIL);
            return Err(ServerError::Silent { what, address, patience, tail });
        }
        sleep(PAUSE).await;
    }
    Ok(())
}
