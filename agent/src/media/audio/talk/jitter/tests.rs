//! The jitter buffer on simulated networks under a virtual clock.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::{
    simulation::{Ear, Network, heard_from},
    *,
};
use crate::media::audio::{
    AudioCodec, BLOCK,
    codec::{AudioEncoder, OpusEncoder},
    dsp::{
        level::{rms_dbov, tests::sine},
        pitch::DominantFrequency,
    },
};

#[test]
fn a_steady_talker_is_played_whole_with_the_smallest_delay() {
    for (codec, packet_ms) in [
        (AudioCodec::Opus, 20),
        (AudioCodec::Pcmu, 10),
        (AudioCodec::Pcmu, 20),
        (AudioCodec::Pcma, 40),
        (AudioCodec::Pcmu, 60),
    ] {
        let ear = heard_from(&Network { codec, packet_ms, ..Network::default() }, 20);
        let counts = ear.counts;
        assert_eq!((counts.lost, counts.late, counts.dropped), (0, 0, 0), "{codec:?} {packet_ms} ms");
        assert!(ear.concealed_ms() <= 20, "{codec:?} {packet_ms} ms: {}", ear.concealed_ms());
        let delay = ear.delays_ms[ear.delays_ms.len() - 100];
        assert!((10.0..=50.0).contains(&delay), "{codec:?} {packet_ms} ms: {delay}");
    }
}

#[test]
fn jitter_is_bought_off_with_delay() {
    let ear = heard_from(&Network { jitter_ms: 80, ..Network::default() }, 60);
    let delay = ear.delays_ms[ear.delays_ms.len() - 100];
    assert!((70.0..=125.0).contains(&delay), "{delay} ms for 80 ms of jitter");
    assert!(ear.counts.late <= 3000 * 6 / 100, "{} of 3000 late", ear.counts.late);
    assert!(ear.concealed_ms() <= 60_000 * 6 / 100, "{} ms concealed", ear.concealed_ms());
}

#[test]
fn the_delay_falls_again_when_the_path_is_good_again() {
    let start = Instant::now();
    let mut packets = Network { jitter_ms: 200, ..Network::default() }.send(start, 40);
    let steady = Network::default().send(start, 40);
    let turn = start + Duration::from_secs(15);
    packets.retain(|packet| packet.arrival < turn);
    let got: Vec<u16> = packets.iter().map(|packet| packet.sequence).collect();
    packets.extend(
        steady.into_iter().filter(|packet| packet.arrival >= turn && !got.contains(&packet.sequence)),
    );
    let mut ear = Ear::new(start);
    ear.listen(&packets);
    let bad = ear.delays_ms[700];
    let good = ear.delays_ms[ear.delays_ms.len() - 50];
    assert!(bad > 150.0 && good < 60.0, "{bad} ms, then {good} ms");
}

#[test]
fn a_clock_that_is_off_by_200_ppm_keeps_the_delay_for_ten_minutes() {
    for drift_ppm in [200.0, -200.0] {
        let ear = heard_from(&Network { drift_ppm, jitter_ms: 10, ..Network::default() }, 600);
        let settled = &ear.delays_ms[500..ear.delays_ms.len() - 50];
        let (low, high) = settled.iter().fold((f64::MAX, 0.0_f64), |(l, h), d| (l.min(*d), h.max(*d)));
        assert!(low >= 5.0 && high <= 65.0, "{drift_ppm} ppm: {low} to {high} ms");
        // 120 ms too much or too little in 10 minutes: that is all that may have been changed or made up.
        assert!(ear.concealed_ms() <= 200, "{drift_ppm} ppm: {} ms concealed", ear.concealed_ms());
        assert_eq!(ear.counts.dropped, 0);
    }
}

#[test]
fn lost_packets_are_counted_and_bridged_without_silence() {
    for codec in [AudioCodec::Opus, AudioCodec::Pcmu] {
        let ear = heard_from(&Network { codec, loss_percent: 5, ..Network::default() }, 20);
        let sent = 1000;
        assert_eq!(ear.counts.lost + ear.counts.received, sent, "{codec:?}");
        assert!((20..=90).contains(&ear.counts.lost), "{codec:?}: {} lost", ear.counts.lost);
        let missing = ear.counts.lost * 20;
        assert!(
            (missing * 7 / 10..=missing * 13 / 10 + 40).contains(&ear.concealed_ms()),
            "{codec:?}: {} of {missing}",
            ear.concealed_ms()
        );
        // A guess is quieter than the real thing, but no hole.
        let holes = ear.heard[48_000..48_000 * 19].chunks(960).filter(|b| rms_dbov(b) < -45.0).count();
        assert!(codec != AudioCodec::Opus || holes <= 3, "{holes} holes");
    }
}

#[test]
fn what_a_lost_opus_packet_said_is_heard_from_the_copy_in_the_next_one() {
    let start = Instant::now();
    let mut packets = Network { codec: AudioCodec::Opus, ..Network::default() }.send(start, 10);
    // Each tenth packet says another tone, which no other packet says, and is lost.
    let mut encoder = OpusEncoder::new(32).unwrap();
    for (n, packet) in packets.iter_mut().enumerate() {
        let hz = if n % 10 == 9 { 900.0 } else { 300.0 };
        packet.payload = encoder.encode(&sine(hz, 8000.0, 0.02)).unwrap();
    }
    let mut n = 0;
    packets.retain(|_| {
        n += 1;
        n % 10 != 0
    });
    let mut ear = Ear::new(start);
    ear.listen(&packets);
    assert!((49..=50).contains(&ear.counts.lost), "{}", ear.counts.lost);
    // 900 Hz crosses zero 9 times in 5 ms, 300 Hz 3 times.
    let crossings = |b: &[i16]| b.windows(2).filter(|w| (w[0] < 0) != (w[1] < 0)).count();
    let high: Vec<bool> = ear.heard.chunks(240).map(|b| rms_dbov(b) > -25.0 && crossings(b) >= 7).collect();
    let heard = high.windows(2).filter(|w| !w[0] && w[1]).count();
    assert!((40..=55).contains(&heard), "{heard} of 49 lost tones were heard");
}

#[test]
fn duplicates_are_counted_and_played_once() {
    let ear = heard_from(&Network { duplicate_percent: 50, ..Network::default() }, 10);
    assert!(ear.counts.duplicated > 200);
    assert_eq!((ear.counts.lost, ear.counts.late, ear.counts.dropped), (0, 0, 0));
    assert_eq!(ear.counts.received, 500 + ear.counts.duplicated);
}

#[test]
fn a_talker_who_begins_late_and_stops_is_silence_before_and_after() {
    let start = Instant::now();
    let mut ear = Ear::new(start);
    (0..500).for_each(|_| ear.pull());
    assert!(ear.playing.iter().all(|playing| !playing) && ear.heard.iter().all(|s| *s == 0));
    let network = Network { codec: AudioCodec::Opus, ..Network::default() };
    ear.listen(&network.send(ear.now, 2));
    (0..100).for_each(|_| ear.pull());
    let spoken = ear.playing.iter().filter(|playing| **playing).count();
    assert!((100..=135).contains(&spoken), "{spoken} blocks for 2 s of talk");
    assert!(
        !ear.playing[ear.playing.len() - 1] && ear.heard[ear.heard.len() - 4800..].iter().all(|s| *s == 0)
    );
    assert_eq!(ear.concealed_ms(), 0, "the end of a talk is no loss");
    // And again, with numbers that go on as if nothing had been in between.
    let mut more = network.send(ear.now, 4);
    more.drain(..100);
    for packet in &mut more {
        packet.arrival -= Duration::from_secs(2);
    }
    ear.playing.clear();
    ear.listen(&more);
    let spoken = ear.playing.iter().filter(|playing| **playing).count();
    assert!((95..=120).contains(&spoken), "{spoken} blocks after the pause");
    assert_eq!((ear.counts.lost, ear.counts.dropped, ear.counts.late), (0, 0, 0));
}

#[test]
fn pauses_of_dtx_are_no_loss_and_do_not_move_the_delay() {
    let start = Instant::now();
    let mut packets = Network { codec: AudioCodec::Opus, ..Network::default() }.send(start, 10);
    let mut sequence = packets[0].sequence;
    // The sender leaves out 300 ms of each second; its sequence goes on, its timestamps jump.
    let mut n = 0;
    packets.retain(|_| {
        n += 1;
        n % 50 < 35
    });
    for packet in &mut packets {
        packet.sequence = sequence;
        sequence = sequence.wrapping_add(1);
    }
    let mut ear = Ear::new(start);
    ear.listen(&packets);
    assert_eq!((ear.counts.lost, ear.counts.late, ear.counts.dropped), (0, 0, 0));
    assert_eq!(ear.concealed_ms(), 0);
    let delay = ear.delays_ms[ear.delays_ms.len() - 20];
    assert!((10.0..=80.0).contains(&delay), "{delay}");
}

#[test]
fn a_sender_that_starts_anew_is_followed_after_two_packets_and_a_stray_packet_is_not() {
    let start = Instant::now();
    let mut packets = Network::default().send(start, 4);
    // From 2 s on, other numbers altogether, as after a reload behind the same session.
    for packet in &mut packets[100..] {
        packet.sequence = packet.sequence.wrapping_sub(20_000);
        packet.timestamp = packet.timestamp.wrapping_sub(3_000_000);
    }
    let stray = TalkPacket { sequence: 7, timestamp: 7, ..packets[50].clone() };
    packets.insert(50, stray);
    let mut ear = Ear::new(start);
    ear.listen(&packets);
    assert_eq!(ear.counts.dropped, 2, "the stray one and the first of the new numbers");
    assert_eq!(ear.counts.lost, 0);
    let spoken = ear.playing.iter().filter(|playing| **playing).count();
    assert!(spoken >= 190, "{spoken} of 200 blocks");
}

#[test]
fn a_stall_of_the_path_ends_with_what_is_new_and_not_seconds_behind() {
    let start = Instant::now();
    let mut packets = Network::default().send(start, 10);
    let (from, to) = (start + Duration::from_secs(3), start + Duration::from_secs(5));
    for packet in &mut packets {
        if packet.arrival > from && packet.arrival < to {
            packet.arrival = to;
        }
    }
    let mut ear = Ear::new(start);
    ear.listen(&packets);
    // 2 s held up: after at most 1 s of catching up no sample is later than the cap and the backlog allow.
    assert!(ear.delays_ms[250..].iter().all(|delay| *delay < 800.0));
    assert!(ear.counts.dropped > 50, "{}", ear.counts.dropped);
    assert_eq!(ear.counts.late, 0);
}

#[test]
fn a_talker_who_changes_the_codec_is_followed() {
    let start = Instant::now();
    let mut ear = Ear::new(start);
    let mut packets = Network::default().send(start, 2);
    packets.extend(
        Network { codec: AudioCodec::Opus, ..Network::default() }.send(start + Duration::from_secs(2), 2),
    );
    ear.listen(&packets);
    assert_eq!(ear.counts.dropped, 0);
    let mut pitch = DominantFrequency::new().unwrap();
    pitch.push(&ear.heard[48_000 * 3..48_000 * 3 + 14_400]);
    assert!((pitch.estimate().unwrap() - 300.0).abs() < 3.0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// On any path, what came is accounted for, the delay stays within its cap, and the end is silence.
    #[test]
    fn any_path_is_survived(
        packet_ms in prop::sample::select(vec![10_u64, 20, 40, 60]),
        jitter_ms in 0_u64..300,
        loss_percent in 0_u64..40,
        duplicate_percent in 0_u64..20,
        drift_ppm in -500.0..500.0_f64,
        seed in any::<u64>(),
    ) {
        let network = Network {
            codec: AudioCodec::Pcma, packet_ms, drift_ppm, jitter_ms, loss_percent, duplicate_percent, seed,
        };
        let start = Instant::now();
        let packets = network.send(start, 15);
        let mut ear = Ear::new(start);
        ear.listen(&packets);
        (0..30).for_each(|_| ear.pull());
        prop_assert_eq!(ear.counts.received, packets.len() as u64);
        prop_assert!(ear.delays_ms.iter().all(|delay| *delay <= 1000.0));
        prop_assert!(!ear.playing[ear.playing.len() - 1]);
        prop_assert_eq!(ear.heard.len(), ear.playing.len() * BLOCK);
        let once = packets.len() as u64 - ear.counts.duplicated;
        prop_assert!(ear.counts.late + ear.counts.dropped <= once);
        // Past the first seconds the delay covers all but a few of the packets that come.
        if loss_percent == 0 && jitter_ms < 100 {
            prop_assert!(ear.counts.late * 8 <= once, "{} of {} late", ear.counts.late, once);
        }
    }

    /// Whatever numbers and bytes come: no panic, bounded memory, blocks as long as asked for.
    #[test]
    fn any_packets_do_no_harm(
        packets in prop::collection::vec(
            (0_u8..3, any::<u16>(), any::<u32>(), prop::collection::vec(any::<u8>(), 0..200), 0_u64..100),
            0..200,
        ),
    ) {
        let mut ear = Ear::new(Instant::now());
        let mut arrival = ear.now;
        for (codec, sequence, timestamp, payload, later) in packets {
            arrival += Duration::from_millis(later);
            let codec = [AudioCodec::Opus, AudioCodec::Pcmu, AudioCodec::Pcma][usize::from(codec)];
            // Near each other, else all of them would be strangers.
            let (sequence, timestamp) = (sequence % 300, timestamp % 100_000);
            ear.buffer.insert(&TalkPacket { codec, sequence, timestamp, payload: payload.into(), arrival });
            while ear.now < arrival {
                ear.pull();
            }
        }
        (0..100).for_each(|_| ear.pull());
        prop_assert_eq!(ear.heard.len(), ear.playing.len() * BLOCK);
    }
}
