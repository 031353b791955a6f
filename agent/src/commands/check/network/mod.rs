//! `check --network`: what kind of NAT the device is behind, which servers answer, and what to expect of it all.

mod address;
mod reply;
mod router;

use std::{
    net::{IpAddr, SocketAddr, UdpSocket},
    time::SystemTime,
};

use futures_util::{FutureExt, StreamExt, future::LocalBoxFuture, stream};
use p2pcam_agent::{
    config::{Config, IcePolicy},
    transport::{
        Interfaces,
        discovery::{Report, discover, outlook::Relays},
        mapping::ask_once,
    },
};
use tokio::time::timeout;

use self::{address::LocalAddress, reply::Reply, router::Router};
use super::{
    AT_ONCE, DEADLINE, channel,
    finding::{Finding, Level},
    hub,
    server::{self, Server, Transport},
    stun, turn,
};

/// Asks everything at once. `more`: STUN servers besides those of the configuration, as URLs.
pub async fn network(config: &Config, more: &[String]) -> Reply {
    let mut findings = Vec::new();
    let servers = match server::all(config, SystemTime::now()) {
        Ok(servers) => servers,
        Err(finding) => {
            findings.push(finding);
            Vec::new()
        }
    };
    let servers = with(servers, more, &mut findings);
    let interfaces = match Interfaces::now().await {
        Ok(interfaces) => interfaces,
        Err(error) => {
            let advice =
                "let this user open netlink sockets (RestrictAddressFamilies=AF_NETLINK in the service)";
            findings.push(Finding::warn("addresses", format!("cannot be listed: {error}"), advice));
            Interfaces::default()
        }
    };
    let addresses = interfaces.addresses.iter().map(LocalAddress::of).collect();
    let (nat, asked, routers) =
        tokio::join!(nats(&servers), ask(config, &servers), routers(config, &interfaces));
    if nat.is_empty() {
        let advice = "name one: --stun stun:HOST, or hub.stun or ice.servers in agent.toml";
        findings.push(Finding::warn("NAT", "no STUN server to find out with", advice));
    }
    let mut relays = Relays::default();
    for (server, finding) in asked {
        if let Some(server) =
            server.filter(|server| server.credentials.is_some() && finding.level == Level::Ok)
        {
            relays.any = true;
            relays.without_udp |= server.transport != Transport::Udp;
        }
        findings.push(finding);
    }
    Reply::new(addresses, nat, routers, findings, relays, config.ice.port)
}

/// What the routers say, if the agent may ask them too.
async fn routers(config: &Config, interfaces: &Interfaces) -> Vec<Router> {
    if !config.ice.port_mapping || config.ice.policy != IcePolicy::All {
        return Vec::new();
    }
    ask_once(interfaces).await.iter().map(Router::of).collect()
}

fn with(mut servers: Vec<Server>, more: &[String], findings: &mut Vec<Finding>) -> Vec<Server> {
    for url in more {
        match server::parse(url).filter(|_| url.starts_with("stun:")) {
            Some(server) if !servers.contains(&server) => servers.push(server),
            Some(_) => {}
            None => findings.push(Finding::fail(
                "--stun",
                format!("{url} is no STUN server"),
                "write stun:HOST[:PORT]",
            )),
        }
    }
    servers
}

/// Each server, and the hub, as `check` asks them.
async fn ask(config: &Config, servers: &[Server]) -> Vec<(Option<Server>, Finding)> {
    let mut questions: Vec<LocalBoxFuture<'_, (Option<Server>, Finding)>> = Vec::new();
    for server in servers {
        questions.push(
            async move {
                let what = server.to_string();
                let finding = match server.credentials {
                    Some(_) => turn::allocate(server, &what).await,
                    None => stun::binding(server, &what).await,
                };
                (Some(server.clone()), finding)
            }
            .boxed_local(),
        );
    }
    if config.signaling.link.starts_with("ws") {
        let ca = config.signaling.ca_file.clone();
        questions.push(hub::reach(&config.signaling.link, ca).map(|finding| (None, finding)).boxed_local());
    }
    stream::iter(questions).buffered(AT_ONCE).collect().await
}

/// What lies before the device, by IPv4 and by IPv6. Empty if no server is to be found.
async fn nats(servers: &[Server]) -> Vec<Report> {
    // A TURN server over UDP answers STUN too.
    let udp = servers.iter().filter(|server| server.transport == Transport::Udp);
    let names = stream::iter(udp).map(|server| {
        let resolving = channel::resolve(&server.host, server.port);
        async { timeout(DEADLINE, resolving).await.ok()?.ok() }
    });
    let found: Vec<SocketAddr> =
        names.buffered(AT_ONCE).filter_map(std::future::ready).flat_map(stream::iter).collect().await;
    let of = |v4: bool| {
        let servers: Vec<_> = found.iter().copied().filter(|address| address.is_ipv4() == v4).collect();
        async move {
            let local = source(*servers.first()?)?;
            discover(local, &servers).await.ok()
        }
    };
    let (four, six) = tokio::join!(of(true), of(false));
    four.into_iter().chain(six).collect()
}

/// The address that packets to a server leave from. Connecting a UDP socket sends nothing.
fn source(server: SocketAddr) -> Option<IpAddr> {
    let any: SocketAddr = if server.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0u16; 8], 0).into() };
    let socket = UdpSocket::bind(any).ok()?;
    socket.connect(server).ok()?;
    socket.local_addr().ok().map(|address| address.ip())
}
