//! The network of a namespace: its loopback and its one TUN device, set up through netlink (rtnetlink(7)).

use std::{
    io,
    net::{IpAddr, Ipv4Addr},
};

use futures_util::TryStreamExt;
use rtnetlink::{Handle, LinkUnspec, RouteMessageBuilder};
use tun_rs::{DeviceBuilder, SyncDevice};

use super::namespace::Namespace;

/// What the device is called inside.
const DEVICE: &str = "lan0";
/// As on Ethernet.
const MTU: u16 = 1500;

/// How an endpoint is attached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// Its addresses with the length of their prefix.
    pub addresses: Vec<(Ipv4Addr, u8)>,
}

/// Makes the TUN device inside a namespace, gives it its addresses and the default route.
pub fn attach(namespace: &Namespace, attachment: &Attachment) -> io::Result<SyncDevice> {
    namespace.run(|| {
        let device = DeviceBuilder::new().name(DEVICE).mtu(MTU).enable(false).build_sync()?;
        device.set_nonblocking(true)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let (connection, handle, _) = rtnetlink::new_connection()?;
            let connection = tokio::spawn(connection);
            let result = set_up(&handle, attachment).await.map_err(io::Error::other);
            connection.abort();
            result
        })?;
        Ok(device)
    })
}

async fn set_up(handle: &Handle, attachment: &Attachment) -> Result<(), rtnetlink::Error> {
    let loopback = index(handle, "lo").await?;
    handle.link().set(LinkUnspec::new_with_index(loopback).up().build()).execute().await?;
    let device = index(handle, DEVICE).await?;
    for (address, prefix) in &attachment.addresses {
        handle.address().add(device, IpAddr::V4(*address), *prefix).execute().await?;
    }
    handle.link().set(LinkUnspec::new_with_index(device).up().build()).execute().await?;
    // A TUN device has no neighbours to ask: everything goes into it.
    let route = RouteMessageBuilder::<Ipv4Addr>::new().output_interface(device).build();
    handle.route().add(route).execute().await
}

async fn index(handle: &Handle, name: &str) -> Result<u32, rtnetlink::Error> {
    let mut links = handle.link().get().match_name(name.to_owned()).execute();
    Ok(links.try_next().await?.map_or(0, |link| link.header.index))
}
