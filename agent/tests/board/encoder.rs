//! Stateful V4L2 encoders: the virtual H.264 encoder with the face of the Raspberry Pi's, whose pictures are decoded again
//! and compared with what went in.

use std::time::{Duration, Instant, UNIX_EPOCH};

use p2pcam_agent::media::video::{
    Bitrate, PixelFormat, VideoEncoder,
    annexb::{NAL_IDR, NAL_PPS, NAL_SPS, nal_type, nal_units},
    decoder::H264Decoder,
    encoder::m2m::{Engine, EngineSettings, Layout, M2mDevice, M2mEncoder, discover},
    pattern::{PatternSource, read_strip},
    v4l2::{FourCc, Memory},
};

use crate::{encoder_support::*, support::on_board};

#[test]
fn an_encoder_is_found_by_what_it_can_and_decoders_and_other_codecs_are_not() {
    if !on_board() {
        return;
    }
    let found = discover().unwrap();
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((found[0].driver.as_str(), found[0].card.as_str()), (DRIVER, "virtual H.264 encoder"));
    assert!(found[0].dmabuf && found[0].inputs.contains(&FourCc(*b"NV12")));
    let encodes = |node: &std::path::Path| M2mDevice::look(node, FWHT).unwrap().is_some();
    let vicodec: Vec<_> = nodes_of("vicodec").into_iter().filter(|node| encodes(node)).collect();
    assert_eq!(vicodec.len(), 1, "its encoder, and neither of its decoders");
}

#[test]
fn what_is_decoded_again_is_what_was_encoded() {
    if !on_board() {
        return;
    }
    let before = parameter("count_pictures");
    let mut encoder = open(SIZE, 2_000_000);
    let pattern = PatternSource::new(SIZE.0, SIZE.1, FPS, Instant::now()).unwrap();
    let mut decoder = H264Decoder::new().unwrap();
    for number in 0..40 {
        let picture = pattern.draw(number, UNIX_EPOCH, at(number));
        let unit = encode(&mut encoder, picture.clone(), false);
        assert_eq!((unit.copies, unit.captured), (1, picture.captured), "one copy into the encoder's memory");
        let decoded = decoder.decode(&unit).unwrap().unwrap();
        let (width, height) = (SIZE.0 as usize, SIZE.1 as usize);
        let strip = read_strip(&decoded.planes[0], width, height, width).unwrap();
        assert_eq!(u64::from(strip.frame), number);
        let error = mean_error(&picture, &decoded);
        assert!(error < 4.0, "picture {number} differs by {error} on the mean");
    }
    assert_eq!(parameter("count_pictures") - before, 40);
}

#[test]
fn parameter_sets_stand_before_each_idr_and_one_comes_just_where_it_is_forced() {
    if !on_board() {
        return;
    }
    let mut encoder = open(SIZE, 1_000_000);
    let units: Vec<_> =
        (0..60).map(|number| encode(&mut encoder, noise(SIZE, number), number == 41)).collect();
    let keyframes: Vec<_> = (0..units.len()).filter(|index| units[*index].keyframe).collect();
    assert_eq!(keyframes, [0, 41]);
    for unit in keyframes.iter().map(|index| &units[*index]) {
        let kinds: Vec<_> = nal_units(&unit.data).map(nal_type).collect();
        assert_eq!(kinds, [NAL_SPS, NAL_PPS, NAL_IDR]);
        let sps = nal_units(&unit.data).next().unwrap();
        assert_eq!((sps[1], sps[2] & 0xc0, sps[3]), (66, 0xc0, 30), "constrained baseline, level 3.0");
    }
}

#[test]
fn the_bit_rate_is_followed_down_and_up() {
    if !on_board() {
        return;
    }
    let mut encoder = open(SIZE, 3_000_000);
    assert_eq!(encoder.limits(), Bitrate(25_000)..=Bitrate(25_000_000));
    let mut measure = |bitrate: u32, from: u64| {
        encoder.set_bitrate(Bitrate(bitrate)).unwrap();
        let bits =
            (from..from + 45).map(|number| encode(&mut encoder, noise(SIZE, number), false).data.len() * 8);
        // Half a second to settle, one to measure.
        bits.skip(15).sum::<usize>()
    };
    let rates = [measure(3_000_000, 0), measure(800_000, 45), measure(3_000_000, 90)];
    for (measured, wanted) in rates.into_iter().zip([3_000_000, 800_000, 3_000_000]) {
        assert!((wanted * 7 / 10..wanted * 13 / 10).contains(&measured), "{rates:?}");
    }
}

#[test]
fn a_new_size_is_a_new_stream_that_begins_with_an_idr() {
    if !on_board() {
        return;
    }
    for size in [(320, 180), (640, 360), (1280, 720), (322, 182)] {
        let mut encoder = open(size, 2_000_000);
        let mut decoder = H264Decoder::new().unwrap();
        for number in 0..3 {
            let picture = noise(size, number);
            let unit = encode(&mut encoder, picture.clone(), false);
            assert_eq!((unit.keyframe, unit.width, unit.height), (number == 0, size.0, size.1));
            let decoded = decoder.decode(&unit).unwrap().unwrap();
            assert_eq!((decoded.width, decoded.height), size);
            assert!(mean_error(&picture, &decoded) < 10.0, "{size:?}");
        }
    }
    let error = M2mEncoder::open(&venc(), &settings((2560, 1440), 2_000_000)).err().unwrap().to_string();
    assert!(error.contains("2560x1440"), "{error}");
}

#[test]
fn draining_gives_every_picture_that_was_queued() {
    if !on_board() {
        return;
    }
    let (width, height) = SIZE;
    let layout = Layout { format: PixelFormat::Yu12, width, height, strides: vec![0] };
    let settings =
        EngineSettings { coded: FourCc(*b"H264"), layout, memory: Memory::Mmap, fps: FPS, coded_size: 0 };
    let mut engine = Engine::open(&venc().path, &settings, |_| Ok(())).unwrap();
    let tickets = [copy_in(&mut engine, &noise(SIZE, 0)), copy_in(&mut engine, &noise(SIZE, 1))];
    let rest = engine.drain(Instant::now() + Duration::from_secs(2)).unwrap();
    assert_eq!(rest.iter().map(|coded| coded.ticket).collect::<Vec<_>>(), tickets.map(Some));
    assert!(rest.iter().all(|coded| !coded.damaged) && rest[1].last);
}

#[test]
fn an_encoder_of_another_codec_with_few_controls_is_driven_too() {
    if !on_board() {
        return;
    }
    let node =
        nodes_of("vicodec").into_iter().find(|node| M2mDevice::look(node, FWHT).unwrap().is_some()).unwrap();
    let device = M2mDevice::look(&node, FWHT).unwrap().unwrap();
    assert!(device.inputs.contains(&FourCc(*b"YU12")), "{device:?}");
    let (width, height) = SIZE;
    let layout = Layout { format: PixelFormat::Yu12, width, height, strides: vec![0] };
    let settings = EngineSettings { coded: FWHT, layout, memory: Memory::Mmap, fps: FPS, coded_size: 0 };
    let mut engine = Engine::open(&node, &settings, |_| Ok(())).unwrap();
    let mut sizes = Vec::new();
    for number in 0..12 {
        let ticket = copy_in(&mut engine, &noise(SIZE, number));
        let deadline = Instant::now() + Duration::from_secs(5);
        let coded = engine.next(deadline).unwrap().unwrap();
        assert!(engine.settle(deadline).unwrap());
        assert_eq!((coded.ticket, coded.damaged, coded.last), (Some(ticket), false, false));
        // struct fwht_cframe_hdr: the magic in two words, version 3, width and height, all big-endian.
        let word = |index: usize| u32::from_be_bytes(*coded.data[index * 4..].first_chunk().unwrap());
        assert_eq!(
            [word(0), word(1), word(2), word(3), word(4)],
            [0x4f4f_4f4f, 0xffff_ffff, 3, width, height]
        );
        // V4L2_FWHT_FL_I_FRAME; its group of pictures has 10 by default.
        assert_eq!(word(5) & 1 << 10 != 0, number % 10 == 0, "{number}");
        sizes.push(coded.data.len());
    }
    assert!(sizes.iter().all(|size| *size > 100), "{sizes:?}");
    assert!(engine.drain(Instant::now() + Duration::from_secs(2)).unwrap().is_empty());
}
