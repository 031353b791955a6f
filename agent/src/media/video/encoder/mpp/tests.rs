//! What the encoder does with MPP's functions: on a stand-in, because there is no Rockchip chip where tests run.
#![allow(clippy::unwrap_used)]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    camera::{Camera, FileBuffer, SIZE, device, file},
    stand_in::StandIn,
    *,
};
use crate::media::video::{
    BufferKey, DevicePlane, PixelFormat, RawFrame,
    annexb::{NAL_IDR, NAL_PPS, NAL_SPS, nal_type, nal_units},
    decoder::H264Decoder,
    testing::clip,
};

fn settings() -> EncoderSettings {
    let (width, height) = SIZE;
    EncoderSettings { width, height, fps: 30, bitrate: Bitrate(400_000), keyframe_interval: 300 }
}

/// The parameter sets, an IDR without them, and the picture after it.
fn h264_units() -> [Vec<u8>; 3] {
    let units = clip(2, 100, 30);
    let is_set = |nal: &&[u8]| [NAL_SPS, NAL_PPS].contains(&nal_type(nal));
    let annexb = |nals: Vec<&[u8]>| nals.iter().flat_map(|nal| [&[0, 0, 0, 1][..], nal].concat()).collect();
    let (sets, slices) = nal_units(&units[0].data).partition(is_set);
    [annexb(sets), annexb(slices), units[1].data.to_vec()]
}

fn stand_in() -> StandIn {
    let units = h264_units();
    StandIn::giving([&units[0], &units[1], &units[2]])
}

fn open(stand_in: &StandIn) -> anyhow::Result<MppEncoder> {
    let stream = MppStream::open_in(stand_in.library.clone(), &settings(), MppCodec::H264)?;
    Ok(MppEncoder::on(stream, &settings()))
}

fn memory_frame() -> VideoFrame {
    let (width, height) = SIZE;
    let plane = |value: u8, length: u32| bytes::Bytes::from(vec![value; length as usize]);
    let pixels = width * height;
    let planes = [plane(1, pixels), plane(2, pixels / 4), plane(3, pixels / 4)];
    RawFrame::new(width, height, planes, Instant::now()).into()
}

fn kinds(unit: &AccessUnit) -> Vec<u8> {
    nal_units(&unit.data).map(nal_type).collect()
}

#[test]
fn without_the_device_the_words_say_what_is_missing() {
    if std::path::Path::new("/dev/mpp_service").exists() {
        return println!("not run: this machine has Rockchip's video unit");
    }
    let words = MppEncoder::probe().unwrap_err().to_string();
    println!("{words}");
    let wanting = ["no librockchip_mpp.so.1: ", "no /dev/mpp_service: "];
    assert!(wanting.iter().any(|wanting| words.starts_with(wanting)), "{words}");
    let error = MppEncoder::open(&settings(), VideoCodec::H264).err().unwrap();
    assert_eq!(error.to_string(), words);
    let error = MppEncoder::open(&settings(), VideoCodec::Vp8).err().unwrap();
    assert!(error.to_string().starts_with("MPP encodes H.264 for viewers, not "), "{error}");
}

#[test]
fn an_encoder_is_opened_in_mpps_order_and_set_to_what_was_asked_for() {
    let stand_in = stand_in();
    let encoder = open(&stand_in).unwrap();
    assert_eq!(stand_in.calls(), "create init set_cfg header");
    let expected = [
        ("type", abi::MPP_CTX_ENC),
        ("coding", abi::MPP_VIDEO_CodingAVC),
        ("codec:type", abi::MPP_VIDEO_CodingAVC),
        ("prep:width", 320),
        ("prep:height", 180),
        ("rc:mode", abi::MPP_ENC_RC_MODE_CBR),
        ("rc:fps_in_num", 30),
        ("rc:fps_out_num", 30),
        ("rc:gop", 300),
        ("rc:bps_target", 400_000),
        ("rc:bps_max", 425_000),
        ("rc:bps_min", 375_000),
        ("h264:profile", 66),
        ("h264:level", 13),
        ("h264:cabac_en", 0),
        ("h264:trans8x8", 0),
        ("header_mode", abi::MPP_ENC_HEADER_MODE_EACH_IDR),
        ("sei_mode", abi::MPP_ENC_SEI_MODE_DISABLE),
    ];
    assert_eq!(expected.map(|(name, _)| (name, stand_in.setting(name))), expected);
    assert_eq!(stand_in.setting("input_timeout") + stand_in.setting("output_timeout"), 1000);
    drop(encoder);
    assert_eq!(stand_in.calls(), "destroy");
}

#[test]
fn every_idr_has_its_parameter_sets_once_and_the_stream_can_be_decoded() {
    let stand_in = stand_in();
    let mut encoder = open(&stand_in).unwrap();
    let mut decoder = H264Decoder::new().unwrap();
    let frame = memory_frame();
    let keyframe_at = [3, 4];
    let units: Vec<_> =
        (0..6).map(|n| encoder.encode(&frame, keyframe_at.contains(&n)).unwrap().unwrap()).collect();
    for (unit, number) in units.iter().zip(0..) {
        let key = number == 0 || keyframe_at.contains(&number);
        assert_eq!(unit.keyframe, key, "picture {number}");
        if key {
            // MPP leaves them out of the first one, because it was asked for them before.
            assert_eq!(kinds(unit), [NAL_SPS, NAL_PPS, NAL_IDR], "picture {number}");
        }
        assert_eq!((unit.codec, unit.width, unit.height), (VideoCodec::H264, 320, 180));
        assert_eq!((unit.captured, unit.dequeued, unit.copies), (frame.captured(), frame.captured(), 1));
    }
    for unit in &units[..2] {
        let decoded = decoder.decode(unit).unwrap().unwrap();
        assert_eq!((decoded.width, decoded.height), SIZE);
    }
    assert_eq!(stand_in.calls().matches("idr").count(), 2, "the first picture need not be asked for");
    drop(encoder);
    stand_in.assert_all_released();
}

#[test]
fn camera_buffers_are_imported_once_and_never_copied() {
    let stand_in = stand_in();
    let mut encoder = open(&stand_in).unwrap();
    let camera = Camera::new(7, 320, 4);
    for number in 0..12 {
        let unit = encoder.encode(&camera.frame(number), false).unwrap().unwrap();
        assert_eq!(unit.copies, 0);
        assert!(stand_in.picture().iter().all(|byte| *byte == (number % 4) as u8 + 1), "picture {number}");
    }
    let calls = stand_in.calls();
    assert_eq!((calls.matches("import").count(), calls.matches("allocate").count()), (4, 0), "{calls}");
    let fields = ["width", "height", "stride", "rows", "format"].map(|field| stand_in.frame(field));
    assert_eq!(fields, [320, 180, 320, 180, abi::MPP_FMT_YUV420SP]);
    let set = ["prep:hor_stride", "prep:ver_stride", "prep:format"].map(|name| stand_in.setting(name));
    assert_eq!(set, [320, 180, abi::MPP_FMT_YUV420SP]);
    assert_eq!(stand_in.live("buffer"), 4);

    let restarted = Camera::new(8, 320, 3);
    (0..6).for_each(|number| drop(encoder.encode(&restarted.frame(number), false).unwrap()));
    assert_eq!(stand_in.calls().matches("import").count(), 3);
    assert_eq!(stand_in.live("buffer"), 3, "the old stream's buffers are let go");
    drop(encoder);
    stand_in.assert_all_released();
}

#[test]
fn what_the_video_unit_cannot_read_in_place_is_copied_once() {
    let stand_in = stand_in();
    let mut encoder = open(&stand_in).unwrap();
    let no_dmabuf = Camera::new(1, 320, 2).without_dmabuf();
    let odd_stride = Camera::new(2, 328, 2);
    for camera in [no_dmabuf, odd_stride] {
        let unit = encoder.encode(&camera.frame(1), false).unwrap().unwrap();
        assert_eq!(unit.copies, 1, "stride {}", camera.stride);
        let picture = stand_in.picture();
        // 64 divides 320; the 180 rows are followed by 12.
        assert_eq!(picture.len(), 320 * 192 * 3 / 2);
        let written = picture[..320 * 180].iter().chain(&picture[320 * 192..320 * (192 + 90)]);
        assert!(written.copied().all(|byte| byte == 2));
        assert_eq!(picture.iter().filter(|byte| **byte == 2).count(), 320 * 270, "and nothing else");
    }
    let calls = stand_in.calls();
    assert_eq!((calls.matches("import").count(), calls.matches("allocate").count()), (0, 1), "{calls}");

    // NV12 in a plane each for its two colour planes.
    let planes = [180, 90].map(|rows| {
        let length = 320 * rows;
        DevicePlane { stride: 320, length, bytes_used: length, offset: 0 }
    });
    let content = [vec![4; 320 * 180], vec![5; 320 * 90]].concat();
    let key = BufferKey { stream: 3, index: 0 };
    let two = FileBuffer { key, planes: planes.to_vec(), content, dmabuf: None };
    assert_eq!(encoder.encode(&device(PixelFormat::Nv12, two), false).unwrap().unwrap().copies, 1);
    let picture = stand_in.picture();
    assert!(picture[..320 * 180].iter().all(|byte| *byte == 4));
    assert!(picture[320 * 192..][..320 * 90].iter().all(|byte| *byte == 5));

    assert_eq!(encoder.encode(&memory_frame(), false).unwrap().unwrap().copies, 1);
    let picture = stand_in.picture();
    let at = [0, 320 * 192, 320 * 192 * 5 / 4].map(|offset| picture[offset]);
    assert_eq!((at, stand_in.frame("format")), ([1, 2, 3], abi::MPP_FMT_YUV420P));
    assert_eq!(stand_in.live("buffer"), 1, "the copy of the other layout is let go");
    drop(encoder);
    stand_in.assert_all_released();
}

#[test]
fn yuyv_is_taken_where_it_is_with_its_stride_in_bytes() {
    let stand_in = stand_in();
    let mut encoder = open(&stand_in).unwrap();
    let length = 640 * 180;
    let content = vec![9; length as usize];
    let planes = vec![DevicePlane { stride: 640, length, bytes_used: length, offset: 0 }];
    let dmabuf = Some(Arc::new(file(&content)));
    let buffer = FileBuffer { key: BufferKey { stream: 1, index: 0 }, planes, content, dmabuf };
    assert_eq!(encoder.encode(&device(PixelFormat::Yuyv, buffer), false).unwrap().unwrap().copies, 0);
    let fields = ["stride", "rows", "format"].map(|field| stand_in.frame(field));
    assert_eq!(fields, [640, 180, abi::MPP_FMT_YUV422_YUYV]);
}

#[test]
fn a_driver_that_refuses_the_cameras_buffers_is_asked_once_a_stream() {
    let stand_in = stand_in();
    let mut encoder = open(&stand_in).unwrap();
    stand_in.fault("import", 1);
    let camera = Camera::new(1, 320, 2);
    let copies = (0..4).map(|number| encoder.encode(&camera.frame(number), false).unwrap().unwrap().copies);
    assert_eq!(copies.collect::<Vec<_>>(), [1; 4]);
    assert_eq!(stand_in.calls().matches("import").count(), 1);
    stand_in.fault("import", 0);
    assert_eq!(encoder.encode(&Camera::new(2, 320, 2).frame(0), false).unwrap().unwrap().copies, 0);
    drop(encoder);
    stand_in.assert_all_released();
}

#[test]
fn a_new_bit_rate_is_set_at_run_time_within_the_limits() {
    let stand_in = stand_in();
    let mut encoder = open(&stand_in).unwrap();
    let frame = memory_frame();
    encoder.encode(&frame, false).unwrap();
    stand_in.calls();
    encoder.set_bitrate(Bitrate(160_000)).unwrap();
    let rates = ["rc:bps_target", "rc:bps_max", "rc:bps_min"].map(|name| stand_in.setting(name));
    assert_eq!(rates, [160_000, 170_000, 150_000]);
    assert_eq!(stand_in.setting("prep:width"), 320, "the rest stays");
    encoder.set_bitrate(Bitrate(160_000)).unwrap();
    encoder.set_bitrate(Bitrate(1)).unwrap();
    assert_eq!(stand_in.setting("rc:bps_target"), encoder.limits().start().0 as i32);
    assert_eq!(stand_in.calls(), "set_cfg set_cfg", "the same rate is not set again");
    let unit = encoder.encode(&frame, false).unwrap().unwrap();
    assert!(!unit.keyframe, "a new rate needs no IDR");
}

#[test]
fn a_stall_is_an_error_within_a_second_and_the_next_encoder_waits_for_the_release() {
    let stand_in = stand_in();
    let mut encoder = open(&stand_in).unwrap();
    let frame = memory_frame();
    encoder.encode(&frame, false).unwrap();
    stand_in.fault("stall", 1);
    stand_in.fault("hang", 1);
    let start = Instant::now();
    let words = encoder.encode(&frame, false).unwrap_err().to_string();
    let waited = start.elapsed();
    assert!(words.contains("gave nothing for") && words.contains("dmesg"), "{words}");
    assert!((Duration::from_millis(700)..Duration::from_millis(1500)).contains(&waited), "{waited:?}");
    let words = encoder.encode(&frame, false).unwrap_err().to_string();
    assert_eq!(words, "the Rockchip encoder was closed after its error");
    drop(encoder);
    let words = open(&stand_in).err().unwrap().to_string();
    assert!(words.contains("still hangs in its driver"), "{words}");

    stand_in.fault("stall", 0);
    stand_in.fault("hang", 0);
    let mut encoder = open(&stand_in).unwrap();
    assert!(encoder.encode(&frame, false).unwrap().unwrap().keyframe, "the stream goes on from an IDR");
    drop(encoder);
    stand_in.assert_all_released();
}

#[test]
fn each_failure_has_its_words_and_leaves_nothing_behind() {
    for (fault, code, words) in [
        ("put", abi::MPP_ERR_VPUHW, "MPP cannot encode a picture: MPP_ERR_VPUHW (-1009)"),
        ("no packet", 1, "gave nothing for"),
        ("empty", 1, "failed on a picture"),
        ("allocate", 1, "MPP cannot allocate a picture: MPP_ERR_MALLOC (-4)"),
    ] {
        let stand_in = stand_in();
        let mut encoder = open(&stand_in).unwrap();
        stand_in.fault("init", 0);
        if fault != "allocate" {
            encoder.encode(&memory_frame(), false).unwrap();
        }
        stand_in.fault(fault, code);
        let error = encoder.encode(&memory_frame(), false).unwrap_err().to_string();
        assert!(error.contains(words), "{fault}: {error}");
        stand_in.fault(fault, 0);
        let mut again = open(&stand_in).unwrap();
        assert!(again.encode(&memory_frame(), false).unwrap().is_some(), "{fault}");
        drop((encoder, again));
        stand_in.assert_all_released();
    }
}

#[test]
fn an_encoder_that_cannot_be_opened_says_why_and_leaves_nothing_behind() {
    let stand_in = stand_in();
    for (fault, code, words) in [
        ("init", abi::MPP_NOK, "MPP cannot open an encoder: MPP_NOK (-1); this chip may have none"),
        ("rc:gop", 1, "MPP cannot set rc:gop: MPP_NOK (-1); the library may be of another version"),
        (
            "set_cfg",
            abi::MPP_ERR_VALUE,
            "MPP cannot take its settings: MPP_ERR_VALUE (-6); are width, height",
        ),
    ] {
        stand_in.fault(fault, code);
        let error = open(&stand_in).err().unwrap().to_string();
        assert!(error.starts_with(words), "{fault}: {error}");
        stand_in.fault(fault, 0);
    }
    let wide = EncoderSettings { width: 20_000, ..settings() };
    let error =
        MppStream::open_in(stand_in.library.clone(), &wide, MppCodec::H264).err().unwrap().to_string();
    assert!(error.contains("20000x180") && error.contains("[video]"), "{error}");
    let mut encoder = open(&stand_in).unwrap();
    encoder.encode(&memory_frame(), false).unwrap();
    drop(encoder);
    stand_in.assert_all_released();
}

#[test]
fn pictures_of_another_size_and_short_ones_are_refused_with_figures() {
    let stand_in = stand_in();
    let mut encoder = open(&stand_in).unwrap();
    let small = [16 * 16, 64, 64].map(|length| vec![0; length].into());
    let other = RawFrame::new(16, 16, small, Instant::now()).into();
    let words = encoder.encode(&other, false).unwrap_err().to_string();
    assert_eq!(words, "the picture has another size than the encoder");
    for dmabuf in [Some(Arc::new(file(&[0; 320 * 270]))), None] {
        let plane = DevicePlane { stride: 320, length: 320 * 270, bytes_used: 320 * 200, offset: 0 };
        let key = BufferKey { stream: 1, index: 0 };
        let short = FileBuffer { key, planes: vec![plane], content: vec![0; 320 * 270], dmabuf };
        let words = encoder.encode(&device(PixelFormat::Nv12, short), false).unwrap_err().to_string();
        assert!(words.starts_with("the camera gave ") && words.contains(" bytes of "), "{words}");
    }
}

#[test]
fn h265_has_its_three_parameter_sets_before_each_key_frame() {
    let [header, idr, trail] = [
        &[0, 0, 0, 1, 0x40, 1, 12, 0, 0, 0, 1, 0x42, 1, 1, 0, 0, 0, 1, 0x44, 1, 0xc1][..],
        &[0, 0, 0, 1, 0x26, 1, 0xaf],
        &[0, 0, 0, 1, 0x02, 1, 0xd0],
    ];
    let stand_in = StandIn::giving([header, idr, trail]);
    let mut stream = MppStream::open_in(stand_in.library.clone(), &settings(), MppCodec::H265).unwrap();
    assert_eq!(stand_in.setting("coding"), abi::MPP_VIDEO_CodingHEVC);
    let h265 = ["h265:profile", "h265:tier", "h265:level"].map(|name| stand_in.setting(name));
    assert_eq!(h265, [1, 0, 60]);
    let frame = memory_frame();
    let units: Vec<_> = (0..3).map(|n| stream.encode(&frame, n == 2).unwrap()).collect();
    let key = [header, idr].concat();
    let expected = [(&key[..], true), (trail, false), (&key, true)];
    assert_eq!(units.iter().map(|unit| (&unit.data[..], unit.keyframe)).collect::<Vec<_>>(), expected);
    drop(stream);
    stand_in.assert_all_released();
}
