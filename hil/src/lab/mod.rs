//! The laboratory: namespaces, links, and routers with a given NAT behaviour.

mod build;
pub mod driver;
pub mod fabric;
pub mod firewall6;
pub mod link;
pub mod linux_router;
pub mod namespace;
pub mod nat;
pub mod nat64;
pub mod packet;
pub mod probe;
pub mod wire;

pub use build::Lab;
