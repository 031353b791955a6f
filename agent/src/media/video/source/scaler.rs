//! FFmpeg's scaler, made movable between threads.

#![allow(unsafe_code)]

use anyhow::Context;
use bytes::Bytes;
use ffmpeg_next::{format::Pixel, frame, software::scaling};

use crate::media::video::convert::packed;

/// Converts decoded pictures of any size and pixel format to I420 of one size.
pub struct Scaler {
    context: Option<scaling::Context>,
    width: u32,
    height: u32,
}

// SAFETY: an SwsContext is plain memory without ties to the thread that made it; FFmpeg only forbids use by two at
// once, which `&mut self` rules out. (The crate holds it as a raw pointer, which is why this is not derived.)
unsafe impl Send for Scaler {}

impl Scaler {
    /// To this size, even.
    pub fn new(width: u32, height: u32) -> Self {
        Self { context: None, width, height }
    }

    /// Y, U and V, tightly packed.
    pub fn convert(&mut self, picture: &frame::Video) -> anyhow::Result<[Bytes; 3]> {
        let (format, width, height) = (picture.format(), picture.width(), picture.height());
        let fits = |context: &scaling::Context| {
            let input = context.input();
            (input.format, input.width, input.height) == (format, width, height)
        };
        if !self.context.as_ref().is_some_and(fits) {
            let (to, flags) = (Pixel::YUV420P, scaling::Flags::BILINEAR);
            let context = scaling::Context::get(format, width, height, to, self.width, self.height, flags);
            self.context = Some(context.context("its pixel format cannot be converted")?);
        }
        let context = self.context.as_mut().context("there is no scaler")?;
        let mut scaled = frame::Video::empty();
        context.run(picture, &mut scaled).context("its picture cannot be converted")?;
        let plane = |index, width: u32, height: u32| {
            packed(scaled.data(index), scaled.stride(index), width as usize, height as usize)
        };
        let half = (self.width / 2, self.height / 2);
        Ok([plane(0, self.width, self.height), plane(1, half.0, half.1), plane(2, half.0, half.1)])
    }
}
