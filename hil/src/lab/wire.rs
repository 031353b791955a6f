//! A link with given faults, as a pure type: packets go in with the time, and come out when they are due.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Packets on a wire without a rate limit: a second of 100 Mbit/s.
const MAX_IN_FLIGHT: usize = 8192;

/// How packets get lost.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub enum Loss {
    /// Each for itself, with this probability (0 to 1).
    Random(f64),
    /// In bursts (Gilbert's model): a good and a bad state; in the bad one everything is lost.
    Bursts {
        /// Probability that a packet begins a burst (0 to 1).
        begins: f64,
        /// Mean length of a burst in packets, 1 or more.
        length: f64,
    },
}

impl Loss {
    /// No loss.
    pub const NONE: Self = Self::Random(0.0);
}

/// What a link does to packets, in one direction.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Faults {
    /// Time that each packet takes.
    pub delay: Duration,
    /// Random time on top, from zero to this. Alone it does not change the order.
    pub jitter: Duration,
    /// Loss.
    pub loss: Loss,
    /// Part of the packets (0 to 1) that overtake those before them: they take no jitter and half the delay.
    pub reorder: f64,
    /// Bits a second, with IP headers; `None`: any.
    pub rate: Option<u64>,
    /// Longest time that a packet waits for the rate; what would wait longer is dropped (tail drop).
    pub queue: Duration,
    /// Longest packet in bytes, IP header included; longer ones are dropped.
    pub mtu: usize,
    /// Drops them without telling the sender (RFC 2923 section 2.1), where a router says "packet too big".
    pub mtu_black_hole: bool,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
            loss: Loss::NONE,
            reorder: 0.0,
            rate: None,
            // What a home router's queue often holds.
            queue: Duration::from_millis(200),
            mtu: 1500,
            mtu_black_hole: false,
        }
    }
}

/// What happened on a wire, in packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Came out.
    pub passed: u64,
    /// Lost by the model of loss.
    pub lost: u64,
    /// Dropped as the queue was full.
    pub queue_full: u64,
    /// Dropped as longer than the MTU.
    pub too_long: u64,
}

/// One direction of a link. All chance follows from the seed.
#[derive(Debug)]
pub struct Wire<T> {
    faults: Faults,
    random: ChaCha8Rng,
    in_burst: bool,
    /// When the sender's last bit is out.
    busy_until: Option<Instant>,
    /// Jitter alone keeps the order: no packet comes before this.
    last_due: Option<Instant>,
    in_flight: BTreeMap<(Instant, u64), T>,
    sent: u64,
    count: Count,
}

impl<T> Wire<T> {
    /// A wire without packets.
    pub fn new(faults: Faults, seed: u64) -> Self {
        Self {
            faults,
            random: ChaCha8Rng::seed_from_u64(seed),
            in_burst: false,
            busy_until: None,
            last_due: None,
            in_flight: BTreeMap::new(),
            sent: 0,
            count: Count::default(),
        }
    }

    /// Changes the faults for packets from now on.
    pub fn set(&mut self, faults: Faults) {
        self.faults = faults;
    }

    /// What happened so far.
    pub fn count(&self) -> Count {
        self.count
    }

    /// A packet of so many bytes, IP header included, is put on the wire. Gives back one that is longer than the MTU
    /// if its sender is to be told, with the MTU.
    pub fn send(&mut self, packet: T, bytes: usize, now: Instant) -> Option<(T, usize)> {
        if bytes > self.faults.mtu {
            self.count.too_long += 1;
            return (!self.faults.mtu_black_hole).then_some((packet, self.faults.mtu));
        }
        let Some(out) = self.transmitted(bytes, now) else {
            self.count.queue_full += 1;
            return None;
        };
        // After the queue: what is lost on the way took its time to send.
        if self.is_lost() {
            self.count.lost += 1;
            return None;
        }
        let overtakes = self.faults.reorder > 0.0 && self.random.random_bool(self.faults.reorder.min(1.0));
        let due = if overtakes {
            out + self.faults.delay / 2
        } else {
            let jitter = self.faults.jitter.mul_f64(self.random.random_range(0.0..=1.0));
            let due = (out + self.faults.delay + jitter).max(self.last_due.unwrap_or(out));
            self.last_due = Some(due);
            due
        };
        self.in_flight.insert((due, self.sent), packet);
        self.sent += 1;
        None
    }

    /// When the packet's last bit leaves; `None` if it would wait too long for that.
    fn transmitted(&mut self, bytes: usize, now: Instant) -> Option<Instant> {
        let Some(rate) = self.faults.rate else {
            return (self.in_flight.len() < MAX_IN_FLIGHT).then_some(now);
        };
        let start = self.busy_until.map_or(now, |busy| busy.max(now));
        if start - now > self.faults.queue {
            return None;
        }
        let time = Duration::from_secs_f64(bytes as f64 * 8.0 / rate.max(1) as f64);
        let end = start + time;
        self.busy_until = Some(end);
        Some(end)
    }

    fn is_lost(&mut self) -> bool {
        match self.faults.loss {
            Loss::Random(part) => part > 0.0 && self.random.random_bool(part.min(1.0)),
            Loss::Bursts { begins, length } => {
                let turn = if self.in_burst { 1.0 / length.max(1.0) } else { begins };
                if turn > 0.0 && self.random.random_bool(turn.min(1.0)) {
                    self.in_burst = !self.in_burst;
                }
                self.in_burst
            }
        }
    }

    /// When the next packet is due.
    pub fn next_due(&self) -> Option<Instant> {
        self.in_flight.first_key_value().map(|((due, _), _)| *due)
    }

    /// The next packet that is due by now.
    pub fn receive(&mut self, now: Instant) -> Option<T> {
        let first = self.in_flight.first_entry().filter(|entry| entry.key().0 <= now)?;
        self.count.passed += 1;
        Some(first.remove())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Sends `count` packets of 1250 bytes, one every `gap`; number, and milliseconds from sending to arrival.
    fn run(faults: Faults, count: u32, gap: Duration) -> (Vec<(u32, f64)>, Count) {
        let start = Instant::now();
        let mut wire = Wire::new(faults, 5);
        for number in 0..count {
            wire.send(number, 1250, start + gap * number);
        }
        let mut got = Vec::new();
        while let Some(due) = wire.next_due() {
            let number = wire.receive(due).expect("it is due");
            got.push((number, (due - start - gap * number).as_secs_f64() * 1e3));
        }
        (got, wire.count())
    }

    #[test]
    fn a_packet_comes_after_its_delay_and_not_before() {
        let start = Instant::now();
        let mut wire = Wire::new(Faults { delay: 20 * MS, ..Faults::default() }, 1);
        wire.send("x", 100, start);
        assert_eq!(wire.receive(start + 19 * MS), None);
        assert_eq!(wire.receive(start + 20 * MS), Some("x"));
    }

    #[test]
    fn jitter_spreads_and_keeps_the_order() {
        let (got, _) = run(Faults { delay: 20 * MS, jitter: 10 * MS, ..Faults::default() }, 1000, MS);
        assert!(got.windows(2).all(|pair| pair[0].0 < pair[1].0));
        assert!(got.iter().all(|(_, ms)| (20.0..=40.0).contains(ms)));
        let late = got.iter().filter(|(_, ms)| *ms > 25.0).count();
        assert!((300..1000).contains(&late), "{late}");
    }

    #[test]
    fn some_packets_overtake_others_where_that_is_asked_for() {
        let (got, _) = run(Faults { delay: 20 * MS, reorder: 0.1, ..Faults::default() }, 1000, MS);
        let overtaken = got.windows(2).filter(|pair| pair[0].0 > pair[1].0).count();
        assert!((30..300).contains(&overtaken), "{overtaken}");
        assert_eq!(got.len(), 1000);
    }

    #[test]
    fn loss_has_the_wanted_share_and_bursts_the_wanted_length() {
        let (_, count) = run(Faults { loss: Loss::Random(0.05), ..Faults::default() }, 8000, MS);
        assert!((300..500).contains(&count.lost), "{count:?}");
        // One packet in a hundred begins a burst of ten: about a tenth is lost.
        let (got, count) =
            run(Faults { loss: Loss::Bursts { begins: 0.01, length: 10.0 }, ..Faults::default() }, 8000, MS);
        let bursts = got.windows(2).filter(|pair| pair[1].0 > pair[0].0 + 1).count();
        let length = count.lost as f64 / bursts as f64;
        assert!((5.0..15.0).contains(&length), "{length} packets a burst");
        assert!((400..1200).contains(&count.lost), "{count:?}");
    }

    #[test]
    fn a_rate_makes_packets_wait_and_a_full_queue_drops_them() {
        // A packet of 1250 bytes takes 10 ms at 1 Mbit/s; they come twice as fast as they can go.
        let faults = Faults { rate: Some(1_000_000), queue: 100 * MS, ..Faults::default() };
        let (got, count) = run(faults, 200, 5 * MS);
        let longest = got.iter().map(|(_, ms)| *ms).fold(0.0, f64::max);
        assert!((100.0..=111.0).contains(&longest), "{longest}");
        assert!((80..=110).contains(&count.queue_full), "{count:?}");
        let (got, count) = run(faults, 200, 10 * MS);
        assert_eq!((got.len(), count.queue_full), (200, 0));
    }

    #[test]
    fn what_is_longer_than_the_mtu_is_dropped_and_counted() {
        let (got, count) = run(Faults { mtu: 1200, ..Faults::default() }, 10, MS);
        assert_eq!((got.len(), count.too_long), (0, 10));
    }

    #[test]
    fn the_same_seed_loses_the_same_packets() {
        let faults = Faults { loss: Loss::Random(0.3), ..Faults::default() };
        assert_eq!(run(faults, 500, MS).0, run(faults, 500, MS).0);
    }
}
