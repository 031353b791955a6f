//! The one UDP socket of all viewers: packets of the same size to the same viewer leave in one call (UDP_SEGMENT), and
//! several datagrams come in with one.

use std::{
    io::{self, IoSliceMut},
    net::SocketAddr,
};

use mio::net::UdpSocket;
use quinn_udp::{BATCH_SIZE, RecvMeta, Transmit, UdpSocketState};

/// Longest datagram that is looked at, times what GRO puts together.
const RECEIVED: usize = 64 * 1500;
/// Of the kernel's queue, for bursts of key frames to all viewers.
const BUFFER: usize = 4 << 20;
/// UDP_MAX_SEGMENTS of older kernels, and 64 KiB in all.
const MOST_SEGMENTS: usize = 44;

/// Socket and the packets that wait to leave together.
pub struct Endpoint {
    /// For the poll.
    pub socket: UdpSocket,
    state: UdpSocketState,
    /// Its address.
    pub local: SocketAddr,
    train: Vec<u8>,
    segment: usize,
    count: usize,
    to: SocketAddr,
    buffers: Vec<Vec<u8>>,
}

impl Endpoint {
    /// Binds to a free port.
    pub fn bind(address: std::net::IpAddr) -> io::Result<Self> {
        let socket = UdpSocket::bind(SocketAddr::new(address, 0))?;
        let raw = socket2::SockRef::from(&socket);
        raw.set_send_buffer_size(BUFFER)?;
        raw.set_recv_buffer_size(BUFFER)?;
        let state = UdpSocketState::new((&socket).into())?;
        let local = socket.local_addr()?;
        let buffers = (0..BATCH_SIZE).map(|_| vec![0; RECEIVED]).collect();
        Ok(Self { socket, state, local, train: Vec::new(), segment: 0, count: 0, to: local, buffers })
    }

    /// Sends a datagram, maybe only with the next ones.
    pub fn send(&mut self, to: SocketAddr, datagram: &[u8]) {
        let most = self.state.max_gso_segments().min(MOST_SEGMENTS);
        let fits = self.count > 0
            && self.to == to
            && self.count < most
            && datagram.len() <= self.segment
            // Only the last one of a train may be shorter.
            && self.train.len() == self.segment * self.count;
        if !fits {
            self.flush();
            self.segment = datagram.len();
            self.to = to;
        }
        self.train.extend_from_slice(datagram);
        self.count += 1;
    }

    /// Sends what waits.
    pub fn flush(&mut self) {
        if self.count > 0 {
            let segment_size = (self.count > 1).then_some(self.segment);
            let transmit = Transmit {
                destination: self.to,
                ecn: None,
                contents: &self.train,
                segment_size,
                src_ip: None,
            };
            // What the kernel cannot take is lost, as on a line.
            let _ = self.state.try_send((&self.socket).into(), &transmit);
        }
        self.train.clear();
        self.count = 0;
    }

    /// Calls with each datagram that is there.
    pub fn receive(&mut self, mut with: impl FnMut(SocketAddr, &[u8])) -> io::Result<()> {
        let mut metas = [RecvMeta::default(); BATCH_SIZE];
        loop {
            let mut slices: Vec<IoSliceMut<'_>> =
                self.buffers.iter_mut().map(|buffer| IoSliceMut::new(buffer)).collect();
            let count = match self.state.recv((&self.socket).into(), &mut slices, &mut metas) {
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            for (meta, buffer) in metas.iter().zip(&self.buffers).take(count) {
                for datagram in buffer[..meta.len].chunks(meta.stride.max(1)) {
                    with(meta.addr, datagram);
                }
            }
        }
    }
}
