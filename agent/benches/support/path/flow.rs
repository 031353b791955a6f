//! One sender and its viewer: encoder, pacer, estimator, retransmission, reports.

use std::{
    collections::{HashMap, VecDeque},
    time::{Duration, Instant},
};

use rtc::rtcp::transport_feedbacks::transport_layer_cc::TransportLayerCc;

use super::super::Pacer;
use super::{
    Crossing, Dice, Estimator, Make, Measured, Plan, bottleneck::Bottleneck, encoder::Encoder,
    measured::Recorder, pop_if, viewer::Viewer,
};

/// What a packet carries, and what is put around it.
const PAYLOAD: usize = 1_150;
const OVERHEAD: usize = 50;
/// A viewer asks again this long after the round trip, microseconds.
const NACK_PAUSE: u64 = 10_000;
/// With more waiting than this time of sending, a picture is left out.
const WAITING: f64 = 0.2;

pub struct Flow {
    id: usize,
    plan: Plan,
    epoch: Instant,
    begin: u64,
    run: Option<Running>,
    encoder: Encoder,
    viewer: Viewer,
    recorder: Recorder,
    next_picture: u64,
    next_report: u64,
    reports: VecDeque<(u64, TransportLayerCc)>,
    again: VecDeque<(u64, usize, usize)>,
    queue: VecDeque<(Option<usize>, usize)>,
    /// Packets that are still to come, by picture.
    open: HashMap<usize, usize>,
    pictures: usize,
    twcc: u16,
    probe: Option<(u32, usize)>,
    dice: Dice,
}

struct Running {
    estimator: Box<dyn Estimator>,
    pacer: Pacer,
}

impl Flow {
    pub fn new(id: usize, plan: &Plan, epoch: Instant) -> Self {
        let begin = (plan.flows[id] * 1e6) as u64;
        // Two cameras are never in step.
        let phase = id as u64 * 13_000;
        Self {
            id,
            plan: plan.clone(),
            epoch,
            begin,
            run: None,
            encoder: Encoder::new(plan.seed + 77 * id as u64),
            viewer: Viewer::default(),
            recorder: Recorder::default(),
            next_picture: begin + phase,
            next_report: begin + phase,
            reports: VecDeque::new(),
            again: VecDeque::new(),
            queue: VecDeque::new(),
            open: HashMap::new(),
            pictures: 0,
            twcc: 65_000,
            probe: None,
            dice: Dice::new(plan.seed + 1_000 + id as u64),
        }
    }

    pub fn run(&mut self, now: u64, make: Make<'_>, link: &mut Bottleneck) {
        if now < self.begin {
            return;
        }
        let at = self.epoch + Duration::from_micros(now);
        let mut run = self.run.take().unwrap_or_else(|| {
            let estimator = make(at);
            Running { pacer: Pacer::new(at, estimator.pacing_rate()), estimator }
        });
        let demand = Plan::at(&self.plan.demand, now);
        run.estimator.set_demand(demand as u64);
        self.report(now);
        while let Some((_, report)) = pop_if(&mut self.reports, |(due, _)| *due <= now) {
            run.estimator.feedback(at, &report);
        }
        if run.estimator.poll_timeout().is_some_and(|due| due <= at) {
            run.estimator.handle_timeout(at);
        }
        run.pacer.set_rate(at, run.estimator.pacing_rate());
        if let Some(probe) = run.estimator.probe(at) {
            run.pacer.probe(at, &probe);
            self.probe = Some((probe.id, probe.bytes));
        }
        self.encode(now, &run, demand);
        while let Some((_, frame, bytes)) = pop_if(&mut self.again, |(due, ..)| *due <= now) {
            self.queue.push_front((Some(frame), bytes));
        }
        self.send(now, &mut run, link);
        self.recorder.tick(now, run.estimator.target());
        self.run = Some(run);
    }

    fn report(&mut self, now: u64) {
        if now < self.next_report {
            return;
        }
        self.next_report += self.plan.feedback.as_micros() as u64;
        let back = now + self.plan.rtt.as_micros() as u64 / 2;
        if let Some(report) = self.viewer.report(now)
            && !self.plan.is_dead(now)
            && self.dice.roll() >= self.plan.loss
        {
            self.reports.push_back((back, report));
        }
    }

    fn encode(&mut self, now: u64, run: &Running, demand: f64) {
        if now < self.next_picture {
            return;
        }
        self.next_picture += Encoder::INTERVAL;
        let queued: usize = self.queue.iter().map(|(_, bytes)| bytes).sum();
        if queued as f64 * 8.0 > run.estimator.pacing_rate() as f64 * WAITING {
            return;
        }
        // What is sent again is taken from the same target.
        let wire = run.estimator.target() as f64 * (1.0 - f64::from(run.estimator.loss()));
        let media = wire * PAYLOAD as f64 / (PAYLOAD + OVERHEAD) as f64;
        let bytes = self.encoder.picture(media.min(demand).min(Plan::at(&self.plan.scene, now)));
        let count = bytes.div_ceil(PAYLOAD);
        self.open.insert(self.pictures, count);
        for _ in 0..count {
            self.queue.push_back((Some(self.pictures), bytes / count + OVERHEAD));
        }
        self.pictures += 1;
    }

    fn send(&mut self, now: u64, run: &mut Running, link: &mut Bottleneck) {
        let at = self.epoch + Duration::from_micros(now);
        let mut budget = run.pacer.budget(at);
        let mut spent = 0;
        loop {
            let padding = (None, PAYLOAD + OVERHEAD);
            let next = self.queue.front().copied().or(self.probe.map(|_| padding));
            let Some((frame, bytes)) = next.filter(|(_, bytes)| *bytes <= budget) else { break };
            if frame.is_some() {
                self.queue.pop_front();
            }
            budget -= bytes;
            spent += bytes;
            let probe = self.probe.map(|(id, _)| id);
            if let Some((_, left)) = &mut self.probe {
                *left = left.saturating_sub(bytes);
                if *left == 0 {
                    self.probe = None;
                }
            }
            run.estimator.sent(&super::Packet { twcc: self.twcc, bytes, at, probe });
            self.recorder.sent(bytes, frame.is_none());
            link.enter(Crossing { flow: self.id, twcc: self.twcc, bytes, frame, at: now, waited: 0 });
            self.twcc = self.twcc.wrapping_add(1);
        }
        if spent > 0 {
            run.pacer.spend(spent);
        }
    }

    /// A packet will be at the viewer at its time.
    pub fn arrives(&mut self, packet: &Crossing) {
        self.viewer.comes(packet.twcc, packet.at);
        self.recorder.arrived(packet);
        let Some(frame) = packet.frame else { return };
        let Some(left) = self.open.get_mut(&frame) else { return };
        *left -= 1;
        if *left == 0 {
            self.open.remove(&frame);
            self.recorder.shown(frame, packet.at);
        }
    }

    pub fn is_lost(&mut self, now: u64, packet: &Crossing) {
        self.recorder.lost();
        if let Some(frame) = packet.frame {
            let due = now + self.plan.rtt.as_micros() as u64 + NACK_PAUSE;
            self.again.push_back((due, frame, packet.bytes));
        }
    }

    pub fn finish(self) -> Measured {
        self.recorder.finish(self.plan.seconds)
    }
}
