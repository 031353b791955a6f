//! PCP and NAT-PMP with one router: requests go out and answers are waited for, each from a socket of its own.

use std::{
    net::{Ipv4Addr, SocketAddrV4},
    time::{Duration, Instant},
};

use tokio::{net::UdpSocket, time::timeout_at};

use super::{
    epoch::Epoch,
    exchange::{self, Exchange, Schedule, Turn},
    nat_pmp, nonce, pcp,
    types::{Granted, Problem, Wanted},
};
use crate::transport::random_id;

/// PCP's longest message (RFC 6887 section 7) and a byte more, to know what is too long.
const BUFFER: usize = 1101;

/// Where the router is, and the address of this device that it knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Place {
    pub gateway: Ipv4Addr,
    pub local: Ipv4Addr,
}

/// A router that is spoken with by PCP or NAT-PMP, and what it told of its clock.
#[derive(Debug)]
pub(super) struct Speaker {
    place: Place,
    is_pcp: bool,
    epoch: Epoch,
}

impl Speaker {
    pub fn pcp(place: Place) -> Self {
        Self { place, is_pcp: true, epoch: Epoch::default() }
    }

    pub fn nat_pmp(place: Place) -> Self {
        Self { place, is_pcp: false, epoch: Epoch::default() }
    }

    /// Makes or renews a mapping. The second value: the router lost its mappings since it was asked last.
    pub async fn map(&mut self, wanted: &Wanted) -> Result<(Granted, bool), Problem> {
        let schedule = if self.is_pcp { exchange::PCP } else { exchange::NAT_PMP };
        let (granted, epoch) = self.ask(wanted, schedule).await?;
        let restarted = epoch.is_some_and(|seconds| self.epoch.restarted(Instant::now(), seconds));
        Ok((granted, restarted))
    }

    /// Deletes a mapping.
    pub async fn unmap(&self, wanted: &Wanted) -> Result<(), Problem> {
        let wanted = Wanted { lifetime: Duration::ZERO, ..*wanted };
        if self.is_pcp {
            return self.ask(&wanted, exchange::GOODBYE).await.map(drop);
        }
        // The address outside, which it asks for first, is of no use here.
        let socket = self.socket().await?;
        let answer = |data: &[u8]| nat_pmp::map_answer(data, &wanted, Ipv4Addr::UNSPECIFIED);
        ask(&socket, &nat_pmp::map_request(&wanted), exchange::GOODBYE, answer).await?.result.map(drop)
    }

    async fn ask(&self, wanted: &Wanted, schedule: Schedule) -> Result<(Granted, Option<u32>), Problem> {
        let socket = self.socket().await?;
        if self.is_pcp {
            let local = SocketAddrV4::new(self.place.local, wanted.internal_port);
            let nonce = nonce::nonce(wanted.protocol, local);
            let request = pcp::map_request(wanted, self.place.local, &nonce);
            let answer = ask(&socket, &request, schedule, |data| pcp::answer(data, wanted, &nonce)).await?;
            return Ok((answer.result?, answer.epoch));
        }
        let address = ask(&socket, &nat_pmp::ADDRESS_REQUEST, schedule, nat_pmp::address_answer).await?;
        let outside = address.result?;
        let answer = |data: &[u8]| nat_pmp::map_answer(data, wanted, outside);
        let answer = ask(&socket, &nat_pmp::map_request(wanted), schedule, answer).await?;
        Ok((answer.result?, answer.epoch))
    }

    /// A socket that only the router's server reaches.
    async fn socket(&self) -> Result<UdpSocket, Problem> {
        let io = |error: std::io::Error| Problem::Io(error.to_string());
        let socket = UdpSocket::bind((self.place.local, 0)).await.map_err(io)?;
        socket.connect((self.place.gateway, pcp::PORT)).await.map_err(io)?;
        Ok(socket)
    }
}

/// Asks until `answer` accepts a datagram.
async fn ask<T>(
    socket: &UdpSocket,
    request: &[u8],
    schedule: Schedule,
    answer: impl Fn(&[u8]) -> Option<T>,
) -> Result<T, Problem> {
    let mut exchange = Exchange::new(Instant::now(), schedule, jitter());
    let mut buffer = [0; BUFFER];
    loop {
        let due = match exchange.poll(Instant::now()) {
            Turn::Send => {
                socket.send(request).await.map_err(refused)?;
                continue;
            }
            Turn::Wait(due) => due,
            Turn::GiveUp => return Err(Problem::NoAnswer),
        };
        let Ok(received) = timeout_at(due.into(), socket.recv(&mut buffer)).await else { continue };
        let length = received.map_err(refused)?;
        if let Some(answer) = answer(&buffer[..length]) {
            return Ok(answer);
        }
    }
}

/// An ICMP error says at once what silence says later.
fn refused(error: std::io::Error) -> Problem {
    match error.kind() {
        std::io::ErrorKind::ConnectionRefused => Problem::NoAnswer,
        _ => Problem::Io(error.to_string()),
    }
}

/// RAND of RFC 6887 section 8.1.1: -0.1 to 0.1.
pub(super) fn jitter() -> f64 {
    f64::from(random_id()[0]) / 255.0 * 0.2 - 0.1
}
