//! The estimate of a path's bandwidth on a simulated path: ours beside the one of the `rtc` crate. Virtual time, so the
//! figures are the same on every machine. Run with `cargo bench --package p2pcam-agent --bench congestion`; prints a
//! Markdown table.
#![allow(missing_docs, clippy::unwrap_used)]

#[path = "support/path/mod.rs"]
mod simulation;

use std::time::{Duration, Instant};

use p2pcam_agent::session::congestion::{Controller, Limits, Pacer, Packet, Probe};
use rtc::{
    interceptor::{BandwidthEstimator, Gcc, PacketReport},
    rtcp::transport_feedbacks::transport_layer_cc::{PacketStatusChunk, SymbolTypeTcc, TransportLayerCc},
};
use simulation::{Estimator, Make, Measured, Plan, ours};

/// Runs of each row, of which the median counts: each begins its step, or its second flow, at another moment of the
/// camera's rhythm.
const RUNS: u64 = 21;
const LINK: f64 = 3e6;
/// By then both have found the link.
const SETTLED: f64 = 40.0;
const DOWN: f64 = 42.0;
const UP: f64 = 57.0;

fn main() {
    let both: [(&str, Make<'_>); 2] = [("p2pcam", &ours), ("rtc 0.21 Gcc", &theirs)];
    println!(
        "| path | estimator | 0.3 to 2.7 Mbit/s | used of 3 Mbit/s | queue, 95 % | freeze after 3 to 0.5 | queue below 250 ms after | \
         used of 0.5 | back to 2.7 Mbit/s | padding |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for (name, plan) in paths() {
        for (who, make) in both {
            println!("| {name} | {who} | {} |", row(&plan, make).join(" | "));
        }
    }
    println!();
    println!(
        "| two flows over 4 Mbit/s, the second 10 s later | estimator | larger to smaller share | used together |"
    );
    println!("|---|---|---|---|");
    for rtt in [0, 40, 150] {
        for (who, make) in both {
            let (ratio, used) = share(rtt, make);
            println!("| round trip {rtt} ms | {who} | {ratio:.1} | {used:.0} % |");
        }
    }
}

fn paths() -> Vec<(String, Plan)> {
    let plan = |rtt, queue, jitter, loss, feedback| Plan {
        rtt: Duration::from_millis(rtt),
        queue: Duration::from_millis(queue),
        jitter: Duration::from_millis(jitter),
        loss,
        feedback: Duration::from_millis(feedback),
        ..Plan::default()
    };
    [
        (0, 200, 0, 0.0, 100),
        (40, 200, 0, 0.0, 100),
        (40, 500, 10, 0.0, 100),
        (40, 50, 0, 0.0, 100),
        (40, 200, 10, 0.0, 250),
        (40, 500, 10, 0.01, 100),
        (40, 500, 10, 0.05, 100),
        (150, 500, 10, 0.0, 100),
        (300, 500, 10, 0.0, 100),
    ]
    .map(|(rtt, queue, jitter, loss, feedback)| {
        let mut name = format!("round trip {rtt} ms, queue {queue} ms");
        for (value, text) in
            [(jitter, format!("jitter {jitter} ms")), ((loss * 1e3) as u64, format!("{} % loss", loss * 1e2))]
        {
            if value > 0 {
                name = format!("{name}, {text}");
            }
        }
        if feedback != 100 {
            name = format!("{name}, a report each {feedback} ms");
        }
        (name, plan(rtt, queue, jitter, loss, feedback))
    })
    .into()
}

/// The figures of one path.
fn row(plan: &Plan, make: Make<'_>) -> Vec<String> {
    let flat = runs(|seed| {
        let plan = Plan { seconds: 100.0, seed, ..plan.clone() };
        let flow = one(&plan, make);
        [
            flow.reaches(0.0, LINK * 0.9).unwrap_or(f64::INFINITY),
            flow.mean(SETTLED, 100.0) / LINK * 100.0,
            flow.queue_share(SETTLED, 100.0, 0.95),
            flow.padding * 100.0,
        ]
    });
    let step = runs(|seed| {
        let shift = seed as f64 * 0.137;
        let rate = vec![(0.0, LINK), (DOWN + shift, 0.5e6), (UP + shift, LINK)];
        let plan = Plan { rate, seconds: UP + shift + 40.0, seed, ..plan.clone() };
        let flow = one(&plan, make);
        let (down, up) = (DOWN + shift, UP + shift);
        [
            flow.freeze(down - 0.3, up) * 1e3,
            flow.queue_gone(down, up, 250.0),
            flow.mean(down + 2.0, up) / 0.5e6 * 100.0,
            flow.reaches(up, LINK * 0.9).unwrap_or(f64::INFINITY),
        ]
    });
    let seconds = |s: f64| if s.is_finite() { format!("{s:.1} s") } else { "never".into() };
    vec![
        seconds(flat[0]),
        format!("{:.0} %", flat[1]),
        format!("{:.0} ms", flat[2]),
        format!("{:.0} ms", step[0]),
        seconds(step[1]),
        format!("{:.0} %", step[2]),
        seconds(step[3]),
        format!("{:.1} %", flat[3]),
    ]
}

/// Larger to smaller share, and per cent of the link used.
fn share(rtt: u64, make: Make<'_>) -> (f64, f64) {
    let figures = runs(|seed| {
        let plan = Plan {
            rtt: Duration::from_millis(rtt),
            rate: vec![(0.0, 4e6)],
            flows: vec![0.0, 10.0 + seed as f64 * 0.137],
            seconds: 90.0,
            seed,
            ..Plan::default()
        };
        let flows = plan.run_with(make);
        let (a, b) = (flows[0].mean(40.0, 90.0), flows[1].mean(40.0, 90.0));
        [a.max(b) / a.min(b), (a + b) / 4e6 * 100.0]
    });
    (figures[0], figures[1])
}

fn one(plan: &Plan, make: Make<'_>) -> Measured {
    plan.run_with(make).remove(0)
}

/// The median of each figure over all runs.
fn runs<const N: usize>(run: impl Fn(u64) -> [f64; N]) -> [f64; N] {
    let all: Vec<[f64; N]> = (0..RUNS).map(run).collect();
    std::array::from_fn(|i| {
        let mut values: Vec<f64> = all.iter().map(|run| run[i]).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    })
}

/// The estimator of the `rtc` crate, driven as its congestion control interceptor does.
struct Theirs {
    gcc: Gcc,
    sent: Vec<Option<(Instant, usize)>>,
    count: u64,
}

fn theirs(_: Instant) -> Box<dyn Estimator> {
    Box::new(Theirs { gcc: Gcc::new(3e5, 5e4, 5e7), sent: vec![None; 1 << 16], count: 0 })
}

impl Estimator for Theirs {
    fn sent(&mut self, packet: &Packet) {
        self.sent[usize::from(packet.twcc)] = Some((packet.at, packet.bytes));
    }

    fn feedback(&mut self, now: Instant, report: &TransportLayerCc) {
        let mut clock = i64::from(report.reference_time) * 64_000;
        let mut deltas = report.recv_deltas.iter();
        let symbols = report.packet_chunks.iter().flat_map(|chunk| match chunk {
            PacketStatusChunk::StatusVectorChunk(vector) => vector.symbol_list.clone(),
            PacketStatusChunk::RunLengthChunk(run) => {
                vec![run.packet_status_symbol; usize::from(run.run_length)]
            }
        });
        let mut reports = Vec::new();
        for (i, symbol) in symbols.take(usize::from(report.packet_status_count)).enumerate() {
            let seq = report.base_sequence_number.wrapping_add(i as u16);
            let arrived = symbol != SymbolTypeTcc::PacketNotReceived;
            if arrived {
                clock += deltas.next().unwrap().delta;
            }
            let Some((departure, size)) = self.sent[usize::from(seq)].take() else { continue };
            self.count += 1;
            reports.push(PacketReport {
                ssrc: 1,
                id: self.count,
                rtp_sequence_number: seq,
                is_twcc: true,
                twcc_sequence_number: seq,
                size,
                arrived,
                departure,
                arrival: arrived.then(|| Duration::from_micros(clock as u64)),
                ecn: Default::default(),
            });
        }
        self.gcc.on_reports(now, &reports);
    }

    fn target(&self) -> u64 {
        self.gcc.target_bitrate() as u64
    }

    fn pacing_rate(&self) -> u64 {
        (self.gcc.target_bitrate() * 2.5) as u64
    }
}
