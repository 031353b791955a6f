//! The pictures of one viewer as RTP, and what is sent again of them.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use super::{
    allowance::Allowance,
    clock::RtpClock,
    history::{Content, History, Kept},
    packet::{Body, Stream},
    pictures::{Pictures, Waiting},
    repairs::Repairs,
    train::{Assembly, Packet, Place},
};

/// How often one packet is sent again: what was lost four times comes too late.
const MAX_TIMES: u32 = 3;
/// A packet is not sent again within this time, however short the round trip: requests of one receiver come in bursts.
const MIN_REPEAT: Duration = Duration::from_millis(20);
/// Padding of one packet: what its own count can say.
const PADDING: u8 = u8::MAX;
/// Probes repeat the newest packets, so many at most before they begin anew: what a receiver may still want.
const PROBE_SPAN: u64 = 32;

/// See the module.
#[derive(Debug)]
pub struct Video {
    /// The pictures' stream.
    pub stream: Stream,
    /// The stream of retransmissions (RFC 4588).
    pub rtx: Option<Stream>,
    /// The stream of repair packets.
    pub repairs: Option<Repairs>,
    /// The clock of all.
    pub clock: RtpClock,
    /// What waits.
    pub pictures: Pictures,
    history: History,
    /// Packets to be sent again; each is in it once and in the history, so there are not more than there.
    again: VecDeque<u64>,
    allowance: Allowance,
    /// RTP time of the last packet.
    timestamp: Option<u32>,
    /// How far back the next packet of a probe is.
    probe_back: u64,
}

impl Video {
    /// Nothing was sent yet.
    pub fn new(stream: Stream, rtx: Option<Stream>, repairs: Option<Stream>, clock: RtpClock) -> Self {
        Self {
            stream,
            rtx,
            repairs: repairs.map(Repairs::new),
            clock,
            pictures: Pictures::default(),
            history: History::default(),
            again: VecDeque::new(),
            allowance: Allowance::default(),
            timestamp: None,
            probe_back: 0,
        }
    }

    /// Whether packets wait that mend what came before: they go before pictures.
    pub fn mends(&self) -> bool {
        !self.again.is_empty() || self.repairs.as_ref().is_some_and(Repairs::waits)
    }

    /// Whether pictures wait.
    pub fn waits(&self) -> bool {
        self.pictures.front().is_some()
    }

    /// Forgets what is too old to be sent again.
    pub fn forget(&mut self, now: Instant) {
        self.history.forget(now);
    }

    /// The receiver misses packets with these sequence numbers. How many will not be sent again: unknown or forgotten, sent
    /// again just now, or too many.
    pub fn nack(&mut self, now: Instant, rtt: Duration, missing: &[u16]) -> u64 {
        let pause = rtt.max(MIN_REPEAT);
        missing.iter().map(|sequence| u64::from(!self.ask(now, pause, *sequence))).sum()
    }

    fn ask(&mut self, now: Instant, pause: Duration, sequence: u16) -> bool {
        let Some(index) = self.history.find(sequence) else { return false };
        let Some(kept) = self.history.get_mut(index) else { return false };
        // Doubled each time: some receivers ask for ever, also for what they have had, and would take all of the allowance.
        let pause = pause * (1 << kept.times.saturating_sub(1).min(MAX_TIMES));
        let is_recent = kept.repeated.is_some_and(|at| now.saturating_duration_since(at) < pause);
        let is_enough = kept.times >= MAX_TIMES;
        if kept.asked
            || is_recent
            || is_enough
            || !self.allowance.take(self.stream.header.len() + kept.content.length())
        {
            return false;
        }
        kept.asked = true;
        self.again.push_back(index);
        true
    }

    /// The bytes of what is to be sent again, if encryption adds so many to each packet.
    pub fn mending(&self, overhead: usize) -> usize {
        let around = self.stream.header.len() + overhead;
        let kept = self.again.iter().filter_map(|index| self.history.get(*index));
        kept.map(|kept| kept.content.length() + around).sum()
    }

    /// Drops all that waits, and all that could be sent again. How many pictures wait no more.
    pub fn give_up(&mut self) -> usize {
        self.again.clear();
        self.history.clear();
        self.probe_back = 0;
        self.pictures.clear()
    }

    /// Writes what is to be sent again.
    pub fn write_again(&mut self, train: &mut Assembly<'_, '_>) -> u64 {
        let mut written = 0;
        while let Some(&index) = self.again.front() {
            // Those that were forgotten meanwhile are not missed any more.
            let wrote = self.history.get_mut(index).is_none_or(|kept| {
                let wrote = repeat(train, &mut self.stream, self.rtx.as_mut(), index, kept);
                // Not for probes: what is lost with all their copies can still be asked for.
                kept.times += u32::from(wrote);
                written += u64::from(wrote);
                kept.asked &= !wrote;
                wrote
            });
            if !wrote {
                break;
            }
            self.again.pop_front();
        }
        written
    }

    /// Writes pictures in their order. The last one of which everything has left now.
    pub fn write_pictures(&mut self, train: &mut Assembly<'_, '_>) -> Option<Waiting> {
        let mut finished = None;
        while let Some(Waiting { unit, left, timestamp, .. }) = self.pictures.front() {
            let payloads = unit.payloads();
            let Some(payload) = payloads.get(*left) else { break };
            let body = Body::Payload(payload);
            if !train.takes(&self.stream, &body) {
                break;
            }
            let (timestamp, marker) = (*timestamp, left + 1 == payloads.len());
            let content = Content::Picture(unit.clone(), *left);
            let bytes = payload.len();
            let packet = Packet { timestamp, marker, level: 0, body };
            let place = train.put_protected(&mut self.stream, &packet, self.repairs.as_mut());
            self.allowance.earn(bytes);
            self.keep(train.now(), place, (timestamp, marker), content);
            finished = self.pictures.left(bytes).or(finished);
        }
        finished
    }

    fn keep(&mut self, sent: Instant, place: Place, (timestamp, marker): (u32, bool), content: Content) {
        self.timestamp = Some(timestamp);
        self.probe_back = 0;
        let kept = Kept {
            content,
            timestamp,
            marker,
            stamp: place.stamp,
            sent,
            repeated: None,
            times: 0,
            asked: false,
        };
        self.history.push(place.index, kept);
    }

    /// Fills up the probe under way with what costs the receiver nothing: packets that it has, or padding.
    pub fn write_probe(&mut self, train: &mut Assembly<'_, '_>) {
        while train.probe().is_some() {
            let wrote = match self.rtx.is_some() {
                true => self.probe_by_repeat(train),
                false => self.probe_by_padding(train),
            };
            if !wrote {
                break;
            }
        }
    }

    /// On the stream of retransmissions. False if the train is full.
    fn probe_by_repeat(&mut self, train: &mut Assembly<'_, '_>) -> bool {
        let Some(rtx) = &mut self.rtx else { return false };
        let index = self.history.newest().and_then(|newest| newest.checked_sub(self.probe_back));
        if let Some(index) = index
            && let Some(kept) = self.history.get_mut(index)
            && matches!(kept.content, Content::Picture(..))
        {
            let wrote = repeat(train, &mut self.stream, Some(rtx), index, kept);
            self.probe_back = (self.probe_back + u64::from(wrote)) % PROBE_SPAN;
            return wrote;
        }
        self.probe_back = 0;
        let timestamp = self.timestamp.unwrap_or_else(|| self.clock.at(train.now()));
        let packet = Packet { timestamp, marker: false, level: 0, body: Body::Padding(PADDING) };
        let takes = train.takes(rtx, &packet.body);
        if takes {
            train.put(rtx, &packet);
        }
        takes
    }

    /// On the pictures' own stream: only between pictures, lest a receiver takes it for a part of one.
    fn probe_by_padding(&mut self, train: &mut Assembly<'_, '_>) -> bool {
        let timestamp = self.timestamp.unwrap_or_else(|| self.clock.at(train.now()));
        let packet = Packet { timestamp, marker: false, level: 0, body: Body::Padding(PADDING) };
        if self.pictures.has_begun() || !train.takes(&self.stream, &packet.body) {
            return false;
        }
        let place = train.put_protected(&mut self.stream, &packet, self.repairs.as_mut());
        self.keep(train.now(), place, (timestamp, false), Content::Padding(PADDING));
        true
    }
}

/// Sends a packet again: on the stream of retransmissions, or as it was where there is none. False if the train is full.
fn repeat(
    train: &mut Assembly<'_, '_>,
    stream: &mut Stream,
    rtx: Option<&mut Stream>,
    index: u64,
    kept: &mut Kept,
) -> bool {
    let body = match &kept.content {
        Content::Picture(unit, number) => unit.payloads().get(*number).map(Body::Payload),
        Content::Padding(length) => Some(Body::Padding(*length)),
    };
    let body = match (body, rtx.is_some()) {
        (Some(Body::Payload(payload)), true) => Body::Repeat(index as u16, payload),
        (Some(body), _) => body,
        // Cannot be: the number was taken from the picture.
        (None, _) => return true,
    };
    let packet = Packet { timestamp: kept.timestamp, marker: kept.marker, level: 0, body };
    match rtx {
        Some(rtx) if train.takes(rtx, &body) => {
            train.put(rtx, &packet);
        }
        None if train.takes(stream, &body) => {
            train.put_again(stream, &packet, Place { index, stamp: kept.stamp });
        }
        _ => return false,
    }
    kept.repeated = Some(train.now());
    true
}

#[cfg(test)]
#[path = "video_tests.rs"]
mod tests;
