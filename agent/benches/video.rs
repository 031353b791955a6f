//! Median milliseconds a picture: drawing the test pattern, encoding it. Run: `cargo bench --bench video`.

use std::time::{Duration, Instant, SystemTime};

use p2pcam_agent::media::video::{
    Bitrate, VideoCodec, VideoFrame,
    encoder::{EncoderSettings, open_encoder},
    pattern::PatternSource,
};

const PICTURES: u64 = 150;
const FPS: u32 = 30;

fn median_ms(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1000.0
}

fn timed<T>(times: &mut Vec<Duration>, action: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = action();
    times.push(start.elapsed());
    result
}

fn main() -> anyhow::Result<()> {
    let (start, wall) = (Instant::now(), SystemTime::now());
    println!("what               640x360  1280x720   (median ms a picture, {PICTURES} pictures)");
    let sizes = [(640, 360, 1_000_000), (1280, 720, 2_500_000)];
    let mut clips: Vec<Vec<VideoFrame>> = Vec::new();
    let mut drawn = Vec::new();
    for (width, height, _) in sizes {
        let pattern = PatternSource::new(width, height, FPS, start)?;
        let mut times = Vec::new();
        let draw = |number: u64| {
            let time = Duration::from_secs(1) * number as u32 / FPS;
            timed(&mut times, || pattern.draw(number, wall + time, start + time)).into()
        };
        clips.push((0..PICTURES).map(draw).collect());
        drawn.push(median_ms(times));
    }
    println!("draw the pattern  {:>8.2}  {:>8.2}", drawn[0], drawn[1]);
    let mut busy = Vec::new();
    for (width, height, _) in sizes {
        let pattern = PatternSource::busy(width, height, FPS, start)?;
        let mut times = Vec::new();
        for number in 0..PICTURES {
            timed(&mut times, || pattern.draw(number, wall, start));
        }
        busy.push(median_ms(times));
    }
    println!("draw the busy one {:>8.2}  {:>8.2}", busy[0], busy[1]);
    for codec in [VideoCodec::H264, VideoCodec::Vp8] {
        let mut medians = Vec::new();
        for (clip, (width, height, bitrate)) in clips.iter().zip(sizes) {
            let bitrate = Bitrate(bitrate);
            let settings = EncoderSettings { width, height, fps: FPS, bitrate, keyframe_interval: 300 };
            let mut encoder = open_encoder(codec, &settings)?;
            let mut times = Vec::new();
            for frame in clip {
                timed(&mut times, || encoder.encode(frame, false))?;
            }
            medians.push(median_ms(times));
        }
        println!("encode {:<10} {:>8.2}  {:>8.2}", codec.label(), medians[0], medians[1]);
    }
    Ok(())
}
