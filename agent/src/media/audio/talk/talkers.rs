//! Who may talk: a bounded inbox for each talker, and the playback thread's view of all of them.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use anyhow::ensure;

use super::{MAX_TALKERS, TalkPacket};
use crate::media::audio::TalkMetrics;

/// Packets between two looks of the playback thread: 64 are more than a second. When full, the oldest is dropped.
const INBOX: usize = 64;

/// All talkers that are open.
pub struct Talkers {
    state: Mutex<State>,
    /// Playback waits for [`Self::woken`]; spares talkers the lock while it does not.
    asleep: AtomicBool,
    /// Nobody plays (any more): packets are only counted.
    deaf: AtomicBool,
    woken: Condvar,
    metrics: TalkMetrics,
}

#[derive(Default)]
struct State {
    inboxes: Vec<Arc<Inbox>>,
    next_id: u64,
    closed: bool,
}

/// What one talker sent and playback has not seen yet.
pub struct Inbox {
    /// Never used twice.
    pub id: u64,
    /// For logs.
    pub label: String,
    packets: Mutex<VecDeque<TalkPacket>>,
}

impl Inbox {
    /// Takes all packets.
    pub fn drain(&self) -> VecDeque<TalkPacket> {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<TalkPacket>> {
        self.packets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Talkers {
    /// Nobody talks.
    pub fn new(metrics: TalkMetrics) -> Self {
        Self {
            state: Mutex::default(),
            asleep: AtomicBool::new(false),
            deaf: AtomicBool::new(false),
            woken: Condvar::new(),
            metrics,
        }
    }

    /// One more talker.
    pub fn open(&self, label: &str) -> anyhow::Result<Arc<Inbox>> {
        let mut state = self.lock();
        ensure!(
            state.inboxes.len() < MAX_TALKERS,
            "{MAX_TALKERS} viewers talk already: try again when one of them has left"
        );
        let inbox = Arc::new(Inbox { id: state.next_id, label: label.to_owned(), packets: Mutex::default() });
        state.next_id += 1;
        state.inboxes.push(inbox.clone());
        self.metrics.talkers.inc();
        Ok(inbox)
    }

    /// One talker less.
    pub fn remove(&self, inbox: &Arc<Inbox>) {
        self.lock().inboxes.retain(|other| !Arc::ptr_eq(other, inbox));
        self.metrics.talkers.dec();
    }

    /// Puts a packet into an inbox and wakes playback if it sleeps.
    pub fn push(&self, inbox: &Inbox, packet: TalkPacket) {
        if self.deaf.load(Ordering::Relaxed) {
            self.metrics.packets_received.inc();
            return;
        }
        {
            let mut packets = inbox.lock();
            if packets.len() == INBOX {
                packets.pop_front();
                self.metrics.packets_dropped.inc();
            }
            packets.push_back(packet);
        }
        // Playback raises the flag before it looks into the inboxes for the last time.
        if self.asleep.load(Ordering::SeqCst) {
            let _state = self.lock();
            self.woken.notify_all();
        }
    }

    /// Waits until a packet is there; false at the end.
    pub fn wait_for_packet(&self) -> bool {
        let state = self.lock();
        self.asleep.store(true, Ordering::SeqCst);
        let quiet =
            |state: &mut State| !state.closed && state.inboxes.iter().all(|inbox| inbox.lock().is_empty());
        let state = self.woken.wait_while(state, quiet).unwrap_or_else(PoisonError::into_inner);
        self.asleep.store(false, Ordering::SeqCst);
        !state.closed
    }

    /// All who may talk now; None at the end.
    pub fn all(&self) -> Option<Vec<Arc<Inbox>>> {
        let state = self.lock();
        (!state.closed).then(|| state.inboxes.clone())
    }

    /// The end of playback.
    pub fn close(&self) {
        self.deaf.store(true, Ordering::Relaxed);
        self.lock().closed = true;
        self.woken.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
