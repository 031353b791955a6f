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

    /// Whether [`Self::receive`] hears of what comes; while not, it waits for [`Self::take_waiting`].
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
            // An empty datagram has no parts.
            for datagram in part[..meta.len.min(BUFFER)].chunks(meta.stride.max(1)) {
                if block.capacity() < datagram.len() {
                    block.reserve(BLOCK.max(datagram.len()));
                }
                block.extend_from_slice(datagram);
                take(meta.addr, block.split());
                datagrams += 1;
            }
        }
        Ok(Taken { datagrams, is_all: filled < BUFFERS })
    }
}

/// What one call brought.
#[derive(Clone, Copy, Debug)]
pub(in crate::transport) struct Taken {
    /// How many were handed over.
    pub datagrams: usize,
    /// There was no more.
    pub is_all: bool,
}
