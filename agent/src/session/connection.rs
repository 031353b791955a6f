//! The WebRTC stack's connection, asked and timed no more often than it has something to say.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use bytes::BytesMut;
use rtc::{
    peer_connection::{
        RTCPeerConnection,
        event::RTCPeerConnectionEvent,
        message::{RTCMessage, TaggedRTCMessage},
        state::RTCPeerConnectionState,
        transport::{RTCIceCandidate, RTCIceCandidatePair, RTCIceCandidateType, RTCIceProtocol},
    },
    sansio::Protocol,
    shared::{TaggedBytesMut, TransportContext, TransportProtocol},
};

use super::verdict::Ends;
use crate::transport::{self, Path, coarse::lazy};

/// With a path and nothing sought, the stack still wants to be called five times a second, to see that nothing is due: its
/// keepalives come every 2 s, and a path counts as interrupted after 5 s.
const CALM: Duration = Duration::from_millis(500);

/// See the module's documentation.
pub(super) struct Connection {
    stack: RTCPeerConnection,
    /// What the stack has to say has been asked of it since it was last given anything.
    settled: bool,
    /// When the stack wants to be called, as it said when it was settled.
    timer: Option<Instant>,
    /// When it was last told the time.
    timed: Instant,
    /// There is a path, and no other is sought: an ICE restart changes the state.
    calm: bool,
    /// When a datagram came before that. A path that it brings is an event, and the handshake's first flight, which follows from
    /// that, is made when the stack is next told the time. It names none for it: the next check's would do, up to 50 ms later.
    follows: Option<Instant>,
}

impl Connection {
    /// Takes over a connection that is set up.
    pub fn new(now: Instant, stack: RTCPeerConnection) -> Self {
        Self { stack, settled: false, timer: None, timed: now, calm: false, follows: None }
    }

    /// The connection, to change something in it: it may have anything to say then.
    pub fn stack(&mut self) -> &mut RTCPeerConnection {
        self.settled = false;
        &mut self.stack
    }

    /// A datagram came by `path`.
    pub fn handle_datagram(&mut self, now: Instant, path: Path, message: BytesMut) {
        self.settled = false;
        self.follows = (!self.calm).then_some(now);
        let transport = TransportContext {
            local_addr: path.local,
            peer_addr: path.remote,
            ecn: None,
            transport_protocol: match path.protocol {
                transport::Protocol::Udp => TransportProtocol::UDP,
                transport::Protocol::Tcp => TransportProtocol::TCP,
            },
        };
        if let Err(e) = self.stack.handle_read(TaggedBytesMut { now, transport, message }) {
            // A peer's bytes: what cannot be read is dropped.
            tracing::trace!("datagram from {} dropped: {e}", path.remote);
        }
    }

    /// Time passed; may be called before it is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        if !self.settled {
            self.ask_time();
        }
        if self.timer.is_none_or(|due| due > now) {
            return;
        }
        self.tell_time(now);
    }

    fn tell_time(&mut self, now: Instant) {
        (self.settled, self.timed) = (false, now);
        if let Err(e) = self.stack.handle_timeout(now) {
            tracing::debug!("timer: {e}");
        }
    }

    /// When [`Self::handle_timeout`] wants to be called.
    pub fn poll_timeout(&mut self) -> Option<Instant> {
        if !self.settled {
            self.ask_time();
        }
        self.timer.map(|due| if self.is_patient(due) { lazy(due) } else { due })
    }

    /// Whether it is the stack's own rhythm and no answer to what just came, which would have been due at once.
    fn is_patient(&self, due: Instant) -> bool {
        self.calm && due > self.timed
    }

    fn ask_time(&mut self) {
        let due = self.stack.poll_timeout();
        self.timer = due.map(|due| if self.is_patient(due) { due.max(self.timed + CALM) } else { due });
    }

    /// The next datagram to send, and when it was made; the path is the stack's own idea of it. [`Self::is_settled`] after
    /// the last one.
    pub fn poll_transmit(&mut self) -> Option<(Instant, Path, BytesMut)> {
        let mut out = self.stack.poll_write();
        if out.is_none()
            && let Some(now) = self.follows.take()
        {
            self.tell_time(now);
            out = self.stack.poll_write();
        }
        let Some(out) = out else {
            self.ask_time();
            self.settled = true;
            return None;
        };
        let protocol = match out.transport.transport_protocol {
            TransportProtocol::TCP => transport::Protocol::Tcp,
            _ => transport::Protocol::Udp,
        };
        let (local, remote) = (out.transport.local_addr, out.transport.peer_addr);
        Some((out.now, Path { protocol, local, remote }, out.message))
    }

    /// Nothing is to be heard from it before something is told to it.
    pub fn is_settled(&self) -> bool {
        self.settled
    }

    /// There is a path, and no other is sought.
    pub fn is_calm(&self) -> bool {
        self.calm
    }

    /// The next packet of the viewer's media.
    pub fn poll_packet(&mut self) -> Option<rtc::rtp::Packet> {
        loop {
            let TaggedRTCMessage { message, .. } = self.stack.poll_read()?;
            if let RTCMessage::RtpPacket(_, packet) = message {
                return Some(packet);
            }
        }
    }

    /// The next change of the state of ICE and DTLS together.
    pub fn poll_state(&mut self) -> Option<RTCPeerConnectionState> {
        loop {
            if let RTCPeerConnectionEvent::OnConnectionStateChangeEvent(state) = self.stack.poll_event()? {
                self.calm = state == RTCPeerConnectionState::Connected;
                return Some(state);
            }
        }
    }

    /// Where media leaves from, and to; `None` before there is a path.
    pub fn base(&mut self) -> Option<Path> {
        base(&self.selected_pair()?)
    }

    /// The path in words: "host 192.0.2.1:5000 to prflx 198.51.100.1:6000"; over TCP "host (tcp) ... to ...".
    pub fn path(&mut self) -> String {
        let Some(pair) = self.selected_pair() else { return "path unknown".into() };
        let end = |c: &RTCIceCandidate, tcp: &str| {
            let address = c.address.parse().map(|ip| SocketAddr::new(ip, c.port).to_string());
            format!("{}{tcp} {}", c.typ, address.unwrap_or_else(|_| format!("{}:{}", c.address, c.port)))
        };
        format!("{} to {}", end(pair.local(), protocol(pair.local()).remark()), end(pair.remote(), ""))
    }

    /// Both ends of the path; `None` before there is one.
    pub fn ends(&mut self) -> Option<Ends> {
        let pair = self.selected_pair()?;
        let address = |c: &RTCIceCandidate| Some(SocketAddr::new(c.address.parse().ok()?, c.port));
        let (local, remote) = (address(pair.local())?, address(pair.remote())?);
        let path = Path { protocol: protocol(pair.local()), local, remote };
        Some(Ends { path, local: kind(pair.local().typ), remote: kind(pair.remote().typ) })
    }

    /// All tracks share one transport; it is reached through any of them.
    fn selected_pair(&mut self) -> Option<RTCIceCandidatePair> {
        let stack = &mut self.stack;
        let (sender, receiver) = (stack.get_senders().next(), stack.get_receivers().next());
        if let Some(sender) = sender.and_then(|id| stack.rtp_sender(id)) {
            return sender.transport()?.ice_transport().get_selected_candidate_pair();
        }
        stack.rtp_receiver(receiver?)?.transport()?.ice_transport().get_selected_candidate_pair()
    }

    /// Says goodbye: the last datagrams (DTLS close_notify) come out of [`Self::poll_transmit`].
    pub fn close(&mut self) {
        self.settled = false;
        if let Err(e) = self.stack.close() {
            tracing::debug!("close: {e}");
        }
    }
}

fn protocol(candidate: &RTCIceCandidate) -> transport::Protocol {
    match candidate.protocol {
        RTCIceProtocol::Tcp => transport::Protocol::Tcp,
        _ => transport::Protocol::Udp,
    }
}

/// Where a pair's datagrams leave from, and to: a reflexive address is the NAT's, its base is ours (RFC 8445 section 5.1.1).
fn base(pair: &RTCIceCandidatePair) -> Option<Path> {
    let (local, remote) = (pair.local(), pair.remote());
    let reflexive = matches!(local.typ, RTCIceCandidateType::Srflx | RTCIceCandidateType::Prflx);
    let related = local.related_address.parse().ok().filter(|_| reflexive);
    let base = match related {
        Some(ip) => SocketAddr::new(ip, local.related_port),
        None => SocketAddr::new(local.address.parse().ok()?, local.port),
    };
    let remote = SocketAddr::new(remote.address.parse().ok()?, remote.port);
    Some(Path { protocol: protocol(local), local: base, remote })
}

/// As candidate lines have it (RFC 8839 section 5.1).
fn kind(typ: RTCIceCandidateType) -> &'static str {
    match typ {
        RTCIceCandidateType::Srflx => "srflx",
        RTCIceCandidateType::Prflx => "prflx",
        RTCIceCandidateType::Relay => "relay",
        _ => "host",
    }
}
