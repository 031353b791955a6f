//! When how many bytes may leave: a token bucket that lets whole trains go.

use std::time::{Duration, Instant};

use super::Probe;

/// A wake-up lets this much time's worth of bytes go: about a hundred timers a second at most, and trains worth a
/// system call.
const TRAIN: Duration = Duration::from_millis(10);
/// The largest packet: what an Ethernet frame holds.
const PACKET: f64 = 1500.0;
/// After a pause this many packets may leave at once, so that a usual picture is one train.
const BURST_PACKETS: f64 = 5.0;
/// A rate below this would stall for seconds.
const MIN_RATE: f64 = 10_000.0;

/// A token bucket, filled by time.
#[derive(Debug, Clone)]
pub struct Pacer {
    /// Bytes a second.
    rate: f64,
    /// Bytes that may leave; below zero after a train larger than allowed.
    credit: f64,
    filled: Instant,
    /// Nothing leaves until a train's worth of credit is there.
    waiting: bool,
    probe: Option<Burst>,
}

#[derive(Debug, Clone, Copy)]
struct Burst {
    rate: f64,
    left: f64,
}

impl Pacer {
    /// A full bucket.
    pub fn new(now: Instant, bits: u64) -> Self {
        let mut pacer = Self { rate: 0.0, credit: 0.0, filled: now, waiting: false, probe: None };
        pacer.rate = bytes_a_second(bits);
        pacer.credit = pacer.burst();
        pacer
    }

    /// Bits a second from now on.
    pub fn set_rate(&mut self, now: Instant, bits: u64) {
        self.fill(now);
        self.rate = bytes_a_second(bits);
    }

    /// The next bytes leave at the probe's rate, evenly: a burst at line rate would measure nothing.
    pub fn probe(&mut self, now: Instant, probe: &Probe) {
        self.fill(now);
        self.probe = Some(Burst { rate: bytes_a_second(probe.rate), left: probe.bytes as f64 });
        self.credit = self.credit.min(self.train());
    }

    /// Bytes that may leave now; 0: not before [`Self::due`].
    pub fn budget(&mut self, now: Instant) -> usize {
        self.fill(now);
        if self.waiting { 0 } else { self.credit as usize }
    }

    /// Bytes have left.
    pub fn spend(&mut self, bytes: usize) {
        let bytes = bytes as f64;
        self.credit -= bytes;
        if let Some(probe) = &mut self.probe {
            probe.left -= bytes;
            if probe.left <= 0.0 {
                self.probe = None;
            }
        }
        self.waiting = self.credit < PACKET;
    }

    /// When the next train may leave, if bytes are waiting; none: now.
    pub fn due(&mut self, now: Instant) -> Option<Instant> {
        self.fill(now);
        if !self.waiting {
            return None;
        }
        let seconds = (self.train() - self.credit) / self.current();
        // A microsecond more, so that rounding does not wake up a moment too early and again.
        Some(now + Duration::from_secs_f64(seconds.clamp(0.0, 10.0)) + Duration::from_micros(1))
    }

    fn fill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.filled);
        self.filled = self.filled.max(now);
        let room = if self.probe.is_some() { self.train() } else { self.burst() };
        self.credit = (self.credit + passed.as_secs_f64() * self.current()).min(room.max(self.credit));
        if self.credit >= self.train() {
            self.waiting = false;
        }
    }

    fn current(&self) -> f64 {
        self.probe.map_or(self.rate, |probe| probe.rate)
    }

    fn train(&self) -> f64 {
        (self.current() * TRAIN.as_secs_f64()).max(PACKET)
    }

    fn burst(&self) -> f64 {
        self.train().max(BURST_PACKETS * PACKET)
    }
}

fn bytes_a_second(bits: u64) -> f64 {
    (bits as f64).max(MIN_RATE) / 8.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Sends packets of 1200 bytes as the driver does: gives the bytes sent and the wake-ups needed.
    fn drive(pacer: &mut Pacer, from: Instant, time: Duration) -> (usize, usize) {
        let (mut now, mut sent, mut timers) = (from, 0, 0);
        while now < from + time {
            let budget = pacer.budget(now);
            let train = budget / 1200 * 1200;
            if train > 0 {
                pacer.spend(train);
                sent += train;
            }
            match pacer.due(now) {
                Some(due) => {
                    assert!(due > now);
                    now = due;
                    timers += 1;
                }
                None => assert!(train > 0, "neither budget nor a time to wait for"),
            }
        }
        (sent, timers)
    }

    #[test]
    fn a_usual_picture_after_a_pause_leaves_at_once() {
        let now = Instant::now();
        let mut pacer = Pacer::new(now, 750_000);
        assert!(pacer.budget(now) >= 6000);
        pacer.spend(6000);
        assert_eq!(pacer.budget(now + ms(1)), if pacer.credit >= PACKET { pacer.credit as usize } else { 0 });
        assert!(pacer.budget(now + ms(100)) >= 6000);
    }

    #[test]
    fn the_rate_is_kept_and_timers_are_few() {
        for rate in [300_000u64, 7_500_000, 50_000_000] {
            let now = Instant::now();
            let mut pacer = Pacer::new(now, rate);
            let (sent, timers) = drive(&mut pacer, now, Duration::from_secs(2));
            let expected = rate as f64 / 4.0;
            assert!((sent as f64 - expected).abs() < expected * 0.1 + 9000.0, "{rate}: {sent}");
            assert!(timers <= 250, "{rate}: {timers} timers in two seconds");
        }
    }

    #[test]
    fn a_pause_does_not_save_up_more_than_a_burst() {
        let now = Instant::now();
        let mut pacer = Pacer::new(now, 2_000_000);
        assert!(pacer.budget(now + Duration::from_secs(3600)) <= 7500);
    }

    #[test]
    fn a_probe_leaves_at_its_own_rate_then_the_old_one_is_back() {
        let now = Instant::now();
        let mut pacer = Pacer::new(now, 1_000_000);
        pacer.probe(now, &Probe { id: 1, bytes: 50_000, rate: 8_000_000 });
        let (sent, _) = drive(&mut pacer, now, ms(50));
        assert!((40_000..70_000).contains(&sent), "{sent}");
        let (later, _) = drive(&mut pacer, now + ms(100), Duration::from_secs(1));
        assert!(later < 150_000, "{later}");
    }

    #[test]
    fn a_clock_that_steps_back_and_a_rate_of_nothing_do_no_harm() {
        let now = Instant::now() + Duration::from_secs(10);
        let mut pacer = Pacer::new(now, 0);
        pacer.spend(100_000);
        assert_eq!(pacer.budget(now - Duration::from_secs(5)), 0);
        assert!(pacer.due(now).is_some_and(|due| due <= now + Duration::from_secs(11)));
    }
}
