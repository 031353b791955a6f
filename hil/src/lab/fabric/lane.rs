//! A line of its own for one address of an endpoint: viewers share a namespace, but one of them may have a worse line.

use std::{net::IpAddr, time::Instant};

use super::{Direction, EndpointId, Fabric, Origin};
use crate::lab::{
    packet,
    wire::{Faults, Wire},
};

/// See the module.
#[derive(Debug)]
pub(super) struct Lane {
    address: IpAddr,
    up: Wire<Vec<u8>>,
    down: Wire<Vec<u8>>,
}

impl Lane {
    pub fn new(address: IpAddr, up: Faults, down: Faults, seed: u64) -> Self {
        // Two directions lose different packets.
        Self { address, up: Wire::new(up, seed ^ 0x1a5e), down: Wire::new(down, seed ^ 0xd0fe) }
    }

    pub fn next_due(&self) -> Option<Instant> {
        [self.up.next_due(), self.down.next_due()].into_iter().flatten().min()
    }
}

impl Fabric {
    /// Gives one of an endpoint's addresses a line of its own: from it, and to it.
    pub fn lane(&mut self, endpoint: EndpointId, address: IpAddr, up: Faults, down: Faults, seed: u64) {
        self.endpoints[endpoint.0].lanes.push(Lane::new(address, up, down, seed));
    }

    /// Takes from the endpoints' own lines what is due; whether there was any.
    pub(super) fn advance_lanes(&mut self, now: Instant) -> bool {
        let mut moved = false;
        for index in 0..self.endpoints.len() {
            while let Some((direction, packet)) = due(&mut self.endpoints[index].lanes, now) {
                moved = true;
                match direction {
                    Direction::Sent => {
                        self.route(self.endpoints[index].segment, packet, Origin::Endpoint(index), now);
                    }
                    Direction::Received => self.hand_over(EndpointId(index), packet),
                }
            }
        }
        moved
    }
}

/// Puts a packet on the line that it has to take; gives it back if there is none. One that is too long for the line is
/// lost.
pub(super) fn take(
    lanes: &mut [Lane],
    direction: Direction,
    packet: Vec<u8>,
    now: Instant,
) -> Option<Vec<u8>> {
    if lanes.is_empty() {
        return Some(packet);
    }
    let address = match direction {
        Direction::Sent => packet::source(&packet),
        Direction::Received => packet::destination(&packet),
    };
    let Some(lane) = lanes.iter_mut().find(|lane| Some(lane.address) == address) else { return Some(packet) };
    let bytes = packet.len();
    let wire = match direction {
        Direction::Sent => &mut lane.up,
        Direction::Received => &mut lane.down,
    };
    wire.send(packet, bytes, now);
    None
}

/// A packet that comes off one of the lines by now, and its direction.
pub(super) fn due(lanes: &mut [Lane], now: Instant) -> Option<(Direction, Vec<u8>)> {
    lanes.iter_mut().find_map(|lane| {
        let sent = lane.up.receive(now).map(|packet| (Direction::Sent, packet));
        sent.or_else(|| lane.down.receive(now).map(|packet| (Direction::Received, packet)))
    })
}

#[cfg(test)]
mod tests {
    use std::{
        net::{Ipv4Addr, SocketAddrV4},
        time::Duration,
    };

    use ipnet::IpNet;

    use crate::lab::{fabric::Fabric, packet::tests::udp, wire::Faults};

    const SERVER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
    const STRONG: Ipv4Addr = Ipv4Addr::new(192, 168, 2, 2);
    const WEAK: Ipv4Addr = Ipv4Addr::new(192, 168, 2, 10);

    #[test]
    fn packets_of_one_address_take_its_own_line_in_both_directions_and_others_do_not() {
        let now = super::Instant::now();
        let ms = Duration::from_millis;
        let mut fabric = Fabric::default();
        let segment = fabric.segment();
        let host = |address: Ipv4Addr| IpNet::from(std::net::IpAddr::from(address));
        let server = fabric.endpoint(segment, vec![host(SERVER)]);
        let viewers = fabric.endpoint(segment, vec![host(STRONG), host(WEAK)]);
        let faults = |delay| Faults { delay: ms(delay), ..Faults::default() };
        fabric.lane(viewers, WEAK.into(), faults(30), faults(70), 1);
        let packet = |from, to| udp(SocketAddrV4::new(from, 1), SocketAddrV4::new(to, 2), b"x");
        let took = |fabric: &mut Fabric, endpoint, from, to| {
            fabric.send(endpoint, packet(from, to), now);
            let due = fabric.next_due().unwrap_or(now);
            let got = fabric.receive(due).map(|(endpoint, _)| endpoint);
            (got, due - now)
        };
        assert_eq!(took(&mut fabric, server, SERVER, STRONG), (Some(viewers), ms(0)));
        assert_eq!(took(&mut fabric, server, SERVER, WEAK), (Some(viewers), ms(70)));
        assert_eq!(took(&mut fabric, viewers, STRONG, SERVER), (Some(server), ms(0)));
        assert_eq!(took(&mut fabric, viewers, WEAK, SERVER), (Some(server), ms(30)));
    }
}
