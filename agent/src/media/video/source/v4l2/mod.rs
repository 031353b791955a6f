//! Cameras of the Video for Linux API (kernel doc: userspace-api/media/v4l), by memory-mapped streaming.

mod camera;
mod compose;
mod convert;
mod list;
mod negotiate;
mod stream;

pub use camera::Camera;
pub use convert::{ConvertError, jpeg_to_i420, packed_to_i420};
pub use list::{CameraInfo, list_cameras};
pub use negotiate::{CameraMode, PixelFormat, Wanted, choose};
