//! Wakes one viewer's session when there is something to take.

use std::{
    future::poll_fn,
    sync::atomic::{AtomicBool, Ordering},
    task::Poll,
};

use futures_util::task::AtomicWaker;

/// A session looks at it at each of its turns: that takes no lock.
#[derive(Debug)]
pub struct Wake {
    news: AtomicBool,
    waker: AtomicWaker,
}

impl Default for Wake {
    /// Whoever comes new has a look.
    fn default() -> Self {
        Self { news: AtomicBool::new(true), waker: AtomicWaker::new() }
    }
}

impl Wake {
    /// There may be something.
    pub fn tell(&self) {
        self.news.store(true, Ordering::Release);
        self.waker.wake();
    }

    /// Comes back once for all calls of [`Self::tell`] since the last time. One waiter at a time; can be dropped without
    /// loss.
    pub async fn told(&self) {
        let take = || self.news.swap(false, Ordering::AcqRel);
        poll_fn(|context| {
            if take() {
                return Poll::Ready(());
            }
            self.waker.register(context.waker());
            // What was told before this waker was there woke nobody.
            if take() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn what_was_told_before_and_while_somebody_waits_is_heard_once() {
        let wake = std::sync::Arc::new(Wake::default());
        assert_eq!(
            (wake.told().now_or_never(), wake.told().now_or_never()),
            (Some(()), None),
            "the first look"
        );
        wake.tell();
        wake.tell();
        assert_eq!((wake.told().now_or_never(), wake.told().now_or_never()), (Some(()), None));
        let waiting = tokio::spawn({
            let wake = wake.clone();
            async move { wake.told().await }
        });
        tokio::task::yield_now().await;
        wake.tell();
        waiting.await.unwrap_or_else(|e| unreachable!("{e}"));
    }
}
