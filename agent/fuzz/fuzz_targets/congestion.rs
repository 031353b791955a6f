//! Any transport-wide feedback, at any time, for packets sent or not: the estimate stays within its limits. A report is two
//! bytes of milliseconds passed, one of packets sent, one of its length, then RTCP as it comes from SRTCP.
#![no_main]

use std::time::{Duration, Instant};

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use p2pcam_agent::session::congestion::{Controller, Limits, Packet};
use rtc::{rtcp::transport_feedbacks::transport_layer_cc::TransportLayerCc, shared::marshal::Unmarshal};

const LIMITS: Limits = Limits { start: 300_000, min: 50_000, max: 5_000_000 };

fuzz_target!(|data: &[u8]| {
    let mut now = Instant::now();
    let mut controller = Controller::new(now, LIMITS);
    let (mut rest, mut seq) = (data, 0u16);
    while let Some((&[t0, t1, packets, length], tail)) = rest.split_first_chunk() {
        let (report, next) = tail.split_at(usize::from(length).min(tail.len()));
        rest = next;
        now += Duration::from_millis(u64::from(u16::from_be_bytes([t0, t1])));
        let probe = controller.probe(now).map(|probe| probe.id);
        for _ in 0..packets {
            controller.sent(&Packet { twcc: seq, bytes: usize::from(length) * 5, at: now, probe });
            seq = seq.wrapping_add(1);
        }
        if let Ok(report) = TransportLayerCc::unmarshal(&mut Bytes::copy_from_slice(report)) {
            controller.feedback(now, &report);
        }
        controller.remb(now, u64::from(t0) << (t1 % 60));
        controller.receiver_report(now, packets);
        controller.handle_timeout(now);
        assert!((LIMITS.min..=LIMITS.max).contains(&controller.target()));
        assert!((0.0..=1.0).contains(&controller.loss()));
    }
});
