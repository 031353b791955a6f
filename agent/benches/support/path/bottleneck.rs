//! The bottleneck: a drop-tail queue of bytes before a link whose rate changes, then delay, jitter and random loss.

use std::collections::VecDeque;

use super::{Crossing, Dice, Plan};

/// One direction of the path.
pub struct Bottleneck {
    plan: Plan,
    queue: VecDeque<Crossing>,
    queued: usize,
    room: usize,
    /// When the link has sent what it sends.
    free_at: u64,
    out: VecDeque<Crossing>,
    last_out: u64,
    lost: Vec<Crossing>,
    dice: Dice,
}

impl Bottleneck {
    pub fn new(plan: &Plan) -> Self {
        let room = Plan::at(&plan.rate, 0) / 8.0 * plan.queue.as_secs_f64();
        Self {
            queue: VecDeque::new(),
            queued: 0,
            room: (room as usize).max(3_000),
            free_at: 0,
            out: VecDeque::new(),
            last_out: 0,
            lost: Vec::new(),
            dice: Dice::new(plan.seed),
            plan: plan.clone(),
        }
    }

    /// A packet reaches the queue.
    pub fn enter(&mut self, packet: Crossing) {
        if self.plan.is_dead(packet.at) || self.queued + packet.bytes > self.room {
            self.lost.push(packet);
        } else {
            self.queued += packet.bytes;
            self.queue.push_back(packet);
        }
    }

    /// The link sends until `now`.
    pub fn run(&mut self, now: u64) {
        while let Some(&packet) = self.queue.front() {
            let start = self.free_at.max(packet.at);
            if start > now {
                break;
            }
            self.queue.pop_front();
            self.queued -= packet.bytes;
            let rate = Plan::at(&self.plan.rate, start);
            self.free_at = start + (packet.bytes as f64 * 8e6 / rate) as u64;
            let jitter = self.plan.jitter.as_micros() as f64;
            let late = jitter * (self.dice.roll() + self.dice.roll()) / 2.0;
            let route = (Plan::at(&self.plan.route, start) * 1e3) as u64;
            let at = self.free_at + route + self.plan.rtt.as_micros() as u64 / 2 + late as u64;
            self.last_out = self.last_out.max(at);
            let packet = Crossing { at: self.last_out, waited: start - packet.at, ..packet };
            if self.dice.roll() < self.plan.loss {
                self.lost.push(packet)
            } else {
                self.out.push_back(packet)
            }
        }
    }

    /// What will have come out; each carries its time of arrival, which may lie ahead.
    pub fn take(&mut self) -> Vec<Crossing> {
        self.out.drain(..).collect()
    }

    pub fn take_lost(&mut self) -> Vec<Crossing> {
        std::mem::take(&mut self.lost)
    }
}
