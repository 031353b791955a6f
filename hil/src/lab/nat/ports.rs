//! Which external port a new mapping gets.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::PortChoice;

/// The dynamic ports (RFC 6335 section 6), which routers give out.
const FIRST: u16 = 49_152;
const COUNT: u16 = u16::MAX - FIRST + 1;
/// Ports below are never preserved (RFC 4787 section 4.2.2 keeps the range of the inside port; the lab needs no more).
const LOWEST_PRESERVED: u16 = 1024;

/// See the module.
#[derive(Debug)]
pub struct Ports {
    choice: PortChoice,
    random: ChaCha8Rng,
    next: u16,
    /// After a reboot even a router that keeps ports gives others: what counts is that they changed.
    rebooted: bool,
}

impl Ports {
    /// All choices follow from the seed.
    pub fn new(choice: PortChoice, seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let next = random.random_range(0..COUNT);
        Self { choice, random, next, rebooted: false }
    }

    /// Other ports from now on.
    pub fn reboot(&mut self) {
        self.next = self.random.random_range(0..COUNT);
        self.rebooted = true;
    }

    /// A free port; `None` if all are taken.
    pub fn choose(&mut self, inside: u16, taken: impl Fn(u16) -> bool) -> Option<u16> {
        let keeps = self.choice == PortChoice::Preserve && !self.rebooted;
        if keeps && inside >= LOWEST_PRESERVED && !taken(inside) {
            return Some(inside);
        }
        let start = match self.choice {
            PortChoice::Sequential => self.next,
            PortChoice::Preserve | PortChoice::Random => self.random.random_range(0..COUNT),
        };
        let offset = (0..COUNT).map(|step| (start + step) % COUNT).find(|offset| !taken(FIRST + offset))?;
        self.next = (offset + 1) % COUNT;
        Some(FIRST + offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preserved_port_that_is_taken_becomes_another() {
        let mut ports = Ports::new(PortChoice::Preserve, 1);
        assert_eq!(ports.choose(5000, |_| false), Some(5000));
        let other = ports.choose(5000, |port| port == 5000);
        assert!(other.is_some_and(|port| port != 5000 && port >= FIRST));
        assert_ne!(ports.choose(80, |_| false), Some(80));
    }

    #[test]
    fn sequential_ports_follow_each_other_and_skip_those_that_are_taken() {
        let mut ports = Ports::new(PortChoice::Sequential, 9);
        let first = ports.choose(1, |_| false).expect("a free port");
        let offset = first - FIRST;
        let skipped = FIRST + (offset + 1) % COUNT;
        assert_eq!(ports.choose(1, |port| port == skipped), Some(FIRST + (offset + 2) % COUNT));
    }

    #[test]
    fn the_same_seed_makes_the_same_choices_and_another_makes_others() {
        let run = |seed| {
            let mut ports = Ports::new(PortChoice::Random, seed);
            [(); 4].map(|()| ports.choose(1, |_| false))
        };
        assert_eq!(run(7), run(7));
        assert_ne!(run(7), run(8));
    }

    #[test]
    fn no_free_port_is_none() {
        for choice in [PortChoice::Preserve, PortChoice::Sequential, PortChoice::Random] {
            assert_eq!(Ports::new(choice, 3).choose(5000, |_| true), None);
        }
    }
}
