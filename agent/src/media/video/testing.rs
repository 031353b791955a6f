//! Real H.264 and MP4 files for tests: the pattern, encoded by OpenH264 and boxed here (ISO/IEC 14496-12).
#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant, UNIX_EPOCH};

use super::{
    AccessUnit, Bitrate, RawFrame, VideoCodec,
    annexb::{NAL_PPS, NAL_SPS, nal_type, nal_units},
    encoder::{EncoderSettings, open_encoder},
    pattern::{PatternSource, Strip, read_strip},
};

/// Time units a second in the files.
const TIMESCALE: u32 = 1000;

/// So many pictures of the pattern at 320x180, numbered from 0, with an IDR every `gop`.
pub fn clip(pictures: u32, gop: u32, fps: u32) -> Vec<AccessUnit> {
    let pattern = PatternSource::new(320, 180, fps, Instant::now()).unwrap();
    let bitrate = Bitrate(400_000);
    let settings = EncoderSettings { width: 320, height: 180, fps, bitrate, keyframe_interval: 1000 };
    let mut encoder = open_encoder(VideoCodec::H264, &settings).unwrap();
    let start = Instant::now();
    let encode = |number: u32| {
        let time = Duration::from_secs(1) * number / fps;
        let frame = pattern.draw(number.into(), UNIX_EPOCH + time, start + time);
        encoder.encode(&frame.into(), number.is_multiple_of(gop)).unwrap().unwrap()
    };
    (0..pictures).map(encode).collect()
}

/// The frame number that can be read off a picture.
pub fn number(frame: &RawFrame) -> Option<u32> {
    let (width, height) = (frame.width as usize, frame.height as usize);
    read_strip(&frame.planes[0], width, height, width).map(|Strip { frame, .. }| frame)
}

fn boxed(kind: &[u8; 4], parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    [&(body.len() as u32 + 8).to_be_bytes()[..], kind, &body].concat()
}

fn words(values: &[u32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_be_bytes()).collect()
}

/// A box with a table of so many 32-bit columns.
fn table(kind: &[u8; 4], rows: &[&[u32]]) -> Vec<u8> {
    boxed(kind, &[&words(&[0, rows.len() as u32]), &words(&rows.concat())])
}

/// An MP4 file of these units, each shown for `ms` milliseconds. With `reordered`, the table says that pictures are
/// shown in another order than they are stored in, as with B-frames.
pub fn mp4(units: &[AccessUnit], ms: u32, reordered: bool) -> Vec<u8> {
    let mut sets: [Vec<u8>; 2] = Default::default();
    let samples: Vec<Vec<u8>> = units
        .iter()
        .map(|unit| {
            let mut sample = Vec::new();
            for nal in nal_units(&unit.data) {
                match nal_type(nal) {
                    NAL_SPS => sets[0] = nal.to_vec(),
                    NAL_PPS => sets[1] = nal.to_vec(),
                    _ => sample.extend([&(nal.len() as u32).to_be_bytes()[..], nal].concat()),
                }
            }
            sample
        })
        .collect();
    let [sps, pps] = &sets;
    let length = |set: &[u8]| (set.len() as u16).to_be_bytes();
    let avcc = boxed(
        b"avcC",
        &[&[1, sps[1], sps[2], sps[3], 0xff, 0xe1], &length(sps), sps, &[1], &length(pps), pps],
    );
    let size = [&320u16.to_be_bytes()[..], &180u16.to_be_bytes()].concat();
    let avc1 = boxed(
        b"avc1",
        &[
            &[0; 6],
            &[0, 1],
            &[0; 16],
            &size,
            &words(&[0x48_0000, 0x48_0000, 0]),
            &[0, 1],
            &[0; 32],
            &[0, 24, 255, 255],
            &avcc,
        ],
    );
    let stsd = boxed(b"stsd", &[&words(&[0, 1]), &avc1]);

    let count = units.len() as u32;
    let ftyp = boxed(b"ftyp", &[b"isom", &words(&[0]), b"isomavc1"]);
    let mdat = boxed(b"mdat", &[&samples.concat()]);
    let sizes: Vec<u32> = samples.iter().map(|sample| sample.len() as u32).collect();
    let keyframes: Vec<[u32; 1]> =
        (1..).zip(units).filter(|(_, unit)| unit.keyframe).map(|(index, _)| [index]).collect();
    let keyframes: Vec<&[u32]> = keyframes.iter().map(|row| &row[..]).collect();
    let mut tables = vec![
        stsd,
        table(b"stts", &[&[count, ms]]),
        table(b"stss", &keyframes),
        table(b"stsc", &[&[1, count, 1]]),
        boxed(b"stsz", &[&words(&[0, 0, count]), &words(&sizes)]),
        table(b"stco", &[&[ftyp.len() as u32 + 8]]),
    ];
    if reordered {
        tables.push(table(b"ctts", &[&[1, ms / 2], &[count - 1, 0]]));
    }
    let stbl = boxed(b"stbl", &[&tables.concat()]);
    let url = boxed(b"url ", &[&words(&[1])]);
    let dinf = boxed(b"dinf", &[&boxed(b"dref", &[&words(&[0, 1]), &url])]);
    let minf = boxed(b"minf", &[&boxed(b"vmhd", &[&words(&[1, 0, 0])]), &dinf, &stbl]);
    let duration = count * ms;
    let mdhd = boxed(b"mdhd", &[&words(&[0, 0, 0, TIMESCALE, duration, 0x55c4_0000])]);
    let hdlr = boxed(b"hdlr", &[&words(&[0, 0]), b"vide", &words(&[0, 0, 0]), b"v\0"]);
    let mdia = boxed(b"mdia", &[&mdhd, &hdlr, &minf]);
    let matrix = words(&[0x1_0000, 0, 0, 0, 0x1_0000, 0, 0, 0, 0x4000_0000]);
    let tkhd = boxed(
        b"tkhd",
        &[&words(&[7, 0, 0, 1, 0, duration, 0, 0, 0, 0]), &matrix, &words(&[320 << 16, 180 << 16])],
    );
    let mvhd = boxed(
        b"mvhd",
        &[
            &words(&[0, 0, 0, TIMESCALE, duration, 0x1_0000, 0x100_0000, 0, 0]),
            &matrix,
            &[0; 24],
            &words(&[2]),
        ],
    );
    let moov = boxed(b"moov", &[&mvhd, &boxed(b"trak", &[&tkhd, &mdia])]);
    [ftyp, mdat, moov].concat()
}
