//! The viewer's candidates that need work before ICE can use them: IPv4 addresses seen through a NAT64.

use std::{future, net::IpAddr};

use tokio::task::JoinSet;
use tracing::debug;

use super::{driver::Session, peer::Peer};
use crate::{
    signaling::candidate::{self, Address, Transport},
    transport::Endpoint,
};

/// Candidates that are worked on at once. Browsers have some ten; more are left to the viewer's own checks.
const MAX_AT_ONCE: usize = 32;

/// Work on candidates, which ends with this.
#[derive(Default)]
pub(super) struct Remote {
    /// Each gives the lines to be used.
    work: JoinSet<Vec<String>>,
}

impl Remote {
    /// Begins what a line needs. Says whether it can be used as it is too.
    pub fn take(&mut self, line: &str, endpoint: &Endpoint) -> bool {
        let Ok(candidate) = candidate::parse(line) else { return true };
        let has_room = self.work.len() < MAX_AT_ONCE;
        if let (Transport::Udp, Address::Ip(IpAddr::V4(address))) = (candidate.transport, candidate.address)
            && endpoint.nat64().is_needed()
            && has_room
        {
            let (nat64, line) = (endpoint.nat64().clone(), line.to_owned());
            self.work.spawn(async move {
                let twins = nat64.twins(address).await;
                twins.into_iter().filter_map(|twin| with_address(&line, twin.into())).collect()
            });
        }
        true
    }

    /// What was made for candidates of before is of no use any more.
    pub fn forget(&mut self) {
        self.work = JoinSet::new();
    }

    /// The next lines to be used. Can be dropped at any time without loss.
    pub async fn next(&mut self) -> Vec<String> {
        match self.work.join_next().await {
            Some(Ok(lines)) => lines,
            // It broke: a candidate less.
            Some(Err(_)) => Vec::new(),
            None => future::pending().await,
        }
    }
}

impl Session {
    /// Gives ICE what was made of a candidate of the viewer's.
    pub(super) fn use_made(&self, peer: Option<&mut Peer>, lines: &[String]) {
        let Some(peer) = peer else { return };
        for line in lines {
            debug!("the viewer is also reached at {line}");
            if let Err(e) = peer.add_remote_candidate(line) {
                debug!("candidate {line} not taken: {e}");
            }
        }
    }
}

/// The same candidate at another address: type, foundation and priority stay, as both are one place of the viewer's.
fn with_address(line: &str, address: IpAddr) -> Option<String> {
    let mut words: Vec<&str> = line.split_ascii_whitespace().collect();
    let text = address.to_string();
    // RFC 8839 section 5.1: foundation, component, transport, priority, address.
    *words.get_mut(4)? = &text;
    Some(words.join(" "))
}
