//! Which peers a TURN allocation may talk with and how: permissions (RFC 8656 section 9) and channels (section 12).

use std::{
    collections::{HashMap, VecDeque},
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use super::message::Request;

/// Peers permitted at once; a viewer has a handful of addresses. More are refused.
const MAX_PERMISSIONS: usize = 32;
/// Channels at once; only peers that get media have one. The others are sent to without a channel.
const MAX_CHANNELS: usize = 16;
/// First channel number (RFC 8656 section 12).
const FIRST_CHANNEL: u16 = 0x4000;
/// A permission lives 300 s (RFC 8656 section 9).
const PERMISSION_LIFE: Duration = Duration::from_secs(300);
/// It is renewed with a minute left for repetitions.
const PERMISSION_RENEWAL: Duration = Duration::from_secs(240);
/// A channel lives 600 s (RFC 8656 section 12).
const CHANNEL_LIFE: Duration = Duration::from_secs(600);
/// So that a renewal can fail twice before a channel is lost.
const CHANNEL_RENEWAL: Duration = Duration::from_secs(300);
/// What the server refused is asked again after this time, if still wanted.
const REFUSAL_PAUSE: Duration = Duration::from_secs(10);
/// Packets that wait for one permission: the first checks and the DTLS flight. Then the oldest is dropped.
const MAX_WAITING: usize = 16;
/// Packets older than this are useless to ICE and DTLS, which have repeated them.
const MAX_WAIT: Duration = Duration::from_secs(2);

/// What is to be done with a packet to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Send it over this channel.
    Channel(u16),
    /// Send it in an indication.
    Indication,
    /// It waits here for the permission.
    Waits,
    /// It is dropped.
    Refused,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Asked,
    Granted,
    Refused,
}

#[derive(Debug)]
struct Permission {
    state: State,
    /// When it is renewed (granted), or forgotten (refused). Not used while asked for.
    next: Instant,
    /// Until then the server has it, whatever it says meanwhile.
    expires: Instant,
    used: bool,
    waiting: VecDeque<(Instant, SocketAddr, Vec<u8>)>,
}

#[derive(Debug)]
struct Channel {
    number: u16,
    state: State,
    next: Instant,
    expires: Instant,
    used: bool,
}

/// The peers of one allocation.
#[derive(Debug, Default)]
pub(super) struct Peers {
    permissions: HashMap<IpAddr, Permission>,
    channels: HashMap<SocketAddr, Channel>,
    /// Requests to be sent to the server.
    pub asks: VecDeque<Request>,
    /// Packets dropped while they waited, since last taken.
    pub dropped: u64,
}

impl Peers {
    /// Asks for a permission for `ip` if there is none.
    pub fn permit(&mut self, now: Instant, ip: IpAddr) {
        if self.permissions.contains_key(&ip) {
            return;
        }
        if self.permissions.len() >= MAX_PERMISSIONS {
            let refused = self.permissions.iter().find(|(_, p)| p.state == State::Refused).map(|(ip, _)| *ip);
            let Some(refused) = refused else { return };
            self.permissions.remove(&refused);
        }
        let (state, waiting) = (State::Asked, VecDeque::new());
        let asked = Permission { state, next: now, expires: now, used: true, waiting };
        self.permissions.insert(ip, asked);
        self.asks.push_back(Request::Permit(ip));
    }

    /// How `data` gets to `peer`; keeps a copy if it has to wait.
    pub fn outgoing(&mut self, now: Instant, peer: SocketAddr, data: &[u8]) -> Way {
        self.permit(now, peer.ip());
        let Some(permission) = self.permissions.get_mut(&peer.ip()) else { return Way::Refused };
        permission.used = true;
        match permission.state {
            State::Refused => return Way::Refused,
            State::Asked => {
                if permission.waiting.len() >= MAX_WAITING {
                    permission.waiting.pop_front();
                    self.dropped += 1;
                }
                permission.waiting.push_back((now, peer, data.to_vec()));
                return Way::Waits;
            }
            State::Granted => {}
        }
        // STUN begins with a byte below 4 (RFC 7983): checks alone do not deserve a channel.
        let deserves_channel = data.first().is_some_and(|first| *first > 3);
        self.channel(now, peer, deserves_channel).map_or(Way::Indication, Way::Channel)
    }

    /// A packet came from `ip`: its permission is worth renewing.
    pub fn incoming(&mut self, ip: IpAddr) {
        if let Some(permission) = self.permissions.get_mut(&ip) {
            permission.used = true;
        }
    }

    /// The peer behind a channel number.
    pub fn peer_of(&self, number: u16) -> Option<SocketAddr> {
        self.channels.iter().find(|(_, c)| c.number == number).map(|(peer, _)| *peer)
    }

    /// The server permits `ip`. Returns what waited for it and is still of use.
    pub fn permitted(&mut self, now: Instant, ip: IpAddr) -> Vec<(SocketAddr, Vec<u8>)> {
        let Some(permission) = self.permissions.get_mut(&ip) else { return Vec::new() };
        permission.state = State::Granted;
        permission.next = now + PERMISSION_RENEWAL;
        permission.expires = now + PERMISSION_LIFE;
        permission.used = false;
        let waiting = std::mem::take(&mut permission.waiting);
        let all = waiting.len();
        let fresh: Vec<_> = waiting
            .into_iter()
            .filter(|(since, ..)| now.saturating_duration_since(*since) < MAX_WAIT)
            .map(|(_, peer, data)| (peer, data))
            .collect();
        self.dropped += (all - fresh.len()) as u64;
        fresh
    }

    /// The server does not permit `ip`, or did not answer. A permission that is there lives until it expires.
    pub fn not_permitted(&mut self, now: Instant, ip: IpAddr) {
        if let Some(permission) = self.permissions.get_mut(&ip) {
            permission.next = now + REFUSAL_PAUSE;
            if permission.state == State::Granted && now < permission.expires {
                return;
            }
            permission.state = State::Refused;
            self.dropped += permission.waiting.len() as u64;
            permission.waiting.clear();
        }
    }

    /// The server bound the channel to `peer`, or renewed it.
    pub fn bound(&mut self, now: Instant, peer: SocketAddr) {
        if let Some(channel) = self.channels.get_mut(&peer) {
            channel.state = State::Granted;
            channel.next = now + CHANNEL_RENEWAL;
            channel.expires = now + CHANNEL_LIFE;
            channel.used = false;
        }
    }

    /// The server did not bind the channel to `peer`, or did not answer. A bound one lives until it expires.
    pub fn not_bound(&mut self, now: Instant, peer: SocketAddr) {
        if let Some(channel) = self.channels.get_mut(&peer) {
            channel.next = now + REFUSAL_PAUSE;
            if channel.state == State::Asked {
                channel.state = State::Refused;
            }
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) has something to do.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let permissions = self.permissions.values().filter(|p| p.state != State::Asked).map(|p| p.next);
        let channels = self.channels.values().filter(|c| c.state == State::Granted);
        permissions.chain(channels.map(|c| c.next.min(c.expires))).min()
    }

    /// Renews what is in use, and forgets the rest.
    pub fn handle_timeout(&mut self, now: Instant) {
        let asks = &mut self.asks;
        self.permissions.retain(|ip, permission| {
            if permission.state == State::Asked || now < permission.next {
                return true;
            }
            if permission.state == State::Granted && permission.used && now < permission.expires {
                permission.next = permission.expires;
                asks.push_back(Request::Permit(*ip));
                return true;
            }
            false
        });
        for (peer, channel) in self.channels.iter_mut().filter(|(_, c)| c.state == State::Granted) {
            if now >= channel.expires {
                channel.state = State::Refused;
                channel.next = now;
            } else if now >= channel.next {
                channel.next = channel.expires;
                if channel.used {
                    asks.push_back(Request::Bind(*peer, channel.number));
                }
            }
        }
    }

    /// The channel to `peer` if it is bound; asks for one if `wanted`. A peer keeps its number for the allocation's
    /// life, since a server refuses to bind a peer to a second one.
    fn channel(&mut self, now: Instant, peer: SocketAddr, wanted: bool) -> Option<u16> {
        if let Some(channel) = self.channels.get_mut(&peer) {
            channel.used = true;
            match channel.state {
                State::Granted => return Some(channel.number),
                State::Refused if wanted && now >= channel.next => {
                    channel.state = State::Asked;
                    self.asks.push_back(Request::Bind(peer, channel.number));
                }
                State::Asked | State::Refused => {}
            }
        } else if wanted && self.channels.len() < MAX_CHANNELS {
            let number = FIRST_CHANNEL + self.channels.len() as u16;
            let channel = Channel { number, state: State::Asked, next: now, expires: now, used: true };
            self.channels.insert(peer, channel);
            self.asks.push_back(Request::Bind(peer, number));
        }
        None
    }
}
