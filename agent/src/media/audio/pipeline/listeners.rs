//! Who listens: a bounded queue for each subscription, and the capture thread's view of all of them.

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use crate::media::audio::{AudioCodec, AudioFrame, AudioMetrics};

/// Frames that wait for a listener: 200 ms, more would only be old. When full, the oldest is dropped.
const QUEUE: usize = 10;

/// All subscriptions of a pipeline.
pub struct Listeners {
    state: Mutex<State>,
    changed: Condvar,
    metrics: AudioMetrics,
}

#[derive(Default)]
struct State {
    queues: Vec<Arc<Queue>>,
    closed: bool,
}

struct Queue {
    codec: AudioCodec,
    waiting: Mutex<Waiting>,
    arrived: Notify,
}

#[derive(Default)]
struct Waiting {
    frames: VecDeque<Arc<AudioFrame>>,
    closed: bool,
}

impl Listeners {
    /// Nobody listens.
    pub fn new(metrics: AudioMetrics) -> Self {
        Self { state: Mutex::default(), changed: Condvar::new(), metrics }
    }

    /// Adds a listener; `closed` makes one that only ever hears the end.
    pub fn add(self: &Arc<Self>, codec: AudioCodec, closed: bool) -> Listener {
        let mut state = self.lock();
        let waiting = Waiting { frames: VecDeque::with_capacity(QUEUE), closed: closed || state.closed };
        let queue = Arc::new(Queue { codec, waiting: Mutex::new(waiting), arrived: Notify::new() });
        state.queues.push(queue.clone());
        self.metrics.listeners.inc();
        self.changed.notify_all();
        Listener { queue, all: self.clone() }
    }

    /// Waits until somebody listens; false when the pipeline is closed.
    pub fn wait_for_one(&self) -> bool {
        let state = self.lock();
        let state = self
            .changed
            .wait_while(state, |state| state.queues.is_empty() && !state.closed)
            .unwrap_or_else(PoisonError::into_inner);
        !state.closed
    }

    /// The codecs that somebody listens to now, without duplicates; empty when all have gone or it is closed.
    pub fn codecs(&self) -> Vec<AudioCodec> {
        let state = self.lock();
        let mut codecs: Vec<_> = state.queues.iter().map(|queue| queue.codec).collect();
        if state.closed {
            codecs.clear();
        }
        codecs.sort_unstable();
        codecs.dedup();
        codecs
    }

    /// Hands a frame to all who listen to its codec.
    pub fn publish(&self, frame: AudioFrame) {
        let frame = Arc::new(frame);
        for queue in self.lock().queues.iter().filter(|queue| queue.codec == frame.codec) {
            let mut waiting = queue.lock();
            if waiting.frames.len() == QUEUE {
                waiting.frames.pop_front();
                self.metrics.frames_dropped.inc();
            }
            waiting.frames.push_back(frame.clone());
            drop(waiting);
            queue.arrived.notify_one();
        }
    }

    /// The end for all who listen now or later.
    pub fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        for queue in &state.queues {
            queue.lock().closed = true;
            queue.arrived.notify_one();
        }
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One subscription's end of its queue.
pub struct Listener {
    queue: Arc<Queue>,
    all: Arc<Listeners>,
}

impl Listener {
    /// The oldest waiting frame, or the next; None at the end.
    pub async fn next(&mut self) -> Option<Arc<AudioFrame>> {
        loop {
            {
                let mut waiting = self.queue.lock();
                if let Some(frame) = waiting.frames.pop_front() {
                    return Some(frame);
                }
                if waiting.closed {
                    return None;
                }
            }
            // A notice that comes between the look and the wait is kept by Notify.
            self.queue.arrived.notified().await;
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.all.lock().queues.retain(|queue| !Arc::ptr_eq(queue, &self.queue));
        self.all.metrics.listeners.dec();
    }
}
