//! Cameras of the Video for Linux API (kernel doc: userspace-api/media/v4l), by memory-mapped streaming.

mod camera;
mod compose;
mod list;
mod negotiate;
mod stream;

pub use camera::Camera;
pub use list::{CameraInfo, list_cameras};
pub use negotiate::{CameraMode, Wanted, choose};
