//! The laboratory: namespaces, links, and routers with a given NAT behaviour.

pub mod fabric;
pub mod nat;
pub mod packet;
pub mod wire;
