//! How many checks a stranger may send: a bucket of tokens for each source (RFC 8489 section 16.2.4), without sockets or
//! clocks.
//!
//! A source is an IPv4 address, or the /64 of an IPv6 address, which one customer has all to himself. Only checks from
//! addresses that no session has count: a viewer's first ones. Sources beyond the bound displace the ones that were heard
//! longest ago, which then begin with a full bucket: a flood from everywhere locks nobody out.

use std::{
    collections::HashMap,
    net::IpAddr,
    time::{Duration, Instant},
};

/// First checks at once: 32 viewers behind one carrier's NAT, each from some candidates to some of ours.
pub const BURST: u32 = 128;
/// One more after each. A browser begins a check every 50 ms (RFC 8445 section 14.2), and most are not its first.
pub const INTERVAL: Duration = Duration::from_millis(30);
/// Sources of one generation; there are two at most.
pub const MAX_SOURCES: usize = 1024;

/// See the module's documentation.
#[derive(Debug, Default)]
pub struct Limits {
    /// When each source's bucket is full again (the generic cell rate algorithm, ITU-T I.371).
    young: HashMap<IpAddr, Instant>,
    /// Those before; forgotten when the young ones have grown as many.
    old: HashMap<IpAddr, Instant>,
}

impl Limits {
    /// Whether one more check of `from` is looked at.
    pub fn admit(&mut self, now: Instant, from: IpAddr) -> bool {
        let source = source(from);
        let known = self.young.get(&source).or_else(|| self.old.get(&source));
        let full = known.map_or(now, |full| now.max(*full));
        let admitted = full.saturating_duration_since(now) <= INTERVAL * (BURST - 1);
        self.note(source, if admitted { full + INTERVAL } else { full });
        admitted
    }

    fn note(&mut self, source: IpAddr, full: Instant) {
        if !self.young.contains_key(&source) && self.young.len() >= MAX_SOURCES {
            self.old = std::mem::take(&mut self.young);
        }
        self.old.remove(&source);
        self.young.insert(source, full);
    }
}

fn source(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => IpAddr::V6((ip.to_bits() & (u128::MAX << 64)).into()),
        v4 => v4,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_burst_is_admitted_then_one_in_each_interval() {
        let (mut limits, start) = (Limits::default(), Instant::now());
        let burst = (0..10 * BURST).filter(|_| limits.admit(start, ip("192.0.2.1"))).count();
        assert_eq!(burst, BURST as usize);
        assert!(limits.admit(start + INTERVAL, ip("192.0.2.1")));
        assert!(!limits.admit(start + INTERVAL, ip("192.0.2.1")));
        assert!(limits.admit(start, ip("192.0.2.2")));
    }

    #[test]
    fn all_addresses_of_one_customer_are_one_source() {
        let (mut limits, now) = (Limits::default(), Instant::now());
        let admitted = (0..1000).filter(|n| limits.admit(now, ip(&format!("2001:db8:0:1::{n:x}")))).count();
        assert_eq!(admitted, BURST as usize);
        assert!(limits.admit(now, ip("2001:db8:0:2::1")));
        assert_eq!(source(ip("::ffff:192.0.2.1")), ip("192.0.2.1"));
    }

    #[test]
    fn a_flood_from_everywhere_locks_nobody_out_and_takes_bounded_memory() {
        let (mut limits, now) = (Limits::default(), Instant::now());
        for n in 0..20_000 {
            assert!(limits.admit(now, Ipv4Addr::from_bits(n).into()));
            assert!(limits.young.len() + limits.old.len() <= 2 * MAX_SOURCES);
        }
        assert!(limits.admit(now, ip("192.0.2.1")));
    }

    #[test]
    fn a_source_that_keeps_sending_is_not_forgotten_among_others() {
        let (mut limits, now) = (Limits::default(), Instant::now());
        let mut admitted = 0;
        for n in 0..20_000 {
            admitted += u32::from(limits.admit(now, ip("192.0.2.1")));
            limits.admit(now, Ipv4Addr::from_bits(n).into());
        }
        assert_eq!(admitted, BURST);
    }

    proptest! {
        #[test]
        fn no_source_gets_more_than_its_share(
            steps in proptest::collection::vec((0..3_u128, 0..200_u64), 0..600)
        ) {
            let start = Instant::now();
            let (mut limits, mut now, mut admitted) = (Limits::default(), start, [0_u32; 3]);
            for (n, pause) in steps {
                now += Duration::from_millis(pause / 10);
                let from = Ipv6Addr::from_bits(n << 64 | u128::from(pause));
                admitted[usize::try_from(n).unwrap()] += u32::from(limits.admit(now, from.into()));
            }
            let share = BURST + u32::try_from((now - start).as_millis() / INTERVAL.as_millis()).unwrap() + 1;
            prop_assert!(admitted.iter().all(|count| *count <= share), "{admitted:?} {share}");
        }
    }
}
