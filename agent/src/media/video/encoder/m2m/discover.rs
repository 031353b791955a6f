//! The V4L2 devices that encode H.264, found by what they can do: node numbers change from board to board.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{M2mEncoder, Quirks};
use crate::media::video::{
    PixelFormat, VideoEncoder,
    encoder::{Backend, EncoderKind, EncoderSettings},
    v4l2::{Device, FourCc, Memory, Output, Queue, Result, nodes},
};

/// What is looked for.
const H264: FourCc = FourCc(*b"H264");

/// A stateful encoder.
#[derive(Clone, Debug)]
pub struct M2mDevice {
    /// "/dev/video11"
    pub path: PathBuf,
    /// What it calls itself: "bcm2835-codec-encode".
    pub card: String,
    /// Its driver: "bcm2835-codec".
    pub driver: String,
    /// Raw formats that it takes.
    pub inputs: Vec<FourCc>,
    /// It reads other devices' buffers.
    pub dmabuf: bool,
}

/// All that encode H.264, in the order of their numbers; or why there is none.
pub fn discover() -> std::result::Result<Vec<M2mDevice>, String> {
    let (mut found, mut denied) = (Vec::new(), 0);
    for path in nodes() {
        match M2mDevice::look(&path, H264) {
            Ok(Some(device)) => found.push(device),
            Ok(None) => {}
            Err(error) if error.errno == libc::EACCES => denied += 1,
            Err(error) => tracing::debug!(device = %path.display(), "cannot be looked at: {error}"),
        }
    }
    match (found.is_empty(), denied) {
        (false, _) => Ok(found),
        (true, 0) => Err("no V4L2 device encodes H.264".into()),
        (true, _) => Err("the agent may not open the V4L2 devices: add its user to the group video".into()),
    }
}

impl M2mDevice {
    /// A device that encodes to this format, or `None` if it does something else: a decoder has it on its other side.
    pub fn look(path: &Path, coded: FourCc) -> Result<Option<Self>> {
        let device = Arc::new(Device::open(path)?);
        let caps = device.capabilities()?;
        let Some((output, capture)) = caps.mem_to_mem() else { return Ok(None) };
        let makes = device.formats(capture)?;
        if !makes.iter().any(|format| format.fourcc == coded) {
            return Ok(None);
        }
        let takes = device.formats(output)?;
        let inputs: Vec<_> = takes.into_iter().filter(|format| !format.compressed).collect();
        // Without buffers of its own it is not disturbed: nothing streams yet, and this file is closed again.
        let dmabuf = Queue::<Output>::new(&device, output, Memory::Dmabuf, 1, false).is_ok();
        Ok((!inputs.is_empty()).then(|| Self {
            path: path.into(),
            card: caps.card,
            driver: caps.driver,
            inputs: inputs.into_iter().map(|format| format.fourcc).collect(),
            dmabuf,
        }))
    }

    /// The device of `video.encoder = "m2m:PATH"`, or why it cannot be had.
    pub fn named(path: &Path) -> std::result::Result<Self, String> {
        let shown = path.display();
        match Self::look(path, H264) {
            Ok(Some(device)) => Ok(device),
            Ok(None) => Err(format!("{shown} does not encode H.264")),
            Err(error) if error.errno == libc::EACCES => {
                Err(format!("the agent may not open {shown}: add its user to the group video"))
            }
            Err(error) if error.is_unplugged() => Err(format!("{shown} is not there")),
            Err(error) => Err(format!("{shown} cannot be used: {error}")),
        }
    }

    /// What its driver needs.
    pub fn quirks(&self) -> &'static Quirks {
        Quirks::of_driver(&self.driver)
    }
}

impl Backend for M2mDevice {
    fn name(&self) -> &'static str {
        M2mEncoder::NAME
    }

    fn words(&self) -> String {
        let dmabuf = if self.dmabuf { ", dmabuf" } else { "" };
        format!("{} ({}, M2M{dmabuf})", self.card, self.path.display())
    }

    fn kind(&self) -> EncoderKind {
        EncoderKind::Hardware
    }

    fn inputs(&self) -> Vec<PixelFormat> {
        self.inputs.iter().filter_map(|code| PixelFormat::from_fourcc(code.0)).collect()
    }

    fn open(&self, settings: &EncoderSettings) -> anyhow::Result<Box<dyn VideoEncoder>> {
        Ok(Box::new(M2mEncoder::open(self, settings)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_is_named_and_not_there_is_told_so() {
        assert_eq!(
            M2mDevice::named(Path::new("/dev/video-none")).err().as_deref(),
            Some("/dev/video-none is not there")
        );
        let null = M2mDevice::named(Path::new("/dev/null")).err();
        assert!(null.as_ref().is_some_and(|words| words.starts_with("/dev/null cannot be used")), "{null:?}");
    }
}
