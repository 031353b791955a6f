//! A file that is played again and again: MP4 with H.264 passed through, anything else decoded.

use std::{path::Path, sync::Arc};

use anyhow::{Context, bail};

use super::{
    mp4::{H264Track, Inspected, inspect},
    pace::Pace,
};
use crate::{
    config::VideoConfig,
    media::video::{
        AccessUnit, SourceFrame, SourceInfo, VideoCodec, VideoSource,
        annexb::{Assembler, length_prefixed},
    },
};

/// Opens a file, passed through if it can be.
pub fn open_file(path: &Path, config: &VideoConfig) -> anyhow::Result<Box<dyn VideoSource>> {
    match inspect(path)? {
        Inspected::Track(track) => match PassThrough::new(*track, path) {
            Ok(source) => Ok(Box::new(source)),
            Err(error) => decode(path, config, &error.to_string()),
        },
        Inspected::Decode(reason) => decode(path, config, &reason),
    }
}

#[cfg(feature = "ffmpeg")]
fn decode(path: &Path, config: &VideoConfig, reason: &str) -> anyhow::Result<Box<dyn VideoSource>> {
    tracing::debug!(path = %path.display(), "the file is decoded, because {reason}");
    let source = super::footage::Footage::open(path, config)
        .with_context(|| format!("the file {} cannot be played", path.display()))?;
    Ok(Box::new(source))
}

#[cfg(not(feature = "ffmpeg"))]
fn decode(path: &Path, _config: &VideoConfig, reason: &str) -> anyhow::Result<Box<dyn VideoSource>> {
    bail!(
        "the file {} cannot be passed through, because {reason}, and this agent was built without the feature \
         ffmpeg, which decodes such files: use an MP4 with H.264 without B-frames",
        path.display()
    )
}

/// H.264 of an MP4 file, as it is.
struct PassThrough {
    info: SourceInfo,
    track: H264Track,
    assembler: Assembler,
    pace: Pace,
    next: usize,
}

impl PassThrough {
    fn new(track: H264Track, path: &Path) -> anyhow::Result<Self> {
        let mut assembler = Assembler::default();
        track.config.parameter_sets.iter().for_each(|set| assembler.learn(set));
        let first = track.read(0)?;
        let unit = assembler.assemble(length_prefixed(&first, track.config.length_size)?);
        if !unit.is_some_and(|unit| unit.keyframe) {
            bail!("it does not begin with an IDR");
        }
        let info = SourceInfo {
            name: format!("file {} (H.264)", path.display()),
            width: track.sps.width,
            height: track.sps.height,
            fps: track.fps(),
            encoded: Some(VideoCodec::H264),
        };
        Ok(Self { info, track, assembler, pace: Pace::new(), next: 0 })
    }
}

impl VideoSource for PassThrough {
    fn info(&self) -> &SourceInfo {
        &self.info
    }

    fn next(&mut self) -> anyhow::Result<SourceFrame> {
        // Samples without a picture are passed over, but a whole loop of them is an error.
        for _ in 0..=self.track.samples.len() {
            if self.next == self.track.samples.len() {
                self.next = 0;
                self.pace.loop_at(self.track.duration);
            }
            let (index, time) = (self.next, self.track.samples[self.next].time);
            self.next += 1;
            let bytes = self.track.read(index)?;
            let nals = length_prefixed(&bytes, self.track.config.length_size)
                .with_context(|| format!("{} is damaged at its picture {index}", self.info.name))?;
            let Some(unit) = self.assembler.assemble(nals) else { continue };
            let captured = self.pace.wait(time);
            let size = (self.info.width, self.info.height);
            let unit =
                AccessUnit::passed(VideoCodec::H264, unit.data, unit.keyframe, size, (captured, captured));
            return Ok(SourceFrame::Encoded(Arc::new(unit)));
        }
        bail!("{} has no picture", self.info.name)
    }
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
