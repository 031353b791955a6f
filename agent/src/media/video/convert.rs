//! Camera pictures to I420: pure functions of bytes.

use bytes::Bytes;
use yuv::{
    BufferStoreMut, YuvConversionMode, YuvPackedImage, YuvPlanarImageMut, YuvRange, YuvStandardMatrix,
};
use zune_jpeg::{
    JpegDecoder,
    zune_core::{bytestream::ZCursor, colorspace::ColorSpace, options::DecoderOptions},
};

use super::{PixelFormat, decoder::packed};

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

/// Converts a raw picture whose first plane has `stride` bytes a row (0: as many as the width asks for). Width and
/// height are even.
pub fn packed_to_i420(
    format: PixelFormat,
    data: &[u8],
    width: u32,
    height: u32,
    stride: u32,
) -> Result<Planes, ConvertError> {
    let bytes_a_pixel = if format == PixelFormat::Yuyv { 2 } else { 1 };
    let sized = (2..=16_384).contains(&width) && (2..=16_384).contains(&height);
    if !sized || !width.is_multiple_of(2) || !height.is_multiple_of(2) {
        return Err(ConvertError::Unsupported);
    }
    let (w, h) = (width as usize, height as usize);
    let row = w * bytes_a_pixel;
    let stride = if stride == 0 { row } else { stride as usize };
    if stride < row || stride % 2 != 0 {
        return Err(ConvertError::Unsupported);
    }
    match format {
        PixelFormat::Yuyv => {
            // The last row may lack its padding.
            let data = enough(data, stride * (h - 1) + row)?;
            yuyv(data, width, height, stride as u32)
        }
        PixelFormat::Nv12 => {
            let data = enough(data, stride * h + stride * (h / 2 - 1) + w)?;
            let (luma, chroma) = data.split_at(stride * h);
            let chroma = packed(chroma, stride, w, h / 2);
            let every_second = |from: usize| chroma.iter().skip(from).step_by(2).copied().collect();
            Ok([packed(luma, stride, w, h), every_second(0), every_second(1)])
        }
        PixelFormat::Yu12 => {
            let (half, rows) = (stride / 2, h / 2);
            let data = enough(data, stride * h + half * rows + half * (rows - 1) + w / 2)?;
            let (luma, chroma) = data.split_at(stride * h);
            let (u, v) = chroma.split_at(half * rows);
            Ok([packed(luma, stride, w, h), packed(u, half, w / 2, rows), packed(v, half, w / 2, rows)])
        }
        PixelFormat::H264 | PixelFormat::Mjpeg => Err(ConvertError::Unsupported),
    }
}

/// Converts a raw picture of a device: for each plane its bytes and its bytes a row.
pub fn device_to_i420(
    format: PixelFormat,
    planes: &[(&[u8], u32)],
    width: u32,
    height: u32,
) -> Result<Planes, ConvertError> {
    match planes {
        [(data, stride)] => packed_to_i420(format, data, width, height, *stride),
        _ => Err(ConvertError::Unsupported),
    }
}

fn enough(data: &[u8], wanted: usize) -> Result<&[u8], ConvertError> {
    if data.len() < wanted { Err(ConvertError::Short { got: data.len(), wanted }) } else { Ok(data) }
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

fn yuyv(data: &[u8], width: u32, height: u32, stride: u32) -> Result<Planes, ConvertError> {
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
    yuv::yuyv422_to_yuv420(&mut target.image(), &source).map_err(|_| ConvertError::Unsupported)?;
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
