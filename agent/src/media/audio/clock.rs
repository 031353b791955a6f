//! A sound card's clock, measured against the monotonic clock: when its frames pass, and how fast it really runs.

use std::time::{Duration, Instant};

/// What the measurement remembers, in seconds: long enough that stamps that are off by a timer tick (4 ms) move the
/// rate by some 30 ppm only, short enough that a clock that suddenly runs 0.5 % faster is followed within 5 ms.
const MEMORY: f64 = 5.0;
/// Nothing is said about the rate before it was watched for so long, in seconds.
const LOCK: f64 = 1.0;
/// Cards are off by some 100 ppm, bad ones by 1000. Beyond this it is no clock: a file, or ALSA's `null`.
pub const MAX_DRIFT: f64 = 0.008;
/// Least time between two measurements that count, in seconds.
const SPACING: f64 = 0.009;
/// A stamp this far (seconds) from where it should be is a hiccup of the driver, ...
const ODD: f64 = 0.05;
/// ... and so many in a row are a clock that stood still meanwhile.
const MAX_ODD: u32 = 5;
/// A stalled machine makes up for lost time in some jumps. What jumps more often than this, and never runs evenly for
/// [`LOCK`] between, is no clock.
const MAX_JUMPS: u32 = 4;
/// The promised rate counts as so many measurements: the first real ones are too close together to tell a rate.
const PRIOR: f64 = 30.0;
/// Weights never fall below those of so many measurements, however rarely they come.
const LEAST_MEMORY: f64 = 20.0;

/// A line through (frame, time): least squares while it is young, then one that forgets what is older than
/// [`MEMORY`].
#[derive(Debug)]
pub struct CardClock {
    /// Seconds per frame as the card promised.
    nominal: f64,
    /// Measured seconds per frame.
    period: f64,
    line: Option<Line>,
    /// Measurements that the rate rests on.
    rate_weight: f64,
    /// Seconds over which the rate has been watched.
    watched: f64,
    odd: u32,
    /// Times that the line was begun anew without [`LOCK`] of even running between, ...
    jumps: u32,
    /// ... and seconds of even running since the last.
    even: f64,
}

/// The line at the last measurement.
#[derive(Clone, Copy, Debug)]
struct Line {
    origin: Instant,
    frame: f64,
    /// Seconds after `origin`.
    time: f64,
    /// Measurements that the time rests on.
    weight: f64,
}

impl CardClock {
    /// `rate` in hertz, as negotiated.
    pub fn new(rate: u32) -> Self {
        let nominal = 1.0 / f64::from(rate.max(1));
        Self {
            nominal,
            period: nominal,
            line: None,
            rate_weight: PRIOR,
            watched: 0.0,
            odd: 0,
            jumps: 0,
            even: 0.0,
        }
    }

    /// Frames are counted from 0 again, after an overrun. What is known of the rate stays.
    pub fn restart(&mut self) {
        self.line = None;
        self.odd = 0;
    }

    /// The card passed frame number `frame` at `at`, as the driver says. Late stamps are averaged out.
    pub fn observe(&mut self, frame: u64, at: Instant) {
        let frame = frame as f64;
        let Some(line) = self.line else {
            self.line = Some(Line { origin: at, frame, time: 0.0, weight: 1.0 });
            return;
        };
        let frames = frame - line.frame;
        if frames * self.nominal < SPACING {
            return;
        }
        let expected = line.time + frames * self.period;
        let time = seconds(at, line.origin);
        let error = time - expected;
        if error.abs() > ODD {
            self.odd += 1;
            // A young line is believed no more than it has measurements: right after an overrun, a driver that counts
            // timer ticks may not have seen yet how late it is.
            if self.odd >= MAX_ODD.min(line.weight as u32) {
                (self.jumps, self.even, self.odd) = (self.jumps + 1, 0.0, 0);
                // None of the odd ones went into the rate: it stays.
                if self.jumps > MAX_JUMPS {
                    (self.period, self.rate_weight, self.watched) = (self.nominal, PRIOR, 0.0);
                }
                self.line = Some(Line { origin: at, frame, time: 0.0, weight: 1.0 });
            }
            return;
        }
        self.odd = 0;
        let spacing = frames * self.nominal;
        let longest = (MEMORY / spacing).max(LEAST_MEMORY);
        let weight = (line.weight + 1.0).min(longest);
        self.rate_weight = (self.rate_weight + 1.0).min(longest);
        self.watched += spacing;
        self.even += spacing;
        if self.even >= LOCK {
            self.jumps = 0;
        }
        let n = self.rate_weight;
        let period = self.period + error * 6.0 / (n * (n + 1.0)) / frames;
        // What is no clock shall not take the line out of sight.
        self.period =
            period.clamp(self.nominal * (1.0 - 2.0 * MAX_DRIFT), self.nominal * (1.0 + 2.0 * MAX_DRIFT));
        let gain = 2.0 * (2.0 * weight - 1.0) / (weight * (weight + 1.0));
        self.line = Some(Line { origin: line.origin, frame, time: expected + gain * error, weight });
    }

    /// Whether a second measurement agreed with the first, since the start or an overrun.
    pub fn is_confirmed(&self) -> bool {
        self.line.is_some_and(|line| line.weight >= 2.0)
    }

    /// Whether it was watched long enough and runs at a rate that a card may have.
    pub fn is_steady(&self) -> bool {
        self.line.is_some() && self.watched >= LOCK && self.drift().abs() <= MAX_DRIFT
    }

    /// How much faster than promised it runs, as a part of 1; 0 until it is steady.
    pub fn trim(&self) -> f64 {
        if self.is_steady() { self.drift() } else { 0.0 }
    }

    /// The same in parts per million; None until it is steady.
    pub fn drift_ppm(&self) -> Option<f64> {
        self.is_steady().then(|| self.drift() * 1e6)
    }

    /// When a frame passes or passed; None before the first measurement.
    pub fn time_of(&self, frame: f64) -> Option<Instant> {
        let line = self.line?;
        let time = line.time + (frame - line.frame) * self.period;
        let shift = Duration::try_from_secs_f64(time.abs()).ok()?;
        if time < 0.0 { line.origin.checked_sub(shift) } else { line.origin.checked_add(shift) }
    }

    /// The frame that passes at an instant; None before the first measurement.
    pub fn frame_at(&self, at: Instant) -> Option<f64> {
        let line = self.line?;
        Some(line.frame + (seconds(at, line.origin) - line.time) / self.period)
    }

    fn drift(&self) -> f64 {
        self.nominal / self.period - 1.0
    }
}

/// From `origin` to `at`, in seconds.
pub fn seconds(at: Instant, origin: Instant) -> f64 {
    match at.checked_duration_since(origin) {
        Some(after) => after.as_secs_f64(),
        None => -origin.duration_since(at).as_secs_f64(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const RATE: f64 = 48_000.0;

    /// Stamps of a card whose interrupts come every 10 ms and are seen up to 4 ms late.
    fn run(clock: &mut CardClock, start: Instant, from: f64, drift: f64, seconds: f64) -> (f64, f64) {
        let mut worst: f64 = 0.0;
        let count = (seconds * 100.0) as u64;
        for n in 0..count {
            let frame = from + n as f64 * 480.0;
            let real = n as f64 * 480.0 / (RATE * (1.0 + drift));
            let late = (n * 7919 % 4001) as f64 * 1e-6;
            clock.observe(frame as u64, start + Duration::from_secs_f64(real + late));
            let said = clock.time_of(frame).unwrap();
            worst = worst.max((super::seconds(said, start) - real - 0.002).abs());
        }
        (worst, count as f64 * 480.0 / (RATE * (1.0 + drift)))
    }

    #[test]
    fn a_drift_is_measured_through_the_jitter_of_the_stamps() {
        for ppm in [-5000.0, -1000.0, -50.0, 0.0, 200.0, 1000.0, 5000.0] {
            let mut clock = CardClock::new(48_000);
            let (worst, _) = run(&mut clock, Instant::now(), 0.0, ppm * 1e-6, 20.0);
            let measured = clock.drift_ppm().unwrap();
            assert!((measured - ppm).abs() < 60.0, "{measured} for {ppm}");
            assert!(worst < 0.004, "{worst} s off");
        }
    }

    #[test]
    fn a_clock_that_changes_its_pace_is_followed_within_a_few_milliseconds() {
        let (mut clock, start) = (CardClock::new(48_000), Instant::now());
        let (_, took) = run(&mut clock, start, 0.0, 0.0, 20.0);
        let later = start + Duration::from_secs_f64(took);
        let (worst, _) = run(&mut clock, later, 20.0 * RATE, 0.005, 20.0);
        assert!(worst < 0.008, "{worst} s off");
        assert!((clock.drift_ppm().unwrap() - 5000.0).abs() < 60.0);
    }

    #[test]
    fn nothing_is_said_of_the_rate_before_a_second_has_passed() {
        let (mut clock, start) = (CardClock::new(48_000), Instant::now());
        assert!(clock.time_of(0.0).is_none() && clock.frame_at(start).is_none());
        run(&mut clock, start, 0.0, 0.001, 0.9);
        assert!(clock.drift_ppm().is_none() && clock.trim() == 0.0);
        assert!(clock.time_of(0.0).is_some());
    }

    #[test]
    fn after_an_overrun_the_rate_is_still_known() {
        let (mut clock, start) = (CardClock::new(48_000), Instant::now());
        run(&mut clock, start, 0.0, 0.001, 10.0);
        clock.restart();
        assert!(clock.drift_ppm().is_none());
        let later = start + Duration::from_secs(60);
        clock.observe(480, later);
        assert!((clock.drift_ppm().unwrap() - 1000.0).abs() < 60.0);
        assert!((seconds(clock.time_of(960.0).unwrap(), later) - 0.01).abs() < 0.001);
    }

    #[test]
    fn one_odd_stamp_is_nothing_and_many_are_a_clock_that_stood_still() {
        let (mut clock, start) = (CardClock::new(48_000), Instant::now());
        run(&mut clock, start, 0.0, 0.0, 10.0);
        let stood = |frame: f64| start + Duration::from_secs_f64(frame / RATE + 0.5);
        let mut frame = 10.0 * RATE;
        clock.observe(frame as u64, stood(frame));
        assert!((seconds(clock.time_of(frame).unwrap(), start) - 10.0).abs() < 0.005);
        for _ in 0..MAX_ODD {
            frame += 480.0;
            clock.observe(frame as u64, stood(frame));
        }
        assert!((seconds(clock.time_of(frame).unwrap(), stood(frame))).abs() < 0.005);
        assert!(clock.is_steady(), "it ran at the same rate before and after");
    }

    #[test]
    fn stamps_that_contradict_each_other_are_no_clock() {
        let (mut clock, start) = (CardClock::new(48_000), Instant::now());
        run(&mut clock, start, 0.0, 0.0, 10.0);
        for n in 1..=u64::from(MAX_ODD + MAX_JUMPS) {
            let at = start + Duration::from_secs_f64(10.0 + n as f64 * 0.1);
            clock.observe(10 * 48_000 + n * 480, at);
        }
        assert!(!clock.is_steady());
    }

    #[test]
    fn a_first_stamp_after_an_overrun_that_was_wrong_is_forgotten_at_the_next() {
        let (mut clock, start) = (CardClock::new(48_000), Instant::now());
        run(&mut clock, start, 0.0, -0.005, 10.0);
        clock.restart();
        let later = start + Duration::from_secs(60);
        clock.observe(0, later);
        // The driver had not seen yet that 165 ms had passed.
        clock.observe(8_400, later + Duration::from_millis(10));
        assert!(clock.is_steady());
        assert!(seconds(clock.time_of(8_400.0).unwrap(), later).abs() < 0.011);
        assert!((clock.drift_ppm().unwrap() + 5000.0).abs() < 60.0);
    }

    #[test]
    fn time_made_up_for_in_several_jumps_does_not_cost_the_rate() {
        let (mut clock, start) = (CardClock::new(48_000), Instant::now());
        run(&mut clock, start, 0.0, -0.005, 10.0);
        clock.restart();
        let later = start + Duration::from_secs(60);
        let mut frame = 0;
        for (frames, after) in [(0, 0), (480, 10), (3_000, 12), (5_500, 14), (480, 24), (480, 34)] {
            frame += frames;
            clock.observe(frame, later + Duration::from_millis(after));
        }
        assert!((clock.drift_ppm().unwrap() + 5000.0).abs() < 100.0);
        let said = seconds(clock.time_of(frame as f64).unwrap(), later);
        assert!((said - 0.034).abs() < 0.015, "{said}");
    }

    #[test]
    fn what_gives_sound_faster_than_time_passes_is_no_clock() {
        let (mut clock, start) = (CardClock::new(48_000), Instant::now());
        for n in 0..1000 {
            clock.observe(n * 960, start + Duration::from_micros(n * 50));
        }
        assert!(!clock.is_steady());
    }

    #[test]
    fn frames_and_times_are_each_others_inverse() {
        let (mut clock, start) = (CardClock::new(44_100), Instant::now());
        run(&mut clock, start, 0.0, 0.0, 3.0);
        for frame in [0.0, 1000.5, 200_000.0] {
            let back = clock.frame_at(clock.time_of(frame).unwrap()).unwrap();
            assert!((back - frame).abs() < 0.01, "{frame} became {back}");
        }
    }
}
