//! Who may come in: tokens in constant time, and how often one address may be wrong.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    time::{Duration, Instant},
};

use axum::http::{HeaderMap, header};

use super::secrets::Token;

/// Wrong tokens that one address may send at once before it is told to wait.
const BURST: u32 = 10;
/// How long it takes to earn one more try.
const REFILL: Duration = Duration::from_secs(6);
/// Addresses remembered. When more are wrong at once, the one that was wrong longest ago is forgotten.
const MAX_ADDRESSES: usize = 1024;

/// What a request with a token may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The token is right.
    Enter,
    /// Wrong or missing: 401.
    Wrong,
    /// Wrong once too often: 429.
    WrongTooOften,
}

/// Counts failures by source address.
///
/// A right token always enters, also from an address with failures: tokens have 128 bits and more, so the
/// limit does not have to stop guessing, only floods of log lines; and one neighbour behind the same NAT or
/// proxy must not lock out another.
#[derive(Debug)]
pub(super) struct Gate {
    failures: HashMap<IpAddr, Failures>,
}

#[derive(Debug)]
struct Failures {
    left: u32,
    last: Instant,
}

impl Gate {
    pub fn new() -> Self {
        Self { failures: HashMap::new() }
    }

    /// Judges `given` from `source` at `now`.
    pub fn judge(&mut self, token: &Token, given: Option<&str>, source: IpAddr, now: Instant) -> Verdict {
        if given.is_some_and(|given| token.matches(given)) {
            return Verdict::Enter;
        }
        let source = subscriber(source);
        if !self.failures.contains_key(&source) && self.failures.len() >= MAX_ADDRESSES {
            self.forget(now);
        }
        let entry = self.failures.entry(source).or_insert(Failures { left: BURST, last: now });
        let earned = now.saturating_duration_since(entry.last).as_secs() / REFILL.as_secs();
        if earned > 0 {
            entry.left = entry.left.saturating_add(u32::try_from(earned).unwrap_or(u32::MAX)).min(BURST);
            entry.last = now;
        }
        if entry.left == 0 {
            return Verdict::WrongTooOften;
        }
        entry.left -= 1;
        Verdict::Wrong
    }

    fn forget(&mut self, now: Instant) {
        self.failures.retain(|_, f| now.saturating_duration_since(f.last) < REFILL * BURST);
        if self.failures.len() >= MAX_ADDRESSES {
            let oldest = self.failures.iter().min_by_key(|(_, f)| f.last).map(|(ip, _)| *ip);
            if let Some(oldest) = oldest {
                self.failures.remove(&oldest);
            }
        }
    }
}

/// One subscriber of IPv6 has a /64 and as many addresses as he likes.
fn subscriber(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V6(ip) => {
            let [a, b, c, d, ..] = ip.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 => v4,
    }
}

/// The token of an `Authorization: Bearer` header.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Whether a browser's request comes from the hub's own page. Other clients send no Origin, and need the
/// token anyway.
pub(super) fn same_origin(headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let (Ok(origin), Some(Ok(host))) = (origin.to_str(), headers.get(header::HOST).map(|h| h.to_str()))
    else {
        return false;
    };
    let authority = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
    authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn token() -> Token {
        Token::new("abcdefghijklmnopqrstuvwxyz").unwrap()
    }

    #[test]
    fn an_address_that_is_wrong_too_often_has_to_wait_but_a_right_token_still_enters() {
        let (mut gate, token, now) = (Gate::new(), token(), Instant::now());
        let source = IpAddr::from([192, 0, 2, 1]);
        for _ in 0..BURST {
            assert_eq!(gate.judge(&token, Some("wrong"), source, now), Verdict::Wrong);
        }
        assert_eq!(gate.judge(&token, None, source, now), Verdict::WrongTooOften);
        assert_eq!(gate.judge(&token, Some("wrong"), IpAddr::from([192, 0, 2, 2]), now), Verdict::Wrong);
        assert_eq!(gate.judge(&token, Some(token.reveal()), source, now), Verdict::Enter);
        assert_eq!(gate.judge(&token, Some("wrong"), source, now + REFILL), Verdict::Wrong);
        assert_eq!(gate.judge(&token, Some("wrong"), source, now + REFILL), Verdict::WrongTooOften);
    }

    #[test]
    fn addresses_of_one_ipv6_subscriber_count_together() {
        let (mut gate, token, now) = (Gate::new(), token(), Instant::now());
        for i in 0..BURST {
            let source = Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, i as u16);
            gate.judge(&token, None, source.into(), now);
        }
        let other: IpAddr = Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 9, 9, 9, 9).into();
        assert_eq!(gate.judge(&token, None, other, now), Verdict::WrongTooOften);
    }

    #[test]
    fn the_table_of_addresses_is_bounded() {
        let (mut gate, token, now) = (Gate::new(), token(), Instant::now());
        for i in 0..3 * MAX_ADDRESSES as u32 {
            gate.judge(&token, None, IpAddr::from(i.to_be_bytes()), now);
        }
        assert_eq!(gate.failures.len(), MAX_ADDRESSES);
    }

    #[test]
    fn only_the_hubs_own_page_may_open_a_socket_from_a_browser() {
        let headers = |origin: Option<&str>| {
            let mut h = HeaderMap::new();
            h.insert(header::HOST, "cam.local:8443".parse().unwrap());
            if let Some(origin) = origin {
                h.insert(header::ORIGIN, origin.parse().unwrap());
            }
            h
        };
        assert!(same_origin(&headers(None)));
        assert!(same_origin(&headers(Some("https://cam.local:8443"))));
        assert!(same_origin(&headers(Some("https://CAM.local:8443"))));
        for foreign in
            ["https://evil.example", "https://cam.local", "null", "", "https://cam.local:8443.evil.example"]
        {
            assert!(!same_origin(&headers(Some(foreign))), "{foreign}");
        }
    }
}
