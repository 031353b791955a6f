//! Addresses of servers as DNS told them last: a device that changes its network needs them before it has DNS again.

use std::net::SocketAddr;

/// Names remembered: those of many viewers' servers; the oldest is forgotten first.
const MAX_NAMES: usize = 32;
/// Addresses remembered of one name.
const MAX_ADDRESSES: usize = 8;

/// What is known of names, newest last.
#[derive(Debug, Default)]
pub(super) struct Resolved(Vec<(String, Vec<SocketAddr>)>);

impl Resolved {
    /// DNS told the addresses of `name`.
    pub fn remember(&mut self, name: &str, addresses: &[SocketAddr]) {
        self.0.retain(|(known, _)| known != name);
        if self.0.len() >= MAX_NAMES {
            self.0.remove(0);
        }
        self.0.push((name.to_owned(), addresses.iter().copied().take(MAX_ADDRESSES).collect()));
    }

    /// What DNS told last.
    pub fn recall(&self, name: &str) -> Option<Vec<SocketAddr>> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, addresses)| addresses.clone())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_names_are_remembered_within_the_bound() {
        let mut names = Resolved::default();
        let address = |n: u16| SocketAddr::from(([192, 0, 2, 1], n));
        for n in 0..100 {
            names.remember(&format!("stun{n}.example"), &vec![address(n); 20]);
        }
        names.remember("stun99.example", &[address(7)]);
        assert_eq!(names.recall("stun99.example"), Some(vec![address(7)]));
        assert_eq!(names.recall("stun98.example").unwrap().len(), MAX_ADDRESSES);
        assert_eq!(names.recall("stun0.example"), None);
        assert_eq!(names.0.len(), MAX_NAMES);
    }
}
