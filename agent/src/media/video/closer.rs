//! Closes encoders whose device may hang, each on a thread of its own.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

/// A device that works is closed within a few milliseconds; one that hangs is left to its thread after this, so that
/// a broken encoder costs viewers no more than that.
const PATIENCE: Duration = Duration::from_millis(300);
/// So many closings may hang in the kernel at once. More would mean that reopening does not help.
const MAX_HANGING: usize = 2;

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Closer {
    hanging: Arc<AtomicUsize>,
}

impl Closer {
    /// Drops it; returns after a short while also if that takes longer.
    pub fn close<T: Send + 'static>(&self, encoder: T) {
        let hanging = self.hanging.clone();
        hanging.fetch_add(1, Ordering::SeqCst);
        let (done, is_done) = mpsc::channel::<()>();
        let close = move || {
            drop(encoder);
            hanging.fetch_sub(1, Ordering::SeqCst);
            drop(done);
        };
        // Without a thread it has been dropped here, with the closure.
        match thread::Builder::new().name("video-close".into()).spawn(close) {
            Ok(_) => drop(is_done.recv_timeout(PATIENCE)),
            Err(_) => drop(self.hanging.fetch_sub(1, Ordering::SeqCst)),
        }
    }

    /// An error if so many closings hang that another encoder of this kind must not be opened.
    pub fn check(&self) -> anyhow::Result<()> {
        let hanging = self.hanging.load(Ordering::SeqCst);
        anyhow::ensure!(
            hanging < MAX_HANGING,
            "{hanging} earlier ones still hang in their driver: restart the board"
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Slow(mpsc::Receiver<()>);

    impl Drop for Slow {
        fn drop(&mut self) {
            let _ = self.0.recv();
        }
    }

    #[test]
    fn closings_that_hang_hold_nobody_up_and_are_bounded() {
        let closer = Closer::default();
        let hang = || {
            let (end, ended) = mpsc::channel();
            closer.close(Slow(ended));
            end
        };
        let _first = hang();
        assert!(closer.check().is_ok());
        let second = hang();
        assert!(closer.check().is_err_and(|error| error.to_string().contains("restart the board")));
        drop(second);
        while closer.check().is_err() {
            thread::yield_now();
        }
    }
}
