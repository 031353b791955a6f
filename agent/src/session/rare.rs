//! What happens seldom around a session, waited for at once.

use tokio_util::task::AbortOnDropHandle;

use super::{
    driver::{Running, Session},
    end::End,
};

impl Session {
    /// Waits for what happens seldom: [`Self::rarities`] has something to do then. In a task of its own: these waits look
    /// into others' locks each time they are polled, and a session is at each of its packets.
    pub(super) fn rare(&self, run: &Running) -> AbortOnDropHandle<()> {
        let (stop, mut privacy, surroundings) =
            (self.stop.clone(), run.privacy.clone(), self.surroundings.changed());
        AbortOnDropHandle::new(tokio::spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                Ok(()) = privacy.changed() => {}
                () = surroundings => {}
            }
        }))
    }

    /// Does what is to be done after that.
    pub(super) fn rarities(&mut self, run: &mut Running) -> Option<End> {
        if self.stop.is_cancelled() {
            return Some(End::Shutdown);
        }
        while let Some(change) = self.surroundings.take_change() {
            self.surroundings_changed(&mut run.roaming, change, run.peer.as_ref());
        }
        if run.privacy.borrow().has_changed() {
            let closed = run.privacy.borrow_and_update().clone();
            // Whoever comes no further than to an offer hears of the end alone.
            if run.peer.is_some() {
                self.tell_privacy(closed.as_deref(), true);
            }
        }
        None
    }
}
