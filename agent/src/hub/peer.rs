//! What the switchboard says about its peers: their keys, limits and refusals; and both clocks.

use std::{
    fmt,
    time::{Instant, SystemTime},
};

use anyhow::Context;

use crate::signaling::message::SessionId;

/// Both clocks, read together.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// For time-outs.
    pub monotonic: Instant,
    /// For credentials that others check.
    pub wall: SystemTime,
}

impl Now {
    /// The clocks of this machine.
    pub fn read() -> Self {
        Self { monotonic: Instant::now(), wall: SystemTime::now() }
    }
}

/// One connection of a viewer or device; a reconnect has another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct PeerKey(u64);

impl PeerKey {
    pub fn new(number: u64) -> Self {
        Self(number)
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub viewers: usize,
    pub devices: usize,
}

/// Why a connection is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    TooManyViewers(usize),
    TooManyDevices(usize),
    /// A device in this process has the name.
    NameTaken,
    Ending,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooManyViewers(max) => write!(f, "the hub has all of its {max} viewers (hub.max_viewers)"),
            Self::TooManyDevices(max) => write!(f, "the hub has all of its {max} devices (hub.max_devices)"),
            Self::NameTaken => f.write_str("the hub's own camera has this name; choose another device.id"),
            Self::Ending => f.write_str("the hub is shutting down"),
        }
    }
}

/// A session id that nobody guesses: 128 random bits in hexadecimal.
pub(super) fn random_id() -> anyhow::Result<SessionId> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).context("the kernel gives no random numbers for a session id")?;
    let text: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
    Ok(SessionId::new(text).expect("32 hexadecimal digits are a session id"))
}
