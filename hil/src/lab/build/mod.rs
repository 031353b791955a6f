//! A whole lab: the namespaces of device, viewer and internet, and the network between them.

mod addresses;
mod board_lan;
mod events;
pub(super) mod netlink;
pub mod taken;
mod uplink;
mod wiring;

pub use addresses::{Addresses, HostAddresses, INTERNET, INTERNET6, Lan, own};
pub(super) use events::{LineState, whose};

use std::{
    fs::{self, File},
    io::{self, BufWriter},
    net::IpAddr,
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::{
    capture,
    driver::{Device, Port, Running},
    fabric::{EndpointId, Fabric},
    link::{self, Attachment, attach},
    linux_router::{LinuxRouter, LinuxRouterError},
    namespace::{Namespace, NamespaceError},
};
use crate::{
    record::Artefact,
    scenario::plan::{Plan, SideName},
};
use wiring::{Wiring, internet_addresses};

/// The device that leads from a host's namespace into the lab.
pub const HOST_INTERFACE: &str = link::DEVICE;
/// Memory for the last packets of each side: minutes of a camera's stream.
const CAPTURE: usize = 24 << 20;
/// Longest name of a lab: those of its namespaces are shown in tables.
const LONGEST_NAME: usize = 60;
/// Both sides.
pub(super) const SIDES: [SideName; 2] = [SideName::Device, SideName::Viewer];
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
    /// The name cannot be one of a namespace.
    #[error("a lab cannot be called \"{0}\": take letters, digits and hyphens, {LONGEST_NAME} at most")]
    Name(String),
    /// The kernel has no TUN devices.
    #[error("this machine has no TUN devices (/dev/net/tun): load the kernel's module with `modprobe tun`")]
    NoTun,
    /// A router of the kernel's own.
    #[error(transparent)]
    Linux(#[from] LinuxRouterError),
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

/// See the module. Gone, with all programs that still run in its namespaces, when dropped.
#[derive(Debug)]
pub struct Lab {
    name: String,
    // Before the namespaces: its thread has their devices open.
    running: Running,
    wiring: Mutex<Wiring>,
    /// In the order of [`Wiring::linux`].
    linux: Mutex<Vec<LinuxRouter>>,
    host: DeviceHost,
    device: Namespace,
    viewer: Namespace,
    internet: Namespace,
}

impl Lab {
    /// Builds the network of a plan in namespaces `p2phil-NAME-dev`, `-vw` and `-net`.
    pub fn build(name: &str, plan: &Plan, host: DeviceHost) -> Result<Self, LabError> {
        let letters = name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '-');
        if name.is_empty() || name.len() > LONGEST_NAME || !letters {
            return Err(LabError::Name(name.into()));
        }
        let device = Namespace::create(&format!("{name}-dev"))?;
        let viewer = Namespace::create(&format!("{name}-vw"))?;
        let internet = Namespace::create(&format!("{name}-net"))?;
        let (mut fabric, wiring) = Wiring::of(plan, host);
        capture_sides(&mut fabric, &wiring);
        let side = |side| (wiring.side(side).host, wiring.side(side).uplink().attachment());
        let sides = SIDES.map(side);
        let mut ports = Vec::new();
        for (namespace, (endpoint, attachment)) in [&internet, &device, &viewer]
            .into_iter()
            .zip([(wiring.internet, Attachment::new(internet_addresses()))].into_iter().chain(sides))
        {
            let tun = attach(namespace, &attachment);
            ports.push(port(endpoint, tun.map_err(|error| tun_failed(name, error))?));
        }
        if host == DeviceHost::Lan {
            board_lan::forward(&device)
                .map_err(|error| failed(name, "its LAN cannot be made a gateway".into(), error))?;
        }
        let running = Running::start(fabric, ports)
            .map_err(|error| failed(name, "its thread cannot be started".into(), error))?;
        let (wiring, linux) = (Mutex::new(wiring), Mutex::new(Vec::new()));
        let lab = Self { name: name.into(), running, wiring, linux, host, device, viewer, internet };
        lab.create_linux_routers()?;
        Ok(lab)
    }

    /// Builds another plan's network in the same namespaces, which takes milliseconds (with Linux routers some tens):
    /// nothing of the routers, lines and captures that were is left. Programs in the namespaces live on, but a host's
    /// address may be another one; so may be the LAN, if one of the plans has no router: see [`Self::lan`].
    pub fn rewire(&mut self, plan: &Plan) -> Result<(), LabError> {
        let (mut fabric, wiring) = Wiring::of(plan, self.host);
        capture_sides(&mut fabric, &wiring);
        let previous = std::mem::replace(&mut *self.wiring(), wiring);
        for spot in previous.linux {
            self.running.remove_port(spot.lan);
            self.running.remove_port(spot.wan);
        }
        self.linux_routers().clear();
        self.running.with(|running| *running = fabric);
        for side in SIDES {
            self.readdress(side)?;
        }
        self.create_linux_routers()
    }

    fn create_linux_routers(&self) -> Result<(), LabError> {
        let spots = self.wiring().linux.clone();
        for spot in spots {
            let name = format!("{}-{}", self.name, spot.name);
            let (router, devices) = LinuxRouter::create(&name, spot.settings)?;
            self.linux_routers().push(router);
            self.running.add_port(port(spot.lan, devices.lan));
            self.running.add_port(port(spot.wan, devices.wan));
        }
        Ok(())
    }

    /// Writes the last packets of both sides, as they were in the namespaces `dev` and `vw`, as capture files into a
    /// folder; what they are, with paths relative to it. What cannot be written is left out.
    pub fn write_captures(&self, folder: &Path) -> Vec<Artefact> {
        let write = |side| -> io::Result<Artefact> {
            let endpoint = self.wiring().side(side).host;
            let packets = self.running.with(|fabric| fabric.captured(endpoint));
            let (what, file) = match side {
                SideName::Device => ("packets at the device", "device.pcap"),
                SideName::Viewer => ("packets at the viewers", "viewer.pcap"),
            };
            fs::create_dir_all(folder)?;
            capture::write(&mut BufWriter::new(File::create(folder.join(file))?), &packets)?;
            Ok(Artefact { what: what.into(), path: file.into() })
        };
        SIDES.into_iter().filter_map(|side| write(side).ok()).collect()
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
        let host = |side| wiring.side(side).uplink().host;
        Addresses {
            internet: INTERNET,
            internet6: INTERNET6,
            device: host(SideName::Device),
            viewer: host(SideName::Viewer),
        }
    }

    /// A side's public address now: the outermost router's, the carrier's if both sides are behind one, and the host's
    /// own if there is no router. With IPv6 alone it is the host's IPv6 address.
    pub fn wan_address(&self, side: SideName) -> IpAddr {
        let wiring = self.wiring();
        let uplink = wiring.side(side).uplink();
        let v4 = if uplink.wan.is_some() { wiring.carrier.or(uplink.wan) } else { None };
        let v6 = || uplink.host.v6.map(IpAddr::from);
        v4.map(IpAddr::from).or_else(v6).unwrap_or(IpAddr::from([0, 0, 0, 0]))
    }

    /// The LAN that a board is on; `None` with [`DeviceHost::Process`]. It is always 192.168.1.0/24, unless the plan has
    /// IPv4 without a router: then it is the public 198.51.100.0/24 with the one lease 198.51.100.1.
    pub fn lan(&self) -> Option<Lan> {
        let wiring = self.wiring();
        let uplink = wiring.side(SideName::Device).uplink();
        let public = uplink.hops.is_empty() && uplink.host.v4.is_some();
        let lan = || if public { addresses::public_lan(wiring.carrier.is_some()) } else { addresses::lan() };
        (self.host == DeviceHost::Lan).then(lan)
    }

    fn wiring(&self) -> MutexGuard<'_, Wiring> {
        self.wiring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn linux_routers(&self) -> MutexGuard<'_, Vec<LinuxRouter>> {
        self.linux.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the host of a side the addresses that its uplink asks for, in its namespace and in the network.
    fn readdress(&self, side: SideName) -> Result<(), LabError> {
        let attachment = {
            let wiring = self.wiring();
            self.running.with(|fabric| wiring.side(side).place_host(fabric));
            wiring.side(side).uplink().attachment()
        };
        link::set_addresses(self.side(side), &attachment).map_err(|error| {
            failed(&self.name, format!("{HOST_INTERFACE} cannot get another address"), error)
        })
    }

    fn unable(&self, what: String) -> LabError {
        LabError::Unable { lab: self.name.clone(), what }
    }
}

fn port(endpoint: EndpointId, device: tun_rs::SyncDevice) -> Port {
    Port { endpoint, device: Device(device) }
}

fn capture_sides(fabric: &mut Fabric, wiring: &Wiring) {
    for side in SIDES {
        fabric.set_capture(wiring.side(side).host, CAPTURE);
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
