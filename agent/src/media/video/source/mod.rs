//! Where pictures come from, and how a source is chosen and opened.

mod file;
#[cfg(feature = "ffmpeg")]
mod footage;
pub mod monotonic;
mod mp4;
mod mp4_guard;
mod pace;
#[cfg(feature = "ffmpeg")]
mod scaler;
pub mod v4l2;

pub use file::open_file;
pub use v4l2::{CameraInfo, CameraMode, list_cameras};

use std::{path::PathBuf, time::Instant};

use super::{
    VideoSource,
    capture::{Opened, Opener},
    pattern::PatternSource,
};
use crate::config::{VideoConfig, VideoSourceSpec};

/// How the source of a specification is opened, as often as need be.
pub fn opener(spec: &VideoSourceSpec, config: &VideoConfig) -> Opener {
    let config = config.clone();
    // The pattern's frames are counted from here, also while nobody watches.
    let epoch = Instant::now();
    match spec.clone() {
        VideoSourceSpec::Pattern => Box::new(move || pattern(&config, epoch, "test pattern")),
        VideoSourceSpec::File(path) => Box::new(move || open_file(&path, &config).map(opened)),
        VideoSourceSpec::V4l2(path) => {
            Box::new(move || v4l2::Camera::open(&path, &config).map(|camera| opened(Box::new(camera))))
        }
        VideoSourceSpec::Auto => auto(config, epoch),
    }
}

fn opened(source: Box<dyn VideoSource>) -> Opened {
    let info = source.info();
    let passed = if info.encoded.is_some() { ", passed through" } else { "" };
    let words = format!("{}, {}x{} at {} fps{passed}", info.name, info.width, info.height, info.fps);
    Opened { source, words }
}

fn pattern(config: &VideoConfig, epoch: Instant, words: &str) -> anyhow::Result<Opened> {
    let source = PatternSource::new(config.width, config.height, config.fps, epoch)?;
    Ok(Opened { source: Box::new(source), words: words.into() })
}

/// The first camera that opens, and then always this one; the pattern as long as there is none.
fn auto(config: VideoConfig, epoch: Instant) -> Opener {
    let mut chosen: Option<PathBuf> = None;
    Box::new(move || {
        if let Some(path) = &chosen {
            return v4l2::Camera::open(path, &config).map(|camera| opened(Box::new(camera)));
        }
        let mut failures = Vec::new();
        for camera in list_cameras().into_iter().filter(|camera| camera.capture) {
            match v4l2::Camera::open(&camera.path, &config) {
                Ok(source) => {
                    chosen = Some(camera.path);
                    return Ok(opened(Box::new(source)));
                }
                Err(error) => failures.push(format!("{error:#}")),
            }
        }
        let why = if failures.is_empty() { "no camera was found".into() } else { failures.join("; ") };
        pattern(&config, epoch, &format!("test pattern, because {why}"))
    })
}
