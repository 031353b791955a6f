//! What the switchboard does unasked: ends what is over, renews credentials, makes room, says goodbye.

use std::time::Instant;

use super::{GRACE, Owner, Stage, Switchboard};
use crate::{
    hub::{device_id::DeviceId, peer::Now},
    signaling::message::{Body, Bye, Envelope, SessionId},
};

impl Switchboard {
    /// Ends what nobody came back for, and renews credentials that grow old, before their viewer's click and while a
    /// session lives: a relay is good for as long as they are. To be called about once a second.
    pub(in crate::hub) fn tick(&mut self, now: Now) {
        let past = |since: Instant| now.monotonic.saturating_duration_since(since);
        // By either clock: a board that boots in 1970 learns the time while a viewer waits, and credentials of 1970
        // are of no use from then on.
        let age =
            |since: Now| past(since.monotonic).max(now.wall.duration_since(since.wall).unwrap_or_default());
        let mut lost = Vec::new();
        let (mut old, mut live) = (Vec::new(), Vec::new());
        let is_old = |since: Now| self.ice.renew_after().is_some_and(|after| age(since) >= after);
        for (id, session) in &mut self.sessions {
            match (&mut session.stage, session.owner) {
                (_, Owner::Lost { since }) if past(since) >= GRACE => lost.push(id.clone()),
                (Stage::Offered { since }, Owner::Here(key)) if is_old(*since) => {
                    *since = now;
                    old.push((id.clone(), key));
                }
                (Stage::Live { since }, owner) if is_old(*since) => {
                    *since = now;
                    live.push((id.clone(), session.device.clone()));
                    if let Owner::Here(key) = owner {
                        old.push((id.clone(), key));
                    }
                }
                _ => {}
            }
        }
        for id in lost {
            self.end_for_device(&id);
        }
        for (id, device) in live {
            let connect = self.ice.connect(&id, now.wall);
            self.tell_device(&device, Envelope::new(id, Body::Connect(connect)));
        }
        for (id, key) in old {
            let connect = self.ice.connect(&id, now.wall);
            self.tell_viewer(key, Envelope::new(id, Body::Connect(connect)));
        }
    }

    /// Says goodbye to the viewers whose camera ends with this process, and lets go of all sockets. Pictures
    /// of other cameras go on without the hub.
    pub(in crate::hub) fn end(&mut self, reason: &str) {
        self.ending = true;
        for (id, session) in &self.sessions {
            if let (Stage::Live { .. }, Owner::Here(key)) = (&session.stage, session.owner)
                && self.devices.get(&session.device).is_some_and(|d| d.local)
            {
                let bye = Body::Bye(Bye { reason: reason.into() });
                self.tell_viewer(key, Envelope::new(id.clone(), bye));
            }
        }
        self.viewers.clear();
        self.devices.clear();
        self.sessions.clear();
        self.count();
    }

    /// The viewer left for good: frees the session and tells the device.
    pub(super) fn end_for_device(&mut self, id: &SessionId) {
        if let Some(session) = self.sessions.remove(id)
            && matches!(session.stage, Stage::Live { .. })
        {
            tracing::info!(session = %id, "the viewer left");
            let bye = Body::Bye(Bye { reason: "viewer left".into() });
            self.tell_device(&session.device, Envelope::new(id.clone(), bye));
        }
    }

    /// Makes room in the table: a device that is away and that no session waits for.
    pub(super) fn forget_an_absent_device(&mut self) -> Option<()> {
        let in_use = |id: &DeviceId| self.sessions.values().any(|s| s.device == *id);
        let absent = self.devices.iter().find(|(id, d)| d.connection.is_none() && !in_use(id));
        let id = absent.map(|(id, _)| id.clone())?;
        self.devices.remove(&id).map(drop)
    }
}
