//! How a raw picture lies in a buffer, and copies from one layout to another: pure functions of bytes.

use crate::media::video::{
    DeviceFrame, PixelFormat, RawFrame,
    v4l2::{Format, FourCc},
};

/// How a picture lies in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// How its samples lie.
    pub format: PixelFormat,
    /// Width of the visible picture in pixels, even.
    pub width: u32,
    /// Height of the visible picture in pixels, even.
    pub height: u32,
    /// Bytes from row to row of each plane of memory: of luma where a plane holds all colours.
    pub strides: Vec<u32>,
}

/// A colour plane, or the one of a packed format: where it begins, and its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ColourPlane {
    start: usize,
    stride: usize,
    row: usize,
    rows: usize,
}

impl Layout {
    /// That of a camera's picture; `None` of formats that are not raw.
    pub fn of_device(frame: &DeviceFrame) -> Option<Self> {
        let strides = frame.buffer.planes().iter().map(|plane| plane.stride).collect();
        Self { format: frame.format, width: frame.width, height: frame.height, strides }.checked()
    }

    /// That of an encoder's buffer, as the driver has set it.
    pub fn of_format(format: &Format, (width, height): (u32, u32)) -> Option<Self> {
        let strides = format.planes.iter().map(|plane| plane.stride).collect();
        Self { format: PixelFormat::from_fourcc(format.fourcc.0)?, width, height, strides }.checked()
    }

    fn checked(self) -> Option<Self> {
        (self.format.is_raw() && self.strides.len() == self.format.memory_planes()).then_some(self)
    }

    /// V4L2's code for it.
    pub fn fourcc(&self) -> FourCc {
        FourCc(self.format.fourcc())
    }

    /// Its colour planes if all lie in one plane of memory that has so many rows of luma.
    fn colours(&self, rows: usize) -> Vec<ColourPlane> {
        let (width, height) = (self.width as usize, self.height as usize);
        let stride = self.strides.first().map_or(0, |stride| *stride as usize);
        let luma = ColourPlane { start: 0, stride, row: width, rows: height };
        match self.format {
            PixelFormat::Yuyv | PixelFormat::Uyvy | PixelFormat::Yvyu | PixelFormat::Vyuy => {
                vec![ColourPlane { row: width * 2, ..luma }]
            }
            PixelFormat::Nv12 | PixelFormat::Nv21 => {
                vec![luma, ColourPlane { start: stride * rows, rows: height / 2, ..luma }]
            }
            PixelFormat::Yu12 | PixelFormat::Yv12 => {
                let chroma =
                    |start| ColourPlane { start, stride: stride / 2, row: width / 2, rows: height / 2 };
                vec![luma, chroma(stride * rows), chroma(stride * rows + stride / 2 * (rows / 2))]
            }
            PixelFormat::Nm12 | PixelFormat::Ym12 | PixelFormat::Nm21 | PixelFormat::Ym21 => Vec::new(),
            PixelFormat::H264 | PixelFormat::Mjpeg => Vec::new(),
        }
    }
}

/// A copy that does not fit: the source or the target has too few bytes, or the formats differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a picture has fewer bytes than its size asks for")]
pub struct Short;

/// Copies a picture into an encoder's buffer with so many rows of luma. Both lie in one plane of memory; formats and
/// sizes are the same.
pub fn copy(from: (&Layout, &[u8]), to: (&Layout, usize, &mut [u8])) -> Result<(), Short> {
    let (source, bytes) = from;
    let (target, rows, buffer) = to;
    debug_assert_eq!(
        (source.format, source.width, source.height),
        (target.format, target.width, target.height)
    );
    let planes = source.colours(source.height as usize).into_iter().zip(target.colours(rows));
    for (from, to) in planes {
        rows_of(bytes, from).zip(rows_of_mut(buffer, to)).try_for_each(|(from, to)| {
            to.ok_or(Short)?.copy_from_slice(from.ok_or(Short)?);
            Ok(())
        })?;
    }
    Ok(())
}

impl Layout {
    /// Writes a picture of the agent's memory into a buffer that lies so, with so many rows of luma; NV12 and YU12 only.
    pub fn write(&self, frame: &RawFrame, rows: usize, buffer: &mut [u8]) -> Result<(), Short> {
        write(frame, (self, rows, buffer))
    }
}

fn write(frame: &RawFrame, to: (&Layout, usize, &mut [u8])) -> Result<(), Short> {
    let (target, rows, buffer) = to;
    let (width, height) = (frame.width as usize, frame.height as usize);
    let sources = [(0, width, height), (1, width / 2, height / 2), (2, width / 2, height / 2)];
    let plane = |(index, row, rows): (usize, usize, usize)| {
        rows_of(&frame.planes[index], ColourPlane { start: 0, stride: row, row, rows })
    };
    let colours = target.colours(rows);
    match (target.format, colours.as_slice()) {
        (PixelFormat::Yu12, planes) => {
            for (source, to) in sources.into_iter().zip(planes) {
                plane(source).zip(rows_of_mut(buffer, *to)).try_for_each(|(from, to)| {
                    to.ok_or(Short)?.copy_from_slice(from.ok_or(Short)?);
                    Ok(())
                })?;
            }
            Ok(())
        }
        (PixelFormat::Nv12, [luma, chroma]) => {
            plane(sources[0]).zip(rows_of_mut(buffer, *luma)).try_for_each(|(from, to)| {
                to.ok_or(Short)?.copy_from_slice(from.ok_or(Short)?);
                Ok(())
            })?;
            let both = plane(sources[1]).zip(plane(sources[2]));
            both.zip(rows_of_mut(buffer, *chroma)).try_for_each(|((u, v), to)| {
                let (u, v, to) = (u.ok_or(Short)?, v.ok_or(Short)?, to.ok_or(Short)?);
                for (pair, (u, v)) in to.chunks_exact_mut(2).zip(u.iter().zip(v)) {
                    pair.copy_from_slice(&[*u, *v]);
                }
                Ok(())
            })
        }
        _ => Err(Short),
    }
}

/// The rows of a plane, `None` for each that the bytes do not hold.
fn rows_of(bytes: &[u8], plane: ColourPlane) -> impl Iterator<Item = Option<&[u8]>> {
    let start = move |row: usize| plane.start + row * plane.stride;
    (0..plane.rows).map(move |row| bytes.get(start(row)..start(row) + plane.row))
}

fn rows_of_mut(bytes: &mut [u8], plane: ColourPlane) -> impl Iterator<Item = Option<&mut [u8]>> {
    let fits = plane.stride >= plane.row && plane.stride > 0;
    let rest = bytes.get_mut(plane.start..).filter(|_| fits).unwrap_or_default();
    let rows = rest.chunks_mut(plane.stride.max(1)).map(move |row| row.get_mut(..plane.row));
    rows.chain(std::iter::repeat_with(|| None)).take(plane.rows)
}

#[cfg(test)]
#[path = "layout_tests.rs"]
mod tests;
