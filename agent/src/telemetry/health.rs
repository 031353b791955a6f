//! The state of the agent's parts in words, for the `/health` endpoint and whoever watches it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde::Serialize;
use tokio::sync::watch;

/// How a part does; worse ones compare greater.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// It works.
    #[default]
    Ok,
    /// Viewers get less than configured: no sound, a test pattern for a camera. `/health` is still 200.
    Degraded,
    /// Viewers get nothing. `/health` is 503.
    Failed,
}

/// A part and how it does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Condition {
    /// The part, as in `camera`.
    pub name: &'static str,
    /// How it does.
    pub status: Level,
    /// In words, with the next step if there is one to take.
    pub detail: String,
}

/// What `/health` answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The worst of the conditions; `ok` if there are none.
    pub status: Level,
    /// By name.
    pub conditions: Vec<Condition>,
}

/// The shared set of conditions, cheap to clone. Names are literals, so it cannot grow without bound.
#[derive(Clone, Debug, Default)]
pub struct Health(Arc<Parts>);

#[derive(Debug, Default)]
struct Parts {
    conditions: Mutex<BTreeMap<&'static str, (Level, String)>>,
    changed: watch::Sender<()>,
}

impl Health {
    /// No conditions yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Says how a part does; a change of its level is logged once.
    pub fn set(&self, name: &'static str, level: Level, detail: impl Into<String>) {
        let detail = detail.into();
        let before = self.conditions().insert(name, (level, detail.clone()));
        if before.map(|(level, _)| level).unwrap_or_default() == level {
            return;
        }
        self.0.changed.send_replace(());
        match level {
            Level::Ok => tracing::info!(part = name, "{name} works: {detail}"),
            Level::Degraded => tracing::warn!(part = name, "{name} is degraded: {detail}"),
            Level::Failed => tracing::error!(part = name, "{name} failed: {detail}"),
        }
    }

    /// The part is not up yet: counts as failed, but is no news.
    pub fn pending(&self, name: &'static str) {
        self.conditions().insert(name, (Level::Failed, "starting".into()));
    }

    /// The part is no longer there to have a condition.
    pub fn remove(&self, name: &'static str) {
        self.conditions().remove(name);
        self.0.changed.send_replace(());
    }

    /// Tells when a level may have changed.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.0.changed.subscribe()
    }

    /// All conditions and the worst of them.
    pub fn report(&self) -> Report {
        let conditions: Vec<_> = self
            .conditions()
            .iter()
            .map(|(name, (status, detail))| Condition { name, status: *status, detail: detail.clone() })
            .collect();
        let status = conditions.iter().map(|condition| condition.status).max().unwrap_or_default();
        Report { status, conditions }
    }

    fn conditions(&self) -> MutexGuard<'_, BTreeMap<&'static str, (Level, String)>> {
        self.0.conditions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_condition_is_the_status_of_the_whole() {
        let health = Health::new();
        assert_eq!(health.report().status, Level::Ok);
        health.set("camera", Level::Ok, "640x360 from /dev/video0");
        health.set("speaker", Level::Degraded, "no sound card: talk-back goes to the log");
        assert_eq!(health.report().status, Level::Degraded);
        health.clone().set("signaling", Level::Failed, "hub.example refuses the device token");
        assert_eq!(health.report().status, Level::Failed);
        health.set("signaling", Level::Ok, "connected");
        health.remove("speaker");
        let report = health.report();
        assert_eq!(report.status, Level::Ok);
        assert_eq!(report.conditions.iter().map(|c| c.name).collect::<Vec<_>>(), ["camera", "signaling"]);
    }
}
