//! A viewer of a sender without ICE and DTLS: a socket that is read, and headers that are looked at.

use std::{
    net::{IpAddr, SocketAddr},
    time::Instant,
};

use mio::net::UdpSocket;

use crate::{
    assembler::Picture,
    figures::Figures,
    session::{self, Milestone},
};

/// The fixed RTP header.
const HEADER: usize = 12;

/// A viewer.
pub struct Sink {
    /// Where it receives.
    pub socket: UdpSocket,
    /// Counts since the last report.
    pub figures: Figures,
    /// When it was made.
    pub opened: Instant,
    seen: bool,
}

impl Sink {
    /// A new one at an address of this machine.
    pub fn open(address: IpAddr) -> anyhow::Result<(Self, SocketAddr)> {
        let socket = session::socket(address)?;
        let local = socket.local_addr()?;
        Ok((Self { socket, figures: Figures::default(), opened: Instant::now(), seen: false }, local))
    }

    /// Takes what came in; gives what happened for the first time.
    pub fn receive(&mut self, buffer: &mut [u8]) -> anyhow::Result<&'static [Milestone]> {
        let mut milestones: &[Milestone] = &[];
        loop {
            let length = match self.socket.recv(buffer) {
                Ok(length) => length,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(milestones),
                Err(error) => return Err(error.into()),
            };
            let Some(payload) = length.checked_sub(HEADER) else { continue };
            self.figures.datagram(length);
            self.figures.media(payload);
            if buffer[1] & 0x80 != 0 {
                let time = u32::from_be_bytes([buffer[4], buffer[5], buffer[6], buffer[7]]);
                self.figures.picture(Picture { time: time.into(), key: false }, Instant::now(), None);
                if !std::mem::replace(&mut self.seen, true) {
                    milestones = &[Milestone::Connected, Milestone::Packet, Milestone::Picture];
                }
            }
        }
    }
}
