//! The real servers of a lab: coturn and the hub on its internet, dnsmasq on the device's side.
//!
//! One set serves many runs one after the other. What it does not do: wait for devices or viewers, or know of cells.

mod certificate;
mod channel;
mod check;
mod coturn;
mod door;
mod error;
mod hub;
pub mod lan;
mod place;
mod ready;
mod stun;

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
};

use self::{coturn::Coturn, door::Door, hub::Hub};
use crate::{
    lab::{Lab, fabric::Policy, namespace::Namespace},
    record::{Artefact, Check},
    scenario::plan::{self, Network, ServerName, Side, TurnTransport},
};

pub use self::error::ServerError;

/// Where coturn and the hub are.
pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
/// coturn's second address (RFC 5780 takes two), and the hub's second door.
pub const SECOND_ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
/// The same of IPv6, where the lab has it.
pub const ADDRESS6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
/// The second one of IPv6.
pub const SECOND_ADDRESS6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2);
/// The hub's port for plain HTTP.
pub const HUB_PORT: u16 = 8080;
/// Name of the TURN server in its certificate and in the lab's DNS.
pub const TURN_NAME: &str = "turn.p2pcam.test";
/// Name of the hub in the lab's DNS.
pub const HUB_NAME: &str = "hub.p2pcam.test";

/// coturn's realm.
const REALM: &str = "p2pcam.test";
/// Random bytes of the secret that hub and coturn share.
const SECRET: usize = 24;

/// Programs that are not installed, but made here.
#[derive(Clone, Debug)]
pub struct Programs {
    /// The agent, which is the hub too.
    pub agent: PathBuf,
}

/// coturn and the hub, which run until this is dropped.
#[derive(Debug)]
pub struct Servers {
    wanted: plan::Servers,
    secret: String,
    coturn: Coturn,
    hub: Hub,
    door: Option<Door>,
}

impl Servers {
    /// Starts both; returns when they answer. Settings, state and logs go into the folder.
    ///
    /// # Errors
    /// A program is missing, a port is taken, or a server does not answer.
    pub async fn start(
        lab: &Lab,
        wanted: &plan::Servers,
        programs: &Programs,
        folder: &Path,
    ) -> Result<Self, ServerError> {
        let six = [lab.device(), lab.viewer()].iter().any(|side| place::has_way(side, ADDRESS6.into()));
        Self::start_in(lab.internet(), six, wanted, programs, folder).await
    }

    /// The same in any namespace. `six`: some side has IPv6, so the hub names IPv6 addresses of coturn too.
    async fn start_in(
        namespace: &Namespace,
        six: bool,
        wanted: &plan::Servers,
        programs: &Programs,
        folder: &Path,
    ) -> Result<Self, ServerError> {
        fs::create_dir_all(folder).map_err(ServerError::file(folder))?;
        // Programs run in their own folders and with their own ideas of what a relative path is.
        let folder = &folder.canonicalize().map_err(ServerError::file(folder))?;
        let secret = secret()?;
        let mut coturn = Coturn::start(namespace, wanted, &secret, folder).await?;
        let six = six && place::has_address(namespace, ADDRESS6.into());
        let told = hub::Told { stun: stun_urls(wanted, six), turn: turn_urls(wanted, six), secret: &secret };
        let hub = match Hub::start(namespace, &programs.agent, told, folder).await {
            Ok(hub) => hub,
            Err(error) => {
                // Waited for, so that the ports are free at once.
                coturn.kill().await;
                return Err(error);
            }
        };
        let mut servers = Self { wanted: wanted.clone(), secret, coturn, hub, door: None };
        match servers.open_door(namespace).await {
            Ok(door) => servers.door = Some(door),
            Err(error) => {
                servers.stop().await;
                return Err(error);
            }
        }
        Ok(servers)
    }

    async fn open_door(&self, namespace: &Namespace) -> Result<Door, ServerError> {
        let addresses = [IpAddr::from(SECOND_ADDRESS), SECOND_ADDRESS6.into()].into_iter();
        let doors: Vec<_> = addresses
            .filter(|address| place::has_address(namespace, *address))
            .map(|address| SocketAddr::new(address, self.wanted.turns_port))
            .collect();
        Door::open(namespace, &doors, SocketAddr::new(ADDRESS.into(), HUB_PORT)).await
    }

    /// The hub's WebSocket address for a device there.
    pub fn hub_for_devices(&self, side: &Side) -> String {
        format!("ws://{}/v1/device", self.hub_address(side))
    }

    /// The hub's `HOST:PORT` for viewers there, plain HTTP.
    pub fn hub_for_viewers(&self, side: &Side) -> String {
        self.hub_address(side).to_string()
    }

    /// Where a side reaches the hub: at its second door if its network lets out nothing but TCP to the port of TURN over
    /// TLS.
    fn hub_address(&self, side: &Side) -> SocketAddr {
        let four = matches!(side.network, Network::Ipv4 | Network::Dual);
        if side.uplink.policy == Policy::OnlyTcp(self.wanted.turns_port) {
            let address = if four { IpAddr::from(SECOND_ADDRESS) } else { SECOND_ADDRESS6.into() };
            return SocketAddr::new(address, self.wanted.turns_port);
        }
        SocketAddr::new(if four { ADDRESS.into() } else { ADDRESS6.into() }, HUB_PORT)
    }

    /// The token that lets devices in.
    pub fn device_token(&self) -> &str {
        &self.hub.device_token
    }

    /// The token that lets viewers in.
    pub fn viewer_token(&self) -> &str {
        &self.hub.viewer_token
    }

    /// All that nobody else is to know, to be struck out of what is kept.
    pub fn secrets(&self) -> [&str; 3] {
        [&self.hub.device_token, &self.hub.viewer_token, &self.secret]
    }

    /// The certificate that TURN over TLS is to be trusted by, PEM; `None` if the hub names no such server.
    pub fn turn_ca(&self) -> Option<&str> {
        self.wanted.turn.contains(&TurnTransport::Tls).then(|| self.coturn.authority())
    }

    /// Kills a server with SIGKILL.
    pub async fn kill(&mut self, server: ServerName) {
        match server {
            ServerName::Turn => self.coturn.kill().await,
            ServerName::Hub => self.hub.kill().await,
        }
    }

    /// Starts a server that was killed, with the ports, secrets and state that it had; returns when it answers.
    ///
    /// # Errors
    /// As [`Servers::start`].
    pub async fn revive(&mut self, lab: &Lab, server: ServerName) -> Result<(), ServerError> {
        self.revive_in(lab.internet(), server).await
    }

    async fn revive_in(&mut self, namespace: &Namespace, server: ServerName) -> Result<(), ServerError> {
        match server {
            ServerName::Turn => self.coturn.revive(namespace).await,
            ServerName::Hub => self.hub.revive(namespace).await,
        }
    }

    /// Whether a server ended by itself, and its last words.
    ///
    /// # Errors
    /// It did.
    pub fn alive(&mut self) -> Result<(), ServerError> {
        match self.coturn.fault().or_else(|| self.hub.fault()) {
            Some(fault) => Err(fault),
            None => Ok(()),
        }
    }

    /// Ends both in order: the hub says goodbye to its devices.
    pub async fn stop(mut self) {
        drop(self.door.take());
        self.hub.stop().await;
        self.coturn.stop().await;
    }

    /// Their logs, by paths relative to their folder.
    pub fn artefacts(&self) -> Vec<Artefact> {
        [("coturn's log", "coturn.log"), ("the hub's log", "hub.log")]
            .map(|(what, path)| Artefact { what: what.into(), path: path.into() })
            .into()
    }

    /// Asks all that the plan wants from both sides through their routers: STUN, the hub, and an allocation of TURN by
    /// each transport. What a side's policy forbids must not answer. Lasts some round trips; 0.7 s where silence is
    /// expected, and at least five where an answer is that does not come.
    pub async fn check(&self, lab: &Lab, device: &Side, viewer: &Side) -> Vec<Check> {
        check::run(self, sides(lab, device, viewer), true).await
    }

    /// The same without TURN, to be asked before each of many runs.
    pub async fn check_reachable(&self, lab: &Lab, device: &Side, viewer: &Side) -> Vec<Check> {
        check::run(self, sides(lab, device, viewer), false).await
    }
}

fn sides<'a>(lab: &'a Lab, device: &'a Side, viewer: &'a Side) -> [(&'a str, &'a Namespace, &'a Side); 2] {
    [("device", lab.device(), device), ("viewer", lab.viewer(), viewer)]
}

fn secret() -> Result<String, ServerError> {
    let mut bytes = [0; SECRET];
    let filled = getrandom::fill(&mut bytes).map_err(std::io::Error::other);
    filled.map_err(ServerError::failed("a secret for TURN"))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn hosts(six: bool) -> impl Iterator<Item = IpAddr> {
    [ADDRESS.into()].into_iter().chain(six.then_some(ADDRESS6.into()))
}

fn stun_urls(wanted: &plan::Servers, six: bool) -> Vec<String> {
    let url = |host| format!("stun:{}", SocketAddr::new(host, wanted.turn_port));
    hosts(six).filter(|_| wanted.stun).map(url).collect()
}

fn turn_urls(wanted: &plan::Servers, six: bool) -> Vec<String> {
    let url = |transport: &TurnTransport, host| match transport {
        TurnTransport::Udp => format!("turn:{}?transport=udp", SocketAddr::new(host, wanted.turn_port)),
        TurnTransport::Tcp => format!("turn:{}?transport=tcp", SocketAddr::new(host, wanted.turn_port)),
        TurnTransport::Tls => format!("turns:{}?transport=tcp", SocketAddr::new(host, wanted.turns_port)),
    };
    hosts(six).flat_map(|host| wanted.turn.iter().map(move |transport| url(transport, host))).collect()
}
