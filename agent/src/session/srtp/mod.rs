//! SRTP and SRTCP of our own (RFC 3711, RFC 7714) over the keys of the stack's DTLS handshake (RFC 5764).
//!
//! [`KeyTap`] learns the keys, [`Outbound`] protects what is sent, in place, and [`Srtcp`] does both directions of the
//! reports. Knows no sockets, no streams and no time. Does not unprotect media: the stack does that for the little that
//! comes in.

mod cipher;
mod derivation;
mod key_tap;
mod keys;
mod outbound;
mod profile;
mod replay;
mod srtcp;
mod watch;

pub use key_tap::KeyTap;
pub use keys::{BadKeys, Keys, Master};
pub use outbound::Outbound;
pub use profile::Profile;
pub use srtcp::{Srtcp, SrtcpError};

#[cfg(test)]
mod stack_tests;
#[cfg(test)]
mod vector_tests;
