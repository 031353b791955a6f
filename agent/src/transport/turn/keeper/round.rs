//! One round of asking: who is asked when, and which of those that answer are kept.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use super::{Action, Keeper, Line, Stage, is_same};
use crate::transport::{
    server::ServerUrl,
    turn::reachability::{Outcome, Reachability, Way, handicap},
};

/// So long, or a round trip if that is longer, an allocation over TCP waits for one over UDP that is being asked for, and
/// one over TLS for both. They set out together, and streams need more round trips: UDP is late only if a packet was lost.
const HEAD_START: Duration = Duration::from_millis(100);
/// A server that did not answer a moment ago is asked so much later than the others.
const LATE: Duration = Duration::from_millis(500);

/// Servers whose names are being looked up.
#[derive(Debug)]
pub(super) struct Round {
    number: u32,
    resolving: Vec<usize>,
}

impl Keeper {
    pub(super) fn begin_round(&mut self) {
        self.rounds += 1;
        self.retry_at = None;
        let number = self.rounds;
        let mut resolving = Vec::new();
        for (server, url) in self.servers.iter().enumerate().filter(|(_, url)| !self.refused.contains(url)) {
            resolving.push(server);
            self.actions.push_back(Action::Resolve { round: number, server, url: url.clone() });
        }
        self.round = Some(Round { number, resolving });
    }

    /// The server has these addresses; none if its name was not found.
    pub fn resolved(
        &mut self,
        now: Instant,
        round: u32,
        server: usize,
        addresses: &[SocketAddr],
        memory: &Reachability,
    ) {
        let Some(running) = self.round.as_mut().filter(|running| running.number == round) else { return };
        running.resolving.retain(|n| *n != server);
        let Some(url) = self.servers.get(server).cloned() else { return };
        for &address in addresses {
            let is_there = |line: &Line| {
                line.url == url
                    && line.address.is_ipv4() == address.is_ipv4()
                    && (line.is_sound()
                        || matches!(line.stage, Stage::Waiting(_) | Stage::Asking | Stage::Ready(_)))
            };
            if self.lines.iter().any(is_there) {
                continue;
            }
            let at = now + self.delay(now, &Way::new(&url, address), &url, memory);
            let id = self.next_id;
            self.next_id += 1;
            let (stage, round_trip, url) = (Stage::Waiting(at), Duration::ZERO, url.clone());
            self.lines.push(Line { id, url, address, round_trip, rotate_at: None, stage });
        }
        self.step(now);
    }

    /// How much later than the others this server is asked.
    fn delay(&self, now: Instant, way: &Way, url: &ServerUrl, memory: &Reachability) -> Duration {
        match memory.outcome(now, way) {
            None => Duration::ZERO,
            Some(Outcome::Failed) => LATE,
            Some(Outcome::Answered(round_trip)) => {
                let cost = round_trip + handicap(url);
                let others = self.servers.iter().filter(|other| !is_same(other, url));
                let better = others.filter(|other| memory.cost(now, other).is_some_and(|c| c < cost)).count();
                // Those suffice, unless they have become worse.
                if better >= self.need() { HEAD_START.max(2 * round_trip) } else { Duration::ZERO }
            }
        }
    }

    pub(super) fn round_timeout(&self) -> Option<Instant> {
        let due = self.lines.iter().filter_map(|line| match line.stage {
            Stage::Waiting(at) => Some(at),
            Stage::Ready(at) => Some(at + HEAD_START.max(line.round_trip)),
            _ => None,
        });
        due.min().filter(|_| self.round.is_some())
    }

    pub(super) fn go_round(&mut self, now: Instant) {
        if self.round.is_some() {
            self.start_due(now);
            while self.need() > 0
                && let Some(id) = self.choose(now)
            {
                self.keep(now, id);
            }
        }
        let is_busy = |line: &Line| matches!(line.stage, Stage::Waiting(_) | Stage::Asking | Stage::Ready(_));
        if self.need() == 0 {
            let superfluous: Vec<_> = self
                .lines
                .iter()
                .filter(|line| matches!(line.stage, Stage::Waiting(_) | Stage::Ready(_)))
                .map(|line| line.id)
                .collect();
            superfluous.into_iter().for_each(|id| self.release(id));
            self.end_round();
        } else if self.round.as_ref().is_some_and(|round| round.resolving.is_empty())
            && !self.lines.iter().any(is_busy)
        {
            self.end_round();
            let has_hope = self.servers.iter().any(|url| !self.refused.contains(url));
            if self.need() > 0 && has_hope {
                self.vain += 1;
                self.retry_at = Some(now + self.pause());
            }
        }
    }

    fn end_round(&mut self) {
        if self.round.take().is_none() {
            return;
        }
        // A second one that no server gives is not asked for again and again.
        let sound = self.lines.iter().filter(|line| line.is_sound()).count();
        self.wanted = self.wanted.min(sound.max(1));
        if !std::mem::replace(&mut self.settled, true) {
            self.actions.push_back(Action::Settled);
        }
    }

    fn start_due(&mut self, now: Instant) {
        let is_quiet = self.round.as_ref().is_some_and(|round| round.resolving.is_empty())
            && !self.lines.iter().any(|line| matches!(line.stage, Stage::Asking | Stage::Ready(_)));
        let waits = |line: &Line| match line.stage {
            Stage::Waiting(at) => Some(at),
            _ => None,
        };
        // With nobody else left to hope for, there is nothing to wait for.
        let next = self.lines.iter().filter_map(waits).min().filter(|_| is_quiet);
        let due = next.unwrap_or(now).max(now);
        for line in &mut self.lines {
            if waits(line).is_some_and(|at| at <= due) {
                line.stage = Stage::Asking;
                let (id, url, address) = (line.id, line.url.clone(), line.address);
                self.actions.push_back(Action::Ask { id, url, address });
            }
        }
    }

    /// The best of those that are there, if none that is better can be hoped for any more.
    fn choose(&self, now: Instant) -> Option<u64> {
        let resolving =
            self.round.iter().flat_map(|round| &round.resolving).filter_map(|n| self.servers.get(*n));
        let asking =
            self.lines.iter().filter(|line| matches!(line.stage, Stage::Asking)).map(|line| &line.url);
        let pending: Vec<_> = resolving.chain(asking).collect();
        let is_double = |line: &Line| self.lines.iter().any(|l| l.is_sound() && is_same(&l.url, &line.url));
        let ready = self.lines.iter().filter_map(|line| match line.stage {
            Stage::Ready(at) => Some((line, at)),
            _ => None,
        });
        let ready: Vec<_> = ready.collect();
        let may_come = |line: &Line, since: Instant| {
            // A second one at a server is for want of anything else.
            if is_double(line) {
                return pending.is_empty() && ready.iter().all(|(other, _)| is_double(other));
            }
            let could_be_better = pending.iter().any(|url| handicap(url) < handicap(&line.url));
            !could_be_better || now >= since + HEAD_START.max(line.round_trip)
        };
        let chosen = ready.iter().filter(|(line, since)| may_come(line, *since));
        chosen.min_by_key(|(line, _)| line.cost()).map(|(line, _)| line.id)
    }
}
