//! What the path to one viewer carries: bandwidth estimated by the sender from transport-wide feedback, and pacing.
//!
//! A [`Controller`] is told of each packet that leaves and of each report that comes back, and gives the rate that
//! pictures, sound, repair and padding may use together. It holds no socket, no clock and no randomness. The viewer
//! says when each packet came (draft-holmer-rmcat-transport-wide-cc-extensions-01); from that come the queue at the
//! bottleneck, the rate that really arrives and the loss. Without such feedback it falls back to REMB
//! (draft-alvestrand-rmcat-remb-03) and to the loss in receiver reports (RFC 3550 section 6.4).
//!
//! How and why: docs/adaptation.md. It does not decide what the encoder does with the rate, sends nothing, and knows
//! nothing of other viewers.

mod arrivals;
mod capacity;
mod controller;
mod delivery;
mod fallback;
mod history;
mod loss;
mod outage;
mod pacer;
mod probing;
mod queue;
mod rate;
mod sending;
mod trend;

#[cfg(test)]
mod controller_tests;
#[cfg(test)]
mod simulated_tests;
#[cfg(test)]
#[path = "../../../benches/support/path/mod.rs"]
mod simulation;

use std::time::Instant;

pub use controller::Controller;
pub use pacer::Pacer;

/// A packet that left, with all that follows it on the wire counted above UDP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet {
    /// The transport-wide sequence number it carries.
    pub twcc: u16,
    /// Length of the UDP payload, bytes.
    pub bytes: usize,
    /// When it was handed to the socket; packets of one train share it.
    pub at: Instant,
    /// The probe it belongs to ([`Probe::id`]).
    pub probe: Option<u32>,
}

/// The range of the estimate, bits a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Before anything is known.
    pub start: u64,
    /// Never less.
    pub min: u64,
    /// Never more.
    pub max: u64,
}

/// A short burst that shall show whether the path carries more than is sent now.
///
/// Until `bytes` have left, all packets leave at `rate` ([`Pacer::probe`]); media goes first and counts, padding fills
/// up. Every packet of the burst should carry the id; packets between two that do are counted in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probe {
    /// Goes into [`Packet::probe`].
    pub id: u32,
    /// Length of the burst, bytes.
    pub bytes: usize,
    /// Bits a second.
    pub rate: u64,
}
