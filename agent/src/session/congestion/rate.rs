//! The target: how fast it grows, and how it falls when the queue does.

use super::{Limits, capacity::Capacity, trend::Usage};

/// Growth a second far from any known limit (draft-ietf-rmcat-gcc-02, section 5.5). Probes make the large steps.
const GROWTH: f64 = 1.08;
/// Near the known capacity the rate grows by this many bits in a response time: a packet (same section).
const PACKET_BITS: f64 = 9_600.0;
/// What a response takes beside the round trip: the pause between two reports, seconds.
const RESPONSE: f64 = 0.1;
/// Growth ends at this multiple of what really arrives, and a little for the first packets (same section).
const OVER_ARRIVING: (f64, f64) = (1.5, 10_000.0);
/// From this part of the known capacity on the rate counts as near.
const NEAR: f64 = 0.85;
/// Of the rate that came out of the full link this much is used once the queue is gone.
const KEEP: f64 = 0.93;
/// A queue shall be gone within this, seconds: short against a person's patience, long against the round trip.
const DRAIN_TIME: f64 = 0.4;
/// While it drains at least this part of what the link carries is sent: pictures must go on.
const LEAST: f64 = 0.3;
/// The queue counts as gone, seconds.
const DRAINED: f64 = 0.010;
/// A packet sent this long (microseconds) after draining began meets a shorter queue, or the queue is not ours ...
const FUTILE: i64 = 1_000_000;
/// ... shorter than this part of what was expected when draining began.
const SHORTER: f64 = 0.9;
const LONGEST_DRAIN: i64 = 4_000_000;
/// A full link that carries less than this part of the target has become narrower ...
const NARROWER: f64 = 0.75;
/// ... if a packet waited this long, and one sent now would wait this long, seconds: seen from the bytes in flight long
/// before reports tell of them, as they wait in the queue themselves.
const WAITED: f64 = 0.025;
const WILL_WAIT: f64 = 0.1;
/// Without any measured rate an overused link gets this part of the target.
const BLIND: f64 = 0.8;

/// What the controller sees when a report came.
#[derive(Debug, Clone, Copy)]
pub struct View {
    /// Microseconds.
    pub now: i64,
    /// What the delays say.
    pub usage: Usage,
    /// All bytes sent after the newest packet that was reported, and the seconds since it left.
    pub in_flight: (f64, f64),
    /// Queue of that packet, seconds.
    pub queue: f64,
    /// Bits a second that arrived over half a second.
    pub arriving: Option<f64>,
    /// The same over the time that the link has been full.
    pub full: Option<f64>,
    /// The queue of the full link runs over.
    pub overflows: bool,
    /// Seconds.
    pub rtt: f64,
    /// Less is sent than the target allows.
    pub limited: bool,
    /// More is not wanted.
    pub ceiling: f64,
}

impl View {
    /// Seconds that a packet sent now will wait if the link carries this.
    fn queue_at(&self, capacity: f64) -> f64 {
        let (bytes, since) = self.in_flight;
        (self.queue + bytes * 8.0 / capacity - since).max(0.0)
    }
}

/// What became of the target.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Change {
    /// Nothing to act upon.
    None,
    /// It fell, as the link was overused.
    Fell,
    /// The queue is gone; the target before it fell.
    Drained(f64),
    /// Slowing down did not help: the queue is not ours.
    Futile(f64),
}

/// The target and how it moves.
pub struct Rate {
    limits: (f64, f64),
    target: f64,
    grown: i64,
    drain: Option<Drain>,
    capacity: Capacity,
}

struct Drain {
    began: i64,
    capacity: f64,
    /// The longest queue that was expected, seconds.
    expected: f64,
    before: f64,
}

impl Rate {
    /// At the start rate.
    pub fn new(limits: &Limits) -> Self {
        let (min, max) = (limits.min.max(1) as f64, limits.max.max(limits.min.max(1)) as f64);
        let target = (limits.start as f64).clamp(min, max);
        Self { limits: (min, max), target, grown: 0, drain: None, capacity: Capacity::default() }
    }

    /// Bits a second.
    pub fn target(&self) -> f64 {
        self.target
    }

    /// The queue is being drained.
    pub fn drains(&self) -> bool {
        self.drain.is_some()
    }

    /// The link was seen full.
    pub fn knows_the_link(&self) -> bool {
        self.capacity.average().is_some()
    }

    /// A probe, or a report without times, gave this.
    pub fn set(&mut self, bits: f64) {
        if self.capacity.exceeded_by(bits) {
            self.capacity.forget();
        }
        self.target = self.clamped(bits);
    }

    /// Lowers the target; what was measured of the link stands no more.
    pub fn lower(&mut self, bits: f64) {
        self.drain = None;
        self.target = self.clamped(bits.min(self.target));
    }

    /// Another path: at most this, and no link is known.
    pub fn restart(&mut self, bits: f64) {
        self.capacity.forget();
        self.lower(bits);
    }

    /// A report came.
    pub fn step(&mut self, view: &View) -> Change {
        if self.drain.is_some() {
            return self.go_on_draining(view);
        }
        if view.usage.over || self.is_narrower(view) || (view.overflows && view.full.is_some()) {
            return self.fall(view);
        }
        self.grow(view);
        Change::None
    }

    fn is_narrower(&self, view: &View) -> bool {
        view.full.is_some_and(|full| {
            full < self.target * NARROWER && view.queue > WAITED && view.queue_at(full) > WILL_WAIT
        })
    }

    fn fall(&mut self, view: &View) -> Change {
        let measured = view.full.or(view.arriving).unwrap_or(self.target * BLIND).min(self.target);
        self.capacity.sample(measured);
        let capacity = measured.max(self.limits.0);
        let expected = view.queue_at(capacity).max(view.queue);
        self.drain = Some(Drain { began: view.now, capacity, expected, before: self.target });
        self.go_on_draining(view);
        Change::Fell
    }

    /// The rate follows the queue that a packet sent now will meet: what is in flight counts, whatever the round trip.
    fn go_on_draining(&mut self, view: &View) -> Change {
        let Some(drain) = &mut self.drain else { return Change::None };
        let sent = view.now - (view.in_flight.1 * 1e6) as i64;
        // What was sent before, or grows in spite of draining, shows what the link carries. Later what arrives may just be
        // what we send.
        if let Some(full) = view.full.filter(|_| sent <= drain.began || view.queue > drain.expected * 1.1) {
            drain.capacity = full.min(drain.before).max(self.limits.0);
            drain.expected = drain.expected.max(view.queue_at(drain.capacity)).max(view.queue);
        }
        let queue = view.queue_at(drain.capacity);
        let futile = sent - drain.began > FUTILE && view.queue > drain.expected * SHORTER;
        let (capacity, before, age) = (drain.capacity, drain.before, view.now - drain.began);
        if queue > DRAINED && age < LONGEST_DRAIN && !futile {
            let share = (1.0 - queue / DRAIN_TIME).clamp(LEAST, KEEP);
            self.target = self.clamped(capacity * share);
            return Change::None;
        }
        self.drain = None;
        self.grown = view.now;
        self.target = self.clamped(capacity * KEEP);
        if futile { Change::Futile(view.queue) } else { Change::Drained(before) }
    }

    fn grow(&mut self, view: &View) {
        let passed = (view.now - self.grown).clamp(0, 300_000) as f64 / 1e6;
        self.grown = view.now;
        let Some(arriving) = view.arriving.filter(|_| view.usage.flat && !view.limited) else { return };
        if self.capacity.exceeded_by(arriving) {
            self.capacity.forget();
        }
        let near = self.capacity.average().is_some_and(|average| self.target > average * NEAR);
        let next = if near {
            self.target + PACKET_BITS / (view.rtt + RESPONSE) * passed
        } else {
            self.target * GROWTH.powf(passed)
        };
        let most = (arriving * OVER_ARRIVING.0 + OVER_ARRIVING.1).min(view.ceiling);
        self.target = self.clamped(next.min(most.max(self.target)));
    }

    fn clamped(&self, bits: f64) -> f64 {
        bits.clamp(self.limits.0, self.limits.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(start: u64) -> Rate {
        Rate::new(&Limits { start, min: 50_000, max: 20_000_000 })
    }

    fn view(now: i64, arriving: f64) -> View {
        View {
            now,
            usage: Usage { over: false, flat: true, level: 0.0 },
            in_flight: (0.0, 0.0),
            queue: 0.0,
            arriving: Some(arriving),
            full: None,
            overflows: false,
            rtt: 0.04,
            limited: false,
            ceiling: 20e6,
        }
    }

    #[test]
    fn it_grows_eight_per_cent_a_second_and_not_while_little_is_sent() {
        let mut rate = rate(1_000_000);
        for i in 0..=100 {
            rate.step(&view(i * 100_000, rate.target()));
        }
        assert!((2.1e6..2.2e6).contains(&rate.target()), "{}", rate.target());
        let before = rate.target();
        for i in 101..=200 {
            rate.step(&View { limited: true, ..view(i * 100_000, 0.1e6) });
            rate.step(&view(i * 100_000, 0.1e6));
        }
        assert_eq!(rate.target(), before);
    }

    #[test]
    fn overuse_goes_below_what_arrives_until_the_queue_is_gone() {
        let mut rate = rate(3_000_000);
        let over = Usage { over: true, flat: false, level: 150.0 };
        let full = View { usage: over, queue: 0.15, full: Some(0.5e6), ..view(0, 2.0e6) };
        assert_eq!(rate.step(&full), Change::Fell);
        assert!((0.25e6..0.35e6).contains(&rate.target()), "{}", rate.target());
        // What is in flight will wait too.
        rate.step(&View { now: 50_000, in_flight: (20_000.0, 0.05), ..full });
        assert!((0.14e6..0.16e6).contains(&rate.target()), "{}", rate.target());
        let empty = View { queue: 0.0, ..view(600_000, 0.4e6) };
        assert_eq!(rate.step(&empty), Change::Drained(3e6));
        assert!((0.46e6..0.47e6).contains(&rate.target()), "{}", rate.target());
    }

    #[test]
    fn a_link_that_became_narrower_is_seen_from_the_bytes_in_flight() {
        let mut rate = rate(3_000_000);
        // A key frame on its way over a link that carries it: no reason.
        let full = View { queue: 0.05, full: Some(2.8e6), in_flight: (60_000.0, 0.05), ..view(0, 2.8e6) };
        assert_eq!(rate.step(&full), Change::None);
        assert_eq!(rate.step(&View { full: Some(0.5e6), ..full }), Change::Fell);
    }

    #[test]
    fn near_the_known_capacity_it_grows_by_a_packet_a_response() {
        let mut rate = rate(3_000_000);
        let over = Usage { over: true, flat: false, level: 50.0 };
        rate.step(&View { usage: over, queue: 0.05, full: Some(2e6), ..view(0, 2e6) });
        rate.step(&view(100_000, 2e6));
        let before = rate.target();
        for i in 2..=11 {
            rate.step(&view(i * 100_000, 2e6));
        }
        let grown = rate.target() - before;
        assert!((60_000.0..75_000.0).contains(&grown), "{grown}");
    }

    #[test]
    fn a_queue_that_slowing_down_does_not_shorten_is_not_ours() {
        let mut rate = rate(3_000_000);
        let over = Usage { over: true, flat: false, level: 80.0 };
        let full = View { usage: over, queue: 0.08, full: Some(2e6), ..view(0, 2e6) };
        rate.step(&full);
        assert_eq!(rate.step(&View { now: 1_000_000, ..full }), Change::None);
        assert!(rate.target() > 1.5e6, "{}", rate.target());
        assert_eq!(rate.step(&View { now: 1_600_000, ..full }), Change::Futile(0.08));
    }
}
