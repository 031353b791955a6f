//! How many viewers have a live session: what the status LED shows.

use std::sync::Arc;

use tokio::sync::watch;

/// The count, cheap to clone.
#[derive(Clone, Debug)]
pub struct Viewers(Arc<watch::Sender<usize>>);

impl Default for Viewers {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(0)))
    }
}

impl Viewers {
    /// One more, until what is returned is dropped.
    #[must_use = "dropping it takes the viewer away"]
    pub fn join(&self) -> Viewer {
        self.0.send_modify(|count| *count += 1);
        Viewer(self.clone())
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        *self.0.borrow()
    }

    /// Tells when the count has changed.
    pub fn changes(&self) -> watch::Receiver<usize> {
        self.0.subscribe()
    }
}

/// Counts as a viewer as long as it lives.
#[derive(Debug)]
pub struct Viewer(Viewers);

impl Drop for Viewer {
    fn drop(&mut self) {
        self.0.0.send_modify(|count| *count -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_viewer_counts_as_long_as_it_lives() {
        let viewers = Viewers::default();
        let (one, two) = (viewers.join(), viewers.clone().join());
        assert_eq!(viewers.count(), 2);
        drop(one);
        assert_eq!(viewers.count(), 1);
        drop(two);
        assert_eq!(viewers.count(), 0);
    }
}
