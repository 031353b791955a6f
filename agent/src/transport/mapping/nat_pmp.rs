//! NAT-PMP, the NAT Port Mapping Protocol (RFC 6886): its messages as bytes, without socket or clock.

use std::{
    net::{Ipv4Addr, SocketAddrV4},
    time::Duration,
};

use super::types::{Granted, Problem, Wanted};
use crate::transport::candidate::Protocol;

/// Section 3.5: the only version there is.
const VERSION: u8 = 0;
/// Section 3.5: added to the opcode in answers.
const RESPONSE: u8 = 128;
/// Section 3.2.
const EXTERNAL_ADDRESS: u8 = 0;
/// Section 3.2.1.
const ADDRESS_LENGTH: usize = 12;
/// Section 3.3.
const MAP_LENGTH: usize = 16;
/// Section 3.5.
const UNSUPPORTED_VERSION: u16 = 1;

/// Asks for the router's address outside (section 3.2).
pub const ADDRESS_REQUEST: [u8; 2] = [VERSION, EXTERNAL_ADDRESS];

/// Asks for a mapping, or its renewal or end (sections 3.3 and 3.4).
pub fn map_request(wanted: &Wanted) -> [u8; 12] {
    let mut request = [0; 12];
    request[0] = VERSION;
    request[1] = opcode(wanted.protocol);
    request[4..6].copy_from_slice(&wanted.internal_port.to_be_bytes());
    // Section 3.4: to delete a mapping, no port is suggested.
    let suggested = if wanted.lifetime.is_zero() { 0 } else { wanted.external.port() };
    request[6..8].copy_from_slice(&suggested.to_be_bytes());
    request[8..12].copy_from_slice(&wanted.lifetime_s().to_be_bytes());
    request
}

/// An answer of the router.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer<T> {
    /// What it says, or why it does not.
    pub result: Result<T, Problem>,
    /// Seconds since it lost its mappings (section 3.6); `None` where the answer has none.
    pub epoch: Option<u32>,
}

/// Reads the answer to [`ADDRESS_REQUEST`]. `None`: it is none.
pub fn address_answer(datagram: &[u8]) -> Option<Answer<Ipv4Addr>> {
    if let Some(answer) = no_answer(datagram, EXTERNAL_ADDRESS)? {
        return Some(answer);
    }
    let result = Ok(Ipv4Addr::from(field(datagram, 8)?));
    (datagram.len() == ADDRESS_LENGTH).then_some(Answer { result, epoch: epoch(datagram) })
}

/// Reads the answer to a request for a mapping of the router's address outside. `None`: it is none.
pub fn map_answer(datagram: &[u8], wanted: &Wanted, outside: Ipv4Addr) -> Option<Answer<Granted>> {
    if let Some(answer) = no_answer(datagram, opcode(wanted.protocol))? {
        return Some(answer);
    }
    let [internal, external] = [8, 10].map(|at| field(datagram, at).map(u16::from_be_bytes));
    let lifetime = Duration::from_secs(u32::from_be_bytes(field(datagram, 12)?).into());
    if datagram.len() != MAP_LENGTH || internal? != wanted.internal_port {
        return None;
    }
    let port = external?;
    let result = if port == 0 && !lifetime.is_zero() {
        Err(Problem::refused("its answer names the outside port 0, which nobody can send to"))
    } else {
        Ok(Granted { external: SocketAddrV4::new(outside, port), lifetime })
    };
    Some(Answer { result, epoch: epoch(datagram) })
}

/// Whether a datagram tells that the router's address outside changed, or that it restarted (section 3.2.1).
pub fn is_announcement(datagram: &[u8]) -> bool {
    matches!(address_answer(datagram), Some(Answer { result: Ok(_), .. }))
}

/// `None`: no answer to the request; `Some(Some(_))`: an answer that says no.
fn no_answer<T>(datagram: &[u8], asked: u8) -> Option<Option<Answer<T>>> {
    let [version, opcode] = field(datagram, 0)?;
    let code = u16::from_be_bytes(field(datagram, 2)?);
    if opcode != RESPONSE | asked {
        return None;
    }
    let epoch = epoch(datagram);
    if version != VERSION || code == UNSUPPORTED_VERSION {
        return Some(Some(Answer { result: Err(Problem::OtherVersion), epoch: None }));
    }
    let words = match code {
        0 => return Some(None),
        2 => "not authorized: it knows NAT-PMP, but its settings forbid mappings".into(),
        3 => "its own network fails, perhaps its line to the internet is down".into(),
        4 => "it has no room for another mapping".into(),
        5 => "it does not know this request".into(),
        _ => format!("result code {code}"),
    };
    Some(Some(Answer { result: Err(Problem::refused(words)), epoch }))
}

fn epoch(datagram: &[u8]) -> Option<u32> {
    field(datagram, 4).map(u32::from_be_bytes)
}

fn opcode(protocol: Protocol) -> u8 {
    match protocol {
        Protocol::Udp => 1,
        Protocol::Tcp => 2,
    }
}

fn field<const N: usize>(datagram: &[u8], at: usize) -> Option<[u8; N]> {
    datagram.get(at..at + N)?.try_into().ok()
}

#[cfg(test)]
#[path = "nat_pmp_tests.rs"]
mod tests;
