//! Cameras for tests, whose buffers are files.
#![allow(clippy::unwrap_used)]

use std::{
    fs::File,
    io::Write,
    os::fd::{AsFd, BorrowedFd},
    sync::Arc,
    time::Instant,
};

use crate::media::video::{BufferKey, DeviceBuffer, DeviceFrame, DevicePlane, PixelFormat, VideoFrame};

/// Width and height of their pictures.
pub const SIZE: (u32, u32) = (320, 180);

/// A file of this content, to be imported like a DMABUF.
pub fn file(content: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(content).unwrap();
    file
}

/// A camera's buffer in a file.
#[derive(Debug)]
pub struct FileBuffer {
    pub key: BufferKey,
    pub planes: Vec<DevicePlane>,
    pub content: Vec<u8>,
    pub dmabuf: Option<Arc<File>>,
}

impl DeviceBuffer for FileBuffer {
    fn key(&self) -> BufferKey {
        self.key
    }

    fn planes(&self) -> &[DevicePlane] {
        &self.planes
    }

    fn dmabuf(&self, _plane: usize) -> Option<BorrowedFd<'_>> {
        self.dmabuf.as_ref().map(AsFd::as_fd)
    }

    fn bytes(&self, plane: usize) -> &[u8] {
        let planes = &self.planes[..=plane];
        let start = planes[..plane].iter().map(|plane| plane.length as usize).sum::<usize>();
        &self.content[start..start + planes[plane].bytes_used as usize]
    }
}

/// A camera that gives NV12 in one plane.
pub struct Camera {
    stream: u64,
    pub stride: u32,
    files: Vec<Option<Arc<File>>>,
}

impl Camera {
    pub fn new(stream: u64, stride: u32, buffers: usize) -> Self {
        let length = (stride * SIZE.1 * 3 / 2) as usize;
        let content = |index: usize| Some(Arc::new(file(&vec![index as u8 + 1; length])));
        Self { stream, stride, files: (0..buffers).map(content).collect() }
    }

    pub fn without_dmabuf(mut self) -> Self {
        self.files.iter_mut().for_each(|file| *file = None);
        self
    }

    pub fn frame(&self, number: usize) -> VideoFrame {
        let index = number % self.files.len();
        let length = self.stride * SIZE.1 * 3 / 2;
        let buffer = FileBuffer {
            key: BufferKey { stream: self.stream, index: index as u32 },
            planes: vec![DevicePlane { stride: self.stride, length, bytes_used: length, offset: 0 }],
            content: vec![index as u8 + 1; length as usize],
            dmabuf: self.files[index].clone(),
        };
        device(PixelFormat::Nv12, buffer)
    }
}

/// A picture in such a buffer.
pub fn device(format: PixelFormat, buffer: FileBuffer) -> VideoFrame {
    let now = Instant::now();
    VideoFrame::Device(Arc::new(DeviceFrame::new(format, SIZE, now, now, Box::new(buffer))))
}
