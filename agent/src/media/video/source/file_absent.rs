//! Stands in for files in a build without the feature `mp4`: none can be played, and it says so.

use std::path::Path;

use anyhow::bail;

use crate::{config::VideoConfig, media::video::VideoSource};

/// Fails.
pub fn open_file(path: &Path, _: &VideoConfig) -> anyhow::Result<Box<dyn VideoSource>> {
    bail!(
        "the file {} cannot be played: this agent was built without the feature mp4, which plays files; name a camera \
         or \"pattern\" instead",
        path.display()
    )
}
