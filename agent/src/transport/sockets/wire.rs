//! A UDP socket that sends and receives several datagrams in one call, where the kernel can (UDP_SEGMENT and UDP_GRO, udp(7)).

use std::{
    io::{self, IoSliceMut},
    net::{SocketAddr, UdpSocket},
};

use bytes::BytesMut;
use quinn_udp::{RecvMeta, Transmit, UdpSocketState};
use rustix::net::sockopt::{Ipv4PathMtuDiscovery, set_ip_mtu_discover};

use super::gate::Gate;

/// What one call sends at most: a UDP payload over IPv6, whose length field counts to 65535, without its header.
pub(in crate::transport) const MAX_TRAIN: usize = 65_527 - 40;
/// What one call receives at most in one buffer; the kernel joins datagrams up to the longest UDP payload.
const BUFFER: usize = 64 * 1024;
/// Buffers of one call: packets of several viewers that came at the same time, or were collected. Pages that are never
/// needed cost nothing.
const BUFFERS: usize = 16;
/// Datagrams are cut from blocks of this size, to allocate seldom, and yet not to hold much memory by one of them.
const BLOCK: usize = 16 * 1024;
/// Key frames of several viewers at once, 100 kB each, and what the kernel counts besides. Systems that allow less
/// (net.core.wmem_max) give less.
const SEND_BUFFER: usize = 1024 * 1024;
/// A tenth of a second at 20 Mbit/s while the runtime is busy, and what the kernel counts besides.
const RECEIVE_BUFFER: usize = 512 * 1024;

/// See the module's documentation.
#[derive(Debug)]
pub(in crate::transport) struct Wire {
    io: UdpSocket,
    state: UdpSocketState,
    gate: Gate,
}

/// Where datagrams arrive.
pub(in crate::transport) struct Buffers {
    space: Vec<u8>,
    block: BytesMut,
}

impl Buffers {
    /// Empty ones.
    pub fn new() -> Self {
        Self { space: vec![0; BUFFERS * BUFFER], block: BytesMut::new() }
    }
}

impl Wire {
    /// Takes over a bound socket.
    pub(super) fn new(io: UdpSocket) -> io::Result<Self> {
        // Makes it non-blocking, too.
        let state = UdpSocketState::new((&io).into())?;
        if io.local_addr()?.is_ipv4() {
            // As by default: what does not fit a narrow path (a VPN) is cut by the kernel, and not lost.
            set_ip_mtu_discover(&io, Ipv4PathMtuDiscovery::WANT)?;
        }
        // Less is enough to begin with.
        let _ = state.set_send_buffer_size((&io).into(), SEND_BUFFER);
        let _ = state.set_recv_buffer_size((&io).into(), RECEIVE_BUFFER);
        let gate = Gate::new(&io)?;
        Ok(Self { io, state, gate })
    }

    /// Datagrams that one call can send; 1 where the kernel or the network card refused to cut them.
    pub fn max_segments(&self) -> usize {
        self.state.max_gso_segments()
    }

    /// Sends a datagram, or with `segment` several of that length each, of which the last may be shorter. Never blocks.
    pub fn send(&self, to: SocketAddr, contents: &[u8], segment: Option<usize>) -> io::Result<()> {
        let transmit = Transmit { destination: to, ecn: None, contents, segment_size: segment, src_ip: None };
        self.state.try_send((&self.io).into(), &transmit)
    }

    /// Waits for datagrams and hands over each with its sender. Can be dropped while it waits without loss.
    pub async fn receive(
        &self,
        buffers: &mut Buffers,
        mut take: impl FnMut(SocketAddr, BytesMut),
    ) -> io::Result<Taken> {
        loop {
            let mut guard = self.gate.readable().await?;
            let taken = self.take_waiting(buffers, &mut take)?;
            if taken.is_all {
                // The next one wakes up again: another call would only hear that there is nothing.
                guard.clear_ready();
            }
            if taken.datagrams > 0 {
                return Ok(taken);
            }
        }
    }

    /// Whether [`Self::receive`] hears of what comes; while not, it waits for [`Self::take_waiting`]. Of what came before it was
    /// woken up it does not hear: that is to be taken once more then.
    pub fn set_awake(&self, awake: bool) -> io::Result<()> {
        self.gate.set_open(&self.io, awake)
    }

    /// Hands over what is there already, as much as one call brings.
    pub fn take_waiting(
        &self,
        buffers: &mut Buffers,
        mut take: impl FnMut(SocketAddr, BytesMut),
    ) -> io::Result<Taken> {
        let Buffers { space, block } = buffers;
        let mut meta = [RecvMeta::default(); BUFFERS];
        let mut parts = space.chunks_exact_mut(BUFFER);
        let mut slices: [IoSliceMut<'_>; BUFFERS] =
            std::array::from_fn(|_| IoSliceMut::new(parts.next().unwrap_or_default()));
        let filled = match self.state.recv((&self.io).into(), &mut slices, &mut meta) {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => 0,
            other => other?,
        };
        let mut datagrams = 0;
        for (part, meta) in space.chunks_exact(BUFFER).zip(&meta).take(filled) {
            let parts = part[..meta.len.min(BUFFER)].chunks(meta.stride.max(1));
            // An empty datagram has no parts, and yet it came: who sends only these must not keep us here either.
            datagrams += parts.len().max(1);
            for datagram in parts {
                if block.capacity() < datagram.len() {
                    block.reserve(BLOCK.max(datagram.len()));
                }
                block.extend_from_slice(datagram);
                take(meta.addr, block.split());
            }
        }
        Ok(Taken { datagrams, is_all: filled < BUFFERS })
    }
}

/// What one call brought.
#[derive(Clone, Copy, Debug)]
pub(in crate::transport) struct Taken {
    /// How many came.
    pub datagrams: usize,
    /// There was no more.
    pub is_all: bool,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    const DEADLINE: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn asleep_it_hears_of_nothing_and_awake_again_of_all_that_comes_then() {
        let wire = Wire::new(UdpSocket::bind("127.0.0.1:0").unwrap()).unwrap();
        let (to, peer) = (wire.io.local_addr().unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        let (mut buffers, mut came) = (Buffers::new(), Vec::new());
        for round in 0..3u8 {
            peer.send_to(&[round, 0], to).unwrap();
            timeout(DEADLINE, wire.receive(&mut buffers, |_, data| came.push(data))).await.unwrap().unwrap();
            wire.set_awake(false).unwrap();
            peer.send_to(&[round, 1], to).unwrap();
            let silence = timeout(Duration::from_millis(50), wire.receive(&mut buffers, |_, _| {})).await;
            assert!(silence.is_err(), "it was woken up while asleep");
            wire.set_awake(true).unwrap();
            let taken = wire.take_waiting(&mut buffers, |_, data| came.push(data)).unwrap();
            assert!(taken.datagrams == 1 && taken.is_all, "{taken:?}");
        }
        assert_eq!(came, [[0, 0], [0, 1], [1, 0], [1, 1], [2, 0], [2, 1]].map(|data| data.to_vec()));
    }

    #[tokio::test]
    async fn an_empty_datagram_is_one_that_came() {
        let wire = Wire::new(UdpSocket::bind("127.0.0.1:0").unwrap()).unwrap();
        let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
        peer.send_to(&[], wire.io.local_addr().unwrap()).unwrap();
        let taken =
            timeout(DEADLINE, wire.receive(&mut Buffers::new(), |_, _| panic!("it has no bytes"))).await;
        assert_eq!(taken.unwrap().unwrap().datagrams, 1);
    }
}
