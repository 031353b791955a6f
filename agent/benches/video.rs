//! Median milliseconds a picture: drawing the test pattern, encoding it, making it smaller; and how well encoders keep to
//! their rate with a busy picture. Run: `cargo bench --bench video`; a part of it: `-- speed`, `-- scaling`, `-- rates`.

use std::time::{Duration, Instant, SystemTime};

use p2pcam_agent::media::video::{
    AccessUnit, Bitrate, RawFrame, VideoCodec, VideoEncoder, VideoFrame,
    encoder::{EncoderSettings, open_encoder},
    pattern::PatternSource,
    scale::Scale,
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
    // Cargo adds `--bench`.
    let named: Vec<_> = std::env::args().skip(1).filter(|name| !name.starts_with("--")).collect();
    let wanted = |part: &str| named.is_empty() || named.iter().any(|name| name == part);
    if wanted("speed") {
        speed()?;
    }
    if wanted("scaling") {
        scaling()?;
    }
    if wanted("rates") {
        rates()?;
    }
    Ok(())
}

fn speed() -> anyhow::Result<()> {
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

fn scaling() -> anyhow::Result<()> {
    println!("\nscaling            1/2       3/4       1/4    (median ms a picture)");
    for (width, height) in [(640, 360), (1280, 720), (1920, 1080)] {
        let frame = Busy::new(width, height).draw(0, Instant::now());
        let mut medians = Vec::new();
        for (part, of) in [(1, 2), (3, 4), (1, 4)] {
            let size = (width * part / of / 2 * 2, height * part / of / 2 * 2);
            let scale = Scale::new((width, height), size)?;
            let mut times = Vec::new();
            for _ in 0..50 {
                timed(&mut times, || scale.run(&frame))?;
            }
            medians.push(median_ms(times));
        }
        println!("{width:>5}x{height:<5} {:>10.2} {:>9.2} {:>9.2}", medians[0], medians[1], medians[2]);
    }
    Ok(())
}

/// A picture without a quiet spot: a rough surface that drifts, and grain that is new in each picture.
struct Busy {
    width: u32,
    height: u32,
    surface: Vec<u8>,
}

/// A constant congruential generator (Numerical Recipes): the same picture in each run.
fn random(state: &mut u32) -> u32 {
    *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
    *state >> 16
}

impl Busy {
    /// The surface is wider than the picture by what it drifts, two pixels a picture.
    const DRIFT: u32 = 256;

    fn new(width: u32, height: u32) -> Self {
        let mut state = 1;
        let wide = width + Self::DRIFT;
        // Blocks of random light with finer ones upon them.
        let mut coarse = |size: u32| -> Vec<u8> {
            let blocks = wide.div_ceil(size) * height.div_ceil(size);
            (0..blocks).map(|_| random(&mut state) as u8).collect()
        };
        let (large, small) = (coarse(32), coarse(4));
        let at = |blocks: &[u8], size: u32, x: u32, y: u32| {
            u32::from(blocks[(y / size * wide.div_ceil(size) + x / size) as usize])
        };
        let light = |(x, y)| (40 + at(&large, 32, x, y) / 2 + at(&small, 4, x, y) / 5) as u8;
        let surface = (0..height).flat_map(|y| (0..wide).map(move |x| (x, y))).map(light).collect();
        Self { width, height, surface }
    }

    fn draw(&self, number: u32, captured: Instant) -> RawFrame {
        let mut state = number.wrapping_mul(2_654_435_761);
        let wide = (self.width + Self::DRIFT) as usize;
        let shift = (number * 2).min(Self::DRIFT) as usize;
        let grained = |light: &u8| light.saturating_add((random(&mut state) % 8) as u8);
        let rows = self.surface.chunks_exact(wide);
        let luma: Vec<u8> = rows.flat_map(|row| &row[shift..][..self.width as usize]).map(grained).collect();
        let chroma = vec![128; luma.len() / 4];
        let planes = [luma.into(), chroma.clone().into(), chroma.into()];
        RawFrame::new(self.width, self.height, planes, captured)
    }
}

/// Kilobits a second that are asked for, each for six seconds.
const STEPS: [u32; 5] = [2000, 600, 2000, 1000, 3000];
const STEP_SECONDS: u32 = 6;

fn rates() -> anyhow::Result<()> {
    println!("\nrates with a busy picture of 1280x720: percent of the target in each second, as it goes");
    println!("from one to the next; K: size of a forced key frame, in pictures of the target's size");
    let (busy, start) = (Busy::new(1280, 720), Instant::now());
    let clip: Vec<_> = (0..Busy::DRIFT / 2).map(|number| busy.draw(number, start)).collect();
    for codec in [VideoCodec::H264, VideoCodec::Vp8] {
        for layered in [false, true] {
            rates_of(codec, layered, &clip)?;
        }
    }
    Ok(())
}

fn rates_of(codec: VideoCodec, layered: bool, clip: &[RawFrame]) -> anyhow::Result<()> {
    let (width, height, start) = (clip[0].width, clip[0].height, clip[0].captured);
    let bitrate = Bitrate(STEPS[0] * 1000);
    let settings = EncoderSettings { width, height, fps: FPS, bitrate, keyframe_interval: 3000 };
    let mut encoder = open_encoder(codec, &settings)?;
    encoder.set_layers(layered)?;
    let mut number = 0;
    let mut next = |encoder: &mut dyn VideoEncoder, keyframe| -> anyhow::Result<Option<AccessUnit>> {
        let captured = start + Duration::from_secs(1) * number / FPS;
        // There and back again.
        let (turn, at) = (clip.len() - 1, number as usize);
        let place = if at / turn % 2 == 0 { at % turn } else { turn - at % turn };
        number += 1;
        let frame = RawFrame { captured, ..clip[place].clone() };
        encoder.encode(&frame.into(), keyframe)
    };
    let (mut base, mut all) = (0, 0);
    println!("{}{}", codec.label(), if layered { " with two layers" } else { "" });
    for kbps in STEPS {
        encoder.set_bitrate(Bitrate(kbps * 1000))?;
        let mut line = format!("{kbps:>6}:");
        let mut keyframe_bits = 0;
        for second in 0..STEP_SECONDS {
            let mut bits = 0;
            for picture in 0..FPS {
                // One in the middle.
                let forced = (second, picture) == (STEP_SECONDS / 2, 0);
                let Some(unit) = next(&mut *encoder, forced)? else { continue };
                let size = unit.data.len() as u64 * 8;
                bits += size;
                all += size;
                base += if unit.discardable { 0 } else { size };
                if forced {
                    keyframe_bits = size;
                }
            }
            line += &format!(" {:>4}", bits / (u64::from(kbps) * 10));
        }
        let in_pictures = keyframe_bits as f64 * f64::from(FPS) / (f64::from(kbps) * 1000.0);
        println!("{line}   K {in_pictures:.1}");
    }
    if layered {
        println!("        without what can be left out: {} percent of the bits", base * 100 / all.max(1));
    }
    Ok(())
}
