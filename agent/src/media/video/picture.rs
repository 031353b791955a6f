//! A picture being drawn: I420 planes that can be written to, with rectangles and bitmap text.

use std::time::Instant;

use bytes::Bytes;

use super::{RawFrame, font};

/// A colour in limited-range BT.601.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Yuv(pub u8, pub u8, pub u8);

impl Yuv {
    /// Luma 16.
    pub const BLACK: Self = Self(16, 128, 128);
    /// Luma 235.
    pub const WHITE: Self = Self(235, 128, 128);
    /// A dark grey that text stands out from.
    pub const GREY: Self = Self(60, 128, 128);
}

/// I420 planes, tightly packed. Whatever is drawn outside is cut off.
#[derive(Clone, Debug)]
pub struct Picture {
    width: usize,
    height: usize,
    y: Vec<u8>,
    u: Vec<u8>,
    v: Vec<u8>,
}

impl Picture {
    /// A picture of one colour; sizes are rounded down to even.
    pub fn new(width: u32, height: u32, Yuv(y, u, v): Yuv) -> Self {
        let (width, height) = (width as usize & !1, height as usize & !1);
        let chroma = width * height / 4;
        Self { width, height, y: vec![y; width * height], u: vec![u; chroma], v: vec![v; chroma] }
    }

    /// Width in pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height in pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// The luma plane, stride = width.
    pub fn luma(&self) -> &[u8] {
        &self.y
    }

    /// A row of the luma plane.
    pub fn luma_row_mut(&mut self, y: usize) -> &mut [u8] {
        &mut self.y[y * self.width..][..self.width]
    }

    /// Fills a rectangle. Chroma has half the resolution: odd edges take in the neighbouring pixel's colour.
    pub fn fill(&mut self, x: usize, y: usize, width: usize, height: usize, Yuv(luma, u, v): Yuv) {
        let (x1, y1) = (x.saturating_add(width).min(self.width), y.saturating_add(height).min(self.height));
        if x >= x1 || y >= y1 {
            return;
        }
        for row in y..y1 {
            self.y[row * self.width..][x..x1].fill(luma);
        }
        let stride = self.width / 2;
        for row in y / 2..y1.div_ceil(2) {
            self.u[row * stride..][x / 2..x1.div_ceil(2)].fill(u);
            self.v[row * stride..][x / 2..x1.div_ceil(2)].fill(v);
        }
    }

    /// Writes a line of text, its top left corner at (x, y); one font pixel is `scale` x `scale` pixels.
    /// Luma only: the background's colour should be neutral.
    pub fn text(&mut self, x: usize, y: usize, scale: usize, text: &str, luma: u8) {
        for (column, character) in text.chars().enumerate() {
            let left = x + column * font::ADVANCE * scale;
            for (row, bits) in font::glyph(character).iter().enumerate() {
                for bit in (0..font::WIDTH).filter(|bit| bits >> (font::WIDTH - 1 - bit) & 1 == 1) {
                    self.luma_rect(left + bit * scale, y + row * scale, scale, scale, luma);
                }
            }
        }
    }

    fn luma_rect(&mut self, x: usize, y: usize, width: usize, height: usize, luma: u8) {
        let (x1, y1) = ((x + width).min(self.width), (y + height).min(self.height));
        if x < x1 {
            for row in y..y1 {
                self.y[row * self.width..][x..x1].fill(luma);
            }
        }
    }

    /// The finished picture.
    pub fn into_frame(self, captured: Instant) -> RawFrame {
        let planes = [self.y, self.u, self.v].map(Bytes::from);
        RawFrame::new(self.width as u32, self.height as u32, planes, captured)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_drawn_outside_is_cut_off() {
        let mut picture = Picture::new(16, 16, Yuv::BLACK);
        picture.fill(14, 14, 100, 100, Yuv::WHITE);
        picture.fill(400, 2, 10, 10, Yuv::WHITE);
        picture.text(10, 10, 3, "WIDE TEXT", 235);
        assert_eq!(picture.luma()[15 * 16 + 15], 235);
        assert_eq!(picture.luma()[0], 16);
    }

    #[test]
    fn text_leaves_marks_where_its_strokes_are() {
        let mut picture = Picture::new(32, 32, Yuv::BLACK);
        picture.text(0, 0, 2, "I", 235);
        // The I is a vertical stroke in the middle column of five.
        assert_eq!(picture.luma()[6 * 32 + 4], 235);
        assert_eq!(picture.luma()[6 * 32], 16);
    }
}
