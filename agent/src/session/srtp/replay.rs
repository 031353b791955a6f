//! Which SRTCP packets of a peer came already (RFC 3711 section 3.3.2).

/// Sources that one peer reports from, at most: a browser has one for each track that it sends, and one more. Each is
/// remembered only after a packet of it was authentic.
const MAX_SOURCES: usize = 16;
/// Packets that may come out of order; the least that RFC 3711 section 3.3.2 allows, and many seconds of reports.
const WINDOW: u32 = 64;

/// Why a packet is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// It came already, or it is older than the window.
    Replayed,
    /// More sources than anybody needs.
    TooManySources,
}

/// The windows of all sources.
#[derive(Debug, Default)]
pub(super) struct Windows {
    sources: Vec<Window>,
}

#[derive(Debug)]
struct Window {
    ssrc: u32,
    /// The highest index that came.
    highest: u32,
    /// Bit n: `highest` - n came.
    came: u64,
}

impl Windows {
    /// Whether a packet is worth to be authenticated; remembers nothing.
    pub(super) fn check(&self, ssrc: u32, index: u32) -> Result<(), Refused> {
        match self.sources.iter().find(|window| window.ssrc == ssrc) {
            Some(window) if window.has(index) => Err(Refused::Replayed),
            None if self.sources.len() >= MAX_SOURCES => Err(Refused::TooManySources),
            _ => Ok(()),
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.sources.len()
    }

    /// Remembers a packet that was checked and is authentic.
    pub(super) fn accept(&mut self, ssrc: u32, index: u32) {
        if let Some(window) = self.sources.iter_mut().find(|window| window.ssrc == ssrc) {
            window.add(index);
        } else if self.sources.len() < MAX_SOURCES {
            self.sources.push(Window { ssrc, highest: index, came: 1 });
        }
    }
}

impl Window {
    fn has(&self, index: u32) -> bool {
        match self.highest.checked_sub(index) {
            None => false,
            Some(age) => age >= WINDOW || self.came >> age & 1 == 1,
        }
    }

    fn add(&mut self, index: u32) {
        if let Some(newer) = index.checked_sub(self.highest).filter(|newer| *newer > 0) {
            self.came = self.came.checked_shl(newer).unwrap_or(0) | 1;
            self.highest = index;
        } else if let Some(bit) = 1u64.checked_shl(self.highest - index) {
            self.came |= bit;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn take(windows: &mut Windows, ssrc: u32, index: u32) -> Result<(), Refused> {
        windows.check(ssrc, index).map(|()| windows.accept(ssrc, index))
    }

    #[test]
    fn sources_beyond_the_limit_are_refused_and_the_known_ones_go_on() {
        let mut windows = Windows::default();
        for ssrc in 0..1000 {
            let taken = take(&mut windows, ssrc, 7);
            assert_eq!(taken.is_ok(), ssrc < MAX_SOURCES as u32, "{ssrc}");
        }
        assert_eq!(windows.sources.len(), MAX_SOURCES);
        assert_eq!(take(&mut windows, 0, 8), Ok(()));
        assert_eq!(windows.check(999, 8), Err(Refused::TooManySources));
    }

    #[test]
    fn a_check_alone_remembers_nothing() {
        let mut windows = Windows::default();
        assert_eq!((windows.check(1, 5), windows.check(1, 5)), (Ok(()), Ok(())));
        windows.accept(1, 5);
        assert_eq!(windows.check(1, 5), Err(Refused::Replayed));
    }

    proptest! {
        #[test]
        fn nothing_is_taken_twice_and_nothing_new_refused(
            indices in prop::collection::vec(prop_oneof![0u32..300, 0x7fff_ff00u32..0x8000_0000], 1..200),
        ) {
            let (mut windows, mut taken, mut highest) = (Windows::default(), BTreeSet::new(), 0);
            for index in indices {
                let fresh = !taken.contains(&index) && (taken.is_empty() || index + WINDOW > highest);
                prop_assert_eq!(take(&mut windows, 1, index).is_ok(), fresh, "{} after {}", index, highest);
                if fresh {
                    taken.insert(index);
                    highest = highest.max(index);
                }
            }
        }
    }
}
