//! Binding the port: on all addresses at start, on one more later.

use std::{
    io,
    net::{IpAddr, SocketAddr, UdpSocket},
    sync::Arc,
};

use anyhow::{Context as _, bail};
use tracing::warn;

use super::{Socket, Wire};

/// Attempts to find a port that is free on all addresses. One is nearly always enough.
const MAX_ATTEMPTS: usize = 16;
/// Between neighbours in the order of addresses, so that later ones find room between them.
const STEP: u16 = 256;

/// Binds all of `addresses` to `port`; 0: to one that is free on all of them.
///
/// # Errors
///
/// The port is taken, or no address can be bound.
pub(in crate::transport) async fn bind(addresses: &[IpAddr], port: u16) -> anyhow::Result<Vec<Arc<Socket>>> {
    for _ in 0..MAX_ATTEMPTS {
        if let Some(sockets) = bind_once(addresses, port).await? {
            return Ok(sockets);
        }
    }
    bail!("no UDP port is free on all local addresses; set [ice] port to one that is")
}

/// `None`: the port that was found free on one address is taken on another.
async fn bind_once(addresses: &[IpAddr], wanted: u16) -> anyhow::Result<Option<Vec<Arc<Socket>>>> {
    let mut port = wanted;
    let mut sockets = Vec::new();
    for (place, &ip) in addresses.iter().enumerate() {
        let socket = match bind_one(SocketAddr::new(ip, port), preference(place, &sockets)) {
            Ok(socket) => socket,
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
                // An address that just went away.
                warn!("local address {ip} is not used: {e}");
                continue;
            }
        };
        port = socket.local.port();
        sockets.push(Arc::new(socket));
    }
    if sockets.is_empty() {
        bail!("no UDP socket could be bound: is the network, at least the loopback interface, up?");
    }
    Ok(Some(sockets))
}

/// Binds one address.
pub(super) fn bind_one(address: SocketAddr, preference: u16) -> io::Result<Socket> {
    let io = UdpSocket::bind(address)?;
    let local = io.local_addr()?;
    Ok(Socket { local, preference, wire: Wire::new(io)? })
}

/// The preference of the address at `place` in the order of all, that no socket has. One that comes later is preferred to
/// those that had the place before: browsers drop candidates of an ICE restart whose priority is below that of the path
/// in use, as long as they believe in it, which is 2.5 s after its last packet.
pub(super) fn preference(place: usize, taken: &[Arc<Socket>]) -> u16 {
    let place = u16::try_from(place).unwrap_or(u16::MAX).min(u16::MAX / STEP - 1);
    let last = u16::MAX - place * STEP;
    let first = last - (STEP - 1);
    let here = || taken.iter().map(|socket| socket.preference).filter(|it| (first..=last).contains(it));
    let next = here().max().map_or(first, |newest| newest.saturating_add(1));
    // After so many changes it begins again from below.
    if next <= last && !here().any(|it| it == next) {
        return next;
    }
    (first..=last).find(|free| !here().any(|it| it == *free)).unwrap_or(first)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn ips(list: &[&str]) -> Vec<IpAddr> {
        list.iter().map(|ip| ip.parse().unwrap()).collect()
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
        let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let error = bind(&ips(&["127.0.0.1"]), port).await.unwrap_err().to_string();
        assert!(error.contains(&format!("UDP port {port} is in use on 127.0.0.1")), "{error}");
    }

    #[tokio::test]
    async fn an_address_that_comes_later_gets_a_preference_of_its_own_at_its_place() {
        let sockets = bind(&ips(&["127.0.0.1", "127.0.0.2", "127.0.0.3"]), 0).await.unwrap();
        let later = preference(1, &sockets);
        assert!(sockets[0].preference > later && later > sockets[2].preference);
        assert!(sockets.iter().all(|socket| socket.preference != later));
    }

    #[tokio::test]
    async fn an_address_that_takes_the_place_of_another_is_preferred_to_it_each_time() {
        let mut sockets = bind(&ips(&["127.0.0.1"]), 0).await.unwrap();
        for change in 1..300_u16 {
            let before = sockets[0].preference;
            let later = preference(0, &sockets);
            assert!(later > before || change % STEP == 0, "change {change}: {later} after {before}");
            let ip = [127, 0, 0, if change % 2 == 0 { 1 } else { 2 }];
            sockets = vec![Arc::new(bind_one((ip, 0).into(), later).unwrap())];
        }
    }
}
