//! What a run gave, by tenths of a second and by picture.

use std::collections::BTreeMap;

use super::Crossing;

const TENTH: u64 = 100_000;

#[derive(Default)]
pub struct Recorder {
    targets: Vec<(f64, f64)>,
    media: BTreeMap<u64, usize>,
    padding: usize,
    sent: usize,
    packets: usize,
    lost: usize,
    shown: BTreeMap<usize, u64>,
    /// (second, milliseconds from the sender to the viewer)
    delays: Vec<(f64, f64)>,
}

impl Recorder {
    pub fn tick(&mut self, now: u64, target: u64) {
        if now.is_multiple_of(TENTH) {
            self.targets.push((now as f64 / 1e6, target as f64));
        }
    }

    pub fn sent(&mut self, bytes: usize, padding: bool) {
        self.sent += bytes;
        self.packets += 1;
        if padding {
            self.padding += bytes;
        }
    }

    pub fn arrived(&mut self, packet: &Crossing) {
        if packet.frame.is_some() {
            *self.media.entry(packet.at / TENTH).or_default() += packet.bytes;
        }
        self.delays.push((packet.at as f64 / 1e6, packet.waited as f64 / 1e3));
    }

    pub fn lost(&mut self) {
        self.lost += 1;
    }

    pub fn shown(&mut self, frame: usize, at: u64) {
        self.shown.insert(frame, at);
    }

    pub fn finish(self, seconds: f64) -> Measured {
        // A picture is shown once all before it are there.
        let mut shown: Vec<f64> = Vec::new();
        for at in self.shown.values() {
            let at = *at as f64 / 1e6;
            shown.push(shown.last().map_or(at, |last| last.max(at)));
        }
        let tenths = (seconds * 10.0) as u64;
        let media = (0..tenths).map(|t| self.media.get(&t).copied().unwrap_or(0) as f64 * 80.0).collect();
        Measured {
            targets: self.targets,
            media,
            shown,
            delays: self.delays,
            sent: self.sent as f64 * 8.0,
            padding: self.padding as f64 / self.sent.max(1) as f64,
            lost: self.lost as f64 / self.packets.max(1) as f64,
        }
    }
}

/// One flow's run.
pub struct Measured {
    /// (second, bits a second), ten a second.
    pub targets: Vec<(f64, f64)>,
    /// Bits a second of pictures that came, in each tenth of a second.
    pub media: Vec<f64>,
    /// When pictures were shown, seconds.
    shown: Vec<f64>,
    delays: Vec<(f64, f64)>,
    /// All bits sent.
    sent: f64,
    /// Share of the sent bytes that was padding.
    pub padding: f64,
    /// Share of the packets that was lost.
    pub lost: f64,
}

impl Measured {
    /// The target at a second.
    pub fn target(&self, second: f64) -> f64 {
        self.targets.iter().rev().find(|(at, _)| *at <= second).map_or(0.0, |&(_, target)| target)
    }

    /// Mean bits a second sent in a run of so many seconds.
    pub fn sent_rate(&self, seconds: f64) -> f64 {
        self.sent / seconds
    }

    /// Greatest and least target between two seconds.
    pub fn range(&self, from: f64, to: f64) -> (f64, f64) {
        let within = self.targets.iter().filter(|(at, _)| (from..to).contains(at)).map(|&(_, target)| target);
        within.fold((f64::INFINITY, 0.0), |(least, most), target| (least.min(target), most.max(target)))
    }

    /// Seconds after `from` until a second's worth of pictures first came at this rate; none: never.
    pub fn reaches(&self, from: f64, bits: f64) -> Option<f64> {
        let begin = (from * 10.0) as usize;
        (begin..self.media.len().saturating_sub(9))
            .find(|&t| self.media[t..t + 10].iter().sum::<f64>() / 10.0 >= bits)
            .map(|t| (t + 10 - begin) as f64 / 10.0)
    }

    /// Mean bits a second of pictures between two seconds.
    pub fn mean(&self, from: f64, to: f64) -> f64 {
        let part = &self.media[(from * 10.0) as usize..((to * 10.0) as usize).min(self.media.len())];
        part.iter().sum::<f64>() / part.len().max(1) as f64
    }

    /// The longest time without a new picture between two seconds, in seconds.
    pub fn freeze(&self, from: f64, to: f64) -> f64 {
        let within = |at: f64| (from..to).contains(&at);
        let gaps = self.shown.windows(2).filter(|pair| within(pair[0]) || within(pair[1]));
        gaps.map(|pair| pair[1] - pair[0]).fold(0.0, f64::max)
    }

    /// The longest wait in the queue between two seconds, milliseconds.
    pub fn queue(&self, from: f64, to: f64) -> f64 {
        self.delays.iter().filter(|(at, _)| (from..to).contains(at)).map(|&(_, ms)| ms).fold(0.0, f64::max)
    }

    /// Seconds after `from` from which on no packet waited longer than this, milliseconds; infinite: not by `to`.
    pub fn queue_gone(&self, from: f64, to: f64, ms: f64) -> f64 {
        // Three quiet seconds count: what comes later is the estimator trying for more.
        let late =
            self.delays.iter().filter(|(at, wait)| (from..to).contains(at) && *wait > ms).map(|&(at, _)| at);
        let mut gone = from;
        for at in late {
            if at > gone + 3.0 {
                break;
            }
            gone = at;
        }
        if gone + 3.0 > to { f64::INFINITY } else { gone - from }
    }

    /// The wait that `share` of the packets had at most between two seconds, milliseconds.
    pub fn queue_share(&self, from: f64, to: f64, share: f64) -> f64 {
        let mut all: Vec<f64> =
            self.delays.iter().filter(|(at, _)| (from..to).contains(at)).map(|&(_, ms)| ms).collect();
        all.sort_by(f64::total_cmp);
        all.get((all.len().saturating_sub(1) as f64 * share) as usize).copied().unwrap_or(0.0)
    }
}
