//! The pictures that wait for an encoder thread.

use std::{
    collections::VecDeque,
    mem,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

use super::{AccessUnit, SourceFrame};

/// Encoded pictures that may wait to be decoded, a second at 60 fps, besides the group that a worker starts with; none
/// of them can be left out singly, so when it is full all are dropped, and what comes up to the next key frame. Of
/// raw pictures only the newest waits.
const ENCODED_QUEUE: usize = 60;

#[derive(Default)]
struct Inbox {
    frames: VecDeque<SourceFrame>,
    /// How many pictures of the group that a worker starts with are still in it.
    group: usize,
    /// Encoded pictures were dropped: the next to be taken in is a key frame.
    broken: bool,
    stop: bool,
}

impl Inbox {
    fn empty(&mut self) -> VecDeque<SourceFrame> {
        self.group = 0;
        mem::take(&mut self.frames)
    }
}

/// See the module.
#[derive(Default)]
pub struct Mailbox {
    inbox: Mutex<Inbox>,
    filled: Condvar,
}

impl Mailbox {
    /// With the pictures since the last key frame.
    pub fn new(group: &[Arc<AccessUnit>]) -> Self {
        let frames = group.iter().cloned().map(SourceFrame::Encoded).collect();
        let inbox = Inbox { frames, group: group.len(), ..Inbox::default() };
        Self { inbox: Mutex::new(inbox), filled: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands a picture over; returns how many were dropped for it.
    pub fn push(&self, frame: SourceFrame) -> usize {
        let mut inbox = self.lock();
        let mut dropped = 0;
        match &frame {
            SourceFrame::Raw(_) => dropped = inbox.empty().len(),
            SourceFrame::Encoded(unit) => {
                inbox.broken &= !unit.keyframe;
                if inbox.frames.len() >= ENCODED_QUEUE + inbox.group {
                    dropped = inbox.empty().len();
                    inbox.broken = !unit.keyframe;
                }
                if inbox.broken {
                    return dropped + 1;
                }
            }
        }
        inbox.frames.push_back(frame);
        self.filled.notify_one();
        dropped
    }

    /// Nothing more is taken.
    pub fn stop(&self) {
        self.lock().stop = true;
        self.filled.notify_one();
    }

    /// Waits for pictures; `None` when it is over.
    pub fn take(&self) -> Option<VecDeque<SourceFrame>> {
        let mut inbox = self
            .filled
            .wait_while(self.lock(), |inbox| inbox.frames.is_empty() && !inbox.stop)
            .unwrap_or_else(PoisonError::into_inner);
        (!inbox.stop).then(|| inbox.empty())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::media::video::{RawFrame, VideoCodec};

    fn raw() -> SourceFrame {
        let planes = [16 * 16, 64, 64].map(|length| vec![0; length].into());
        SourceFrame::Raw(RawFrame::new(16, 16, planes, Instant::now()).into())
    }

    fn encoded(keyframe: bool) -> SourceFrame {
        let now = Instant::now();
        let unit = AccessUnit::passed(VideoCodec::H264, vec![1].into(), keyframe, (16, 16), (now, now));
        SourceFrame::Encoded(Arc::new(unit))
    }

    #[test]
    fn of_raw_pictures_only_the_newest_waits() {
        let mailbox = Mailbox::default();
        assert_eq!((0..5).map(|_| mailbox.push(raw())).sum::<usize>(), 4);
        assert_eq!(mailbox.take().map(|frames| frames.len()), Some(1));
    }

    #[test]
    fn encoded_pictures_are_dropped_up_to_the_next_key_frame_when_too_many_wait() {
        let mailbox = Mailbox::default();
        (0..ENCODED_QUEUE).for_each(|index| assert_eq!(mailbox.push(encoded(index == 0)), 0));
        assert_eq!(mailbox.push(encoded(false)), ENCODED_QUEUE + 1);
        assert_eq!(mailbox.push(encoded(false)), 1);
        assert_eq!(mailbox.push(encoded(true)), 0);
        assert_eq!(mailbox.take().map(|frames| frames.len()), Some(1));
    }

    #[test]
    fn the_group_that_a_worker_starts_with_is_not_dropped_before_the_worker_has_seen_it() {
        let unit = |keyframe| match encoded(keyframe) {
            SourceFrame::Encoded(unit) => unit,
            SourceFrame::Raw(_) => unreachable!(),
        };
        let group: Vec<_> = (0..5 * ENCODED_QUEUE).map(|index| unit(index == 0)).collect();
        let mailbox = Mailbox::new(&group);
        (0..ENCODED_QUEUE).for_each(|_| assert_eq!(mailbox.push(encoded(false)), 0));
        assert_eq!(mailbox.take().map(|frames| frames.len()), Some(6 * ENCODED_QUEUE));
        (0..ENCODED_QUEUE).for_each(|_| assert_eq!(mailbox.push(encoded(false)), 0));
        assert_eq!(mailbox.push(encoded(false)), ENCODED_QUEUE + 1, "it is an exception for the group alone");
    }

    #[test]
    fn a_worker_that_is_told_to_stop_takes_nothing_more() {
        let mailbox = Mailbox::default();
        mailbox.push(raw());
        mailbox.stop();
        assert!(mailbox.take().is_none());
    }
}
