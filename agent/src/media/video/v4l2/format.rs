//! How pictures lie in a device's buffers: asked, set and listed.

use super::{
    abi::{self, Fract, MAX_PLANES, PlanePixFormat},
    device::{BufferType, Device, text},
    error::{Error, Result},
    fourcc::FourCc,
    ioctl::{self, Plain, Request},
};

/// Entries of a list that are read: a driver whose list has no end is not followed further.
const MAX_LISTED: u32 = 512;

/// How one plane of memory is laid out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PlaneFormat {
    /// Bytes from row to row; 0 asks the driver, and stands for none in compressed formats.
    pub stride: u32,
    /// Bytes of the whole plane; 0 asks the driver.
    pub size: u32,
}

/// What the colours mean (`V4L2_COLORSPACE_*`, `V4L2_YCBCR_ENC_*`, `V4L2_QUANTIZATION_*`, `V4L2_XFER_FUNC_*`; 0 is the
/// default).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Colorimetry {
    /// Colour space.
    pub colorspace: u32,
    /// Matrix from RGB to Y'CbCr.
    pub ycbcr_enc: u32,
    /// Full or limited range.
    pub quantization: u32,
    /// Transfer function.
    pub xfer_func: u32,
}

/// How pictures lie in the buffers of a queue, single- or multi-planar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Format {
    /// The pixel format.
    pub fourcc: FourCc,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// One for each plane of memory, 1 to 8; exactly one if single-planar.
    pub planes: Vec<PlaneFormat>,
    /// Set by whoever made the picture.
    pub colorimetry: Colorimetry,
    /// `V4L2_FIELD_*`; 1 is whole pictures.
    pub field: u32,
}

impl Format {
    /// Whole pictures of this size, with so many planes that the driver shall lay out.
    pub fn new(fourcc: FourCc, width: u32, height: u32, planes: usize) -> Self {
        Self {
            fourcc,
            width,
            height,
            planes: vec![PlaneFormat::default(); planes],
            colorimetry: Colorimetry::default(),
            field: abi::FIELD_NONE,
        }
    }

    fn of_single(pix: &abi::PixFormat) -> Self {
        let extended = pix.private == abi::PIX_FMT_PRIV_MAGIC;
        let known = |value| if extended { value } else { 0 };
        Self {
            fourcc: FourCc(pix.pixelformat),
            width: pix.width,
            height: pix.height,
            planes: vec![PlaneFormat { stride: pix.bytesperline, size: pix.sizeimage }],
            colorimetry: Colorimetry {
                colorspace: pix.colorspace,
                ycbcr_enc: known(pix.ycbcr_enc),
                quantization: known(pix.quantization),
                xfer_func: known(pix.xfer_func),
            },
            field: pix.field,
        }
    }

    fn to_single(&self) -> Option<abi::PixFormat> {
        let &[PlaneFormat { stride, size }] = self.planes.as_slice() else { return None };
        Some(abi::PixFormat {
            width: self.width,
            height: self.height,
            pixelformat: self.fourcc.0,
            field: self.field,
            bytesperline: stride,
            sizeimage: size,
            colorspace: self.colorimetry.colorspace,
            private: abi::PIX_FMT_PRIV_MAGIC,
            flags: 0,
            ycbcr_enc: self.colorimetry.ycbcr_enc,
            quantization: self.colorimetry.quantization,
            xfer_func: self.colorimetry.xfer_func,
        })
    }

    fn of_multi(pix: &abi::PixFormatMplane) -> Self {
        let count = usize::from(pix.num_planes).clamp(1, MAX_PLANES);
        let plane =
            |plane: &PlanePixFormat| PlaneFormat { stride: plane.bytesperline, size: plane.sizeimage };
        Self {
            fourcc: FourCc(pix.pixelformat),
            width: pix.width,
            height: pix.height,
            planes: pix.plane_fmt[..count].iter().map(plane).collect(),
            colorimetry: Colorimetry {
                colorspace: pix.colorspace,
                ycbcr_enc: pix.ycbcr_enc.into(),
                quantization: pix.quantization.into(),
                xfer_func: pix.xfer_func.into(),
            },
            field: pix.field,
        }
    }

    fn to_multi(&self) -> Option<abi::PixFormatMplane> {
        if !(1..=MAX_PLANES).contains(&self.planes.len()) {
            return None;
        }
        let Colorimetry { colorspace, ycbcr_enc, quantization, xfer_func } = self.colorimetry;
        let mut plane_fmt = [PlanePixFormat { sizeimage: 0, bytesperline: 0, reserved: [0; 6] }; MAX_PLANES];
        for (to, from) in plane_fmt.iter_mut().zip(&self.planes) {
            (to.sizeimage, to.bytesperline) = (from.size, from.stride);
        }
        Some(abi::PixFormatMplane {
            width: self.width,
            height: self.height,
            pixelformat: self.fourcc.0,
            field: self.field,
            colorspace,
            plane_fmt,
            num_planes: self.planes.len() as u8,
            flags: 0,
            ycbcr_enc: u8::try_from(ycbcr_enc).unwrap_or(0),
            quantization: u8::try_from(quantization).unwrap_or(0),
            xfer_func: u8::try_from(xfer_func).unwrap_or(0),
            reserved: [0; 7],
        })
    }
}

/// A pixel format that a queue offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormatDescription {
    /// The code.
    pub fourcc: FourCc,
    /// In words of the driver: "Y/UV 4:2:0".
    pub description: String,
    /// Encoded pictures.
    pub compressed: bool,
    /// Made from another format by software.
    pub emulated: bool,
}

/// Sizes that a pixel format comes in, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sizes {
    /// Just this one.
    One {
        /// Width.
        width: u32,
        /// Height.
        height: u32,
    },
    /// All of a range, for width and height the least, the largest and the step.
    Range {
        /// Widths.
        width: Steps,
        /// Heights.
        height: Steps,
    },
}

/// A range of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Steps {
    /// The least.
    pub min: u32,
    /// The largest.
    pub max: u32,
    /// From one to the next.
    pub step: u32,
}

/// Times from picture to picture that a size comes with, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intervals {
    /// Just this one.
    One(Fract),
    /// All between these.
    Range {
        /// The fastest rate.
        shortest: Fract,
        /// The slowest rate.
        longest: Fract,
    },
}

impl Device {
    /// How pictures lie in a queue's buffers.
    pub fn format(&self, type_: BufferType) -> Result<Format> {
        let single = abi::SingleFormat { type_: type_.code(), ..Plain::zeroed() };
        if type_.is_multi() {
            let format = abi::MultiFormat { type_: type_.code(), ..Plain::zeroed() };
            return self.ask(&ioctl::G_FMT_MULTI, format).map(|format| Format::of_multi(&format.pix));
        }
        // Tells the driver that the fields behind it are understood.
        let pix = abi::PixFormat { private: abi::PIX_FMT_PRIV_MAGIC, ..single.pix };
        let format = self.ask(&ioctl::G_FMT, abi::SingleFormat { pix, ..single })?;
        Ok(Format::of_single(&format.pix))
    }

    /// Sets how pictures lie; returns what the driver took, which may be something else.
    pub fn set_format(&self, type_: BufferType, format: &Format) -> Result<Format> {
        self.put_format(type_, format, &ioctl::S_FMT, &ioctl::S_FMT_MULTI)
    }

    /// What the driver would take, without a change.
    pub fn try_format(&self, type_: BufferType, format: &Format) -> Result<Format> {
        self.put_format(type_, format, &ioctl::TRY_FMT, &ioctl::TRY_FMT_MULTI)
    }

    fn put_format(
        &self,
        type_: BufferType,
        format: &Format,
        single: &Request<abi::SingleFormat>,
        multi: &Request<abi::MultiFormat>,
    ) -> Result<Format> {
        let planes = || Error::new(single.name, libc::EINVAL);
        if type_.is_multi() {
            let pix = format.to_multi().ok_or_else(planes)?;
            let format = abi::MultiFormat { type_: type_.code(), pix, ..Plain::zeroed() };
            self.ask(multi, format).map(|format| Format::of_multi(&format.pix))
        } else {
            let pix = format.to_single().ok_or_else(planes)?;
            let format = abi::SingleFormat { type_: type_.code(), pix, ..Plain::zeroed() };
            self.ask(single, format).map(|format| Format::of_single(&format.pix))
        }
    }

    fn ask<T: Plain>(&self, request: &Request<T>, mut value: T) -> Result<T> {
        self.call(request, &mut value)?;
        Ok(value)
    }

    /// Reads a list up to its end, which the kernel marks with EINVAL.
    fn list<T: Plain>(&self, request: &Request<T>, entry: impl Fn(u32) -> T) -> Result<Vec<T>> {
        let mut entries = Vec::new();
        for index in 0..MAX_LISTED {
            match self.ask(request, entry(index)) {
                Ok(entry) => entries.push(entry),
                Err(error) if error.errno == libc::EINVAL => break,
                Err(error) => return Err(error),
            }
        }
        Ok(entries)
    }

    /// The pixel formats of a queue, in the driver's order.
    pub fn formats(&self, type_: BufferType) -> Result<Vec<FormatDescription>> {
        let entry = |index| abi::FmtDesc { index, type_: type_.code(), ..Plain::zeroed() };
        let entries = self.list(&ioctl::ENUM_FMT, entry)?;
        let described = |entry: abi::FmtDesc| FormatDescription {
            fourcc: FourCc(entry.pixelformat),
            description: text(&entry.description),
            compressed: entry.flags & 1 != 0,
            emulated: entry.flags & 2 != 0,
        };
        Ok(entries.into_iter().map(described).collect())
    }

    /// The sizes of a pixel format; an error (ENOTTY) from drivers that do not say.
    pub fn sizes(&self, fourcc: FourCc) -> Result<Vec<Sizes>> {
        let entry = |index| abi::FrmSizeEnum { index, pixel_format: fourcc.0, ..Plain::zeroed() };
        let entries = self.list(&ioctl::ENUM_FRAMESIZES, entry)?;
        let sizes = |entry: abi::FrmSizeEnum| match (entry.type_, entry.body) {
            (abi::FRAME_DISCRETE, [width, height, ..]) => Sizes::One { width, height },
            (_, [min, max, step, low, high, rise]) => Sizes::Range {
                width: Steps { min, max, step },
                height: Steps { min: low, max: high, step: rise },
            },
        };
        Ok(entries.into_iter().map(sizes).collect())
    }

    /// The times from picture to picture of a size; an error (ENOTTY) from drivers that do not say.
    pub fn intervals(&self, fourcc: FourCc, width: u32, height: u32) -> Result<Vec<Intervals>> {
        let entry =
            |index| abi::FrmIvalEnum { index, pixel_format: fourcc.0, width, height, ..Plain::zeroed() };
        let entries = self.list(&ioctl::ENUM_FRAMEINTERVALS, entry)?;
        let intervals = |entry: abi::FrmIvalEnum| match (entry.type_, entry.body) {
            (abi::FRAME_DISCRETE, [interval, ..]) => Intervals::One(interval),
            (_, [shortest, longest, _]) => Intervals::Range { shortest, longest },
        };
        Ok(entries.into_iter().map(intervals).collect())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn nv12m() -> Format {
        let planes =
            vec![PlaneFormat { stride: 640, size: 307_200 }, PlaneFormat { stride: 640, size: 153_600 }];
        let colorimetry = Colorimetry { colorspace: 3, ycbcr_enc: 1, quantization: 2, xfer_func: 1 };
        Format { planes, colorimetry, ..Format::new(FourCc(*b"NM12"), 640, 480, 2) }
    }

    #[test]
    fn a_format_is_the_same_after_its_way_through_the_kernels_structs() {
        let multi = nv12m();
        assert_eq!(multi.to_multi().map(|pix| Format::of_multi(&pix)), Some(multi.clone()));
        let single = Format { planes: vec![multi.planes[0]], ..multi };
        assert_eq!(single.to_single().map(|pix| Format::of_single(&pix)), Some(single));
    }

    #[test]
    fn planes_that_the_interface_cannot_have_are_refused() {
        assert!(nv12m().to_single().is_none(), "single-planar has one");
        assert!(Format::new(FourCc(*b"NV12"), 2, 2, 9).to_multi().is_none());
        assert!(Format::new(FourCc(*b"NV12"), 2, 2, 0).to_multi().is_none());
    }

    #[test]
    fn a_driver_that_names_no_planes_or_too_many_is_read_within_bounds() {
        let mut pix = nv12m().to_multi().unwrap();
        pix.num_planes = 0;
        assert_eq!(Format::of_multi(&pix).planes.len(), 1);
        pix.num_planes = 255;
        assert_eq!(Format::of_multi(&pix).planes.len(), MAX_PLANES);
    }
}
