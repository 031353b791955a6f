//! ICE over TCP (RFC 6544), passive: viewers whose network blocks UDP connect to the shared port's number over TCP.
//!
//! A listener stands beside each UDP socket. What connects there must send a STUN check that names a session at once, in
//! the framing of RFC 4571; all else is closed without an answer. From then on the connection is that session's alone
//! and carries its datagrams like a pair of addresses over UDP, until the session ends or nothing comes for long.
//!
//! A viewer that is slower than the pictures loses some of them, and is never shown old ones: see [`NextPicture`].
//!
//! Not here: connections that the device opens (`active`), and simultaneous open.

mod book;
mod candidates;
mod connection;
pub mod frame;
mod link;
mod listener;
mod outbox;
mod patience;

pub use self::{book::Refusal, outbox::NextPicture};
pub(super) use self::{
    link::Connections,
    listener::{Listener, listen},
};

#[cfg(test)]
mod tests;
