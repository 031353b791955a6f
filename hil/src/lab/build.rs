//! A whole lab: the namespaces of device, viewer and internet, and the network between them.

use super::namespace::Namespace;

/// See the module.
#[derive(Debug)]
pub struct Lab {
    device: Namespace,
    viewer: Namespace,
    internet: Namespace,
}

impl Lab {
    /// Where the device is: a local agent runs in it, another board's network card or tap is moved into it.
    pub fn device(&self) -> &Namespace {
        &self.device
    }

    /// Where the viewers are.
    pub fn viewer(&self) -> &Namespace {
        &self.viewer
    }

    /// Where the servers are.
    pub fn internet(&self) -> &Namespace {
        &self.internet
    }
}
