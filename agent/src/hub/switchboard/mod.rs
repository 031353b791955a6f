//! Who talks with whom: viewers, devices, their sessions. No sockets, no clock: time comes as an argument.

mod path_told;
#[cfg(test)]
mod tests;
mod upkeep;

use std::{
    collections::{HashMap, VecDeque},
    time::{Duration, Instant},
};

use self::path_told::PathTold;
use super::{
    device_id::DeviceId,
    ice::IceSettings,
    metrics::HubMetrics,
    peer::{Limits, Now, PeerKey, Refused, random_id},
    port::Port,
};
use crate::signaling::message::{Body, Envelope, SessionId, code};

/// How long a session waits for a viewer whose socket broke without a goodbye. Its picture needs no hub, and
/// the page tries to come back every few seconds. As long as a device waits for a lost path by default; one
/// that notices sooner says bye itself.
pub(super) const GRACE: Duration = Duration::from_secs(30);
/// Messages kept for a device that is away while its sessions go on; later ones are dropped.
const HELD: usize = 64;
/// Errors from a device after which the session is over. The others answer one bad message.
const FINAL: [&str; 6] = [
    code::NO_COMMON_CODEC,
    code::NO_PATH,
    code::TOO_MANY_SESSIONS,
    code::UNKNOWN_SESSION,
    code::DEVICE_OFFLINE,
    code::INTERNAL,
];

pub(super) struct Switchboard {
    ice: IceSettings,
    limits: Limits,
    metrics: HubMetrics,
    ids: Box<dyn FnMut() -> anyhow::Result<SessionId> + Send>,
    viewers: HashMap<PeerKey, Viewer>,
    devices: HashMap<DeviceId, Device>,
    sessions: HashMap<SessionId, Session>,
    last_key: u64,
    ending: bool,
}

struct Viewer {
    port: Port,
    wanted: Option<DeviceId>,
    /// Offered or live. `None`: waits for the device.
    session: Option<SessionId>,
}

struct Device {
    connection: Option<(PeerKey, Port)>,
    local: bool,
    held: VecDeque<Envelope>,
}

struct Session {
    device: DeviceId,
    stage: Stage,
    owner: Owner,
    path: PathTold,
}

enum Stage {
    /// The viewer has its `connect`; the device knows nothing yet.
    Offered { since: Now },
    /// The device was told; both sides have credentials since then.
    Live { since: Now },
}

#[derive(Clone, Copy)]
enum Owner {
    Here(PeerKey),
    Lost { since: Instant },
}

impl Switchboard {
    pub fn new(ice: IceSettings, limits: Limits, metrics: HubMetrics) -> Self {
        Self {
            ice,
            limits,
            metrics,
            ids: Box::new(random_id),
            viewers: HashMap::new(),
            devices: HashMap::new(),
            sessions: HashMap::new(),
            last_key: 0,
            ending: false,
        }
    }

    /// The device that a viewer means who names none.
    pub fn only_device(&self) -> Option<DeviceId> {
        let mut known = self.devices.keys();
        known.next().filter(|_| known.next().is_none()).cloned()
    }

    /// A viewer's socket opened. `resume` names the session that it had on a socket that broke.
    pub fn viewer_open(
        &mut self,
        port: Port,
        wanted: Option<DeviceId>,
        resume: Option<SessionId>,
        now: Now,
    ) -> Result<PeerKey, Refused> {
        if self.ending {
            return Err(Refused::Ending);
        }
        let resumed = resume.filter(|id| self.can_resume(id, wanted.as_ref()));
        // Sessions that wait for their viewer count: each is a picture that a device may be sending.
        let lost = self.sessions.values().filter(|s| matches!(s.owner, Owner::Lost { .. })).count();
        if self.viewers.len() + lost >= self.limits.viewers && resumed.is_none() {
            return Err(Refused::TooManyViewers(self.limits.viewers));
        }
        let key = self.next_key();
        self.viewers.insert(key, Viewer { port, wanted, session: resumed.clone() });
        match resumed {
            Some(id) => self.take_over(&id, key),
            None => self.offer(key, now),
        }
        self.count();
        Ok(key)
    }

    /// A viewer sent a message.
    pub fn viewer_message(&mut self, key: PeerKey, envelope: Envelope, now: Now) {
        let Some(viewer) = self.viewers.get(&key) else { return };
        let own = envelope.session.as_ref().filter(|id| viewer.session.as_ref() == Some(id)).cloned();
        let Some(id) = own else { return self.refuse_unknown(&viewer.port, envelope) };
        let Some(device) = self.sessions.get(&id).map(|s| s.device.clone()) else { return };
        let online = self.is_online(&device);
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let over = matches!(envelope.body, Body::Bye(_))
            || matches!(&envelope.body, Body::Error(e) if FINAL.contains(&e.code.as_str()));
        if let Stage::Offered { .. } = session.stage {
            if over {
                self.sessions.remove(&id);
                return self.offer(key, now);
            }
            if matches!(envelope.body, Body::Error(_)) {
                return;
            }
            if !online {
                self.sessions.remove(&id);
                self.set_session(key, None);
                let message =
                    format!("{device} is not connected to the hub; the hub offers a session when it is");
                return self.tell_viewer(key, Envelope::error(Some(id), code::DEVICE_OFFLINE, message));
            }
            session.stage = Stage::Live { since: now };
            self.metrics.sessions_opened.inc();
            tracing::info!(session = %id, %device, "a viewer connects");
            let connect = self.ice.connect(&id, now.wall);
            self.tell_device(&device, Envelope::new(id.clone(), Body::Connect(connect)));
            if matches!(envelope.body, Body::Connect(_)) {
                return;
            }
        } else if matches!(envelope.body, Body::Connect(_)) {
            self.metrics.messages_refused.inc();
            let message = "connect: this session was connected before; a new one needs a new id from the hub";
            return self.tell_viewer(key, Envelope::error(Some(id), code::DUPLICATE_SESSION, message));
        }
        self.tell_device(&device, envelope);
        if over {
            self.sessions.remove(&id);
            tracing::info!(session = %id, "the viewer ended the session");
            self.offer(key, now);
        }
    }

    /// A viewer's socket closed; `goodbye` if it said so, and did not just break.
    pub fn viewer_close(&mut self, key: PeerKey, goodbye: bool, now: Now) {
        let Some(viewer) = self.viewers.remove(&key) else { return };
        self.count();
        let Some(id) = viewer.session else { return };
        match self.sessions.get_mut(&id) {
            Some(Session { stage: Stage::Live { .. }, owner, .. }) if !goodbye => {
                *owner = Owner::Lost { since: now.monotonic };
            }
            Some(_) => self.end_for_device(&id),
            None => {}
        }
    }

    /// A device connected. It replaces an older connection of the same name; the sessions go on.
    pub fn device_open(
        &mut self,
        id: &DeviceId,
        port: Port,
        local: bool,
        now: Now,
    ) -> Result<PeerKey, Refused> {
        if self.ending {
            return Err(Refused::Ending);
        }
        if self.devices.get(id).is_some_and(|d| d.local && d.connection.is_some() && !local) {
            return Err(Refused::NameTaken);
        }
        if !self.devices.contains_key(id) && self.devices.len() >= self.limits.devices {
            self.forget_an_absent_device().ok_or(Refused::TooManyDevices(self.limits.devices))?;
        }
        let key = self.next_key();
        let device = self.devices.entry(id.clone()).or_insert_with(|| Device {
            connection: None,
            local,
            held: VecDeque::new(),
        });
        for envelope in device.held.drain(..) {
            port.send(envelope);
        }
        device.local = local;
        let replaced = device.connection.replace((key, port)).is_some();
        tracing::info!(device = %id, replaced, "device connected");
        self.count();
        let mut waiting: Vec<_> =
            self.viewers.iter().filter(|(_, v)| v.session.is_none()).map(|(key, _)| *key).collect();
        waiting.sort();
        for key in waiting {
            if self.device_of(key).as_ref() == Some(id) {
                self.offer(key, now);
            }
        }
        Ok(key)
    }

    /// A device sent a message.
    pub fn device_message(&mut self, id: &DeviceId, key: PeerKey, envelope: Envelope, now: Now) {
        let Some((current, port)) = self.devices.get(id).and_then(|d| d.connection.as_ref()) else { return };
        if *current != key {
            return;
        }
        let routed = envelope.session.as_ref().and_then(|sid| {
            let session = self.sessions.get(sid)?;
            (session.device == *id && matches!(session.stage, Stage::Live { .. }))
                .then(|| (sid.clone(), session.owner))
        });
        let Some((sid, owner)) = routed else { return self.refuse_unknown(port, envelope) };
        if matches!(envelope.body, Body::Connect(_)) {
            self.metrics.messages_refused.inc();
            let message = "connect: only the hub says this";
            port.send(Envelope::error(Some(sid), code::WRONG_STATE, message));
            return;
        }
        self.note_path(&sid, id, &envelope.body);
        let over = match &envelope.body {
            Body::Bye(_) => true,
            Body::Error(e) => FINAL.contains(&e.code.as_str()),
            _ => false,
        };
        if over {
            self.sessions.remove(&sid);
            tracing::info!(session = %sid, device = %id, "the device ended the session");
        }
        if let Owner::Here(viewer) = owner {
            self.tell_viewer(viewer, envelope);
            if over {
                self.offer(viewer, now);
            }
        }
    }

    /// A device's connection closed. Its sessions stay, for its pictures need no hub.
    pub fn device_close(&mut self, id: &DeviceId, key: PeerKey) {
        if let Some(device) = self.devices.get_mut(id)
            && device.connection.take_if(|(current, _)| *current == key).is_some()
        {
            tracing::info!(device = %id, "device disconnected");
            self.count();
        }
    }

    fn next_key(&mut self) -> PeerKey {
        self.last_key += 1;
        PeerKey::new(self.last_key)
    }

    fn count(&self) {
        let online = self.devices.values().filter(|d| d.connection.is_some()).count();
        self.metrics.devices.set(online as i64);
        self.metrics.viewers.set(self.viewers.len() as i64);
    }

    fn is_online(&self, device: &DeviceId) -> bool {
        self.devices.get(device).is_some_and(|d| d.connection.is_some())
    }

    fn device_of(&self, viewer: PeerKey) -> Option<DeviceId> {
        self.viewers.get(&viewer)?.wanted.clone().or_else(|| self.only_device())
    }

    fn set_session(&mut self, viewer: PeerKey, session: Option<SessionId>) {
        if let Some(viewer) = self.viewers.get_mut(&viewer) {
            viewer.session = session;
        }
    }

    /// Gives a viewer its next session, or says why there is none yet.
    fn offer(&mut self, viewer: PeerKey, now: Now) {
        self.set_session(viewer, None);
        let message = match self.device_of(viewer) {
            Some(device) if self.is_online(&device) => match (self.ids)() {
                Ok(id) => {
                    let stage = Stage::Offered { since: now };
                    let path = PathTold::new(&self.metrics);
                    let session = Session { device, stage, owner: Owner::Here(viewer), path };
                    self.sessions.insert(id.clone(), session);
                    self.set_session(viewer, Some(id.clone()));
                    let connect = self.ice.connect(&id, now.wall);
                    return self.tell_viewer(viewer, Envelope::new(id, Body::Connect(connect)));
                }
                Err(e) => {
                    tracing::error!("{e:#}");
                    return self.tell_viewer(viewer, Envelope::error(None, code::INTERNAL, format!("{e:#}")));
                }
            },
            Some(device) => {
                format!("{device} is not connected to the hub; the hub offers a session when it is")
            }
            None if self.devices.is_empty() => "no device is connected to the hub yet".into(),
            None => {
                let mut names: Vec<_> = self.devices.keys().map(DeviceId::as_str).collect();
                names.sort_unstable();
                format!("the hub has several devices, say which with ?device=: {}", names.join(", "))
            }
        };
        self.tell_viewer(viewer, Envelope::error(None, code::DEVICE_OFFLINE, message));
    }

    fn can_resume(&self, id: &SessionId, wanted: Option<&DeviceId>) -> bool {
        self.sessions.get(id).is_some_and(|s| {
            matches!(s.stage, Stage::Live { .. }) && wanted.is_none_or(|wanted| *wanted == s.device)
        })
    }

    /// Gives a live session to the new socket of its viewer; the old one, if it is still there, is closed.
    fn take_over(&mut self, id: &SessionId, key: PeerKey) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        if let Owner::Here(old) = std::mem::replace(&mut session.owner, Owner::Here(key)) {
            self.viewers.remove(&old);
        }
        tracing::info!(session = %id, "the viewer is back");
    }

    fn tell_viewer(&self, viewer: PeerKey, envelope: Envelope) {
        if let Some(viewer) = self.viewers.get(&viewer) {
            viewer.port.send(envelope);
        }
    }

    fn tell_device(&mut self, id: &DeviceId, envelope: Envelope) {
        let Some(device) = self.devices.get_mut(id) else { return };
        match &device.connection {
            Some((_, port)) => {
                if !port.send(envelope) {
                    tracing::warn!(device = %id, "the device does not read its messages");
                }
            }
            None if device.held.len() < HELD => {
                // A newer offer voids the one before and its candidates: its viewer took it back.
                if matches!(envelope.body, Body::Description(_)) {
                    let is_void = |body: &Body| matches!(body, Body::Description(_) | Body::Candidate(_));
                    device.held.retain(|held| held.session != envelope.session || !is_void(&held.body));
                }
                device.held.push_back(envelope);
            }
            None => {
                self.metrics.messages_refused.inc();
                tracing::debug!(device = %id, "a message for the absent device was dropped");
            }
        }
    }

    /// An error for an error would never end, and a bye crosses the other side's last words all the time.
    fn refuse_unknown(&self, port: &Port, envelope: Envelope) {
        if matches!(envelope.body, Body::Error(_) | Body::Bye(_)) {
            return;
        }
        self.metrics.messages_refused.inc();
        port.send(match envelope.session {
            Some(id) => Envelope::error(
                Some(id),
                code::UNKNOWN_SESSION,
                "session: not one of this connection; is it over?",
            ),
            None => Envelope::error(None, code::MALFORMED, "session: missing"),
        });
    }
}
