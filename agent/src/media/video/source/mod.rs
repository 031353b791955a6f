//! Where pictures come from, and how a source is chosen and opened.

#[cfg_attr(not(feature = "mp4"), path = "file_absent.rs")]
mod file;
#[cfg(feature = "ffmpeg")]
mod footage;
pub mod monotonic;
#[cfg(feature = "mp4")]
mod mp4;
#[cfg(feature = "mp4")]
mod mp4_guard;
#[cfg(feature = "mp4")]
mod pace;
#[cfg(feature = "ffmpeg")]
mod scaler;
pub mod v4l2;

pub use file::open_file;
pub use v4l2::{CameraInfo, CameraMode, list_cameras};

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use super::{
    PixelFormat, VideoSource,
    capture::{Opened, Opener},
    pattern::PatternSource,
};
use crate::config::{VideoConfig, VideoSourceSpec};

/// A source that fails because its device is not there: trying again helps only when it is plugged in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unplugged(pub String);

/// How the source of a specification is opened, as often as need be. `formats` is what a camera's pictures are to come
/// in, the preferred first.
pub fn opener(spec: &VideoSourceSpec, config: &VideoConfig, formats: Vec<PixelFormat>) -> Opener {
    let config = config.clone();
    // The pattern's frames are counted from here, also while nobody watches.
    let epoch = Instant::now();
    match spec.clone() {
        VideoSourceSpec::Pattern => Box::new(move || pattern(&config, epoch, "test pattern")),
        VideoSourceSpec::BusyPattern => Box::new(move || {
            let source = PatternSource::busy(config.width, config.height, config.fps, epoch)?;
            Ok(Opened { source: Box::new(source), words: "busy test pattern".into() })
        }),
        VideoSourceSpec::File(path) => Box::new(move || open_file(&path, &config).map(opened)),
        VideoSourceSpec::V4l2(path) => {
            let mut remarks = Vec::new();
            Box::new(move || camera(&path, &config, &formats, &mut remarks))
        }
        VideoSourceSpec::Auto => auto(config, formats, epoch),
    }
}

fn opened(source: Box<dyn VideoSource>) -> Opened {
    let info = source.info();
    let passed = if info.encoded.is_some() { ", passed through" } else { "" };
    let words = format!("{}, {}x{} at {} fps{passed}", info.name, info.width, info.height, info.fps);
    Opened { source, words }
}

/// Says what of the configuration could not be set, once as long as it is the same.
fn camera(
    path: &Path,
    config: &VideoConfig,
    formats: &[PixelFormat],
    remarks: &mut Vec<String>,
) -> anyhow::Result<Opened> {
    let camera = v4l2::Camera::open_preferring(path, config, formats)?;
    if camera.remarks() != remarks {
        *remarks = camera.remarks().to_vec();
        remarks.iter().for_each(|remark| tracing::warn!(camera = %path.display(), "{remark}"));
    }
    Ok(opened(Box::new(camera)))
}

fn pattern(config: &VideoConfig, epoch: Instant, words: &str) -> anyhow::Result<Opened> {
    let source = PatternSource::new(config.width, config.height, config.fps, epoch)?;
    Ok(Opened { source: Box::new(source), words: words.into() })
}

/// The first camera that opens, and then always this one; the pattern as long as there is none.
fn auto(config: VideoConfig, formats: Vec<PixelFormat>, epoch: Instant) -> Opener {
    let mut chosen: Option<PathBuf> = None;
    let mut remarks = Vec::new();
    Box::new(move || {
        if let Some(path) = &chosen {
            return camera(path, &config, &formats, &mut remarks);
        }
        let mut failures = Vec::new();
        for found in list_cameras().into_iter().filter(|camera| camera.capture) {
            match camera(&found.path, &config, &formats, &mut remarks) {
                Ok(source) => {
                    chosen = Some(found.path);
                    return Ok(source);
                }
                Err(error) => failures.push(format!("{error:#}")),
            }
        }
        let why = if failures.is_empty() { "no camera was found".into() } else { failures.join("; ") };
        pattern(&config, epoch, &format!("test pattern, because {why}"))
    })
}
