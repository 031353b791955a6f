//! Stands in for the decoder in a build without the feature `openh264`: it cannot be opened, and says so.

use super::{AccessUnit, RawFrame};

/// There is none.
pub enum H264Decoder {}

impl H264Decoder {
    /// Fails.
    pub fn new() -> anyhow::Result<Self> {
        anyhow::bail!("this agent was built without the feature openh264, which decodes H.264")
    }

    /// Never called.
    pub fn decode(&mut self, _: &AccessUnit) -> anyhow::Result<Option<RawFrame>> {
        match *self {}
    }
}
