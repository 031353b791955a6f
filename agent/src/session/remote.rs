//! The viewer's candidates that need work before ICE can use them: names that hide an address (mDNS), and IPv4 addresses
//! where the device has IPv6 alone (NAT64). Nothing waits for it.

use std::{future, net::IpAddr};

use tokio::task::JoinSet;
use tracing::debug;

use super::{driver::Session, peer::Peer};
use crate::{
    signaling::candidate::{self, Address, Transport},
    transport::{
        Endpoint,
        mdns::{HiddenName, NotHidden},
    },
};

/// Candidates that are worked on at once. Browsers have some ten; more are left to the viewer's own checks.
const MAX_AT_ONCE: usize = 32;
/// Different names of a session: browsers have one for each address.
const MAX_NAMES: usize = 16;

/// Work on candidates, which ends with this.
#[derive(Default)]
pub(super) struct Remote {
    work: JoinSet<Made>,
    /// Names that were seen, with their addresses once they are known.
    names: Vec<(HiddenName, Option<IpAddr>)>,
}

/// What was made of a candidate.
struct Made {
    found: Option<(HiddenName, IpAddr)>,
    lines: Vec<String>,
}

impl Remote {
    /// Begins what a line needs. Says whether it is to be used as it is too.
    ///
    /// # Errors
    ///
    /// It has a `.local` name of a form that is not looked up.
    pub fn take(&mut self, line: &str, endpoint: &Endpoint) -> Result<bool, NotHidden> {
        // What cannot be read is refused by who uses it.
        let Ok(candidate) = candidate::parse(line) else { return Ok(true) };
        let is_mdns = candidate.address.is_mdns();
        // A viewer's TCP candidates are of the kind that connects by itself (RFC 6544).
        if candidate.transport != Transport::Udp || self.work.len() >= MAX_AT_ONCE {
            return Ok(!is_mdns);
        }
        match candidate.address {
            Address::Ip(IpAddr::V4(address)) if endpoint.nat64().is_needed() => {
                let (nat64, line) = (endpoint.nat64().clone(), line.to_owned());
                self.work.spawn(async move {
                    let twins = nat64.twins(address).await.into_iter();
                    let lines = twins.filter_map(|twin| with_address(&line, twin.into())).collect();
                    Made { found: None, lines }
                });
                Ok(true)
            }
            Address::Name(name) if is_mdns => {
                self.look_up(name.parse()?, line, endpoint);
                Ok(false)
            }
            _ => Ok(true),
        }
    }

    fn look_up(&mut self, name: HiddenName, line: &str, endpoint: &Endpoint) {
        let Some(mdns) = endpoint.mdns() else { return };
        let known = self.names.iter().find(|(seen, _)| *seen == name).map(|(_, address)| *address);
        if known.is_none() {
            if self.names.len() >= MAX_NAMES {
                debug!("{name} is one name too many: it is left to the viewer's own checks");
                return;
            }
            self.names.push((name, None));
        }
        let (line, known) = (line.to_owned(), known.flatten());
        let asked = known.is_none().then(|| mdns.resolve(name));
        self.work.spawn(async move {
            let address = match asked {
                Some(asked) => asked.await,
                None => known,
            };
            let lines = address.and_then(|address| with_address(&line, address)).into_iter().collect();
            Made { found: address.map(|address| (name, address)), lines }
        });
    }

    /// What was made for candidates of before an ICE restart is of no use any more, but for the addresses of names.
    pub fn forget(&mut self) {
        self.work = JoinSet::new();
    }

    /// The next lines to be used. Can be dropped at any time without loss.
    pub async fn next(&mut self) -> Vec<String> {
        match self.work.join_next().await {
            Some(Ok(made)) => {
                if let Some((name, address)) = made.found
                    && let Some((_, known)) = self.names.iter_mut().find(|(seen, _)| *seen == name)
                {
                    *known = Some(address);
                }
                made.lines
            }
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
            debug!("the viewer is reached at {line}");
            if let Err(e) = peer.add_remote_candidate(line) {
                debug!("candidate {line} not taken: {e}");
            }
        }
    }
}

/// The same candidate at another address: type, foundation and priority stay, as it is the same place of the viewer's.
fn with_address(line: &str, address: IpAddr) -> Option<String> {
    let mut words: Vec<&str> = line.split_ascii_whitespace().collect();
    let text = address.to_string();
    // RFC 8839 section 5.1: foundation, component, transport, priority, address.
    *words.get_mut(4)? = &text;
    Some(words.join(" "))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_candidate_keeps_all_but_its_address() {
        let line = "candidate:842163049 1 udp 1677729535 203.0.113.9 54653 typ srflx raddr 0.0.0.0 rport 0 ufrag gX6M";
        let twin = with_address(line, "64:ff9b::cb00:7109".parse().unwrap()).unwrap();
        assert_eq!(twin, line.replace("203.0.113.9", "64:ff9b::cb00:7109"));
        assert_eq!(with_address("candidate:1 1 udp", "::1".parse().unwrap()), None);
    }
}
