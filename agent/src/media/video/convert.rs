//! Camera pictures to I420: pure functions of bytes.

use bytes::Bytes;
use yuv::{
    BufferStoreMut, YuvConversionMode, YuvError, YuvPackedImage, YuvPlanarImageMut, YuvRange,
    YuvStandardMatrix,
};
use zune_jpeg::{
    JpegDecoder,
    zune_core::{bytestream::ZCursor, colorspace::ColorSpace, options::DecoderOptions},
};

use super::PixelFormat;

/// Why a picture cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConvertError {
    /// Fewer bytes than the size asks for: the transfer was cut short.
    #[error("the picture has {got} bytes instead of {wanted}")]
    Short {
        /// What came.
        got: usize,
        /// What its size asks for.
        wanted: usize,
    },
    /// The JPEG is damaged or has another size.
    #[error("the JPEG picture is damaged: {0}")]
    Jpeg(String),
    /// A size that cannot be converted, or a format that is not raw.
    #[error("pictures of this format and size cannot be converted")]
    Unsupported,
}

/// Y, U and V, tightly packed.
pub type Planes = [Bytes; 3];

/// Where the samples of a raw format lie.
#[derive(Clone, Copy)]
enum Layout {
    /// Luma, then both chroma interleaved; V before U if so.
    SemiPlanar { v_first: bool },
    /// Luma and each chroma alone; V before U if so.
    Planar { v_first: bool },
    /// All interleaved.
    Packed(fn(&mut YuvPlanarImageMut<'_, u8>, &YuvPackedImage<'_, u8>) -> Result<(), YuvError>),
}

impl Layout {
    fn of(format: PixelFormat) -> Option<Self> {
        Some(match format {
            PixelFormat::Nv12 | PixelFormat::Nm12 => Self::SemiPlanar { v_first: false },
            PixelFormat::Nv21 | PixelFormat::Nm21 => Self::SemiPlanar { v_first: true },
            PixelFormat::Yu12 | PixelFormat::Ym12 => Self::Planar { v_first: false },
            PixelFormat::Yv12 | PixelFormat::Ym21 => Self::Planar { v_first: true },
            PixelFormat::Yuyv => Self::Packed(yuv::yuyv422_to_yuv420),
            PixelFormat::Uyvy => Self::Packed(yuv::uyvy422_to_yuv420),
            PixelFormat::Yvyu => Self::Packed(yuv::yvyu422_to_yuv420),
            PixelFormat::Vyuy => Self::Packed(yuv::vyuy422_to_yuv420),
            PixelFormat::H264 | PixelFormat::Mjpeg => return None,
        })
    }
}

/// Finds out whether a raw picture is whole: for each plane of memory its bytes and its bytes a row, as in
/// [`device_to_i420`]. The last row may lack its padding.
pub fn check_whole(
    format: PixelFormat,
    planes: &[(&[u8], u32)],
    width: u32,
    height: u32,
) -> Result<(), ConvertError> {
    let layout = Layout::of(format).ok_or(ConvertError::Unsupported)?;
    let sized = (2..=16_384).contains(&width) && (2..=16_384).contains(&height);
    let even = width.is_multiple_of(2) && height.is_multiple_of(2);
    if !sized || !even || planes.len() != format.memory_planes() {
        return Err(ConvertError::Unsupported);
    }
    let (w, h) = (width as usize, height as usize);
    for (index, (data, stride)) in planes.iter().enumerate() {
        let (row, rows) = match (&layout, index) {
            (Layout::Packed(_), _) => (w * 2, h),
            (_, 0) => (w, h),
            (Layout::SemiPlanar { .. }, _) => (w, h / 2),
            (Layout::Planar { .. }, _) => (w / 2, h / 2),
        };
        let stride = stride_of(*stride, row)?;
        let wanted = match (&layout, planes.len()) {
            (Layout::SemiPlanar { .. }, 1) => stride * (h + h / 2 - 1) + w,
            (Layout::Planar { .. }, 1) if stride % 2 != 0 => return Err(ConvertError::Unsupported),
            (Layout::Planar { .. }, 1) => stride * h + stride / 2 * (h - 1) + w / 2,
            _ => stride * (rows - 1) + row,
        };
        if data.len() < wanted {
            return Err(ConvertError::Short { got: data.len(), wanted });
        }
    }
    Ok(())
}

/// Converts a raw picture of a device: for each plane of memory its bytes and its bytes a row (0: as many as the width
/// asks for). Where all colours lie in one plane, chroma follows luma, in the planar formats with half the bytes a row.
/// Width and height are even.
pub fn device_to_i420(
    format: PixelFormat,
    planes: &[(&[u8], u32)],
    width: u32,
    height: u32,
) -> Result<Planes, ConvertError> {
    check_whole(format, planes, width, height)?;
    let layout = Layout::of(format).ok_or(ConvertError::Unsupported)?;
    let (w, h) = (width as usize, height as usize);
    let (data, stride) = planes[0];
    match (layout, planes) {
        (Layout::Packed(convert), _) => {
            packed_422(data, width, height, stride_of(stride, w * 2)? as u32, convert)
        }
        (Layout::SemiPlanar { v_first }, [luma, chroma]) => {
            Ok(semi_planar(Rows::new(*luma, w, h)?, Rows::new(*chroma, w, h / 2)?, v_first))
        }
        (Layout::SemiPlanar { v_first }, _) => {
            let (luma, chroma) = data.split_at(stride_of(stride, w)? * h);
            Ok(semi_planar(Rows::new((luma, stride), w, h)?, Rows::new((chroma, stride), w, h / 2)?, v_first))
        }
        (Layout::Planar { v_first }, [luma, first, second]) => {
            let half = |plane| Rows::new(plane, w / 2, h / 2);
            Ok(planar(Rows::new(*luma, w, h)?, half(*first)?, half(*second)?, v_first))
        }
        (Layout::Planar { v_first }, _) => {
            let whole = stride_of(stride, w)?;
            let (luma, chroma) = data.split_at(whole * h);
            let (first, second) = chroma.split_at(whole / 2 * (h / 2));
            let half = |data| Rows::new((data, whole as u32 / 2), w / 2, h / 2);
            Ok(planar(Rows::new((luma, stride), w, h)?, half(first)?, half(second)?, v_first))
        }
    }
}

/// No picture that is taken has longer rows; with it no sum of bytes overflows 32 bits.
const MAX_STRIDE: usize = 65_536;

/// Bytes from row to row, if a row fits.
fn stride_of(stride: u32, row: usize) -> Result<usize, ConvertError> {
    match stride as usize {
        0 => Ok(row),
        stride if (row..=MAX_STRIDE).contains(&stride) => Ok(stride),
        _ => Err(ConvertError::Unsupported),
    }
}

/// A plane of samples.
struct Rows<'a> {
    data: &'a [u8],
    stride: usize,
    width: usize,
    height: usize,
}

impl<'a> Rows<'a> {
    fn new((data, stride): (&'a [u8], u32), width: usize, height: usize) -> Result<Self, ConvertError> {
        Ok(Self { data, stride: stride_of(stride, width)?, width, height })
    }

    fn packed(&self) -> Bytes {
        packed(self.data, self.stride, self.width, self.height)
    }

    fn iter(&self) -> impl Iterator<Item = &'a [u8]> {
        let width = self.width;
        self.data.chunks(self.stride).take(self.height).map(move |row| &row[..width])
    }
}

fn planar(luma: Rows<'_>, first: Rows<'_>, second: Rows<'_>, v_first: bool) -> Planes {
    let [u, v] = if v_first { [second, first] } else { [first, second] };
    [luma.packed(), u.packed(), v.packed()]
}

fn semi_planar(luma: Rows<'_>, chroma: Rows<'_>, v_first: bool) -> Planes {
    let samples = chroma.width / 2 * chroma.height;
    let (mut first, mut second) = (vec![0; samples], vec![0; samples]);
    let half = chroma.width / 2;
    let targets = first.chunks_exact_mut(half).zip(second.chunks_exact_mut(half));
    for (row, (first, second)) in chroma.iter().zip(targets) {
        for (pair, (a, b)) in row.chunks_exact(2).zip(first.iter_mut().zip(second)) {
            (*a, *b) = (pair[0], pair[1]);
        }
    }
    let [u, v] = if v_first { [second, first] } else { [first, second] };
    [luma.packed(), u.into(), v.into()]
}

/// A plane without the padding between its rows.
pub fn packed(plane: &[u8], stride: usize, width: usize, height: usize) -> Bytes {
    let mut packed = Vec::with_capacity(width * height);
    for row in plane.chunks(stride.max(1)).take(height) {
        packed.extend_from_slice(&row[..width.min(row.len())]);
    }
    packed.into()
}

/// Where a conversion writes to.
struct Target {
    planes: [Vec<u8>; 3],
    width: u32,
    height: u32,
}

impl Target {
    fn new(width: u32, height: u32) -> Self {
        let pixels = width as usize * height as usize;
        Self { planes: [vec![0; pixels], vec![0; pixels / 4], vec![0; pixels / 4]], width, height }
    }

    fn image(&mut self) -> YuvPlanarImageMut<'_, u8> {
        let [y, u, v] = &mut self.planes;
        YuvPlanarImageMut {
            y_plane: BufferStoreMut::Borrowed(y),
            y_stride: self.width,
            u_plane: BufferStoreMut::Borrowed(u),
            u_stride: self.width / 2,
            v_plane: BufferStoreMut::Borrowed(v),
            v_stride: self.width / 2,
            width: self.width,
            height: self.height,
        }
    }

    fn finish(self) -> Planes {
        self.planes.map(Bytes::from)
    }
}

fn packed_422(
    data: &[u8],
    width: u32,
    height: u32,
    stride: u32,
    convert: fn(&mut YuvPlanarImageMut<'_, u8>, &YuvPackedImage<'_, u8>) -> Result<(), YuvError>,
) -> Result<Planes, ConvertError> {
    // The converter wants the last row's padding too.
    let whole = stride as usize * height as usize;
    let padded;
    let yuy = if data.len() < whole {
        padded = [data, &vec![0; whole - data.len()]].concat();
        &padded
    } else {
        &data[..whole]
    };
    let mut target = Target::new(width, height);
    let source = YuvPackedImage { yuy, yuy_stride: stride, width, height };
    convert(&mut target.image(), &source).map_err(|_| ConvertError::Unsupported)?;
    Ok(target.finish())
}

/// Decodes a JPEG picture of exactly this size, from full to limited range.
pub fn jpeg_to_i420(data: &[u8], width: u32, height: u32) -> Result<Planes, ConvertError> {
    if !width.is_multiple_of(2) || !height.is_multiple_of(2) {
        return Err(ConvertError::Unsupported);
    }
    let options = DecoderOptions::default()
        .jpeg_set_out_colorspace(ColorSpace::RGB)
        .set_max_width(width as usize)
        .set_max_height(height as usize);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(data), options);
    let rgb = decoder.decode().map_err(|error| ConvertError::Jpeg(error.to_string()))?;
    let got = decoder.dimensions();
    if got != Some((width as usize, height as usize)) || rgb.len() != width as usize * height as usize * 3 {
        let (got_width, got_height) = got.unwrap_or_default();
        let words = format!("it is {got_width}x{got_height} instead of {width}x{height}");
        return Err(ConvertError::Jpeg(words));
    }
    let mut target = Target::new(width, height);
    yuv::rgb_to_yuv420(
        &mut target.image(),
        &rgb,
        width * 3,
        YuvRange::Limited,
        YuvStandardMatrix::Bt601,
        YuvConversionMode::Balanced,
    )
    .map_err(|_| ConvertError::Unsupported)?;
    Ok(target.finish())
}

#[cfg(test)]
#[path = "convert_tests.rs"]
mod tests;
