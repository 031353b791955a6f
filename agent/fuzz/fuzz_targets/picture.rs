//! Any bytes as a camera's picture: raw ones converted and JPEG ones decoded without a panic, whole or refused.
//!
//! The first eight bytes are the format, width and height (halved), the bytes a row of each plane, and where the second
//! plane begins (as a share of 256).
#![no_main]

use libfuzzer_sys::fuzz_target;
use p2pcam_agent::media::video::{
    PixelFormat,
    convert::{device_to_i420, jpeg_to_i420},
};

fuzz_target!(|data: &[u8]| {
    let Some((&[format, width, height, first, second, third, cut, _], samples)) = data.split_first_chunk() else {
        return;
    };
    let format = PixelFormat::ALL[usize::from(format) % PixelFormat::ALL.len()];
    let (width, height) = (u32::from(width) * 2, u32::from(height) * 2);
    if format.is_raw() {
        let (luma, chroma) = samples.split_at(samples.len() * usize::from(cut) / 256);
        let planes = [(luma, first), (chroma, second), (chroma, third)].map(|(data, row)| (data, u32::from(row)));
        if let Ok(planes) = device_to_i420(format, &planes[..format.memory_planes()], width, height) {
            let pixels = (width * height) as usize;
            assert_eq!(planes.map(|plane| plane.len()), [pixels, pixels / 4, pixels / 4]);
        }
    } else {
        let _ = jpeg_to_i420(samples, width, height);
    }
});
