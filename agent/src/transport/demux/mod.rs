//! Which session a datagram on the shared port belongs to: pure, without sockets or clocks.

mod classify;
mod table;

pub use self::{
    classify::{Packet, TransactionId, classify, local_ufrag, stun_attribute, stun_username},
    table::{EndpointId, HOLD, MAX_REMOTES, MAX_REMOTES_TOTAL, Table},
};
