//! One look at links, addresses and routes, and what of it matters.

use std::{collections::HashMap, io, net::IpAddr, pin::pin};

use futures_util::{Stream, StreamExt as _};
use rtnetlink::{
    RouteMessageBuilder,
    packet_route::{
        AddressFamily,
        address::{AddressAttribute, AddressFlags, AddressMessage},
        link::{LinkAttribute, LinkExtentMask, LinkFlags, LinkMessage},
        route::{
            RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteNextHopFlags,
            RouteType, RouteVia,
        },
    },
};
use tokio_util::task::AbortOnDropHandle;

use super::{Gateway, InterfaceAddress, Interfaces};

/// Messages of one kind that are looked at; a device with more routes is a router of the Internet's core.
const MAX_MESSAGES: usize = 4096;

/// Asks the kernel once. The socket lives no longer than the question.
pub(super) async fn read() -> io::Result<Interfaces> {
    let (connection, handle, _) = rtnetlink::new_connection()?;
    let _connection = AbortOnDropHandle::new(tokio::spawn(connection));
    let links = handle.link().get().set_filter_mask(AddressFamily::Unspec, vec![LinkExtentMask::SkipStats]);
    let links = all(links.execute()).await?;
    let addresses = all(handle.address().get().execute()).await?;
    let v4 = RouteMessageBuilder::<std::net::Ipv4Addr>::new().build();
    let v6 = RouteMessageBuilder::<std::net::Ipv6Addr>::new().build();
    let mut routes = all(handle.route().get(v4).execute()).await?;
    // A kernel without IPv6 refuses this one; it has no such routers.
    routes.extend(all(handle.route().get(v6).execute()).await.unwrap_or_default());
    Ok(digest(&links, &addresses, &routes))
}

async fn all<T>(answers: impl Stream<Item = Result<T, rtnetlink::Error>>) -> io::Result<Vec<T>> {
    let mut answers = pin!(answers.take(MAX_MESSAGES));
    let mut found = Vec::new();
    while let Some(answer) = answers.next().await {
        found.push(answer.map_err(|error| match error {
            rtnetlink::Error::NetlinkError(message) => message.to_io(),
            other => io::Error::other(other),
        })?);
    }
    Ok(found)
}

/// What matters to sessions in the kernel's answers.
pub(super) fn digest(
    links: &[LinkMessage],
    addresses: &[AddressMessage],
    routes: &[RouteMessage],
) -> Interfaces {
    let links: HashMap<u32, (bool, String)> =
        links.iter().map(|link| (link.header.index, (is_usable(link.header.flags), name(link)))).collect();
    // A link that could not be read, as one of a newer kernel, counts as usable: its address will show.
    let usable = |index: u32| links.get(&index).is_none_or(|(usable, _)| *usable);
    let name = |index: u32| links.get(&index).map_or_else(|| index.to_string(), |(_, name)| name.clone());
    let addresses = addresses.iter().filter(|a| usable(a.header.index)).filter_map(|a| {
        let mut address = address(a)?;
        address.interface = name(address.index);
        Some(address)
    });
    let mut gateways: Vec<_> = routes.iter().flat_map(gateways).filter(|g| usable(g.index)).collect();
    gateways.sort_by_key(|gateway| gateway.metric);
    Interfaces { addresses: addresses.collect(), gateways }
}

/// Up, with a carrier, and not waiting for a key (802.1X, WPA; RFC 2863 `dormant`).
fn is_usable(flags: LinkFlags) -> bool {
    flags.contains(LinkFlags::Up | LinkFlags::LowerUp) && !flags.contains(LinkFlags::Dormant)
}

fn name(link: &LinkMessage) -> String {
    let name = link.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::IfName(name) => Some(name.clone()),
        _ => None,
    });
    name.unwrap_or_else(|| link.header.index.to_string())
}

/// `None`: not one that can be used now.
fn address(message: &AddressMessage) -> Option<InterfaceAddress> {
    let (mut local, mut address, mut flags) =
        (None, None, AddressFlags::from_bits_retain(message.header.flags.bits().into()));
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Local(ip) => local = Some(*ip),
            AddressAttribute::Address(ip) => address = Some(*ip),
            // All 32 bits; the header has room for eight.
            AddressAttribute::Flags(all) => flags = *all,
            _ => {}
        }
    }
    // On a point-to-point link IFA_ADDRESS is the other end.
    let ip = local.or(address)?;
    let ready = !flags.intersects(AddressFlags::Tentative | AddressFlags::Dadfailed);
    ready.then(|| InterfaceAddress {
        ip,
        interface: String::new(),
        index: message.header.index,
        // The bit of IFA_F_TEMPORARY has another name where IPv4 uses it.
        temporary: ip.is_ipv6() && flags.contains(AddressFlags::Secondary),
        deprecated: flags.contains(AddressFlags::Deprecated),
    })
}

/// The routers of a default route of the main table; several if it shares the load.
fn gateways(route: &RouteMessage) -> Vec<Gateway> {
    let (mut table, mut metric) = (u32::from(route.header.table), 0);
    for attribute in &route.attributes {
        match attribute {
            RouteAttribute::Table(number) => table = *number,
            RouteAttribute::Priority(number) => metric = *number,
            _ => {}
        }
    }
    let dead = RouteFlags::Dead | RouteFlags::Linkdown | RouteFlags::Cloned;
    if route.header.destination_prefix_length != 0
        || table != u32::from(RouteHeader::RT_TABLE_MAIN)
        || route.header.kind != RouteType::Unicast
        || route.header.flags.intersects(dead)
    {
        return Vec::new();
    }
    let mut found = Vec::new();
    let mut add = |index: Option<u32>, attributes: &[RouteAttribute]| {
        if let (Some(index), Some(address)) = (index, attributes.iter().find_map(router)) {
            found.push(Gateway { address, index, metric });
        }
    };
    add(route.attributes.iter().find_map(interface), &route.attributes);
    for attribute in &route.attributes {
        if let RouteAttribute::MultiPath(hops) = attribute {
            let dead = RouteNextHopFlags::Dead | RouteNextHopFlags::Linkdown;
            for hop in hops.iter().filter(|hop| !hop.flags.intersects(dead)) {
                add(Some(hop.interface_index), &hop.attributes);
            }
        }
    }
    found
}

fn interface(attribute: &RouteAttribute) -> Option<u32> {
    match attribute {
        RouteAttribute::Oif(index) => Some(*index),
        _ => None,
    }
}

fn router(attribute: &RouteAttribute) -> Option<IpAddr> {
    match attribute {
        RouteAttribute::Gateway(RouteAddress::Inet(ip)) | RouteAttribute::Via(RouteVia::Inet(ip)) => {
            Some((*ip).into())
        }
        RouteAttribute::Gateway(RouteAddress::Inet6(ip)) | RouteAttribute::Via(RouteVia::Inet6(ip)) => {
            Some((*ip).into())
        }
        _ => None,
    }
}
