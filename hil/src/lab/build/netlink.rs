//! Changes to the links and addresses of a namespace through netlink (rtnetlink(7)).

use std::{future::Future, io, net::IpAddr};

use futures_util::TryStreamExt;
use rtnetlink::{
    Handle,
    packet_route::address::{AddressAttribute, AddressMessage},
};

use crate::lab::namespace::Namespace;

/// Runs requests in a namespace.
pub fn within<T: Send, F: Future<Output = io::Result<T>>>(
    namespace: &Namespace,
    job: impl FnOnce(Handle) -> F + Send,
) -> io::Result<T> {
    namespace.run(|| here(job))
}

/// Runs requests in the namespace of this thread.
pub fn here<T, F: Future<Output = io::Result<T>>>(job: impl FnOnce(Handle) -> F) -> io::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (connection, handle, _) = rtnetlink::new_connection()?;
        let connection = tokio::spawn(connection);
        let result = job(handle).await;
        connection.abort();
        result
    })
}

/// The kernel's own error where there is one, so that its number can be asked for.
pub fn plain(error: rtnetlink::Error) -> io::Error {
    match error {
        rtnetlink::Error::NetlinkError(message) => message.to_io(),
        other => io::Error::other(other),
    }
}

/// A link's number.
pub async fn index(handle: &Handle, name: &str) -> io::Result<u32> {
    let mut links = handle.link().get().match_name(name.to_owned()).execute();
    let link = links.try_next().await.map_err(plain)?;
    link.map(|link| link.header.index).ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// Gives a link just these addresses (with the length of their prefix), keeping those that it has already. New ones
/// come first: with the last IPv4 address the kernel would take the routes away.
pub async fn set_addresses(handle: &Handle, link: u32, wanted: &[(IpAddr, u8)]) -> io::Result<()> {
    let request = handle.address().get().set_link_index_filter(link);
    let has: Vec<AddressMessage> = request.execute().try_collect().await.map_err(plain)?;
    let has: Vec<_> = has
        .into_iter()
        .filter_map(|message| Some((address_of(&message)?, message.header.prefix_len, message)))
        .filter(|(address, ..)| !is_link_local(*address))
        .collect();
    for (address, prefix) in wanted {
        if !has.iter().any(|(there, length, _)| (there, length) == (address, prefix)) {
            handle.address().add(link, *address, *prefix).execute().await.map_err(plain)?;
        }
    }
    for (address, prefix, message) in has {
        if !wanted.contains(&(address, prefix)) {
            handle.address().del(message).execute().await.map_err(plain)?;
        }
    }
    Ok(())
}

fn address_of(message: &AddressMessage) -> Option<IpAddr> {
    message.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Address(address) => Some(*address),
        _ => None,
    })
}

/// The kernel's own; nobody asked for them.
fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}
