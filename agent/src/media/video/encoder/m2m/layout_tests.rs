//! Copies are compared with the converter that reads cameras' buffers.
#![allow(clippy::unwrap_used)]

use std::time::Instant;

use proptest::prelude::*;

use super::*;
use crate::media::video::convert::device_to_i420;

fn layout(format: PixelFormat, width: u32, height: u32, stride: u32) -> Layout {
    Layout { format, width, height, strides: vec![stride] }
}

fn is_packed(format: PixelFormat) -> bool {
    matches!(format, PixelFormat::Yuyv | PixelFormat::Uyvy)
}

/// Bytes of a picture with so many rows of luma.
fn size(format: PixelFormat, stride: u32, rows: u32) -> usize {
    let luma = (stride * rows) as usize;
    if is_packed(format) { luma } else { luma * 3 / 2 }
}

fn noise(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index * 7919 % 251) as u8).collect()
}

fn frame(width: u32, height: u32) -> RawFrame {
    let pixels = (width * height) as usize;
    let all = noise(pixels * 3 / 2);
    let (luma, chroma) = all.split_at(pixels);
    let (u, v) = chroma.split_at(pixels / 4);
    RawFrame::new(width, height, [luma, u, v].map(|plane| plane.to_vec().into()), Instant::now())
}

proptest! {
    #[test]
    fn a_copy_shows_the_same_picture_whatever_the_strides(
        format in prop::sample::select(vec![PixelFormat::Nv12, PixelFormat::Yu12, PixelFormat::Yuyv]),
        (width, height) in (1u32..40, 1u32..40),
        (pad_from, pad_to) in (0u32..20, 0u32..20),
        extra_rows in 0u32..3,
    ) {
        let (width, height) = (width * 2, height * 2);
        let row = if format == PixelFormat::Yuyv { width * 2 } else { width };
        let (from, to) = (layout(format, width, height, row + pad_from * 2), layout(format, width, height, row + pad_to * 2));
        // The converter reads pictures without rows below them.
        let rows = height + if format == PixelFormat::Yuyv { extra_rows * 2 } else { 0 };
        let source = noise(size(format, from.strides[0], height));
        let mut target = vec![0; size(format, to.strides[0], rows)];
        copy((&from, &source), (&to, rows as usize, &mut target)).unwrap();
        prop_assert_eq!(
            device_to_i420(format, &[(&target, to.strides[0])], width, height),
            device_to_i420(format, &[(&source, from.strides[0])], width, height)
        );
    }

    #[test]
    fn what_is_written_of_memory_is_read_back(
        format in prop::sample::select(vec![PixelFormat::Nv12, PixelFormat::Yu12]),
        (width, height, pad) in (1u32..40, 1u32..40, 0u32..20),
    ) {
        let frame = frame(width * 2, height * 2);
        let to = layout(format, frame.width, frame.height, frame.width + pad * 2);
        let mut target = vec![0; size(format, to.strides[0], frame.height)];
        write(&frame, (&to, frame.height as usize, &mut target)).unwrap();
        let read = device_to_i420(format, &[(&target, to.strides[0])], frame.width, frame.height);
        prop_assert_eq!(read, Ok(frame.planes));
    }
}

#[test]
fn chroma_lies_behind_the_rows_that_the_driver_added() {
    let frame = frame(4, 2);
    let to = layout(PixelFormat::Nv12, 4, 2, 8);
    let mut target = vec![0; 8 * 16 * 3 / 2];
    write(&frame, (&to, 16, &mut target)).unwrap();
    let [y, u, v] = &frame.planes;
    assert_eq!((&target[..4], &target[8..12]), (&y[..4], &y[4..]));
    assert_eq!(target[8 * 16..8 * 16 + 4], [u[0], v[0], u[1], v[1]]);
}

#[test]
fn a_picture_or_buffer_that_is_too_short_is_refused() {
    for format in [PixelFormat::Nv12, PixelFormat::Yu12, PixelFormat::Yuyv] {
        let row = if format == PixelFormat::Yuyv { 128 } else { 64 };
        let layout = layout(format, 64, 16, row);
        let whole = size(format, row, 16);
        let mut target = vec![0; whole];
        assert_eq!(copy((&layout, &noise(whole - 1)), (&layout, 16, &mut target)), Err(Short));
        assert_eq!(copy((&layout, &noise(whole)), (&layout, 16, &mut target[..whole - 1])), Err(Short));
        assert_eq!(copy((&layout, &[]), (&layout, 16, &mut target)), Err(Short));
    }
    let yuyv = layout(PixelFormat::Yuyv, 64, 16, 128);
    assert_eq!(write(&frame(64, 16), (&yuyv, 16, &mut [0; 4096])), Err(Short), "not this way");
    let narrow = layout(PixelFormat::Yu12, 64, 16, 32);
    assert_eq!(write(&frame(64, 16), (&narrow, 16, &mut [0; 4096])), Err(Short), "rows would overlap");
}

#[test]
fn a_layout_has_as_many_planes_of_memory_as_its_code_says() {
    let planes = |format, planes: usize| {
        Layout { strides: vec![64; planes], ..layout(format, 64, 16, 64) }.checked().is_some()
    };
    assert!(planes(PixelFormat::Nv12, 1) && planes(PixelFormat::Nm12, 2) && planes(PixelFormat::Ym12, 3));
    assert!(!planes(PixelFormat::Nv12, 2) && !planes(PixelFormat::Nm12, 1) && !planes(PixelFormat::Mjpeg, 1));
}
