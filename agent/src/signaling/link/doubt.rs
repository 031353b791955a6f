//! What the sessions know of the way to the server before the link does: that it may be gone, or has changed.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// What a session or the network tells a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// The viewers are silent: the server may be out of reach too.
    Doubt,
    /// Addresses or routes of this device have changed.
    Moved,
}

/// Carries such words to the link's carrier; several before it listens are one.
#[derive(Debug, Default)]
pub struct Doubt {
    raised: Notify,
    moved: AtomicBool,
}

impl Doubt {
    /// There is reason to think that the way out is gone: the carrier asks the other end, if it can.
    pub fn raise(&self) {
        self.raised.notify_one();
    }

    /// Addresses or routes of this device have changed: the carrier looks whether it still goes the right way.
    pub fn moved(&self) {
        self.moved.store(true, Ordering::Release);
        self.raised.notify_one();
    }

    /// The next word. Can be dropped at any time without loss.
    pub(super) async fn next(&self) -> Word {
        self.raised.notified().await;
        if self.moved.swap(false, Ordering::AcqRel) { Word::Moved } else { Word::Doubt }
    }
}
