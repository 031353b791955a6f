//! A network interface of this machine (a card, a VLAN) that is moved into a namespace, and given back.
//!
//! While it is away its alias (ip-link(8)) says how it was called, so that it can be given back even if the rig was
//! killed.

use std::{fs::File, io, os::fd::AsRawFd};

use futures_util::TryStreamExt;
use rtnetlink::{
    Handle, LinkUnspec, RouteMessageBuilder,
    packet_route::{
        link::{LinkAttribute, LinkFlags, LinkMessage},
        route::RouteAttribute,
    },
};

use super::netlink::{here, plain};
use crate::lab::namespace::{Entrance, Namespace};

/// What an alias begins with; the name at home comes after it.
const ALIAS: &str = "p2phil taken ";
/// The namespace of this machine, as seen by this process.
const HOME: &str = "/proc/self/ns/net";

/// An interface in a namespace. It goes back, under its own name and up if it was, when this is dropped. The kernel
/// forgets its addresses and routes when it moves; whoever set them must set them again.
#[derive(Debug)]
pub struct Taken {
    entrance: Entrance,
    home: String,
    was_up: bool,
}

impl Taken {
    /// Moves an interface of this machine's into a namespace, where it is called `inside`, and down.
    pub fn take(interface: &str, namespace: &Namespace, inside: &str) -> io::Result<Self> {
        let entrance = Namespace::open(namespace.name())?;
        let into = namespace.descriptor();
        let was_up = here(async |handle: Handle| {
            let link = find(&handle, interface).await?;
            if is_default_route(&handle, link.header.index).await? {
                return Err(io::Error::other(
                    "this machine's default route goes by it: taking it would cut the machine off",
                ));
            }
            let index = link.header.index;
            let alias = format!("{ALIAS}{interface}");
            let change = LinkUnspec::new_with_index(index).down().alias(alias).build();
            handle.link().set(change).execute().await.map_err(plain)?;
            let change = LinkUnspec::new_with_index(index).name(inside).setns_by_fd(into).build();
            handle.link().set(change).execute().await.map_err(plain)?;
            Ok(link.header.flags.contains(LinkFlags::Up))
        })?;
        Ok(Self { entrance, home: interface.into(), was_up })
    }

    /// Its name at home.
    pub fn name(&self) -> &str {
        &self.home
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        // What cannot be given back comes back by itself when the namespace ends, if it is a real card.
        let _ = give_back_all(&self.entrance);
        if self.was_up {
            let _ = here(async |handle: Handle| {
                let index = find(&handle, &self.home).await?.header.index;
                let up = LinkUnspec::new_with_index(index).up().build();
                handle.link().set(up).execute().await.map_err(plain)
            });
        }
    }
}

/// Gives all taken interfaces in a namespace back to this machine; their names there.
pub fn give_back_all(entrance: &Entrance) -> io::Result<Vec<String>> {
    let home = File::open(HOME)?;
    entrance.run(|| {
        here(async |handle: Handle| {
            let links: Vec<LinkMessage> = handle.link().get().execute().try_collect().await.map_err(plain)?;
            let mut names = Vec::new();
            for link in links {
                let Some(name) = home_name(&link) else { continue };
                // An empty alias is none.
                let change = LinkUnspec::new_with_index(link.header.index).down().alias("").build();
                handle.link().set(change).execute().await.map_err(plain)?;
                let change = LinkUnspec::new_with_index(link.header.index)
                    .name(name.clone())
                    .setns_by_fd(home.as_raw_fd())
                    .build();
                handle.link().set(change).execute().await.map_err(plain)?;
                names.push(name);
            }
            Ok(names)
        })
    })
}

fn home_name(link: &LinkMessage) -> Option<String> {
    link.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::IfAlias(alias) => alias.strip_prefix(ALIAS).map(str::to_owned),
        _ => None,
    })
}

async fn find(handle: &Handle, name: &str) -> io::Result<LinkMessage> {
    let mut links = handle.link().get().match_name(name.to_owned()).execute();
    match links.try_next().await.map_err(plain) {
        Ok(Some(link)) => Ok(link),
        Ok(None) => Err(io::ErrorKind::NotFound.into()),
        Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Err(io::ErrorKind::NotFound.into()),
        Err(error) => Err(error),
    }
}

async fn is_default_route(handle: &Handle, index: u32) -> io::Result<bool> {
    let every = RouteMessageBuilder::<std::net::Ipv4Addr>::new().build();
    let mut routes = handle.route().get(every).execute();
    while let Some(route) = routes.try_next().await.map_err(plain)? {
        let by = |attribute: &RouteAttribute| *attribute == RouteAttribute::Oif(index);
        if route.header.destination_prefix_length == 0 && route.attributes.iter().any(by) {
            return Ok(true);
        }
    }
    Ok(false)
}
