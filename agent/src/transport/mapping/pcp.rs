//! PCP, the Port Control Protocol (RFC 6887): its MAP and ANNOUNCE messages as bytes, without socket or clock.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddrV4},
    time::Duration,
};

use super::types::{Granted, Problem, Wanted};
use crate::transport::candidate::Protocol;

/// Section 19.1: what routers listen at; NAT-PMP's as well.
pub const PORT: u16 = 5351;
/// Section 7: the only version there is.
const VERSION: u8 = 2;
/// Section 7.2: set in answers.
const RESPONSE: u8 = 0x80;
/// Section 14.1.
const ANNOUNCE: u8 = 0;
/// Section 11.
const MAP: u8 = 1;
/// Sections 7.1 and 7.2: the common part of a message.
const HEADER: usize = 24;
/// Section 11.1: the whole of a MAP message.
const MAP_LENGTH: usize = 60;
/// Section 7: longer messages are to be dropped.
const LONGEST: usize = 1100;
/// Section 7.4.
const UNSUPP_VERSION: u8 = 1;

/// Section 11: tells a client's own mappings from those of others; all messages about one mapping have the same.
pub type Nonce = [u8; 12];

/// A MAP request: makes, renews or deletes the mapping of `wanted` for this device, which the router knows as `client`.
pub fn map_request(wanted: &Wanted, client: Ipv4Addr, nonce: &Nonce) -> [u8; MAP_LENGTH] {
    let mut request = [0; MAP_LENGTH];
    request[0] = VERSION;
    request[1] = MAP;
    request[4..8].copy_from_slice(&wanted.lifetime_s().to_be_bytes());
    request[8..24].copy_from_slice(&client.to_ipv6_mapped().octets());
    request[24..36].copy_from_slice(nonce);
    request[36] = number(wanted.protocol);
    request[40..42].copy_from_slice(&wanted.internal_port.to_be_bytes());
    request[42..44].copy_from_slice(&wanted.external.port().to_be_bytes());
    request[44..60].copy_from_slice(&wanted.external.ip().to_ipv6_mapped().octets());
    request
}

/// The router's answer to a MAP request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What it granted, or why it did not.
    pub result: Result<Granted, Problem>,
    /// Seconds since it lost its mappings (section 8.5); `None` where the answer has none.
    pub epoch: Option<u32>,
}

/// Reads what came from the router. `None`: no answer to this request.
pub fn answer(datagram: &[u8], wanted: &Wanted, nonce: &Nonce) -> Option<Answer> {
    let (&version, &opcode) = (datagram.first()?, datagram.get(1)?);
    if datagram.len() > LONGEST || opcode & RESPONSE == 0 {
        return None;
    }
    if version != VERSION {
        // Section 9 and appendix A: so answers a router with NAT-PMP alone, or with a PCP of the future.
        return Some(Answer { result: Err(Problem::OtherVersion), epoch: None });
    }
    let epoch = Some(u32::from_be_bytes(field(datagram, 8)?));
    let lifetime = Duration::from_secs(u32::from_be_bytes(field(datagram, 4)?).into());
    if datagram.len() < HEADER || opcode != RESPONSE | MAP {
        return None;
    }
    let code = datagram[3];
    if datagram.len() < MAP_LENGTH {
        // A router that does not understand the request need not repeat it (section 8.2).
        let result = Err(refusal(code, lifetime));
        return (code != 0).then_some(Answer { result, epoch });
    }
    let ours = datagram[24..36] == nonce[..]
        && datagram[36] == number(wanted.protocol)
        && u16::from_be_bytes(field(datagram, 40)?) == wanted.internal_port;
    if !ours {
        return None;
    }
    if code != 0 {
        return Some(Answer { result: Err(refusal(code, lifetime)), epoch });
    }
    let port = u16::from_be_bytes(field(datagram, 42)?);
    let address = Ipv6Addr::from(field::<16>(datagram, 44)?).to_canonical();
    let result = match address {
        IpAddr::V4(ip) if port != 0 || lifetime.is_zero() => {
            Ok(Granted { external: SocketAddrV4::new(ip, port), lifetime })
        }
        _ => {
            Err(Problem::refused(format!("its answer names {address} port {port}, which nobody can send to")))
        }
    };
    Some(Answer { result, epoch })
}

/// Whether a datagram tells that the router lost its mappings (section 14.1.3).
pub fn is_announcement(datagram: &[u8]) -> bool {
    (HEADER..=LONGEST).contains(&datagram.len()) && datagram[..2] == [VERSION, RESPONSE | ANNOUNCE]
}

/// The IANA's protocol numbers.
fn number(protocol: Protocol) -> u8 {
    match protocol {
        Protocol::Udp => 17,
        Protocol::Tcp => 6,
    }
}

fn field<const N: usize>(datagram: &[u8], at: usize) -> Option<[u8; N]> {
    datagram.get(at..at + N)?.try_into().ok()
}

/// Section 7.4; `lifetime` is how long the error will last.
fn refusal(code: u8, lifetime: Duration) -> Problem {
    let words = match code {
        UNSUPP_VERSION => return Problem::OtherVersion,
        2 => "not authorized: its settings forbid mappings, or another program of this device has this one",
        3 => "it found the request malformed",
        4 | 5 => "it does not know mappings (MAP) or what was asked of them",
        6 => "it found an option malformed",
        7 => "its own network fails, perhaps its line to the internet is down",
        8 => "it has no room for another mapping",
        9 => "it does not map this protocol",
        10 => "this device has as many mappings as it may have",
        11 => "it cannot give the outside port that was asked for",
        12 => "another NAT stands between this device and it",
        13 => "too many remote peers were named",
        _ => return Problem::Refused { words: format!("result code {code}"), wait: Some(lifetime) },
    };
    Problem::Refused { words: words.into(), wait: Some(lifetime) }
}

#[cfg(test)]
#[path = "pcp_tests.rs"]
mod tests;
