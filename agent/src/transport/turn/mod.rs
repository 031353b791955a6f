//! TURN (RFC 8656): a client without sockets or clocks, its framing over streams, and the task that drives it.
//!
//! An allocation is bound to the pair of client and server addresses (RFC 8656 section 2.1), so sessions cannot share
//! the one UDP port towards a TURN server: each allocation has a socket, or connection, of its own.

mod allocation;
mod carrier;
mod credentials;
mod frame;
mod keeper;
mod message;
mod peers;
mod reachability;
mod relay;
mod types;

pub use self::{
    allocation::Allocation,
    credentials::expiry,
    frame::{Deframer, FrameError},
    message::redirection,
    types::{AllocationEvent, Alternate, Challenge, Config, Doubt, Failure, FailureKind},
};
pub(super) use self::{
    keeper::{Action, Keeper},
    reachability::{Outcome, Reachability, Way},
    relay::{Command, Held, News, Opened, Orders, RelayTask, Report, run, wait_until},
};
