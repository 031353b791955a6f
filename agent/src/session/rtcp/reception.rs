//! What is known of a stream that a viewer sends, for the report block on it (RFC 3550 appendices A.1, A.3 and A.8).

use std::time::{Duration, Instant};

use super::ntp;

/// Sequence numbers that may be missed at once (RFC 3550 appendix A.1): a minute of sound.
const MAX_DROPOUT: u16 = 3_000;
/// How far behind the newest a packet counts as late (RFC 3550 appendix A.1).
const MAX_MISORDER: u16 = 100;

/// One stream from the viewer.
#[derive(Clone, Debug)]
pub(super) struct Reception {
    pub ssrc: u32,
    clock_rate: u32,
    epoch: Instant,
    /// First sequence number, and the highest with its cycles.
    base: u32,
    highest: u32,
    /// What would come next if the sender had begun anew.
    resync: Option<u16>,
    received: u32,
    /// Expected and received up to the last report.
    reported: (u32, u32),
    /// Arrival less RTP time of the last packet, in ticks.
    transit: Option<u32>,
    /// In 1/16 tick.
    jitter: u64,
    /// NTP time of the last sender report, its middle, and when it came.
    sender_report: Option<(u32, Instant)>,
}

impl Reception {
    /// A stream whose first packet is yet to be told by [`Self::hear`].
    pub fn new(now: Instant, ssrc: u32, clock_rate: u32, sequence: u16) -> Self {
        Self {
            ssrc,
            clock_rate,
            epoch: now,
            base: u32::from(sequence),
            highest: u32::from(sequence),
            resync: None,
            received: 0,
            reported: (0, 0),
            transit: None,
            jitter: 0,
            sender_report: None,
        }
    }

    /// A packet came. Its codec may be another one than before.
    pub fn hear(&mut self, now: Instant, clock_rate: u32, sequence: u16, timestamp: u32) {
        if !self.place(sequence) {
            return;
        }
        self.received = self.received.wrapping_add(1);
        if clock_rate != self.clock_rate {
            (self.clock_rate, self.transit, self.jitter) = (clock_rate, None, 0);
        }
        let elapsed = now.saturating_duration_since(self.epoch);
        let arrival = (elapsed.as_nanos() * u128::from(clock_rate) / 1_000_000_000) as u32;
        let transit = arrival.wrapping_sub(timestamp);
        if let Some(before) = self.transit.replace(transit) {
            let difference = u64::from((transit.wrapping_sub(before) as i32).unsigned_abs());
            self.jitter = self.jitter + difference - ((self.jitter + 8) >> 4);
        }
    }

    /// Whether a sequence number belongs to the stream; a jump must be confirmed by the next number.
    fn place(&mut self, sequence: u16) -> bool {
        let ahead = sequence.wrapping_sub(self.highest as u16);
        if ahead < MAX_DROPOUT {
            self.highest = self.highest.wrapping_add(u32::from(ahead));
        } else if ahead <= u16::MAX - MAX_MISORDER {
            if self.resync != Some(sequence) {
                self.resync = Some(sequence.wrapping_add(1));
                return false;
            }
            (self.base, self.highest) = (u32::from(sequence), u32::from(sequence));
            (self.received, self.reported) = (0, (0, 0));
        }
        self.resync = None;
        true
    }

    /// A sender report on the stream came.
    pub fn sender_report(&mut self, now: Instant, ntp_time: u64) {
        self.sender_report = Some((ntp::middle(ntp_time), now));
    }

    /// Appends the report block, unless nothing came since the last one.
    pub fn report(&mut self, now: Instant, out: &mut Vec<u8>) -> bool {
        let expected = self.highest.wrapping_sub(self.base).wrapping_add(1);
        let (expected_before, received_before) =
            std::mem::replace(&mut self.reported, (expected, self.received));
        let received = self.received.wrapping_sub(received_before);
        if received == 0 {
            return false;
        }
        let interval = i64::from(expected.wrapping_sub(expected_before));
        let lost_now = interval - i64::from(received);
        let fraction = if interval > 0 { (lost_now.max(0) * 256 / interval).min(255) } else { 0 };
        let lost = (i64::from(expected) - i64::from(self.received)).clamp(-0x80_0000, 0x7f_ffff);
        let (lsr, since) = self
            .sender_report
            .map_or((0, Duration::ZERO), |(middle, at)| (middle, now.saturating_duration_since(at)));
        out.extend_from_slice(&self.ssrc.to_be_bytes());
        out.extend_from_slice(&((fraction as u32) << 24 | (lost as u32 & 0xff_ffff)).to_be_bytes());
        out.extend_from_slice(&self.highest.to_be_bytes());
        out.extend_from_slice(&u32::try_from(self.jitter >> 4).unwrap_or(u32::MAX).to_be_bytes());
        out.extend_from_slice(&lsr.to_be_bytes());
        out.extend_from_slice(&ntp::short(since).to_be_bytes());
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS20: Duration = Duration::from_millis(20);

    struct Block {
        fraction: u8,
        lost: i32,
        highest: u32,
        jitter: u32,
    }

    fn block(stream: &mut Reception, now: Instant) -> Option<Block> {
        let mut out = Vec::new();
        let word = |out: &[u8], at| out[at..].first_chunk().copied().map(u32::from_be_bytes).expect("a word");
        stream.report(now, &mut out).then(|| Block {
            fraction: out[4],
            lost: ((word(&out, 4) << 8) as i32) >> 8,
            highest: word(&out, 8),
            jitter: word(&out, 12),
        })
    }

    /// Sound of 20 ms a packet from `first`, without the packets that `lost` names.
    fn stream(now: Instant, first: u16, packets: u16, lost: impl Fn(u16) -> bool) -> Reception {
        let mut stream = Reception::new(now, 7, 48_000, first);
        for i in (0..packets).filter(|i| !lost(*i)) {
            stream.hear(now + MS20 * u32::from(i), 48_000, first.wrapping_add(i), 960 * u32::from(i));
        }
        stream
    }

    #[test]
    fn loss_is_counted_over_the_wrap_and_per_interval() {
        let now = Instant::now();
        let mut heard = stream(now, 65_500, 100, |i| i % 10 == 5);
        let told = block(&mut heard, now).expect("a report");
        assert_eq!((told.lost, told.highest), (10, 65_599));
        assert_eq!(told.fraction, (10 * 256 / 100) as u8);
        for i in 100..150u16 {
            heard.hear(now, 48_000, 65_500u16.wrapping_add(i), 0);
        }
        let told = block(&mut heard, now).expect("a report");
        assert_eq!((told.lost, told.fraction), (10, 0), "nothing lost in the second interval");
        assert!(block(&mut heard, now).is_none(), "nothing came since");
    }

    #[test]
    fn duplicates_make_the_loss_negative_and_no_fraction() {
        let now = Instant::now();
        let mut heard = stream(now, 10, 5, |_| false);
        for _ in 0..3 {
            heard.hear(now, 48_000, 14, 0);
        }
        let told = block(&mut heard, now).expect("a report");
        assert_eq!((told.lost, told.fraction, told.highest), (-3, 0, 14));
    }

    #[test]
    fn a_late_packet_is_received_and_a_wild_number_is_not() {
        let now = Instant::now();
        let mut heard = stream(now, 1_000, 50, |i| i == 40);
        heard.hear(now, 48_000, 30_000, 0);
        heard.hear(now, 48_000, 1_040, 0);
        let told = block(&mut heard, now).expect("a report");
        assert_eq!((told.lost, told.highest), (0, 1_049));
    }

    #[test]
    fn a_sender_that_begins_anew_is_followed_after_two_packets() {
        let now = Instant::now();
        let mut heard = stream(now, 1_000, 50, |_| false);
        for sequence in 30_000..30_010 {
            heard.hear(now, 48_000, sequence, 0);
        }
        let told = block(&mut heard, now).expect("a report");
        assert_eq!((told.lost, told.highest), (0, 30_009));
    }

    #[test]
    fn jitter_settles_at_the_mean_deviation() {
        let now = Instant::now();
        let mut even = stream(now, 0, 200, |_| false);
        assert_eq!(block(&mut even, now).expect("a report").jitter, 0);
        let mut heard = Reception::new(now, 7, 48_000, 0);
        for i in 0..500u16 {
            // Every other packet is 5 ms late: each differs from the one before by 240 ticks.
            let late = Duration::from_millis(if i % 2 == 0 { 0 } else { 5 });
            heard.hear(now + MS20 * u32::from(i) + late, 48_000, i, 960 * u32::from(i));
        }
        let told = block(&mut heard, now).expect("a report");
        assert!((230..=240).contains(&told.jitter), "{}", told.jitter);
        heard.hear(now, 8_000, 500, 0);
        assert_eq!(block(&mut heard, now).expect("a report").jitter, 0, "another codec has another clock");
    }

    #[test]
    fn delay_since_the_last_sender_report_is_told() {
        let now = Instant::now();
        let mut heard = stream(now, 0, 5, |_| false);
        heard.sender_report(now, 0x1111_2222_3333_4444);
        let mut out = Vec::new();
        assert!(heard.report(now + Duration::from_millis(1_500), &mut out));
        assert_eq!(out[16..20], [0x22, 0x22, 0x33, 0x33]);
        assert_eq!(out[20..24], 0x0001_8000u32.to_be_bytes());
    }
}
