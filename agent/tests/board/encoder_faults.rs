//! What the agent does when an encoder hangs, fails or cuts a picture, and when it has the Raspberry Pi's quirks; by the
//! virtual encoder's faults on request.

use std::time::{Duration, Instant};

use p2pcam_agent::media::video::{
    Bitrate, VideoEncoder,
    decoder::H264Decoder,
    encoder::{EncoderFault, m2m::M2mEncoder},
};

use crate::{encoder_support::*, support::on_board};

#[test]
fn an_encoder_that_hangs_is_given_a_second_and_goes_on_from_an_idr_when_it_is_opened_anew() {
    if !on_board() {
        return;
    }
    let mut encoder = open(SIZE, 1_000_000);
    encode(&mut encoder, noise(SIZE, 0), false);
    let _fault = Parameter::set("fault_hang", "1");
    let start = Instant::now();
    let error = encoder.encode(&noise(SIZE, 1).into(), false).unwrap_err();
    let took = start.elapsed();
    assert!(matches!(EncoderFault::of(&error), Some(EncoderFault::Hung { .. })), "{error:#}");
    assert!(error.to_string().contains("has given nothing for 1 s"), "{error:#}");
    assert!((Duration::from_secs(1)..Duration::from_secs(2)).contains(&took), "{took:?}");
    drop(encoder);
    assert!(encode(&mut open(SIZE, 1_000_000), noise(SIZE, 2), false).keyframe);
}

#[test]
fn a_picture_that_is_lost_is_refused_and_the_encoder_goes_on() {
    if !on_board() {
        return;
    }
    let mut encoder = open(SIZE, 1_000_000);
    let mut decoder = H264Decoder::new().unwrap();
    let unit = encode(&mut encoder, noise(SIZE, 0), false);
    assert!(decoder.decode(&unit).unwrap().is_some());
    let _fault = Parameter::set("fault_error", "1");
    let error = encoder.encode(&noise(SIZE, 1).into(), false).unwrap_err();
    assert!(matches!(EncoderFault::of(&error), Some(EncoderFault::Refused { .. })), "{error:#}");
    let unit = encode(&mut encoder, noise(SIZE, 2), true);
    assert!(unit.keyframe && decoder.decode(&unit).unwrap().is_some());
    assert!(!encode(&mut encoder, noise(SIZE, 3), false).keyframe);
}

#[test]
fn a_unit_that_is_cut_in_half_is_healed_by_the_next_idr() {
    if !on_board() {
        return;
    }
    let mut encoder = open(SIZE, 1_000_000);
    let mut decoder = H264Decoder::new().unwrap();
    decoder.decode(&encode(&mut encoder, noise(SIZE, 0), false)).unwrap();
    let fault = Parameter::set("fault_short", "1");
    // No word of the driver tells that it is cut: the viewer does, who then asks for a key frame.
    let cut = encode(&mut encoder, noise(SIZE, 1), false);
    drop(fault);
    let _ = decoder.decode(&cut);
    let picture = noise(SIZE, 2);
    let unit = encode(&mut encoder, picture.clone(), true);
    assert!(unit.keyframe);
    let mut decoder = H264Decoder::new().unwrap();
    assert!(mean_error(&picture, &decoder.decode(&unit).unwrap().unwrap()) < 10.0);
}

#[test]
fn an_encoder_with_the_raspberry_pis_quirks_is_driven_by_its_table() {
    if !on_board() {
        return;
    }
    let _zero = Parameter::set("fault_zero_timestamp", "-1");
    let _floor = Parameter::set("quirk_min_bitrate", "700000");
    // An IDR that does not fit in what the driver offers by itself.
    let _large = Parameter::set("quirk_idr_bytes", "600000");
    let hd = (1280, 720);
    {
        let mut ordinary = M2mEncoder::open(&venc(), &settings(hd, 100_000)).unwrap();
        assert!(ordinary.encode(&noise(hd, 0).into(), false).is_err(), "the quirks are there");
    }
    let _name = Parameter::set("quirk_driver", "bcm2835-codec");
    let mut encoder = open(hd, 100_000);
    assert_eq!(*encoder.limits().start(), Bitrate(700_000));
    for number in 0..3 {
        assert_eq!(encode(&mut encoder, noise(hd, number), false).keyframe, number == 0);
    }
    encoder.set_bitrate(Bitrate(1)).unwrap();
    assert!(!encode(&mut encoder, noise(hd, 3), false).keyframe);
    // Forced key frames are 250 ms apart, however often they are asked for.
    let start = Instant::now();
    let mut forced = 0;
    while start.elapsed() < Duration::from_secs(1) {
        forced += u32::from(encode(&mut encoder, noise(hd, 4), true).keyframe);
    }
    assert!((1..=5).contains(&forced), "{forced} in {:?}", start.elapsed());
}
