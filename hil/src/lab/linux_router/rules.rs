//! The rules of a Linux router, in the language of nft(8).

use std::{fmt::Write, net::SocketAddrV4, ops::RangeInclusive};

use crate::lab::packet::Protocol;

/// Ports that the router gives after a reboot, one range after the other: below those that hosts choose themselves
/// (net.ipv4.ip_local_port_range begins at 32768), so that none is kept.
const FIRST_PORT: usize = 10_000;
const PORTS: usize = 2_500;
const RANGES: usize = 8;

/// An outside port that is handed to an inside address for good. ICMP echo has no ports and is ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forward {
    /// Of UDP or TCP.
    pub protocol: Protocol,
    /// The port outside.
    pub port: u16,
    /// Who gets it.
    pub inside: SocketAddrV4,
}

/// What the router does to addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Translation {
    /// `masquerade fully-random` instead of `masquerade`.
    pub fully_random: bool,
    /// Static forwards.
    pub forwards: Vec<Forward>,
}

/// The whole rule set. What comes from outside unasked is dropped before the router itself sees it: one that accepted
/// it would know it as a connection of its own and give those inside other ports. `dropped`: rules for what from inside
/// the router itself does not see.
pub(super) fn rules(lan: &str, wan: &str, translation: &Translation, boots: usize, dropped: &str) -> String {
    let random = if translation.fully_random { "fully-random" } else { "" };
    let masquerade = match ports(boots) {
        Some(ports) => {
            let (first, last) = ports.into_inner();
            format!("meta l4proto {{ tcp, udp }} masquerade to :{first}-{last} {random}")
        }
        None => format!("masquerade {random}"),
    };
    let mut forwards = String::new();
    for Forward { protocol, port, inside } in &translation.forwards {
        let protocol = match protocol {
            Protocol::Udp => "udp",
            Protocol::Tcp => "tcp",
            Protocol::Echo => continue,
        };
        // Writing to a string does not fail.
        let _ = writeln!(forwards, "iifname {wan} {protocol} dport {port} dnat to {inside};");
    }
    format!(
        "flush ruleset
table ip router {{
  chain input {{
    type filter hook input priority filter; policy accept;
    iifname {wan} ct state established,related accept;
    iifname {wan} drop;
    {dropped}
  }}
  chain forward {{
    type filter hook forward priority filter; policy drop;
    iifname {lan} accept;
    ct state established,related accept;
    ct status dnat accept;
  }}
  chain prerouting {{
    type nat hook prerouting priority dstnat; policy accept;
    {forwards}
  }}
  chain postrouting {{
    type nat hook postrouting priority srcnat; policy accept;
    oifname {wan} {masquerade};
    oifname {wan} masquerade;
  }}
}}
"
    )
}

/// The ports of a boot; the first one leaves them to the kernel.
fn ports(boots: usize) -> Option<RangeInclusive<usize>> {
    let range = boots.checked_sub(1)? % RANGES;
    let first = FIRST_PORT + range * PORTS;
    Some(first..=first + PORTS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_boot_gives_other_ports_than_the_one_before() {
        assert_eq!(ports(0), None);
        let boots: Vec<_> = (1..=RANGES).filter_map(ports).collect();
        assert!(boots.windows(2).all(|pair| pair[0].end() < pair[1].start()));
        assert!(boots.iter().all(|ports| *ports.end() < 32_768));
        assert_eq!(ports(RANGES + 1), ports(1));
    }

    #[test]
    fn what_was_asked_for_is_in_the_rules() {
        let inside = "192.168.1.2:5000".parse().expect("an address");
        let forward = |protocol| Forward { protocol, port: 45_000, inside };
        let forwards = vec![forward(Protocol::Udp), forward(Protocol::Echo)];
        let text = rules("lan0", "wan0", &Translation { fully_random: true, forwards }, 0, "");
        assert!(text.contains("oifname wan0 masquerade fully-random;"), "{text}");
        assert!(text.contains("iifname wan0 udp dport 45000 dnat to 192.168.1.2:5000;"), "{text}");
        assert_eq!(text.matches("dnat to").count(), 1, "{text}");
        let text = rules("lan0", "wan0", &Translation::default(), 2, "");
        assert!(text.contains("masquerade to :12500-14999"), "{text}");
    }
}
