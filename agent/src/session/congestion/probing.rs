//! Bursts that show whether the path carries more: when, how fast, and what came of them.

use super::{Probe, history::Sent};

/// The first probe goes at this multiple of the start rate, and each one that succeeds is followed by one at twice its
/// result: from 0.3 to 3 Mbit/s in three.
const FIRST: f64 = 3.0;
const NEXT: f64 = 2.0;
/// Length of a probe: several times a usual jitter (10 ms), and a queue of no more than that if it meets a full link.
const LENGTH: f64 = 0.050;
/// A probe that is far above the target is shorter, so that it makes no longer queue than this where the link carries no
/// more than the target, seconds: half of what small routers hold.
const QUEUE: f64 = 0.100;
/// Fewer bytes make too few packets to measure.
const LEAST_BYTES: f64 = 5_000.0;
const LEAST_PACKETS: u32 = 4;
/// Between probes that are not asked for, microseconds: a path that became wider is found within it.
const INTERVAL: i64 = 4_000_000;
/// As long as the link was never seen full, they come this often, microseconds.
const EARLY_INTERVAL: i64 = 1_200_000;
/// ... until this many of them in a row brought nothing.
const EARLY_TRIES: u32 = 5;
/// While less is sent than the target allows, each probe that brings nothing doubles the interval, up to this: padding
/// costs the viewer's data volume, and nobody waits for more.
const LONGEST_INTERVAL: i64 = 32_000_000;
/// A probe that is not answered by then is over, microseconds.
const TIMEOUT: i64 = 1_500_000;
/// A target this near to what is wanted needs no probe.
const WORTH: f64 = 1.1;
/// Came out as fast as it went in, within the noise: the link is wider than the probe.
const PASSED: f64 = 0.9;
/// A train measured at more than this over the probe's rate says nothing more.
const BELIEVED: f64 = 1.2;

/// What a probe showed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outcome {
    /// Bits a second that came through.
    pub rate: f64,
    /// The link was full: this is what it carries.
    pub full: bool,
}

/// The probe under way, and the next one.
pub struct Probing {
    next_id: u32,
    /// When and how fast the next one was asked for.
    wanted: Option<(i64, f64)>,
    /// When the last one began.
    last: i64,
    not_before: i64,
    active: Option<Active>,
    /// Probes in a row that brought nothing.
    fruitless: u32,
    /// What [`Self::suit`] was told.
    limited: bool,
    known: bool,
}

struct Active {
    probe: Probe,
    began: i64,
    marked: u64,
    /// Where the sent bytes begin and end.
    from: Option<u64>,
    to: u64,
    departures: Line,
    arrivals: Line,
}

impl Probing {
    /// The first one is due as soon as anything is sent.
    pub fn new(start: f64) -> Self {
        Self {
            next_id: 0,
            wanted: Some((0, start * FIRST)),
            last: 0,
            not_before: 0,
            active: None,
            fruitless: 0,
            limited: false,
            known: false,
        }
    }

    /// Probes at this rate from `at` on.
    pub fn ask(&mut self, at: i64, rate: f64) {
        self.wanted = Some((at, rate));
        self.fruitless = 0;
    }

    /// How often probes go that nobody asked for: `limited`, less is sent than the target allows; `known`, the link was
    /// seen full before.
    pub fn suit(&mut self, limited: bool, known: bool) {
        (self.limited, self.known) = (limited, known);
    }

    fn next_at(&self) -> i64 {
        let interval = if !self.known && self.fruitless < EARLY_TRIES {
            EARLY_INTERVAL
        } else if self.limited {
            (INTERVAL << self.fruitless.min(3)).min(LONGEST_INTERVAL)
        } else {
            INTERVAL
        };
        self.wanted.map_or(self.last + interval, |(at, _)| at).max(self.not_before)
    }

    /// When the probe under way is over or the next one may begin; none: nothing more is wanted.
    pub fn due(&self, target: f64, ceiling: f64) -> Option<i64> {
        match &self.active {
            Some(active) => Some(active.began + TIMEOUT),
            None => (target * WORTH <= ceiling).then(|| self.next_at()),
        }
    }

    /// None began yet.
    pub fn is_new(&self) -> bool {
        self.next_id == 0
    }

    /// Not now: no sooner than this again.
    pub fn postpone(&mut self, until: i64) {
        self.not_before = until;
    }

    /// The next probe, if it is time and of use: `ceiling` is all that is wanted.
    pub fn begin(&mut self, now: i64, target: f64, ceiling: f64) -> Option<Probe> {
        if self.active.is_some() || now < self.next_at() || target * WORTH > ceiling {
            return None;
        }
        let rate =
            self.wanted.take().map_or(target * NEXT, |(_, rate)| rate).max(target * WORTH).min(ceiling);
        self.next_id = self.next_id.wrapping_add(1);
        let length = LENGTH.min(QUEUE * target / (rate - target).max(1.0));
        let bytes = (rate / 8.0 * length).max(LEAST_BYTES) as usize;
        let probe = Probe { id: self.next_id, bytes, rate: rate as u64 };
        self.active = Some(Active {
            probe,
            began: now,
            marked: 0,
            from: None,
            to: 0,
            departures: Line::default(),
            arrivals: Line::default(),
        });
        self.last = now;
        self.fruitless = self.fruitless.saturating_add(1);
        Some(probe)
    }

    /// A packet leaves, `before` being all sent before it: whether it belongs to the probe.
    pub fn sent(&mut self, id: Option<u32>, before: u64, bytes: u32) -> bool {
        let Some(active) = &mut self.active else { return false };
        let ours = id == Some(active.probe.id);
        if !ours && (active.from.is_none() || active.marked >= active.probe.bytes as u64) {
            return false;
        }
        active.from.get_or_insert(before);
        active.marked += u64::from(bytes);
        active.to = before + u64::from(bytes);
        true
    }

    /// A packet of the probe came.
    pub fn arrived(&mut self, sent: &Sent, arrival: i64) {
        let Some(active) = &mut self.active else { return };
        let Some(from) = active.from.filter(|&from| (from..active.to).contains(&sent.before)) else { return };
        let at = (sent.before - from) as f64;
        active.departures.add(at, (sent.at - active.began) as f64);
        active.arrivals.add(at, arrival as f64);
    }

    /// Reports told of all up to `end`: some, if the probe is over.
    pub fn judge(&mut self, now: i64, end: u64) -> Option<Outcome> {
        let active = self.active.as_ref()?;
        let all_sent = active.marked >= active.probe.bytes as u64;
        let whole = all_sent && end >= active.to;
        if !whole && now < active.began + TIMEOUT {
            return None;
        }
        let active = self.active.take()?;
        if active.arrivals.count < LEAST_PACKETS {
            return None;
        }
        let most = active.probe.rate as f64 * BELIEVED;
        let sent = active.departures.rate().unwrap_or(most).min(most);
        let came = active.arrivals.rate().unwrap_or(most).min(most);
        Some(Outcome { rate: came.min(sent), full: came < sent * PASSED })
    }

    /// The probe under way says nothing: the viewer's clock jumped, or nobody answers.
    pub fn abort(&mut self) {
        self.active = None;
    }

    /// It succeeded: the next one follows at once.
    pub fn follow(&mut self, now: i64, rate: f64) {
        self.ask(now, rate * NEXT);
    }
}

/// A straight line through points as they come: bytes and microseconds. Every packet has its say, so that the jitter of
/// the first and the last one counts for little.
#[derive(Default)]
struct Line {
    count: u32,
    mean_x: f64,
    mean_y: f64,
    xx: f64,
    xy: f64,
}

impl Line {
    fn add(&mut self, x: f64, y: f64) {
        self.count += 1;
        let n = f64::from(self.count);
        let dx = x - self.mean_x;
        self.mean_x += dx / n;
        self.mean_y += (y - self.mean_y) / n;
        self.xx += dx * (x - self.mean_x);
        self.xy += dx * (y - self.mean_y);
    }

    /// Bits a second; none: all at one moment, or backwards.
    fn rate(&self) -> Option<f64> {
        (self.xx > 0.0 && self.xy > 0.0).then(|| 8e6 * self.xx / self.xy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends a probe through a link of `link` bits a second, each packet `jitter(i)` microseconds late.
    fn through(link: f64, jitter: impl Fn(u64) -> i64) -> (Probe, Outcome) {
        let mut probing = Probing::new(1e6);
        let probe = probing.begin(0, 1e6, 1e8).expect("a probe");
        let (mut before, mut free) = (0u64, 0.0f64);
        for i in 0.. {
            if before >= probe.bytes as u64 {
                break;
            }
            assert!(probing.sent((i != 2).then_some(probe.id), before, 1000));
            let at = (before as f64 * 8e6 / probe.rate as f64) as i64;
            free = free.max(at as f64) + 8e9 / link;
            let mut sent = Sent::default();
            (sent.at, sent.before, sent.bytes) = (at, before, 1000);
            probing.arrived(&sent, 5_000_000 + free as i64 + jitter(i));
            before += 1000;
        }
        (probe, probing.judge(1, before).expect("an outcome"))
    }

    #[test]
    fn a_wide_link_passes_the_whole_probe() {
        let (probe, outcome) = through(50e6, |_| 0);
        assert_eq!(probe.rate, 3_000_000);
        assert!(!outcome.full && (outcome.rate - 3e6).abs() < 0.1e6, "{outcome:?}");
    }

    #[test]
    fn a_full_link_shows_what_it_carries() {
        let (_, outcome) = through(1.5e6, |_| 0);
        assert!(outcome.full && (outcome.rate - 1.5e6).abs() < 0.1e6, "{outcome:?}");
    }

    #[test]
    fn jitter_moves_the_result_by_less_than_a_quarter() {
        let (_, outcome) = through(1.5e6, |i| (i * 7919 % 10) as i64 * 1_000);
        assert!(outcome.full && (1.15e6..1.9e6).contains(&outcome.rate), "{outcome:?}");
    }

    #[test]
    fn a_probe_that_nobody_answers_is_over_after_a_while() {
        let mut probing = Probing::new(1e6);
        probing.suit(false, true);
        assert!(probing.begin(0, 1e6, 1e8).is_some());
        assert!(probing.begin(1, 1e6, 1e8).is_none());
        assert_eq!(probing.judge(TIMEOUT, 0), None);
        assert!(probing.begin(INTERVAL, 1e6, 1e8).is_some_and(|probe| probe.rate == 2_000_000));
    }

    #[test]
    fn while_little_is_sent_fruitless_probes_become_rare() {
        let mut probing = Probing::new(1e6);
        probing.suit(true, false);
        let began: Vec<i64> = (0..2_000)
            .map(|tenth| tenth * 100_000)
            .filter(|&now| {
                probing.judge(now, 0);
                probing.begin(now, 1e6, 1e8).is_some()
            })
            .collect();
        assert!((8..=14).contains(&began.len()), "{began:?}");
        // As soon as more is sent, the pause is the usual one again.
        probing.suit(false, true);
        assert!(probing.due(1e6, 1e8).is_some_and(|due| due <= began[began.len() - 1] + INTERVAL));
    }

    #[test]
    fn nothing_is_probed_beyond_what_is_wanted() {
        let mut probing = Probing::new(1e6);
        assert!(probing.begin(0, 1e6, 1.05e6).is_none());
        assert!(probing.begin(0, 1e6, 2e6).is_some_and(|probe| probe.rate == 2_000_000));
    }
}
