//! Conversions, shown with pictures whose every pixel is known.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

const W: usize = 16;
const H: usize = 8;

/// Luma that names its place, chroma that is the same for each 2 x 2 block.
fn expected() -> Planes {
    let luma = (0..W * H).map(|index| 16 + index as u8).collect();
    let chroma = |base: u8| (0..W * H / 4).map(|index| base + index as u8).collect();
    [luma, chroma(60), chroma(150)]
}

fn rows(stride: usize, row_of: impl Fn(usize) -> Vec<u8>, height: usize) -> Vec<u8> {
    (0..height)
        .flat_map(|row| {
            let mut bytes = row_of(row);
            bytes.resize(stride, 0xee);
            bytes
        })
        .collect()
}

fn yuyv_bytes(stride: usize) -> Vec<u8> {
    let [y, u, v] = expected();
    let row = |row: usize| {
        (0..W / 2)
            .flat_map(|pair| {
                let chroma = row / 2 * W / 2 + pair;
                [y[row * W + pair * 2], u[chroma], y[row * W + pair * 2 + 1], v[chroma]]
            })
            .collect()
    };
    rows(stride, row, H)
}

fn nv12_bytes(stride: usize) -> Vec<u8> {
    let [y, u, v] = expected();
    let mut bytes = rows(stride, |row| y[row * W..][..W].to_vec(), H);
    let interleaved =
        |row: usize| (0..W / 2).flat_map(|x| [u[row * W / 2 + x], v[row * W / 2 + x]]).collect();
    bytes.extend(rows(stride, interleaved, H / 2));
    bytes
}

fn yu12_bytes(stride: usize) -> Vec<u8> {
    let [y, u, v] = expected();
    let mut bytes = rows(stride, |row| y[row * W..][..W].to_vec(), H);
    for plane in [u, v] {
        bytes.extend(rows(stride / 2, |row| plane[row * W / 2..][..W / 2].to_vec(), H / 2));
    }
    bytes
}

#[test]
fn every_raw_format_gives_the_same_planes_with_and_without_padding() {
    for padding in [0, 32] {
        let (yuyv, other) = (W * 2 + padding, W + padding);
        for (format, bytes, stride) in [
            (PixelFormat::Yuyv, yuyv_bytes(yuyv), yuyv),
            (PixelFormat::Nv12, nv12_bytes(other), other),
            (PixelFormat::Yu12, yu12_bytes(other), other),
        ] {
            let planes = packed_to_i420(format, &bytes, W as u32, H as u32, stride as u32).unwrap();
            assert_eq!(planes, expected(), "{format} with {padding} bytes of padding");
        }
    }
}

#[test]
fn a_picture_that_is_cut_short_is_refused_with_both_figures() {
    let bytes = nv12_bytes(W);
    let error = packed_to_i420(PixelFormat::Nv12, &bytes[..100], W as u32, H as u32, 0).unwrap_err();
    assert_eq!(error, ConvertError::Short { got: 100, wanted: W * H * 3 / 2 });
}

/// A grey 16 x 16 baseline JPEG of one luminance component: every block has only a DC value.
fn grey_jpeg() -> Vec<u8> {
    let mut jpeg = vec![0xff, 0xd8, 0xff, 0xdb, 0, 67, 0];
    jpeg.extend([16; 64]);
    jpeg.extend([0xff, 0xc0, 0, 11, 8, 0, 16, 0, 16, 1, 1, 0x11, 0]);
    // One DC code (category 0) and one AC code (end of block), each of one bit.
    for class in [0x00, 0x10] {
        jpeg.extend([0xff, 0xc4, 0, 20, class, 1]);
        jpeg.extend([0; 15]);
        jpeg.push(0);
    }
    jpeg.extend([0xff, 0xda, 0, 8, 1, 1, 0x00, 0, 63, 0]);
    // Four blocks of "no difference, end of block".
    jpeg.extend([0x00, 0xff, 0xd9]);
    jpeg
}

#[test]
fn a_grey_jpeg_becomes_limited_range_grey() {
    let planes = jpeg_to_i420(&grey_jpeg(), 16, 16).unwrap();
    assert_eq!(planes.each_ref().map(|plane| plane.len()), [256, 64, 64]);
    // Full-range 128 is 16 + 128 * 219 / 255.
    assert!(planes[0].iter().all(|luma| luma.abs_diff(126) <= 1), "{}", planes[0][0]);
    assert!(planes[1].iter().chain(&planes[2]).all(|chroma| chroma.abs_diff(128) <= 1));
}

#[test]
fn a_jpeg_of_another_size_or_damaged_is_refused_in_words() {
    let error = jpeg_to_i420(&grey_jpeg(), 32, 32).unwrap_err().to_string();
    assert!(error.contains("16x16 instead of 32x32"), "{error}");
    assert!(jpeg_to_i420(&grey_jpeg()[..50], 16, 16).is_err());
    assert!(jpeg_to_i420(b"", 16, 16).is_err());
}

proptest! {
    #[test]
    fn no_bytes_make_the_converters_panic(
        data in prop::collection::vec(any::<u8>(), 0..600), width in 0u32..40, height in 0u32..40, stride in 0u32..90,
    ) {
        for format in PixelFormat::ALL {
            if let Ok(planes) = packed_to_i420(format, &data, width, height, stride) {
                prop_assert_eq!(planes[0].len(), (width * height) as usize);
                prop_assert_eq!(planes[2].len(), (width * height / 4) as usize);
            }
        }
    }

    #[test]
    fn a_damaged_jpeg_does_not_make_the_decoder_panic(at in 0usize..180, byte: u8) {
        let mut jpeg = grey_jpeg();
        let at = at % jpeg.len();
        jpeg[at] = byte;
        if let Ok(planes) = jpeg_to_i420(&jpeg, 16, 16) {
            prop_assert_eq!(planes[0].len(), 256);
        }
    }
}
