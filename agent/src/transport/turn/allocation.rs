//! One allocation on a TURN server (RFC 8656): obtains it, keeps it, sends through it, gives it back. No socket, no
//! clock: bytes and time go in, bytes and events come out.

mod care;
mod refusal;

use std::{
    collections::VecDeque,
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use bytes::{Buf, BytesMut};
use rtc::stun::message::Message;

use super::{
    message::{self, Auth, Incoming, Request},
    peers::{Peers, Way},
    types::{AllocationEvent, Challenge, Config, FailureKind},
};
use care::Care;

/// First repetition of a request, doubled each time; for the reason of [`query::FIRST_RTO`](super::super::query).
const FIRST_RTO: Duration = Duration::from_millis(100);
/// Time after which a request counts as unanswered.
const GIVE_UP: Duration = Duration::from_secs(5);
/// Time that giving back the allocation may take; after that the server lets it expire.
const RELEASE_TIME: Duration = Duration::from_secs(1);
/// Without traffic a NAT forgets a UDP mapping, some after 30 s (RFC 4787 REQ-5 notwithstanding).
const KEEPALIVE: Duration = Duration::from_secs(20);
/// Lifetimes that servers give are held between these: the first keeps the client from busy refreshing, the second
/// from never refreshing.
const LIFETIME: std::ops::RangeInclusive<u32> = 20..=3600;
/// Asked for, the default of RFC 8656 section 3.2, in seconds.
const WANTED_LIFETIME: u32 = 600;
/// While a refresh is under way, no other one is begun. Its end, good or bad, says when the next one is due.
const REFRESH_WAIT: Duration = Duration::from_secs(2 * GIVE_UP.as_secs());
/// What fits the length field of ChannelData and a STUN attribute, with room for the headers.
const MAX_DATA: usize = 65_000;

struct Pending {
    id: [u8; 12],
    what: Request,
    bytes: Vec<u8>,
    due: Instant,
    rto: Duration,
    since: Instant,
    end: Instant,
    /// The nonce that it was signed with.
    nonce: Option<String>,
    tries: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Opening,
    Open,
    Over,
}

/// See the module's documentation.
pub struct Allocation {
    config: Config,
    auth: Option<Auth>,
    state: State,
    closing: Option<Instant>,
    relayed: Option<SocketAddr>,
    expires: Instant,
    refresh_at: Instant,
    keepalive_at: Instant,
    care: Care,
    /// The shortest time from a request to its answer, until it is there.
    round_trip: Duration,
    pending: Vec<Pending>,
    peers: Peers,
    out: VecDeque<Vec<u8>>,
    events: VecDeque<AllocationEvent>,
}

impl Allocation {
    /// Starts to obtain an allocation.
    pub fn new(now: Instant, config: Config) -> Self {
        let mut this = Self {
            config,
            auth: None,
            state: State::Opening,
            closing: None,
            relayed: None,
            expires: now,
            refresh_at: now,
            keepalive_at: now + KEEPALIVE,
            care: Care::new(now),
            round_trip: GIVE_UP,
            pending: Vec::new(),
            peers: Peers::default(),
            out: VecDeque::new(),
            events: VecDeque::new(),
        };
        if let Some(Challenge { realm, nonce }) = this.config.challenge.take() {
            this.renew_auth(Some(realm), Some(nonce));
        }
        this.ask(now, Request::Allocate, 0);
        this
    }

    /// What the server asks to be signed with.
    pub fn challenge(&self) -> Option<Challenge> {
        self.auth.as_ref().map(|a| Challenge { realm: a.realm.clone(), nonce: a.nonce.clone() })
    }

    /// Bytes for the server: one message, to be sent as one datagram or into the stream.
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.out.pop_front()
    }

    /// Whether [`poll_transmit`](Self::poll_transmit) has something.
    pub fn has_output(&self) -> bool {
        !self.out.is_empty()
    }

    /// What happened.
    pub fn poll_event(&mut self) -> Option<AllocationEvent> {
        self.events.pop_front()
    }

    /// Whether nothing will happen any more.
    pub fn is_over(&self) -> bool {
        self.state == State::Over
    }

    /// Packets that were to be sent and were dropped since the last call: not permitted, or not in time.
    pub fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.peers.dropped)
    }

    /// Lets `peer` send to us.
    pub fn permit(&mut self, now: Instant, peer: IpAddr) {
        if self.state == State::Open && self.same_family(peer) {
            self.peers.permit(now, peer);
            self.flush_asks(now);
        }
    }

    /// Sends `data` to `peer`; asks for permission and channel as needed.
    pub fn send(&mut self, now: Instant, peer: SocketAddr, data: &[u8]) {
        if self.state != State::Open || !self.same_family(peer.ip()) || data.len() > MAX_DATA {
            self.peers.dropped += 1;
            return;
        }
        self.care.sent(now, data);
        let way = self.peers.outgoing(now, peer, data);
        self.write_data(now, way, peer, data);
        self.flush_asks(now);
    }

    /// Gives the allocation back; is over when the server confirmed it, or soon after.
    pub fn close(&mut self, now: Instant) {
        if self.closing.is_some() || self.state == State::Over {
            return;
        }
        self.closing = Some(now + RELEASE_TIME);
        if self.state == State::Open {
            self.ask(now, Request::Refresh(0), 0);
        }
    }

    /// The way to the server broke: nothing can be saved.
    pub fn abort(&mut self, reason: String) {
        if self.state != State::Over {
            self.out.clear();
            self.fail(FailureKind::Unavailable, reason);
        }
    }

    /// Takes one message from the server.
    pub fn handle_input(&mut self, now: Instant, mut frame: BytesMut) {
        self.heard();
        if let Some((number, length)) = message::channel_header(&frame) {
            if let Some(peer) = self.peers.peer_of(number) {
                frame.advance(4);
                frame.truncate(length);
                self.deliver(now, peer, frame);
            }
            return;
        }
        match message::read(&frame) {
            Some(Incoming::Data(peer, data)) => self.deliver(now, peer, data),
            Some(Incoming::Success(answer)) => self.handle_success(now, *answer),
            Some(Incoming::Refusal(refusal)) => {
                if let Some(pending) = self.take_pending(refusal.id) {
                    self.timed(now, &pending);
                    self.handle_refusal(now, &pending, refusal);
                }
            }
            None => {}
        }
        self.flush_asks(now);
    }

    /// When [`handle_timeout`](Self::handle_timeout) has something to do.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.state == State::Over {
            return None;
        }
        let mut next = self.pending.iter().map(|p| p.due.min(p.end)).chain(self.closing).min();
        if self.state == State::Open && self.closing.is_none() {
            let timers = [Some(self.refresh_at), Some(self.keepalive_at), self.peers.poll_timeout()];
            next = next.into_iter().chain(timers.into_iter().flatten()).chain(self.care_timeout()).min();
        }
        next
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.closing.is_some_and(|end| now >= end) {
            self.state = State::Over;
        }
        if self.state == State::Over {
            return;
        }
        self.repeat_requests(now);
        if self.state == State::Open && self.closing.is_none() {
            if now >= self.refresh_at {
                self.refresh(now);
            }
            self.take_care(now);
        }
        if self.state == State::Open && self.closing.is_none() {
            self.peers.handle_timeout(now);
            self.flush_asks(now);
            if now >= self.keepalive_at {
                let id = (self.config.ids)();
                self.write(now, message::keepalive(id));
            }
        }
    }

    fn repeat_requests(&mut self, now: Instant) {
        let ended: Vec<_> = self.pending.extract_if(.., |p| now >= p.end).map(|p| p.what).collect();
        let mut repeated = Vec::new();
        for pending in self.pending.iter_mut().filter(|p| now >= p.due) {
            pending.rto *= 2;
            pending.due = now + pending.rto;
            repeated.push(pending.bytes.clone());
        }
        for bytes in repeated {
            self.write(now, bytes);
        }
        for what in ended {
            let words = "it does not answer; is the port open on the way?";
            self.give_up(now, &what, FailureKind::Unavailable, words.into());
        }
    }

    fn deliver(&mut self, now: Instant, peer: SocketAddr, data: BytesMut) {
        if self.state == State::Open && self.closing.is_none() {
            self.care.used(now, &data);
            self.peers.incoming(peer.ip());
            self.events.push_back(AllocationEvent::Data { peer, data });
        }
    }

    fn handle_success(&mut self, now: Instant, mut answer: Message) {
        let Some(at) = self.pending.iter().position(|p| p.id == answer.transaction_id.0) else { return };
        if self.pending[at].nonce.is_some() {
            // An answer without the server's signature is ignored (RFC 8489 section 9.2.5).
            let key = self.auth.as_ref().map_or(&[][..], |auth| &auth.key);
            if !message::is_signed(self.config.crypto.crypto(), &mut answer, key) {
                return;
            }
        }
        let pending = self.pending.swap_remove(at);
        self.timed(now, &pending);
        match pending.what {
            Request::Allocate => self.opened(now, &answer),
            Request::Refresh(0) => self.state = State::Over,
            Request::Refresh(_) => self.set_lifetime(now, &answer),
            Request::Permit(ip) => {
                for (peer, data) in self.peers.permitted(now, ip) {
                    let way = self.peers.outgoing(now, peer, &data);
                    self.write_data(now, way, peer, &data);
                }
            }
            Request::Bind(peer, _) => self.peers.bound(now, peer),
        }
    }

    fn opened(&mut self, now: Instant, answer: &Message) {
        let Some(relayed) = message::relayed_address(answer) else {
            let words = "its answer holds no relayed address: is it a TURN server?";
            self.fail(FailureKind::Refused, words.into());
            return;
        };
        self.relayed = Some(relayed);
        self.state = State::Open;
        self.set_lifetime(now, answer);
        if self.closing.is_some() {
            self.ask(now, Request::Refresh(0), 0);
        } else {
            let mapped = message::mapped_address(answer);
            let round_trip = self.round_trip;
            self.events.push_back(AllocationEvent::Opened { relayed, mapped, round_trip });
        }
    }

    fn set_lifetime(&mut self, now: Instant, answer: &Message) {
        let seconds = message::lifetime(answer).unwrap_or(WANTED_LIFETIME);
        let lifetime = Duration::from_secs(seconds.clamp(*LIFETIME.start(), *LIFETIME.end()).into());
        self.expires = now + lifetime;
        self.refresh_at = now + lifetime / 2;
    }

    fn flush_asks(&mut self, now: Instant) {
        while let Some(what) = self.peers.asks.pop_front() {
            self.ask(now, what, 0);
        }
    }

    fn ask(&mut self, now: Instant, what: Request, tries: u8) {
        let id = (self.config.ids)();
        let bytes = message::request(self.config.crypto.crypto(), id, &what, self.auth.as_ref());
        self.write(now, bytes.clone());
        let end = now + GIVE_UP;
        let due = if self.config.reliable { end } else { now + FIRST_RTO };
        let nonce = self.auth.as_ref().map(|auth| auth.nonce.clone());
        self.pending.push(Pending { id, what, bytes, due, rto: FIRST_RTO, since: now, end, nonce, tries });
    }

    fn write_data(&mut self, now: Instant, way: Way, peer: SocketAddr, data: &[u8]) {
        match way {
            Way::Channel(number) => self.write(now, message::channel_data(number, data)),
            Way::Indication => {
                let id = (self.config.ids)();
                self.write(now, message::send_indication(id, peer, data));
            }
            Way::Waits => {}
            Way::Refused => self.peers.dropped += 1,
        }
    }

    fn write(&mut self, now: Instant, bytes: Vec<u8>) {
        self.keepalive_at = now + KEEPALIVE;
        self.out.push_back(bytes);
    }

    /// A request was answered.
    fn timed(&mut self, now: Instant, answered: &Pending) {
        if answered.what == Request::Allocate {
            self.round_trip = self.round_trip.min(now.saturating_duration_since(answered.since));
        }
    }

    fn take_pending(&mut self, id: [u8; 12]) -> Option<Pending> {
        let at = self.pending.iter().position(|p| p.id == id)?;
        Some(self.pending.swap_remove(at))
    }

    fn same_family(&self, ip: IpAddr) -> bool {
        self.relayed.is_some_and(|relayed| relayed.is_ipv4() == ip.is_ipv4())
    }
}

#[cfg(test)]
#[path = "allocation_tests.rs"]
mod tests;
