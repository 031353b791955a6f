//! Where the probe stands: in a namespace, on this machine, or behind a network card of its own.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use ipnet::IpNet;
use rtnetlink::RouteMessageBuilder;

use super::ProbeError;
use crate::lab::{
    build::{netlink, taken::Taken},
    link::{Attachment, set_addresses},
    namespace::{Entrance, Namespace},
};

/// A side of a router that is to be measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// This machine as it is, with addresses that it has.
    Here(Vec<IpAddr>),
    /// A namespace by its name, with addresses that it has.
    Namespace(String, Vec<IpAddr>),
    /// A network card or VLAN of this machine, with a cable to the router: it is moved into a namespace of its own for
    /// the time of the measurement, so that no other way leads to the other side.
    Interface {
        /// Its name.
        interface: String,
        /// The addresses that it gets there, with the length of their prefix. There is no DHCP.
        addresses: Vec<IpNet>,
        /// The router, on its inside; outside it is not needed if both are in one network.
        gateway: Option<IpAddr>,
    },
}

/// A place where sockets can be opened.
#[derive(Debug)]
pub struct Site {
    pub(super) addresses: Vec<IpAddr>,
    way: Way,
}

#[derive(Debug)]
enum Way {
    Here,
    Into(Entrance),
    // Fields in the order in which they are to go.
    Own(#[allow(dead_code, reason = "gives the card back when it goes")] Taken, Namespace),
}

impl Place {
    /// Goes there. `name` tells the namespace of an interface from those of others.
    pub fn enter(&self, name: &str) -> Result<Site, ProbeError> {
        let unusable = |place: &str, error: io::Error| ProbeError::Place { place: place.into(), error };
        Ok(match self {
            Self::Here(addresses) => Site { addresses: addresses.clone(), way: Way::Here },
            Self::Namespace(namespace, addresses) => {
                let entrance = Namespace::open(namespace).map_err(|error| unusable(namespace, error))?;
                Site { addresses: addresses.clone(), way: Way::Into(entrance) }
            }
            Self::Interface { interface, addresses, gateway } => {
                let namespace = Namespace::create(name)?;
                let taken = Taken::take(interface, &namespace, interface)
                    .map_err(|error| unusable(interface, error))?;
                let attachment = Attachment {
                    device: interface.clone(),
                    addresses: addresses.clone(),
                    default_route: false,
                    gateway: None,
                };
                set_addresses(&namespace, &attachment).map_err(|error| unusable(interface, error))?;
                if let Some(gateway) = *gateway {
                    namespace.run(|| route(gateway)).map_err(|error| unusable(interface, error))?;
                }
                let addresses = addresses.iter().map(IpNet::addr).collect();
                Site { addresses, way: Way::Own(taken, namespace) }
            }
        })
    }
}

impl Site {
    /// Runs something there.
    pub fn run<T: Send>(&self, job: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
        match &self.way {
            Way::Here => job(),
            Way::Into(entrance) => entrance.run(job),
            Way::Own(_, namespace) => namespace.run(job),
        }
    }
}

fn route(gateway: IpAddr) -> io::Result<()> {
    netlink::here(async |handle| {
        let message = match gateway {
            IpAddr::V4(gateway) => RouteMessageBuilder::<Ipv4Addr>::new().gateway(gateway).build(),
            IpAddr::V6(gateway) => RouteMessageBuilder::<Ipv6Addr>::new().gateway(gateway).build(),
        };
        handle.route().add(message).execute().await.map_err(netlink::plain)
    })
}
