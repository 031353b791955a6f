//! The watchdog's feeder: tells systemd that the agent lives while its runtime turns and no thread is stuck.
//!
//! It is a task of the runtime: if that does not turn, nothing is told either, and systemd acts after `WatchdogSec=`.

use std::time::{Duration, Instant};

use tokio::time::MissedTickBehavior;

use super::{
    health::{Health, Level},
    liveness::Liveness,
    service,
};

/// Time between two looks where systemd does not ask for a shorter one: a stuck thread is named within seconds.
const LOOK: Duration = Duration::from_secs(2);

/// Looks in a `WatchdogSec=`. systemd recommends two (sd_watchdog_enabled(3)); a busy board may be late for one or two.
const LOOKS_IN_TIMEOUT: u32 = 4;

/// The condition on `/health`.
const CONDITION: &str = "threads";

/// Watches until it is dropped. Under systemd with `WatchdogSec=` a stuck thread ends the process, as nothing else ends
/// a driver's call; elsewhere it is logged, and told on `/health`, until the thread moves again.
pub async fn watch(liveness: &Liveness, health: Health) {
    let timeout = service::watchdog_timeout();
    let mut looks = tokio::time::interval(interval(timeout));
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut watch = Watch::new(health);
    loop {
        looks.tick().await;
        let found = watch.look(liveness, Instant::now());
        match found {
            _ if timeout.is_none() => {}
            Found::AllMove => service::alive(),
            Found::Stuck(words) => service::hangs(&words),
            Found::StillStuck => {}
        }
    }
}

/// What a look found.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    AllMove,
    /// In words; told once.
    Stuck(String),
    StillStuck,
}

struct Watch {
    health: Health,
    stuck: bool,
}

impl Watch {
    fn new(health: Health) -> Self {
        health.set(CONDITION, Level::Ok, "all move");
        Self { health, stuck: false }
    }

    fn look(&mut self, liveness: &Liveness, now: Instant) -> Found {
        let was_stuck = self.stuck;
        let stuck = liveness.stuck(now);
        self.stuck = stuck.is_some();
        match stuck {
            Some(_) if was_stuck => Found::StillStuck,
            Some(stuck) => {
                self.health.set(CONDITION, Level::Failed, stuck.to_string());
                Found::Stuck(stuck.to_string())
            }
            None => {
                if was_stuck {
                    self.health.set(CONDITION, Level::Ok, "all move again");
                }
                Found::AllMove
            }
        }
    }
}

fn interval(timeout: Option<Duration>) -> Duration {
    // Not 0, which is no interval.
    timeout.map_or(LOOK, |timeout| LOOK.min(timeout / LOOKS_IN_TIMEOUT)).max(Duration::from_millis(1))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn it_looks_several_times_before_systemd_loses_patience() {
        assert_eq!(interval(None), LOOK);
        assert_eq!(interval(Some(Duration::from_secs(60))), LOOK);
        assert_eq!(interval(Some(Duration::from_secs(4))), Duration::from_secs(1));
        assert!(interval(Some(Duration::ZERO)) > Duration::ZERO);
    }

    #[test]
    fn a_stuck_thread_is_told_once_and_fails_the_health_until_it_moves_again() {
        let epoch = Instant::now();
        let second = Duration::from_secs(1);
        let (liveness, health) = (Liveness::new(epoch), Health::new());
        let mut watch = Watch::new(health.clone());
        let camera = liveness.watch("video-capture", 10 * second);
        camera.beat(epoch);
        assert_eq!(watch.look(&liveness, epoch + 10 * second), Found::AllMove);
        assert_eq!(health.report().status, Level::Ok);
        let words = "thread video-capture has not moved for 11 s: its driver hangs";
        assert_eq!(watch.look(&liveness, epoch + 11 * second), Found::Stuck(words.into()));
        assert_eq!(watch.look(&liveness, epoch + 12 * second), Found::StillStuck);
        assert_eq!(health.report().status, Level::Failed);
        assert_eq!(health.report().conditions[0].detail, words);
        camera.rest();
        assert_eq!(watch.look(&liveness, epoch + 13 * second), Found::AllMove);
        assert_eq!(health.report().status, Level::Ok);
    }
}
