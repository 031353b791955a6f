//! What the session's task does for its path.

use std::time::Instant;

use tracing::{debug, info};

use super::{Roaming, Wish, surroundings::Change};
use crate::{
    session::{driver::Session, peer::Peer},
    signaling::message::{Body, Restart},
};

impl Session {
    /// Does what is due for the session's path.
    pub(in crate::session) fn roam(&self, roaming: &mut Roaming, now: Instant) {
        while let Some(wish) = roaming.poll(now) {
            match wish {
                Wish::Doubt => self.doubt.raise(),
                Wish::Restart(reason) => {
                    if roaming.times == 1 {
                        info!("asks the viewer for a new path: {reason}");
                    } else {
                        debug!("asks the viewer for a new path again: {reason}");
                    }
                    self.shared.metrics.restarts_asked.inc();
                    // What NATs show of this device may be another address now: it is known when the offer comes.
                    self.endpoint.refresh();
                    self.endpoint.hurry(now);
                    self.send(Body::Restart(Restart { reason }));
                }
            }
        }
    }

    /// Takes in what changed around the session.
    pub(in crate::session) fn surroundings_changed(
        &mut self,
        roaming: &mut Roaming,
        change: Change,
        peer: Option<&Peer>,
    ) {
        match change {
            Change::Link { up } => roaming.link(Instant::now(), up),
            Change::Network => {
                let local = peer.and_then(Peer::path_in_use).map(|path| path.local.ip());
                // Before anything is said about it: it would go the old way.
                self.doubt.moved();
                if let Some(why) = self.surroundings.take_in(local) {
                    roaming.leave(why);
                }
            }
        }
    }
}
