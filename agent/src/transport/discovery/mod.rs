//! What kind of NAT lies between this device and a STUN server (RFC 4787's words, RFC 5780's questions).
//!
//! [`Discovery`] asks, without socket or clock; [`discover`] gives it three sockets; [`outlook`] says what to expect of what
//! was found. For people who ask (`p2pcam-agent check --network`): no session waits for it, and none needs it.

mod machine;
pub mod message;
pub mod outlook;
mod report;
mod run;

pub use self::{
    machine::{Discovery, Socket, Step},
    report::{Filtering, Mapping, Report, ServerSeen, is_shared},
    run::discover,
};
