//! Whether camera and microphone must stay closed: set by the privacy switch, obeyed by whoever opens a device.

use std::sync::Arc;

use tokio::sync::watch;

/// The gate that every capture thread looks at, cheap to clone. Without a privacy switch it is open.
#[derive(Clone, Debug)]
pub struct Privacy(Arc<watch::Sender<Option<Arc<str>>>>);

impl Default for Privacy {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(None)))
    }
}

impl Privacy {
    /// Why camera and microphone must be closed, in words for viewers; None while they may be open.
    pub fn closed(&self) -> Option<Arc<str>> {
        self.0.borrow().clone()
    }

    /// Whether camera and microphone must be closed.
    pub fn is_closed(&self) -> bool {
        self.0.borrow().is_some()
    }

    /// Closes camera and microphone (or changes the reason), or with None lets them be opened again.
    pub fn set(&self, closed: Option<Arc<str>>) {
        self.0.send_if_modified(|now| {
            let changed = *now != closed;
            *now = closed;
            changed
        });
    }

    /// Tells of changes, not of the state it begins with.
    pub fn changes(&self) -> watch::Receiver<Option<Arc<str>>> {
        self.0.subscribe()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn it_is_open_until_it_is_closed_and_tells_of_changes_only() {
        let privacy = Privacy::default();
        let changes = privacy.clone().changes();
        assert!(!privacy.is_closed());
        privacy.set(None);
        assert!(!changes.has_changed().unwrap());
        privacy.set(Some("the privacy switch is on".into()));
        assert!(changes.has_changed().unwrap());
        assert_eq!(privacy.closed().as_deref(), Some("the privacy switch is on"));
        privacy.set(None);
        assert!(!privacy.is_closed());
    }
}
