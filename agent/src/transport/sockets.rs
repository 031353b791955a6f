//! The shared UDP port: one socket for each local address, all with the same port number.

use std::{
    io,
    net::{IpAddr, SocketAddr},
};

use anyhow::{Context as _, bail};
use tokio::net::UdpSocket;
use tracing::warn;

/// Addresses used; each is one candidate, and each pair of candidates costs checks.
const MAX_ADDRESSES: usize = 16;
/// Attempts to find a port that is free on all addresses. One is nearly always enough.
const MAX_ATTEMPTS: usize = 16;

/// One local address of the shared port.
#[derive(Debug)]
pub(super) struct Socket {
    /// Its exact address.
    pub local: SocketAddr,
    /// Its place among the host candidates (RFC 8445 section 5.1.2.1).
    pub preference: u16,
    /// The socket.
    pub io: UdpSocket,
}

/// The addresses to offer, best first: IPv6 and IPv4 in turn (RFC 8421 section 4), those that reach far first. Without
/// link-local IPv6, which browsers cannot use; loopback if `loopback`, or if there is nothing else.
pub(super) fn choose(found: &[IpAddr], loopback: bool) -> Vec<IpAddr> {
    let mut usable: Vec<IpAddr> = Vec::new();
    for ip in found.iter().copied().filter(|ip| !is_link_local_v6(ip) && !ip.is_unspecified()) {
        if !usable.contains(&ip) {
            usable.push(ip);
        }
    }
    let (lo, mut far): (Vec<_>, Vec<_>) = usable.into_iter().partition(IpAddr::is_loopback);
    far.sort_by_key(reach);
    let (v6, v4): (Vec<_>, Vec<_>) = far.into_iter().partition(IpAddr::is_ipv6);
    let mut chosen = Vec::new();
    for n in 0..v6.len().max(v4.len()) {
        chosen.extend(v6.get(n));
        chosen.extend(v4.get(n));
    }
    if loopback || chosen.is_empty() {
        chosen.extend(lo);
    }
    if chosen.len() > MAX_ADDRESSES {
        warn!("{} local addresses; only {MAX_ADDRESSES} are offered to viewers", chosen.len());
        chosen.truncate(MAX_ADDRESSES);
    }
    chosen
}

fn is_link_local_v6(ip: &IpAddr) -> bool {
    matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local())
}

/// 0: as far as it goes; 1: within the site; 2: within the link.
fn reach(ip: &IpAddr) -> u8 {
    match ip {
        IpAddr::V4(ip) => 2 * u8::from(ip.is_link_local()),
        IpAddr::V6(ip) => u8::from(ip.is_unique_local()),
    }
}

/// Binds all of `addresses` to `port`; 0: to one that is free on all of them.
///
/// # Errors
///
/// The port is taken, or no address can be bound.
pub(super) async fn bind(addresses: &[IpAddr], port: u16) -> anyhow::Result<Vec<Socket>> {
    for _ in 0..MAX_ATTEMPTS {
        if let Some(sockets) = bind_once(addresses, port).await? {
            return Ok(sockets);
        }
    }
    bail!("no UDP port is free on all local addresses; set [ice] port to one that is")
}

/// `None`: the port that was found free on one address is taken on another.
async fn bind_once(addresses: &[IpAddr], wanted: u16) -> anyhow::Result<Option<Vec<Socket>>> {
    let mut port = wanted;
    let mut sockets = Vec::new();
    for (&ip, preference) in addresses.iter().zip((0..=u16::MAX).rev()) {
        let io = match UdpSocket::bind((ip, port)).await {
            Ok(io) => io,
            Err(e) if e.kind() == io::ErrorKind::AddrInUse && wanted == 0 => return Ok(None),
            Err(e) if e.kind() == io::ErrorKind::AddrInUse => bail!(
                "UDP port {wanted} is in use on {ip}: end the program that has it (ss -ulpn), \
                 or set [ice] port to another or to 0"
            ),
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {
                return Err(e)
                    .context(format!("UDP port {port} on {ip} needs privileges; use one above 1023"));
            }
            Err(e) => {
                // An address that just went away, or IPv6 whose duplicate detection still runs.
                warn!("local address {ip} is not used: {e}");
                continue;
            }
        };
        let local = io.local_addr()?;
        port = local.port();
        // Without this the first packet could find the socket "not writable" just because nobody asked yet.
        io.writable().await?;
        sockets.push(Socket { local, preference, io });
    }
    if sockets.is_empty() {
        bail!("no UDP socket could be bound: is the network, at least the loopback interface, up?");
    }
    Ok(Some(sockets))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn ips(list: &[&str]) -> Vec<IpAddr> {
        list.iter().map(|ip| ip.parse().unwrap()).collect()
    }

    #[test]
    fn both_ip_versions_are_offered_in_turn_and_the_far_reaching_first() {
        let found =
            ips(&["127.0.0.1", "169.254.3.4", "192.168.0.7", "::1", "fe80::1", "fd00::7", "2001:db8::7"]);
        assert_eq!(choose(&found, false), ips(&["2001:db8::7", "192.168.0.7", "fd00::7", "169.254.3.4"]));
    }

    #[test]
    fn loopback_is_offered_when_wanted_or_alone() {
        let found = ips(&["127.0.0.1", "192.168.0.7", "192.168.0.7"]);
        assert_eq!(choose(&found, true), ips(&["192.168.0.7", "127.0.0.1"]));
        assert_eq!(choose(&ips(&["127.0.0.1", "fe80::1"]), false), ips(&["127.0.0.1"]));
    }

    #[tokio::test]
    async fn all_addresses_get_the_same_free_port() {
        let sockets = bind(&ips(&["127.0.0.1", "127.0.0.2", "127.0.0.3"]), 0).await.unwrap();
        assert_eq!(sockets.len(), 3);
        assert!(sockets.iter().all(|s| s.local.port() == sockets[0].local.port()));
        assert!(sockets[0].preference > sockets[1].preference);
    }

    #[tokio::test]
    async fn a_port_that_is_taken_is_named_with_advice() {
        let taken = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let port = taken.local_addr().unwrap().port();
        let error = bind(&ips(&["127.0.0.1"]), port).await.unwrap_err().to_string();
        assert!(error.contains(&format!("UDP port {port} is in use on 127.0.0.1")), "{error}");
    }
}
