//! The H.264 track of an MP4 file: its table of samples is read at once, the samples one by one.

use std::{
    fs::File,
    io::{BufReader, Seek},
    os::unix::fs::FileExt as _,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use re_mp4::{Mp4, StsdBoxContent, TrackKind};

use super::mp4_guard::{Guarded, MAX_SAMPLES, check};
use crate::media::video::{
    annexb::{AvcConfig, parse_avcc},
    sps::{Sps, parse_sps},
};

// What the parser does with a damaged index is caught, and would end the agent.
#[cfg(panic = "abort")]
compile_error!(
    "the feature mp4 needs panics that can be caught: leave it out, or build with another profile than `least`"
);

/// A larger sample is damage: level 5.2 allows an IDR of some megabytes.
const MAX_SAMPLE: u64 = 16 << 20;

/// Where a sample is and when it is shown.
#[derive(Clone, Copy, Debug)]
pub struct SampleRef {
    offset: u64,
    size: u32,
    /// Media time from the first sample on.
    pub time: Duration,
}

/// An H.264 track that can be passed through.
pub struct H264Track {
    file: File,
    path: PathBuf,
    /// In decoding order, which is the order of showing, as there are no B-frames.
    pub samples: Vec<SampleRef>,
    /// When the last sample has been shown.
    pub duration: Duration,
    /// Parameter sets and framing.
    pub config: AvcConfig,
    /// What the first parameter set says.
    pub sps: Sps,
}

/// What a file is to the agent.
pub enum Inspected {
    /// H.264 that viewers can be sent as it is.
    Track(Box<H264Track>),
    /// It must be decoded; the reason in words.
    Decode(String),
}

/// Looks into a file. An error if it cannot be read at all.
pub fn inspect(path: &Path) -> anyhow::Result<Inspected> {
    let shown = path.display();
    let file = File::open(path)
        .with_context(|| format!("the file {shown} cannot be opened: check its path and its permissions"))?;
    let metadata = file.metadata().with_context(|| format!("the file {shown} cannot be read"))?;
    ensure!(metadata.is_file(), "{shown} is not a file: video = \"file:PATH\" wants a video file");
    // The parser indexes its tables with what the file says and panics where they disagree.
    let parse = AssertUnwindSafe(|| {
        check(&mut BufReader::new(&file), metadata.len())?;
        (&file).rewind()?;
        Mp4::read(Guarded::new(BufReader::new(&file)), metadata.len())
    });
    let mp4 = match catch_unwind(parse) {
        Ok(Ok(mp4)) => mp4,
        Ok(Err(error)) => return Ok(Inspected::Decode(format!("it is no MP4 that can be read ({error})"))),
        Err(_) => return Ok(Inspected::Decode("its MP4 index is damaged".into())),
    };
    match track_of(&mp4) {
        Ok((samples, duration, config, sps)) => {
            let path = path.to_owned();
            Ok(Inspected::Track(Box::new(H264Track { file, path, samples, duration, config, sps })))
        }
        Err(reason) => Ok(Inspected::Decode(reason.to_string())),
    }
}

type TrackParts = (Vec<SampleRef>, Duration, AvcConfig, Sps);

/// The first video track, or why it cannot be passed through.
fn track_of(mp4: &Mp4) -> anyhow::Result<TrackParts> {
    let track = mp4
        .tracks()
        .values()
        .find(|track| track.kind == Some(TrackKind::Video))
        .context("it has no video track that is known")?;
    let avcc = match &track.trak(mp4).mdia.minf.stbl.stsd.contents {
        StsdBoxContent::Avc1(avc1) => parse_avcc(&avc1.avcc.raw)?,
        _ => bail!("its video is not H.264"),
    };
    let sps =
        avcc.parameter_sets.iter().find_map(|set| parse_sps(set)).context("its parameter set is damaged")?;
    ensure!(matches!(sps.profile, 66 | 77 | 100), "no browser decodes its H.264 profile {}", sps.profile);
    ensure!(
        sps.chroma_format == 1 && sps.bit_depth == 8,
        "no browser decodes its chroma format or bit depth"
    );
    ensure!(sps.frames_only, "it may be interlaced");
    ensure!(track.timescale > 0 && !track.samples.is_empty(), "its video track is empty");
    ensure!(track.samples.len() <= MAX_SAMPLES as usize, "it has more than {MAX_SAMPLES} pictures");

    let shift = |sample: &re_mp4::Sample| sample.composition_timestamp - sample.decode_timestamp;
    let in_order = track.samples.windows(2).all(|pair| shift(&pair[0]) == shift(&pair[1]));
    ensure!(in_order, "it has B-frames, which WebRTC has none of");

    let start = track.samples[0].decode_timestamp;
    let seconds = |ticks: i64| {
        let ticks = ticks.saturating_sub(start).max(0) as u64;
        Duration::from_nanos((u128::from(ticks) * 1_000_000_000 / u128::from(track.timescale)) as u64)
    };
    let samples: Vec<_> = track
        .samples
        .iter()
        .map(|sample| SampleRef {
            offset: sample.offset,
            size: sample.size.min(u64::from(u32::MAX)) as u32,
            time: seconds(sample.decode_timestamp),
        })
        .collect();
    let last = track.samples.last().context("its video track is empty")?;
    // A single picture says nothing about the rate: it is shown again after a second at most.
    let mut duration = seconds(last.decode_timestamp.saturating_add_unsigned(last.duration));
    if let [.., before, last] = &samples[..] {
        // Some files give their last picture no time at all, or all that is left of the sound.
        let usual = last.time.saturating_sub(before.time);
        let own = duration.saturating_sub(last.time);
        if own.is_zero() || own > 2 * usual {
            duration = last.time + usual;
        }
    }
    if samples.len() == 1 {
        duration = duration.min(Duration::from_secs(1));
    }
    Ok((samples, duration.max(Duration::from_millis(1)), avcc, sps))
}

impl H264Track {
    /// Reads one sample: NAL units behind lengths.
    pub fn read(&self, index: usize) -> anyhow::Result<Vec<u8>> {
        let shown = self.path.display();
        let sample = self.samples.get(index).context("there is no such sample")?;
        ensure!(
            u64::from(sample.size) <= MAX_SAMPLE,
            "the file {shown} is damaged: its picture {index} would have {} bytes",
            sample.size
        );
        let mut bytes = vec![0; sample.size as usize];
        self.file.read_exact_at(&mut bytes, sample.offset).with_context(|| {
            format!("the file {shown} cannot be read at its picture {index}: is it cut short?")
        })?;
        Ok(bytes)
    }

    /// Pictures a second on average, at least 1.
    pub fn fps(&self) -> u32 {
        let fps = self.samples.len() as f64 / self.duration.as_secs_f64();
        (fps.round() as u32).clamp(1, 240)
    }
}
