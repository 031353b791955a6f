//! How a picture lies in the memory that the video unit reads, and how it is written there.

use std::ffi::c_int;

use anyhow::{Context, ensure};

use super::abi;
use crate::media::video::{DeviceFrame, PixelFormat, RawFrame};

/// All of Rockchip's video units take rows that begin at multiples of so many bytes.
const STRIDE_STEP: u32 = 16;
/// What the agent's own copies are aligned to, both ways: no unit asks for more.
const OWN_STEP: u32 = 64;

/// The sample formats that are handed over as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Samples {
    /// 4:2:0, U and V interleaved.
    Nv12,
    /// 4:2:0 in three planes.
    Yu12,
    /// 4:2:2, interleaved.
    Yuyv,
}

impl Samples {
    /// Those of a camera's format; `None` if they have to be converted.
    pub fn of(format: PixelFormat) -> Option<Self> {
        match format {
            PixelFormat::Nv12 => Some(Self::Nv12),
            PixelFormat::Yu12 => Some(Self::Yu12),
            PixelFormat::Yuyv => Some(Self::Yuyv),
            _ => None,
        }
    }
}

/// A picture in one piece of memory, its planes one behind the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// How the samples lie.
    pub samples: Samples,
    /// Bytes from one row of the first plane to the next.
    pub stride: u32,
    /// Rows of the first plane, with those below the picture.
    pub rows: u32,
}

/// A plane of a layout: bytes.
struct Plane {
    offset: usize,
    stride: usize,
    row: usize,
    rows: usize,
}

impl Plane {
    /// Where its last sample ends.
    fn end(&self) -> usize {
        self.offset + self.stride * self.rows.saturating_sub(1) + self.row
    }
}

/// A plane to copy from: its bytes and the distance of its rows.
type Source<'a> = (&'a [u8], usize);

impl Layout {
    /// For a copy of the agent's own.
    pub fn own(samples: Samples, (width, height): (u32, u32)) -> Self {
        let row = if samples == Samples::Yuyv { width * 2 } else { width };
        Self { samples, stride: row.next_multiple_of(OWN_STEP), rows: height.next_multiple_of(OWN_STEP) }
    }

    /// Of a camera's buffer, if the video unit can read it where it is: one plane of samples that it knows, rows at
    /// multiples that it takes.
    pub fn in_place(frame: &DeviceFrame) -> Option<Self> {
        let samples = Samples::of(frame.format)?;
        let [plane] = frame.buffer.planes() else { return None };
        let layout = Self { samples, stride: plane.stride, rows: frame.height };
        // The planes of U and V have half the stride.
        let step = if samples == Samples::Yu12 { 2 * STRIDE_STEP } else { STRIDE_STEP };
        let row = Self::own(samples, (frame.width, frame.height)).planes((frame.width, frame.height))[0].row;
        let fits = plane.stride as usize >= row && layout.length() <= plane.length as usize;
        (plane.offset == 0 && plane.stride.is_multiple_of(step) && fits).then_some(layout)
    }

    /// `MppFrameFormat`.
    pub fn mpp_format(&self) -> c_int {
        match self.samples {
            Samples::Nv12 => abi::MPP_FMT_YUV420SP,
            Samples::Yu12 => abi::MPP_FMT_YUV420P,
            Samples::Yuyv => abi::MPP_FMT_YUV422_YUYV,
        }
    }

    /// Bytes of memory.
    pub fn length(&self) -> usize {
        let first = self.stride as usize * self.rows as usize;
        if self.samples == Samples::Yuyv { first } else { first * 3 / 2 }
    }

    fn planes(&self, (width, height): (u32, u32)) -> Vec<Plane> {
        let (stride, width, rows) = (self.stride as usize, width as usize, height as usize);
        let first = stride * self.rows as usize;
        let plane = |offset, stride, row, rows| Plane { offset, stride, row, rows };
        match self.samples {
            Samples::Nv12 => vec![plane(0, stride, width, rows), plane(first, stride, width, rows / 2)],
            Samples::Yu12 => vec![
                plane(0, stride, width, rows),
                plane(first, stride / 2, width / 2, rows / 2),
                plane(first + first / 4, stride / 2, width / 2, rows / 2),
            ],
            Samples::Yuyv => vec![plane(0, stride, 2 * width, rows)],
        }
    }

    /// Where the last sample of a picture of this size ends, in bytes.
    pub fn end(&self, size: (u32, u32)) -> usize {
        self.planes(size).last().map_or(0, Plane::end)
    }

    /// Writes a picture of this size, plane by plane.
    fn write(&self, size: (u32, u32), memory: &mut [u8], sources: &[Source<'_>]) -> anyhow::Result<()> {
        let planes = self.planes(size);
        ensure!(planes.len() == sources.len(), "{} planes instead of {}", sources.len(), planes.len());
        for (plane, (bytes, stride)) in planes.iter().zip(sources) {
            let wanted = stride * plane.rows.saturating_sub(1) + plane.row;
            ensure!(bytes.len() >= wanted, "the camera gave {} bytes of {wanted}", bytes.len());
            let target =
                memory.get_mut(plane.offset..).context("MPP gave less memory than it was asked for")?;
            ensure!(target.len() >= plane.end() - plane.offset, "MPP gave less memory than it was asked for");
            for (to, from) in target.chunks_mut(plane.stride).zip(bytes.chunks(*stride)).take(plane.rows) {
                to[..plane.row].copy_from_slice(&from[..plane.row]);
            }
        }
        Ok(())
    }
}

/// Copies a picture that is in the agent's memory.
pub fn write_raw(frame: &RawFrame, layout: &Layout, memory: &mut [u8]) -> anyhow::Result<()> {
    ensure!(frame.is_whole(), "a picture's planes do not have the lengths that its size asks for");
    let width = frame.width as usize;
    let strides = [width, width / 2, width / 2];
    let sources: Vec<Source<'_>> = frame.planes.iter().map(|plane| &plane[..]).zip(strides).collect();
    layout.write((frame.width, frame.height), memory, &sources)
}

/// Copies a camera's picture, without converting it. Its planes may be in one buffer or in one each.
pub fn write_device(frame: &DeviceFrame, layout: &Layout, memory: &mut [u8]) -> anyhow::Result<()> {
    let size = (frame.width, frame.height);
    let buffers = frame.buffer.planes();
    let sources: Vec<Source<'_>> = if let [only] = buffers {
        let whole = frame.buffer.bytes(0);
        let lies = Layout { samples: layout.samples, stride: only.stride, rows: frame.height };
        let part = |plane: Plane| (whole.get(plane.offset..).unwrap_or_default(), plane.stride);
        lies.planes(size).into_iter().map(part).collect()
    } else {
        buffers
            .iter()
            .zip(0..)
            .map(|(plane, index)| (frame.buffer.bytes(index), plane.stride as usize))
            .collect()
    };
    ensure!(
        sources.iter().zip(layout.planes(size)).all(|((_, stride), plane)| *stride >= plane.row),
        "the camera says that its rows are shorter than its pictures are wide"
    );
    layout.write(size, memory, &sources)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn own_copies_are_aligned_to_64_both_ways() {
        let layout = Layout::own(Samples::Yu12, (1280, 720));
        assert_eq!((layout.stride, layout.rows, layout.length()), (1280, 768, 1280 * 768 * 3 / 2));
        let layout = Layout::own(Samples::Yuyv, (650, 362));
        assert_eq!((layout.stride, layout.rows, layout.length()), (1344, 384, 1344 * 384));
    }

    #[test]
    fn a_picture_in_memory_is_written_row_by_row_at_the_strides_of_the_layout() {
        let plane = |value: u8, length: usize| bytes::Bytes::from(vec![value; length]);
        let planes = [plane(1, 18 * 4), plane(2, 9 * 2), plane(3, 9 * 2)];
        let frame = RawFrame::new(18, 4, planes, Instant::now());
        let layout = Layout { samples: Samples::Yu12, stride: 32, rows: 8 };
        let mut memory = vec![0; layout.length()];
        write_raw(&frame, &layout, &mut memory).expect("it fits");
        let rows = |offset: usize, stride: usize, rows: usize, row: usize, value: u8| {
            (0..rows).all(|y| memory[offset + y * stride..][..row].iter().all(|byte| *byte == value))
                && (0..rows).all(|y| {
                    memory[offset + y * stride + row..][..stride - row].iter().all(|byte| *byte == 0)
                })
        };
        assert!(rows(0, 32, 4, 18, 1) && rows(256, 16, 2, 9, 2) && rows(256 + 64, 16, 2, 9, 3));
        assert_eq!(memory.iter().filter(|byte| **byte != 0).count(), 18 * 4 * 3 / 2, "and nothing else");
        assert!(write_raw(&frame, &layout, &mut memory[..300]).is_err(), "less memory than that is an error");
    }
}
