//! TURN (RFC 8656): a client without sockets or clocks, its framing over streams, and the task that drives it.
//!
//! An allocation is bound to the pair of client and server addresses (RFC 8656 section 2.1), so sessions cannot share
//! the one UDP port towards a TURN server: each allocation has a socket, or connection, of its own.

mod allocation;
mod carrier;
mod frame;
mod message;
mod peers;
mod relay;
mod types;

pub(super) use self::relay::{Command, Opened, RelayTask, run};
pub use self::{
    allocation::Allocation,
    frame::{Deframer, FrameError},
    types::{AllocationEvent, Config},
};
