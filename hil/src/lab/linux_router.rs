//! A router as in the field: a namespace with two TUN devices, where the kernel forwards and nftables translates.
//!
//! What it does is what its kernel does, so nothing here is exact or seeded. `masquerade` is EIM/APDF as long as no two
//! inside ports collide, `masquerade fully-random` is APDM/APDF. On the fabric it is two endpoints: the one inside is
//! its segment's gateway, the one outside goes to the internet through a plain router, which has the line, the policy
//! and the counts.

mod conntrack;
mod port_mapping;
mod rules;

use std::{
    fs,
    io::{self, Write},
    net::Ipv4Addr,
    path::Path,
    process::{Command, Stdio},
};

use ipnet::Ipv4Net;
use tun_rs::SyncDevice;

use super::{
    link::{Attachment, attach, set_addresses},
    namespace::{Namespace, NamespaceError},
};
use crate::scenario::plan::PortMapping;
use port_mapping::{Daemon, TABLES, dropped};
pub use rules::{Forward, Translation};

/// What its devices are called.
const LAN: &str = "lan0";
const WAN: &str = "wan0";
/// Settings of a router (ip-sysctl): it forwards, and takes packets from wherever the rules do.
const SETTINGS: [(&str, &str); 3] =
    [("ip_forward", "1"), ("conf/all/rp_filter", "0"), ("conf/default/rp_filter", "0")];
const IPV4_SETTINGS: &str = "/proc/sys/net/ipv4";

/// Why there is no Linux router.
#[derive(Debug, thiserror::Error)]
pub enum LinuxRouterError {
    /// No namespace.
    #[error(transparent)]
    Namespace(#[from] NamespaceError),
    /// The program is missing.
    #[error(
        "a Linux router takes the program `nft`, which is not there: install the package nftables, or use a computed router"
    )]
    NoNft,
    /// The kernel or nft did not like the rules.
    #[error("nft refuses the rules of a Linux router; does the kernel have nf_tables with NAT? It says: {0}")]
    Rules(String),
    /// Anything else.
    #[error("Linux router {name}: {what}: {error}")]
    Failed {
        /// Its namespace.
        name: String,
        /// What was tried.
        what: &'static str,
        /// What the kernel said.
        error: io::Error,
    },
}

/// How it is built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Its address inside, with the length of the prefix.
    pub lan: Ipv4Net,
    /// Its address outside.
    pub wan: Ipv4Addr,
    /// What it translates.
    pub translation: Translation,
    /// How those inside may ask it for ports. Takes a tokio runtime.
    pub port_mapping: Option<PortMapping>,
}

/// Its two TUN devices, for the driver.
pub struct Devices {
    /// Inside. Its endpoint owns [`Settings::lan`]'s address and is the gateway of its segment.
    pub lan: SyncDevice,
    /// Outside. Its endpoint owns [`Settings::wan`].
    pub wan: SyncDevice,
}

impl std::fmt::Debug for Devices {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Devices")
    }
}

/// See the module. Its namespace goes when it is dropped.
#[derive(Debug)]
pub struct LinuxRouter {
    // Before its namespace.
    daemon: Option<Daemon>,
    namespace: Namespace,
    settings: Settings,
    /// How often it was rebooted: chooses the ports.
    boots: usize,
}

impl LinuxRouter {
    /// Makes the namespace [`super::namespace::PREFIX`] and `name`, with the devices and the rules.
    pub fn create(name: &str, settings: Settings) -> Result<(Self, Devices), LinuxRouterError> {
        let namespace = Namespace::create(name)?;
        let mut router = Self { daemon: None, namespace, settings, boots: 0 };
        router.namespace.run(set_kernel).map_err(router.failed("its kernel settings cannot be written"))?;
        let device = |name: &str, addresses, default_route| {
            let attachment = Attachment { device: name.into(), default_route, ..Attachment::new(addresses) };
            attach(&router.namespace, &attachment).map_err(router.failed("a TUN device cannot be made"))
        };
        let lan = device(LAN, vec![router.settings.lan.into()], false)?;
        let wan = device(WAN, vec![Ipv4Net::from(router.settings.wan).into()], true)?;
        router.load()?;
        Ok((router, Devices { lan, wan }))
    }

    /// Its namespace.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Its address outside.
    pub fn external(&self) -> Ipv4Addr {
        self.settings.wan
    }

    /// Forgets all connections and gives other ports from now on. (A kernel that forgot alone would hand out the same
    /// ones again.)
    pub fn reboot(&mut self) -> Result<(), LinuxRouterError> {
        self.boots += 1;
        self.load()?;
        self.forget()
    }

    /// Gets another address outside and forgets all connections. The fabric must be told as well
    /// ([`super::fabric::Fabric::move_endpoint`], [`super::fabric::Fabric::set_external`] of the plain router).
    pub fn set_external(&mut self, wan: Ipv4Addr) -> Result<(), LinuxRouterError> {
        self.settings.wan = wan;
        let addresses = vec![Ipv4Net::from(wan).into()];
        let attachment = Attachment { device: WAN.into(), ..Attachment::new(addresses) };
        set_addresses(&self.namespace, &attachment).map_err(self.failed("its address cannot be changed"))?;
        self.forget()
    }

    /// Translates otherwise from now on, and forgets all connections.
    pub fn set_translation(&mut self, translation: Translation) -> Result<(), LinuxRouterError> {
        self.settings.translation = translation;
        self.boots = 0;
        self.load()?;
        self.forget()
    }

    /// Begins with fresh rules and a fresh miniupnpd: what it opened is gone, as after a reboot.
    fn load(&mut self) -> Result<(), LinuxRouterError> {
        self.daemon = None;
        self.load_rules()?;
        if let Some(wanted) = self.settings.port_mapping {
            let daemon = Daemon::start(&self.namespace, wanted, LAN, WAN);
            self.daemon = Some(daemon.map_err(self.failed("its miniupnpd cannot be started"))?);
        }
        Ok(())
    }

    fn load_rules(&self) -> Result<(), LinuxRouterError> {
        let port_mapping = self.settings.port_mapping;
        let mut rules =
            rules::rules(LAN, WAN, &self.settings.translation, self.boots, &dropped(port_mapping, LAN));
        if port_mapping.is_some() {
            rules.push_str(TABLES);
        }
        let output = self.namespace.run(|| {
            let mut nft = Command::new("nft")
                .args(["-f", "-"])
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()?;
            if let Some(mut stdin) = nft.stdin.take() {
                // If it ended already, what it said is the better error.
                let _ = stdin.write_all(rules.as_bytes());
            }
            nft.wait_with_output()
        });
        match output {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(LinuxRouterError::NoNft),
            Err(error) => Err(self.failed("nft cannot be run")(error)),
            Ok(output) if !output.status.success() => {
                Err(LinuxRouterError::Rules(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
            }
            Ok(_) => Ok(()),
        }
    }

    fn forget(&self) -> Result<(), LinuxRouterError> {
        self.namespace.run(conntrack::flush).map_err(self.failed("its connections cannot be forgotten"))
    }

    fn failed(&self, what: &'static str) -> impl Fn(io::Error) -> LinuxRouterError + use<> {
        let name = self.namespace.name().to_owned();
        move |error| LinuxRouterError::Failed { name: name.clone(), what, error }
    }
}

fn set_kernel() -> io::Result<()> {
    for (setting, value) in SETTINGS {
        fs::write(Path::new(IPV4_SETTINGS).join(setting), value)?;
    }
    Ok(())
}
