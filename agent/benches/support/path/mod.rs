//! A path in virtual time: senders with encoders, one bottleneck, viewers that report. The same seed gives the same run.
//!
//! Whoever includes this module has the estimator's types in scope (`super::{Controller, ...}`): the unit tests of
//! congestion control and the benchmark share it by path.
#![allow(missing_docs, dead_code, clippy::unwrap_used)]

mod bottleneck;
mod encoder;
mod flow;
mod measured;
mod viewer;

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use rtc::rtcp::transport_feedbacks::transport_layer_cc::TransportLayerCc;

pub use self::measured::Measured;
use self::{bottleneck::Bottleneck, flow::Flow};
use super::{Controller, Limits, Packet, Probe};

/// What is driven: ours or another one.
pub trait Estimator {
    fn sent(&mut self, packet: &Packet);
    fn feedback(&mut self, now: Instant, report: &TransportLayerCc);
    fn target(&self) -> u64;
    fn pacing_rate(&self) -> u64;
    fn set_demand(&mut self, _bits: u64) {}
    fn probe(&mut self, _now: Instant) -> Option<Probe> {
        None
    }
    fn poll_timeout(&self) -> Option<Instant> {
        None
    }
    fn handle_timeout(&mut self, _now: Instant) {}
    fn loss(&self) -> f32 {
        0.0
    }
}

impl Estimator for Controller {
    fn sent(&mut self, packet: &Packet) {
        Controller::sent(self, packet);
    }
    fn feedback(&mut self, now: Instant, report: &TransportLayerCc) {
        Controller::feedback(self, now, report);
    }
    fn target(&self) -> u64 {
        Controller::target(self)
    }
    fn pacing_rate(&self) -> u64 {
        Controller::pacing_rate(self)
    }
    fn set_demand(&mut self, bits: u64) {
        Controller::set_demand(self, bits);
    }
    fn probe(&mut self, now: Instant) -> Option<Probe> {
        Controller::probe(self, now)
    }
    fn poll_timeout(&self) -> Option<Instant> {
        Controller::poll_timeout(self)
    }
    fn handle_timeout(&mut self, now: Instant) {
        Controller::handle_timeout(self, now);
    }
    fn loss(&self) -> f32 {
        Controller::loss(self)
    }
}

/// Makes the estimator of a flow.
pub type Make<'a> = &'a dyn Fn(Instant) -> Box<dyn Estimator>;

/// Ours, from 0.3 Mbit/s.
pub fn ours(now: Instant) -> Box<dyn Estimator> {
    Box::new(Controller::new(now, Limits { start: 300_000, min: 50_000, max: 50_000_000 }))
}

/// A path, what runs over it, and for how long.
#[derive(Clone)]
pub struct Plan {
    /// From which second on the bottleneck has how many bits a second.
    pub rate: Vec<(f64, f64)>,
    pub rtt: Duration,
    /// From which second on the way there takes how many milliseconds more.
    pub route: Vec<(f64, f64)>,
    /// Room in the bottleneck: this time at its first rate.
    pub queue: Duration,
    /// Each packet is late by a random time around the half of this, in order.
    pub jitter: Duration,
    /// Packets and reports lost at random.
    pub loss: f64,
    /// Pause between two reports.
    pub feedback: Duration,
    /// Seconds in which nothing passes in either direction.
    pub dead: Option<(f64, f64)>,
    /// From which second on the encoder would use how many bits a second at most.
    pub demand: Vec<(f64, f64)>,
    /// From which second on the scene needs how many bits a second: a still one needs few, whatever is allowed.
    pub scene: Vec<(f64, f64)>,
    /// The second at which each flow begins.
    pub flows: Vec<f64>,
    pub seconds: f64,
    pub seed: u64,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            rate: vec![(0.0, 3e6)],
            rtt: Duration::from_millis(40),
            route: Vec::new(),
            queue: Duration::from_millis(200),
            jitter: Duration::ZERO,
            loss: 0.0,
            feedback: Duration::from_millis(100),
            dead: None,
            demand: vec![(0.0, 8e6)],
            scene: vec![(0.0, 1e9)],
            flows: vec![0.0],
            seconds: 30.0,
            seed: 1,
        }
    }
}

impl Plan {
    /// Runs it with our estimator: what each flow measured.
    pub fn run(&self) -> Vec<Measured> {
        self.run_with(&ours)
    }

    /// Runs it.
    pub fn run_with(&self, make: Make<'_>) -> Vec<Measured> {
        const TICK: u64 = 1_000;
        let epoch = Instant::now();
        let mut link = Bottleneck::new(self);
        let mut flows: Vec<Flow> = (0..self.flows.len()).map(|id| Flow::new(id, self, epoch)).collect();
        for tick in 0..(self.seconds * 1e3) as u64 {
            let now = tick * TICK;
            for flow in &mut flows {
                flow.run(now, make, &mut link);
            }
            link.run(now);
            for packet in link.take() {
                flows[packet.flow].arrives(&packet);
            }
            for lost in link.take_lost() {
                flows[lost.flow].is_lost(now, &lost);
            }
        }
        flows.into_iter().map(Flow::finish).collect()
    }

    /// The value of a schedule at a time in microseconds.
    fn at(schedule: &[(f64, f64)], now: u64) -> f64 {
        let now = now as f64 / 1e6;
        schedule.iter().rev().find(|(from, _)| now >= *from).map_or(0.0, |&(_, value)| value)
    }

    fn is_dead(&self, now: u64) -> bool {
        self.dead.is_some_and(|(from, to)| (from * 1e6..to * 1e6).contains(&(now as f64)))
    }
}

/// A packet on its way.
#[derive(Debug, Clone, Copy)]
pub struct Crossing {
    pub flow: usize,
    pub twcc: u16,
    pub bytes: usize,
    /// The picture it belongs to; none: padding.
    pub frame: Option<usize>,
    /// When it reached the bottleneck, and later the viewer; microseconds.
    pub at: u64,
    /// How long it waited in the queue, microseconds.
    pub waited: u64,
}

/// Takes the first if it fulfils the condition.
fn pop_if<T>(queue: &mut VecDeque<T>, condition: impl Fn(&T) -> bool) -> Option<T> {
    if condition(queue.front()?) { queue.pop_front() } else { None }
}

/// Random numbers that are the same each time (xorshift64*).
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// From 0 to 1.
    pub fn roll(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) as f64 / (1u64 << 53) as f64
    }
}
