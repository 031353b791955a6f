//! The rig as a library. The binary `p2pcam-hil` is its command line.

pub mod board;
pub mod lab;
pub mod process;
pub mod record;
pub mod report;
pub mod scenario;
pub mod servers;
pub mod viewer;
