//! What playing a file promises, shown with files that are made here.
#![allow(clippy::unwrap_used)]

use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::media::video::{
    annexb::{NAL_IDR, NAL_PPS, NAL_SLICE, NAL_SPS, nal_type, nal_units},
    decoder::H264Decoder,
    testing::{clip, mp4, number},
};

fn write(bytes: &[u8], name: &str) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    fs::write(&path, bytes).unwrap();
    (dir, path)
}

fn open(path: &Path) -> Box<dyn VideoSource> {
    open_file(path, &VideoConfig::default()).unwrap()
}

fn error(path: &Path) -> String {
    format!("{:#}", open_file(path, &VideoConfig::default()).err().unwrap())
}

fn encoded(source: &mut dyn VideoSource) -> Arc<AccessUnit> {
    match source.next().unwrap() {
        SourceFrame::Encoded(unit) => unit,
        SourceFrame::Raw(_) => panic!("it is passed through"),
    }
}

#[test]
fn h264_in_mp4_is_passed_through_and_looped_without_a_seam() {
    let original = clip(10, 5, 100);
    let (_dir, path) = write(&mp4(&original, 10, false), "clip.mp4");
    let mut source = open(&path);
    let info = source.info();
    assert_eq!((info.width, info.height, info.fps, info.encoded), (320, 180, 100, Some(VideoCodec::H264)));

    let mut decoder = H264Decoder::new().unwrap();
    let units: Vec<_> = (0..25).map(|_| encoded(&mut *source)).collect();
    for (index, unit) in units.iter().enumerate() {
        assert_eq!(unit.data, original[index % 10].data, "not one byte is changed");
        assert_eq!(unit.keyframe, index % 5 == 0);
        let kinds: Vec<_> = nal_units(&unit.data).map(nal_type).collect();
        assert_eq!(kinds, if unit.keyframe { vec![NAL_SPS, NAL_PPS, NAL_IDR] } else { vec![NAL_SLICE] });
        assert_eq!(number(&decoder.decode(unit).unwrap().unwrap()), Some(index as u32 % 10));
    }
    let steps: Vec<_> = units.windows(2).map(|pair| pair[1].captured - pair[0].captured).collect();
    assert!(steps.iter().all(|step| *step == Duration::from_millis(10)), "{steps:?}");
}

#[test]
fn a_file_is_played_no_faster_than_its_timestamps_say() {
    let (_dir, path) = write(&mp4(&clip(4, 4, 25), 40, false), "clip.mp4");
    let mut source = open(&path);
    let start = Instant::now();
    let last = (0..4).map(|_| encoded(&mut *source)).last().unwrap();
    assert!(start.elapsed() >= Duration::from_millis(119));
    assert!(last.captured >= start + Duration::from_millis(119));
}

#[cfg(feature = "ffmpeg")]
#[test]
fn reordered_pictures_are_decoded_and_not_passed_through() {
    let (_dir, path) = write(&mp4(&clip(6, 6, 50), 20, true), "reordered.mp4");
    let mut source = open(&path);
    assert_eq!(source.info().encoded, None);
    assert_eq!(decoded_numbers(&mut *source, 6), [0, 1, 2, 3, 4, 5]);
}

#[cfg(feature = "ffmpeg")]
#[test]
fn a_file_that_is_no_mp4_is_decoded_looped_and_scaled_down() {
    let stream: Vec<u8> = clip(4, 4, 50).iter().flat_map(|unit| unit.data.to_vec()).collect();
    let (_dir, path) = write(&stream, "stream.h264");
    let mut source = open(&path);
    assert_eq!((source.info().width, source.info().height), (320, 180));
    assert_eq!(decoded_numbers(&mut *source, 10), [0, 1, 2, 3, 0, 1, 2, 3, 0, 1]);

    let config = VideoConfig { width: 160, height: 120, ..VideoConfig::default() };
    let mut small = open_file(&path, &config).unwrap();
    let SourceFrame::Raw(frame) = small.next().unwrap() else { panic!("it is decoded") };
    let frame = frame.i420().unwrap();
    assert_eq!((frame.width, frame.height, frame.is_whole()), (160, 90, true));
}

#[cfg(feature = "ffmpeg")]
fn decoded_numbers(source: &mut dyn VideoSource, count: usize) -> Vec<u32> {
    let mut last = None;
    let mut numbers = Vec::new();
    while numbers.len() < count {
        let SourceFrame::Raw(frame) = source.next().unwrap() else { panic!("it is decoded") };
        let frame = frame.i420().unwrap();
        assert!(Some(frame.captured) > last, "times grow");
        last = Some(frame.captured);
        numbers.push(number(&frame).unwrap());
    }
    numbers
}

#[test]
fn a_missing_file_and_a_directory_are_told_in_words() {
    let dir = tempfile::tempdir().unwrap();
    let words = error(&dir.path().join("gone.mp4"));
    assert!(words.contains("gone.mp4 cannot be opened") && words.contains("permissions"), "{words}");
    let words = error(dir.path());
    assert!(words.contains("is not a file"), "{words}");
}

#[test]
fn a_file_without_video_is_refused_with_its_name() {
    let (_dir, path) = write(b"These are not the pictures that you are looking for.", "letter.txt");
    let words = error(&path);
    assert!(words.contains("letter.txt"), "{words}");
}

#[test]
fn a_file_that_becomes_shorter_is_an_error_and_not_a_panic() {
    let (_dir, path) = write(&mp4(&clip(4, 4, 100), 10, false), "clip.mp4");
    let mut source = open(&path);
    encoded(&mut *source);
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(100).unwrap();
    let words = source.next().err().unwrap().to_string();
    assert!(words.contains("clip.mp4 cannot be read at its picture 1"), "{words}");
}

/// Real footage is not in the repository: its path is given by the test set-up.
#[test]
fn real_footage_plays_if_there_is_some() {
    let Some(path) = std::env::var_os("P2PCAM_FOOTAGE") else {
        eprintln!("P2PCAM_FOOTAGE names no file: only files that are made here are played");
        return;
    };
    let mut source = open(Path::new(&path));
    let info = source.info().clone();
    eprintln!("{info:?}");
    let mut decoder = H264Decoder::new().unwrap();
    let mut pictures = 0;
    for _ in 0..40 {
        let frame = match source.next().unwrap() {
            SourceFrame::Raw(frame) => Some(frame.i420().unwrap()),
            SourceFrame::Encoded(unit) => decoder.decode(&unit).unwrap().map(Arc::new),
        };
        let Some(frame) = frame else { continue };
        assert_eq!((frame.width, frame.height), (info.width, info.height));
        let luma = &frame.planes[0];
        let mean = luma.iter().map(|value| u64::from(*value)).sum::<u64>() / luma.len() as u64;
        pictures += usize::from((20..230).contains(&mean));
    }
    assert!(pictures >= 30, "only {pictures} of 40 pictures are neither black nor white");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn a_damaged_mp4_is_no_panic(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let mut bytes = DAMAGED.with(Vec::clone);
        for (at, value) in changes {
            // The index is at the end: damage there is what matters.
            let from = bytes.len() - 700;
            let at = from + at.index(700);
            bytes[at] = value;
        }
        let (_dir, path) = write(&bytes, "damaged.mp4");
        if let Ok(Inspected::Track(track)) = inspect(&path)
            && let Ok(source) = PassThrough::new(*track, &path)
        {
            prop_assert!(source.info.width > 0);
            // The second may be cut off or damaged, but is read.
            let _ = source.track.read(1);
        }
    }
}

thread_local! {
    static DAMAGED: Vec<u8> = mp4(&clip(3, 3, 100), 1, false);
}
