//! Listens to the kernel's news of links, addresses and routes.

use std::{io, sync::Arc, time::Duration};

use tokio::{sync::watch::Sender, time::sleep};
use tracing::{debug, warn};

use super::{Interfaces, socket::Socket};

/// One change comes as several messages (link, addresses, routes) within a few milliseconds.
const SETTLE: Duration = Duration::from_millis(30);
/// After an error of netlink the next attempt waits so long, lest it costs a whole core.
const ERROR_PAUSE: Duration = Duration::from_secs(1);
/// Of a message: the rest is cut off, which is no loss as nobody reads it.
const BYTES: usize = 16;

const GROUPS: i32 = libc::RTMGRP_LINK
    | libc::RTMGRP_IPV4_IFADDR
    | libc::RTMGRP_IPV6_IFADDR
    | libc::RTMGRP_IPV4_ROUTE
    | libc::RTMGRP_IPV6_ROUTE;

/// A socket that hears of every change from its opening on.
pub(super) struct Watch(Socket);

impl Watch {
    /// Subscribes.
    pub fn open() -> io::Result<Self> {
        Ok(Self(Socket::open(GROUPS as u32)?))
    }

    /// Publishes each new state until it is aborted or nobody listens.
    pub async fn run(self, publish: Sender<Arc<Interfaces>>) {
        while !publish.is_closed() {
            self.hear().await;
            sleep(SETTLE).await;
            self.drain();
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
    async fn hear(&self) {
        if let Err(e) = self.0.receive(&mut [0; BYTES]).await {
            // ENOBUFS: more came than the socket holds. What was lost is found by reading.
            debug!("netlink: {e}");
            if e.raw_os_error() != Some(libc::ENOBUFS) {
                sleep(ERROR_PAUSE).await;
            }
        }
    }

    /// Takes what the same change brought besides, as far as it is there.
    fn drain(&self) {
        loop {
            match self.0.receive_now(&mut [0; BYTES]) {
                Ok(_) => {}
                Err(e) if e.raw_os_error() == Some(libc::ENOBUFS) => {}
                Err(_) => return,
            }
        }
    }
}
