//! UPnP-IGD, version 1 and 2, with one router, by the crate `igd-next`: it reads 1 MiB at most, 64 levels of XML deep and
//! for 10 s, and fetches documents only from whoever answered the search.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use igd_next::{
    AddAnyPortError, AddPortError, Gateway, GetExternalIpError, PortMappingProtocol, RequestError,
    SearchOptions, search_gateway,
};
use tokio::{task::spawn_blocking, time::sleep};

use super::{
    speak::Place,
    types::{Granted, Problem, Wanted},
};
use crate::transport::candidate::Protocol;

/// UDA 1.1 section 1.3.2: where searches go, and the port of those that go to one device.
const MULTICAST: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(239, 255, 255, 250), 1900);
/// Time for a search with the two documents that it fetches. Answers may take the 2 or 3 s of MX (UDA 1.1 section 1.3.2).
const SEARCH: Duration = Duration::from_secs(6);
/// A search is repeated once, for datagrams get lost (UDA 1.1 section 1.3.2).
const AGAIN: Duration = Duration::from_secs(2);
/// What the router's pages call the mapping.
const NAME: &str = "p2pcam";

/// A router that is spoken with by UPnP.
#[derive(Debug)]
pub(super) struct Upnp {
    /// One question at a time, also after nobody waits for the answer: a mapping must not be made after it was deleted.
    gateway: Arc<Mutex<Gateway>>,
    local: Ipv4Addr,
    /// It knows only mappings without an end: one is to be deleted, or stays.
    permanent: bool,
}

impl Upnp {
    /// Looks for the router. Some answer only to multicast, others only to what is sent to them alone.
    pub async fn search(place: Place) -> Result<Self, Problem> {
        let alone = SocketAddrV4::new(place.gateway, MULTICAST.port());
        let gateway = tokio::select! {
            Some(gateway) = search(place, MULTICAST) => gateway,
            Some(gateway) = search(place, alone) => gateway,
            Some(gateway) = search_later(place, MULTICAST) => gateway,
            Some(gateway) = search_later(place, alone) => gateway,
            else => return Err(Problem::NoAnswer),
        };
        let gateway = Arc::new(Mutex::new(gateway));
        Ok(Self { gateway, local: place.local, permanent: false })
    }

    /// Makes or renews a mapping.
    pub async fn map(&mut self, wanted: &Wanted) -> Result<Granted, Problem> {
        let outside = match self.ask(Gateway::get_external_ip).await? {
            Ok(IpAddr::V4(ip)) => ip,
            Ok(IpAddr::V6(ip)) => {
                return Err(Problem::refused(format!("its address outside is {ip}, for a port of IPv4")));
            }
            Err(GetExternalIpError::ActionNotAuthorized) => {
                return Err(Problem::refused("its settings forbid asking for its address outside"));
            }
            Err(GetExternalIpError::RequestError(RequestError::InvalidResponse(_))) => {
                return Err(Problem::refused(
                    "it tells no address outside: is its line to the internet up, or is it behind another NAT?",
                ));
            }
            Err(GetExternalIpError::RequestError(error)) => return Err(request(&error)),
        };
        let added = match self.add(wanted).await? {
            Err(AddPortError::OnlyPermanentLeasesSupported) if !self.permanent => {
                self.permanent = true;
                self.add(wanted).await?
            }
            other => other,
        };
        let port = match added {
            Ok(()) => wanted.external.port(),
            Err(AddPortError::PortInUse) => self.add_any(wanted).await?,
            Err(AddPortError::RequestError(error)) => return Err(request(&error)),
            Err(error) => return Err(Problem::refused(error.to_string())),
        };
        Ok(Granted { external: SocketAddrV4::new(outside, port), lifetime: wanted.lifetime })
    }

    /// Deletes a mapping.
    pub async fn unmap(&self, protocol: Protocol, external_port: u16) -> Result<(), Problem> {
        let removed = self.ask(move |gateway| gateway.remove_port(upnp(protocol), external_port)).await?;
        removed.map_err(|error| Problem::refused(error.to_string()))
    }

    async fn add(&self, wanted: &Wanted) -> Result<Result<(), AddPortError>, Problem> {
        let (port, protocol) = (wanted.external.port(), upnp(wanted.protocol));
        let (local, lease) = (SocketAddr::from((self.local, wanted.internal_port)), self.lease(wanted));
        self.ask(move |gateway| gateway.add_port(protocol, port, local, lease, NAME)).await
    }

    async fn add_any(&self, wanted: &Wanted) -> Result<u16, Problem> {
        let (protocol, lease) = (upnp(wanted.protocol), self.lease(wanted));
        let local = SocketAddr::from((self.local, wanted.internal_port));
        let added = self.ask(move |gateway| gateway.add_any_port(protocol, local, lease, NAME)).await?;
        added.map_err(|error| match error {
            AddAnyPortError::RequestError(error) => request(&error),
            error => Problem::refused(error.to_string()),
        })
    }

    /// Asks the router something, beside the runtime: the crate's own asynchronous client would bring HTTP/2 along, half a
    /// megabyte. A request has 10 s to connect and 10 s to end.
    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Gateway) -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let gateway = self.gateway.clone();
        let ask = move || question(&gateway.lock().unwrap_or_else(PoisonError::into_inner));
        spawn_blocking(ask).await.map_err(|_| Problem::NoAnswer)
    }

    /// Zero is for ever (WANIPConnection:1 section 2.2.21).
    fn lease(&self, wanted: &Wanted) -> u32 {
        if self.permanent { 0 } else { wanted.lifetime_s() }
    }
}

async fn search_later(place: Place, to: SocketAddrV4) -> Option<Gateway> {
    sleep(AGAIN).await;
    search(place, to).await
}

async fn search(place: Place, to: SocketAddrV4) -> Option<Gateway> {
    let mut options = SearchOptions::default();
    options.bind_addr = (place.local, 0).into();
    options.broadcast_address = to.into();
    options.timeout = Some(SEARCH);
    let gateway = spawn_blocking(move || search_gateway(options)).await.ok()?.ok()?;
    // Anybody on the link can answer; only the router opens ports of the way out.
    (gateway.addr.ip() == IpAddr::V4(place.gateway)).then_some(gateway)
}

fn request(error: &RequestError) -> Problem {
    match error {
        RequestError::ErrorCode(code, words) => {
            Problem::refused(format!("error {code}: {}", printable(words)))
        }
        RequestError::IoError(_) | RequestError::AttoHttpError(_) => Problem::NoAnswer,
        RequestError::InvalidResponse(_) => Problem::refused("its answer cannot be read"),
        error => Problem::refused(printable(&error.to_string())),
    }
}

/// A router's words, fit for a log.
fn printable(words: &str) -> String {
    words.chars().filter(|c| !c.is_control()).take(80).collect()
}

fn upnp(protocol: Protocol) -> PortMappingProtocol {
    match protocol {
        Protocol::Udp => PortMappingProtocol::UDP,
        Protocol::Tcp => PortMappingProtocol::TCP,
    }
}
