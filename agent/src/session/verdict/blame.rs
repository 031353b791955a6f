//! Why there is no path: the most certain reason first.

use std::net::SocketAddr;

use super::{Evidence, NoPath, Relay, viewer::different};
use crate::transport::{Asked, CandidateKind, Said, ServerOutcome};

/// Judges a session that had the time to find a path and found none.
pub(super) fn judge(evidence: &Evidence<'_>) -> NoPath {
    let Evidence { local, direct, asked, servers, viewer, checks } = evidence;
    let count = |kind| local.iter().filter(|c| c.kind == kind).count();
    if viewer.total() == 0 && !checks.arrived {
        return NoPath::SilentViewer;
    }
    if count(CandidateKind::Host) == 0 && count(CandidateKind::Relayed) == 0 {
        return if *direct { NoPath::NoAddress } else { NoPath::NoRelay(relay(servers)) };
    }
    if checks.chosen {
        return NoPath::NoHandshake;
    }
    let ours = local.iter().find(|c| c.kind == CandidateKind::Relayed);
    if let Some(ours) = ours {
        return NoPath::RelayUnreached(ours.server.clone().unwrap_or_else(|| "the TURN server".into()));
    }
    if servers.is_empty() {
        return if *asked == 0 { NoPath::NoServer } else { NoPath::NoAnswerYet };
    }
    if let Some(words) = lost_names(servers) {
        return NoPath::NoNames(words);
    }
    if !checks.arrived && is_udp_blocked(servers) {
        return NoPath::DeviceUdpBlocked { alone: alone(servers), relay: relay(servers) };
    }
    if viewer.relayed > 0 {
        return NoPath::RelayUnreached("the viewer's TURN server".into());
    }
    if viewer.reflexive == 0 && !checks.arrived {
        return NoPath::ViewerUdpBlocked(relay(servers));
    }
    NoPath::Nats { device: symmetric(servers), viewer: viewer.is_symmetric(), relay: relay(servers) }
}

/// The words of the first, if no name of all leads anywhere.
fn lost_names(servers: &[ServerOutcome]) -> Option<String> {
    let mut words = servers.iter().map(|server| match &server.said {
        Said::NotFound(words) => Some(format!("{}: {words}", server.server)),
        _ => None,
    });
    let first = words.next()??;
    words.all(|other| other.is_some()).then_some(first)
}

fn is_over_udp(server: &ServerOutcome) -> bool {
    matches!(server.asked, Asked::Binding | Asked::RelayUdp)
}

/// Somebody was asked over UDP, and nobody said a word.
fn is_udp_blocked(servers: &[ServerOutcome]) -> bool {
    let mut asked =
        servers.iter().filter(|server| is_over_udp(server) && server.address.is_some()).peekable();
    asked.peek().is_some() && asked.all(|server| matches!(server.said, Said::Silent(_)))
}

/// The only server, if but one host was asked and none answered by TCP either: it may be down itself.
fn alone(servers: &[ServerOutcome]) -> Option<String> {
    let tcp_answers = servers
        .iter()
        .any(|server| !is_over_udp(server) && !matches!(server.said, Said::Silent(_) | Said::NotFound(_)));
    let mut hosts = servers.iter().filter_map(|server| Some((server.address?.ip(), &server.server)));
    let (first, name) = hosts.next()?;
    (!tcp_answers && hosts.all(|(host, _)| host == first)).then(|| name.clone())
}

/// Whether two servers saw one socket at different addresses; `None`: fewer than two told.
fn symmetric(servers: &[ServerOutcome]) -> Option<bool> {
    let mut asked: Vec<SocketAddr> = Vec::new();
    let mut seen = Vec::new();
    for server in servers {
        if let (Said::Answered { mapped, .. }, Some(address), Some(local)) =
            (&server.said, server.address, server.local)
        {
            // One server under two names proves nothing.
            if !asked.contains(&address) || !seen.contains(&(local, *mapped)) {
                asked.push(address);
                seen.push((local, *mapped));
            }
        }
    }
    different(&seen)
}

/// What there was of a relay.
fn relay(servers: &[ServerOutcome]) -> Relay {
    let relays = || servers.iter().filter(|server| server.asked != Asked::Binding);
    let why = |server: &ServerOutcome| match &server.said {
        Said::Silent(words) | Said::Refused(words) | Said::NotFound(words) => {
            Some(format!("{}: {words}", server.server))
        }
        Said::Answered { .. } | Said::Relays { .. } | Said::Spare => None,
    };
    if relays().next().is_none() {
        return Relay::NotConfigured;
    }
    // What was tried over TCP or TLS says more than UDP, which is often what is blocked.
    let best = relays().filter(|server| !is_over_udp(server)).find_map(why);
    match best {
        Some(words) => Relay::Failed(words),
        None if is_udp_blocked(servers) => Relay::UdpOnly,
        None => relays().find_map(why).map_or(Relay::NotConfigured, Relay::Failed),
    }
}
