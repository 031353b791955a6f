//! Opens and closes the port's sockets as the device's addresses come and go.

use std::{
    collections::{HashMap, HashSet},
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;
use tracing::{info, warn};

use super::{
    MAX_ADDRESSES, Socket, Sockets,
    bind::{bind_one, preference},
    choose,
};
use crate::transport::{
    interfaces::{InterfaceChanges, Interfaces},
    shared::{self, Shared},
    tcp,
};

/// An address that could not be bound is tried again after this: it may have been here a moment ago, and what still asks
/// a server from it keeps its old socket open for some seconds.
const RETRY: Duration = Duration::from_millis(500);

/// Keeps the sockets in step with the interfaces for as long as it runs, and reads from each while it is open.
pub(in crate::transport) struct Keeper {
    shared: Arc<Shared>,
    port: u16,
    loopback: bool,
    tcp: bool,
    open: HashMap<SocketAddr, (AbortOnDropHandle<()>, Option<tcp::Listener>)>,
    /// Addresses that could not be bound; the log says so already.
    refused: HashSet<IpAddr>,
}

impl Keeper {
    /// Starts to read from the sockets that are open, and with `tcp` to listen beside them. Within a tokio runtime.
    pub fn new(shared: Arc<Shared>, port: u16, loopback: bool, tcp: bool) -> Self {
        let (open, refused) = (HashMap::new(), HashSet::new());
        let mut this = Self { shared, port, loopback, tcp, open, refused };
        for socket in this.shared.sockets().all() {
            this.read(socket);
        }
        this
    }

    /// Follows `changes`, whose current state the open sockets are those of.
    pub async fn run(mut self, mut changes: InterfaceChanges) {
        let mut before = changes.borrow().clone();
        loop {
            let changed = changes.changed();
            let goes_on = match self.refused.is_empty() {
                true => changed.await.is_ok(),
                // An error of the timer: it is time.
                false => {
                    timeout(RETRY, changed).await.is_ok_and(|changed| changed.is_ok())
                        || changes.has_changed().is_ok()
                }
            };
            if !goes_on {
                break;
            }
            let now = changes.borrow_and_update().clone();
            self.follow(&before, &now).await;
            before = now;
        }
        // Nothing changes any more; the sockets are read until this is aborted.
        std::future::pending().await
    }

    async fn follow(&mut self, before: &Interfaces, now: &Interfaces) {
        let old = self.shared.sockets();
        let mut chosen = choose(&now.addresses, self.loopback);
        if !self.loopback {
            // It serves at start, where there is nothing else. Viewers are not to be told of it for a moment without Wi-Fi.
            chosen.retain(|ip| !ip.is_loopback());
        }
        let mut new =
            Sockets { routes: old.routes + u64::from(before.gateways != now.gateways), ..Sockets::default() };
        let mut taken: Vec<Arc<Socket>> = old.all().cloned().collect();
        let (mut opened, mut closed) = (Vec::new(), Vec::new());
        self.refused.retain(|ip| chosen.contains(ip));
        for (place, &ip) in chosen.iter().enumerate() {
            let address = SocketAddr::new(ip, self.port);
            if let Some(socket) = old.find(address) {
                new.offered.push(socket.clone());
            } else if let Some(socket) = self.open(address, preference(place, &taken)).await {
                opened.push(ip.to_string());
                taken.push(socket.clone());
                new.offered.push(socket);
            }
        }
        for socket in old.all().filter(|socket| !chosen.contains(&socket.local.ip())) {
            let is_there = now.addresses.iter().any(|address| address.ip == socket.local.ip());
            if is_there && new.kept.len() < MAX_ADDRESSES {
                new.kept.push(socket.clone());
            } else {
                closed.push(socket.local.ip().to_string());
                self.open.remove(&socket.local);
            }
        }
        if !opened.is_empty() || !closed.is_empty() {
            let words = |verb: &str, list: &[String]| match list {
                [] => String::new(),
                list => format!(" {verb} {}", list.join(", ")),
            };
            info!("UDP port {}:{}{}", self.port, words("opened on", &opened), words("closed on", &closed));
        }
        self.shared.set_sockets(new);
    }

    async fn open(&mut self, address: SocketAddr, preference: u16) -> Option<Arc<Socket>> {
        match bind_one(address, preference) {
            Ok(socket) => {
                self.refused.remove(&address.ip());
                let socket = Arc::new(socket);
                self.read(&socket);
                Some(socket)
            }
            Err(e) => {
                if self.refused.insert(address.ip()) {
                    let advice = match e.kind() {
                        io::ErrorKind::AddrInUse => ": end the program that has the port there (ss -ulpn)",
                        _ => "",
                    };
                    warn!("UDP port {} is not open on {}: {e}{advice}", address.port(), address.ip());
                }
                None
            }
        }
    }

    fn read(&mut self, socket: &Arc<Socket>) {
        let task = tokio::spawn(shared::receive(self.shared.clone(), socket.clone()));
        let listener = self.tcp.then(|| tcp::listen(&self.shared, socket.local)).flatten();
        self.open.insert(socket.local, (AbortOnDropHandle::new(task), listener));
    }
}
