//! Packets that leave in one call: one behind the other in memory, all of one length but the last (UDP_SEGMENT, udp(7)).

use std::time::Instant;

use super::{
    header::{Fields, Stamp},
    packet::{Body, Stream},
    repairs::{Repair, Repairs},
};

/// Packets of one call: what the kernel cuts at most (UDP_MAX_SEGMENTS, 64 before Linux 6.9).
pub const MAX_COUNT: usize = 64;
/// Bytes of one call: a UDP payload over IPv6, whose length field counts to 65535, without IPv6's and UDP's header.
pub const MAX_BYTES: usize = 65_535 - 40 - 8;

/// Encrypted packets for one remote.
#[derive(Clone, Copy, Debug)]
pub struct Train<'a> {
    /// The packets.
    pub data: &'a [u8],
    /// The length of each but the last, which may be shorter.
    pub segment: usize,
    /// How many they are.
    pub count: usize,
}

/// What encrypts packets.
pub trait Seal {
    /// Bytes that each packet grows by.
    fn overhead(&self) -> usize;
    /// Encrypts in place. `packet` is the RTP header (its first `header` bytes), the payload, and as many spare bytes as
    /// [`Self::overhead`] says; `index` is the packet's (RFC 3711 section 3.3.1). A packet comes a second time with the
    /// same index only if it is the same in each byte.
    fn seal(&mut self, packet: &mut [u8], header: usize, index: u64);
}

/// A packet with a transport-wide sequence number left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// The number.
    pub twcc: u16,
    /// Bytes of UDP payload.
    pub bytes: usize,
    /// When.
    pub at: Instant,
    /// The probe that it is part of.
    pub probe: Option<u32>,
}

/// What packets pass on their way out.
pub struct Outlet<'a> {
    /// Encrypts them.
    pub seal: &'a mut dyn Seal,
    /// Makes repair packets, if the viewer takes them.
    pub repair: Option<&'a mut dyn Repair>,
    /// Hears of each that has a transport-wide sequence number.
    pub sent: &'a mut dyn FnMut(Sent),
}

/// A burst that shows what the path carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Its name.
    pub id: u32,
    /// Bytes that have still to leave for it.
    pub left: usize,
}

/// What is counted for all streams together.
#[derive(Debug)]
pub struct Session {
    /// The zero of send times; only differences matter.
    pub epoch: Instant,
    /// The next transport-wide sequence number.
    pub number: u16,
    /// The probe under way: whatever leaves is part of it.
    pub probe: Option<Probe>,
    /// Bytes of probes that have left.
    pub probed: u64,
}

impl Session {
    /// 24 bits, 6.18 fixed point seconds.
    fn send_time(&self, now: Instant) -> u32 {
        ((now.saturating_duration_since(self.epoch).as_nanos() << 18) / 1_000_000_000) as u32 & 0xff_ffff
    }
}

/// A packet's place in its stream.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// Its index.
    pub index: u64,
    /// What [`Stamp`] it has.
    pub stamp: u32,
}

/// A packet to be written.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// RTP time.
    pub timestamp: u32,
    /// M bit.
    pub marker: bool,
    /// -dBov.
    pub level: u8,
    /// What stands behind the header.
    pub body: Body<'a>,
}

/// A train that is being put together.
pub struct Assembly<'a, 'o> {
    now: Instant,
    budget: usize,
    overhead: usize,
    data: &'a mut Vec<u8>,
    segment: usize,
    count: usize,
    session: &'a mut Session,
    outlet: Outlet<'o>,
}

impl<'a, 'o> Assembly<'a, 'o> {
    /// An empty one, in memory that was used before.
    pub fn new(
        now: Instant,
        budget: usize,
        data: &'a mut Vec<u8>,
        session: &'a mut Session,
        outlet: Outlet<'o>,
    ) -> Self {
        data.clear();
        Self { now, budget, overhead: outlet.seal.overhead(), data, segment: 0, count: 0, session, outlet }
    }

    /// Lets what follows leave without regard to the budget.
    pub fn unpaced(&mut self) {
        self.budget = usize::MAX;
    }

    /// When the train leaves.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// Bytes that a packet of the stream with this body has on the wire.
    pub fn length(&self, stream: &Stream, body: &Body<'_>) -> usize {
        stream.header.len() + body.len() + self.overhead
    }

    /// Whether such a packet may be the next. With any budget, one packet always may: what it takes too much is the next
    /// budget's.
    pub fn takes(&self, stream: &Stream, body: &Body<'_>) -> bool {
        let length = self.length(stream, body);
        if self.count == 0 {
            return self.budget > 0;
        }
        let is_open = self.data.len() == self.segment * self.count;
        is_open
            && length <= self.segment
            && self.count < MAX_COUNT
            && self.data.len() + length <= self.budget.min(MAX_BYTES)
    }

    /// The probe under way.
    pub fn probe(&self) -> Option<Probe> {
        self.session.probe
    }

    /// Adds the next packet of a stream.
    pub fn put(&mut self, stream: &mut Stream, packet: &Packet<'_>) -> Place {
        let place = self.next(stream, packet);
        let start = self.write(stream, packet, place);
        self.seal(stream, start, place);
        place
    }

    /// Adds the next packet of the pictures' own stream, which those of `repairs` repair.
    pub fn put_protected(
        &mut self,
        stream: &mut Stream,
        packet: &Packet<'_>,
        repairs: Option<&mut Repairs>,
    ) -> Place {
        let place = self.next(stream, packet);
        let start = self.write(stream, packet, place);
        if let (Some(repairs), Some(repair)) = (repairs, &mut self.outlet.repair) {
            repair.push(&self.data[start..]);
            repairs.collect(&mut **repair);
        }
        self.seal(stream, start, place);
        place
    }

    /// Adds a packet that was sent before, the same in each byte: the index makes the key stream, which must not encrypt two
    /// different packets (RFC 3711 section 9.1, RFC 7714 section 8.4).
    pub fn put_again(&mut self, stream: &mut Stream, packet: &Packet<'_>, place: Place) {
        let start = self.write(stream, packet, place);
        self.seal(stream, start, place);
    }

    /// Numbers a packet.
    fn next(&mut self, stream: &mut Stream, packet: &Packet<'_>) -> Place {
        let length = self.length(stream, &packet.body);
        let stamp = match stream.header.stamp() {
            Stamp::None => 0,
            Stamp::SendTime => self.session.send_time(self.now),
            Stamp::Transport => {
                let twcc = self.session.number;
                self.session.number = twcc.wrapping_add(1);
                let probe = self.session.probe.map(|probe| probe.id);
                if let Some(probe) = &mut self.session.probe {
                    probe.left = probe.left.saturating_sub(length);
                    self.session.probed += length as u64;
                    if probe.left == 0 {
                        self.session.probe = None;
                    }
                }
                (self.outlet.sent)(Sent { twcc, bytes: length, at: self.now, probe });
                twcc.into()
            }
        };
        let place = Place { index: stream.next, stamp };
        stream.next += 1;
        place
    }

    /// Puts it behind the others as it is. Where it begins.
    fn write(&mut self, stream: &mut Stream, packet: &Packet<'_>, place: Place) -> usize {
        stream.tally.packets += 1;
        stream.tally.octets += packet.body.octets() as u64;
        let start = self.data.len();
        let fields = Fields {
            marker: packet.marker,
            padding: packet.body.is_padding(),
            sequence: place.index as u16,
            timestamp: packet.timestamp,
            stamp: place.stamp,
            level: packet.level,
        };
        stream.header.write(self.data, &fields);
        packet.body.write(self.data);
        start
    }

    /// Encrypts the one that begins there.
    fn seal(&mut self, stream: &Stream, start: usize, place: Place) {
        self.data.resize(self.data.len() + self.overhead, 0);
        self.outlet.seal.seal(&mut self.data[start..], stream.header.len(), place.index);
        self.count += 1;
        if self.count == 1 {
            self.segment = self.data.len();
        }
    }

    /// What was put together, if anything.
    pub fn finish(self) -> Option<(usize, usize)> {
        (self.count > 0).then_some((self.segment, self.count))
    }
}
