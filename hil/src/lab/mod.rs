//! The laboratory: namespaces, links, and routers with a given NAT behaviour.

pub mod build;
pub mod capture;
pub mod driver;
pub mod fabric;
pub mod firewall6;
pub mod leftovers;
pub mod link;
pub mod linux_router;
pub mod namespace;
pub mod nat;
pub mod nat64;
mod owner;
pub mod packet;
pub mod probe;
pub mod wire;

pub use build::{DeviceHost, Lab, LabError};
