//! Decodes pass-through H.264 for viewers of another codec. In decoding order, so without B-frames.

use anyhow::Context;
use openh264::{decoder::Decoder, formats::YUVSource};

use super::{AccessUnit, RawFrame, convert::packed};

/// An OpenH264 decoder.
pub struct H264Decoder(Decoder);

impl H264Decoder {
    /// A decoder that waits for an IDR.
    pub fn new() -> anyhow::Result<Self> {
        Ok(Self(Decoder::new().context("the OpenH264 decoder cannot be opened: is memory short?")?))
    }

    /// Decodes one access unit. `None` if it gives no picture. After an error the next IDR starts anew.
    pub fn decode(&mut self, unit: &AccessUnit) -> anyhow::Result<Option<RawFrame>> {
        let Some(picture) = self.0.decode(&unit.data).context("a picture cannot be decoded")? else {
            return Ok(None);
        };
        let (width, height) = picture.dimensions();
        // Encoders want even sizes.
        let (width, height) = (width & !1, height & !1);
        let (y_stride, u_stride, v_stride) = picture.strides();
        let planes = [
            packed(picture.y(), y_stride, width, height),
            packed(picture.u(), u_stride, width / 2, height / 2),
            packed(picture.v(), v_stride, width / 2, height / 2),
        ];
        let &AccessUnit { captured, dequeued, .. } = unit;
        let (width, height) = (width as u32, height as u32);
        let frame = RawFrame { width, height, planes, captured, dequeued, copies: 1 };
        Ok(frame.is_whole().then_some(frame))
    }
}
