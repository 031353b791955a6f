//! The goals of the estimate on a simulated path, in virtual time: one bottleneck, an encoder of 30 pictures a second.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use rtc::rtcp::transport_feedbacks::transport_layer_cc::{
    PacketStatusChunk, SymbolTypeTcc, TransportLayerCc,
};

use super::{
    Packet,
    simulation::{Estimator, Measured, Plan, ours},
};

const RTTS: [u64; 3] = [0, 40, 150];

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Runs the plan at each round trip with its one flow.
fn each_rtt(plan: &Plan, check: impl Fn(u64, &Measured)) {
    for rtt in RTTS {
        let measured = Plan { rtt: ms(rtt), ..plan.clone() }.run().remove(0);
        check(rtt, &measured);
    }
}

/// From 3 to 0.5 and back to 3 Mbit/s.
fn step() -> Plan {
    Plan { rate: vec![(0.0, 3e6), (22.0, 0.5e6), (37.0, 3e6)], seconds: 55.0, ..Plan::default() }
}

#[test]
fn from_300_kbit_to_3_mbit_within_four_seconds() {
    for jitter in [0, 10] {
        let plan = Plan { jitter: ms(jitter), seconds: 12.0, ..Plan::default() };
        each_rtt(&plan, |rtt, flow| {
            let reached = flow.reaches(0.0, 2.7e6).expect("never");
            assert!(reached <= 4.0, "rtt {rtt}, jitter {jitter}: {reached} s");
        });
    }
}

#[test]
fn a_full_link_is_used_by_nine_tenths_with_a_short_queue() {
    for queue in [50, 200, 500] {
        let plan = Plan { queue: ms(queue), seconds: 60.0, ..Plan::default() };
        each_rtt(&plan, |rtt, flow| {
            let used = flow.mean(10.0, 60.0) / 3e6;
            assert!(used >= 0.88, "rtt {rtt}, queue {queue}: {used}");
            let wait = flow.queue_share(10.0, 60.0, 0.95);
            assert!(wait <= 100.0, "rtt {rtt}, queue {queue}: {wait} ms");
            assert!(flow.lost < 0.06, "rtt {rtt}, queue {queue}: {}", flow.lost);
        });
    }
}

#[test]
fn random_loss_with_a_flat_delay_does_not_lower_the_rate() {
    for (loss, least) in [(0.01, 0.90), (0.05, 0.82)] {
        let plan = Plan { loss, jitter: ms(10), seconds: 60.0, ..Plan::default() };
        each_rtt(&plan, |rtt, flow| {
            let used = flow.mean(10.0, 60.0) / 3e6;
            assert!(used >= least, "rtt {rtt}, loss {loss}: {used}");
        });
    }
}

#[test]
fn a_step_down_freezes_no_picture_for_half_a_second() {
    let plan = Plan { queue: ms(500), ..step() };
    each_rtt(&plan, |rtt, flow| {
        let freeze = flow.freeze(21.0, 37.0);
        assert!(freeze <= 0.5, "rtt {rtt}: {freeze} s");
        let used = flow.mean(25.0, 37.0) / 0.5e6;
        assert!(used >= 0.8, "rtt {rtt}: {used}");
        // The queue is gone soon.
        let wait = flow.queue_share(27.0, 37.0, 0.95);
        assert!(wait <= 250.0, "rtt {rtt}: {wait} ms");
    });
}

#[test]
fn after_the_step_up_it_is_back_within_eight_seconds() {
    for jitter in [0, 10] {
        each_rtt(&Plan { jitter: ms(jitter), ..step() }, |rtt, flow| {
            let back = flow.reaches(37.0, 2.7e6).expect("never");
            assert!(back <= 8.0, "rtt {rtt}, jitter {jitter}: {back} s");
        });
    }
}

#[test]
fn rare_reports_and_frequent_ones_both_do() {
    for pause in [50, 250] {
        let plan = Plan { feedback: ms(pause), jitter: ms(10), seconds: 40.0, ..Plan::default() };
        each_rtt(&plan, |rtt, flow| {
            let used = flow.mean(10.0, 40.0) / 3e6;
            assert!(used >= 0.85, "rtt {rtt}, a report each {pause} ms: {used}");
        });
    }
}

#[test]
fn a_wide_link_gives_all_that_is_wanted_and_no_more_is_asked_for() {
    let plan = Plan { rate: vec![(0.0, 100e6)], demand: vec![(0.0, 4e6)], seconds: 60.0, ..Plan::default() };
    each_rtt(&plan, |rtt, flow| {
        let (least, most) = flow.range(5.0, 60.0);
        assert!(least >= 4.3e6 && most <= 5e6, "rtt {rtt}: {least} to {most}");
        assert!(flow.padding < 0.01, "rtt {rtt}: {}", flow.padding);
    });
}

#[test]
fn a_still_camera_neither_loses_its_rate_nor_dreams_of_more() {
    // The scene is still for half a minute: a twentieth of the rate is used.
    let plan = Plan {
        rate: vec![(0.0, 5e6)],
        demand: vec![(0.0, 4e6)],
        scene: vec![(0.0, 4e6), (10.0, 0.2e6), (40.0, 4e6)],
        seconds: 50.0,
        ..Plan::default()
    };
    each_rtt(&plan, |rtt, flow| {
        let (least, most) = flow.range(10.5, 40.0);
        assert!(least >= 3.5e6 && most <= 5e6, "rtt {rtt}: {least} to {most}");
        let back = flow.reaches(40.0, 3.8e6).expect("never");
        assert!(back <= 3.0, "rtt {rtt}: {back} s");
    });
}

#[test]
fn a_camera_that_is_still_from_the_beginning_still_learns_what_its_path_carries() {
    let plan =
        Plan { demand: vec![(0.0, 4e6)], scene: vec![(0.0, 0.1e6)], seconds: 120.0, ..Plan::default() };
    each_rtt(&plan, |rtt, flow| {
        let (least, most) = flow.range(20.0, 120.0);
        assert!(least >= 2.0e6 && most <= 4.8e6, "rtt {rtt}: {least} to {most}");
        // Asking costs little.
        let padding = flow.padding * flow.sent_rate(120.0);
        assert!(padding <= 80_000.0, "rtt {rtt}: {padding} bits a second of padding");
    });
}

#[test]
fn a_longer_route_is_no_queue() {
    let plan = Plan { route: vec![(0.0, 0.0), (20.0, 80.0)], seconds: 50.0, ..Plan::default() };
    each_rtt(&plan, |rtt, flow| {
        let used = flow.mean(30.0, 50.0) / 3e6;
        assert!(used >= 0.85, "rtt {rtt}: {used}");
    });
}

#[test]
fn half_a_minute_without_a_path_is_survived() {
    let plan = Plan { dead: Some((20.0, 50.0)), seconds: 60.0, ..Plan::default() };
    each_rtt(&plan, |rtt, flow| {
        assert!(flow.target(26.0) < 0.8e6, "rtt {rtt}: {}", flow.target(26.0));
        let back = flow.reaches(50.0, 2.7e6).expect("never");
        assert!(back <= 5.0, "rtt {rtt}: {back} s");
    });
}

#[test]
fn two_flows_share_within_a_factor_of_three() {
    let plan = Plan { rate: vec![(0.0, 4e6)], flows: vec![0.0, 10.0], seconds: 70.0, ..Plan::default() };
    for rtt in RTTS {
        let flows = Plan { rtt: ms(rtt), ..plan.clone() }.run();
        let (first, second) = (flows[0].mean(25.0, 70.0), flows[1].mean(25.0, 70.0));
        let ratio = first.max(second) / first.min(second);
        assert!(ratio <= 3.0, "rtt {rtt}: {first} and {second}");
        assert!(first + second >= 0.85 * 4e6, "rtt {rtt}: {first} and {second}");
    }
}

/// A download that fills any queue: more and more until something is lost.
struct Greedy {
    rate: f64,
    reported: Option<Instant>,
    fell: Option<Instant>,
}

impl Estimator for Greedy {
    fn sent(&mut self, _packet: &Packet) {}

    fn feedback(&mut self, now: Instant, report: &TransportLayerCc) {
        let lost = report.packet_chunks.iter().any(|chunk| match chunk {
            PacketStatusChunk::StatusVectorChunk(vector) => {
                vector.symbol_list.contains(&SymbolTypeTcc::PacketNotReceived)
            }
            PacketStatusChunk::RunLengthChunk(_) => false,
        });
        let passed = self.reported.replace(now).map_or(0.0, |last| (now - last).as_secs_f64());
        if !lost {
            // A packet of 1200 bytes in a round trip of 150 ms.
            self.rate += passed * 9_600.0 / 0.15;
        } else if self.fell.is_none_or(|fell| now - fell > ms(200)) {
            self.rate = (self.rate * 0.7).max(100_000.0);
            self.fell = Some(now);
        }
    }

    fn target(&self) -> u64 {
        self.rate as u64
    }

    fn pacing_rate(&self) -> u64 {
        (self.rate * 1.2) as u64
    }
}

#[test]
fn a_download_that_fills_the_queue_leaves_a_fifth_of_the_link() {
    for queue in [50, 200, 500] {
        let flows = Cell::new(0);
        let make = |now: Instant| -> Box<dyn Estimator> {
            flows.set(flows.get() + 1);
            if flows.get() == 1 {
                ours(now)
            } else {
                Box::new(Greedy { rate: 1e6, reported: None, fell: None })
            }
        };
        let plan = Plan {
            flows: vec![0.0, 10.0],
            queue: ms(queue),
            rate: vec![(0.0, 4e6)],
            demand: vec![(0.0, 20e6)],
            seconds: 80.0,
            ..Plan::default()
        };
        let both = plan.run_with(&make);
        let (ours, theirs) = (both[0].mean(30.0, 80.0), both[1].mean(30.0, 80.0));
        assert!(ours >= 0.2 * 4e6 && theirs >= 0.05 * 4e6, "queue {queue}: {ours} and {theirs}");
    }
}

#[test]
fn the_same_run_twice_gives_the_same_figures() {
    let plan = Plan { loss: 0.02, jitter: ms(10), seconds: 10.0, ..Plan::default() };
    assert_eq!(plan.run()[0].targets, plan.run()[0].targets);
}
