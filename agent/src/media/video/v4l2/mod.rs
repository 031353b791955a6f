//! The Video for Linux API (kernel doc: userspace-api/media/v4l), as much of it as cameras and mem-to-mem codecs need.
//! All `unsafe` of it is in `ioctl.rs` and `memory.rs`.
//!
//! [`Device`] is an open node: formats, controls, events. [`Queue`] is one of its queues, [`Buffer`] one of that one's
//! buffers while the agent has it: queueing consumes it, dequeueing gives it back, so it is never in two hands. A
//! queue, its buffers and its device can be dropped in any order, also when the device is unplugged.
//!
//! It does not know what pictures are, nor when to give up: callers set deadlines and put errors into words.

mod abi;
#[cfg(target_pointer_width = "32")]
mod abi_32;
#[cfg(test)]
mod abi_tests;
mod buffer;
mod controls;
mod device;
mod error;
mod format;
mod fourcc;
mod ioctl;
mod memory;
mod nodes;
mod queue;

pub use abi::{Fract, MAX_PLANES};
pub use buffer::{Buffer, Dequeued, DmabufPlane, Flags, PlaneData, Refused};
pub use controls::{Control, ControlKind, normalised};
pub use device::{BufferType, Capabilities, Device, Event, EventKind, Readiness, Rect, Target};
pub use error::{Error, Result};
pub use format::{Colorimetry, Format, FormatDescription, Intervals, PlaneFormat, Sizes, Steps};
pub use fourcc::FourCc;
pub use nodes::nodes;
pub use queue::{Capture, Direction, Memory, Output, Queue};
