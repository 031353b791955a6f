//! Cameras of the Video for Linux API, by memory-mapped streaming, single- and multi-planar.

mod camera;
mod controls;
mod held;
mod list;
mod negotiate;
mod open;
mod stream;
mod words;

pub use camera::Camera;
pub use list::{CameraInfo, list_cameras};
pub use negotiate::{CameraMode, Wanted, choose};
