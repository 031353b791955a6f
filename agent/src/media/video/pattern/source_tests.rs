//! What the test pattern promises.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::media::video::pattern::read_strip;

fn raw(source: &mut PatternSource) -> std::sync::Arc<RawFrame> {
    match source.next().unwrap() {
        SourceFrame::Raw(frame) => frame.i420().unwrap(),
        SourceFrame::Encoded(_) => panic!("the pattern is not encoded"),
    }
}

fn strip_of(frame: &RawFrame) -> Strip {
    let (width, height) = (frame.width as usize, frame.height as usize);
    read_strip(&frame.planes[0], width, height, width).unwrap()
}

#[test]
fn number_and_wall_clock_are_in_the_strip_at_every_even_size() {
    let wall = UNIX_EPOCH + Duration::from_millis(1_763_834_096_789);
    for (width, height) in [(320, 180), (322, 182), (640, 360), (640, 480), (854, 480), (1920, 1080)] {
        let source = PatternSource::new(width, height, 30, Instant::now()).unwrap();
        let frame = source.draw(123_456, wall, Instant::now());
        assert_eq!((frame.width, frame.height), (width, height));
        assert!(frame.is_whole());
        assert_eq!(strip_of(&frame), Strip { frame: 123_456, time_ms: 1_763_834_096_789 });
    }
}

#[test]
fn the_picture_moves_also_below_the_strip() {
    let source = PatternSource::new(320, 180, 30, Instant::now()).unwrap();
    let below = 30 * 320;
    let at =
        |ms| source.draw(7, UNIX_EPOCH + Duration::from_millis(ms), Instant::now()).planes[0].slice(below..);
    assert_ne!(at(1_000), at(1_033));
}

#[test]
fn the_first_picture_comes_at_once_and_the_count_goes_on_as_if_it_had_never_stopped() {
    let epoch = Instant::now() - Duration::from_secs(100);
    let mut source = PatternSource::new(320, 180, 1, epoch).unwrap();
    let first = raw(&mut source);
    assert!(
        first.captured < epoch + Duration::from_secs(101),
        "one frame a second, but no wait for the next"
    );
    assert_eq!(strip_of(&first).frame, 100);
}

#[test]
fn pictures_come_at_the_frame_rate_with_numbers_in_a_row() {
    let mut source = PatternSource::new(320, 180, 50, Instant::now()).unwrap();
    let frames: Vec<_> = (0..11).map(|_| raw(&mut source)).collect();
    let numbers: Vec<_> = frames.iter().map(|frame| strip_of(frame).frame).collect();
    assert!(numbers.windows(2).all(|pair| pair[1] > pair[0]), "{numbers:?}");
    let span = frames[10].captured - frames[0].captured;
    let intervals = numbers[10] - numbers[0];
    // The first picture comes at once, so up to one interval earlier than its number is due.
    assert!(
        span >= Duration::from_millis(20 * u64::from(intervals - 1)),
        "{span:?} for {intervals} intervals"
    );
}

#[test]
fn a_size_or_rate_out_of_range_is_refused_with_advice() {
    let error = PatternSource::new(160, 120, 30, Instant::now()).err().unwrap().to_string();
    assert!(error.contains("160x120") && error.contains("320x180"), "{error}");
    assert!(PatternSource::new(320, 180, 0, Instant::now()).is_err());
    assert!(PatternSource::new(4096, 2160, 30, Instant::now()).is_err());
}
