//! One viewer: negotiation, life cycle, tracks, statistics. Knows no V4L2.
//!
//! [`Sessions`] takes the messages of a link and gives each viewer a task ([`driver`]) of its own, which moves
//! datagrams, media and messages between the outside and a [`peer::Peer`]: the protocol without input or output.
//!
//! The stack is the sans-IO core `rtc` of the webrtc-rs project and not its async crate `webrtc`: sockets,
//! gathering, relaying and time stay ours (one port for all sessions, answers that wait for nothing).

mod authentic;
pub mod congestion;
mod connection;
mod describe;
mod driver;
mod end;
mod explain;
pub mod fec;
mod flight;
pub mod flow;
mod gap;
mod manager;
mod metrics;
pub mod negotiation;
mod nominations;
mod notice;
mod offer;
pub mod peer;
mod rare;
mod remote;
mod roaming;
pub mod rtcp;
pub mod send;
pub mod srtp;
mod stack;
mod tracks;
mod trickle;
mod verdict;
mod warm_up;

pub use manager::{Media, Sessions};
pub use metrics::SessionMetrics;
pub use verdict::{Ends, NoPath, Relay, Verdict, VerdictLabel};
