//! When a sound card is opened again: when the kernel says that one came, and by back-off where it does not.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use crate::{
    board::{Board, hotplug::Subscription},
    media::backoff::Backoff,
};

/// A card that came is complete within this: its nodes are made one by one, then udev gives them to the group.
const SETTLING: Duration = Duration::from_secs(5);
/// While a card settles it is looked for this often.
const LOOK: Duration = Duration::from_millis(500);
/// Where the kernel gives no word of cards: how often what stands in for one looks for it.
const LOOK_WITHOUT_WORD: Duration = Duration::from_secs(10);

/// The times of tries. It waits for nothing itself: who asks lives from block to block of 20 ms.
pub struct Reopening {
    backoff: Backoff,
    /// Set by the monitor of devices.
    rung: Arc<AtomicBool>,
    subscription: Option<Subscription>,
    settled: Option<Instant>,
    next_look: Option<Instant>,
}

impl Reopening {
    /// Hears of the board's sound cards as long as it lives.
    pub fn new(board: &Board) -> Self {
        let rung = Arc::new(AtomicBool::new(false));
        let subscription = board.hotplug.as_ref().map(|hotplug| {
            let rung = rung.clone();
            hotplug.subscribe("sound", move |_| rung.store(true, Ordering::Relaxed))
        });
        Self { backoff: Backoff::default(), rung, subscription, settled: None, next_look: None }
    }

    /// Whether what is closed or broken may be opened now.
    pub fn due(&mut self, now: Instant) -> bool {
        self.listen(now);
        self.backoff.due(now)
    }

    /// Whether what stands in for a card shall look for one now.
    pub fn look(&mut self, now: Instant) -> bool {
        self.listen(now);
        let settling = self.settled.is_some_and(|until| now < until);
        if !settling && self.subscription.is_some() {
            return false;
        }
        let due = match self.next_look {
            Some(at) => now >= at,
            // It has just been looked for when the stand-in was opened.
            None => {
                self.next_look = Some(now + LOOK_WITHOUT_WORD);
                settling
            }
        };
        if due {
            self.next_look = Some(now + if settling { LOOK } else { LOOK_WITHOUT_WORD });
        }
        due
    }

    /// It gave, or took, a block of sound: only that proves that it works.
    pub fn worked(&mut self, now: Instant) {
        self.backoff.worked(now);
    }

    /// A try failed, or what was open broke.
    pub fn failed(&mut self, now: Instant) {
        self.backoff.failed(now);
    }

    /// Takes word of cards: what was waited for is tried at once, and again while it settles.
    fn listen(&mut self, now: Instant) {
        if self.rung.swap(false, Ordering::Relaxed) {
            self.backoff = Backoff::default();
            self.settled = Some(now + SETTLING);
            self.next_look = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn word_of_a_card_ends_the_wait() {
        let (mut reopening, now) = (Reopening::new(&Board::default()), Instant::now());
        for _ in 0..6 {
            reopening.failed(now);
        }
        assert!(!reopening.due(now + Duration::from_secs(5)));
        reopening.rung.store(true, Ordering::Relaxed);
        assert!(reopening.due(now + Duration::from_secs(5)));
        // The card is not complete yet: the waits begin anew.
        reopening.failed(now + Duration::from_secs(5));
        assert!(!reopening.due(now + Duration::from_millis(5400)));
        assert!(reopening.due(now + Duration::from_millis(5500)));
    }

    #[test]
    fn what_stands_in_looks_for_a_card_while_one_settles_and_else_rarely() {
        let (mut reopening, start) = (Reopening::new(&Board::default()), Instant::now());
        let looks = |reopening: &mut Reopening, from: u64, to: u64| -> usize {
            let at = |ms| start + Duration::from_millis(ms);
            (from..to).step_by(20).filter(|ms| reopening.look(at(*ms))).count()
        };
        assert_eq!(looks(&mut reopening, 0, 30_000), 2);
        reopening.rung.store(true, Ordering::Relaxed);
        assert_eq!(looks(&mut reopening, 30_000, 60_000), 10 + 3);
    }
}
