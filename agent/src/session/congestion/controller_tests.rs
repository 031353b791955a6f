//! The controller at its edges: nothing known, nonsense reported, no transport-wide feedback.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use rtc::rtcp::transport_feedbacks::transport_layer_cc::{
    PacketStatusChunk, RecvDelta, RunLengthChunk, StatusVectorChunk, SymbolSizeTypeTcc, SymbolTypeTcc,
    TransportLayerCc,
};

use super::{Controller, Limits, Packet};

const LIMITS: Limits = Limits { start: 300_000, min: 50_000, max: 5_000_000 };

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Sends packets of 1000 bytes, each `pause` ms, from the number given on.
fn send(controller: &mut Controller, from: Instant, first: u16, count: u16, pause: u64) {
    for i in 0..count {
        let at = from + ms(pause) * u32::from(i);
        controller.sent(&Packet { twcc: first.wrapping_add(i), bytes: 1000, at, probe: None });
    }
}

/// All these packets came, `pause` milliseconds apart.
fn came(base: u16, count: u16, reference: u32, pause: i64) -> TransportLayerCc {
    TransportLayerCc {
        base_sequence_number: base,
        packet_status_count: count,
        reference_time: reference,
        packet_chunks: vec![PacketStatusChunk::RunLengthChunk(RunLengthChunk {
            packet_status_symbol: SymbolTypeTcc::PacketReceivedSmallDelta,
            run_length: count,
            ..Default::default()
        })],
        recv_deltas: (0..count)
            .map(|_| RecvDelta {
                type_tcc_packet: SymbolTypeTcc::PacketReceivedSmallDelta,
                delta: pause * 1_000,
            })
            .collect(),
        ..Default::default()
    }
}

#[test]
fn from_nothing_comes_no_estimate() {
    let now = Instant::now();
    let mut controller = Controller::new(now, LIMITS);
    assert_eq!(controller.poll_timeout(), None);
    assert_eq!(controller.probe(now), None);
    controller.handle_timeout(now + ms(60_000));
    controller.feedback(now, &TransportLayerCc::default());
    controller.feedback(now, &came(7, 100, 1, 10));
    assert_eq!(controller.target(), 300_000);
    // Sent, and nobody answers: no estimate either.
    send(&mut controller, now, 0, 100, 10);
    controller.handle_timeout(now + ms(30_000));
    assert_eq!((controller.target(), controller.loss()), (300_000, 0.0));
}

#[test]
fn a_replayed_report_changes_nothing() {
    let now = Instant::now();
    let mut controller = Controller::new(now, LIMITS);
    controller.set_demand(5_000_000);
    for round in 0..10u16 {
        let at = now + ms(100) * u32::from(round);
        send(&mut controller, at, round * 10, 10, 10);
        controller.feedback(at + ms(120), &came(round * 10, 10, 1_000 + u32::from(round) * 100 / 64, 10));
    }
    let (target, loss) = (controller.target(), controller.loss());
    for _ in 0..1_000 {
        controller.feedback(now + ms(1_200), &came(0, 100, 1_000, 10));
        // From hours ago.
        controller.feedback(now + ms(1_200), &came(0, 100, 9_000_000, 10));
    }
    assert_eq!((controller.target(), controller.loss()), (target, loss));
    // The true one still counts at once.
    send(&mut controller, now + ms(1_200), 100, 10, 10);
    let rtt = controller.rtt_ms();
    controller.feedback(now + ms(1_300), &came(100, 10, 1_018, 10));
    assert_ne!(controller.rtt_ms(), rtt);
}

#[test]
fn the_first_probe_is_three_times_the_start_and_none_exceeds_the_demand() {
    let now = Instant::now();
    let mut controller = Controller::new(now, LIMITS);
    send(&mut controller, now, 0, 1, 0);
    assert!(controller.poll_timeout().is_some_and(|due| due <= now));
    assert!(controller.probe(now).is_some_and(|probe| probe.rate == 900_000 && probe.bytes >= 5_000));
    assert_eq!(controller.probe(now), None);

    let mut content = Controller::new(now, LIMITS);
    content.set_demand(200_000);
    send(&mut content, now, 0, 1, 0);
    assert_eq!(content.probe(now), None);
    assert_eq!(content.poll_timeout(), None);
}

#[test]
fn timeouts_of_a_sender_without_answers_are_not_many() {
    let now = Instant::now();
    let mut controller = Controller::new(now, LIMITS);
    let (mut at, mut timeouts) = (now, 0);
    while at < now + ms(10_000) {
        send(&mut controller, at, timeouts, 1, 0);
        controller.probe(at);
        let due = controller.poll_timeout().map_or(at + ms(100), |due| due.max(at + ms(1)));
        at = due;
        controller.handle_timeout(at);
        timeouts += 1;
    }
    assert!(timeouts < 120, "{timeouts} in ten seconds");
}

#[test]
fn without_transport_wide_feedback_remb_and_reports_of_loss_rule() {
    let now = Instant::now();
    let mut controller = Controller::new(now, LIMITS);
    controller.set_demand(5_000_000);
    controller.remb(now, 200_000);
    assert_eq!(controller.target(), 200_000);
    let mut at = now;
    for second in 0..40u16 {
        at = now + ms(1_000) * u32::from(second);
        let count = u16::try_from(controller.target() / 8_000).expect("a small number");
        send(&mut controller, at, second * 1_000, count, 1_000 / u64::from(count));
        controller.remb(at + ms(1_000), 4_000_000);
        controller.receiver_report(at + ms(1_000), 0);
    }
    assert!((3_500_000..=4_000_000).contains(&controller.target()), "{}", controller.target());
    controller.receiver_report(at + ms(2_000), 128);
    assert!(controller.target() <= 3_000_000, "{}", controller.target());
    assert!(controller.loss() > 0.2);
}

#[test]
fn a_viewer_that_knows_no_numbers_can_have_more_than_the_first_guess() {
    let now = Instant::now();
    let mut controller = Controller::new(now, LIMITS);
    controller.set_demand(3_000_000);
    let mut at = now;
    for _ in 0..40 {
        let bytes = (controller.target() / 8 / 50) as usize;
        (0..50).for_each(|i| controller.sent_unnumbered(at + ms(20) * i, bytes));
        at += ms(1_000);
        while controller.poll_timeout().is_some_and(|due| due <= at) {
            controller.handle_timeout(at);
            controller.probe(at);
        }
        controller.receiver_report(at, 0);
    }
    assert!(controller.target() >= 3_000_000, "{}", controller.target());
}

#[test]
fn with_transport_wide_feedback_they_do_not() {
    let now = Instant::now();
    let mut controller = Controller::new(now, LIMITS);
    send(&mut controller, now, 0, 10, 10);
    controller.feedback(now + ms(120), &came(0, 10, 1_000, 10));
    let target = controller.target();
    controller.remb(now + ms(130), 10_000);
    controller.receiver_report(now + ms(130), 255);
    assert_eq!(controller.target(), target);
}

#[test]
fn a_viewer_whose_clock_was_set_is_followed() {
    let now = Instant::now();
    let mut controller = Controller::new(now, LIMITS);
    controller.set_demand(5_000_000);
    let mut least = u64::MAX;
    for round in 0..100u16 {
        let at = now + ms(128) * u32::from(round);
        send(&mut controller, at, round * 10, 10, 10);
        let reference = 1_000 + u32::from(round) * 2 + if round > 50 { 3_000_000 } else { 0 };
        controller.feedback(at + ms(130), &came(round * 10, 10, reference, 10));
        least = least.min(controller.target());
    }
    assert_eq!(least, 300_000);
}

#[test]
fn on_another_path_it_begins_anew_and_asks_for_the_old_rate() {
    let now = Instant::now();
    let mut controller = Controller::new(now, LIMITS);
    controller.remb(now, 400_000);
    controller.remb(now, 2_000_000);
    send(&mut controller, now, 0, 10, 10);
    controller.feedback(now + ms(120), &came(0, 10, 1_000, 10));
    let before = controller.target();
    assert!(before > LIMITS.start);
    controller.path_changed(now + ms(130));
    assert_eq!(controller.target(), LIMITS.start);
    assert_eq!(controller.probe(now + ms(130)).map(|probe| probe.rate), Some(before));
    // The new path is 5 s longer: no queue.
    send(&mut controller, now + ms(140), 10, 10, 10);
    controller.feedback(now + ms(5_300), &came(10, 10, 1_080, 10));
    assert!(controller.target() >= LIMITS.start);
}

fn symbol() -> impl Strategy<Value = SymbolTypeTcc> {
    prop::sample::select(vec![
        SymbolTypeTcc::PacketNotReceived,
        SymbolTypeTcc::PacketReceivedSmallDelta,
        SymbolTypeTcc::PacketReceivedLargeDelta,
        SymbolTypeTcc::PacketReceivedWithoutDelta,
    ])
}

fn chunk() -> impl Strategy<Value = PacketStatusChunk> {
    let run = (symbol(), any::<u16>()).prop_map(|(packet_status_symbol, run_length)| {
        let run = RunLengthChunk { packet_status_symbol, run_length, ..Default::default() };
        PacketStatusChunk::RunLengthChunk(run)
    });
    let vector = prop::collection::vec(symbol(), 0..20).prop_map(|symbol_list| {
        let symbol_size = SymbolSizeTypeTcc::TwoBit;
        PacketStatusChunk::StatusVectorChunk(StatusVectorChunk {
            symbol_size,
            symbol_list,
            ..Default::default()
        })
    });
    prop_oneof![run, vector]
}

prop_compose! {
    fn report()(
        base in 0u16..600, count: u16, reference in prop_oneof![0u32..40, any::<u32>()],
        chunks in prop::collection::vec(chunk(), 0..6),
        deltas in prop::collection::vec(prop_oneof![-8_192_000i64..8_191_750, any::<i64>()], 0..300),
    ) -> TransportLayerCc {
        let delta = |delta| RecvDelta { type_tcc_packet: SymbolTypeTcc::PacketReceivedLargeDelta, delta };
        TransportLayerCc {
            base_sequence_number: base, packet_status_count: count, reference_time: reference,
            packet_chunks: chunks, recv_deltas: deltas.into_iter().map(delta).collect(), ..Default::default()
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn no_report_makes_it_panic_or_leave_its_limits(
        steps in prop::collection::vec((report(), 0u64..3_000, 0u16..30, any::<u8>(), any::<u64>()), 1..30),
    ) {
        let mut now = Instant::now();
        let mut controller = Controller::new(now, LIMITS);
        let mut seq = 0u16;
        for (report, pause, packets, fraction, remb) in steps {
            now += ms(pause);
            let probe = controller.probe(now);
            for _ in 0..packets {
                let packet = Packet { twcc: seq, bytes: 1000, at: now, probe: probe.map(|probe| probe.id) };
                controller.sent(&packet);
                seq = seq.wrapping_add(1);
            }
            controller.feedback(now, &report);
            controller.receiver_report(now, fraction);
            controller.remb(now, remb);
            controller.handle_timeout(now);
            prop_assert!((LIMITS.min..=LIMITS.max).contains(&controller.target()));
            prop_assert!((0.0..=1.0).contains(&controller.loss()));
            prop_assert!(controller.rtt_ms().is_finite());
        }
    }
}
