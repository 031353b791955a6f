//! The nonce of a PCP mapping. A router lets only whoever knows it renew or delete the mapping (RFC 6887 section 11.2),
//! so an agent that was killed needs the same one again: it follows from the machine's id, which others do not know.

use std::{fs, net::SocketAddrV4};

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

use super::pcp::Nonce;
use crate::transport::candidate::Protocol;

/// machine-id(5).
const MACHINE_ID: &str = "/etc/machine-id";
/// Keeps what is made of the id here apart from what others make of it (machine-id(5) asks for that).
const PURPOSE: &str = "p2pcam port mapping";

/// The same for the same port of the same device; random on a machine without an id.
pub(super) fn nonce(protocol: Protocol, local: SocketAddrV4) -> Nonce {
    match fs::read_to_string(MACHINE_ID) {
        Ok(id) if !id.trim().is_empty() => derived(id.trim(), protocol, local),
        _ => crate::transport::random_id(),
    }
}

fn derived(id: &str, protocol: Protocol, local: SocketAddrV4) -> Nonce {
    let mut mac = Hmac::<Sha1>::new_from_slice(id.as_bytes()).expect("HMAC takes any key");
    mac.update(format!("{PURPOSE} {} {local}", protocol.as_str()).as_bytes());
    let digest = mac.finalize().into_bytes();
    let mut nonce = Nonce::default();
    for (byte, from) in nonce.iter_mut().zip(digest) {
        *byte = from;
    }
    nonce
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_same_after_a_crash_and_another_one_elsewhere() {
        let local: SocketAddrV4 = "192.168.1.2:5000".parse().expect("an address");
        let other: SocketAddrV4 = "192.168.1.2:5001".parse().expect("an address");
        let nonce = derived("b08dfa6083e7567a1921a715000001fb", Protocol::Udp, local);
        assert_eq!(nonce, derived("b08dfa6083e7567a1921a715000001fb", Protocol::Udp, local));
        assert_ne!(nonce, derived("b08dfa6083e7567a1921a715000001fb", Protocol::Tcp, local));
        assert_ne!(nonce, derived("b08dfa6083e7567a1921a715000001fb", Protocol::Udp, other));
        assert_ne!(nonce, derived("c08dfa6083e7567a1921a715000001fb", Protocol::Udp, local));
    }
}
