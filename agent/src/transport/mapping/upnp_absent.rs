//! Stands in for UPnP-IGD in a build without the feature `upnp`: no router is found by it.

use super::{
    speak::Place,
    types::{Granted, Problem, Wanted},
};
use crate::transport::candidate::Protocol;

/// There is none.
#[derive(Debug)]
pub(super) enum Upnp {}

impl Upnp {
    /// Fails.
    pub async fn search(_: Place) -> Result<Self, Problem> {
        Err(Problem::Io("this agent was built without the feature upnp".into()))
    }

    /// Never called.
    pub async fn map(&mut self, _: &Wanted) -> Result<Granted, Problem> {
        match *self {}
    }

    /// Never called.
    pub async fn unmap(&self, _: Protocol, _: u16) -> Result<(), Problem> {
        match *self {}
    }
}
