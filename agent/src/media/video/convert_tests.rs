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

/// 4:2:2 with the samples of two pixels in the order that the format's name says.
fn packed_bytes(name: &[u8; 4], stride: usize) -> Vec<u8> {
    let [y, u, v] = expected();
    let row = |row: usize| {
        (0..W / 2)
            .flat_map(|pair| {
                let chroma = row / 2 * W / 2 + pair;
                let mut luma = y[row * W + pair * 2..][..2].iter();
                name.map(|sample| match sample {
                    b'U' => u[chroma],
                    b'V' => v[chroma],
                    _ => *luma.next().unwrap(),
                })
            })
            .collect()
    };
    rows(stride, row, H)
}

/// Luma, and chroma interleaved or not, in its order in memory.
fn planes_of(format: PixelFormat, stride: usize) -> Vec<(Vec<u8>, usize)> {
    let [y, u, v] = expected();
    let (first, second) = match format {
        PixelFormat::Nv21 | PixelFormat::Nm21 | PixelFormat::Yv12 | PixelFormat::Ym21 => (v, u),
        _ => (u, v),
    };
    let luma = (rows(stride, |row| y[row * W..][..W].to_vec(), H), stride);
    if format.to_string().starts_with('N') {
        let half = |row: usize| row * W / 2..(row + 1) * W / 2;
        let pairs = |row: usize| {
            first[half(row)].iter().zip(&second[half(row)]).flat_map(|(a, b)| [*a, *b]).collect()
        };
        return vec![luma, (rows(stride, pairs, H / 2), stride)];
    }
    let plane = |plane: Bytes| rows(stride / 2, |row| plane[row * W / 2..][..W / 2].to_vec(), H / 2);
    vec![luma, (plane(first), stride / 2), (plane(second), stride / 2)]
}

/// The memory of a picture in any raw format, as a device gives it.
fn memory_of(format: PixelFormat, padding: usize) -> Vec<(Vec<u8>, usize)> {
    match format {
        PixelFormat::Yuyv | PixelFormat::Uyvy | PixelFormat::Yvyu | PixelFormat::Vyuy => {
            vec![(packed_bytes(&format.fourcc(), W * 2 + padding), W * 2 + padding)]
        }
        _ => {
            let planes = planes_of(format, W + padding);
            if format.memory_planes() > 1 {
                return planes;
            }
            vec![(planes.into_iter().flat_map(|(bytes, _)| bytes).collect(), W + padding)]
        }
    }
}

fn convert(format: PixelFormat, memory: &[(Vec<u8>, usize)]) -> Result<Planes, ConvertError> {
    let planes: Vec<_> = memory.iter().map(|(bytes, stride)| (&bytes[..], *stride as u32)).collect();
    device_to_i420(format, &planes, W as u32, H as u32)
}

fn raw() -> impl Iterator<Item = PixelFormat> {
    PixelFormat::ALL.into_iter().filter(|format| format.is_raw())
}

#[test]
fn every_raw_format_gives_the_same_planes_with_and_without_padding() {
    for format in raw() {
        for padding in [0, 32] {
            let memory = memory_of(format, padding);
            assert_eq!(memory.len(), format.memory_planes());
            let what = format!("{format} with {padding} bytes of padding");
            assert_eq!(convert(format, &memory).as_ref(), Ok(&expected()), "{what}");
            // Drivers may end a plane with its last sample.
            let cut = memory.iter().map(|(bytes, stride)| {
                (bytes[..bytes.len() - last_padding(format, padding)].to_vec(), *stride)
            });
            assert_eq!(
                convert(format, &cut.collect::<Vec<_>>()),
                Ok(expected()),
                "{what}, the last left out"
            );
        }
    }
}

/// The padding of the last row of each plane.
fn last_padding(format: PixelFormat, padding: usize) -> usize {
    let halved =
        matches!(format, PixelFormat::Yu12 | PixelFormat::Yv12 | PixelFormat::Ym12 | PixelFormat::Ym21);
    if halved { padding / 2 } else { padding }
}

#[test]
fn a_picture_that_is_cut_short_is_refused_with_both_figures() {
    let mut memory = memory_of(PixelFormat::Nv12, 0);
    memory[0].0.truncate(100);
    let error = convert(PixelFormat::Nv12, &memory).unwrap_err();
    assert_eq!(error, ConvertError::Short { got: 100, wanted: W * H * 3 / 2 });
    for format in raw() {
        for plane in 0..format.memory_planes() {
            let mut memory = memory_of(format, 0);
            memory[plane].0.pop();
            assert!(
                matches!(convert(format, &memory), Err(ConvertError::Short { .. })),
                "{format}, plane {plane}"
            );
        }
    }
}

#[test]
fn a_picture_with_another_number_of_planes_is_refused() {
    let (one, two) = (memory_of(PixelFormat::Nv12, 0), memory_of(PixelFormat::Nm12, 0));
    assert_eq!(convert(PixelFormat::Nm12, &one), Err(ConvertError::Unsupported));
    assert_eq!(convert(PixelFormat::Nv12, &two), Err(ConvertError::Unsupported));
    assert_eq!(convert(PixelFormat::Nv12, &[]), Err(ConvertError::Unsupported));
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
        data in prop::collection::vec(any::<u8>(), 0..600), width in 0u32..40, height in 0u32..40,
        strides in any::<[u8; 3]>(), cut in 0usize..600,
    ) {
        let (first, rest) = data.split_at(cut.min(data.len()));
        let planes = [first, rest, rest].into_iter().zip(strides).map(|(data, stride)| (data, u32::from(stride % 90)));
        let planes: Vec<_> = planes.collect();
        for format in PixelFormat::ALL {
            if let Ok(planes) = device_to_i420(format, &planes[..format.memory_planes()], width, height) {
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
