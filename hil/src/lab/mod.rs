//! The laboratory: namespaces, links, and routers with a given NAT behaviour.

pub mod build;
pub mod driver;
pub mod fabric;
pub mod link;
pub mod namespace;
pub mod nat;
pub mod packet;
pub mod probe;
pub mod wire;

pub use build::{DeviceHost, Lab, LabError};
