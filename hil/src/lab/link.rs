//! The network of a namespace: its loopback and its TUN devices, set up through netlink (rtnetlink(7)).

use std::{
    fs, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::Path,
};

use futures_util::TryStreamExt;
use ipnet::IpNet;
use rtnetlink::{
    Handle, LinkUnspec, RouteMessageBuilder,
    packet_route::{
        address::{AddressAttribute, AddressHeaderFlags, AddressMessage, AddressScope},
        route::RouteMessage,
    },
};
use tun_rs::{DeviceBuilder, SyncDevice};

use super::namespace::Namespace;

/// What an endpoint's only device is called.
pub const DEVICE: &str = "lan0";
/// As on Ethernet, in bytes.
const MTU: u16 = 1500;
/// Settings of the kernel for IPv6 (ip-sysctl), by namespace.
const IPV6_SETTINGS: &str = "/proc/sys/net/ipv6/conf";
/// What makes IPv6 quiet and at once usable: no address but those that are given, nobody asked.
const QUIET: [(&str, &str); 5] = [
    ("accept_ra", "0"),
    ("autoconf", "0"),
    ("dad_transmits", "0"),
    ("router_solicitations", "0"),
    ("addr_gen_mode", "1"),
];

/// How an endpoint is attached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// Name of its device, 15 bytes at most.
    pub device: String,
    /// Its addresses with the length of their prefix, of either IP version.
    pub addresses: Vec<IpNet>,
    /// Whether the device is the way to everywhere, for each IP version that it has an address of.
    pub default_route: bool,
    /// The router that the default route of IPv4 names, for who asks the kernel for it; every packet goes into the device
    /// all the same.
    pub gateway: Option<Ipv4Addr>,
}

impl Attachment {
    /// By [`DEVICE`], with default routes that name no router.
    pub fn new(addresses: Vec<IpNet>) -> Self {
        Self { device: DEVICE.into(), addresses, default_route: true, gateway: None }
    }

    /// The same, by a router.
    pub fn by(addresses: Vec<IpNet>, gateway: Option<Ipv4Addr>) -> Self {
        Self { gateway, ..Self::new(addresses) }
    }
}

/// Makes a TUN device inside a namespace, gives it its addresses and the default routes.
pub fn attach(namespace: &Namespace, attachment: &Attachment) -> io::Result<SyncDevice> {
    namespace.run(|| {
        quieten();
        let device = DeviceBuilder::new().name(&attachment.device).mtu(MTU).enable(false).build_sync()?;
        device.set_nonblocking(true)?;
        configure(attachment)?;
        Ok(device)
    })
}

/// Gives a namespace's device these addresses and routes, and takes away those that it had: another uplink.
pub fn set_addresses(namespace: &Namespace, attachment: &Attachment) -> io::Result<()> {
    namespace.run(|| configure(attachment))
}

/// For all devices that come. A kernel without IPv6 has no such settings.
fn quieten() {
    for (setting, value) in QUIET {
        let _ = fs::write(Path::new(IPV6_SETTINGS).join("default").join(setting), value);
    }
}

fn configure(attachment: &Attachment) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (connection, handle, _) = rtnetlink::new_connection()?;
        let connection = tokio::spawn(connection);
        let result = set_up(&handle, attachment).await.map_err(io::Error::other);
        connection.abort();
        result
    })
}

async fn set_up(handle: &Handle, attachment: &Attachment) -> Result<(), rtnetlink::Error> {
    let loopback = index(handle, "lo").await?;
    handle.link().set(LinkUnspec::new_with_index(loopback).up().build()).execute().await?;
    let device = index(handle, &attachment.device).await?;
    handle.link().set(LinkUnspec::new_with_index(device).up().build()).execute().await?;
    let present = remove_others(handle, device, &attachment.addresses).await?;
    for address in attachment.addresses.iter().filter(|address| !present.contains(address)) {
        let mut request = handle.address().add(device, address.addr(), address.prefix_len());
        // Nobody else can have it: usable at once (RFC 4862 section 5.4 is for shared links).
        request.message_mut().header.flags |= AddressHeaderFlags::Nodad;
        request.execute().await?;
    }
    if attachment.default_route {
        let mut versions = attachment.addresses.iter().map(|address| address.addr().is_ipv4());
        let (v4, v6) = (versions.clone().any(|is_v4| is_v4), versions.any(|is_v4| !is_v4));
        // A TUN device has no neighbours to ask: everything goes into it.
        let route = RouteMessageBuilder::<Ipv4Addr>::new().output_interface(device);
        let route = match attachment.gateway {
            Some(gateway) => route.gateway(gateway).build(),
            None => route.build(),
        };
        default_route(handle, route, v4).await?;
        let route = RouteMessageBuilder::<Ipv6Addr>::new().output_interface(device).build();
        default_route(handle, route, v6).await?;
    }
    Ok(())
}

/// Removes a device's addresses but those that are wanted; gives those that stay.
async fn remove_others(
    handle: &Handle,
    device: u32,
    wanted: &[IpNet],
) -> Result<Vec<IpNet>, rtnetlink::Error> {
    let mut present = Vec::new();
    let mut messages = handle.address().get().set_link_index_filter(device).execute();
    let mut others = Vec::new();
    while let Some(message) = messages.try_next().await? {
        match address(&message) {
            Some(address) if wanted.contains(&address) => present.push(address),
            // The kernel's own.
            _ if message.header.scope == AddressScope::Link => {}
            _ => others.push(message),
        }
    }
    for other in others {
        handle.address().del(other).execute().await?;
    }
    Ok(present)
}

/// IPv4's own address is the "local" one, IPv6's the only one (rtnetlink(7)).
fn address(message: &AddressMessage) -> Option<IpNet> {
    let find = |local| {
        message.attributes.iter().find_map(move |attribute| match attribute {
            AddressAttribute::Local(address) if local => Some(*address),
            AddressAttribute::Address(address) if !local => Some(*address),
            _ => None,
        })
    };
    let address: IpAddr = find(true).or_else(|| find(false))?;
    IpNet::new(address, message.header.prefix_len).ok()
}

async fn default_route(handle: &Handle, route: RouteMessage, wanted: bool) -> Result<(), rtnetlink::Error> {
    if wanted {
        return handle.route().add(route).replace().execute().await;
    }
    match handle.route().del(route).execute().await {
        // There was none, or no such IP version.
        Err(rtnetlink::Error::NetlinkError(_)) => Ok(()),
        other => other,
    }
}

async fn index(handle: &Handle, name: &str) -> Result<u32, rtnetlink::Error> {
    let mut links = handle.link().get().match_name(name.to_owned()).execute();
    Ok(links.try_next().await?.map_or(0, |link| link.header.index))
}
