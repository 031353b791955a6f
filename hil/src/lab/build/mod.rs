//! A whole lab: the namespaces of device, viewer and internet, and the network between them.

mod addresses;
mod events;
mod netlink;
mod wiring;

pub use addresses::{Addresses, HostAddresses, INTERNET, INTERNET6, Lan};

use std::{
    io,
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::{
    driver::{Device, Port, Running},
    link::{Attachment, attach},
    namespace::{Namespace, NamespaceError},
};
use crate::scenario::plan::{Plan, SideName};
use wiring::{Wiring, addresses_v4};

/// The device that leads from a host's namespace into the lab.
pub const HOST_INTERFACE: &str = "lan0";
/// What a board's network card or tap is called in the device's namespace.
pub const BOARD_INTERFACE: &str = "board0";

/// Where the device is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceHost {
    /// In the namespace itself, as a process: `lan0` has the device's own address.
    Process,
    /// On a network card or tap in the namespace, which is the LAN's gateway: see [`Lab::lan`].
    Lan,
}

/// Why a lab cannot be built, or cannot do what is asked of it.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// No rights, or the name is taken.
    #[error(transparent)]
    Namespace(#[from] NamespaceError),
    /// The kernel has no TUN devices.
    #[error("this machine has no TUN devices (/dev/net/tun): load the kernel's module with `modprobe tun`")]
    NoTun,
    /// The kernel refused something else.
    #[error("the lab {lab}: {what}: {error}")]
    Failed {
        /// Its name.
        lab: String,
        /// What was tried.
        what: String,
        /// What the kernel said.
        error: io::Error,
    },
    /// The plan has nothing for it.
    #[error("the lab {lab} cannot {what}")]
    Unable {
        /// Its name.
        lab: String,
        /// As `switch the viewer's uplink: it has no spare one`.
        what: String,
    },
}

/// See the module. Gone, with all that is in it, when dropped; programs in its namespaces are to be ended before.
#[derive(Debug)]
pub struct Lab {
    name: String,
    // Before the namespaces: its thread has their devices open.
    running: Running,
    wiring: Mutex<Wiring>,
    host: DeviceHost,
    device: Namespace,
    viewer: Namespace,
    internet: Namespace,
}

impl Lab {
    /// Builds the network of a plan in namespaces `p2phil-NAME-dev`, `-vw` and `-net`.
    pub fn build(name: &str, plan: &Plan, host: DeviceHost) -> Result<Self, LabError> {
        let device = Namespace::create(&format!("{name}-dev"))?;
        let viewer = Namespace::create(&format!("{name}-vw"))?;
        let internet = Namespace::create(&format!("{name}-net"))?;
        let (fabric, wiring) = Wiring::of(plan);
        let internet_addresses = INTERNET.map(|address| (IpAddr::from(address), 32)).to_vec();
        let attached = [
            (&internet, wiring.internet, &internet_addresses),
            (&device, wiring.side(SideName::Device).host, &wiring.side(SideName::Device).uplink().addresses),
            (&viewer, wiring.side(SideName::Viewer).host, &wiring.side(SideName::Viewer).uplink().addresses),
        ];
        let mut ports = Vec::new();
        for (namespace, endpoint, addresses) in attached {
            let addresses = addresses.iter().filter_map(|(address, prefix)| match address {
                IpAddr::V4(address) => Some((*address, *prefix)),
                IpAddr::V6(_) => None,
            });
            let tun = attach(namespace, &Attachment { addresses: addresses.collect() });
            let tun = tun.map_err(|error| tun_failed(name, error))?;
            ports.push(Port { endpoint, device: Device(tun) });
        }
        let running = Running::start(fabric, ports)
            .map_err(|error| failed(name, "its thread cannot be started".into(), error))?;
        let wiring = Mutex::new(wiring);
        Ok(Self { name: name.into(), running, wiring, host, device, viewer, internet })
    }

    /// Builds another plan's network in the same namespaces, which takes milliseconds: nothing of the routers that were
    /// is left. Programs in the namespaces live on, but a host's address may be another one.
    pub fn rewire(&mut self, plan: &Plan) -> Result<(), LabError> {
        let (fabric, wiring) = Wiring::of(plan);
        self.running.with(|running| *running = fabric);
        *self.wiring() = wiring;
        self.readdress(SideName::Device)?;
        self.readdress(SideName::Viewer)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

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

    /// Whether the device is in the namespace or on a LAN.
    pub fn device_host(&self) -> DeviceHost {
        self.host
    }

    /// The namespace of a side.
    pub fn side(&self, side: SideName) -> &Namespace {
        match side {
            SideName::Device => &self.device,
            SideName::Viewer => &self.viewer,
        }
    }

    /// Who is where now.
    pub fn addresses(&self) -> Addresses {
        let wiring = self.wiring();
        let host = |side| {
            let addresses = &wiring.side(side).uplink().addresses;
            HostAddresses { v4: addresses::v4(addresses), v6: addresses::v6(addresses) }
        };
        Addresses {
            internet: INTERNET,
            internet6: INTERNET6,
            device: host(SideName::Device),
            viewer: host(SideName::Viewer),
        }
    }

    /// A side's public address now.
    pub fn wan_address(&self, side: SideName) -> IpAddr {
        self.wiring().side(side).uplink().wan.into()
    }

    /// The LAN that a board is on; `None` with [`DeviceHost::Process`]. It is always 192.168.1.0/24, unless the plan has
    /// no router: then it is the public 198.51.100.0/24 with the one lease 198.51.100.1.
    pub fn lan(&self) -> Option<Lan> {
        let public = self.wiring().side(SideName::Device).uplink().routers.is_empty();
        (self.host == DeviceHost::Lan)
            .then(|| if public { addresses::public_lan() } else { addresses::lan() })
    }

    fn wiring(&self) -> MutexGuard<'_, Wiring> {
        self.wiring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the host of a side the addresses that its uplink asks for, in its namespace and in the network.
    fn readdress(&self, side: SideName) -> Result<(), LabError> {
        let (endpoint, segment, addresses) = {
            let wiring = self.wiring();
            let side = wiring.side(side);
            (side.host, side.uplink().segment, side.uplink().addresses.clone())
        };
        let moved = addresses_v4(&addresses);
        self.running.with(|fabric| fabric.move_endpoint(endpoint, segment, moved));
        netlink::within(self.side(side), async |handle| {
            let link = netlink::index(&handle, HOST_INTERFACE).await?;
            netlink::set_addresses(&handle, link, &addresses).await
        })
        .map_err(|error| failed(&self.name, format!("{HOST_INTERFACE} cannot get another address"), error))
    }

    fn unable(&self, what: String) -> LabError {
        LabError::Unable { lab: self.name.clone(), what }
    }
}

fn failed(lab: &str, what: String, error: io::Error) -> LabError {
    LabError::Failed { lab: lab.into(), what, error }
}

fn tun_failed(lab: &str, error: io::Error) -> LabError {
    match error.kind() {
        io::ErrorKind::NotFound => LabError::NoTun,
        _ => failed(lab, format!("{HOST_INTERFACE} cannot be made"), error),
    }
}
