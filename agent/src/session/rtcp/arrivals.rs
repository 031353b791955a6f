//! When the viewer's packets arrived, told to it by their transport-wide sequence numbers
//! (draft-holmer-rmcat-transport-wide-cc-extensions-01 section 3.1): for its estimate of the path to us.
//!
//! An answer that takes transport-cc for sound, which both sides send, owes this feedback.

use std::time::{Duration, Instant};

use super::reports;

/// Between messages: browsers send theirs every 50 to 250 ms.
const INTERVAL: Duration = Duration::from_millis(100);
/// Arrivals kept at most; sound brings five in an interval. What comes on top is told as lost.
const MAX_PENDING: usize = 64;
/// Statuses in a message at most; where more numbers are missing, telling begins anew.
const MAX_STATUSES: u16 = 256;
/// Unit of arrival times.
const TICK: Duration = Duration::from_micros(250);
/// Ticks in the unit of the reference time, 64 ms.
const REFERENCE: u64 = 256;

const TRANSPORT_FEEDBACK: u8 = 205;
const TRANSPORT_CC: u8 = 15;
/// A chunk with seven statuses of two bits.
const VECTOR: u16 = 0b11 << 14;
const SYMBOLS: usize = 7;
const SMALL: u16 = 1;
const LARGE: u16 = 2;

/// The feedback of one session, without input or output.
#[derive(Clone, Debug)]
pub struct Arrivals {
    epoch: Instant,
    /// Who tells.
    reporter: u32,
    /// Whose packets they are.
    source: u32,
    /// The number after the last one that was told.
    next: Option<u16>,
    /// Numbers and times in ticks, in the order of numbers.
    pending: Vec<(u16, u64)>,
    messages: u8,
    due: Option<Instant>,
    symbols: Vec<u16>,
    deltas: Vec<u8>,
    out: Vec<u8>,
}

impl Arrivals {
    /// `reporter` is the SSRC that tells.
    pub fn new(now: Instant, reporter: u32) -> Self {
        Self {
            epoch: now,
            reporter,
            source: 0,
            next: None,
            pending: Vec::with_capacity(MAX_PENDING),
            messages: 0,
            due: None,
            symbols: Vec::new(),
            deltas: Vec::new(),
            out: Vec::new(),
        }
    }

    /// A packet of the stream `ssrc` came with the number `sequence`.
    pub fn heard(&mut self, now: Instant, ssrc: u32, sequence: u16) {
        let behind = |than: u16| sequence.wrapping_sub(than) >= 1 << 15;
        // Told as lost already.
        if self.pending.len() >= MAX_PENDING || self.next.is_some_and(behind) {
            return;
        }
        let ticks = now.saturating_duration_since(self.epoch).as_nanos() / TICK.as_nanos();
        let place = self.pending.iter().rposition(|(other, _)| !behind(*other)).map_or(0, |i| i + 1);
        if place.checked_sub(1).is_some_and(|before| self.pending[before].0 == sequence) {
            return;
        }
        self.pending.insert(place, (sequence, ticks as u64));
        self.source = ssrc;
        self.due.get_or_insert(now + INTERVAL);
    }

    /// When [`Self::handle_timeout`] wants to be called; `None` while nothing comes.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.due
    }

    /// The message to send, if it is due (reduced-size RTCP, RFC 5506).
    pub fn handle_timeout(&mut self, now: Instant) -> Option<&[u8]> {
        if self.due? > now {
            return None;
        }
        self.due = None;
        let &(first, start) = self.pending.first()?;
        // What is missing since the last message is told too, unless it is a jump.
        let base = self.next.filter(|next| first.wrapping_sub(*next) < MAX_STATUSES / 2).unwrap_or(first);
        let reference = start / REFERENCE;
        let (mut time, mut told) = (reference * REFERENCE, 0);
        self.symbols.clear();
        self.deltas.clear();
        for (sequence, ticks) in &self.pending {
            let position = sequence.wrapping_sub(base);
            let delta = ticks.wrapping_sub(time) as i64;
            let Ok(large) = i16::try_from(delta) else { break };
            if position >= MAX_STATUSES {
                break;
            }
            self.symbols.resize(usize::from(position), 0);
            if let Ok(small) = u8::try_from(delta) {
                self.symbols.push(SMALL);
                self.deltas.push(small);
            } else {
                self.symbols.push(LARGE);
                self.deltas.extend_from_slice(&large.to_be_bytes());
            }
            (time, told) = (*ticks, told + 1);
        }
        self.pending.drain(..told);
        self.next = Some(base.wrapping_add(self.symbols.len() as u16));
        if !self.pending.is_empty() {
            self.due = Some(now);
        }
        self.write(base, reference);
        Some(&self.out)
    }

    fn write(&mut self, base: u16, reference: u64) {
        self.out.clear();
        self.out.extend_from_slice(&[reports::VERSION | TRANSPORT_CC, TRANSPORT_FEEDBACK, 0, 0]);
        self.out.extend_from_slice(&self.reporter.to_be_bytes());
        self.out.extend_from_slice(&self.source.to_be_bytes());
        self.out.extend_from_slice(&base.to_be_bytes());
        self.out.extend_from_slice(&(self.symbols.len() as u16).to_be_bytes());
        self.out.extend_from_slice(&((reference as u32) << 8 | u32::from(self.messages)).to_be_bytes());
        self.messages = self.messages.wrapping_add(1);
        for symbols in self.symbols.chunks(SYMBOLS) {
            let chunk = symbols.iter().zip((0..SYMBOLS).rev()).fold(VECTOR, |c, (s, at)| c | s << (2 * at));
            self.out.extend_from_slice(&chunk.to_be_bytes());
        }
        self.out.extend_from_slice(&self.deltas);
        let padding = self.out.len().next_multiple_of(4) - self.out.len();
        if padding > 0 {
            self.out[0] |= 0x20;
            self.out.resize(self.out.len() + padding - 1, 0);
            self.out.push(padding as u8);
        }
        reports::finish(&mut self.out, 0);
    }
}

#[cfg(test)]
mod tests {
    use rtc::rtcp::transport_feedbacks::transport_layer_cc::{
        PacketStatusChunk, SymbolTypeTcc, TransportLayerCc,
    };

    use super::*;
    use crate::session::rtcp::{Feedback, parse};

    const SOURCE: u32 = 99;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    fn told(arrivals: &mut Arrivals, now: Instant) -> Option<TransportLayerCc> {
        let bytes = arrivals.handle_timeout(now)?;
        let said: Vec<Feedback> = parse(bytes).collect();
        let [Feedback::Twcc(cc)] = &said[..] else { panic!("{said:?} of {bytes:x?}") };
        Some(cc.clone())
    }

    /// Numbers and arrival times in microseconds, as another implementation reads them.
    fn times(cc: &TransportLayerCc) -> Vec<(u16, i64)> {
        let symbols = cc.packet_chunks.iter().flat_map(|chunk| match chunk {
            PacketStatusChunk::StatusVectorChunk(chunk) => chunk.symbol_list.clone(),
            PacketStatusChunk::RunLengthChunk(chunk) => panic!("{chunk:?}"),
        });
        let mut deltas = cc.recv_deltas.iter();
        let mut time = i64::from(cc.reference_time) * 64_000;
        let mut times = Vec::new();
        for (i, symbol) in symbols.take(usize::from(cc.packet_status_count)).enumerate() {
            if symbol != SymbolTypeTcc::PacketNotReceived {
                time += deltas.next().expect("a time for each").delta;
                times.push((cc.base_sequence_number.wrapping_add(i as u16), time));
            }
        }
        assert!(deltas.next().is_none());
        times
    }

    #[test]
    fn arrivals_are_told_with_gaps_over_the_wrap() {
        let start = Instant::now();
        let mut arrivals = Arrivals::new(start, 1);
        assert_eq!(arrivals.poll_timeout(), None);
        for (sequence, at) in [(65_533u16, 0), (65_534, 21), (1, 80), (0, 81)] {
            arrivals.heard(start + ms(at), SOURCE, sequence);
        }
        assert_eq!(arrivals.poll_timeout(), Some(start + INTERVAL));
        assert!(told(&mut arrivals, start + ms(99)).is_none());
        let cc = told(&mut arrivals, start + INTERVAL).expect("due");
        assert_eq!((cc.sender_ssrc, cc.media_ssrc, cc.fb_pkt_count), (1, SOURCE, 0));
        assert_eq!(times(&cc), [(65_533, 0), (65_534, 21_000), (0, 81_000), (1, 80_000)]);
        assert_eq!(arrivals.poll_timeout(), None);
    }

    #[test]
    fn what_is_lost_between_messages_is_told_and_what_comes_late_is_not_told_twice() {
        let start = Instant::now();
        let mut arrivals = Arrivals::new(start, 1);
        arrivals.heard(start + ms(1_000), SOURCE, 10);
        told(&mut arrivals, start + ms(1_100)).expect("due");
        arrivals.heard(start + ms(1_110), SOURCE, 9);
        arrivals.heard(start + ms(1_120), SOURCE, 13);
        arrivals.heard(start + ms(1_125), SOURCE, 13);
        let cc = told(&mut arrivals, start + ms(1_220)).expect("due");
        assert_eq!((cc.base_sequence_number, cc.packet_status_count, cc.fb_pkt_count), (11, 3, 1));
        assert_eq!(times(&cc), [(13, 1_120_000)]);
    }

    #[test]
    fn a_jump_begins_anew_and_a_long_pause_keeps_its_times() {
        let start = Instant::now();
        let mut arrivals = Arrivals::new(start, 1);
        arrivals.heard(start, SOURCE, 10);
        told(&mut arrivals, start + INTERVAL).expect("due");
        let later = start + Duration::from_secs(100_000);
        arrivals.heard(later, SOURCE, 5_000);
        arrivals.heard(later + ms(90), SOURCE, 5_001);
        let cc = told(&mut arrivals, later + INTERVAL).expect("due");
        assert_eq!(times(&cc), [(5_000, 100_000_000_000), (5_001, 100_000_090_000)]);
    }

    #[test]
    fn a_flood_is_bounded_and_the_rest_follows() {
        let start = Instant::now();
        let mut arrivals = Arrivals::new(start, 1);
        for i in 0..1_000u16 {
            arrivals.heard(start, SOURCE, i.wrapping_mul(20));
        }
        let mut all = Vec::new();
        while let Some(cc) = told(&mut arrivals, start + INTERVAL) {
            assert!(cc.packet_status_count <= MAX_STATUSES);
            all.extend(times(&cc));
        }
        let numbers: Vec<u16> = all.iter().map(|(number, _)| *number).collect();
        assert_eq!(numbers, (0..MAX_PENDING as u16).map(|i| i * 20).collect::<Vec<_>>());
    }
}
