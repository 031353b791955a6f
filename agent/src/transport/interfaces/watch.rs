//! Listens to the kernel's news of links, addresses and routes.

use std::{io, sync::Arc, time::Duration};

use rtnetlink::{
    MulticastGroup,
    sys::{AsyncSocket as _, AsyncSocketExt as _, SocketAddr, TokioSocket, protocols::NETLINK_ROUTE},
};
use tokio::{sync::watch::Sender, time::sleep};
use tracing::{debug, warn};

use super::Interfaces;

/// One change comes as several messages (link, addresses, routes) within a few milliseconds.
const SETTLE: Duration = Duration::from_millis(30);
/// After an error of netlink the next attempt waits so long, lest it costs a whole core.
const ERROR_PAUSE: Duration = Duration::from_secs(1);
/// Longer than any message; its rest would be cut off, which is no loss as nobody reads it.
const MESSAGE: usize = 8192;

const GROUPS: [MulticastGroup; 5] = [
    MulticastGroup::Link,
    MulticastGroup::Ipv4Ifaddr,
    MulticastGroup::Ipv6Ifaddr,
    MulticastGroup::Ipv4Route,
    MulticastGroup::Ipv6Route,
];

/// A socket that hears of every change from its opening on.
pub(super) struct Watch(TokioSocket);

impl Watch {
    /// Subscribes.
    pub fn open() -> io::Result<Self> {
        let mut socket = TokioSocket::new(NETLINK_ROUTE)?;
        let groups = GROUPS.iter().fold(0, |mask, group| mask | 1 << (*group as u32 - 1));
        socket.socket_mut().bind(&SocketAddr::new(0, groups))?;
        Ok(Self(socket))
    }

    /// Publishes each new state until it is aborted or nobody listens.
    pub async fn run(self, publish: Sender<Arc<Interfaces>>) {
        let mut message = Vec::with_capacity(MESSAGE);
        while !publish.is_closed() {
            self.hear(&mut message).await;
            sleep(SETTLE).await;
            self.drain(&mut message);
            match Interfaces::now().await {
                Ok(now) => {
                    publish.send_if_modified(|known| {
                        let differs = **known != now;
                        if differs {
                            debug!("interfaces changed: {now:?}");
                            *known = Arc::new(now);
                        }
                        differs
                    });
                }
                Err(e) => {
                    warn!(
                        "the network interfaces cannot be listed: {e}; the addresses known so far are used"
                    );
                    sleep(ERROR_PAUSE).await;
                }
            }
        }
    }

    /// Waits for a message. What it says does not matter: all is read again.
    async fn hear(&self, message: &mut Vec<u8>) {
        message.clear();
        if let Err(e) = self.0.recv(message).await {
            // ENOBUFS: more came than the socket holds. What was lost is found by reading.
            debug!("netlink: {e}");
            if e.raw_os_error() != Some(libc::ENOBUFS) {
                sleep(ERROR_PAUSE).await;
            }
        }
    }

    /// Takes what the same change brought besides, as far as it is there.
    fn drain(&self, message: &mut Vec<u8>) {
        loop {
            message.clear();
            match self.0.socket_ref().recv(message, 0) {
                Ok(_) => {}
                Err(e) if e.raw_os_error() == Some(libc::ENOBUFS) => {}
                Err(_) => return,
            }
        }
    }
}
