//! The rig as a library. The binary `p2pcam-hil` is its command line.

pub mod lab;
